//! Faults that the model test came upon, each by the shortest sequence that showed it.
//!
//! Not here: the model test (`tests/model`).

use crate::support::Workspace;

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
