//! Tools where the state directory is not as they like it: rows read under other options, lost stores, full disks,
//! first runs.

use std::fs;
use std::path::Path;

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::state_dir::SmallDisk;
use crate::support::{Workspace, export, imei, kill_after};
use crate::witness::kill_9;

const GONE: &str = "+447911123456";

fn row_files(ws: &Workspace) -> String {
    let names = ["failed.csv", "rejected.csv"];
    names.iter().filter_map(|name| ws.last_run_file(name)).collect()
}

#[test]
fn rows_are_forgotten_as_the_run_read_them() {
    let ws = Workspace::new();
    let text = "mobile,imei,tier\n07911 123456,12,basic\n07911 123457,12,basic\n07911 123458,,basic\n";
    ws.write("export.csv", text);
    let read = ["export.csv", "--key", "number", "--default-country", "GB", "--yes"];
    ws.sync(&read).expect(3);
    assert!(row_files(&ws).contains("07911 123456"));
    ws.run(&["journal", "forget", "--number", GONE]).expect(0);
    let left = row_files(&ws);
    assert!(!left.contains("07911 123456") && left.contains("07911 123457"), "{left}");
}

#[test]
fn rows_whose_key_nobody_can_read_are_told_and_dropped_on_demand() {
    let ws = Workspace::new();
    let text = "mobile,imei,tier\n07911 12345X,,basic\n+447911123457,12,basic\n+447911123458,,basic\n";
    ws.write("export.csv", text);
    ws.sync(&["export.csv", "--key", "number", "--yes"]).expect(3);
    let told = ws.run(&["journal", "forget", "--json", "--number", "+447911123458"]).expect(3);
    let message: Value = serde_json::from_str(told.stdout.trim()).unwrap();
    assert_eq!((&message["entries"], &message["rows_unread"]), (&1.into(), &1.into()));
    assert!(
        told.stdout.contains("rejected.csv") && told.stderr.contains("--drop-unreadable"),
        "{}{}",
        told.stdout,
        told.stderr
    );
    assert!(row_files(&ws).contains("12345X"));
    let drop = ["journal", "forget", "--number", "+447911123458", "--drop-unreadable"];
    ws.run(&drop).expect(0);
    let left = row_files(&ws);
    assert!(!left.contains("12345X") && left.contains("+447911123457"), "{left}");
}

#[test]
fn rows_that_were_not_adopted_are_sent_once_corrected() {
    let ws = Workspace::new();
    ws.write("export.csv", "crm id,mobile,tier\nA,+447911000001,basic\nB,12,basic\n");
    let url = ws.sandbox.url();
    let adopted = ws.run(&["journal", "adopt", "--api-url", &url, "export.csv", "--yes"]).expect(3);
    let next: Vec<&str> = adopted.stderr.lines().filter(|line| line.contains("rejected.csv")).collect();
    assert!(next.iter().any(|line| line.contains("simsync sync --api-url")), "{}", adopted.stderr);
    assert!(!next.iter().any(|line| line.contains("adopt")), "{next:?}");
}

/// Removes the journal from a state directory, and nothing else.
fn lose_store(state: &Path) {
    fs::remove_dir_all(state.join("journal")).unwrap();
    fs::remove_file(state.join("journal.watermark")).unwrap();
    for entry in fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "grenad") {
            fs::remove_file(path).unwrap();
        }
    }
}

#[test]
fn a_state_directory_that_lost_its_store_does_not_begin_anew() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv"]).expect(0);
    let state = ws.path("simsync-state");
    lose_store(&state);
    let url = ws.sandbox.url();
    for kept in ["targets.json and runs", "runs"] {
        let refused = ws.sync(&["export.csv"]).expect(13);
        assert!(refused.stderr.contains("the store is missing"), "{kept}: {}", refused.stderr);
        assert!(refused.stderr.contains("--state"), "{kept}: {}", refused.stderr);
        let verified = ws.run(&["journal", "verify"]).expect(13);
        assert!(verified.stdout.contains("the store is missing"), "{kept}: {}", verified.stdout);
        let doctor = ws.run(&["doctor", "--api-url", &url]);
        assert!(
            doctor.code != 0 && doctor.stdout.contains("the store is missing"),
            "{kept}: {}",
            doctor.stdout
        );
        ws.run(&["lookup", "--user-external-id", "C-000001"]).expect(13);
        ws.run(&["plan", "export.csv", "--api-url", &url]).expect(13);
        fs::remove_file(state.join("targets.json")).ok();
    }
    assert_eq!(ws.sandbox.stats().requests, 3);
    // A run that never ended, and of which no target knows, has sent nothing.
    let run = ws.run_dirs().pop().unwrap();
    fs::remove_file(run.join("summary.json")).unwrap();
    ws.sync(&["export.csv"]).expect(0);
}

#[test]
fn a_journal_whose_creation_was_killed_is_whole() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv"]).expect(0);
    let (old, state) = (ws.path("old"), ws.path("simsync-state"));
    fs::rename(&state, &old).unwrap();
    fs::create_dir_all(state.join("journal")).unwrap();
    fs::copy(old.join("journal.key"), state.join("journal.key")).unwrap();
    let told = ws.run(&["journal", "verify"]).expect(0).stdout;
    assert!(told.contains("nothing was ever recorded"), "{told}");
    for delay_ms in (1..40).step_by(3) {
        fs::remove_dir_all(&state).unwrap();
        kill_after(&mut ws.sync_command(&["export.csv"]), delay_ms);
        if !state.exists() {
            fs::create_dir(&state).unwrap();
        }
        let verified = ws.run(&["journal", "verify"]);
        assert!([0, 2].contains(&verified.code), "after {delay_ms} ms: {}", verified.stdout);
    }
}

#[test]
fn a_full_disk_is_no_damage() {
    let ws = Workspace::new();
    ws.write("export.csv", export(20));
    let Some(disk) = SmallDisk::mounted(ws.path("simsync-state"), "3m") else {
        crate::support::skipped("this user may not mount a file system");
        return;
    };
    ws.sync(&["export.csv"]).expect(0);
    let mut ballast = vec![0; 3 << 20];
    while !ballast.is_empty() && fs::write(disk.path.join("ballast"), &ballast).is_err() {
        ballast.truncate(ballast.len() - 4096);
    }
    // Without a page for the lock nobody could begin.
    let unlocked = ws.run(&["journal", "verify"]).expect(1);
    assert!(unlocked.stderr.contains("not be checked"), "{}", unlocked.stderr);
    let file = fs::OpenOptions::new().write(true).open(disk.path.join("ballast")).unwrap();
    file.set_len(file.metadata().unwrap().len() - (16 << 10)).unwrap();
    let verified = ws.run(&["journal", "verify"]).expect(0);
    assert!(verified.stdout.contains("nothing is wrong"), "{}", verified.stdout);
    let mut command = ws.command(&["journal", "verify"]);
    command.env("TMPDIR", &disk.path);
    let unchecked = crate::support::finish(command).expect(1);
    assert!(unchecked.stderr.contains("not be checked") && !unchecked.stderr.contains("damaged"));
    assert!(unchecked.stderr.contains("space"), "{}", unchecked.stderr);
}

#[test]
fn during_the_first_run_nothing_is_known_yet() {
    let ws = Workspace::with(Faults { latency_ms: 400, ..Faults::default() });
    ws.write("export.csv", export(100));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(2);
    let text = ws.run(&["lookup", "--user-external-id", "C-000000", "--api-url", &ws.sandbox.url()]);
    let json =
        ws.run(&["lookup", "--json", "--user-external-id", "C-000000", "--api-url", &ws.sandbox.url()]);
    kill_9(&mut run);
    let text = text.expect(0).stdout;
    assert!(text.contains("not known yet"), "{text}");
    assert!(!text.contains("nothing is known") && !text.contains("nothing was ever sent"), "{text}");
    let told: Value = serde_json::from_str(json.expect(0).stdout.trim()).unwrap();
    assert_eq!((&told["found"], &told["not_known_yet"]), (&false.into(), &true.into()));
}

#[test]
fn a_failure_that_was_overtaken_is_told_no_more() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    ws.sync(&["export.csv"]).expect(0);
    ws.fault(Faults { subject_statuses: [("C-000001".to_owned(), 422)].into(), ..Faults::default() });
    ws.write("changed.csv", export(3).replace(&imei(1), &imei(9)));
    ws.sync(&["changed.csv"]).expect(3);
    let failed = || {
        let told = ws.run(&["journal", "stats", "--json"]).expect(0).stdout;
        let told: Value = serde_json::from_str(told.trim()).unwrap();
        told["targets"][0]["subjects_failed"].as_u64().unwrap()
    };
    assert_eq!(failed(), 1);
    ws.fault(Faults::default());
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 3);
    assert_eq!(failed(), 0);
    let told = ws.run(&["lookup", "--json", "--user-external-id", "C-000001"]).expect(0).stdout;
    let told: Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!(told["subjects"][0]["failures"].as_array().unwrap().len(), 0, "{told}");
}
