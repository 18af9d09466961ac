//! `journal stats`, `verify` and `compact`, and who gets in whose way.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, TOKEN, Workspace, binary, export, finish, kill_after, skipped};
use crate::witness::kill_9;

fn json(ran: &Ran) -> Value {
    serde_json::from_str(ran.stdout.trim()).unwrap()
}

fn ledger(state: &Path) -> PathBuf {
    let entries = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    entries.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "grenad")).unwrap()
}

#[test]
fn stats_tell_targets_batches_subjects_and_sizes() {
    let ws = Workspace::with(Faults {
        subject_statuses: [("C-000001".to_owned(), 422)].into(),
        ..Faults::default()
    });
    ws.write("export.csv", export(20));
    ws.sync(&["export.csv", "--max-rows", "10"]).expect(8);
    let told = json(&ws.run(&["journal", "stats", "--json"]).expect(0));
    assert_eq!(
        (&told["type"], &told["entries"], &told["runs"]),
        (&"journal_stats".into(), &10.into(), &1.into())
    );
    let target = &told["targets"][0];
    assert_eq!(
        (&target["key"], &target["batches"], &target["subjects"]),
        (&"user_external_id".into(), &1.into(), &10.into())
    );
    assert_eq!((&target["subjects_failed"], &target["open_batches"][0]["rows"]), (&1.into(), &20.into()));
    assert!(target["newest_acknowledgement"]["at"].is_string());
    assert!(told["disk"]["ledger_bytes"].as_u64().unwrap() > 0);
    let text = ws.run(&["journal", "stats"]).expect(0).stdout;
    assert!(text.contains("10 entries") && text.contains("1 failed"), "{text}");
    assert!(!text.contains("C-0000"), "{text}");
}

#[test]
fn there_must_be_a_journal_and_none_is_made() {
    let ws = Workspace::new();
    for tool in ["stats", "verify", "compact"] {
        let refused = ws.run(&["journal", tool]).expect(2);
        assert!(
            refused.stderr.contains("there is no journal") && refused.stderr.contains("--state"),
            "{tool}"
        );
    }
    assert!(!ws.path("simsync-state").exists());
}

#[test]
fn while_a_run_is_on_they_say_so() {
    let ws = Workspace::with(Faults { latency_ms: 500, ..Faults::default() });
    ws.write("export.csv", export(200));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(2);
    for tool in [&["stats"][..], &["verify"], &["compact"], &["forget", "--user-external-id", "C-1"]] {
        let args: Vec<&str> = std::iter::once("journal").chain(tool.iter().copied()).collect();
        let refused = ws.run(&args).expect(11);
        assert!(refused.stderr.contains(&run.id().to_string()), "{}", refused.stderr);
    }
    kill_9(&mut run);
}

#[test]
fn verify_reads_everything_and_changes_nothing() {
    let ws = Workspace::with(crate::witness::frozen_after(500));
    ws.write("export.csv", export(600));
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(400);
    kill_9(&mut run);
    let state = ws.path("simsync-state");
    let before = fs::read(state.join("journal/db")).unwrap();
    let told = json(&ws.run(&["journal", "verify", "--json"]).expect(0));
    assert_eq!(told["sound"], true);
    assert!(told["log_records"].as_u64().unwrap() > 300, "the log of a killed run is not folded: {told}");
    assert!(fs::read(state.join("journal/db")).unwrap() == before, "the store is as it was");
    assert!(!state.join("journal.verify").exists());
    ws.sandbox.set_faults(Faults::default()).unwrap();
    ws.sync(&["export.csv"]).expect(0);
    let told = json(&ws.run(&["journal", "verify", "--json"]).expect(0));
    assert_eq!((&told["sound"], &told["entries"]), (&true.into(), &600.into()));
}

#[test]
fn verify_says_what_is_damaged_and_what_is_lost() {
    let ws = Workspace::new();
    ws.write("export.csv", export(2_000));
    ws.sync(&["export.csv"]).expect(0);
    let state = ws.path("simsync-state");
    let (file, key) = (ledger(&state), state.join("journal.key"));
    let flip = |path: &Path, at: u64| {
        let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    };
    flip(&file, 50_000);
    let damaged = ws.run(&["journal", "verify", "--json"]).expect(13);
    let told = json(&damaged);
    assert_eq!(told["sound"], false);
    let what = told["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains("1 of ") && what.contains("pages"), "{what}");
    let lost = told["findings"][0]["lost"].as_str().unwrap();
    assert!(lost.contains("of 2,000 subjects"), "{lost}");
    assert!(told["entries"].as_u64().unwrap() < 2_000);
    assert!(damaged.stderr.contains("journal adopt"), "{}", damaged.stderr);
    // One fault does not hide another.
    let secret = fs::read(&key).unwrap();
    fs::write(&key, [7; 32]).unwrap();
    let told = json(&ws.run(&["journal", "verify", "--json"]).expect(13));
    let findings: Vec<&str> = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["what"].as_str().unwrap())
        .collect();
    assert!(findings.iter().any(|what| what.contains("journal.key")), "{findings:?}");
    assert!(findings.iter().any(|what| what.contains("pages")), "{findings:?}");
    fs::write(&key, secret).unwrap();
    flip(&file, 50_000);
    ws.run(&["journal", "verify"]).expect(0);
    fs::remove_file(&file).unwrap();
    ws.run(&["journal", "verify"]).expect(13);
}

#[test]
fn every_kind_of_damage_is_found_by_verify() {
    let ws = Workspace::new();
    ws.write("export.csv", export(500));
    ws.sync(&["export.csv"]).expect(0);
    let (state, copy) = (ws.path("simsync-state"), ws.path("copy"));
    crate::witness::copy_dir(&state, &copy);
    for file in ["journal.key", "journal.watermark", "journal/db"] {
        for keep in [0, 2] {
            let path = state.join(file);
            match keep {
                0 => fs::remove_file(&path).unwrap(),
                _ => fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(keep).unwrap(),
            }
            let damaged = ws.run(&["journal", "verify"]).expect(13);
            assert!(damaged.stdout.contains("lost:"), "{file}: {}", damaged.stdout);
            fs::remove_dir_all(&state).unwrap();
            crate::witness::copy_dir(&copy, &state);
        }
    }
}

/// Runs the binary where the workspace's state directory is mounted read-only, and a directory for temporary files is
/// not; in name spaces of its own, so that it takes no privileges. `None` where the system does not permit that.
fn mounted_read_only(ws: &Workspace, args: &[&str]) -> Option<Ran> {
    const MOUNT: &str = "mount -t tmpfs none mounted && cp -a simsync-state/. mounted \
                         && mount -o remount,ro mounted || exit 99; ! touch mounted/file 2>&- || exit 99; exec \"$@\"";
    fs::create_dir_all(ws.path("mounted")).unwrap();
    fs::create_dir_all(ws.path("temporary")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]).arg(binary()).args(args);
    command.args(["--state", "mounted"]).current_dir(ws.dir.path());
    command.env("TMPDIR", ws.path("temporary")).env("SIMSYNC_TOKEN", TOKEN);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let can = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    let ran = can.is_ok_and(|output| output.status.success()).then(|| finish(command));
    let ran = ran.filter(|ran| ran.code != 99);
    if ran.is_none() {
        skipped("nothing can be mounted here");
    }
    ran
}

#[test]
fn on_a_read_only_file_system_verify_reads_everything_and_the_others_say_why_not() {
    let ws = Workspace::with(crate::witness::frozen_after(150));
    ws.write("export.csv", export(200));
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(100);
    kill_9(&mut run);
    let Some(verified) = mounted_read_only(&ws, &["journal", "verify", "--json"]) else { return };
    let told = json(&verified.expect(0));
    assert_eq!((&told["sound"], &told["read_only"]), (&true.into(), &true.into()), "{told}");
    assert!(told["log_records"].as_u64().unwrap() > 80, "the log of a killed run is not folded: {told}");
    let left = fs::read_dir(ws.path("temporary")).unwrap().count();
    assert_eq!(left, 0, "no copy of the store is left behind");
    let url = ws.sandbox.url();
    for args in [&["sync", "export.csv", "--api-url", &url][..], &["journal", "compact"]] {
        let refused = mounted_read_only(&ws, args).unwrap().expect(13);
        assert!(refused.stderr.contains("nothing is wrong with the journal"), "{}", refused.stderr);
    }
    // What needs no lock is no matter of writing.
    ws.sandbox.set_faults(Faults::default()).unwrap();
    ws.sync(&["export.csv"]).expect(0);
    let found = mounted_read_only(&ws, &["lookup", "--user-external-id", "C-000001"]).unwrap().expect(0);
    assert!(found.stdout.contains("acknowledged"), "{}", found.stdout);
    // Damage is damage there, too.
    let file = fs::OpenOptions::new().write(true).open(ws.path("simsync-state/journal/db")).unwrap();
    file.set_len(2).unwrap();
    let damaged = mounted_read_only(&ws, &["journal", "verify"]).unwrap().expect(13);
    assert!(damaged.stdout.contains("lost:") && damaged.stdout.contains("read-only"), "{}", damaged.stdout);
}

#[test]
fn compact_gives_space_back_and_keeps_everything() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3_000));
    ws.sync(&["export.csv"]).expect(0);
    ws.sync(&["export.csv", "--full", "--max-rows", "100"]).expect(8);
    let before = json(&ws.run(&["journal", "stats", "--json"]).expect(0));
    let told = json(&ws.run(&["journal", "compact", "--json"]).expect(0));
    let size = |when: &str| told[when]["store_bytes"].as_u64().unwrap();
    assert!(size("after") <= size("before"), "{told}");
    let after = json(&ws.run(&["journal", "stats", "--json"]).expect(0));
    for member in ["entries", "targets", "runs", "generation"] {
        assert_eq!(before[member], after[member], "{member}");
    }
    ws.run(&["journal", "verify"]).expect(0);
    // The open batch is open still: rows acknowledged in it are settled.
    assert_eq!(ws.sync(&["export.csv", "--full"]).expect(0).rows("synced"), 2_900);
}

#[test]
fn compact_killed_at_any_moment_leaves_a_whole_journal() {
    let ws = Workspace::new();
    ws.write("export.csv", export(300));
    ws.sync(&["export.csv"]).expect(0);
    for delay_ms in [2, 8, 15, 25, 35, 50, 70, 90, 120, 160] {
        kill_after(&mut ws.command(&["journal", "compact"]), delay_ms);
        assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 300, "after {delay_ms} ms");
    }
    ws.run(&["journal", "verify"]).expect(0);
    let state = ws.path("simsync-state");
    assert!(!state.join("journal.new").exists() && !state.join("journal.old").exists());
}

#[test]
fn subjects_in_doubt_are_as_many_to_stats_to_the_plan_and_to_the_resume() {
    for policy in ["fold", "each"] {
        let ws = Workspace::with(Faults { latency_ms: 100, ..Faults::default() });
        let twice = |row: &str| format!("{row}\n{}\n", row.replace("basic", "gold"));
        let rows: String = export(200).lines().skip(1).map(twice).collect();
        ws.write("export.csv", format!("crm id,mobile,imei,tier\n{rows}"));
        let args = ["export.csv", "--duplicates", policy, "--concurrency", "8"];
        let mut run = ws.sync_in_background(&args);
        ws.wait_for_requests(30);
        kill_9(&mut run);
        let in_doubt = |told: &Value| told["subjects_in_doubt"].as_u64().unwrap();
        let stats = in_doubt(&json(&ws.run(&["journal", "stats", "--json"]).expect(0))["targets"][0]);
        assert!(stats > 7, "{stats} are in doubt");
        let url = ws.sandbox.url();
        let plan = ws.run(&[&["plan", "--api-url", &url], &args[..3]].concat()).expect(0).stderr;
        assert!(plan.contains(&format!("in doubt: {stats} subjects")), "{policy}: {stats} in {plan}");
        let resumed = ws.sync(&args).expect(0).summary();
        assert_eq!(in_doubt(&resumed["plan"]), stats, "{policy}");
        assert_eq!(resumed["rows"]["in_doubt"], 0, "{policy}");
        let stats = json(&ws.run(&["journal", "stats", "--json"]).expect(0));
        assert_eq!(in_doubt(&stats["targets"][0]), 0, "{policy}");
    }
}
