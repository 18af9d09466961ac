//! Flaws planted in the simulated caller, in what the scheduler is told, or in what it decides: each must be caught,
//! and the table says by which check.
//!
//! Not here: the checks.

use super::day::{Day, Sort, day_about};
use super::live;
use crate::delivery::outcome::{Outcome, Seen};

/// Days of its sort that are tried for a flaw, one of which must be complained about.
const DAYS_MAX: u64 = 24;

/// A flaw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    HidesSubjects,
    HidesFollowers,
    SwapsLanes,
    IgnoresPermits,
    SavesPermits,
    DeafToPushback,
    ShortensQuiets,
    DeafToQuota,
    RetriesRefusals,
    BlamesForbidden,
    KeepsOldToken,
    NeverOpens,
    SpendsOnRetries,
    ForgetsTheFile,
    NeverBrakes,
    NeverAdapts,
    BlamesRows,
    TakesChronicForPlain,
    SkipsGuard,
    RefusesConflicts,
    LosesVerdicts,
    GivesUpEarly,
    NeverReadsAhead,
    StretchesQuiets,
    AsksOnAndOn,
    RulesEveryPass,
    ForgetsTheStop,
    NeverAsks,
    RulesBeforeAsking,
    AsksTheSame,
    HidesLinks,
    SendsLinksAtOnce,
}

/// A flaw, what it is, the days that show it, and the complaint that catches it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planted {
    pub(crate) flaw: Flaw,
    pub(crate) about: &'static str,
    pub(crate) sort: Sort,
    pub(crate) check: &'static str,
}

const fn plant(flaw: Flaw, sort: Sort, check: &'static str, about: &'static str) -> Planted {
    Planted { flaw, about, sort, check }
}

/// All of them.
pub(crate) const PLANTED: [Planted; 33] = [
    plant(
        Flaw::HidesSubjects,
        Sort::Any,
        "on the wire",
        "two updates of a subject are not known to be of one",
    ),
    plant(
        Flaw::HidesFollowers,
        Sort::Each,
        "before the first try",
        "updates are not known to be behind one that ran out of attempts, and go among others",
    ),
    plant(
        Flaw::AsksOnAndOn,
        Sort::Each,
        "was tried",
        "updates behind one that ran out of attempts have eight times those they should have",
    ),
    plant(
        Flaw::SwapsLanes,
        Sort::Any,
        "of its subject",
        "updates change places on their way to the scheduler",
    ),
    plant(Flaw::IgnoresPermits, Sort::Outage, "above the rate", "attempts leave without a permit"),
    plant(Flaw::SavesPermits, Sort::Pushback, "above the rate", "permits pile up while everybody is quiet"),
    plant(Flaw::DeafToPushback, Sort::Pushback, "into the quiet", "a 429 is the row's alone, like a 500"),
    plant(
        Flaw::ShortensQuiets,
        Sort::Pushback,
        "into the quiet",
        "`Retry-After` is cut to a tenth of a second",
    ),
    plant(Flaw::DeafToQuota, Sort::Counting, "into the quiet", "the server's count is not listened to"),
    plant(Flaw::RetriesRefusals, Sort::Any, "after a definite answer", "a 422 is tried again"),
    plant(
        Flaw::BlamesForbidden,
        Sort::Forbidding,
        "nobody has passed since",
        "a 403 for everybody is each row's own",
    ),
    plant(Flaw::KeepsOldToken, Sort::Pushback, "the refused token", "the new token is read and not used"),
    plant(
        Flaw::NeverOpens,
        Sort::Outage,
        "at a server that was down",
        "the breaker never opens, and a server that is down is asked on and on",
    ),
    plant(Flaw::SpendsOnRetries, Sort::Sick, "retries of", "every other attempt may be a retry"),
    plant(Flaw::ForgetsTheFile, Sort::Trickle, "retries of", "first tries unread in the file do not count"),
    plant(
        Flaw::NeverBrakes,
        Sort::Sick,
        "at a sick server",
        "a server failing every other request is asked as often",
    ),
    plant(Flaw::NeverAdapts, Sort::Knee, "on the wire from", "64 on the wire, whatever the server can do"),
    plant(Flaw::BlamesRows, Sort::Shedding, "exhausted are", "a 503 of the proxy is held against the row"),
    plant(Flaw::TakesChronicForPlain, Sort::Chronic, "chronic", "chronic rows are taken for healthy ones"),
    plant(Flaw::SkipsGuard, Sort::Refusing, "first contact", "an unproven target is taken for a proven one"),
    plant(
        Flaw::RefusesConflicts,
        Sort::Chains,
        "of a chain",
        "a conflict is a refusal, and nothing waits for its turn",
    ),
    plant(
        Flaw::LosesVerdicts,
        Sort::Any,
        "without a verdict",
        "a verdict of the scheduler is not carried out",
    ),
    plant(
        Flaw::GivesUpEarly,
        Sort::Poison,
        "exhausted after",
        "the bound on the time of retries is cut short",
    ),
    plant(
        Flaw::NeverReadsAhead,
        Sort::Head,
        "exhausted are",
        "nothing is read beyond the window while the server is taken for down",
    ),
    plant(
        Flaw::StretchesQuiets,
        Sort::PushedBack,
        "are enough",
        "a 429 is told as if it asked for two minutes of quiet",
    ),
    plant(
        Flaw::AsksOnAndOn,
        Sort::TurnedAway,
        "turned away for ever",
        "rows have eight times the attempts they should have",
    ),
    plant(
        Flaw::RulesEveryPass,
        Sort::Waves,
        "a wave's trouble",
        "the end of every pass is taken for the end of the run",
    ),
    plant(
        Flaw::ForgetsTheStop,
        Sort::Away,
        "waits beyond run",
        "whom a run was stopped for is not carried over to the next one",
    ),
    plant(
        Flaw::NeverAsks,
        Sort::Linked,
        "is healthy, and has failed",
        "nobody who waits for one that was turned away is asked before that is ruled on",
    ),
    plant(
        Flaw::RulesBeforeAsking,
        Sort::Linked,
        "is healthy, and has failed",
        "one that was turned away is ruled on, and whoever waits for it is asked then",
    ),
    plant(
        Flaw::AsksTheSame,
        Sort::Linked,
        "in conflict, sent again",
        "that somebody was asked is not noted, and it is asked again",
    ),
    plant(
        Flaw::HidesLinks,
        Sort::Linked,
        "is healthy, and has failed",
        "that some of those turned away wait for each other is not told",
    ),
    plant(
        Flaw::SendsLinksAtOnce,
        Sort::Linked,
        "which it waits for",
        "links go without waiting for the one before",
    ),
];

impl Planted {
    /// The complaint that caught it: the day's seed and the words. `Err` with what was heard instead, if anything.
    pub(crate) fn caught(&self) -> Result<(u64, String), String> {
        let mut others = Vec::new();
        for seed in 0..DAYS_MAX {
            let mut day = day_about(self.sort, seed);
            day.flaw = Some(self.flaw);
            match live(day, seed) {
                Err(complaint) if complaint.contains(self.check) => return Ok((seed, complaint)),
                Err(complaint) => others.push(complaint),
                Ok(_) => {}
            }
        }
        let Planted { flaw, about, check, .. } = self;
        Err(format!("{flaw:?} ({about}) was not caught by \"{check}\"; heard: {others:?}"))
    }
}

/// Tells the scheduler other rules, and changes the file, where the day's flaw asks for it.
pub(crate) fn planted(mut day: Day) -> Day {
    match day.flaw {
        Some(Flaw::ShortensQuiets) => day.told.retry_after_max_ms = 100,
        Some(Flaw::NeverOpens) => {
            day.told.breaker_failures = u32::MAX;
            day.told.sick_percent = 101;
        }
        Some(Flaw::SpendsOnRetries) => day.told.fresh_per_retry = 1,
        Some(Flaw::NeverBrakes) => day.told.sick_percent = 101,
        Some(Flaw::NeverAdapts) => day.told.adapts = false,
        Some(Flaw::GivesUpEarly) => day.told.retry_elapsed_max_ms = Some(0),
        Some(Flaw::AsksOnAndOn) => day.told.attempts_max *= 8,
        Some(Flaw::SkipsGuard) => day.told.proven = true,
        Some(
            Flaw::HidesSubjects
            | Flaw::HidesFollowers
            | Flaw::SwapsLanes
            | Flaw::IgnoresPermits
            | Flaw::SavesPermits
            | Flaw::DeafToPushback
            | Flaw::DeafToQuota
            | Flaw::RetriesRefusals
            | Flaw::BlamesForbidden
            | Flaw::KeepsOldToken
            | Flaw::ForgetsTheFile
            | Flaw::BlamesRows
            | Flaw::TakesChronicForPlain
            | Flaw::RefusesConflicts
            | Flaw::LosesVerdicts
            | Flaw::NeverReadsAhead
            | Flaw::StretchesQuiets
            | Flaw::RulesEveryPass
            | Flaw::ForgetsTheStop
            | Flaw::NeverAsks
            | Flaw::RulesBeforeAsking
            | Flaw::AsksTheSame
            | Flaw::HidesLinks
            | Flaw::SendsLinksAtOnce,
        )
        | None => {}
    }
    day
}

/// What a flawed caller makes of an answer.
pub(crate) fn mishear(flaw: Option<Flaw>, seen: &mut Seen) {
    let failed = || Outcome::ServerFailed { signature: "misheard".into(), retry_after_ms: None };
    match (flaw, &seen.outcome) {
        (Some(Flaw::DeafToPushback), Outcome::Throttled { .. })
        | (Some(Flaw::RetriesRefusals), Outcome::Refused { .. }) => seen.outcome = failed(),
        (Some(Flaw::BlamesForbidden), Outcome::Forbidden { signature }) => {
            seen.outcome = Outcome::Refused { signature: signature.clone() };
        }
        (Some(Flaw::RefusesConflicts), Outcome::Conflict { signature }) => {
            seen.outcome = Outcome::Refused { signature: signature.clone() };
        }
        (Some(Flaw::BlamesRows), Outcome::ServerFailed { .. }) if seen.status == Some(503) => {
            seen.status = Some(500);
        }
        (Some(Flaw::StretchesQuiets), Outcome::Throttled { .. }) => {
            seen.outcome = Outcome::Throttled { retry_after_ms: Some(120_000) };
        }
        (Some(Flaw::DeafToQuota), _) => seen.quota = None,
        _ => {}
    }
}
