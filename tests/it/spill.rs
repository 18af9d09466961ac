//! A survey beyond its memory: the same rulings, requests and row files; room that lacks; what is sent
//! where only changes are.
//!
//! Not here: the plan's laws (`src/survey/gather/tests.rs`).

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, finish};

/// Rows of the large export: several times what 1 MiB holds.
const ROWS: u32 = 24_000;

/// Subjects of it.
const SUBJECTS: u32 = 400;

/// Many rows of a few hundred subjects, of which some claim one number, some rows are rejected, and some repeat the row
/// before.
fn large() -> String {
    let mut text = String::from("crm id,mobile,imsi,tier\n");
    for row in 0..ROWS {
        let subject = row % SUBJECTS;
        let number = if subject < 40 { subject / 2 } else { subject };
        let imsi = if row % 97 == 5 { "12".to_owned() } else { format!("31026000{subject:07}") };
        let tier = if row + SUBJECTS >= ROWS { "last".to_owned() } else { format!("t{}", row / 7) };
        writeln!(text, "C-{subject:06},+4479{:08},{imsi},{tier}", 10_000_000 + number).unwrap();
    }
    text
}

/// Everything of a run's rows that does not carry its name.
fn row_files(workspace: &Workspace) -> Vec<String> {
    let run = workspace.run_dirs().pop().unwrap();
    let id = run.file_name().unwrap().to_string_lossy().into_owned();
    let files = ["rejected.csv", "failed.csv", "conflict.csv", "superseded.csv", "in_doubt.csv"];
    let texts = files.iter().map(|name| fs::read_to_string(run.join(name)).unwrap_or_default());
    texts.map(|text| text.replace(&id, "RUN")).collect()
}

fn notices(ran: &Ran) -> Vec<String> {
    let lines = ran.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| Some(line.get("text")?.as_str()?.to_owned())).collect()
}

#[test]
fn beyond_its_memory_a_survey_rules_and_tells_the_same() {
    let export = large();
    let run = |config: &str| {
        let workspace = Workspace::new();
        workspace.configure(config);
        workspace.write("crm.csv", &export);
        let first = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        let files = row_files(&workspace);
        let plan =
            workspace.run(&["plan", "--api-url", &workspace.sandbox.url(), "--json", "crm.csv"]).expect(3);
        let told = notices(&first).iter().any(|text| text.contains("the survey needs at most about"));
        assert_eq!(
            fs::read_dir(workspace.path("simsync-state"))
                .unwrap()
                .filter(|entry| { entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".tmp") })
                .count(),
            0,
            "nothing is left of the private file"
        );
        let server: Vec<_> = (0..SUBJECTS)
            .map(|subject| workspace.at_server(&format!("C-{subject:06}"), "user_class"))
            .collect();
        let counts = [&first, &plan].map(|ran| ran.summary()["rows"].clone());
        (files, counts, server, told)
    };
    let (small, large) = (run("[plan]\nmemory_max = \"1MiB\"\n"), run(""));
    assert!(small.3 && !large.3, "only what is beyond memory needs the disk");
    assert!(large.0[0].lines().count() > 200, "rejected rows are listed");
    assert_eq!((&small.0, &small.1, &small.2), (&large.0, &large.1, &large.2));
    assert_eq!(
        large.1[0]["conflict"].as_u64(),
        Some(40 * u64::from(ROWS / SUBJECTS) - rejected_of_conflicts())
    );
}

/// Rejected rows of the subjects that claim a number together.
fn rejected_of_conflicts() -> u64 {
    (0..ROWS).filter(|row| row % 97 == 5 && row % SUBJECTS < 40).count() as u64
}

#[test]
fn beyond_its_memory_a_run_lists_the_same_failures() {
    // All rows of two thirds of the subjects share the fate of an update that is refused, one way or the other.
    let refused = (0..SUBJECTS).filter(|subject| subject % 3 > 0);
    let status = |subject: u32| if subject % 3 == 1 { 422 } else { 404 };
    let subject_statuses = refused.map(|subject| (format!("C-{subject:06}"), status(subject))).collect();
    let faults = Faults { subject_statuses, ..Faults::default() };
    let run = |config: &str| {
        let workspace = Workspace::with(faults.clone());
        workspace.configure(config);
        workspace.write("crm.csv", large());
        let first = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        let files = row_files(&workspace);
        // A resume sends nothing of it again and lists it all the same.
        let resumed = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        assert_eq!((first.rows("failed"), resumed.rows("failed")), (240, 240));
        (files, row_files(&workspace))
    };
    let (small, large) = (run("[plan]\nmemory_max = \"1MiB\"\n"), run(""));
    let failed = &large.0[1];
    assert!(failed.lines().count() > 14_000, "every row of a refused update is listed");
    assert_eq!(large.1[1].lines().count(), failed.lines().count());
    assert!(small == large, "the row files differ");
}

#[test]
fn a_disk_that_is_full_ends_the_survey_with_its_reason() {
    let workspace = Workspace::new();
    workspace.configure("[plan]\nmemory_max = \"1MiB\"\n");
    workspace.write("crm.csv", large());
    // A file of this process may have 4 KiB; the signal that says so is ignored, as a full disk sends none.
    let url = workspace.sandbox.url();
    let plain = workspace.command(&["plan", "--api-url", &url, "crm.csv"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(workspace.dir.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.env("TMPDIR", workspace.dir.path());
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish(shell).expect(1);
    assert!(ran.stderr.contains("the rows of the survey cannot be kept"), "{}", ran.stderr);
    assert!(ran.stderr.contains("free space there"), "{}", ran.stderr);
}

#[test]
fn only_the_key_and_what_changed_is_sent_where_that_is_asked_for() {
    let workspace = Workspace::new();
    let (old, new) = ("C-1,+447910000001,basic\nC-2,+447910000002,basic\n", "C-1,+447910000001,gold\n");
    workspace.write("crm.csv", format!("crm id,mobile,tier\n{old}"));
    workspace.sync(&["--send", "changed", "crm.csv"]).expect(0);
    workspace.write(
        "crm.csv",
        format!("crm id,mobile,tier\n{new}C-2,+447910000002,basic\nC-3,+447910000003,basic\n"),
    );
    let ran = workspace.sync(&["--send", "changed", "crm.csv"]).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (2, 1));
    let sent = |key: &str| {
        let last = workspace.history(key).pop().unwrap();
        last.fields.keys().map(|field| field.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(sent("C-1"), ["user_class", "user_external_id"]);
    assert_eq!(sent("C-3"), ["number", "user_class", "user_external_id"]);
    assert_eq!(workspace.at_server("C-1", "number").as_deref(), Some("+447910000001"));
    // What was left out is known all the same, and the same file again has nothing to do.
    let ran = workspace.sync(&["crm.csv"]).expect(0);
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (0, 3));
    // A full run sends all fields of all rows.
    let ran = workspace.sync(&["--send", "changed", "--full", "crm.csv"]).expect(0);
    assert_eq!(ran.rows("synced"), 3);
    assert_eq!(sent("C-1"), ["number", "user_class", "user_external_id"]);
}

#[test]
fn a_disk_that_is_full_when_what_became_of_updates_is_kept_ends_the_run_with_its_place_and_loses_nothing() {
    let refused = (0..SUBJECTS).filter(|subject| subject % 3 > 0);
    let subject_statuses = refused.map(|subject| (format!("C-{subject:06}"), 422)).collect();
    let workspace = Workspace::with(Faults { subject_statuses, ..Faults::default() });
    // What the survey knows fits into memory, what became of the rows of refused updates does not.
    workspace.configure("[plan]\nmemory_max = \"6MiB\"\n");
    let rows = large().lines().skip(1).map(|row| row.replace(",12,", ",,") + "\n").collect::<String>();
    workspace.write("crm.csv", format!("crm id,mobile,imsi,tier\n{}", rows.repeat(2)));
    // A file of this process may have a MiB; the survey's rows and the journal need none as large.
    let plain = workspace.sync_command(&["crm.csv"]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 2048; exec \"$0\" \"$@\""]);
    shell.arg(plain.get_program()).args(plain.get_args());
    shell.current_dir(workspace.dir.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish(shell).expect(1).expect_books();
    let told = &ran.stderr;
    assert!(told.contains("what became of updates cannot be kept"), "{told}");
    assert!(told.contains("simsync-state") && told.contains("free space there"), "{told}");
    assert!(told.contains("run the same command again") && told.contains("nothing is lost"), "{told}");
    let synced = ran.rows("synced");
    assert!(synced > 0, "{}", ran.stdout);
    let requests = workspace.sandbox.stats().requests;
    let again = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!(workspace.sandbox.stats().requests, requests, "nothing was sent twice");
    assert_eq!((again.rows("synced"), again.rows("failed")), (0, ran.rows("failed")));
    let listed = workspace.last_run_file("failed.csv").unwrap().lines().count();
    assert!(listed > 25_000, "{listed} rows are listed");
}
