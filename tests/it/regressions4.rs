//! What an operator came upon: states that nobody gets out of, and advice that does not help or does harm.
//!
//! Not here: faults of single rows and rulings (`regressions.rs`).

use std::fs;
use std::os::unix::fs::FileExt;

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

#[test]
fn a_damaged_journal_is_not_replaced_by_the_export_under_way() {
    let ws = Workspace::new();
    ws.write("export.csv", export(2_000));
    ws.sync(&["export.csv"]).expect(0);
    let state = ws.path("simsync-state");
    let is_ledger = |name: &str| name.starts_with("ledger");
    let ledger = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap());
    let ledger = ledger.into_iter().find(|entry| is_ledger(&entry.file_name().to_string_lossy())).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(ledger.path()).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 50_000).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 50_000).unwrap();
    let run = ws.sync(&["export.csv", "--yes"]).expect(13);
    let verified = ws.run(&["journal", "verify"]).expect(13);
    for told in [&run.stderr, &verified.stderr] {
        for words in [
            "run once with --full",
            "sync --full --state NEW",
            "journal adopt LAST --state NEW",
            "wholly applied",
            "never one that was still under way",
        ] {
            assert!(told.contains(words), "{words} is not in {told}");
        }
    }
    assert!(!next(&run).contains("to resume"), "{}", run.stdout);
    // The way as it is told.
    let url = ws.sandbox.url();
    let adopted = ws.run(&["journal", "adopt", "export.csv", "--state", "NEW", "--api-url", &url]).expect(0);
    assert!(adopted.stderr.contains("recorded 2,000"), "{}", adopted.stderr);
    assert!(!adopted.stderr.contains("synced 2,000"), "{}", adopted.stderr);
}

#[test]
fn a_plan_does_not_survive_a_subject_that_was_forgotten() {
    let ws = Workspace::new();
    ws.write("base.csv", export(20));
    ws.sync(&["base.csv"]).expect(0);
    ws.write("next.csv", export(20).replacen(",basic", ",gold", 2));
    for (number, change) in
        [vec!["journal", "forget", "--user-external-id", "C-000009"], vec!["journal", "adopt", "next.csv"]]
            .into_iter()
            .enumerate()
    {
        let saved = format!("p{number}.json");
        ws.plan(&["next.csv", "-o", &saved]).expect(0);
        let url = ws.sandbox.url();
        let mut change = change;
        if change[1] == "adopt" {
            change.extend(["--api-url", &url]);
        }
        ws.run(&change).expect(0);
        let refused = ws.sync(&["--plan", &saved]).expect(4);
        assert!(refused.stderr.contains("changed by adopt or forget"), "{}", refused.stderr);
    }
}

#[test]
fn old_runs_of_batches_nobody_continues_go() {
    let ws = Workspace::new();
    let forget = || ws.run(&["journal", "forget", "--before", "2999-01-01", "--yes"]).expect(0).stdout;
    // A gate stops it, and its rejected rows are written for the operator.
    let mut text = export(10);
    (0..40).for_each(|row| text.push_str(&format!("X-{row},12,,basic\n")));
    ws.write("stopped.csv", text);
    ws.sync(&["stopped.csv"]).expect(4);
    let told = forget();
    assert!(told.contains("removed 1 directory and 1 record"), "{told}");
    assert!(told.contains("removed 1 open batch with them"), "{told}");
    assert_eq!(ws.run_dirs().len(), 0);
    let stats = ws.run(&["journal", "stats", "--json"]).expect(0).stdout;
    let stats: serde_json::Value = serde_json::from_str(stats.trim()).unwrap();
    assert_eq!(stats["targets"][0]["open_batches"].as_array().map(Vec::len), Some(0), "{stats}");
    // One that was overtaken goes; the newest, begun and not ended, stays, and it is said why.
    ws.write("old.csv", export(10));
    ws.sync(&["old.csv", "--max-rows", "2"]).expect(8);
    ws.write("new.csv", export(10).replace(",basic", ",gold"));
    ws.sync(&["new.csv", "--max-rows", "2", "--yes"]).expect(8);
    let told = forget();
    assert!(told.contains("removed 1 directory and 1 record"), "{told}");
    assert!(told.contains("1 run of batches that are still open stay: begun to be sent"), "{told}");
    assert_eq!(ws.sync(&["new.csv", "--yes"]).expect(0).summary()["resumed"], true);
}
