//! Targets kept apart in one state directory: the same file for staging, production and a rehearsal.
//!
//! Not here: the key field chosen once per target (`rulings/targets.rs`).

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export};

/// Syncs a file to the sandbox of another workspace.
fn sync_to(here: &Workspace, there: &Workspace, args: &[&str]) -> Ran {
    let url = there.sandbox.url();
    here.run(&[&["sync", "--api-url", &url, "--rate", "unlimited", "--json"], args].concat())
}

#[test]
fn the_same_file_goes_to_staging_production_and_the_rehearsal() {
    let (here, production) = (Workspace::new(), Workspace::new());
    here.write("crm.csv", export(12));
    let rehearse = || here.run(&["sync", "--sandbox", "--rate", "unlimited", "--json", "crm.csv"]);
    for fate in ["synced", "unchanged"] {
        assert_eq!(here.sync(&["crm.csv"]).expect(0).expect_books().rows(fate), 12, "staging");
        assert_eq!(
            sync_to(&here, &production, &["crm.csv"]).expect(0).expect_books().rows(fate),
            12,
            "production"
        );
    }
    // The sandbox of a run is empty at its start, but its journal knows what it acknowledged.
    assert_eq!(rehearse().expect(0).rows("synced"), 12);
    assert_eq!(rehearse().expect(0).rows("unchanged"), 12);
    assert_eq!((here.sandbox.stats().requests, production.sandbox.stats().requests), (12, 12));
    // A change goes to each of them once more, and only there where it is asked for.
    here.write("crm.csv", export(12).replace("C-000004,+447910000004", "C-000004,+447910009999"));
    assert_eq!(sync_to(&here, &production, &["crm.csv"]).expect(0).rows("synced"), 1);
    assert_eq!(here.at_server("C-000004", "number").as_deref(), Some("+447910000004"));
    assert_eq!(here.sync(&["crm.csv"]).expect(0).rows("synced"), 1);
}

#[test]
fn two_names_for_one_address_are_two_targets() {
    let ws = Workspace::new();
    ws.write("crm.csv", export(5));
    for (name, fate) in [("staging", "synced"), ("production", "synced"), ("staging", "unchanged")] {
        ws.configure(&format!("[api]\ntarget = \"{name}\"\n"));
        let ran = ws.sync(&["crm.csv"]).expect(0).expect_books();
        assert_eq!((ran.rows(fate), ran.summary()["target"].as_str()), (5, Some(name)), "{name}");
    }
    assert_eq!(ws.sandbox.stats().requests, 10);
}

#[test]
fn each_target_has_a_key_of_its_own() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.write("crm.csv", "crm id,mobile,tier\nCRM-1,+447910000001,basic\n");
    here.write("mobiles.csv", "mobile,tier\n+447910000001,gold\n");
    assert_eq!(here.sync(&["crm.csv"]).expect(0).summary()["key"], "user_external_id");
    let other = sync_to(&here, &there, &["mobiles.csv"]).expect(0);
    assert_eq!((other.rows("synced"), other.summary()["key"].as_str()), (1, Some("number")));
    // Each goes on with its own, also for a file that has both columns.
    let again = sync_to(&here, &there, &["crm.csv"]).expect(0);
    assert_eq!(again.summary()["key"], "number");
    assert_eq!(here.sync(&["crm.csv"]).expect(0).rows("unchanged"), 1);
}

#[test]
fn refusals_doubts_and_versions_are_each_targets_own() {
    let refusing = Faults { subject_statuses: [("C-000002".to_owned(), 422)].into(), ..Faults::default() };
    let (here, there) = (Workspace::with(refusing), Workspace::new());
    here.write("crm.csv", export(6));
    assert_eq!(here.sync(&["crm.csv"]).expect(3).rows("failed"), 1);
    let failed = here.last_run_file("failed.csv").unwrap();
    // Refused here, taken there; and what was acknowledged there supersedes nothing here.
    assert_eq!(sync_to(&here, &there, &["crm.csv"]).expect(0).rows("synced"), 6);
    here.write("newer.csv", "crm id,tier\nC-000002,gold\n");
    assert_eq!(sync_to(&here, &there, &["newer.csv"]).expect(0).rows("synced"), 1);
    here.write("failed.csv", &failed);
    // A row file belongs to the target of its run.
    let elsewhere = sync_to(&here, &there, &["failed.csv"]).expect(3).expect_books();
    assert_eq!(elsewhere.rows("rejected"), 1);
    assert_eq!(here.last_rows("rejected.csv")[0]["_reason"], "origin.unknown_run");
    here.fault(Faults::default());
    let ran = here.sync(&["failed.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 0));
    assert_eq!(here.at_server("C-000002", "user_class").as_deref(), Some("basic"));
    assert_eq!(there.at_server("C-000002", "user_class").as_deref(), Some("gold"));
}

#[test]
fn a_replay_finds_the_batches_of_its_own_target_only() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.fault(Faults { subject_statuses: [("C-000001".to_owned(), 422)].into(), ..Faults::default() });
    here.write("crm.csv", export(4));
    here.sync(&["crm.csv"]).expect(3);
    let run = here.run_dirs().pop().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    // Many batches there do not make the one here old.
    for round in 0..3 {
        here.write("other.csv", format!("crm id,tier\nC-000001,t{round}\n"));
        sync_to(&here, &there, &["other.csv"]).expect(0);
    }
    here.fault(Faults::default());
    let url = here.sandbox.url();
    let ran = here.run(&["replay", &run, "--api-url", &url, "--json"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 0));
    assert_eq!(here.at_server("C-000001", "user_class").as_deref(), Some("basic"));
}

#[test]
fn the_first_run_of_an_address_that_has_changed_tells_what_is_open_at_the_old_one() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.write("crm.csv", export(12));
    here.write("other.csv", export(3));
    let stopped = here.sync(&["crm.csv", "--max-rows", "5"]).expect(8);
    let old = stopped.summary()["target"].as_str().unwrap().to_owned();
    let told = |ran: &Ran| ran.summary()["notices"].to_string();
    let open = format!("target {old} of this journal has 1 open batch (12 rows)");
    // Before anything is sent, too, and as long as it is the first batch there.
    let url = there.sandbox.url();
    let plan = here.run(&["plan", "--api-url", &url, "--json", "crm.csv"]).expect(0);
    assert!(told(&plan).contains(&open), "{}", told(&plan));
    for code in [8, 0] {
        let args: &[&str] = if code == 8 { &["crm.csv", "--max-rows", "5"] } else { &["crm.csv"] };
        let moved = told(&sync_to(&here, &there, args).expect(code));
        assert!(moved.contains(&open), "{moved}");
        assert!(moved.contains(&format!("api.target = \\\"{old}\\\"")), "{moved}");
        assert!(moved.contains("`simsync journal stats --state ./simsync-state`"), "{moved}");
    }
    // After that it is known, and so it is to whoever names a target.
    let later = told(&sync_to(&here, &there, &["other.csv"]).expect(0));
    assert!(!later.contains("open batch"), "{later}");
    here.configure("[api]\ntarget = \"production\"\n");
    let named = told(&sync_to(&here, &there, &["other.csv"]).expect(0));
    assert!(!named.contains("open batch"), "{named}");
    // As the note says: at the new address under the old name, it goes on.
    here.configure(&format!("[api]\ntarget = \"{old}\"\n"));
    let resumed = sync_to(&here, &there, &["crm.csv"]).expect(0).expect_books();
    assert_eq!((resumed.rows("unchanged"), resumed.rows("synced")), (5, 7));
}

#[test]
fn nothing_is_said_of_other_targets_where_they_left_nothing_open() {
    let (here, there) = (Workspace::new(), Workspace::new());
    here.write("crm.csv", export(3));
    here.sync(&["crm.csv"]).expect(0);
    // A plan begins nothing.
    here.write("more.csv", export(5));
    here.plan(&["more.csv"]).expect(0);
    let ran = sync_to(&here, &there, &["crm.csv"]).expect(0);
    assert!(!ran.summary()["notices"].to_string().contains("open batch"), "{}", ran.stdout);
}
