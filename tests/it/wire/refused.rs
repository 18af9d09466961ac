//! Definite refusals: one attempt, one failed row, its neighbours untouched.

use super::scripted::{Scripted, answer, echo};
use super::{assert_failed_row, http, subject_status};
use crate::support::{Workspace, export, imei};

#[test]
fn a_definite_refusal_fails_its_row_alone_and_at_once() {
    for status in [400, 402, 403, 404, 405, 410, 413, 415, 422] {
        let workspace = Workspace::with(subject_status("C-000002", status));
        workspace.write("crm.csv", export(5));
        let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (4, 1), "{status}");
        assert_eq!((http(&ran, "201"), http(&ran, &status.to_string())), (4, 1), "{status}");
        assert_eq!(ran.summary()["retries"], 0, "{status}");
        assert_eq!(workspace.history("C-000002").len(), 1, "{status}: not tried again");
        assert_failed_row(&workspace, 2, "refused", &format!("{status} "));
    }
}

#[test]
fn a_complaint_that_quotes_the_row_is_clustered_without_its_values() {
    let server = Scripted::start(|ordinal, heard| {
        if ordinal == 0 {
            return echo(201, heard);
        }
        let (imei, id) =
            (heard.update["imei"].as_str().unwrap(), heard.update["user_external_id"].as_str().unwrap());
        let class = heard.update["user_class"].as_str().unwrap();
        let says = format!("device {imei} of '{id}' is not ours in class {class}, ask 1234");
        answer(422, "application/json", &serde_json::json!({ "detail": says }).to_string())
    });
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(4));
    let url = server.url();
    let args =
        ["sync", "--api-url", &url, "--rate", "unlimited", "--max-in-flight", "1", "--json", "crm.csv"];
    let ran = workspace.run(&args).expect(3).expect_books();
    assert_eq!(ran.rows("failed"), 3);
    let summary = ran.summary();
    let signatures = summary["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 1, "{signatures:?}");
    assert_eq!(signatures[0]["count"], 3);
    let rows = workspace.last_rows("failed.csv");
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert_eq!(row["_signature"], "422 device # of # is not ours in class #, ask #");
    }
    // Identifiers stand in the private row files and nowhere else.
    for text in [ran.stdout, ran.stderr, workspace.last_run_file("summary.json").unwrap()] {
        for row in 0..4 {
            assert!(!text.contains(&imei(row)) && !text.contains(&format!("C-{row:06}")), "{text}");
        }
    }
}

#[test]
fn the_error_budget_stops_the_run() {
    let mut faults = super::Faults::default();
    for row in 1..20 {
        faults.subject_statuses.insert(format!("C-{row:06}"), 422);
    }
    let workspace = Workspace::with(faults);
    workspace.write("crm.csv", export(40));
    let ran =
        workspace.sync(&["--max-in-flight", "1", "--max-errors", "5", "crm.csv"]).expect(4).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (1, 6, 33));
    assert_eq!(workspace.last_rows("failed.csv").len(), 6);
}

#[test]
fn an_error_budget_in_percent_is_one_of_the_rows_read() {
    let refused = (1..200).map(|row| (format!("C-{row:06}"), 422)).collect();
    let workspace = Workspace::with(super::Faults { subject_statuses: refused, ..Default::default() });
    workspace.write("crm.csv", export(200));
    for flag in ["--max-errors", "--max-errors-per-signature"] {
        let args = ["--max-in-flight", "1", flag, "2%", "--new-batch", "--retry-failed", "crm.csv"];
        let ran = workspace.sync(&args).expect(4).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("pending") > 0), (5, true), "{flag}: {}", ran.stdout);
    }
}

#[test]
fn a_conflict_that_no_pass_resolves_counts_like_any_other_failure() {
    let refused = (1..6).map(|row| (format!("C-{row:06}"), 409)).collect();
    let workspace = Workspace::with(super::Faults { subject_statuses: refused, ..Default::default() });
    workspace.write("crm.csv", export(20));
    for flag in ["--max-errors", "--max-errors-per-signature"] {
        let args = ["--max-in-flight", "1", flag, "2", "--full", "--retry-failed", "crm.csv"];
        let ran = workspace.sync(&args).expect(4).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("pending")), (3, 2), "{flag}: {}", ran.stdout);
        assert_eq!(workspace.last_rows("failed.csv").len(), 3);
    }
    let enough = ["--max-errors", "5", "--retry-failed", "crm.csv"];
    assert_eq!(workspace.sync(&enough).expect(3).expect_books().rows("failed"), 5);
    // In a batch to come they have failed before, and say nothing of it.
    workspace.write("next.csv", export(21));
    let ran = workspace.sync(&["--max-errors", "0", "next.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("synced")), (5, 1));
}

#[test]
fn one_complaint_too_often_stops_the_run_while_others_may_go_on() {
    let mut faults = super::Faults::default();
    for row in 1..20 {
        faults.subject_statuses.insert(format!("C-{row:06}"), if row % 2 == 0 { 404 } else { 422 });
    }
    let workspace = Workspace::with(faults);
    workspace.write("crm.csv", export(40));
    let args = ["--max-in-flight", "1", "--max-errors-per-signature", "3", "crm.csv"];
    let ran = workspace.sync(&args).expect(4).expect_books();
    // 422, 404, 422, 404, 422, 404, and the fourth 422.
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (1, 7, 32));
    assert!(ran.stderr.contains("max_errors_per_signature allows (3): 422"), "{}", ran.stderr);
}

#[test]
fn a_complaint_that_quotes_what_was_not_sent_shows_nothing_of_it() {
    // The server knows the whole row from before, and quotes of it what it likes.
    let logins = ["Ada Lovelace", "Grace Hopper", "José Müller", "ØRSTED"];
    let server = Scripted::start(move |ordinal, heard| {
        let id = heard.update["user_external_id"].as_str().unwrap();
        let login = logins[id[2..].parse::<usize>().unwrap()];
        if ordinal < 4 {
            return echo(201, heard);
        }
        assert!(heard.update.get("username").is_none(), "{}", heard.update);
        let says = format!("class of {} may not change", login.to_lowercase());
        answer(422, "application/json", &serde_json::json!({ "detail": says }).to_string())
    });
    let workspace = Workspace::new();
    let export = |class: &str| {
        let rows: String =
            logins.iter().zip(0..).map(|(login, row)| format!("C-{row},{login},{class}\n")).collect();
        // A row folded into the one that is sent says the login, the last one does not.
        format!("crm id,login,tier\n{rows}C-3,,{class}er\n")
    };
    let url = server.url();
    let args = [
        "sync",
        "--api-url",
        &url,
        "--rate",
        "unlimited",
        "--max-in-flight",
        "1",
        "--send",
        "changed",
        "--json",
        "--yes",
        "--map",
        "username=login",
        "crm.csv",
    ];
    workspace.write("crm.csv", export("gold"));
    workspace.run(&args).expect(0);
    workspace.write("crm.csv", export("basic"));
    let ran = workspace.run(&args).expect(3).expect_books();
    assert_eq!(ran.rows("failed"), 4);
    let summary = ran.summary();
    let signatures = summary["signatures"].as_array().unwrap();
    assert_eq!(signatures.len(), 1, "{signatures:?}");
    assert_eq!(signatures[0]["signature"], "422 class of # may not change", "{signatures:?}");
}
