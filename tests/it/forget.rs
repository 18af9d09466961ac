//! `journal forget`: what was removed cannot be found in any file of the state directory afterwards.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use simsync::api::Endpoint;
use simsync::digest::StateKey;
use simsync::journal::{LockHolder, Upkeep};
use simsync::sandbox::Faults;
use simsync::update::FieldKind;

use crate::support::{Workspace, export, imei, kill_after};
use crate::witness::kill_9;

/// The subject that is forgotten.
const GONE: &str = "C-000003";
const GONE_NUMBER: &str = "447910000003";

/// All files below a directory, with their bytes.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found
}

fn found_in(state: &Path, needle: &[u8]) -> Vec<PathBuf> {
    let holds = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    files(state).into_iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path).collect()
}

/// The id under which the journal knows a subject.
fn subject_id(ws: &Workspace, target: &str, value: &str) -> [u8; 16] {
    let secret: [u8; 32] = fs::read(ws.path("simsync-state/journal.key")).unwrap().try_into().unwrap();
    StateKey::new(&secret).subject(target, FieldKind::UserExternalId, value).0
}

/// A workspace in which the subject was refused, rejected, synced, and left in the log by a kill.
fn with_history() -> (Workspace, String) {
    let ws =
        Workspace::with(Faults { subject_statuses: [(GONE.to_owned(), 422)].into(), ..Faults::default() });
    ws.write("export.csv", export(40));
    let run = ws.sync(&["export.csv"]).expect(3).summary();
    let bad = format!("crm id,mobile,imei,tier\n{GONE},12,{},basic\nC-000004,12,,basic\n", imei(3));
    ws.write("bad.csv", bad);
    ws.sync(&["bad.csv"]).expect(3);
    ws.sandbox.set_faults(Faults { latency_ms: 200, ..Faults::default() }).unwrap();
    ws.write("again.csv", export(60).replace("basic", "gold"));
    let before = ws.sandbox.stats().requests;
    let mut killed = ws.sync_in_background(&["again.csv", "--concurrency", "1"]);
    ws.wait_for_requests(before + 5);
    kill_9(&mut killed);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    (ws, run["target"].as_str().unwrap().to_owned())
}

#[test]
fn a_subject_that_was_forgotten_is_in_no_file() {
    let (ws, target) = with_history();
    let (state, id) = (ws.path("simsync-state"), subject_id(&ws, &target, GONE));
    let other = subject_id(&ws, &target, "C-000004");
    assert!(!found_in(&state, &id).is_empty() && !found_in(&state, GONE.as_bytes()).is_empty());
    let ran = ws.run(&["journal", "forget", "--json", "--user-external-id", GONE]).expect(0);
    let told: Value = serde_json::from_str(ran.stdout.trim()).unwrap();
    assert_eq!((&told["entries"], &told["rows"], &told["files"]), (&1.into(), &2.into(), &2.into()));
    assert!(!ran.stdout.contains(GONE) && !ran.stderr.contains(GONE));
    for needle in [&id[..], GONE.as_bytes(), GONE_NUMBER.as_bytes(), imei(3).as_bytes()] {
        assert_eq!(found_in(&state, needle), Vec::<PathBuf>::new());
    }
    // Nobody else is forgotten.
    assert!(!found_in(&state, &other).is_empty() && !found_in(&state, b"C-000004").is_empty());
    let verified = ws.run(&["journal", "verify"]).expect(0);
    assert!(verified.stdout.contains("nothing is wrong"), "{}", verified.stdout);
    // The API knows the subject still: the next export sends it as a new one, and nobody else.
    ws.sync(&["export.csv", "--full"]).expect(0);
    ws.run(&["journal", "forget", "--user-external-id", GONE]).expect(0);
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("synced"), 1);
}

#[test]
fn killed_at_any_moment_it_is_completed_by_the_same_command() {
    let (ws, target) = with_history();
    let (state, id) = (ws.path("simsync-state"), subject_id(&ws, &target, GONE));
    for delay_ms in [1, 5, 10, 20, 30, 40, 60, 80, 120, 160] {
        kill_after(&mut ws.command(&["journal", "forget", "--user-external-id", GONE]), delay_ms);
        let stats = ws.run(&["journal", "verify"]);
        assert_eq!(stats.code, 0, "after {delay_ms} ms: {}{}", stats.stdout, stats.stderr);
    }
    ws.run(&["journal", "forget", "--user-external-id", GONE]).expect(0);
    for needle in [&id[..], GONE.as_bytes(), GONE_NUMBER.as_bytes()] {
        assert_eq!(found_in(&state, needle), Vec::<PathBuf>::new());
    }
    let stats = ws.run(&["journal", "stats", "--json"]).expect(0).stdout;
    let stats: Value = serde_json::from_str(stats.trim()).unwrap();
    assert!(stats["targets"][0]["subjects"].as_u64().unwrap() >= 39, "{stats}");
}

#[test]
fn a_field_that_is_no_key_forgets_nobody() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv"]).expect(0);
    let refused = ws.run(&["journal", "forget", "--imei", &imei(1)]).expect(2);
    assert!(refused.stderr.contains("--user-external-id"), "{}", refused.stderr);
    ws.run(&["journal", "forget"]).expect(2);
    ws.run(&["journal", "forget", "--before", "2020-01-01", "--user-external-id", "C-000001"]).expect(2);
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 3);
}

#[test]
fn a_subject_is_forgotten_at_every_target() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    for target in ["staging", "production"] {
        ws.configure(&format!("[api]\ntarget = \"{target}\"\n"));
        ws.sync(&["export.csv"]).expect(0);
    }
    let told = ws.run(&["journal", "forget", "--json", "--user-external-id", "C-000001"]).expect(0).stdout;
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!((&told["entries"], told["targets"].as_array().unwrap().len()), (&2.into(), 2));
}

#[test]
fn what_rehearsals_know_of_a_subject_is_forgotten_with_it() {
    let ws = Workspace::new();
    ws.write("export.csv", export(5));
    ws.write("bad.csv", format!("crm id,mobile,imei,tier\n{GONE},12,,basic\n"));
    ws.sync(&["export.csv"]).expect(0);
    ws.run(&["sync", "--sandbox", "bad.csv"]).expect(3);
    ws.run(&["sync", "--sandbox", "export.csv"]).expect(0);
    let state = ws.path("simsync-state");
    assert!(!found_in(&state.join("sandbox"), GONE.as_bytes()).is_empty());
    let told = ws.run(&["journal", "forget", "--json", "--user-external-id", GONE]).expect(0).stdout;
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!((&told["entries"], &told["rows"]), (&2.into(), &1.into()));
    assert_eq!(found_in(&state, GONE.as_bytes()), Vec::<PathBuf>::new());
}

#[test]
fn a_record_that_could_not_be_split_is_found_by_what_it_holds() {
    let ws = Workspace::new();
    ws.write(
        "export.csv",
        "crm id,mobile\nC-1,+447911000001\nC-2,+447911000002,surplus\nC-3,+447911000003,surplus\n",
    );
    ws.sync(&["export.csv"]).expect(3);
    ws.run(&["journal", "forget", "--user-external-id", "C-2"]).expect(0);
    let state = ws.path("simsync-state");
    assert_eq!(found_in(&state, b"447911000002"), Vec::<PathBuf>::new());
    assert_eq!(found_in(&state, b"447911000003").len(), 1);
}

#[test]
fn old_runs_go_with_yes_and_the_ledger_stays() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    let run = ws.sync(&["export.csv"]).expect(0).summary()["run_id"].as_str().unwrap().to_owned();
    let counted = ws.run(&["journal", "forget", "--before", "2999-01-01"]).expect(4);
    assert!(counted.stdout.contains("would remove 1 directory and 1 record"), "{}", counted.stdout);
    assert!(ws.path("simsync-state/runs").join(&run).exists());
    ws.run(&["journal", "forget", "--before", "2000-01-01"]).expect(0);
    ws.run(&["journal", "forget", "--before", "soon"]).expect(2);
    ws.run(&["journal", "forget", "--before", "2999-01-01", "--yes"]).expect(0);
    assert_eq!(found_in(&ws.path("simsync-state"), run.as_bytes()), Vec::<PathBuf>::new());
    assert_eq!(ws.run(&["runs"]).expect(0).stdout, "no runs yet\n");
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 3);
}

#[test]
fn runs_of_an_open_batch_stay() {
    let ws = Workspace::new();
    ws.write("export.csv", export(30));
    ws.sync(&["export.csv", "--max-rows", "5"]).expect(8);
    let told = ws.run(&["journal", "forget", "--before", "2999-01-01", "--yes"]).expect(0).stdout;
    assert!(told.contains("1 run of batches that are still open stay"), "{told}");
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("synced"), 25);
}

#[test]
fn entries_under_another_key_field_are_forgotten_by_its_value() {
    let ws = Workspace::new();
    ws.write("crm.csv", "crm id,mobile,imei\nC-1,+447910000001,356938035643809\nC-2,+447910000002,\n");
    ws.sync(&["crm.csv", "--key", "user_external_id"]).expect(0);
    ws.sync(&["crm.csv", "--key", "number"]).expect(0);
    ws.run(&["journal", "forget", "--user-external-id", "C-1"]).expect(0);
    ws.run(&["journal", "forget", "--number", "+447910000001"]).expect(0);
    let url = ws.sandbox.url();
    for key in ["user_external_id", "number"] {
        let plan = ws.run(&["plan", "crm.csv", "--key", key, "--api-url", &url, "--json"]).expect(0);
        assert_eq!(
            (plan.rows("unchanged"), plan.summary()["plan"]["subjects_new"].as_u64()),
            (1, Some(1)),
            "{key}"
        );
    }
    let nobody = ws.run(&["journal", "forget", "--imei", "356938035643809"]).expect(2);
    assert!(nobody.stderr.contains("none of the fields given is the key field"), "{}", nobody.stderr);
}

#[test]
fn under_another_key_field_too_what_was_begun_is_completed_by_the_same_command() {
    let ws = Workspace::new();
    ws.write("crm.csv", "crm id,mobile,imei\nC-1,+447910000001,356938035643809\nC-2,+447910000002,\n");
    ws.write("bad.csv", "mobile,imei\n+447910000001,12\n");
    ws.sync(&["crm.csv", "--key", "user_external_id"]).expect(0);
    ws.sync(&["crm.csv", "--key", "number"]).expect(0);
    ws.sync(&["bad.csv", "--key", "number"]).expect(3);
    let state = ws.path("simsync-state");
    assert_eq!(found_in(&state, b"447910000001").len(), 1);
    // Something stands in the way, when the half is done.
    let obstacle = ws.run_dirs()[0].join("strange.csv");
    fs::create_dir(&obstacle).unwrap();
    let forget = ["journal", "forget", "--number", "+447910000001"];
    assert_ne!(ws.run(&forget).code, 0);
    fs::remove_dir(&obstacle).unwrap();
    ws.run(&forget).expect(0);
    assert_eq!(found_in(&state, b"447910000001"), Vec::<PathBuf>::new());
}

#[test]
fn what_was_taken_from_the_ledger_alone_is_taken_from_the_store_by_the_same_command() {
    let ws = Workspace::with(Faults { latency_ms: 100, ..Faults::default() });
    ws.write("crm.csv", "crm id,mobile\nC-1,+447910000001\n");
    ws.sync(&["crm.csv"]).expect(0);
    ws.write("crm.csv", export(60));
    let mut killed = ws.sync_in_background(&["crm.csv", "--key", "number", "--concurrency", "1"]);
    ws.wait_for_requests(5);
    kill_9(&mut killed);
    let (state, number) = (ws.path("simsync-state"), "+447910000001");
    let target = Endpoint::parse(&ws.sandbox.url(), false).unwrap().target();
    let secret: [u8; 32] = fs::read(state.join("journal.key")).unwrap().try_into().unwrap();
    let id = StateKey::new(&secret).subject(&target, FieldKind::Number, number);
    // As far as a try comes that is killed before the store is written anew.
    let who = LockHolder { pid: 1, host: "here".into(), run_id: "forget".into(), since_s: 0 };
    let mut upkeep = Upkeep::open(&state, &who).unwrap().unwrap();
    assert_eq!(upkeep.forget_subjects(&[id]).unwrap(), 1);
    drop(upkeep);
    assert!(!found_in(&state, &id.0).is_empty(), "the store keeps what was deleted");
    ws.run(&["journal", "forget", "--number", number]).expect(2);
    assert_eq!(found_in(&state, &id.0), Vec::<PathBuf>::new());
}

#[test]
fn a_run_whose_last_failed_row_was_forgotten_has_nothing_to_replay() {
    let ws =
        Workspace::with(Faults { subject_statuses: [(GONE.to_owned(), 422)].into(), ..Faults::default() });
    ws.write("export.csv", export(40));
    ws.sync(&["export.csv"]).expect(3);
    ws.run(&["journal", "forget", "--user-external-id", GONE]).expect(0);
    let ran = ws.run(&["replay", "latest", "--kind", "refused", "--api-url", &ws.sandbox.url()]).expect(0);
    assert!(ran.stderr.contains("nothing to replay"), "{}", ran.stderr);
}
