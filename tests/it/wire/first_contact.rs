//! What stops a run that should not go on, few updates into it, and what it says to do next.
//!
//! Not here: a whole export under a wrong envelope (`envelope.rs`), rows refused among others (`refused.rs`).

use simsync::sandbox::{Faults, SandboxEnvelope, SandboxOptions, Shares};

use super::HASTY;
use super::scripted::{Scripted, answer, echo};
use crate::support::{Ran, Workspace, export};

/// What guest networks answer.
const PORTAL: &str = "<html><title>Welcome</title><p>Log in to our network</p></html>";

fn speaking_flat(rows: u32) -> Workspace {
    let envelope = SandboxEnvelope::Flat;
    let workspace = Workspace::of(SandboxOptions { envelope, ..SandboxOptions::default() });
    workspace.write("crm.csv", export(rows));
    workspace
}

/// The steps that the summary names.
fn next(ran: &Ran) -> String {
    ran.summary()["next"].to_string()
}

fn refusing(rows: std::ops::Range<u32>) -> Faults {
    let subject_statuses = rows.map(|row| (format!("C-{row:06}"), 422)).collect();
    Faults { subject_statuses, ..Faults::default() }
}

#[test]
fn a_canary_or_a_small_export_of_nothing_but_refusals_stops_with_nothing_marked_failed() {
    for (rows, args) in [(300, vec!["--max-rows", "5", "crm.csv"]), (5, vec!["crm.csv"])] {
        let workspace = speaking_flat(rows);
        let ran = workspace.sync(&args).expect(4).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("pending")), (0, u64::from(rows)), "{args:?}");
        assert!(workspace.last_run_file("failed.csv").is_none());
        assert!(ran.stderr.contains("api.envelope"), "{}", ran.stderr);
        let next = next(&ran);
        assert!(next.contains("simsync doctor") && next.contains("--probe crm.csv"), "{next}");
        let ran = workspace.sync(&["--envelope", "flat", "crm.csv"]).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), u64::from(rows));
    }
}

#[test]
fn two_rows_refused_at_first_contact_have_failed_and_the_doctor_is_named_first() {
    let workspace = speaking_flat(2);
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (2, 0));
    let summary = ran.summary();
    let first = summary["next"][0].as_str().unwrap();
    assert!(first.contains("simsync doctor") && first.contains("--probe crm.csv"), "{summary}");
}

#[test]
fn where_nothing_was_accepted_the_doctor_is_named_and_no_replay_although_rows_have_failed_before() {
    let workspace = speaking_flat(40);
    let ran = workspace.sync(&["--max-rows", "2", "crm.csv"]).expect(8).expect_books();
    assert_eq!(ran.rows("failed"), 2);
    let ran = workspace.sync(&["crm.csv"]).expect(4).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (2, 38), "{}", ran.stdout);
    let next = next(&ran);
    assert!(next.contains("--probe crm.csv") && !next.contains("simsync replay"), "{next}");
}

#[test]
fn after_the_error_budget_the_next_step_goes_on_without_it() {
    let workspace = Workspace::with(refusing(1..20));
    workspace.write("crm.csv", export(40));
    let args = ["--max-in-flight", "1", "--max-errors", "2", "crm.csv"];
    let ran = workspace.sync(&args).expect(4).expect_books();
    let summary = ran.summary();
    let first = summary["next"][0].as_str().unwrap();
    assert!(first.contains("simsync sync") && first.contains("crm.csv"), "{summary}");
    assert!(!first.contains("--max-errors"), "{summary}");
    assert!(first.contains("/failed.csv"), "where the failed rows are: {summary}");
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("pending"), ran.rows("failed")), (0, 19));
}

#[test]
fn a_budget_that_is_configured_is_lifted_by_name_in_the_next_step() {
    let workspace = Workspace::with(refusing(1..20));
    workspace.configure("[delivery]\nmax_errors_per_signature = 2\n");
    workspace.write("crm.csv", export(40));
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(4).expect_books();
    let next = next(&ran);
    assert!(next.contains("--max-errors-per-signature none"), "{next}");
}

#[test]
fn a_wrong_address_is_not_to_be_run_again() {
    let shares = Shares { redirect_307: 1.0, ..Shares::default() };
    let workspace = Workspace::with(Faults { shares, ..Faults::default() });
    workspace.write("crm.csv", export(9));
    let ran = workspace.sync(&["crm.csv"]).expect(10).expect_books();
    let next = next(&ran);
    assert!(next.contains("correct api.url") && next.contains("--api-url URL"), "{next}");
    assert!(!next.contains(&workspace.sandbox.url()) && !next.contains("to resume"), "{next}");
    let told = format!("{}{}", ran.stdout, ran.stderr);
    let moved = workspace.sandbox.url().replace("device_app_user_update", "moved");
    assert!(told.contains(&format!("is a redirect to {moved} (HTTP 307)")), "{told}");
    // A redirect is an answer.
    assert!(!told.contains("no answer"), "{told}");
    assert!(next.contains("take out of the way what answers in its place"), "{next}");
}

#[test]
fn the_batch_that_a_redirect_left_open_is_ended_under_its_old_name() {
    let shares = Shares { redirect_307: 1.0, ..Shares::default() };
    let workspace = Workspace::with(Faults { shares, ..Faults::default() });
    workspace.write("crm.csv", export(9));
    let moved = workspace.sync(&["crm.csv"]).expect(10).summary()["target"].as_str().unwrap().to_owned();
    workspace.fault(Faults::default());
    let open = || {
        let stats = workspace.run(&["journal", "stats"]).expect(0).stdout;
        let target = stats.split("\ntarget ").find(|target| target.starts_with(&moved)).unwrap();
        (target.contains(", 1 open"), target.contains("api.target set to the name above"))
    };
    // Under another name it is another target, and what was begun there stays as it is.
    workspace.configure("[api]\ntarget = \"new\"\n");
    workspace.sync(&["crm.csv"]).expect(0);
    assert_eq!(open(), (true, true));
    workspace.configure(&format!("[api]\ntarget = \"{moved}\"\n"));
    workspace.sync(&["crm.csv"]).expect(0);
    assert_eq!(open(), (false, false));
}

#[test]
fn chronic_rows_use_up_no_error_budget() {
    let workspace = Workspace::with(refusing(0..6));
    workspace.write("crm.csv", export(10));
    workspace.sync(&["crm.csv"]).expect(3);
    for budget in ["--max-errors", "--max-errors-per-signature"] {
        let ran = workspace.sync(&["--new-batch", budget, "2", "crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("failed"), ran.rows("unchanged")), (6, 4), "{budget}");
    }
}

#[test]
fn a_page_of_html_under_200_in_the_middle_of_a_run_costs_no_row_anything() {
    // Of those that are acknowledged first, then everybody meets the portal for a while.
    let server = Scripted::start(|ordinal, heard| match ordinal {
        5..40 => answer(200, "text/html", PORTAL),
        _ => echo(201, heard),
    });
    let workspace = Workspace::new();
    workspace.configure("[delivery]\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n");
    workspace.write("crm.csv", export(60));
    let url = server.url();
    let args = ["sync", "--api-url", &url, "--rate", "unlimited", "--concurrency", "40", "--json", "crm.csv"];
    let ran = workspace.run(&args).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 60);
    assert!(ran.stdout.contains("a page of HTML"), "it is told: {}", ran.stdout);
}

#[test]
fn one_row_that_meets_a_page_of_html_each_time_is_exhausted_alone() {
    let server = Scripted::start(|_, heard| match heard.update["user_external_id"].as_str() {
        Some("C-000002") => answer(200, "text/html", PORTAL),
        _ => echo(201, heard),
    });
    let workspace = Workspace::new();
    workspace.configure(HASTY);
    workspace.write("crm.csv", export(9));
    let url = server.url();
    let args = ["sync", "--api-url", &url, "--max-in-flight", "1", "--json", "crm.csv"];
    let ran = workspace.run(&args).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (8, 1));
    assert_eq!(workspace.last_rows("failed.csv")[0]["_reason"], "exhausted");
}

#[test]
fn a_page_of_html_is_named_by_the_doctor_and_by_a_run_at_first_contact() {
    let server = Scripted::start(|_, _| answer(200, "text/html", PORTAL));
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(9));
    let url = server.url();
    let ran = workspace.run(&["sync", "--api-url", &url, "--json", "crm.csv"]).expect(4).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed")), (0, 0));
    let args = ["doctor", "--json", "--api-url", &url, "--probe", "crm.csv"];
    let probed = workspace.run(&args);
    for text in [&ran.stderr, &probed.stdout] {
        assert!(text.contains("HTML") && text.contains("proxy"), "{text}");
        assert!(!text.contains("verify"), "{text}");
    }
}

#[test]
fn a_portal_before_a_target_that_was_proven_is_named_by_the_doctor_and_by_a_run() {
    let portal = answer(200, "text/html", PORTAL);
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://portal.invalid/\r\nContent-Length: 0\r\n\
                    Connection: close\r\n\r\n";
    for (after, names) in [(portal, "a page of HTML"), (redirect.to_owned(), "redirect")] {
        let server = Scripted::start(move |ordinal, heard| match ordinal {
            0..3 => echo(201, heard),
            _ => after.clone(),
        });
        let workspace = Workspace::new();
        workspace.configure("[delivery]\nbackoff_initial = \"10ms\"\noutage_max = \"1s\"\n");
        workspace.write("proof.csv", export(3));
        workspace.write("crm.csv", export(9));
        let url = server.url();
        workspace.run(&["sync", "--api-url", &url, "proof.csv"]).expect(0);
        let probed = workspace.run(&["doctor", "--json", "--api-url", &url, "--probe", "crm.csv"]);
        let probe =
            probed.stdout.lines().find(|line| line.contains(r#""check":"probe""#)).unwrap_or_default();
        assert!(probe.contains(r#""status":"failed""#) && probe.contains(names), "{probe}");
        assert!(probe.contains("portal or a proxy") && probe.contains("api.url"), "{probe}");
        let ran = workspace.run(&["sync", "--api-url", &url, "--retry-failed", "crm.csv"]);
        assert!(ran.stderr.contains(names) && ran.stderr.contains("portal or a proxy"), "{}", ran.stderr);
        assert!([5, 10].contains(&ran.code), "{}", ran.code);
    }
}

#[test]
fn a_hundred_refusals_in_a_row_after_successes_stop_the_run() {
    let workspace = Workspace::with(refusing(10..400));
    workspace.write("crm.csv", export(400));
    let ran = workspace.sync(&["--max-in-flight", "1", "crm.csv"]).expect(4).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), ran.rows("pending")), (10, 100, 290));
    assert!(ran.stderr.contains("refusals_in_a_row_max"), "{}", ran.stderr);
    workspace.configure("[delivery]\nrefusals_in_a_row_max = 0\n");
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("failed"), ran.rows("pending")), (390, 0));
}
