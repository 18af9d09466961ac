//! The checks bite: planted faults in the caller or the rules, and hand-made bad traces, are all found.

use super::days::good_day;
use super::*;

/// The complaint about a day with a planted fault.
fn complaint(day: Day) -> String {
    (0..20)
        .find_map(|seed| live(day.clone(), seed).err())
        .unwrap_or_else(|| panic!("nobody noticed the fault"))
}

#[test]
fn planted_faults_are_found() {
    let mut day = good_day(200);
    day.ignores_permits = true;
    assert!(complaint(day).contains("allowed"));

    let mut day = good_day(200);
    day.rows.iter_mut().for_each(|row| row.0 %= 3);
    day.hides_subjects = true;
    assert!(complaint(day).contains("on the wire"));

    let mut day = good_day(200);
    day.phases = vec![(500, Phase::Up), (900, Phase::Throttling(Some(5_000)))];
    day.told.retry_after_max_ms = 100;
    assert!(complaint(day).contains("into the quiet"));

    let mut day = good_day(200);
    day.phases = vec![(1_000, Phase::Shaky(400))];
    day.told.attempts_max = 1;
    assert!(complaint(day).contains("exhausted after"));

    // Half of all fail, and every other attempt may be a retry.
    let mut day = good_day(2_000);
    day.phases = vec![(60_000, Phase::Shaky(400))];
    day.told.fresh_per_retry = 1;
    assert!(complaint(day).contains("retries of"));

    let mut day = good_day(200);
    day.told.max_in_flight = 100;
    day.told.adapts = false;
    day.rate_per_s = 100_000;
    assert!(complaint(day).contains("on the wire already"));

    let mut day = good_day(200);
    day.rules.proven = false;
    assert!(complaint(day).contains("on the wire already"));
}

fn sent(id: UpdateId, subject: u64) -> Fact {
    sent_with(id, subject, 0, false)
}

fn sent_with(id: UpdateId, subject: u64, generation: u64, is_probe: bool) -> Fact {
    let subject_id = SubjectId(u128::from(subject).to_be_bytes());
    let attempt = Attempt { id, subject: subject_id, attempt: 1, is_probe, token_generation: generation };
    Fact::Sent { attempt, subject, generation }
}

fn answered(id: UpdateId, outcome: Outcome) -> Fact {
    Fact::Answered { id, outcome, generation: 0 }
}

fn decided(id: UpdateId, verdict: Verdict) -> Fact {
    Fact::Decided { verdicts: vec![(id, verdict)], actions: Vec::new() }
}

fn failure(kind: FailureKind) -> outcome::Failure {
    outcome::Failure { kind, status: None, signature: String::new(), maybe_applied: false }
}

fn acted(action: Action) -> Fact {
    Fact::Decided { verdicts: Vec::new(), actions: vec![action] }
}

/// Two updates of subject 1 and one of subject 2, permits for all, then the trace. Returns the complaint about its
/// last fact; all earlier ones must be fine.
fn last_complaint(trace: Vec<Fact>) -> String {
    let rules = DeliveryRules { proven: true, attempts_max: 2, ..DeliveryRules::default() };
    let mut checker = Checker::new(rules, 1_000, 100);
    let offers = [(1, 1), (2, 1), (3, 2)].map(|(id, subject)| Fact::Offered { id, subject, chronic: false });
    let prelude = offers.into_iter().chain([Fact::Permits(50)]);
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
        ("no single probe", vec![acted(Action::BreakerOpened), sent(1, 1)]),
        (
            "no single probe",
            vec![acted(Action::BreakerOpened), sent_with(1, 1, 0, true), sent_with(3, 2, 0, true)],
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
fn without_permits_or_above_the_rate_nothing_goes_unnoticed() {
    let mut checker = Checker::new(DeliveryRules { proven: true, ..DeliveryRules::default() }, 1, 1);
    for id in [1, 2] {
        checker.see(0, &Fact::Offered { id, subject: id, chronic: false }).expect("fine");
    }
    assert!(checker.see(0, &sent(1, 1)).expect_err("none granted").contains("without a permit"));
    checker.see(0, &Fact::Permits(2)).expect("fine");
    checker.see(0, &sent(1, 1)).expect("one in the burst");
    assert!(checker.see(0, &sent(2, 2)).expect_err("too many").contains("allowed"));
}
