//! A failure is overtaken by the next export that says otherwise, although that export changes nothing and sends
//! nothing: what failed on Tuesday and is fed back on Thursday does not undo Wednesday.
//!
//! Not here: what an acknowledgement overtakes (`overtaken.rs`, `replay.rs`).

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, finish};

fn refusing(value: &str) -> Faults {
    Faults { refused_values: [value.to_owned()].into(), ..Faults::default() }
}

/// Syncs one row a subject, with these columns, as an export of its own.
fn day(ws: &Workspace, name: &str, text: &str, options: &[&str]) -> Ran {
    ws.write(name, text);
    ws.sync(&[&[name], options].concat())
}

fn feed_back(ws: &Workspace, failed: &str, options: &[&str]) -> Ran {
    ws.write("fed-back.csv", failed);
    ws.sync(&[&["fed-back.csv"], options].concat())
}

/// Monday's value is acknowledged, Tuesday's refused; what Tuesday left.
fn refused_on_tuesday(options: &[&str]) -> (Workspace, String) {
    let ws = Workspace::with(refusing("tuesday"));
    let rest = "C-2,bob,basic\n";
    day(&ws, "mon.csv", &format!("crm id,login,tier\nC-1,ann,monday\n{rest}"), options).expect(0);
    day(&ws, "tue.csv", &format!("crm id,login,tier\nC-1,ann,tuesday\n{rest}"), options).expect(3);
    let failed = ws.last_run_file("failed.csv").unwrap();
    ws.fault(Faults::default());
    (ws, failed)
}

#[test]
fn an_unchanged_export_overtakes_what_failed_before_it() {
    for options in [&[][..], &["--send", "changed"], &["--duplicates", "each"], &["--duplicates", "last"]] {
        let (ws, failed) = refused_on_tuesday(options);
        let wednesday = "crm id,login,tier\nC-1,ann,monday\nC-2,bob,basic\n";
        let seen = ws.sandbox.stats().requests;
        let ran = day(&ws, "wed.csv", wednesday, options).expect(0).expect_books();
        assert_eq!((ran.rows("unchanged"), ws.sandbox.stats().requests), (2, seen), "{options:?}");
        let ran = feed_back(&ws, &failed, options).expect(3).expect_books();
        assert_eq!((ran.rows("superseded"), ran.rows("synced")), (1, 0), "{options:?}");
        assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("monday"));
        let why = ws.last_rows("superseded.csv").remove(0)["_detail"].clone();
        assert!(why.contains("set since by row 1 of run "), "{why}");
        // The export after it has nothing to say, either, and the next change is sent.
        day(&ws, "thu.csv", &format!("{wednesday}C-3,cyd,basic\n"), options).expect(0);
        day(&ws, "fri.csv", "crm id,login,tier\nC-1,ann,friday\n", options).expect(0);
        assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("friday"));
    }
}

#[test]
fn without_an_export_in_between_what_failed_is_sent() {
    let (ws, failed) = refused_on_tuesday(&[]);
    assert_eq!(feed_back(&ws, &failed, &[]).expect(0).rows("synced"), 1);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("tuesday"));
}

#[test]
fn an_export_overtakes_only_the_fields_it_has() {
    let (ws, failed) = refused_on_tuesday(&[]);
    day(&ws, "wed.csv", "crm id,login\nC-1,ann\nC-2,bob\n", &[]).expect(0);
    assert_eq!(feed_back(&ws, &failed, &[]).expect(0).rows("synced"), 1);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("tuesday"));
}

#[test]
fn a_field_that_is_left_out_for_being_equal_is_overtaken_too() {
    let (ws, failed) = refused_on_tuesday(&["--send", "changed"]);
    // Only the login changes; the tier is as it was on Monday, and says so.
    let wednesday = "crm id,login,tier\nC-1,anna,monday\nC-2,bob,basic\n";
    assert_eq!(day(&ws, "wed.csv", wednesday, &["--send", "changed"]).expect(0).rows("synced"), 1);
    let ran = feed_back(&ws, &failed, &["--send", "changed"]).expect(3).expect_books();
    assert_eq!(ran.rows("superseded"), 1);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("monday"));
    assert_eq!(ws.at_server("C-1", "username").as_deref(), Some("anna"));
}

#[test]
fn an_acknowledgement_of_other_fields_does_not_hide_the_failure() {
    let (ws, failed) = refused_on_tuesday(&[]);
    day(&ws, "wed.csv", "crm id,login\nC-1,anna\n", &[]).expect(0);
    day(&ws, "thu.csv", "crm id,login,tier\nC-1,anna,monday\n", &[]).expect(0);
    let ran = feed_back(&ws, &failed, &[]).expect(3).expect_books();
    assert_eq!(ran.rows("superseded"), 1);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("monday"));
}

#[test]
fn a_plan_of_what_failed_is_refused_once_an_export_has_overtaken_it() {
    let (ws, failed) = refused_on_tuesday(&[]);
    ws.write("fed-back.csv", &failed);
    let url = ws.sandbox.url();
    let plan = ["plan", "--api-url", &url, "--json", "-o", "p.json", "fed-back.csv"];
    finish(ws.command(&plan)).expect(0);
    day(&ws, "wed.csv", "crm id,login,tier\nC-1,ann,monday\nC-2,bob,basic\n", &[]).expect(0);
    let ran = ws.sync(&["--plan", "p.json"]).expect(4);
    assert!(ran.stderr.contains("another batch was sent since"), "{}", ran.stderr);
    assert_eq!(ws.at_server("C-1", "user_class").as_deref(), Some("monday"));
}

#[test]
fn an_adopted_export_overtakes_what_failed_before_it() {
    let (ws, failed) = refused_on_tuesday(&[]);
    ws.write("wed.csv", "crm id,login,tier\nC-1,ann,monday\nC-2,bob,basic\n");
    ws.run(&["journal", "adopt", "wed.csv", "--api-url", &ws.sandbox.url()]).expect(0);
    assert_eq!(feed_back(&ws, &failed, &[]).expect(3).rows("superseded"), 1);
}
