//! The `Idempotency-Key`: the same where the outcome is unknown, another one where a replayed answer would mislead.

use simsync::sandbox::{Faults, OutageKind, SandboxOptions, Shares};

use super::{HASTY, IMPATIENT, outage};
use crate::support::{Workspace, export};

fn keys(workspace: &Workspace, subject: &str) -> Vec<String> {
    let history = workspace.history(subject);
    history.into_iter().map(|request| request.idempotency_key.expect("every request has one")).collect()
}

#[test]
fn a_retry_after_an_unknown_outcome_keeps_its_key() {
    for how in [OutageKind::Hang, OutageKind::Reset, OutageKind::Status(500), OutageKind::Status(429)] {
        let workspace = Workspace::with(outage(3, 1, how));
        workspace.configure(IMPATIENT);
        workspace.write("crm.csv", export(5));
        workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(0);
        let keys = keys(&workspace, "C-000002");
        assert_eq!(keys.len(), 2, "{how:?}");
        assert_eq!(keys[0], keys[1], "{how:?}");
        assert_eq!(workspace.sandbox.stats().distinct_idempotency_keys, 5);
    }
}

#[test]
fn a_server_that_honors_keys_applies_once() {
    let shares = Shares { reset_after: 0.3, ..Shares::default() };
    let faults = Faults { seed: 9, shares, ..Faults::default() };
    let options = SandboxOptions { honor_idempotency_key: true, faults, ..SandboxOptions::default() };
    let workspace = Workspace::of(options);
    workspace.configure(&HASTY.replace("attempts_max = 3", "attempts_max = 20"));
    workspace.write("crm.csv", export(40));
    workspace.sync(&["crm.csv"]).expect(0).expect_books();
    let stats = workspace.sandbox.stats();
    assert_eq!(stats.applied, 40);
    assert!(stats.replayed > 0);
}

#[test]
fn a_comes_back_after_b_under_another_key() {
    let options = SandboxOptions { honor_idempotency_key: true, ..SandboxOptions::default() };
    let workspace = Workspace::of(options);
    let file = |tier: &str| format!("crm id,tier\nA,{tier}\n");
    for tier in ["basic", "premium", "basic"] {
        workspace.write("crm.csv", file(tier));
        assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 1);
        assert_eq!(workspace.at_server("A", "user_class").as_deref(), Some(tier));
    }
    let mut keys = keys(&workspace, "A");
    assert_eq!(keys.len(), 3);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3, "no answer of before is replayed");
}

#[test]
fn a_refused_update_goes_out_again_under_another_key() {
    let workspace = Workspace::with(super::subject_status("C-000002", 409));
    workspace.write("crm.csv", export(5));
    workspace.sync(&["crm.csv"]).expect(3);
    let keys = keys(&workspace, "C-000002");
    assert_eq!(keys.len(), 2, "once in the main pass, once among the deferred");
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_key_tells_nothing_of_the_row() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(2));
    workspace.sync(&["crm.csv"]).expect(0);
    for subject in ["C-000000", "C-000001"] {
        let key = keys(&workspace, subject).remove(0);
        assert!(key.len() >= 16 && !key.contains(subject) && !key.contains("356868"), "{key}");
    }
}
