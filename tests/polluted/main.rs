//! A campaign of pollution in the manner of Pollock: a clean export, damaged in every way there is a name for, and what
//! simsync made of each file: `cargo test --test polluted -- --files 200 --rows 24 --seed 1 --binary 5`.
//!
//! `--files` bounds the files per pollution (a sample by the seed), `--rows` the rows that are polluted one by one,
//! `--turn` how many of the first columns come last, so that another one is the last of the file, and `--only TEXT`
//! names pollutions. Of each pollution `--binary` files go through the real `simsync check --output` as well, which
//! has to come to the same. A row that was accepted with another value than the clean export has, and no warning on
//! it, is *wrong*; a row of which nothing was said in a file that was not refused has *vanished*. Either ends the
//! campaign with exit 1, and so does a binary that disagrees.
#![expect(clippy::unwrap_used, reason = "here, a panic is the report")]

mod base;
mod files;
mod judge;
mod lines;
mod pollutions;
mod quotes;
mod reading;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use base::Base;
use judge::{Fault, Judgment, judge};
use pollutions::{Case, Chance, POLLUTIONS, Scene};

/// What a campaign is told.
struct Told {
    files: usize,
    rows: usize,
    seed: usize,
    turn: usize,
    binary: usize,
    only: Option<String>,
}

/// What became of the files of one pollution.
#[derive(Default)]
struct Figures {
    files: usize,
    refused: usize,
    rejected: usize,
    right: usize,
    partial: usize,
    warned: usize,
    wrong: usize,
    vanished: usize,
    by_binary: usize,
    /// Files of which the binary made something else.
    otherwise: usize,
    /// Of each fault in each field, the example with the fewest of them.
    examples: Vec<Example>,
}

/// A fault, told for people.
struct Example {
    fault: Fault,
    /// What the fault is in, without places and values.
    about: String,
    weight: usize,
    text: String,
}

fn main() -> ExitCode {
    let told = told();
    let mut chance = Chance(u64::try_from(told.seed).unwrap());
    let base = Base::new(told.turn);
    let scene = Scene::new(&base, told.rows, &mut chance);
    let dir = tempfile::tempdir().unwrap();
    let mut examples = Vec::new();
    let mut all = Figures::default();
    say(
        "| pollution | files | refused | rows rejected | rows right | partial | wrong, warned | SILENTLY WRONG | VANISHED |",
    );
    say("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for pollution in &POLLUTIONS {
        if told.only.as_ref().is_some_and(|only| !pollution.name.contains(only.as_str())) {
            continue;
        }
        let cases = sample((pollution.make)(&scene), told.files, &mut chance);
        let figures = run(&base, cases, dir.path(), told.binary);
        say(&figures.line(pollution.name));
        let told = figures.examples.iter().map(|example| format!("{}: {}", pollution.name, example.text));
        examples.extend(told);
        all.add(&figures);
    }
    say(&all.line("all"));
    say(&format!("files read by the binary as well: {}, otherwise: {}", all.by_binary, all.otherwise));
    examples.iter().for_each(|example| say(&format!("\n{example}")));
    ExitCode::from(u8::from(all.wrong + all.vanished + all.otherwise > 0))
}

fn told() -> Told {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|arg| arg == name).map(|at| args[at + 1].clone());
    let number = |name: &str, default: usize| value(name).map_or(default, |text| text.parse().unwrap());
    Told {
        files: number("--files", 200),
        rows: number("--rows", 24),
        seed: number("--seed", 1),
        turn: number("--turn", 0),
        binary: number("--binary", 0),
        only: value("--only"),
    }
}

/// At most so many of the cases, by chance, in their order.
fn sample(mut cases: Vec<Case>, files: usize, chance: &mut Chance) -> Vec<Case> {
    while cases.len() > files {
        let at = chance.below(cases.len());
        cases.swap_remove(at);
    }
    cases
}

fn run(base: &Base, cases: Vec<Case>, dir: &Path, binary: usize) -> Figures {
    let path = dir.join("polluted.csv");
    let mut figures = Figures::default();
    for (at, case) in cases.iter().enumerate() {
        std::fs::write(&path, &case.bytes).unwrap();
        let read = reading::in_process(&path);
        if at < binary {
            let by_binary = reading::by_binary(&path).unwrap();
            figures.by_binary += 1;
            if let Some(difference) = read.difference(&by_binary) {
                figures.otherwise += 1;
                say(&format!("by the binary otherwise: {}: {difference}", case.told));
            }
        }
        figures.count(case, judge(base, &case.bytes, &read));
    }
    figures
}

impl Figures {
    fn count(&mut self, case: &Case, judgment: Judgment) {
        self.files += 1;
        self.refused += usize::from(judgment.refused);
        self.rejected += judgment.rejected;
        self.right += judgment.right;
        self.partial += judgment.partial;
        self.warned += judgment.warned;
        self.wrong += judgment.wrong;
        self.vanished += judgment.vanished;
        let weight = judgment.wrong + judgment.vanished;
        for (fault, what) in judgment.faults {
            let text = format!("{}: {what}{}", case.told, excerpt(&case.bytes, &what));
            let about: String =
                what.split(" is ").next().unwrap().chars().filter(|c| !c.is_ascii_digit()).collect();
            let same = |known: &&mut Example| known.fault == fault && known.about == about;
            match self.examples.iter_mut().find(same) {
                Some(known) if known.weight <= weight => {}
                Some(known) => *known = Example { fault, about, weight, text },
                None => self.examples.push(Example { fault, about, weight, text }),
            }
        }
    }

    fn add(&mut self, other: &Figures) {
        self.files += other.files;
        self.refused += other.refused;
        self.rejected += other.rejected;
        self.right += other.right;
        self.partial += other.partial;
        self.warned += other.warned;
        self.wrong += other.wrong;
        self.vanished += other.vanished;
        self.by_binary += other.by_binary;
        self.otherwise += other.otherwise;
    }

    fn line(&self, name: &str) -> String {
        let Figures { files, refused, rejected, right, partial, warned, wrong, vanished, .. } = self;
        format!(
            "| {name} | {files} | {refused} | {rejected} | {right} | {partial} | {warned} | {wrong} | {vanished} |"
        )
    }
}

/// The line that a fault names, and its neighbors. The export is made up, so it may be shown.
fn excerpt(bytes: &[u8], what: &str) -> String {
    let number = what
        .split("line ")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let Some(line) = number.and_then(|number| number.parse::<usize>().ok()) else { return String::new() };
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<&str> = text.split('\n').collect();
    let near = line.saturating_sub(2)..(line + 2).min(lines.len());
    let shown = near.map(|at| format!("\n    {:>4}  {}", at + 1, lines[at].escape_debug()));
    shown.collect()
}

fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").unwrap();
}
