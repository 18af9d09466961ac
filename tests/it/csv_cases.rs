//! CSV files as exports really are: what the operator says about them, and what they say at their end.
//!
//! Not here: the cases of the reader itself (`src/input/tests`), fixtures (`bad_input.rs`).

use crate::support::Workspace;

const ROWS: &str = "C-1,+447911123456\nC-2,+447911123457\n";

#[test]
fn no_header_and_columns_need_each_other() {
    let workspace = Workspace::new();
    workspace.write("a.csv", ROWS);
    for args in [&["a.csv", "--no-header"][..], &["a.csv", "--columns", "crm id,mobile"]] {
        let ran = workspace.sync(args).expect(10);
        assert!(ran.stderr.contains("without"), "{}", ran.stderr);
    }
    let ran =
        workspace.sync(&["a.csv", "--no-header", "--columns", "crm id,mobile"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 2);
}

#[test]
fn a_header_below_other_lines_is_found_with_skip_rows() {
    let workspace = Workspace::new();
    workspace.write("a.csv", format!("Report of the night\n\ncrm id,mobile\n{ROWS}"));
    let ran = workspace.sync(&["a.csv"]).expect(6);
    assert!(ran.stderr.contains("--skip-rows 2"), "{}", ran.stderr);
    let ran = workspace.sync(&["a.csv", "--skip-rows", "2"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 2);
}

#[test]
fn a_trailer_with_another_count_stops_the_run_before_the_first_request() {
    let workspace = Workspace::new();
    workspace.write("a.csv", format!("crm id;mobile\n{}TRL;000003\n", ROWS.replace(',', ";")));
    let ran = workspace.sync(&["a.csv"]).expect(6);
    for part in ["line 4", "3 rows", "2 were read", "input.trailer_counts"] {
        assert!(ran.stderr.contains(part), "`{part}` is missing in {}", ran.stderr);
    }
    assert_eq!(workspace.sandbox.stats().requests, 0);
    workspace.configure("[input]\ntrailer_counts = \"ignore\"\n");
    assert_eq!(workspace.sync(&["a.csv"]).expect(0).expect_books().rows("synced"), 2);
}

#[test]
fn rows_that_a_stray_quote_touched_are_told_one_by_one() {
    let workspace = Workspace::new();
    let text = "crm id,mobile,note\nC-1,\"+447911123456,a\nC-2,+447911123457,b\nC-3,+447911123458,\"c, d\"\nC-4,+447911123459,e\n";
    workspace.write("a.csv", text);
    let ran = workspace.sync(&["a.csv"]).expect(3).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("rejected")), (3, 1));
    let rejected = workspace.last_rows("rejected.csv");
    assert_eq!(rejected[0]["_line"], "2");
    assert_eq!(workspace.at_server("C-3", "number").as_deref(), Some("+447911123458"));
}
