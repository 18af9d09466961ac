//! Faults that the model test came upon, each by the shortest sequence that showed it.
//!
//! Not here: the model test (`tests/model`).

use simsync::sandbox::Faults;

use crate::support::{Workspace, export};
use crate::witness::{frozen_after, kill_9};

/// Rows of two subjects; the first has two, of which the later one sets something again.
const FIRST: &str = "crm id,login,tier\nC-1,ann,gold\nC-1,,pro\nC-2,bob,gold\n";

/// Completes a batch that another one has overtaken, and says what its file does afterwards, when the first subject has
/// got another tier.
fn after_an_older_batch_is_done(policy: &str, done: i32) -> (Option<bool>, Option<String>) {
    let ws = Workspace::new();
    ws.write("first.csv", FIRST);
    ws.write("other.csv", "crm id,tier\nC-9,gold\n");
    let policy = ["--duplicates", policy];
    ws.sync(&[&["first.csv", "--max-rows", "1"][..], &policy].concat()).expect(8);
    ws.sync(&["other.csv"]).expect(0);
    let late = ws.sync(&[&["first.csv"][..], &policy].concat()).expect(done).expect_books();
    assert_eq!((late.summary()["resumed"].as_bool(), late.rows("synced")), (Some(true), 1));
    ws.write("edited.csv", "crm id,tier\nC-1,silver\n");
    ws.sync(&["edited.csv"]).expect(0);
    let again = ws.sync(&[&["first.csv"][..], &policy].concat()).expect(done).expect_books();
    (again.summary()["resumed"].as_bool(), ws.at_server("C-1", "user_class"))
}

#[test]
fn an_older_batch_of_which_nothing_was_overtaken_is_closed_when_it_is_done() {
    // Run once more, its file is a new batch: the tier is what it says.
    assert_eq!(after_an_older_batch_is_done("fold", 0), (Some(false), Some("pro".into())));
}

#[test]
fn rows_that_give_way_to_others_of_their_batch_do_not_keep_it_open() {
    assert_eq!(after_an_older_batch_is_done("last", 3), (Some(false), Some("pro".into())));
}

#[test]
fn a_row_fed_back_of_a_fold_that_ran_out_of_attempts_is_acknowledged_once() {
    let ws = Workspace::new();
    ws.configure("[delivery]\nattempts_max = 2\nbackoff_initial = \"1ms\"\nbackoff_max = \"2ms\"\n");
    // The neighbors show that the server is well.
    let neighbors: String = (2..22).map(|row| format!("C-{row},eve{row},,gold\n")).collect();
    let header = "crm id,login,imei,tier\n";
    ws.write("fold.csv", format!("{header}{neighbors}C-1,,490154203237518,pro\nC-1,ann,,\n"));
    ws.fault(Faults { subject_statuses: [("C-1".to_owned(), 500)].into(), ..Faults::default() });
    let failed = ws.sync(&["fold.csv"]).expect(3).expect_books();
    assert_eq!((failed.rows("failed"), failed.rows("folded")), (1, 1));
    assert_eq!(ws.last_rows("failed.csv").len(), 2);
    ws.write("failed.csv", ws.last_run_file("failed.csv").unwrap());
    ws.fault(Faults::default());
    ws.write("newer.csv", "crm id,login,imei\nC-1,bob,356938035643809\n");
    ws.sync(&["newer.csv"]).expect(0);
    // Of the fold only the tier goes out, as the first row: the second one is overtaken.
    let fed_back = ws.sync(&["failed.csv"]).expect(3).expect_books();
    assert_eq!((fed_back.rows("synced"), fed_back.rows("superseded")), (1, 1));
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("pro"));
    let requests = ws.history("C-1").len();
    // The server holds it, and that is known; of what the first row says a part is overtaken.
    let again = ws.sync(&["failed.csv"]).expect(3).expect_books();
    assert_eq!((again.rows("synced"), again.rows("unchanged"), again.rows("superseded")), (0, 0, 2));
    ws.write("tomorrow.csv", "crm id,tier\nC-1,pro\n");
    assert_eq!(ws.sync(&["tomorrow.csv"]).expect(0).rows("unchanged"), 1);
    assert_eq!(ws.history("C-1").len(), requests);
}

#[test]
fn after_a_first_contact_stop_what_may_have_been_applied_is_in_doubt_and_what_was_refused_is_pending() {
    let denied = Faults {
        subject_statuses: (0..40).map(|row| (format!("C-{row:06}"), 422)).collect(),
        ..Faults::default()
    };
    let mut untrue = Faults::default();
    untrue.shares.wrong_echo = 1.0;
    for (faults, is_maybe) in [(denied, false), (untrue, true)] {
        let ws = Workspace::with(frozen_after(0));
        ws.write("export.csv", export(40));
        // Killed over its first requests, it leaves all that it has sent in doubt; nothing was ever acknowledged.
        let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "4"]);
        ws.wait_for_requests(4);
        kill_9(&mut run);
        let before = ws.sandbox.stats().requests;
        ws.fault(faults);
        let ran = ws.sync(&["export.csv", "--concurrency", "4"]).expect(4).expect_books();
        let asked = ws.sandbox.stats().requests - before;
        assert!((20..40).contains(&asked), "{asked} requests");
        let in_doubt = if is_maybe { asked } else { 0 };
        assert_eq!((ran.rows("in_doubt"), ran.rows("pending")), (in_doubt, 40 - in_doubt), "{}", ran.stdout);
        assert_eq!(ran.rows("failed"), 0);
    }
}
