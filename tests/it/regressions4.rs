//! What an operator came upon: states that nobody gets out of, and advice that does not help or does harm.
//!
//! Not here: faults of single rows and rulings (`regressions.rs`).

use crate::support::{Ran, Workspace, export};

/// What the summary says to do next, as one text.
fn next(ran: &Ran) -> String {
    ran.summary()["next"].to_string()
}

#[test]
fn an_export_that_a_gate_stopped_is_no_older_batch_afterwards() {
    let ws = Workspace::new();
    ws.write("base.csv", export(150));
    ws.sync(&["base.csv"]).expect(0);
    // Most known subjects change: a gate stops it before the first request.
    ws.write("first.csv", export(150).replace(",basic", ",gold"));
    ws.sync(&["first.csv"]).expect(4);
    ws.write("second.csv", export(150).replacen(",basic", ",silver", 20));
    ws.sync(&["second.csv"]).expect(0);
    let sent = ws.sync(&["first.csv", "--yes"]).expect(0).expect_books();
    assert_eq!((sent.rows("synced"), sent.rows("superseded")), (150, 0));
    assert_eq!(ws.at_server("C-000001", "user_class").as_deref(), Some("gold"));
}

#[test]
fn who_was_overtaken_is_told_the_command_that_makes_it_the_newest() {
    let ws = Workspace::new();
    ws.write("monday.csv", export(20));
    ws.sync(&["monday.csv", "--max-rows", "5"]).expect(8);
    ws.write("tuesday.csv", export(20).replace(",basic", ",gold"));
    ws.sync(&["tuesday.csv"]).expect(0);
    // The CRM reverted: byte for byte what monday.csv was.
    ws.write("wednesday.csv", export(20));
    let overtaken = ws.sync(&["wednesday.csv"]).expect(3);
    assert_eq!(overtaken.rows("superseded"), 20);
    let told = next(&overtaken);
    assert!(told.contains("if these inputs are the newest"), "{told}");
    assert!(told.contains("wednesday.csv --new-batch`"), "{told}");
    assert_eq!(ws.sync(&["wednesday.csv", "--new-batch"]).expect(0).rows("synced"), 20);
}
