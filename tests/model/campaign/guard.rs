//! The guard at first contact: whether it may have stopped a run, as far as the requests tell. It keeps refusals back
//! until the target has acknowledged something; where nothing is left that it could acknowledge, the run is stopped,
//! and the intents of what was refused are withdrawn: nothing is marked failed.
//!
//! Not here: what may have become of each update then (`outcomes.rs`).

use std::collections::{BTreeMap, BTreeSet};

use simsync::sandbox::RequestView;

use super::memory::Outcome;
use super::outcomes::{is_conflict, verdict};
use super::rulings::Plan;
use super::steps::{Step, Stop};

/// Subjects refused that say enough when nothing is left to try. Those that say enough at any time are more than
/// there are.
const SUBJECTS_MIN: usize = 3;

/// Whether a run at a target that has acknowledged nothing before may have been stopped: everybody was tried, enough
/// were refused, nobody was acknowledged, and no conflict was complained of, which only who has understood an update
/// can find.
pub(crate) fn may_have_stopped(plan: &Plan, step: &Step, requests: &[RequestView]) -> bool {
    let mut attempts: BTreeMap<&String, Vec<&RequestView>> = BTreeMap::new();
    for request in requests {
        if let Some(subject) = &request.subject {
            attempts.entry(subject).or_default().push(request);
        }
    }
    let refused = attempts.values().filter(|of| matches!(verdict(of), Some(Outcome::Failed(..)))).count();
    let has_accepted = requests.iter().any(|request| verdict(&[request]) == Some(Outcome::Synced));
    let all: BTreeSet<&String> = plan.updates.iter().map(|update| &update.subject).collect();
    // Who waits for another one's outcome is not tried, and what is beyond `--max-rows` is not either.
    let may_wait = !plan.firsts.is_empty() || matches!(step.stop, Stop::Rows(_));
    let is_all_tried = all.iter().all(|subject| attempts.contains_key(*subject));
    refused >= SUBJECTS_MIN
        && !has_accepted
        && (is_all_tried || may_wait)
        && !requests.iter().any(is_conflict)
}
