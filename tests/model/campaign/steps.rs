//! The runs of a sequence, drawn by chance: which export, which options, which faults, and how the run ends.
//!
//! Not here: what else may happen (`deeds.rs`), doing it (`world.rs`).

use simsync::sandbox::{Faults, Shares, Uniqueness};

use super::chance::Chance;
use super::rows::{Cells, Field, POISON, RANK_COLUMN, REMEDY, Row, is_ranked, key};
use super::rulings::Duplicates;

/// Subjects there are.
const SUBJECTS: u64 = 6;

/// Rows of a new export, at most.
const ROWS_MAX: u64 = 18;

/// Share of the new exports with a column that says which of a subject's rows is newer.
const RANKED_PERCENT: u64 = 20;

/// Ages that it says.
const RANKS: u64 = 7;

/// Share of the options with `--send changed`.
const CHANGED_PERCENT: u64 = 30;

/// Targets there are.
pub(crate) const TARGETS: usize = 2;

/// Longest time from its start at which an adoption is killed.
const ADOPT_US_MAX: u64 = 60_000;

/// Options that stay in force until another step draws them anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) duplicates: Duplicates,
    pub(crate) is_full: bool,
    pub(crate) sends_conflicts: bool,
    pub(crate) holds_doubts: bool,
    /// `--send changed`.
    pub(crate) sends_changed: bool,
    /// `--break-cycles clear`.
    pub(crate) breaks_cycles: bool,
    pub(crate) target: usize,
}

impl Default for Options {
    fn default() -> Options {
        let duplicates = Duplicates::Fold;
        let (is_full, sends_conflicts, holds_doubts) = (false, false, false);
        let (sends_changed, breaks_cycles, target) = (false, false, 0);
        Options { duplicates, is_full, sends_conflicts, holds_doubts, sends_changed, breaks_cycles, target }
    }
}

/// When a run ends before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    Never,
    /// SIGKILL, so many microseconds after so many requests.
    KillAfter(u64, u64),
    /// SIGKILL, so many microseconds after the start.
    KillAt(u64),
    /// SIGTERM after so many requests.
    TermAfter(u64),
    /// `--max-rows`.
    Rows(u64),
}

/// Which input the step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    New,
    Same,
    Renamed,
    Reordered,
    Edited,
    Grown,
    /// Subjects take what others are known to hold.
    Swapped,
    Shrunk,
    /// An earlier one again.
    Older,
    /// A row file of an earlier run, corrected or not.
    FedBack {
        is_corrected: bool,
    },
}

/// What is made of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// `sync`.
    Sync,
    /// `sync --plan`.
    Planned,
    /// `replay`.
    Replay,
    /// `journal adopt`.
    Adopt,
}

/// One run of the binary, and everything that is decided about it.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) command: Command,
    pub(crate) source: Source,
    pub(crate) options: Options,
    pub(crate) retries_failed: bool,
    pub(crate) makes_newest: bool,
    pub(crate) stop: Stop,
    pub(crate) faults: Faults,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Step { command, source, stop, faults, .. } = self;
        let args = self.args().join(" ");
        write!(f, "{command:?} {source:?} target {} {args} {stop:?};", self.options.target)?;
        // Of all the faults there are few are drawn.
        let Faults { refused_values, uniqueness, shares, .. } = faults;
        write!(f, " refused {refused_values:?}, {uniqueness:?}")?;
        if *shares == Shares::default() { Ok(()) } else { write!(f, ", {shares:?}") }
    }
}

impl Step {
    /// Draws a step. Some of what was in force before stays, and a run that was interrupted is mostly resumed: by the
    /// very same command, or with the file renamed, re-ordered or edited meanwhile.
    pub(crate) fn draw(chance: &mut Chance, before: Options, is_resume: bool) -> Step {
        let is_resume = is_resume && chance.percent(70);
        let source = match chance.below(100) {
            _ if is_resume && chance.percent(65) => Source::Same,
            0..12 => Source::New,
            12..19 => Source::Swapped,
            19..47 => Source::Same,
            47..50 => Source::Renamed,
            50..58 => Source::Reordered,
            58..71 => Source::Edited,
            71..76 => Source::Grown,
            76..81 => Source::Shrunk,
            81..89 => Source::Older,
            _ => Source::FedBack { is_corrected: chance.percent(50) },
        };
        let stop = match chance.below(100) {
            0..28 => Stop::KillAfter(chance.below(6), chance.below(5_000)),
            28..32 => Stop::KillAt(chance.below(120_000)),
            32..40 => Stop::TermAfter(chance.below(6)),
            40..47 => Stop::Rows(1 + chance.below(6)),
            _ => Stop::Never,
        };
        let options = if !is_resume && chance.percent(30) { options(chance) } else { before };
        let mut faults = faults(chance);
        if source == Source::Swapped && chance.percent(70) {
            faults.uniqueness = *chance.pick(&[Uniqueness::Refuse409, Uniqueness::Refuse422]);
        }
        // What was refused is of interest to a resume alone.
        let retries_failed = chance.percent(if is_resume { 35 } else { 10 });
        let makes_newest = chance.percent(6);
        Step { command: Command::Sync, source, options, retries_failed, makes_newest, stop, faults }
    }

    /// The same as another command. What is adopted goes nowhere, so that nothing but time can end it.
    pub(crate) fn by(self, command: Command) -> Step {
        let stop = match (self.stop, command) {
            (Stop::KillAfter(_, delay_us) | Stop::KillAt(delay_us), Command::Adopt) => {
                Stop::KillAt(delay_us * 12 % ADOPT_US_MAX)
            }
            (Stop::Never | Stop::TermAfter(_) | Stop::Rows(_), Command::Adopt) => Stop::Never,
            // What a run has left are a few rows.
            (Stop::KillAfter(requests, delay_us), Command::Replay) => {
                Stop::KillAfter(requests % 3, delay_us / 4)
            }
            (Stop::TermAfter(requests), Command::Replay) => Stop::TermAfter(requests % 2),
            (Stop::Rows(rows), Command::Replay) => Stop::Rows(1 + rows % 2),
            (stop, Command::Sync | Command::Planned | Command::Replay) => stop,
        };
        Step { command, stop, ..self }
    }

    /// The same export with the same options, undisturbed.
    pub(crate) fn same(options: Options, chance: &mut Chance) -> Step {
        Step { options, faults: faults(chance), ..Step::settling(options) }
    }

    /// The same export on a server that is well, undisturbed.
    pub(crate) fn settling(options: Options) -> Step {
        let options =
            Options { duplicates: Duplicates::Fold, is_full: false, holds_doubts: false, ..options };
        let (source, stop, faults) = (Source::Same, Stop::Never, Faults::default());
        let command = Command::Sync;
        Step { command, source, options, retries_failed: true, makes_newest: false, stop, faults }
    }

    /// Whether a column of these rows decides which of a subject's is newer. It does not go together with `each`; a
    /// replay is told nothing, for its rows have their versions.
    pub(crate) fn is_ordered(&self, rows: &[Row]) -> bool {
        let is_each = self.options.duplicates == Duplicates::Each;
        is_ranked(rows) && !is_each && self.command != Command::Replay
    }

    /// The option for that.
    pub(crate) fn order_args(&self, rows: &[Row]) -> Vec<String> {
        let words: &[&str] = if self.is_ordered(rows) { &["--order-by", RANK_COLUMN] } else { &[] };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// The options, as they are given.
    pub(crate) fn args(&self) -> Vec<String> {
        let Options {
            duplicates, is_full, sends_conflicts, holds_doubts, sends_changed, breaks_cycles, ..
        } = self.options;
        let mut args = vec!["--duplicates".to_owned(), duplicates.name().to_owned()];
        let mut switch = |is_on: bool, words: &[&str]| {
            if is_on {
                args.extend(words.iter().map(|word| (*word).to_owned()));
            }
        };
        switch(is_full, &["--full"]);
        switch(sends_conflicts, &["--conflicts", "send"]);
        switch(holds_doubts, &["--in-doubt", "hold"]);
        switch(sends_changed, &["--send", "changed"]);
        switch(breaks_cycles, &["--break-cycles", "clear"]);
        switch(self.retries_failed, &["--retry-failed"]);
        switch(self.makes_newest, &["--new-batch"]);
        if let Stop::Rows(rows) = self.stop {
            args.extend(["--max-rows".to_owned(), rows.to_string()]);
        }
        args
    }
}

pub(crate) fn options(chance: &mut Chance) -> Options {
    let duplicates = match chance.below(100) {
        0..45 => Duplicates::Fold,
        45..75 => Duplicates::Each,
        75..85 => Duplicates::Last,
        85..93 => Duplicates::First,
        _ => Duplicates::Reject,
    };
    Options {
        duplicates,
        is_full: chance.percent(20),
        sends_conflicts: chance.percent(30),
        holds_doubts: chance.percent(25),
        sends_changed: chance.percent(CHANGED_PERCENT),
        breaks_cycles: chance.percent(35),
        target: usize::from(chance.percent(20)),
    }
}

fn faults(chance: &mut Chance) -> Faults {
    let mut faults = Faults { seed: chance.below(1_000_000), ..Faults::default() };
    faults.latency_ms = chance.below(6);
    faults.latency_jitter_ms = chance.below(6);
    if chance.percent(70) {
        faults.refused_values = [POISON.to_owned()].into();
        if chance.percent(25) {
            faults.refused_values.insert(REMEDY.to_owned());
        }
    }
    if chance.percent(15) {
        faults.uniqueness = *chance.pick(&[Uniqueness::Refuse409, Uniqueness::Refuse422]);
    }
    if chance.percent(25) {
        let mut share = || f64::from(u32::try_from(chance.below(12)).unwrap()) / 100.0;
        faults.shares = Shares {
            error_500_before: share(),
            error_500_after: share(),
            reset_before: share(),
            reset_after: share(),
            wrong_echo: share() / 2.0,
            ..Shares::default()
        };
    }
    faults
}

/// A value that a subject may have.
fn value(field: Field, serial: u64, chance: &mut Chance) -> String {
    // Mostly its own, of which it has two; now and then what others have, too.
    let whose = if chance.percent(8) { chance.below(SUBJECTS) } else { serial };
    let nth = chance.below(2);
    match field {
        Field::Number | Field::Imsi => own_value(field, whose, nth),
        Field::Login => format!("{}{serial:02}", ["ann", "bob"][usize::try_from(nth).unwrap()]),
        Field::Class => (*chance.pick(&["basic", "silver", "gold", "pro", "max", POISON, POISON])).to_owned(),
        Field::Key => key(serial),
    }
}

/// Two rows that give each other's value to their subjects, perhaps a ring of three.
pub(crate) fn swap(rows: &mut Vec<Row>, chance: &mut Chance) {
    let field = *chance.pick(&Field::UNIQUE);
    let first = chance.below(SUBJECTS);
    let ring = 2 + chance.below(2);
    let serials: Vec<u64> = (0..ring).map(|nth| (first + nth) % SUBJECTS).collect();
    let nth = chance.below(2);
    // A chain is a ring that lacks a link.
    let is_chain = chance.percent(40);
    for (at, serial) in serials.iter().enumerate().skip(usize::from(is_chain)) {
        let other = serials[(at + 1) % serials.len()];
        let value = own_value(field, other, nth);
        rows.push(Row {
            subject: key(*serial),
            cells: [(field, value)].into(),
            is_broken: false,
            rank: None,
            origin: None,
        });
    }
}

/// Rows by which subjects take what the next of them holds, the last one what the first does; now and then a chain.
pub(crate) fn swapped(held: &[(String, String)], field: Field, chance: &mut Chance) -> Vec<Row> {
    let mut holders = held.to_vec();
    chance.shuffle(&mut holders);
    holders.truncate(2 + chance.index(3));
    let takers = holders.len() - usize::from(chance.percent(25));
    let mut rows = Vec::new();
    for at in 0..takers {
        let taken = holders[(at + 1) % holders.len()].1.clone();
        let mut row = row(chance);
        (row.subject, row.is_broken) = (holders[at].0.clone(), false);
        // Of the others that are unique to a subject nothing is said, lest it be two conflicts.
        Field::UNIQUE.iter().chain(&[Field::Login]).for_each(|field| {
            row.cells.remove(field);
        });
        row.cells.insert(field, taken);
        rows.push(row);
    }
    chance.shuffle(&mut rows);
    rows
}

/// A value of its own that a subject may have.
fn own_value(field: Field, serial: u64, nth: u64) -> String {
    match field {
        Field::Number => format!("+44791000{nth}0{serial:02}"),
        Field::Imsi => format!("23415000000{nth}0{serial:02}"),
        Field::Login | Field::Class | Field::Key => key(serial),
    }
}

/// A subject by chance.
pub(crate) fn subject(chance: &mut Chance) -> String {
    key(chance.below(SUBJECTS))
}

/// A row by chance.
pub(crate) fn row(chance: &mut Chance) -> Row {
    let serial = chance.below(SUBJECTS);
    let mut cells = Cells::new();
    for field in Field::VALUES {
        if field.is_clearable() && chance.percent(6) {
            cells.insert(field, String::new());
        } else if chance.percent(55) {
            cells.insert(field, value(field, serial, chance));
        }
    }
    Row { subject: key(serial), cells, is_broken: chance.percent(6), rank: None, origin: None }
}

/// An export by chance.
pub(crate) fn export(chance: &mut Chance) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for _ in 0..=chance.below(ROWS_MAX) {
        let again = (chance.percent(10) && !rows.is_empty()).then(|| rows[rows.len() - 1].clone());
        rows.push(again.unwrap_or_else(|| row(chance)));
    }
    if chance.percent(12) {
        swap(&mut rows, chance);
    }
    if chance.percent(RANKED_PERCENT) {
        rows.iter_mut().for_each(|row| row.rank = rank(chance));
    }
    rows
}

/// Changes a cell or two. The subjects stay.
pub(crate) fn edit(rows: &mut [Row], chance: &mut Chance) {
    for _ in 0..=chance.below(5) {
        if rows.is_empty() {
            return;
        }
        let at = chance.index(rows.len());
        let row = &mut rows[at];
        let serial = row.subject[2..].parse().unwrap();
        let field = *chance.pick(&Field::VALUES);
        row.cells.insert(field, value(field, serial, chance));
        if row.rank.is_some() && chance.percent(30) {
            row.rank = rank(chance);
        }
    }
}

/// What a row says of its age, if it says anything; others say the same now and then.
fn rank(chance: &mut Chance) -> Option<u64> {
    Some(chance.below(RANKS + 1)).filter(|rank| *rank < RANKS)
}

/// Corrects what was wrong with rows fed back; sometimes of a part of them, which are all that is fed back then.
pub(crate) fn correct(rows: &mut Vec<Row>, chance: &mut Chance) {
    if rows.len() > 1 && chance.percent(25) {
        rows.swap_remove(chance.index(rows.len()));
    }
    for row in rows {
        row.is_broken = false;
        if row.cells.get(&Field::Class).is_some_and(|class| class == POISON) {
            row.cells.insert(Field::Class, (*chance.pick(&[REMEDY, REMEDY, "gold"])).to_owned());
        }
    }
}
