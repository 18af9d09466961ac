//! 409, and refusals that read like one: deferred, resolved by a later pass, or failed in the end.
//!
//! Who takes what another gives up is found by the plan and sent in that order (`swaps.rs`); here the plan may order
//! nothing, so that the server decides.

use simsync::sandbox::{Faults, SandboxOptions, Uniqueness};

use super::http;
use crate::support::{Ran, Workspace};
use crate::witness::{frozen_after, kill_9};

const BEFORE: &str = "crm id,imsi\nCRM-A1,234150000000001\nCRM-B1,234150000000002\nCRM-C1,234150000000003\n";

/// Every row takes what the next one gives up, so that only the last can pass at first.
const CHAIN: &str = "crm id,imsi\nCRM-A1,234150000000002\nCRM-B1,234150000000003\nCRM-C1,234150000000004\n";

/// The plan finds no order.
const UNORDERED: &str = "[plan]\nchain_rows_max = 0\n";

/// Two subjects swap.
const SWAP: &str = "crm id,imsi\nCRM-A1,234150000000002\nCRM-B1,234150000000001\nCRM-C1,234150000000009\n";

fn after_before(uniqueness: Uniqueness, honor_idempotency_key: bool) -> Workspace {
    let faults = Faults { uniqueness, ..Faults::default() };
    let workspace =
        Workspace::of(SandboxOptions { honor_idempotency_key, faults, ..SandboxOptions::default() });
    workspace.write("before.csv", BEFORE);
    workspace.sync(&["before.csv"]).expect(0);
    workspace.configure(UNORDERED);
    workspace
}

fn deferred(ran: &Ran) -> u64 {
    ran.summary()["deferred"].as_u64().unwrap()
}

#[test]
fn a_chain_of_swaps_in_the_wrong_order_is_resolved() {
    for (uniqueness, status) in [(Uniqueness::Refuse409, "409"), (Uniqueness::Refuse422, "422")] {
        let workspace = after_before(uniqueness, false);
        workspace.write("chain.csv", CHAIN);
        let ran = workspace.sync(&["--max-in-flight", "1", "chain.csv"]).expect(0).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed"), deferred(&ran)), (3, 0, 2), "{status}");
        // A and B refused, C passes; B passes, A passes: A is let alone until B has given up what A wants.
        assert_eq!((http(&ran, status), http(&ran, "201")), (2, 3), "{status}");
        for (subject, imsi) in
            [("CRM-A1", "234150000000002"), ("CRM-B1", "234150000000003"), ("CRM-C1", "234150000000004")]
        {
            assert_eq!(workspace.at_server(subject, "imsi").as_deref(), Some(imsi));
        }
        assert!(workspace.last_run_file("failed.csv").is_none());
        let again = workspace.sync(&["chain.csv"]).expect(0);
        assert_eq!(again.rows("unchanged"), 3);
    }
}

/// Whoever knows who holds what lets those wait who have to. A journal that does not know tries all of them, pass by
/// pass, as long as one has passed.
#[test]
fn a_journal_that_does_not_know_who_holds_what_resolves_a_chain_pass_by_pass() {
    let workspace = after_before(Uniqueness::Refuse409, false);
    workspace.write("chain.csv", CHAIN);
    let args = ["--state", "another", "--max-in-flight", "1", "chain.csv"];
    let ran = workspace.sync(&args).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), deferred(&ran)), (3, 0, 2));
    // A, B and C; B and A, against the order of the file.
    assert_eq!((http(&ran, "409"), http(&ran, "201")), (2, 3));
}

#[test]
fn a_server_that_replays_refusals_by_key_does_not_hold_a_chain_up() {
    let workspace = after_before(Uniqueness::Refuse409, true);
    workspace.write("chain.csv", CHAIN);
    let ran = workspace.sync(&["--max-in-flight", "1", "chain.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 3);
    assert_eq!(workspace.sandbox.stats().replayed, 0);
}

#[test]
fn a_swap_of_two_is_tried_until_a_pass_makes_no_progress_and_fails() {
    for (uniqueness, status) in [(Uniqueness::Refuse409, "409"), (Uniqueness::Refuse422, "422")] {
        let workspace = after_before(uniqueness, false);
        workspace.write("swap.csv", SWAP);
        let ran = workspace.sync(&["--max-in-flight", "1", "swap.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed"), deferred(&ran)), (1, 2, 2), "{status}");
        // Once in the main pass, once in the pass that makes no progress.
        assert_eq!((http(&ran, status), workspace.history("CRM-A1").len()), (4, 3), "{status}");
        let rows = workspace.last_rows("failed.csv");
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in &rows {
            assert_eq!(row["_reason"], "deferred");
            assert_eq!(row["_signature"], format!("{status} imsi: imsi already assigned to #"));
        }
        // Nothing but a definite refusal: what the server held before is still known.
        workspace.write("before.csv", BEFORE);
        let back = workspace.sync(&["before.csv"]).expect(0);
        assert_eq!((back.rows("unchanged"), back.rows("synced")), (2, 1), "{status}");
    }
}

#[test]
fn a_409_without_words_is_deferred_and_fails_as_that() {
    let workspace = Workspace::with(super::subject_status("C-000002", 409));
    workspace.write("crm.csv", crate::support::export(5));
    let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("failed"), deferred(&ran)), (4, 1, 1));
    assert_eq!(workspace.history("C-000002").len(), 2);
    super::assert_failed_row(&workspace, 2, "deferred", "409 ");
}

#[test]
fn a_long_chain_in_the_wrong_order_costs_two_attempts_a_link() {
    let links = 60_u64;
    let row = |subject: u64, imsi: u64| format!("CRM-{subject:03},23415{imsi:010}\n");
    let faults = Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() };
    let workspace = Workspace::of(SandboxOptions { faults, ..SandboxOptions::default() });
    let before: String = (0..links).map(|link| row(link, link)).collect();
    workspace.configure(UNORDERED);
    workspace.write("before.csv", format!("crm id,imsi\n{before}"));
    workspace.sync(&["before.csv"]).expect(0);
    let chain: String = (0..links).map(|link| row(link, link + 1)).collect();
    workspace.write("chain.csv", format!("crm id,imsi\n{chain}"));
    let ran = workspace.sync(&["--concurrency", "1", "chain.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), deferred(&ran)), (links, links - 1));
    assert_eq!(ran.summary()["attempts"].as_u64(), Some(2 * links - 1));
    assert_eq!(workspace.at_server("CRM-000", "imsi").as_deref(), Some("234150000000001"));
}

/// Nobody knows who holds what, and all that may be on the wire is.
#[test]
fn a_chain_of_unknown_order_costs_four_attempts_a_link_whichever_way_it_lies() {
    let links = 60_u64;
    let row = |subject: u64, imsi: u64| format!("CRM-{subject:03},23415{imsi:010}\n");
    for is_forward in [true, false] {
        let faults = Faults { uniqueness: Uniqueness::Refuse409, latency_ms: 5, ..Faults::default() };
        let workspace = Workspace::of(SandboxOptions { faults, ..SandboxOptions::default() });
        workspace.configure(UNORDERED);
        let before: String = (0..links).map(|link| row(link, link)).collect();
        workspace.write("before.csv", format!("crm id,imsi\n{before}"));
        workspace.sync(&["before.csv"]).expect(0);
        let takes = |link: u64| if is_forward { link + 1 } else { (link + 999) % 1_000 };
        let chain: String = (0..links).map(|link| row(link, takes(link))).collect();
        workspace.write("chain.csv", format!("crm id,imsi\n{chain}"));
        let ran = workspace.sync(&["--state", "another", "--concurrency", "64", "chain.csv"]).expect(0);
        assert_eq!(ran.expect_books().rows("synced"), links);
        let attempts = workspace.sandbox.stats().requests - links;
        assert!(attempts <= 4 * links, "{attempts} attempts");
        assert_eq!(workspace.at_server("CRM-003", "imsi"), Some(format!("23415{:010}", takes(3))));
    }
}

/// A first row that is deferred is not overtaken by a later one of its subject, and no row is read again for it.
#[test]
fn under_each_a_later_row_waits_behind_the_deferred_one_of_its_subject() {
    let workspace = after_before(Uniqueness::Refuse409, false);
    workspace.write(
        "each.csv",
        "crm id,imsi,tier\nCRM-A1,234150000000002,a\nCRM-A1,234150000000002,b\nCRM-B1,234150000000009,a\nCRM-A1,,c\n",
    );
    let args = ["--duplicates", "each", "--max-in-flight", "1", "each.csv"];
    let ran = workspace.sync(&args).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), http(&ran, "409"), http(&ran, "201")), (4, 1, 4));
    let tiers: Vec<_> =
        workspace.history("CRM-A1").iter().filter_map(|of| of.fields.get("user_class").cloned()).collect();
    assert_eq!(tiers, ["a", "a", "b", "c"].map(|tier| Some(tier.to_owned())));
}

/// Killed in the pass over deferred updates: at the first row of a subject, and at the one behind it.
#[test]
fn killed_among_the_deferred_a_resume_sends_what_is_left_in_order() {
    let export =
        "crm id,imsi,tier\nCRM-A1,234150000000002,a\nCRM-A1,234150000000002,b\nCRM-B1,234150000000009,a\n";
    for (answered, left) in [(2, vec!["a", "b"]), (3, vec!["b"])] {
        let workspace = after_before(Uniqueness::Refuse409, false);
        workspace.write("each.csv", export);
        let args = ["--duplicates", "each", "--max-in-flight", "1", "each.csv"];
        let before = workspace.sandbox.stats().requests;
        workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(answered) });
        let mut child = workspace.sync_in_background(&args);
        workspace.wait_for_requests(before + answered + 1);
        // What was answered becomes durable meanwhile; if it does not, more is left than is looked for.
        std::thread::sleep(std::time::Duration::from_millis(500));
        kill_9(&mut child);
        workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
        let seen = workspace.history("CRM-A1").len();
        let ran = workspace.sync(&args).expect(0).expect_books();
        assert_eq!(ran.rows("synced"), left.len() as u64, "{}", ran.stdout);
        assert!(ran.summary()["plan"]["in_doubt_resent"].as_u64() > Some(0), "{}", ran.stdout);
        let history = workspace.history("CRM-A1");
        let tiers: Vec<_> = history[seen..].iter().filter_map(|of| of.fields["user_class"].clone()).collect();
        assert_eq!(tiers, left);
        assert_eq!(workspace.at_server("CRM-A1", "user_class").as_deref(), Some("b"));
    }
}
