//! The figures of the campaign: how many kills, at which instants, and what they left behind.
//!
//! Not here: what must hold (`aftermath.rs`).

use std::collections::BTreeMap;

use crate::aftermath::Aftermath;
use crate::plan::{Plan, Policy};
use crate::support::Workspace;
use crate::witness::window;

/// Where in its run a kill fell, as far as can be told from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Instant {
    /// Before the first request: opening, survey, planning, first intents.
    BeforeRequests,
    /// Between the first request and the last.
    Delivery,
    /// Behind the last request, before any row file.
    LastCommits,
    /// Behind the first row file, before the summary.
    RowFiles,
    /// While an export was adopted.
    Adoption,
    /// Behind the summary: closing the batch and the journal.
    Closing,
}

impl Instant {
    /// The instant of a kill, by what it left.
    pub(crate) fn of(
        ws: &Workspace,
        plan: &Plan,
        (before, after): (&Aftermath, &Aftermath),
        left: usize,
    ) -> Instant {
        let requests = usize::try_from(after.seq - before.seq).unwrap();
        let is_there = |name: &str| ws.last_run_file(name).is_some();
        match requests {
            0 if plan.policy == Policy::Adopt && after.committed.len() < plan.total() => Instant::Adoption,
            0 if left > 0 && plan.policy != Policy::Adopt => Instant::BeforeRequests,
            requests if requests < left => Instant::Delivery,
            _ if has_summary(ws) => Instant::Closing,
            _ if is_there("rejected.csv") => Instant::RowFiles,
            _ => Instant::LastCommits,
        }
    }
}

/// Whether the newest run has told its summary.
pub(crate) fn has_summary(ws: &Workspace) -> bool {
    ws.last_run_file("summary.json").is_some()
}

/// What the campaign has seen.
#[derive(Default)]
pub(crate) struct Figures {
    /// Kills that hit a running process.
    pub(crate) kills: u64,
    instants: BTreeMap<Instant, u64>,
    /// Tools that were killed before their end, by name.
    tools: BTreeMap<String, u64>,
    /// What was killed.
    pub(crate) exports: Vec<String>,
    in_doubt_sum: usize,
    in_doubt_max: usize,
    doubles_sum: usize,
    doubles_max: usize,
    /// Acknowledgments that were committed at a kill and held against the run after it.
    committed_sum: usize,
    pub(crate) requests: u64,
}

impl Figures {
    pub(crate) fn kill(&mut self, instant: Instant, after: &Aftermath) {
        self.kills += 1;
        *self.instants.entry(instant).or_default() += 1;
        self.committed_sum += after.committed.len();
        self.in_doubt_sum += after.in_doubt.len();
        self.in_doubt_max = self.in_doubt_max.max(after.in_doubt.len());
    }

    pub(crate) fn tool(&mut self, name: &str, was_killed: bool) {
        *self.tools.entry(name.to_owned()).or_default() += u64::from(was_killed);
    }

    /// Updates applied twice by one run.
    pub(crate) fn doubles(&mut self, doubles: usize) {
        self.doubles_sum += doubles;
        self.doubles_max = self.doubles_max.max(doubles);
    }

    pub(crate) fn add(&mut self, other: &Figures) {
        self.kills += other.kills;
        for (instant, kills) in &other.instants {
            *self.instants.entry(*instant).or_default() += kills;
        }
        for (name, kills) in &other.tools {
            *self.tools.entry(name.clone()).or_default() += kills;
        }
        self.exports.extend(other.exports.iter().cloned());
        self.in_doubt_sum += other.in_doubt_sum;
        self.in_doubt_max = self.in_doubt_max.max(other.in_doubt_max);
        self.doubles_sum += other.doubles_sum;
        self.doubles_max = self.doubles_max.max(other.doubles_max);
        self.committed_sum += other.committed_sum;
        self.requests += other.requests;
    }

    /// For people.
    pub(crate) fn summary(&self, minutes: f64) -> String {
        let mut exports: BTreeMap<&String, u64> = BTreeMap::new();
        self.exports.iter().for_each(|name| *exports.entry(name).or_default() += 1);
        let kills = usize::try_from(self.kills).unwrap().max(1);
        let per_minute = f64::from(u32::try_from(kills).unwrap()) / minutes;
        format!(
            "exports: {} {exports:?}\nruns killed: {} {:?}, {per_minute:.0} a minute\n\
             tools killed: {:?}; the journal was sound after every kill\n\
             requests: {}; lost: 0; acknowledgments committed at a kill: {} in the mean, sent again: 0\n\
             in doubt at a kill: {} in the mean, {} at most, window {}\n\
             doubled after a kill: {} in all, {} at most by one run; each was in doubt, under the same \
             Idempotency-Key",
            self.exports.len(),
            self.kills,
            self.instants,
            self.tools,
            self.requests,
            self.committed_sum / kills,
            self.in_doubt_sum / kills,
            self.in_doubt_max,
            window(),
            self.doubles_sum,
            self.doubles_max,
        )
    }
}
