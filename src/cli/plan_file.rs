//! Saved plans: what `plan -o FILE` writes, and whether it still holds when `sync --plan FILE` wants to carry it out.
//!
//! A plan is no list of requests: it says what it was made of, so that the survey, which has to read the inputs anyway,
//! can be held against it. No identifier is in it, nor a hash of one alone. Not here: when it is asked (`planned.rs`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fatal::Fatal;
use crate::digest::BatchId;
use crate::exit::Exit;
use crate::journal::LedgerMoves;
use crate::report::{self, shell_quote};

#[cfg(test)]
mod tests;

/// What a saved plan says it is.
const KIND: &str = "simsync-plan";

/// Version of its shape. Members are only added; a change of meaning counts it up.
const VERSION: u32 = 1;

/// Bytes of a saved plan at most: it does not grow with the input.
const PLAN_BYTES_MAX: u64 = 1 << 20;

/// A saved plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SavedPlan {
    /// [`KIND`].
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// [`VERSION`] of the writer.
    pub(super) version: u32,
    /// Version of the program.
    pub(super) tool_version: String,
    /// When it was made, RFC 3339.
    pub(super) made_at: String,
    /// The inputs, as they were given.
    pub(super) inputs: Vec<String>,
    /// What it was made of.
    pub(super) basis: Basis,
    /// Hash of the disposition of every row, and of what is left out of it.
    pub(super) rulings: String,
    /// Rows by disposition, for the eye.
    pub(super) rows: report::PlanCounts,
    /// Gates that tripped; they trip again.
    pub(super) gates: Vec<String>,
}

/// Everything a plan rests on. Where one of these moved, it is another plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Basis {
    /// The target, as the journal names it.
    pub(super) target: String,
    /// The key field.
    pub(super) key: String,
    /// Identity of the batch.
    pub(super) batch: String,
    /// Hash over the bytes of all inputs.
    pub(super) content: String,
    /// Settings that shape updates or rulings, by name, in words.
    pub(super) settings: BTreeMap<String, String>,
    /// Settings that may hold anything, hashed together with the inputs' bytes.
    pub(super) hashed: BTreeMap<String, String>,
    /// Identity of the journal; `None` where there was none yet.
    pub(super) journal: Option<String>,
    /// How far the ledger had moved.
    pub(super) moves: Moves,
    /// Sequence of the open batch that it goes on with although a new one is asked for (`--new-batch`): that one has
    /// begun to deliver, and is the newest. `None` otherwise, and in plans of older programs.
    pub(super) goes_on_with: Option<u64>,
    /// The sequence that the new one would have had otherwise.
    pub(super) begins: Option<u64>,
}

/// [`LedgerMoves`] of the basis, without whose they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Moves {
    /// By `adopt` and `forget`.
    pub(super) aside: u64,
    /// By batches.
    pub(super) batches: u64,
    /// Runs that delivered.
    pub(super) deliveries: u64,
}

impl From<LedgerMoves> for Moves {
    fn from(moves: LedgerMoves) -> Moves {
        let LedgerMoves { aside, batches, deliveries, last: _ } = moves;
        Moves { aside, batches, deliveries }
    }
}

/// How things are now, as far as a saved plan asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Now {
    /// What a plan made now would rest on.
    pub(super) basis: Basis,
    /// The last batch that delivered, and its sequence.
    pub(super) last: Option<(BatchId, u64)>,
    /// Sequence of this batch, if it is open and not begun anew unasked.
    pub(super) open: Option<u64>,
}

/// Whether a saved plan still stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing was sent since: every row must be ruled on as it was.
    Untouched,
    /// Its own batch has begun: the rest follows.
    Begun,
    /// These moved, each in a few words.
    Moved(Vec<String>),
    /// Its own batch, of this sequence, was sent and closed.
    Done(u64),
}

impl Basis {
    /// How a plan that rests on this stands to how things are now.
    pub(super) fn standing(&self, now: &Now) -> Standing {
        let Now { basis, last, open } = now;
        let mut moved = Vec::new();
        if self.content != basis.content {
            moved.push("the inputs' bytes".to_owned());
        }
        let mut differs = |what: &str, then: &str, now: &str| {
            if then != now {
                moved.push(format!("{what} ({then} then, {now} now)"));
            }
        };
        differs("the target", &self.target, &basis.target);
        differs("the key field", &self.key, &basis.key);
        for (name, then, now) in pairs(&self.settings, &basis.settings) {
            differs(name, then.unwrap_or("unset"), now.unwrap_or("unset"));
        }
        if self.content == basis.content {
            // Hashed together with the bytes, they can only be compared where those are the same.
            let hashed = pairs(&self.hashed, &basis.hashed);
            moved.extend(hashed.filter(|(_, then, now)| then != now).map(|(name, ..)| name.to_owned()));
        }
        // Of another target, neither ledger nor batches say anything.
        let is_target = self.target == basis.target;
        // A plan may be made before there is a journal.
        if is_target && self.journal.is_some() && self.journal != basis.journal {
            moved.push("the journal (it is another one)".to_owned());
        } else if is_target && self.moves.aside != basis.moves.aside {
            moved.push("the ledger (changed by adopt or forget)".to_owned());
        } else if is_target && self.moves.deliveries != basis.moves.deliveries {
            let own = last.filter(|(id, _)| id.to_string() == self.batch);
            let others = basis.moves.batches.saturating_sub(self.moves.batches);
            // What was begun before is not what was planned, where a new batch was asked for.
            let is_planned = |seq: u64| self.goes_on_with.or(self.begins).is_none_or(|from| from <= seq);
            match own {
                Some((_, seq)) if others <= 1 && moved.is_empty() && is_planned(seq) => {
                    return if *open == Some(seq) { Standing::Begun } else { Standing::Done(seq) };
                }
                Some((_, seq)) if others <= 1 && !is_planned(seq) => {
                    moved.push(
                        "the ledger (the batch was gone on with, and a new one was planned)".to_owned(),
                    );
                }
                Some(_) if others <= 1 => {}
                Some(_) | None => moved.push("the ledger (another batch was sent since)".to_owned()),
            }
        }
        if moved.is_empty() && self.batch != basis.batch {
            moved.push("a setting that shapes updates".to_owned());
        }
        let goes_on_with = self.goes_on_with.filter(|_| self.goes_on_with != basis.goes_on_with);
        if let Some(seq) = goes_on_with.filter(|_| moved.is_empty()) {
            // It would begin anew: what is held, or was acknowledged under `each` and `--full`, would be sent.
            let why = "a new one by --new-batch now: another was begun since";
            moved.push(format!("the batch ({seq} then, {why})"));
        }
        if moved.is_empty() { Standing::Untouched } else { Standing::Moved(moved) }
    }
}

/// The values of two tables side by side, by name.
fn pairs<'a>(
    then: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, Option<&'a str>, Option<&'a str>)> {
    let mut names: Vec<&str> = then.keys().chain(now.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| (name, then.get(name).map(String::as_str), now.get(name).map(String::as_str)))
}

impl SavedPlan {
    /// A plan of the shape this program writes.
    pub(super) fn new(made_at: String) -> SavedPlan {
        SavedPlan {
            kind: KIND.to_owned(),
            version: VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at,
            ..SavedPlan::default()
        }
    }

    /// Reads a saved plan.
    pub(super) fn read(path: &Path) -> Result<SavedPlan, Fatal> {
        let unusable = |why: String| {
            Fatal::new(
                Exit::Input,
                format!("cannot use the plan {}: {why}", path.display()),
                "name a file that `simsync plan -o FILE` wrote; or plan again",
            )
        };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        file.take(PLAN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unusable(error.to_string()))?;
        // What a parser says of a file that is none of ours may quote it.
        let plan: SavedPlan =
            serde_json::from_slice(&bytes).map_err(|_| unusable("it is no saved plan".into()))?;
        if plan.kind != KIND {
            return Err(unusable("it is no saved plan".into()));
        }
        if plan.version != VERSION {
            let version = plan.version;
            return Err(unusable(format!("it has version {version}, this program knows version {VERSION}")));
        }
        Ok(plan)
    }

    /// Writes the plan, for its owner alone.
    pub(super) fn write(&self, path: &Path) -> Result<(), Fatal> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        report::write_private("the plan", path, &bytes).map_err(|error| {
            let mut fatal = Fatal::from(error);
            let hint =
                "name a file in a directory this user may write to, or free some space; nothing was sent";
            fatal.explanation.hint = Some(hint.into());
            fatal
        })
    }
}

/// Refuses to save a plan over anything but an older plan: `plan -o export.csv` is a slip of the hand.
pub(super) fn check_place(path: &Path) -> Result<(), Fatal> {
    let refuse =
        |why: &str, hint: &str| Err(Fatal::new(Exit::Usage, format!("-o {}: {why}", path.display()), hint));
    if path == Path::new("-") {
        return refuse("a plan is a private file", "name a file; --json prints the plan for programs");
    }
    if path.is_dir() {
        return refuse("it is a directory", "name a file in it");
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    if dir.is_some_and(|dir| !dir.is_dir()) {
        return refuse("its directory does not exist", "create the directory, or name a file elsewhere");
    }
    if path.exists() && SavedPlan::read(path).is_err() {
        return refuse(
            "there is a file that is no saved plan",
            "name another file; an older plan may be replaced",
        );
    }
    Ok(())
}

/// What a job is to do with its plan.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// Carry it out; the saved one, where one was given.
    Sync {
        /// Where it was read, and what it says.
        plan: Option<(PathBuf, Box<SavedPlan>)>,
    },
    /// Tell it, and save it where asked.
    Plan {
        /// Where to.
        save_as: Option<PathBuf>,
    },
}

impl Task {
    /// A sync without a saved plan.
    pub(super) const SYNC: Task = Task::Sync { plan: None };

    /// A sync, by a saved plan where one is named.
    pub(super) fn sync(plan: Option<&Path>) -> Result<Task, Fatal> {
        let read = |path: &Path| SavedPlan::read(path).map(|plan| (path.to_owned(), Box::new(plan)));
        Ok(Task::Sync { plan: plan.map(read).transpose()? })
    }

    /// A plan, saved where a file is named.
    pub(super) fn plan(save_as: Option<&Path>) -> Result<Task, Fatal> {
        save_as.map_or(Ok(()), check_place)?;
        Ok(Task::Plan { save_as: save_as.map(Path::to_owned) })
    }

    /// Whether nothing is sent.
    pub(super) fn is_plan(&self) -> bool {
        matches!(self, Task::Plan { .. })
    }

    /// The inputs: as given, or as the saved plan remembers them.
    pub(super) fn inputs(&self, given: &[String]) -> Vec<String> {
        match self {
            Task::Sync { plan: Some((_, plan)) } if given.is_empty() => plan.inputs.clone(),
            Task::Sync { .. } | Task::Plan { .. } => given.to_vec(),
        }
    }
}

/// Why a saved plan is not carried out, if it is not. Of one that was, `run` is the one that has done it, if it is known.
pub(super) fn refusal(path: &Path, standing: &Standing, run: Option<&str>) -> Option<Fatal> {
    let file = path.display();
    let message = match standing {
        Standing::Untouched | Standing::Begun => return None,
        Standing::Moved(what) => {
            format!("the plan {file} is refused, for this moved since it was made: {}", what.join("; "))
        }
        Standing::Done(_) => {
            let by = run.map_or_else(String::new, |run| format!(" by run {run}"));
            format!(
                "the plan {file} is refused: it was carried out already{by}, and its batch is closed; nothing was done now"
            )
        }
    };
    let again =
        format!("plan again: `simsync plan -o {} INPUT…`, look at it, and sync with it", shell_quote(path));
    let hint = match standing {
        Standing::Done(_) => {
            let look = run.map_or_else(
                || "`simsync runs` lists the run that did it".to_owned(),
                |run| format!("`simsync show {run}` tells what it did"),
            );
            format!("it is done: {look}; for what has come since, {again}")
        }
        Standing::Moved(_) | Standing::Untouched | Standing::Begun => {
            format!("give an option that moved as it was; or {again}")
        }
    };
    Some(Fatal::new(Exit::Stopped, message, hint))
}
