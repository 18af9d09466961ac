//! The envelope, and what a server that accepts nothing at first contact means.

use simsync::sandbox::{SandboxEnvelope, SandboxOptions};

use crate::support::{Workspace, export};

fn speaking(envelope: SandboxEnvelope) -> Workspace {
    let workspace = Workspace::of(SandboxOptions { envelope, ..SandboxOptions::default() });
    workspace.write("crm.csv", export(30));
    workspace
}

#[test]
fn every_envelope_reaches_the_server_that_speaks_it() {
    let table = [
        ("data-string", SandboxEnvelope::DataString),
        ("data-object", SandboxEnvelope::DataObject),
        ("flat", SandboxEnvelope::Flat),
    ];
    for (name, envelope) in table {
        let workspace = speaking(envelope);
        let ran = workspace.sync(&["--envelope", name, "crm.csv"]).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), workspace.sandbox.stats().requests), (30, 30), "{name}");
    }
    let workspace = speaking(SandboxEnvelope::DataString);
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).rows("synced"), 30, "the default");
}

#[test]
fn a_wrong_envelope_stops_the_run_with_nothing_marked_failed() {
    let table = [
        ("flat", SandboxEnvelope::DataString),
        ("data-object", SandboxEnvelope::DataString),
        ("data-string", SandboxEnvelope::Flat),
    ];
    for (name, envelope) in table {
        let workspace = speaking(envelope);
        let wrong = workspace.sync(&["--envelope", name, "crm.csv"]).expect(4).expect_books();
        assert_eq!((wrong.rows("failed"), wrong.rows("pending")), (0, 30), "{name}");
        let requests = workspace.sandbox.stats().requests;
        assert!((20..=23).contains(&requests), "{requests} requests: 20 subjects and what was on the wire");
        assert!(wrong.stderr.contains("api.envelope"), "the likely cause is named: {}", wrong.stderr);
        assert!(workspace.last_run_file("failed.csv").is_none());
        let ran = workspace.sync(&["--envelope", name_of(envelope), "crm.csv"]).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), 30, "{name}");
    }
}

const fn name_of(envelope: SandboxEnvelope) -> &'static str {
    match envelope {
        SandboxEnvelope::DataString => "data-string",
        SandboxEnvelope::DataObject => "data-object",
        SandboxEnvelope::Flat => "flat",
    }
}

#[test]
fn once_a_target_has_acknowledged_something_refusals_are_the_rows_own() {
    let workspace = speaking(SandboxEnvelope::DataString);
    workspace.sync(&["crm.csv"]).expect(0);
    let mut faults = super::Faults::default();
    for row in 0..30 {
        faults.subject_statuses.insert(format!("C-{row:06}"), 422);
    }
    workspace.fault(faults);
    let ran = workspace.sync(&["--full", "crm.csv"]).expect(3).expect_books();
    assert_eq!(ran.rows("failed"), 30);
}
