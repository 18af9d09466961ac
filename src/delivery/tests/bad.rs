//! The checks bite: hand-made bad traces are all found. Planted flaws are the simulation's own (`sim/planted.rs`).

use crate::delivery::outcome::{Failure, Outcome, Seen, Verdict};
use crate::delivery::sim::checker::{Checker, Fact};
use crate::delivery::sim::day::Pace;
use crate::delivery::{Action, Attempt, DeliveryRules, UpdateId};
use crate::digest::SubjectId;
use crate::ledger::FailureKind;

fn sent(id: UpdateId, subject: u64) -> Fact {
    sent_with(id, subject, 0, false)
}

fn sent_with(id: UpdateId, subject: u64, generation: u64, is_probe: bool) -> Fact {
    let subject_id = SubjectId(u128::from(subject).to_be_bytes());
    let attempt = Attempt { id, subject: subject_id, attempt: 1, is_probe, token_generation: generation };
    Fact::Sent { attempt, subject, generation }
}

fn answered(id: UpdateId, outcome: Outcome) -> Fact {
    Fact::Answered { id, seen: Seen { outcome, status: None, quota: None, token_generation: 0 } }
}

fn decided(id: UpdateId, verdict: Verdict) -> Fact {
    Fact::Decided { verdicts: vec![(id, verdict)], actions: Vec::new() }
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, status: None, signature: String::new(), maybe_applied: false }
}

fn acted(action: Action) -> Fact {
    Fact::Decided { verdicts: Vec::new(), actions: vec![action] }
}

/// Two updates of subject 1 and one of subject 2, permits for all, then the trace. Returns the complaint about its
/// last fact; all earlier ones must be fine.
fn last_complaint(trace: Vec<Fact>) -> String {
    let rules = DeliveryRules { proven: true, attempts_max: 2, ..DeliveryRules::default() };
    let mut checker = Checker::new(rules, Pace { rate_per_s: 1_000, burst: 100 });
    let offers = [(1, 1), (2, 1), (3, 2)].map(|(id, subject)| Fact::Offered { id, subject, chronic: false });
    let prelude = offers.into_iter();
    let mut facts: Vec<Fact> = prelude.chain(trace).collect();
    let last = facts.pop().expect("a trace");
    for (now_ms, fact) in (0_u64..).zip(&facts) {
        checker.see(now_ms, fact).unwrap_or_else(|early| panic!("too early: {early} at {fact:?}"));
    }
    checker.see(facts.len() as u64, &last).expect_err("the last fact breaks a promise")
}

#[test]
fn bad_traces_are_found() {
    let refused = || Outcome::Refused { signature: String::new() };
    let exhausted = |id| decided(id, Verdict::Failed(failure(FailureKind::Exhausted)));
    let retry = |id| decided(id, Verdict::RetryIn { delay_ms: 0 });
    let table = vec![
        ("two of subject", vec![sent(1, 1), sent(2, 1)]),
        ("before", vec![sent(2, 1)]),
        ("definite answer", vec![sent(3, 2), answered(3, refused()), sent(3, 2)]),
        (
            "quiet",
            vec![sent(1, 1), answered(1, Outcome::Throttled { retry_after_ms: Some(500) }), sent(3, 2)],
        ),
        ("quiet", vec![sent(1, 1), answered(1, Outcome::Throttled { retry_after_ms: None }), sent(3, 2)]),
        ("refused token", vec![sent(1, 1), answered(1, Outcome::TokenRefused), retry(1), sent(1, 1)]),
        ("the breaker opened", vec![acted(Action::BreakerOpened)]),
        (
            "no single probe",
            vec![sent(1, 1), answered(1, Outcome::TimedOut), acted(Action::BreakerOpened), sent(1, 1)],
        ),
        (
            "no single probe",
            vec![sent(1, 1), answered(1, Outcome::TimedOut), acted(Action::BreakerOpened)]
                .into_iter()
                .chain([sent_with(1, 1, 0, true), sent_with(3, 2, 0, true)])
                .collect(),
        ),
        (
            "exhausted after 1",
            vec![sent(3, 2), answered(3, Outcome::Acknowledged), decided(3, Verdict::Synced)]
                .into_iter()
                .chain([sent(1, 1), answered(1, Outcome::TimedOut), exhausted(1)])
                .collect(),
        ),
        (
            "without testimony",
            vec![sent(1, 1), answered(1, Outcome::Acknowledged), decided(1, Verdict::Synced)]
                .into_iter()
                .chain([sent(3, 2), answered(3, Outcome::TimedOut), retry(3)])
                .chain([sent(3, 2), answered(3, Outcome::TimedOut), exhausted(3)])
                .collect(),
        ),
        (
            "after a deferred",
            vec![
                sent(1, 1),
                answered(1, Outcome::Conflict { signature: String::new() }),
                decided(1, Verdict::Deferred(failure(FailureKind::Deferred))),
                sent(2, 1),
            ],
        ),
        (
            "two verdicts",
            vec![
                sent(1, 1),
                answered(1, Outcome::Acknowledged),
                decided(1, Verdict::Synced),
                decided(1, Verdict::Synced),
            ],
        ),
        ("after the end", vec![Fact::Drained, sent(1, 1)]),
        ("not left over", vec![Fact::Leftover(1), Fact::Leftover(3), Fact::Ended]),
        ("ends twice", vec![Fact::Leftover(1), Fact::Leftover(1)]),
    ];
    for (expected, trace) in table {
        let said = last_complaint(trace);
        assert!(said.contains(expected), "expected \"{expected}\", heard \"{said}\"");
    }
}

#[test]
fn above_the_rate_nothing_goes_unnoticed() {
    let pace = Pace { rate_per_s: 1, burst: 1 };
    let mut checker = Checker::new(DeliveryRules { proven: true, ..DeliveryRules::default() }, pace);
    for id in [1, 2, 3] {
        checker.see(0, &Fact::Offered { id, subject: id, chronic: false }).expect("fine");
    }
    checker.see(0, &sent(1, 1)).expect("one in the burst");
    checker.see(0, &sent(2, 2)).expect("one in hand");
    assert!(checker.see(990, &sent(3, 3)).expect_err("too many").contains("above the rate"));
}
