//! What may happen in a sequence: runs of exports, replays, adoptions, saved plans, forgetting, the journal's tools.
//!
//! Not here: what a run is told (`steps.rs`), doing it (`world.rs` and its neighbors).

use super::chance::Chance;
use super::steps::{self, Command, Options, Step};

/// Longest time from its start at which a tool is killed, in microseconds.
const TOOL_US_MAX: u64 = 60_000;

/// Whose row files are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// `latest`.
    Latest,
    /// That of so many runs before.
    Earlier(u64),
    /// The same as the last replay.
    Again,
}

/// Which of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    All,
    /// `--kind`.
    Kinds(Vec<&'static str>),
    /// `--signature`, the text of one of those there are.
    Signature(u64),
}

/// What moves between a plan and its run.
#[derive(Debug, Clone)]
pub(crate) enum Moved {
    Nothing,
    /// A row more.
    Input,
    /// An option.
    Setting(u64),
    /// Another run.
    Run(Box<Step>),
    /// A subject is forgotten.
    Forgotten(String),
}

/// A tool of the journal that changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Stats,
    Verify,
    /// Perhaps killed after so many microseconds.
    Compact(Option<u64>),
}

/// A thing that happens.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Run(Step),
    Replay(Step, Whose, Choice),
    Adopt(Step),
    Planned(Step, Moved),
    /// `journal forget` of a subject, perhaps with a value beside its key, perhaps killed.
    Forget {
        subject: String,
        has_value: bool,
        kill_us: Option<u64>,
    },
    /// `journal forget --before` the second in which the run of so many before began, or the next one.
    ForgetRuns {
        back: u64,
        kill_us: Option<u64>,
    },
    Tool(Tool),
    /// Until everything acknowledged has grown old.
    Wait,
}

/// Names of deeds, for the figures.
pub(crate) const NAMES: [&str; 21] = [
    "sync",
    "replay",
    "replay of nothing",
    "replay --kind",
    "replay --signature",
    "replay killed",
    "replay resumed",
    "adopt",
    "adopt killed",
    "plan, sync --plan",
    "plan moved",
    "plan resumed",
    "forget",
    "forget killed",
    "forget --before",
    "stats",
    "verify",
    "compact",
    "wait",
    "lookup by the key",
    "lookup by others",
];

impl Deed {
    /// Draws what happens next. What was interrupted is mostly gone on with.
    pub(crate) fn draw(chance: &mut Chance, before: Options, is_interrupted: bool, was_replay: bool) -> Deed {
        let step = Step::draw(chance, before, is_interrupted);
        if is_interrupted && chance.percent(65) {
            let is_again = was_replay && chance.percent(80);
            return if is_again { Deed::Replay(step, Whose::Again, Choice::All) } else { Deed::Run(step) };
        }
        match chance.below(100) {
            0..48 => Deed::Run(step),
            48..70 => {
                let whose = if chance.percent(30) { Whose::Latest } else { Whose::Earlier(chance.below(5)) };
                Deed::Replay(step, whose, choice(chance))
            }
            70..76 => Deed::Adopt(step.by(Command::Adopt)),
            76..86 => Deed::Planned(step, moved(chance, before)),
            86..91 => Deed::Forget {
                subject: steps::subject(chance),
                has_value: chance.percent(30),
                kill_us: kill_us(chance),
            },
            91..95 => Deed::ForgetRuns { back: chance.below(8), kill_us: kill_us(chance) },
            _ => Deed::Tool(match chance.below(3) {
                0 => Tool::Stats,
                1 => Tool::Verify,
                _ => Tool::Compact(kill_us(chance)),
            }),
        }
    }
}

impl Deed {
    /// A run of an export instead of a replay.
    pub(crate) fn into_run(self) -> Deed {
        match self {
            Deed::Replay(step, ..) => Deed::Run(step),
            Deed::Run(_)
            | Deed::Adopt(_)
            | Deed::Planned(..)
            | Deed::Forget { .. }
            | Deed::ForgetRuns { .. }
            | Deed::Tool(_)
            | Deed::Wait => self,
        }
    }

    /// The same without `--full`.
    pub(crate) fn without_full(mut self) -> Deed {
        match &mut self {
            Deed::Run(step) | Deed::Replay(step, ..) | Deed::Adopt(step) | Deed::Planned(step, _) => {
                step.options.is_full = false;
            }
            Deed::Forget { .. } | Deed::ForgetRuns { .. } | Deed::Tool(_) | Deed::Wait => {}
        }
        if let Deed::Planned(_, Moved::Run(other)) = &mut self {
            other.options.is_full = false;
        }
        self
    }
}

fn kill_us(chance: &mut Chance) -> Option<u64> {
    chance.percent(40).then(|| chance.below(TOOL_US_MAX))
}

fn choice(chance: &mut Chance) -> Choice {
    const KINDS: [&str; 9] = [
        "refused",
        "refused",
        "refused",
        "exhausted",
        "echo-mismatch",
        "in-doubt",
        "held",
        "conflict",
        "rejected",
    ];
    match chance.below(100) {
        0..45 => Choice::All,
        45..85 => Choice::Kinds((0..=chance.below(3)).map(|_| *chance.pick(&KINDS)).collect()),
        _ => Choice::Signature(chance.below(4)),
    }
}

fn moved(chance: &mut Chance, before: Options) -> Moved {
    match chance.below(100) {
        0..50 => Moved::Nothing,
        50..60 => Moved::Input,
        60..72 => Moved::Setting(chance.below(SETTINGS)),
        72..90 => {
            let step = Step::draw(chance, before, false);
            let is_adopted = chance.percent(20);
            Moved::Run(Box::new(if is_adopted { step.by(Command::Adopt) } else { step }))
        }
        _ => Moved::Forgotten(steps::subject(chance)),
    }
}

/// Settings that may move.
const SETTINGS: u64 = 7;

/// The step with another setting.
pub(crate) fn with_other(step: &Step, setting: u64) -> Step {
    let mut step = step.clone();
    let options = &mut step.options;
    match setting {
        0 => options.is_full = !options.is_full,
        1 => options.sends_conflicts = !options.sends_conflicts,
        2 => options.holds_doubts = !options.holds_doubts,
        3 => options.sends_changed = !options.sends_changed,
        4 => step.retries_failed = !step.retries_failed,
        5 => options.breaks_cycles = !options.breaks_cycles,
        _ => options.target = 1 - options.target,
    }
    step
}
