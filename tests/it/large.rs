//! One key value with far more rows than are ruled on in memory: the same dispositions, requests and end state as in
//! memory, and the same resume after SIGKILL.
//!
//! Not here: the rulings one by one (`src/plan/tests/large.rs`).

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace};
use crate::witness::{Aftermath, Export, committed, frozen_after, kill_9, number, wait_for};

/// Rows of the one key value.
const ROWS: u32 = 20_000;

/// Rows of it that are sent one by one.
const EACH_ROWS: u32 = 4_000;

/// Rows of it under every policy in turn.
const POLICY_ROWS: u32 = 8_000;

/// What is ruled on in memory.
const FEW: &str = "[plan]\nsubject_rows_max = 700\nmemory_max = \"1MiB\"\nkey_repeated_max = \"100%\"\n";

/// Rows of one key among those of others: repeated ones, ones with a part of the fields, and one that another claims
/// too.
fn placeholder() -> String {
    let mut text = String::from("crm id,mobile,imsi,tier\n");
    for row in 0..POLICY_ROWS {
        let imsi = if row % 3 == 0 { String::new() } else { format!("31026000{:07}", row % 5_000) };
        writeln!(text, "000000,{},{imsi},t{}", number(row % 11), row / 2).unwrap();
        if row % 500 == 0 {
            writeln!(text, "C-{row:06},{},,basic", number(1_000 + row)).unwrap();
        }
    }
    text
}

/// What a run with this policy says, and what the server and the run's files have afterwards.
fn ran_with(policy: &str, config: &str) -> (Vec<Value>, Vec<Option<String>>, Vec<String>) {
    let workspace = Workspace::new();
    workspace.configure(config);
    workspace.write("crm.csv", placeholder());
    let sync = || workspace.sync(&["--duplicates", policy, "--yes", "crm.csv"]).expect_books();
    // The second time there is nothing to send but what failed.
    let ran: Vec<Ran> = (0..2).map(|_| sync()).collect();
    let said = ran.iter().map(|ran| ran.summary()["rows"].clone()).collect();
    let fields = ["number", "imsi", "user_class"];
    let server = fields.iter().map(|field| workspace.at_server("000000", field)).collect();
    let files = workspace.run_dirs().into_iter().flat_map(|run| {
        let id = run.file_name().unwrap().to_string_lossy().into_owned();
        ["rejected.csv", "superseded.csv"]
            .map(|name| fs::read_to_string(run.join(name)).unwrap_or_default().replace(&id, "RUN"))
    });
    (said, server, files.collect())
}

#[test]
fn every_policy_rules_on_them_as_in_memory() {
    for policy in ["fold", "last", "first", "reject"] {
        let (few, all) = (ran_with(policy, FEW), ran_with(policy, ""));
        assert_eq!(few.0, all.0, "{policy}");
        assert_eq!(few.1, all.1, "{policy}");
        assert!(few.2 == all.2, "{policy}: the row files differ");
        let last = few.1[2].as_deref();
        let expected = match policy {
            "first" => Some("t0"),
            "reject" => None,
            _ => Some("t3999"),
        };
        assert_eq!(last, expected, "{policy}");
    }
}

#[test]
fn killed_and_resumed_nothing_committed_is_sent_again() {
    let (ws, mut export) = (Workspace::new(), Export::new(0));
    for row in 0..ROWS {
        export.row(0, if row % 2 == 0 { "basic" } else { "premium" });
        if row % 80 == 0 {
            export.row(1 + row, "basic");
        }
    }
    ws.configure(FEW);
    ws.write("export.csv", &export.text);
    // The update of the large one comes last: the first kill is before it, the second behind it.
    for requests in [100, 90] {
        ws.fault(frozen_after(requests));
        let before = ws.sandbox.stats().requests;
        let mut run = ws.sync_in_background(&["export.csv"]);
        ws.wait_for_requests(before + requests.min(60));
        kill_9(&mut run);
        ws.fault(Faults::default());
        Aftermath::of(&ws, &export.finals).check();
    }
    let aftermath = Aftermath::of(&ws, &export.finals);
    let resumed = ws.sync(&["export.csv"]).expect(0).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
    let again = ws.sync(&["export.csv"]).expect(0).expect_books();
    assert_eq!(
        (again.rows("unchanged"), again.summary()["attempts"].as_u64()),
        (u64::from(ROWS) + 250, Some(0))
    );
}

#[test]
fn sent_one_by_one_killed_and_resumed_every_row_goes_out_once_in_order() {
    let ws = Workspace::new();
    ws.configure(FEW);
    let mut text = String::from("crm id,tier\n");
    (0..EACH_ROWS).for_each(|row| writeln!(text, "000000,t{row}").unwrap());
    ws.write("export.csv", text);
    let args = ["export.csv", "--duplicates", "each"];
    // A third of the rows come, and the next one is not answered.
    let seen = u64::from(EACH_ROWS / 3);
    ws.fault(Faults { latency_ms: 0, ..frozen_after(seen) });
    let mut run = ws.sync_in_background(&args);
    wait_for("a third of the rows", || ws.sandbox.stats().requests > seen);
    kill_9(&mut run);
    ws.fault(Faults::default());
    wait_for("the sandbox's connections to close", || ws.sandbox.stats().connections_open == 0);
    let acked = committed(&ws, ["000000".to_owned()].into_iter())["000000"];
    assert!(acked > 0 && acked <= seen, "{acked} committed of {seen}");
    let before = ws.history("000000").last().unwrap().seq;
    let resumed = ws.sync(&args).expect(0).expect_books();
    assert_eq!(resumed.rows("unchanged"), acked);
    assert_eq!(resumed.rows("synced"), u64::from(EACH_ROWS) - acked);
    let later = ws.history("000000").into_iter().filter(|request| request.seq > before);
    let tiers: Vec<String> = later.filter_map(|request| request.fields["user_class"].clone()).collect();
    let expected: Vec<String> = (acked..u64::from(EACH_ROWS)).map(|row| format!("t{row}")).collect();
    assert!(
        tiers == expected,
        "{} came, from {:?}; {} were to come",
        tiers.len(),
        tiers.first(),
        expected.len()
    );
}
