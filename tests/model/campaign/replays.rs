//! Replays: which rows of which run, and what must come of asking for them.
//!
//! Not here: what becomes of the rows, which is as for any run (`after.rs`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use simsync::api::Endpoint;

use super::checks::kind_of;
use super::deeds::{Choice, Whose};
use super::laws::Flaw;
use super::rows::{Listed, parse_row_file};
use super::steps::{Command, Step};
use super::world::{Expected, Input, World};

/// Row files that can be replayed, in the order in which they are read, with what they hold.
const FILES: [(&str, &[&str]); 4] = [
    ("rejected.csv", &["rejected"]),
    ("failed.csv", FAILED),
    ("in_doubt.csv", &["in-doubt", "held"]),
    ("conflicts.csv", &["conflict"]),
];

/// What a complaint of the server is about.
const FAILED: &[&str] = &["refused", "exhausted", "echo-mismatch", "deferred"];

/// What is replayed unless kinds are named.
const KINDS: &[&str] = &["refused", "exhausted", "echo-mismatch", "deferred", "in-doubt", "held"];

/// Which rows are taken.
struct Taken {
    kinds: Vec<String>,
    signature: Option<String>,
    /// Whether a choice was made at all.
    is_choice: bool,
}

impl Taken {
    fn has(&self, listed: &Listed) -> bool {
        // Of a file that is read whole, nothing is chosen.
        let is_kind = !self.is_choice || self.kinds.iter().any(|kind| kind == kind_of(&listed.reason));
        is_kind && self.signature.as_ref().is_none_or(|signature| *signature == listed.signature)
    }
}

impl World {
    /// Whether a run has left something that a replay takes.
    pub(crate) fn has_left_something(&self) -> bool {
        self.runs_with_any(KINDS).next().is_some()
    }

    /// Runs with row files in which rows of these kinds may stand, oldest first.
    fn runs_with_any(&self, wanted: &[&str]) -> impl Iterator<Item = String> {
        let is_wanted = |kinds: &[&str]| kinds.iter().any(|kind| wanted.contains(kind));
        let files: Vec<&str> =
            FILES.iter().filter(|(_, kinds)| is_wanted(kinds)).map(|(name, _)| *name).collect();
        let has_rows = move |run: &String| files.iter().any(|name| self.run_dir(run).join(name).is_file());
        self.run_ids().into_iter().filter(has_rows)
    }

    /// Replays a run.
    pub(crate) fn replay(
        &mut self,
        step: &Step,
        whose: Whose,
        choice: &Choice,
        is_astray: bool,
        log: &mut Vec<String>,
    ) -> Result<(), String> {
        let mut step = step.clone().by(Command::Replay);
        let (args, is_again) = match (whose, &self.replayed) {
            (Whose::Again, Some((args, options))) => {
                step.options = *options;
                (args.clone(), true)
            }
            (Whose::Latest | Whose::Earlier(_) | Whose::Again, _) => (self.replay_args(whose, choice), false),
        };
        let newest = self.run_ids().pop_last();
        let run = Some(&args[0]).filter(|run| *run != "latest").or(newest.as_ref());
        // Mostly at the run's own target.
        if let Some((target, _)) = run.and_then(|run| self.runs.get(run)).filter(|_| !is_astray && !is_again)
        {
            step.options.target = *target;
        }
        let (input, expected) = self.replay_input(&step, args)?;
        self.tally.count(if expected == Expected::Works { "replay" } else { "replay of nothing" });
        if expected != Expected::Works {
            // There is no request to wait for.
            let step = Step { stop: super::steps::Stop::Never, ..step };
            return self.run(&step, input, expected, log).map(drop);
        }
        if input.args.len() > 1 {
            self.tally.count(if input.args[1] == "--kind" { "replay --kind" } else { "replay --signature" });
        }
        self.run(&step, input, expected, log).map(drop)
    }

    /// The arguments: the run, and what is chosen of it.
    fn replay_args(&self, whose: Whose, choice: &Choice) -> Vec<String> {
        let mut runs: Vec<String> = self.run_ids().into_iter().collect();
        if whose != Whose::Latest {
            // Of most runs nothing is left.
            runs = match choice {
                Choice::All | Choice::Signature(_) => self.runs_with_any(KINDS).collect(),
                Choice::Kinds(kinds) => self.runs_with_any(kinds).collect(),
            };
        }
        let at = match whose {
            Whose::Latest | Whose::Again => runs.last(),
            Whose::Earlier(back) => runs.iter().rev().nth(usize::try_from(back).unwrap()).or(runs.first()),
        };
        let run = at.cloned().unwrap_or_default();
        let mut args =
            vec![if at.is_none() || whose == Whose::Latest { "latest".into() } else { run.clone() }];
        match choice {
            Choice::All => {}
            Choice::Kinds(kinds) => {
                args.extend(kinds.iter().flat_map(|kind| ["--kind".to_owned(), (*kind).to_owned()]));
            }
            Choice::Signature(nth) => {
                let listed = listed(&self.run_dir(&run).join("failed.csv")).unwrap_or_default();
                let texts: BTreeSet<String> =
                    listed.into_iter().map(|row| row.signature).filter(|text| !text.is_empty()).collect();
                let at = usize::try_from(*nth).unwrap() % texts.len().max(1);
                args.extend(
                    texts
                        .into_iter()
                        .nth(at)
                        .map(|text| ["--signature".to_owned(), text])
                        .into_iter()
                        .flatten(),
                );
            }
        }
        args
    }

    fn run_dir(&self, run: &str) -> std::path::PathBuf {
        self.dir.path().join("simsync-state/runs").join(run)
    }

    /// The rows that a replay reads, and what must become of it.
    fn replay_input(&self, step: &Step, args: Vec<String>) -> Result<(Input, Expected), String> {
        let nothing = |args: Vec<String>, code| {
            let input = Input {
                args,
                content: String::new(),
                rows: Vec::new(),
                filtered: BTreeSet::new(),
                files: Vec::new(),
            };
            (input, Expected::Ends(code))
        };
        let newest = self.run_ids().last().cloned();
        let run = if args[0] == "latest" { newest } else { Some(args[0].clone()) };
        let Some(summary) =
            run.as_ref().and_then(|run| fs::read_to_string(self.run_dir(run).join("summary.json")).ok())
        else {
            // There is none, or it was killed before its end.
            return Ok(nothing(args, 2));
        };
        let summary: Value = serde_json::from_str(&summary).map_err(|error| error.to_string())?;
        let url = self.sandboxes[step.options.target].url();
        let target = Endpoint::parse(&url, false).map_err(|error| error.to_string())?.target();
        if summary["target"] != target.as_str() {
            return Ok(nothing(args, 2));
        }
        let taken = taken(&args);
        let (mut content, mut rows, mut filtered, mut files) =
            (String::new(), Vec::new(), BTreeSet::new(), Vec::new());
        let mut kept = 0;
        for (name, kinds) in FILES {
            let path = self.run_dir(&run.clone().unwrap_or_default()).join(name);
            if !kinds.iter().any(|kind| taken.kinds.iter().any(|wanted| wanted == kind)) || !path.is_file() {
                continue;
            }
            content += &fs::read_to_string(&path).map_err(|error| error.to_string())?;
            content.push('\u{1}');
            let before = u64::try_from(rows.len()).unwrap();
            // The binary runs in the directory, and is told of no other.
            files.push((format!("./simsync-state/runs/{}/{name}", run.clone().unwrap_or_default()), before));
            for listed in listed(&path)? {
                let ordinal = u64::try_from(rows.len()).unwrap() + 1;
                if taken.has(&listed) || self.climate.laws.has(Flaw::ReplayTakesAll) {
                    kept += 1;
                } else {
                    filtered.insert(ordinal);
                }
                rows.push(listed.row);
            }
        }
        if files.is_empty() || kept == 0 && taken.is_choice {
            return Ok(nothing(args, 0));
        }
        if taken.is_choice {
            content += &format!("{:?} {:?}", BTreeSet::from_iter(&taken.kinds), taken.signature);
        }
        Ok((Input { args, content, rows, filtered, files }, Expected::Works))
    }
}

fn taken(args: &[String]) -> Taken {
    let (mut kinds, mut signature) = (Vec::new(), None);
    for pair in args[1..].chunks_exact(2) {
        match pair[0].as_str() {
            "--kind" => kinds.push(pair[1].clone()),
            _ => signature = Some(pair[1].clone()),
        }
    }
    let is_choice = !kinds.is_empty() || signature.is_some();
    if kinds.is_empty() {
        let all = if signature.is_some() { FAILED } else { KINDS };
        kinds = all.iter().map(|kind| (*kind).to_owned()).collect();
    }
    Taken { kinds, signature, is_choice }
}

fn listed(path: &Path) -> Result<Vec<Listed>, String> {
    parse_row_file(&fs::read_to_string(path).map_err(|error| error.to_string())?)
}
