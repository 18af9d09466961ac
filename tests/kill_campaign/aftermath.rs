//! What must hold after each kill: nothing committed that was not applied, nothing applied that is neither committed
//! nor in doubt, nothing committed sent again, and every double named beforehand.
//!
//! As `tests/it/witness.rs`, for any policy. Not here: killing (`main.rs`).

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Plan, Policy};
use crate::support::Workspace;
use crate::witness::{entries, wait_for, window};

/// An update: its subject, and its place among the subject's.
type Which = (String, usize);

/// Journal and sandbox at one moment.
#[derive(Default)]
pub(crate) struct Aftermath {
    /// Requests the sandbox had seen.
    pub(crate) seq: u64,
    /// Updates applied since the batch was begun, with their `Idempotency-Key`.
    pub(crate) applied: BTreeMap<Which, Option<String>>,
    /// Updates with a committed acknowledgment.
    pub(crate) committed: BTreeSet<Which>,
    /// Updates in doubt.
    pub(crate) in_doubt: BTreeSet<Which>,
    /// Committed updates that were forgotten. They are sent again, and where they come before those in doubt, a run
    /// that is killed early leaves them in doubt beside the window of the run before.
    forgotten: usize,
}

impl Aftermath {
    /// The moment before the first run of the batch.
    pub(crate) fn before(ws: &Workspace) -> Aftermath {
        Aftermath { seq: ws.sandbox.stats().requests, ..Aftermath::default() }
    }

    /// The moment after a run, whole or killed. What the run did is held against the moment before it; the number of
    /// doubles comes with it.
    #[track_caller]
    pub(crate) fn after(&self, ws: &Workspace, plan: &Plan) -> (Aftermath, usize) {
        wait_for("the sandbox's connections to close", || {
            let stats = ws.sandbox.stats();
            stats.connections_open == 0 && stats.in_flight == 0
        });
        let mut after = Aftermath {
            applied: self.applied.clone(),
            seq: self.seq,
            forgotten: self.forgotten,
            ..Aftermath::default()
        };
        let mut doubles = 0;
        let mut reached: BTreeMap<String, usize> = BTreeMap::new();
        for request in ws.sandbox.requests_after(self.seq) {
            after.seq = request.seq;
            let key = request.subject.unwrap();
            let class = request.fields["user_class"].clone().unwrap();
            let place = plan.updates[&key].iter().position(|update| update.class == class).unwrap();
            let last = reached.insert(key.clone(), place);
            let is_in_order = last.is_none_or(|last| last < place || plan.policy == Policy::Chains);
            assert!(is_in_order, "{key}: {class} after update {last:?}");
            let which = (key, place);
            assert!(!self.committed.contains(&which), "{which:?} was committed, and is sent again");
            if let Some(first) = self.applied.get(&which) {
                assert!(self.in_doubt.contains(&which), "{which:?} is doubled, and was not in doubt");
                assert_eq!(*first, request.idempotency_key, "of {which:?}");
                doubles += 1;
            }
            // Of a chain, what gives a number up may be in doubt, and what takes it comes too early.
            let is_early = plan.policy == Policy::Chains && request.fault == Some("uniqueness");
            assert!(request.applied || is_early, "{which:?} was refused");
            if is_early {
                continue;
            }
            after.applied.insert(which, request.idempotency_key);
        }
        assert!(doubles <= window(), "{doubles} doubles, more than the window");
        after.remember(ws, plan);
        if plan.policy == Policy::Adopt {
            // It is said to be there already.
            after.applied.extend(after.committed.iter().map(|which| (which.clone(), None)));
        }
        after.check(self, plan);
        (after, doubles)
    }

    /// A subject was forgotten: what was applied is unknown again, and sent again.
    pub(crate) fn forget(&mut self, key: &str) {
        let committed = self.committed.len();
        self.applied.retain(|(of, _), _| of != key);
        self.committed.retain(|(of, _)| of != key);
        self.forgotten += committed - self.committed.len();
    }

    /// Reads the journal.
    fn remember(&mut self, ws: &Workspace, plan: &Plan) {
        for (key, entry) in entries(ws, plan.subjects.iter().cloned()) {
            for (place, update) in plan.updates.get(&key).into_iter().flatten().enumerate() {
                let version = plan.version(update);
                // What is replayed was refused before, and what comes too early in a chain is deferred.
                let may_fail = matches!(plan.policy, Policy::Replay | Policy::Chains);
                assert!(!entry.may_have_failed(version) || may_fail, "{key} has failed");
                if entry.may_be_in_doubt(version) {
                    self.in_doubt.insert((key.clone(), place));
                } else if !entry.may_have_failed(version)
                    && entry.acked.is_some_and(|acked| acked.batch == plan.batch && acked >= version)
                {
                    self.committed.insert((key.clone(), place));
                }
            }
        }
    }

    #[track_caller]
    fn check(&self, before: &Aftermath, plan: &Plan) {
        for which in &self.committed {
            assert!(self.applied.contains_key(which), "{which:?} is committed, and was never applied");
        }
        for which in self.applied.keys() {
            let is_known = self.committed.contains(which) || self.in_doubt.contains(which);
            assert!(is_known, "{which:?} was applied, and the journal knows nothing of it");
        }
        assert!(before.committed.is_subset(&self.committed), "something committed is forgotten");
        let (in_doubt, room) = (self.in_doubt.len(), window() + self.forgotten);
        let of_before = self.in_doubt.intersection(&before.in_doubt).count();
        assert!(
            in_doubt <= room,
            "{in_doubt} in doubt, {of_before} of them from before, more than {room}: {}",
            plan.name()
        );
    }

    /// What must hold once a run of the batch has come to its end: everything was applied, and is committed.
    #[track_caller]
    pub(crate) fn check_end(&self, ws: &Workspace, plan: &Plan) {
        assert_eq!(self.committed.len(), plan.total(), "every update is committed");
        assert!(self.in_doubt.is_empty(), "{:?} in doubt", self.in_doubt);
        if plan.policy == Policy::Adopt {
            let requests = ws.sandbox.stats().requests;
            ws.sync(&["export.csv"]).expect(plan.code).expect_books();
            assert_eq!(ws.sandbox.stats().requests, requests, "what was adopted is sent");
            return;
        }
        for (key, updates) in &plan.updates {
            let class = &updates.last().unwrap().class;
            assert_eq!(ws.at_server(key, "user_class").as_ref(), Some(class), "{key} at the sandbox");
        }
    }
}
