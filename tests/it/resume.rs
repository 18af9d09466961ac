//! What may change between an interrupted run and the one that goes on with it: the file's name, its order, its
//! lines, its mapping, the policy, the token, its very bytes.
//!
//! Not here: the instants at which a run can be killed (`kill.rs`).

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};

use simsync::sandbox::{Faults, TokenAfter};

use crate::support::{TOKEN, Workspace, export, imei, ran};
use crate::witness::{Aftermath, Export, Finals, check_finals, frozen_after, kill_9, number};

/// Token that takes over from the first.
const NEW_TOKEN: &str = "canary-token-renewed-77";

/// Runs the export and kills it in the middle.
fn interrupted(export: &Export, args: &[&str]) -> (Workspace, Aftermath) {
    let ws = Workspace::with(frozen_after(900));
    ws.write("export.csv", &export.text);
    let mut run = ws.sync_in_background(args);
    ws.wait_for_requests(600);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    aftermath.check();
    assert!(!aftermath.acked.is_empty(), "killed before anything was committed");
    (ws, aftermath)
}

/// Nothing committed went out again, and every subject has its final values.
#[track_caller]
fn check_resumed(ws: &Workspace, aftermath: &Aftermath, finals: &Finals) {
    for request in aftermath.later(ws) {
        let key = request.subject.unwrap();
        assert!(!aftermath.acked.contains(&key), "{key} was committed, and is sent again");
    }
    check_finals(ws, finals);
}

#[test]
fn of_a_renamed_file() {
    let export = Export::new(1_600);
    let (ws, aftermath) = interrupted(&export, &["export.csv"]);
    fs::rename(ws.path("export.csv"), ws.path("export of tonight.csv")).unwrap();
    let resumed = ws.sync(&["export of tonight.csv"]).expect(3).expect_books();
    // The name is no part of the batch.
    assert_eq!(resumed.summary()["resumed"], true);
    aftermath.check_resume(&ws, &export, &resumed);
}

/// A plan between the two runs says what the second will do, and changes nothing for it.
#[test]
fn after_a_plan() {
    let export = Export::new(1_600);
    let (ws, aftermath) = interrupted(&export, &["export.csv"]);
    let url = ws.sandbox.url();
    let planned = ws.run(&["plan", "--api-url", &url, "--json", "export.csv"]).expect(3);
    assert_eq!(ws.sandbox.stats().requests, aftermath.seq, "a plan sent something");
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
    for told in ["rows", "in_doubt_resent", "in_doubt_places", "field_changes"] {
        assert_eq!(planned.summary()["plan"][told], resumed.summary()["plan"][told], "{told}");
    }
}

#[test]
fn of_a_file_in_another_order() {
    let mut export = Export::new(0);
    for serial in 0..1_600 {
        export.row(serial, "basic");
    }
    let (ws, aftermath) = interrupted(&export, &["export.csv"]);
    let (header, rows) = export.text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    ws.write("export.csv", format!("{header}\n{}\n", rows.join("\n")));
    let resumed = ws.sync(&["export.csv"]).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], false);
    assert_eq!(resumed.rows("unchanged"), u64::try_from(aftermath.acked.len()).unwrap());
    check_resumed(&ws, &aftermath, &export.finals);
}

#[test]
fn of_a_file_with_a_line_inserted_at_the_top() {
    let export = Export::new(1_600);
    let (ws, aftermath) = interrupted(&export, &["export.csv"]);
    let mut edited = Export::new(0);
    edited.row(500_000, "gold");
    let (_, rows) = export.text.split_once('\n').unwrap();
    ws.write("export.csv", format!("{}{rows}", edited.text));
    ws.sync(&["export.csv"]).expect(3).expect_books();
    edited.finals.extend(export.finals);
    check_resumed(&ws, &aftermath, &edited.finals);
}

#[test]
fn of_a_file_split_in_two() {
    let mut export = Export::new(0);
    for serial in 0..1_600 {
        export.row(serial, "basic");
    }
    let (ws, aftermath) = interrupted(&export, &["export.csv"]);
    let (header, rows) = export.text.split_once('\n').unwrap();
    let (first, second) = rows.split_at(rows.len() / 2 + rows[rows.len() / 2..].find('\n').unwrap() + 1);
    ws.write("part 1.csv", format!("{header}\n{first}"));
    ws.write("part 2.csv", format!("{header}\n{second}"));
    ws.sync(&["part 1.csv", "part 2.csv"]).expect(0).expect_books();
    check_resumed(&ws, &aftermath, &export.finals);
}

/// What the unchanged rule cannot resume, the batch does.
#[test]
fn of_a_full_run() {
    let export = Export::new(1_600);
    let ws = Workspace::new();
    ws.write("export.csv", &export.text);
    ws.sync(&["export.csv"]).expect(3).expect_books();
    // All is unchanged, and all is to be sent.
    let before = ws.sandbox.stats().requests;
    ws.sandbox.set_faults(frozen_after(900)).unwrap();
    let mut run = ws.sync_in_background(&["export.csv", "--full"]);
    ws.wait_for_requests(before + 600);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&["export.csv", "--full"]).expect(3).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    let all: Vec<_> = ws.sandbox.requests().into_iter().filter(|request| request.seq > before).collect();
    let subjects: BTreeSet<_> = all.iter().map(|request| request.subject.clone()).collect();
    assert_eq!(subjects.len(), export.finals.len(), "--full sends everything");
    let first: BTreeSet<_> = all
        .iter()
        .filter(|request| request.seq <= aftermath.seq)
        .map(|request| request.subject.clone().unwrap())
        .collect();
    let doubled = aftermath.later(&ws).into_iter().filter_map(|request| request.subject);
    let doubled: BTreeSet<_> = doubled.filter(|key| first.contains(key)).collect();
    assert!(doubled.is_subset(&aftermath.in_doubt), "a settled row is sent again");
    assert_eq!(resumed.rows("unchanged"), rows_of(&export, |key| !is_requested(&aftermath, &ws, key)));
    // Closed now: the next one is full again.
    let again = ws.sync(&["export.csv", "--full"]).expect(3).expect_books();
    assert_eq!(again.summary()["attempts"], export.finals.len());
}

fn rows_of(export: &Export, is_counted: impl Fn(&String) -> bool) -> u64 {
    u64::try_from(export.subjects.iter().filter(|key| is_counted(key)).count()).unwrap()
}

fn is_requested(aftermath: &Aftermath, ws: &Workspace, key: &str) -> bool {
    let history = ws.sandbox.subject(key).unwrap().history;
    history.iter().any(|request| request.seq > aftermath.seq)
}

/// Under `each` a subject's rows go out one by one, in order, and the resume goes on behind the last settled one.
#[test]
fn of_a_run_that_sends_each_row() {
    let mut export = Export::new(0);
    for round in ["basic", "silver", "gold"] {
        (0..800).for_each(|serial| export.row(serial, round));
    }
    let args = ["export.csv", "--duplicates", "each"];
    let ws = Workspace::with(frozen_after(1_800));
    ws.write("export.csv", &export.text);
    let mut run = ws.sync_in_background(&args);
    ws.wait_for_requests(1_200);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&args).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], true);
    check_finals(&ws, &export.finals);
    let mut doubles = 0;
    for subject in ws.sandbox.subjects() {
        let history = ws.sandbox.subject(&subject.key).unwrap().history;
        let tiers: Vec<String> = history
            .iter()
            .filter(|request| request.applied)
            .map(|request| request.fields["user_class"].clone().unwrap())
            .collect();
        let mut once = tiers.clone();
        once.dedup();
        assert_eq!(once, ["basic", "silver", "gold"], "{} in order, each of them", subject.key);
        if once.len() < tiers.len() {
            assert!(aftermath.in_doubt.contains(&subject.key), "{} is doubled for no reason", subject.key);
        }
        doubles += tiers.len() - once.len();
    }
    let sent = resumed.summary()["plan"]["rows"]["send"].as_u64().unwrap();
    assert_eq!(sent, u64::try_from(aftermath.later(&ws).len()).unwrap());
    assert_eq!(ws.sandbox.stats().applied, 2_400 + u64::try_from(doubles).unwrap());
    assert!(doubles <= crate::witness::window(), "{doubles}");
}

#[test]
fn with_a_corrected_mapping() {
    let ws = Workspace::with(frozen_after(900));
    let mut text = String::from("crm id,mobile,old tier,tier\n");
    let mut finals = Finals::new();
    for serial in 0..1_600 {
        let (key, number) = (format!("C-{serial:06}"), number(serial));
        text += &format!("{key},{number},wrong,right\n");
        let fields = [("number", number.as_str()), ("user_class", "right"), ("user_external_id", &key)];
        finals.insert(key.clone(), fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }
    ws.write("export.csv", &text);
    let mut run = ws.sync_in_background(&["export.csv", "--map", "user_class=old tier"]);
    ws.wait_for_requests(600);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &finals);
    assert!(!aftermath.acked.is_empty());
    let resumed = ws.sync(&["export.csv", "--map", "user_class=tier"]).expect(0).expect_books();
    assert_eq!(resumed.summary()["resumed"], false, "a corrected mapping is a different batch");
    assert_eq!((resumed.rows("synced"), resumed.rows("unchanged")), (1_600, 0));
    check_finals(&ws, &finals);
}

#[test]
fn after_a_token_that_ended_in_the_middle() {
    let token_after = Some(TokenAfter { requests: 600, token: NEW_TOKEN.into() });
    let ws = Workspace::with(Faults { token_after, latency_ms: 2, ..Faults::default() });
    let export = Export::new(1_600);
    ws.write("export.csv", &export.text);
    let refused = ws.sync(&["export.csv"]).expect(12).expect_books();
    assert_eq!((refused.rows("failed"), refused.rows("in_doubt")), (0, 0));
    assert_eq!(refused.rows("synced"), 600);
    assert!(refused.rows("pending") > 0);
    assert!(ws.last_run_file("failed.csv").is_none());
    let aftermath = Aftermath::of(&ws, &export.finals);
    aftermath.check();
    let mut command = ws.sync_command(&["export.csv"]);
    let resumed = ran(command.env("SIMSYNC_TOKEN", NEW_TOKEN).output().unwrap()).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
    assert_eq!(ws.sandbox.stats().applied, u64::try_from(export.finals.len()).unwrap(), "no doubles");
}

#[test]
fn a_token_renewed_in_its_file_is_taken_without_a_stop() {
    let token_after = Some(TokenAfter { requests: 300, token: NEW_TOKEN.into() });
    let ws = Workspace::with(Faults { token_after, latency_ms: 20, ..Faults::default() });
    ws.write("export.csv", export(1_000));
    let file = ws.write("token", TOKEN);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    // With a single attempt for each update, a 401 that used one up would fail its row.
    let mut command = ws.sync_command(&["export.csv", "--max-in-flight", "4"]);
    command.env_remove("SIMSYNC_TOKEN").env("SIMSYNC_API_TOKEN_FILE", &file);
    command.env("SIMSYNC_DELIVERY_ATTEMPTS_MAX", "1");
    let run = command.spawn().unwrap();
    // The first token is in use from the first request on, whatever the file says.
    ws.wait_for_requests(1);
    fs::write(&file, NEW_TOKEN).unwrap();
    let renewed = ran(run.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!(renewed.rows("synced"), 1_000);
    assert!(renewed.summary()["http"]["401"].as_u64().unwrap() > 0, "the first token was never refused");
    assert_eq!(ws.sandbox.stats().applied, 1_000);
}

/// Rows of a file so long that the second pass is far from its end when the first requests go out.
fn long_export(rows: u32, tier: &str) -> String {
    let notes = "n".repeat(4_000);
    let mut text = String::from("crm id,mobile,imei,tier,notes\n");
    for serial in 0..rows {
        text += &format!("C-{serial:06},{},{},{tier},{notes}\n", number(serial), imei(serial));
    }
    text
}

#[test]
fn after_the_input_was_overwritten_while_it_was_read() {
    let ws = Workspace::with(Faults { latency_ms: 200, ..Faults::default() });
    let path = ws.write("export.csv", long_export(2_000, "basic"));
    let run = ws.sync_command(&["export.csv"]).spawn().unwrap();
    ws.wait_for_requests(1);
    // In place, as some exports do it; the same length, and only the end of it.
    let corrected = long_export(2_000, "extra");
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    let half = corrected.len() / 2;
    file.write_all_at(&corrected.as_bytes()[half..], u64::try_from(half).unwrap()).unwrap();
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let stopped = ran(run.wait_with_output().unwrap()).expect(6).expect_books();
    assert!(stopped.stderr.contains("export.csv"), "{}", stopped.stderr);
    assert!(stopped.rows("pending") > 0 && stopped.rows("synced") > 0, "{}", stopped.stdout);
    assert_eq!((stopped.rows("failed"), stopped.rows("in_doubt")), (0, 0));
    for request in ws.sandbox.requests() {
        assert_eq!(
            request.fields["user_class"].as_deref(),
            Some("basic"),
            "a row of the other file was used"
        );
    }
    let seen = ws.sandbox.requests().last().unwrap().seq;
    fs::write(&path, &corrected).unwrap();
    let resumed = ws.sync(&["export.csv"]).expect(0).expect_books();
    assert_eq!(resumed.rows("synced"), 2_000);
    assert!(ws.sandbox.requests().iter().filter(|request| request.seq > seen).count() == 2_000);
    assert_eq!(ws.at_server("C-001999", "user_class").as_deref(), Some("extra"));
}

/// Runs are found by the order of their ids, also those of one second.
#[test]
fn the_newest_run_is_the_latest() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3));
    for _ in 0..6 {
        let newest = ws.sync(&["export.csv"]).expect(0).summary()["run_id"].clone();
        assert_eq!(ws.run(&["show", "latest", "--json"]).summary()["run_id"], newest);
    }
}

/// Standard input can be read once only; a resume gets it again from whoever wrote it.
#[test]
fn of_standard_input() {
    let export = Export::new(1_600);
    let ws = Workspace::with(frozen_after(900));
    ws.write("export.csv", &export.text);
    let piped = || {
        let mut command = ws.sync_command(&["-"]);
        command.stdin(fs::File::open(ws.path("export.csv")).unwrap());
        command
    };
    let mut run = piped().spawn().unwrap();
    ws.wait_for_requests(600);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    // What it had spooled must not stay: it holds every identifier of the export, and would fill the disk.
    let names = fs::read_dir(ws.path("simsync-state")).unwrap();
    for name in names.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        let is_known = ["lock", "runs", "journal", "ledger-", "targets.json"]
            .iter()
            .any(|known| name.starts_with(known));
        assert!(is_known, "{name} was left behind");
    }
    let resumed = ran(piped().output().unwrap()).expect(3).expect_books();
    assert_eq!(resumed.summary()["resumed"], true, "the bytes are the same");
    aftermath.check_resume(&ws, &export, &resumed);
}
