//! `lookup` after a step: its answer is what the model remembers, by the key field and by others.
//!
//! Not here: the ledger itself, which is compared after each run (`after.rs`).

use serde_json::{Value, json};

use super::chance::Chance;
use super::fillers;
use super::memory::{Entry, State, Version};
use super::rows::{Cells, Field};
use super::run::run;
use super::steps::{self, Stop, TARGETS};
use super::world::World;

impl World {
    /// Asks for a subject by chance, or for whoever has some values.
    pub(crate) fn look_up(&mut self, chance: &mut Chance, log: &mut Vec<String>) -> Result<(), String> {
        let (target, subject) = (chance.index(TARGETS), steps::subject(chance));
        let is_by_key = chance.percent(60);
        let values = self.asked(target, &subject, chance);
        let asked: Vec<(Field, String)> = if is_by_key {
            let key = (Field::Key, subject.clone());
            std::iter::once(key).chain(values).collect()
        } else {
            values.into_iter().collect()
        };
        if asked.is_empty() {
            return Ok(());
        }
        self.tally.count(if is_by_key { "lookup by the key" } else { "lookup by others" });
        let url = self.sandboxes[target].url();
        let mut args = ["lookup", "--json", "--api-url", &url].map(str::to_owned).to_vec();
        for (field, value) in &asked {
            args.push(format!("--{}={value}", field.kind().name().replace('_', "-")));
        }
        let ran = run(self.dir.path(), &self.sandboxes[target], &args, Stop::Never)?;
        log.push(format!("lookup at target {target} by {asked:?}: exit {:?}", ran.code));
        let is_there = self.memory.iter().any(|memory| !memory.is_empty());
        if ran.code == Some(2) && !is_there {
            return Ok(());
        }
        let (Some(told), Some(0)) = (ran.told, ran.code) else {
            return Err(format!("lookup ends with {:?}: {}", ran.code, ran.stderr));
        };
        let mut expected: Vec<String> = self.memory[target]
            .iter()
            .filter(|(of, entry)| match is_by_key {
                true => **of == subject,
                false => asked.iter().all(|(field, value)| entry.holds(*field, value)),
            })
            .map(|(_, entry)| self.shown(target, entry, &asked).to_string())
            .collect();
        let subjects = told["subjects"].as_array().ok_or("an answer without subjects")?;
        let mut found: Vec<String> = subjects.iter().map(|subject| comparable(subject).to_string()).collect();
        expected.sort();
        found.sort();
        if found != expected || told["found"] != !expected.is_empty() {
            return Err(format!(
                "lookup at target {target} by {asked:?} finds {found:#?}, and should find {expected:#?}"
            ));
        }
        Ok(())
    }

    /// Values to be asked for: those of the subject, or others.
    fn asked(&self, target: usize, subject: &str, chance: &mut Chance) -> Cells {
        let held = self.memory[target].get(subject);
        let mut asked = Cells::new();
        for field in Field::VALUES {
            if !chance.percent(40) {
                continue;
            }
            let known = held.and_then(|entry| match entry.fields.get(&field)? {
                (State::Known(value), _) => Some(value.clone()),
                (State::Unknown, _) => None,
            });
            let others: Vec<&String> = self
                .names
                .values
                .iter()
                .filter(|(of, value)| *of == field && value != fillers::CLASS)
                .map(|(_, value)| value)
                .collect();
            let value = match known {
                Some(value) if chance.percent(70) => value,
                Some(_) | None if others.is_empty() => continue,
                Some(_) | None => (*chance.pick(&others)).clone(),
            };
            // What is cleared cannot be given.
            if !value.is_empty() {
                asked.insert(field, value);
            }
        }
        asked
    }

    /// What must be told of a subject.
    fn shown(&self, target: usize, entry: &Entry, asked: &[(Field, String)]) -> Value {
        let by = |version: Version| {
            let of =
                |(run, at): (&String, &(usize, u64))| (*at == (target, version.batch)).then(|| run.clone());
            let runs: Vec<String> = self.runs.iter().filter_map(of).collect();
            json!({ "batch": version.batch, "row": version.ordinal, "runs": runs })
        };
        let mut fields = serde_json::Map::new();
        for (field, (state, version)) in &entry.fields {
            let name = match state {
                State::Known(value) if value.is_empty() => "cleared",
                State::Known(_) => "acknowledged",
                State::Unknown => "unknown",
            };
            let given = asked.iter().find(|(of, _)| of == field).map(|(_, given)| given);
            let equals = match (state, given) {
                (State::Known(value), Some(given)) => Some(value == given),
                (State::Known(_) | State::Unknown, _) => None,
            };
            let line = json!({ "state": name, "by": by(*version), "equals_given": equals });
            fields.insert(field.kind().name().to_owned(), line);
        }
        let doubts: Vec<Value> = entry.doubts.iter().map(|doubt| by(doubt.version)).collect();
        let failures: Vec<Value> = entry
            .standing_refusals()
            .map(|refusal| json!({ "by": by(refusal.version), "kind": refusal.how.name() }))
            .collect();
        json!({
            "acknowledged_by": entry.acked.map(by),
            "fields": fields,
            "in_doubt": doubts,
            "failures": failures,
        })
    }
}

/// What was told of a subject, without what the model does not know.
fn comparable(subject: &Value) -> Value {
    let list = |name: &str| subject[name].as_array().cloned().unwrap_or_default();
    let fields: serde_json::Map<String, Value> = list("fields")
        .into_iter()
        .filter(|line| line["state"] != "never sent")
        .map(|line| {
            let told =
                json!({ "state": line["state"], "by": line["by"], "equals_given": line["equals_given"] });
            (line["field"].as_str().unwrap_or_default().to_owned(), told)
        })
        .collect();
    let doubts: Vec<Value> = list("in_doubt").iter().map(|doubt| doubt["by"].clone()).collect();
    let failures: Vec<Value> = list("failures")
        .iter()
        .map(|failure| json!({ "by": failure["by"], "kind": failure["kind"] }))
        .collect();
    json!({
        "acknowledged_by": subject["acknowledged_by"],
        "fields": fields,
        "in_doubt": doubts,
        "failures": failures,
    })
}
