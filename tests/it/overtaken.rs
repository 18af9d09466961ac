//! What one batch knows of another: an older one, run late, overwrites nothing newer; what is in doubt or unknown
//! stays so until something settles it, whatever else is run meanwhile.
//!
//! Not here: the rulings against a model (`plan/tests`), row files fed back (`rulings/replayed.rs`, `replay.rs`).

use std::collections::BTreeSet;

use rustix::process::Signal;
use simsync::api::Endpoint;
use simsync::digest::BatchId;
use simsync::engine::clock;
use simsync::journal::{Journal, JournalOptions};
use simsync::ledger::Record;
use simsync::row::Version;
use simsync::sandbox::Faults;
use simsync::update::{FieldFact, FieldKind};

use crate::support::{Ran, Workspace, export, ran, signal};
use crate::witness::{frozen_after, kill_9};

/// Runs until the sandbox has answered so many requests and no more, and kills it.
fn killed_after(ws: &Workspace, args: &[&str], answered: u64) {
    ws.fault(frozen_after(answered));
    let before = ws.sandbox.stats().requests;
    let mut run = ws.sync_in_background(args);
    ws.wait_for_requests(before + answered + 1);
    kill_9(&mut run);
    ws.fault(Faults::default());
}

/// A run of this file that is stopped in order after its first updates.
fn drained(ws: &Workspace, args: &[&str]) -> Ran {
    ws.fault(Faults { latency_ms: 30, ..Faults::default() });
    let before = ws.sandbox.stats().requests;
    let child = ws.sync_command(&[args, &["--max-in-flight", "1"]].concat()).spawn().unwrap();
    ws.wait_for_requests(before + 3);
    signal(child.id(), Signal::TERM);
    let stopped = ran(child.wait_with_output().unwrap()).expect(143);
    ws.fault(Faults::default());
    stopped
}

fn tier(ws: &Workspace, key: &str) -> Option<String> {
    ws.at_server(key, "user_class")
}

#[test]
fn an_older_open_batch_overwrites_nothing_newer_field_by_field() {
    let ws = Workspace::new();
    let monday: String = (0..40).map(|row| format!("C-{row},old{row},monday\n")).collect();
    ws.write("monday.csv", format!("crm id,login,tier\n{monday}"));
    let stopped = drained(&ws, &["monday.csv"]);
    assert!(stopped.rows("pending") > 20);
    // Tuesday sets all of the last ten, and a part of those before.
    let tuesday: String = (20..40)
        .map(
            |row| {
                if row < 30 { format!("C-{row},,tuesday\n") } else { format!("C-{row},new{row},tuesday\n") }
            },
        )
        .collect();
    ws.write("tuesday.csv", format!("crm id,login,tier\n{tuesday}"));
    assert_eq!(ws.sync(&["tuesday.csv"]).expect(0).rows("synced"), 20);
    let seen = ws.arrivals().len();
    let late = ws.sync(&["monday.csv"]).expect(3).expect_books();
    assert_eq!(late.summary()["resumed"], true);
    assert!(late.summary()["notices"].to_string().contains("older than the newest"), "{}", late.stdout);
    assert_eq!((late.rows("superseded"), late.rows("unchanged")), (10, stopped.rows("synced")));
    assert_eq!(late.rows("synced"), stopped.rows("pending") - 10);
    for row in 0..40 {
        let key = format!("C-{row}");
        let (login, of) = match row {
            0..20 => (format!("old{row}"), "monday"),
            20..30 => (format!("old{row}"), "tuesday"),
            _ => (format!("new{row}"), "tuesday"),
        };
        assert_eq!(ws.at_server(&key, "username"), Some(login), "{key}");
        assert_eq!(tier(&ws, &key).as_deref(), Some(of), "{key}");
    }
    // What was overtaken is listed, with what overtook it, and what was left out is counted.
    assert_eq!(ws.last_rows("superseded.csv").len(), 10);
    for row in ws.last_rows("superseded.csv") {
        assert!(row["_detail"].starts_with("username, user_class set since by row "), "{}", row["_detail"]);
    }
    let told = late.summary()["notices"].to_string();
    assert!(told.contains("sent without fields that something newer has set: 10 rows"), "{told}");
    // Again and again: it stays open, and stays older.
    let sent = ws.arrivals().split_off(seen).len();
    let again = ws.sync(&["monday.csv"]).expect(3).expect_books();
    assert_eq!((again.rows("superseded"), again.summary()["attempts"].as_u64()), (10, Some(0)));
    assert_eq!(ws.arrivals().len(), seen + sent);
    // Unless the operator says that Monday is what counts.
    let newest = ws.sync(&["monday.csv", "--new-batch"]).expect(0).expect_books();
    assert_eq!(newest.rows("superseded"), 0);
    assert_eq!(tier(&ws, "C-35").as_deref(), Some("monday"));
}

#[test]
fn a_limit_that_was_reached_is_in_none_of_the_commands_that_go_on() {
    let ws = Workspace::new();
    let rows = |range: std::ops::Range<u32>, tier: &str| -> String {
        range.map(|row| format!("C-{row},{tier}\n")).collect()
    };
    ws.write("monday.csv", format!("crm id,tier\n{}", rows(0..9, "monday")));
    ws.sync(&["monday.csv", "--max-rows", "2"]).expect(8);
    ws.write("tuesday.csv", format!("crm id,tier\n{}", rows(6..9, "tuesday")));
    ws.sync(&["tuesday.csv"]).expect(0);
    let limited = ws.sync(&["monday.csv", "--max-rows", "1"]).expect(8).expect_books();
    assert_eq!((limited.rows("superseded"), limited.rows("pending")), (3, 3));
    let next: Vec<String> = serde_json::from_value(limited.summary()["next"].clone()).unwrap();
    assert!(next[0].contains("to resume") && next[1].contains("--new-batch"), "{next:?}");
    assert!(next.iter().all(|step| !step.contains("--max-rows")), "{next:?}");
}

/// The subjects in doubt after the run was killed, as the next one lists them.
fn held(ws: &Workspace, args: &[&str]) -> BTreeSet<String> {
    let ran = ws.sync(&[args, &["--in-doubt", "hold"]].concat()).expect(3).expect_books();
    let listed: Vec<String> =
        ws.last_rows("in_doubt.csv").into_iter().map(|row| row["crm id"].clone()).collect();
    assert_eq!(ran.rows("held"), u64::try_from(listed.len()).unwrap());
    listed.into_iter().collect()
}

#[test]
fn under_hold_another_update_waits_unless_it_sets_all_that_is_unknown() {
    let ws = Workspace::new();
    let rows: String = (0..40).map(|row| format!("C-{row},ann{row},gold\n")).collect();
    ws.write("crm.csv", format!("crm id,login,tier\n{rows}"));
    killed_after(&ws, &["crm.csv"], 4);
    let in_doubt = held(&ws, &["crm.csv"]);
    let mut keys = in_doubt.iter();
    let (one, other) = (keys.next().unwrap().clone(), keys.next().unwrap().clone());
    let seen = ws.arrivals().len();
    // A part of what is unknown: nobody would know the rest afterwards, so it waits.
    ws.write("part.csv", format!("crm id,tier\n{one},silver\n"));
    assert_eq!(held(&ws, &["part.csv"]), BTreeSet::from([one.clone()]));
    assert_eq!(ws.arrivals().len(), seen);
    // All of it: whatever became of the one in doubt, this is what the server holds now.
    ws.write("all.csv", format!("crm id,login,tier\n{one},eve,silver\n"));
    assert_eq!(ws.sync(&["all.csv", "--in-doubt", "hold"]).expect(0).rows("synced"), 1);
    assert_eq!(
        (ws.at_server(&one, "username"), tier(&ws, &one)),
        (Some("eve".into()), Some("silver".into()))
    );
    // Now a part of it goes, for the one and not for the other.
    ws.write("part.csv", format!("crm id,tier\n{one},bronze\n{other},bronze\n"));
    assert_eq!(held(&ws, &["part.csv"]), BTreeSet::from([other.clone()]));
    assert_eq!(tier(&ws, &one).as_deref(), Some("bronze"));
    assert_eq!(held(&ws, &["crm.csv"]).len(), in_doubt.len() - 1);
    // And all of it goes when the operator says so.
    ws.sync(&["crm.csv"]).expect_books();
    ws.sync(&["part.csv"]).expect(0);
    assert_eq!(tier(&ws, &other).as_deref(), Some("bronze"));
}

#[test]
fn unknown_fields_and_versions_survive_other_batches_folds_and_replays() {
    let ws = Workspace::new();
    ws.write("base.csv", export(30));
    ws.sync(&["base.csv"]).expect(0);
    let gold = export(30).replace(",basic", ",gold");
    ws.write("gold.csv", &gold);
    killed_after(&ws, &["gold.csv"], 3);
    let in_doubt = held(&ws, &["gold.csv"]);
    assert!(!in_doubt.is_empty());
    // Other batches of other subjects and of other fields, each with a fold of its own, and a failure replayed.
    for round in 0..3 {
        ws.fault(Faults { subject_statuses: [("X-1".to_owned(), 422)].into(), ..Faults::default() });
        ws.write("other.csv", format!("crm id,tier\nX-1,r{round}\nX-2,r{round}\n"));
        ws.sync(&["other.csv"]).expect(3);
        ws.fault(Faults::default());
        let url = ws.sandbox.url();
        let replayed = ws.run(&["replay", "latest", "--api-url", &url, "--json"]).expect(0);
        assert_eq!(replayed.rows("synced"), 1);
    }
    // The number and the IMEI were in the update as well, so the base is no longer what is known of these subjects.
    let seen = ws.arrivals().len();
    let base = ws.sync(&["base.csv"]).expect(0).expect_books();
    let sent: BTreeSet<String> = ws.arrivals().split_off(seen).into_iter().collect();
    assert!(in_doubt.is_subset(&sent), "unknown equals nothing");
    assert_eq!(base.rows("unchanged"), 30 - u64::try_from(sent.len()).unwrap());
    // Known again, and by the newer batch: the older one, still open, changes nothing any more.
    let late = ws.sync(&["gold.csv"]).expect_books();
    assert_eq!(late.rows("synced") + late.rows("superseded") + late.rows("unchanged"), 30);
    for key in &in_doubt {
        assert_eq!(tier(&ws, key).as_deref(), Some("basic"), "{key}");
    }
    assert_eq!(ws.sync(&["base.csv"]).expect(0).rows("unchanged"), 30);
}

/// Writes into the journal, through its own door, that these tiers were acknowledged so many seconds ago.
fn acknowledged_ago(ws: &Workspace, acknowledged: &[(&str, &str, i64)]) {
    let now_s = clock::wall_s();
    let options = JournalOptions::new(ws.path("simsync-state"));
    let journal = Journal::open(&options, "long-ago", "here", now_s).unwrap();
    let target = Endpoint::parse(&ws.sandbox.url(), false).unwrap().target();
    let batch = journal.begin_batch(&target, BatchId([7; 16]), 1, now_s, false).unwrap().seq;
    let key = journal.key().clone();
    let records = (1..).zip(acknowledged).map(|(ordinal, (id, tier, ago_s))| {
        let version = Version { batch, ordinal };
        let fact = |kind, value| FieldFact { kind, hash: key.field(kind, value), version };
        Record::Synced {
            subject: key.subject(&target, FieldKind::UserExternalId, id),
            version,
            facts: vec![fact(FieldKind::UserExternalId, id), fact(FieldKind::UserClass, tier)],
            at_s: now_s - ago_s,
        }
    });
    journal.writer().append(records.collect::<Vec<_>>(), Box::new(|durable| durable.unwrap()));
    journal.close_batch(&target, batch).unwrap();
    journal.finish().unwrap();
}

#[test]
fn resend_after_refreshes_what_any_run_acknowledged_long_ago() {
    const DAY_S: i64 = 24 * 60 * 60;
    let ws = Workspace::new();
    acknowledged_ago(
        &ws,
        &[("C-1", "basic", 31 * DAY_S), ("C-2", "basic", 29 * DAY_S), ("C-3", "gold", 31 * DAY_S)],
    );
    ws.write("crm.csv", "crm id,tier\nC-1,basic\nC-2,basic\nC-3,gold\n");
    // Without the setting age says nothing.
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), 3);
    // Another run has said something of C-3 since.
    ws.write("one.csv", "crm id,tier\nC-3,silver\n");
    ws.sync(&["one.csv"]).expect(0);
    ws.write("crm.csv", "crm id,tier\nC-1,basic\nC-2,basic\nC-3,silver\n");
    ws.configure("[plan]\nresend_after = \"30d\"\n");
    let url = ws.sandbox.url();
    let plan = ws.run(&["plan", "--api-url", &url, "crm.csv", "--json"]).expect(0).summary()["plan"].clone();
    assert_eq!((&plan["rows"]["send"], &plan["updates_refreshed"]), (&1.into(), &1.into()), "{plan}");
    assert!(plan["duration_s"].as_f64() > Some(0.0), "{plan}");
    let told = ws.run(&["plan", "--api-url", &url, "crm.csv"]).expect(0).stderr;
    assert!(told.contains("0 new, 0 changed, 1 sent again unchanged"), "{told}");
    let all = ws.run(&["plan", "--api-url", &url, "crm.csv", "--json", "--full"]).expect(0).summary();
    assert_eq!(all["plan"]["updates_refreshed"], 3);
    let seen = ws.arrivals().len();
    let ran = ws.sync(&["crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (1, 2));
    assert_eq!(ws.arrivals().split_off(seen), ["C-1"]);
    // Refreshed is refreshed, for every run that follows.
    assert_eq!(ws.sync(&["crm.csv"]).expect(0).rows("unchanged"), 3);
}

#[test]
fn resend_after_goes_by_the_fields_of_the_update_and_sends_changed_ones_alone() {
    const DAY_S: i64 = 24 * 60 * 60;
    let ws = Workspace::new();
    acknowledged_ago(&ws, &[("C-1", "basic", 31 * DAY_S), ("C-2", "gold", 31 * DAY_S)]);
    // Another export has a field of its own, and is acknowledged today.
    ws.write("logins.csv", "crm id,login\nC-1,ann\n");
    ws.sync(&["logins.csv"]).expect(0);
    ws.configure("[plan]\nresend_after = \"30d\"\nsend = \"changed\"\n");
    assert_eq!(ws.sync(&["logins.csv"]).expect(0).rows("unchanged"), 1);
    ws.write("all.csv", "crm id,login,tier\nC-1,ann,basic\nC-2,eve,gold\n");
    assert_eq!(ws.sync(&["all.csv"]).expect(0).expect_books().rows("synced"), 2);
    let sent = |key: &str| -> Vec<String> { ws.history(key).pop().unwrap().fields.into_keys().collect() };
    assert_eq!(sent("C-1"), ["user_class", "user_external_id"], "the login is of today");
    assert_eq!(sent("C-2"), ["user_class", "user_external_id", "username"], "the login is new");
    assert_eq!(ws.sync(&["all.csv"]).expect(0).rows("unchanged"), 2);
}

#[test]
fn under_hold_what_failed_without_an_answer_is_sent_whole_and_nothing_in_part() {
    let ws = Workspace::new();
    ws.configure(
        "[plan]\nin_doubt = \"hold\"\n[delivery]\nattempts_max = 2\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n",
    );
    let rows: String = (0..20).map(|row| format!("C-{row},ann{row},gold\n")).collect();
    ws.write("crm.csv", format!("crm id,login,tier\n{rows}"));
    // The neighbors show that the server is well.
    let broken = [("C-3".to_owned(), 500)].into();
    ws.fault(Faults { subject_statuses: broken, ..Faults::default() });
    let failed = ws.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((failed.rows("failed"), failed.rows("synced")), (1, 19));
    assert_eq!(ws.last_rows("failed.csv")[0]["_reason"], "exhausted");
    let failures = ws.run_dirs().pop().unwrap().join("failed.csv");
    ws.fault(Faults::default());
    // A part of what is unknown waits, and tells for what; so does what touches none of it.
    for part in
        ["crm id,tier\nC-3,silver\nC-4,silver\n", "crm id,mobile\nC-3,+447911000003\nC-4,+447911000004\n"]
    {
        ws.write("part.csv", part);
        let ran = ws.sync(&["part.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("held"), ran.rows("synced")), (1, 1));
        let held = &ws.last_rows("in_doubt.csv")[0];
        assert_eq!((held["crm id"].as_str(), held["_reason"].as_str()), ("C-3", "held"));
        assert!(held["_detail"].contains("username, user_class may"), "{}", held["_detail"]);
    }
    // What failed, fed back as it is, sets all of it.
    assert_eq!(ws.sync(&[failures.to_str().unwrap()]).expect(0).expect_books().rows("synced"), 1);
    assert_eq!(tier(&ws, "C-3").as_deref(), Some("gold"));
    assert_eq!(ws.sync(&["part.csv"]).expect(0).rows("synced"), 1);
}

#[test]
fn an_older_batch_of_which_only_parts_were_overtaken_stays_open_and_sends_no_old_value_ever() {
    let ws = Workspace::new();
    ws.write("older.csv", "crm id,login,tier\nZ,z,basic\nS,old,gold\n");
    ws.write("newer.csv", "crm id,login\nS,new\n");
    ws.sync(&["older.csv", "--max-rows", "1"]).expect(8);
    ws.sync(&["newer.csv"]).expect(0);
    // Not once and not ever: closed, the same command would be a new batch, newer than the one that overtook it.
    for _ in 0..3 {
        ws.sync(&["older.csv"]).expect(0).expect_books();
        assert_eq!(ws.at_server("S", "username").as_deref(), Some("new"));
    }
    assert_eq!(tier(&ws, "S").as_deref(), Some("gold"), "what nobody overtook was sent");
}
