//! SIM swaps within a batch: chains are sent release before assign, without one refusal; true swaps are held back or
//! sent, and told with the places of their rows.
//!
//! Not here: who waits for whom (`src/plan/tests/swaps.rs`), what a server refuses all the same (`wire/conflicts.rs`).

use std::fmt::Write as _;

use simsync::sandbox::{Faults, SandboxOptions, Shares, Uniqueness};

use crate::support::{Ran, Workspace};
use crate::witness::{kill_9, wait_for};

/// A workspace whose server lets a value be one subject's alone.
fn unique() -> Workspace {
    let faults = Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() };
    Workspace::of(SandboxOptions { faults, ..SandboxOptions::default() })
}

/// Subjects from 0, each with the IMSI that is its number and an offset.
fn rows(subjects: u64, offset: u64) -> String {
    let mut text = String::from("crm id,imsi\n");
    (0..subjects).for_each(|subject| {
        writeln!(text, "C-{subject:06},{}", imsi(subject + offset)).unwrap();
    });
    text
}

fn imsi(number: u64) -> String {
    format!("23415{number:010}")
}

/// After a first run everybody has its own.
fn after_before(workspace: &Workspace, subjects: u64) {
    workspace.write("before.csv", rows(subjects, 0));
    workspace.sync(&["before.csv"]).expect(0);
}

fn http(ran: &Ran, status: &str) -> u64 {
    ran.summary()["http"][status].as_u64().unwrap_or(0)
}

/// Nothing was refused, deferred or tried twice.
#[track_caller]
fn assert_smooth(ran: &Ran, updates: u64) {
    let summary = ran.summary();
    assert_eq!((ran.rows("synced"), http(ran, "409")), (updates, 0), "{}", ran.stdout);
    assert_eq!(
        (summary["attempts"].as_u64(), summary["deferred"].as_u64()),
        (Some(updates), Some(0)),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_chain_of_two_hundred_in_the_worst_order_is_sent_without_a_refusal() {
    let workspace = unique();
    after_before(&workspace, 200);
    workspace.write("chain.csv", rows(200, 1));
    let ran = workspace.sync(&["--yes", "chain.csv"]).expect(0).expect_books();
    assert_smooth(&ran, 200);
    let plan = &ran.summary()["plan"];
    assert_eq!((plan["chains"].as_u64(), plan["chain_longest"].as_u64()), (Some(1), Some(200)));
    assert_eq!(plan["chain_waiting"].as_u64(), Some(199));
    assert_eq!(workspace.at_server("C-000000", "imsi"), Some(imsi(1)));
    assert_eq!(workspace.sync(&["chain.csv"]).expect(0).rows("unchanged"), 200);
}

#[test]
fn beyond_the_memory_of_a_survey_and_with_many_chains_it_is_the_same() {
    let workspace = unique();
    workspace.configure("[plan]\nmemory_max = \"1MiB\"\n");
    let subjects = 16_000;
    after_before(&workspace, subjects);
    // Chains of four each: the last of every four takes what nobody has.
    let mut text = String::from("crm id,imsi\n");
    for subject in 0..subjects {
        let takes = if subject % 4 == 3 { subject + 1_000_000 } else { subject + 1 };
        writeln!(text, "C-{subject:06},{}", imsi(takes)).unwrap();
    }
    workspace.write("chains.csv", text);
    let ran = workspace.sync(&["--yes", "chains.csv"]).expect(0).expect_books();
    assert_smooth(&ran, subjects);
    let plan = &ran.summary()["plan"];
    assert_eq!((plan["chains"].as_u64(), plan["chain_longest"].as_u64()), (Some(subjects / 4), Some(4)));
}

/// A chain as a migration has it, in the worst order, with old values that nothing was acknowledged of.
fn with_old(subjects: u64, header: &str) -> String {
    let mut text = format!("{header}\n");
    (0..subjects).for_each(|subject| {
        writeln!(text, "C-{subject:06},{},{}", imsi(subject), imsi(subject + 1)).unwrap();
    });
    text
}

/// The server knows who holds what, this workspace's journal does not.
fn known_to_the_server_only(subjects: u64) -> Workspace {
    let workspace = unique();
    after_before(&workspace, subjects);
    std::fs::remove_dir_all(workspace.path("simsync-state")).unwrap();
    workspace
}

#[test]
fn old_columns_tell_the_order_of_a_first_run_and_are_never_sent() {
    let named = ["--old", "imsi=Replaced", "--map", "imsi=Now"];
    for (header, args) in [("crm id,old_imsi,imsi", &[][..]), ("crm id,Replaced,Now", &named[..])] {
        let workspace = known_to_the_server_only(60);
        workspace.write("chain.csv", with_old(60, header));
        let ran = workspace.sync(&[&["chain.csv"], args].concat()).expect(0).expect_books();
        assert_smooth(&ran, 60);
        assert_eq!(ran.summary()["plan"]["chain_longest"].as_u64(), Some(60));
        let last = workspace.history("C-000000").pop().unwrap();
        assert_eq!(last.fields.len(), 2, "{:?}", last.fields.keys());
        assert!(!ran.stdout.contains("old_imsi` is"), "{}", ran.stdout);
        assert_eq!(workspace.sync(&[&["chain.csv"], args].concat()).expect(0).rows("unchanged"), 60);
    }
}

#[test]
fn members_of_json_lines_tell_it_too_and_a_swap_is_held() {
    let workspace = known_to_the_server_only(3);
    let line = |subject: u64, old: u64, new: u64| {
        format!(
            "{{\"crm_id\":\"C-{subject:06}\",\"imsi_old\":\"{}\",\"imsi\":\"{}\"}}\n",
            imsi(old),
            imsi(new)
        )
    };
    workspace.write("swap.jsonl", [line(0, 0, 1), line(1, 1, 0), line(2, 2, 9)].concat());
    let ran = workspace.sync(&["swap.jsonl"]).expect(3).expect_books();
    assert_eq!((ran.rows("conflict"), ran.rows("synced"), http(&ran, "409")), (2, 1, 0));
    // Fed back, the rows have kept their columns.
    let held = workspace.run_dirs().pop().unwrap().join("conflicts.csv");
    let again = workspace.sync(&[held.to_str().unwrap()]).expect(3).expect_books();
    assert_eq!((again.rows("conflict"), again.rows("synced")), (2, 0));
}

#[test]
fn an_old_value_that_is_wrong_is_a_warning_and_what_was_acknowledged_counts() {
    let workspace = unique();
    after_before(&workspace, 3);
    let text = format!(
        "crm id,old_imsi,imsi\nC-000000,{},{}\nC-000001,nonsense,{}\nC-000002,,{}\n",
        imsi(77),
        imsi(1),
        imsi(2),
        imsi(9)
    );
    workspace.write("chain.csv", text);
    let warnings = |ran: &Ran| -> Vec<(String, u64)> {
        let all = ran.summary()["warnings"].as_array().unwrap().clone();
        all.iter()
            .map(|of| (of["code"].as_str().unwrap().to_owned(), of["first"]["line"].as_u64().unwrap()))
            .filter(|(code, _)| code.starts_with("x.old"))
            .collect()
    };
    let ran = workspace.sync(&["--yes", "chain.csv"]).expect(0).expect_books();
    assert_smooth(&ran, 3);
    let mut told = warnings(&ran);
    told.sort();
    assert_eq!(told, [("x.old_differs".to_owned(), 2), ("x.old_invalid".to_owned(), 3)]);
    // What was sent meanwhile is no contradiction.
    let again = workspace.sync(&["chain.csv"]).expect(0);
    assert!(!warnings(&again).iter().any(|(code, _)| code == "x.old_differs"), "{}", again.stdout);
}

#[test]
fn a_true_swap_is_held_back_and_told_with_its_lines_or_sent_and_refused() {
    let workspace = unique();
    after_before(&workspace, 3);
    workspace.write(
        "swap.csv",
        format!("crm id,imsi\nC-000000,{}\nC-000001,{}\nC-000002,{}\n", imsi(1), imsi(0), imsi(9)),
    );
    let url = workspace.sandbox.url();
    let plan = workspace.run(&["plan", "--api-url", &url, "swap.csv"]).expect(3);
    assert!(plan.stderr.contains("swaps: 1 true swap of 2 subjects"), "{}", plan.stderr);
    assert!(plan.stderr.contains("  line 2, line 3\n"), "{}", plan.stderr);
    let ran = workspace.sync(&["swap.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("conflict"), ran.rows("synced"), http(&ran, "409")), (2, 1, 0));
    let places = &ran.summary()["plan"]["swap_places"][0];
    assert_eq!((places[0]["line"].as_u64(), places[1]["line"].as_u64()), (Some(2), Some(3)));
    let held = workspace.last_rows("conflicts.csv");
    let told: Vec<_> = held.iter().map(|row| (row["_reason"].as_str(), row["_detail"].as_str())).collect();
    assert_eq!(told.len(), 2);
    assert!(told[0].0 == "conflict.swap" && told[0].1.ends_with("line 3"), "{told:?}");
    assert!(told[1].0 == "conflict.swap" && told[1].1.ends_with("line 2"), "{told:?}");
    assert_eq!(workspace.at_server("C-000000", "imsi"), Some(imsi(0)));
    // Asked for, they are sent; what the server refuses is deferred, and fails in the end.
    let sent = workspace.sync(&["--conflicts", "send", "swap.csv"]).expect(3).expect_books();
    assert_eq!((sent.rows("conflict"), sent.rows("failed"), sent.rows("unchanged")), (0, 2, 1));
    assert_eq!(sent.summary()["plan"]["swaps"].as_u64(), Some(1));
}

#[test]
fn a_ring_of_three_is_held_back_and_a_chain_beside_it_is_sent() {
    let workspace = unique();
    after_before(&workspace, 6);
    let takes = [1, 2, 0, 4, 5, 9];
    let mut text = String::from("crm id,imsi\n");
    (0_u64..).zip(takes).for_each(|(subject, takes)| {
        writeln!(text, "C-{subject:06},{}", imsi(takes)).unwrap();
    });
    workspace.write("ring.csv", text);
    let ran = workspace.sync(&["ring.csv"]).expect(3).expect_books();
    assert_smooth(&ran, 3);
    assert_eq!(ran.rows("conflict"), 3);
    assert_eq!(ran.summary()["plan"]["swap_subjects"].as_u64(), Some(3));
}

#[test]
fn under_each_all_rows_of_a_link_go_in_order_in_their_turn() {
    let workspace = unique();
    after_before(&workspace, 3);
    let mut text = String::from("crm id,imsi,tier\n");
    for (subject, takes, tier) in [(0, 1, "a"), (0, 1, "b"), (1, 2, "a"), (2, 7, "a"), (1, 2, "b")] {
        writeln!(text, "C-{subject:06},{},{tier}", imsi(takes)).unwrap();
    }
    workspace.write("each.csv", text);
    let ran = workspace.sync(&["--duplicates", "each", "each.csv"]).expect(0).expect_books();
    assert_smooth(&ran, 5);
    for subject in ["C-000000", "C-000001"] {
        assert_eq!(workspace.at_server(subject, "user_class").as_deref(), Some("b"));
    }
}

#[test]
fn what_waits_for_a_deferred_link_is_deferred_with_it_and_not_tried_in_vain() {
    let workspace = unique();
    // Somebody holds what the chain begins with, and only the server knows.
    workspace.write("other.csv", format!("crm id,imsi\nX,{}\n", imsi(60)));
    workspace.sync(&["--state", "other", "other.csv"]).expect(0);
    after_before(&workspace, 60);
    // One attempt at a time, in the order of the file: it is given up too late.
    workspace.write("chain.csv", format!("{}X,{}\n", rows(60, 1), imsi(99)));
    let ran = workspace.sync(&["--yes", "--max-in-flight", "1", "chain.csv"]).expect(0).expect_books();
    let attempts = ran.summary()["attempts"].as_u64().unwrap();
    assert_eq!((ran.rows("synced"), ran.summary()["deferred"].as_u64()), (61, Some(60)), "{}", ran.stdout);
    // The first link alone.
    assert_eq!((attempts, http(&ran, "409")), (61 + 1, 1), "{}", ran.stdout);
    assert_eq!(ran.summary()["retries"].as_u64(), Some(1), "what was never sent is no retry");
    assert_eq!(workspace.at_server("C-000000", "imsi"), Some(imsi(1)));
}

#[test]
fn a_canary_counts_what_was_put_aside_when_it_is_sent() {
    let workspace = unique();
    workspace.write("other.csv", format!("crm id,imsi\nX,{}\n", imsi(60)));
    workspace.sync(&["--state", "other", "other.csv"]).expect(0);
    after_before(&workspace, 60);
    workspace.write("chain.csv", format!("{}X,{}\n", rows(60, 1), imsi(99)));
    let args = ["--yes", "--max-in-flight", "1", "chain.csv"];
    let ran = workspace.sync(&[&args[..], &["--max-rows", "10"]].concat()).expect(8).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("pending"), ran.rows("failed")), (10, 51, 0));
    assert_eq!(workspace.sync(&args).expect(0).expect_books().rows("synced"), 51);
}

#[test]
fn more_updates_that_wait_than_are_kept_in_memory_are_read_again_and_end_alike() {
    for (held_max, options) in [(0, &[][..]), (1, &[]), (10, &[]), (10, &["--duplicates", "each"])] {
        let workspace = known_to_the_server_only(24);
        workspace.configure(&format!("[delivery]\ndeferred_held_max = {held_max}\n"));
        // Forward nobody passes but the last; the earlier rows of a subject fold into its update, or go before it.
        let tiers = (0..24).map(|of| format!("C-{of:06},,basic\n")).collect::<String>();
        let text: String = (0..24).map(|of| format!("C-{of:06},{},gold\n", imsi(of + 1))).collect();
        workspace.write("chain.csv", format!("crm id,imsi,tier\n{tiers}{text}"));
        let args = ["--yes", "--max-in-flight", "1", "chain.csv"];
        let ran = workspace.sync(&[&args[..], options].concat()).expect(0).expect_books();
        let updates = if options.is_empty() { 24 } else { 48 };
        assert_eq!(ran.rows("synced"), updates, "{held_max} {}", ran.stdout);
        assert_eq!(ran.summary()["deferred"].as_u64(), Some(23), "{}", ran.stdout);
        for of in 0..24 {
            let key = format!("C-{of:06}");
            assert_eq!(workspace.at_server(&key, "imsi"), Some(imsi(of + 1)), "{held_max} {key}");
            assert_eq!(workspace.at_server(&key, "user_class").as_deref(), Some("gold"), "{held_max} {key}");
        }
    }
}

/// After so many updates of the chain, its next request is never answered, and the run is killed: what that link
/// gives up is in doubt.
fn cut_at_a_link(workspace: &Workspace, args: &[&str], updates: u64, hangs: Shares) {
    let max_rows = updates.to_string();
    if updates > 0 {
        workspace.sync(&[args, &["--max-rows", &max_rows]].concat()).expect(8);
    }
    workspace.fault(Faults { shares: hangs, uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    let before = workspace.sandbox.stats().requests;
    let mut child = workspace.sync_in_background(args);
    workspace.wait_for_requests(before + 1);
    kill_9(&mut child);
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
}

#[test]
fn a_link_in_doubt_gives_up_what_it_held_last_and_the_rest_of_the_chain_waits_for_it() {
    let applied = Shares { hang_after: 1.0, ..Shares::default() };
    let lost = Shares { hang_before: 1.0, ..Shares::default() };
    for (updates, hangs) in [(40, applied.clone()), (40, lost.clone()), (0, lost), (119, applied)] {
        let workspace = unique();
        after_before(&workspace, 120);
        workspace.write("chain.csv", rows(120, 1));
        let args = ["--yes", "chain.csv"];
        cut_at_a_link(&workspace, &args, updates, hangs);
        let ran = workspace.sync(&args).expect(0).expect_books();
        assert_smooth(&ran, 120 - updates);
        assert_eq!(ran.summary()["plan"]["in_doubt_resent"].as_u64(), Some(1));
        for subject in [0, 60, 119] {
            let found = workspace.at_server(&format!("C-{subject:06}"), "imsi");
            assert_eq!(found, Some(imsi(subject + 1)), "{updates}");
        }
    }
}

#[test]
fn killed_anywhere_in_a_chain_a_resume_sends_the_rest_and_nothing_twice() {
    let workspace = unique();
    after_before(&workspace, 300);
    workspace.write("chain.csv", rows(300, 1));
    let before = workspace.sandbox.stats().requests;
    let mut child = workspace.sync_in_background(&["--yes", "chain.csv"]);
    workspace.wait_for_requests(before + 100);
    // Wherever the run is now, at its end for all that is known here: what holds, holds there too.
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for("the sandbox's connections to close", || {
        let stats = workspace.sandbox.stats();
        stats.connections_open == 0 && stats.in_flight == 0
    });
    let done = workspace.sandbox.stats().requests - before;
    let ran = workspace.sync(&["--yes", "chain.csv"]).expect(0).expect_books();
    let attempts = ran.summary()["attempts"].as_u64().unwrap();
    // One update of a chain is on the wire at a time.
    assert!((300..=301).contains(&(attempts + done)), "{attempts} + {done}");
    for subject in [0, 150, 299] {
        assert_eq!(workspace.at_server(&format!("C-{subject:06}"), "imsi"), Some(imsi(subject + 1)));
    }
}
