//! Several updates of one subject that failed under `each`, sent again: all of them, in their order, and nothing over
//! what was acknowledged since.
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
fn all_that_failed_is_sent_again_in_its_order() {
    for is_by_file in [false, true] {
        let (ws, seen) = left_behind();
        let ran = if is_by_file {
            sync(&ws, &[&format!("simsync-state/runs/{}/failed.csv", last_run(&ws))])
        } else {
            replayed(&ws, &["latest"])
        };
        let ran = ran.expect(0).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("superseded")), (3, 0), "{}", ran.stdout);
        assert_eq!(classes(&ws, "C-1", seen), ["gold", "silver", "bronze"]);
        // Once more, and all of it is acknowledged: nothing is sent.
        assert_eq!(ws.sync(&["crm.csv"]).expect(0).summary()["attempts"], 0);
    }
}

#[test]
fn what_is_fed_back_without_the_last_of_them_is_superseded_and_says_what_would_send_it() {
    let (ws, seen) = left_behind();
    let run = last_run(&ws);
    let failed = ws.last_run_file("failed.csv").unwrap();
    let rows: Vec<&str> = failed.lines().collect();
    ws.write("first.csv", [rows[0], rows[1], rows[2], ""].join("\n"));
    let alone = sync(&ws, &["first.csv"]).expect(3).expect_books();
    assert_eq!((alone.rows("superseded"), alone.summary()["attempts"].as_u64()), (2, Some(0)));
    let listed = ws.last_rows("superseded.csv");
    let says = format!(
        "username, user_class may have been set since by row 5 of run {run}; fed back together with that row it is sent"
    );
    assert!(listed.len() == 2 && listed.iter().all(|row| row["_detail"] == says), "{listed:?}");
    // And so it is.
    let all = sync(&ws, &[&format!("simsync-state/runs/{run}/failed.csv")]).expect(0).expect_books();
    assert_eq!(all.rows("synced"), 3);
    assert_eq!(classes(&ws, "C-1", seen), ["gold", "silver", "bronze"]);
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
fn a_replay_that_is_stopped_between_them_goes_on_behind_what_was_acknowledged() {
    let (ws, seen) = left_behind();
    let run = last_run(&ws);
    // The second of them is seen and not answered.
    ws.fault(frozen_after(1));
    let url = ws.sandbox.url();
    let args = ["replay", &run, "--api-url", &url, "--rate", "unlimited", "--json", EACH[0], EACH[1]];
    let mut killed = ws.command(&args).spawn().unwrap();
    ws.wait_for_requests(seen + 2);
    signal(killed.id(), Signal::KILL);
    killed.wait().unwrap();
    ws.fault(Faults::default());
    let resumed = replayed(&ws, &[&run]).expect_books();
    assert_eq!((resumed.rows("synced"), resumed.rows("failed")), (2, 0), "{}", resumed.stdout);
    assert_eq!(classes(&ws, "C-1", seen), ["gold", "silver", "silver", "bronze"]);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("bronze"));
}
