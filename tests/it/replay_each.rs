//! Several updates of one subject that failed under `each`, sent again: the last of them, and nothing over what was
//! acknowledged since.
//!
//! Not here: kills in the middle of a first run under `each` (`each.rs`), what else a replay does (`replay.rs`).

use rustix::process::Signal;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, last_run, replay, signal};
use crate::witness::frozen_after;

const EACH: [&str; 2] = ["--duplicates", "each"];

/// A subject that gets three classes one after the other, and others that do as well.
const ROWS: &str = "crm id,login,tier\nC-1,ann,gold\nC-2,bob,gold\nC-1,ann,silver\nC-2,bob,silver\nC-1,ann,bronze\n\
                    C-2,bob,bronze\n";

/// C-1 breaks the server, so that its attempts run out.
fn breaking() -> Faults {
    Faults { subject_statuses: [("C-1".to_owned(), 500)].into(), ..Faults::default() }
}

fn sync(ws: &Workspace, args: &[&str]) -> Ran {
    ws.sync(&[&EACH[..], args].concat())
}

fn replayed(ws: &Workspace, args: &[&str]) -> Ran {
    replay(ws, &[&EACH[..], args].concat())
}

/// The classes that requests for the subject have set from this one on, in order.
fn classes(ws: &Workspace, key: &str, after: u64) -> Vec<String> {
    let later = ws.history(key).into_iter().filter(|request| request.seq > after);
    later.map(|request| request.fields["user_class"].clone().unwrap()).collect()
}

/// A run that has left all three updates of C-1 failed, and the requests so far.
fn left_behind() -> (Workspace, u64) {
    let ws = Workspace::new();
    ws.configure("[delivery]\nattempts_max = 2\nbackoff_initial = \"5ms\"\nbackoff_max = \"10ms\"\n");
    ws.fault(breaking());
    ws.write("crm.csv", ROWS);
    let ran = sync(&ws, &["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (3, 3));
    ws.fault(Faults::default());
    let seen = ws.sandbox.stats().requests;
    (ws, seen)
}

#[test]
fn of_all_that_failed_the_last_is_sent_again() {
    for is_by_file in [false, true] {
        let (ws, seen) = left_behind();
        let run = last_run(&ws);
        let ran = if is_by_file {
            sync(&ws, &[&format!("simsync-state/runs/{run}/failed.csv")])
        } else {
            replayed(&ws, &["latest"])
        };
        let ran = ran.expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 2), "{}", ran.stdout);
        assert_eq!(classes(&ws, "C-1", seen), ["bronze"]);
        let listed = ws.last_rows("superseded.csv");
        let says = format!("username, user_class may have been set since by row 5 of run {run}");
        assert!(listed.len() == 2 && listed.iter().all(|row| row["_detail"] == says), "{listed:?}");
        // What the export says in the end is what is known.
        assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("bronze"));
    }
}

#[test]
fn what_was_left_in_several_ways_ends_as_the_last_row_says_however_it_is_retried() {
    let (ws, seen) = left_behind();
    // The replay fails, too: refused for good, after it ran out of attempts.
    for status in [500, 422] {
        ws.fault(Faults { subject_statuses: [("C-1".to_owned(), status)].into(), ..Faults::default() });
        sync(&ws, &["crm.csv"]).expect(3);
    }
    ws.fault(Faults::default());
    sync(&ws, &["crm.csv", "--retry-failed"]);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("bronze"));
    assert_eq!(classes(&ws, "C-1", seen).last().map(String::as_str), Some("bronze"));
}

#[test]
fn what_was_acknowledged_since_is_not_overwritten_and_nothing_else_is_promised() {
    let ws = Workspace::new();
    ws.configure("[delivery]\nattempts_max = 2\nbackoff_initial = \"5ms\"\nbackoff_max = \"10ms\"\n");
    ws.fault(breaking());
    ws.write("crm.csv", "crm id,login,tier\nC-1,ann,gold\nC-9,zoe,x\n");
    sync(&ws, &["crm.csv"]).expect(3);
    let gold = last_run(&ws);
    ws.fault(Faults::default());
    ws.write("tuesday.csv", "crm id,login,tier\nC-1,ann,silver\nC-9,zoe,y\n");
    sync(&ws, &["tuesday.csv"]).expect(0);
    ws.fault(breaking());
    ws.write("wednesday.csv", "crm id,login,tier\nC-1,ann,bronze\nC-9,zoe,z\nC-8,yan,z\n");
    sync(&ws, &["wednesday.csv"]).expect(3);
    ws.fault(Faults::default());
    let (seen, bronze) = (ws.sandbox.stats().requests, last_run(&ws));
    let files = [gold, bronze].map(|run| format!("simsync-state/runs/{run}/failed.csv"));
    let ran = sync(&ws, &[&files[0], &files[1]]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("superseded")), (1, 1), "{}", ran.stdout);
    assert_eq!(classes(&ws, "C-1", seen), ["bronze"]);
    let detail = &ws.last_rows("superseded.csv")[0]["_detail"];
    assert!(detail.contains("since") && !detail.contains("together"), "{detail}");
}

#[test]
fn a_replay_that_is_killed_with_the_last_on_the_wire_sends_it_again() {
    let (ws, seen) = left_behind();
    let run = last_run(&ws);
    ws.fault(frozen_after(0));
    let url = ws.sandbox.url();
    let args = ["replay", &run, "--api-url", &url, "--rate", "unlimited", "--json", EACH[0], EACH[1]];
    let mut killed = ws.command(&args).spawn().unwrap();
    ws.wait_for_requests(seen + 1);
    signal(killed.id(), Signal::KILL);
    killed.wait().unwrap();
    ws.fault(Faults::default());
    let resumed = replayed(&ws, &[&run]).expect(3).expect_books();
    assert_eq!((resumed.rows("synced"), resumed.rows("superseded")), (1, 2), "{}", resumed.stdout);
    assert_eq!(classes(&ws, "C-1", seen), ["bronze", "bronze"]);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("bronze"));
}
