//! Many rows that are turned away for their own sake, every time, while others pass: no rate turns them away, and
//! nobody else is to wait for them.
//!
//! Not here: few of them (`quiet.rs`, `retried.rs`), and those that are left alone at the end (`alone.rs`).

use simsync::sandbox::Faults;

use super::http;
use crate::support::{Workspace, export};

#[test]
fn many_rows_that_are_turned_away_for_ever_at_the_head_of_an_export_fail_alone() {
    for status in [429, 503] {
        let subject_statuses = (0..40).map(|number| (format!("C-{number:06}"), status)).collect();
        let workspace = Workspace::with(Faults { subject_statuses, ..Faults::default() });
        workspace.configure(&format!("{}outage_max = \"60s\"\nrate = \"500/s\"\n", super::HASTY));
        workspace.write("crm.csv", export(300));
        let ran = workspace.sync(&["crm.csv"]).expect(3).expect_books();
        assert_eq!((ran.rows("synced"), ran.rows("failed")), (260, 40), "{status}: {}", ran.stdout);
        // Three attempts each, and those that found it out.
        assert!(http(&ran, &status.to_string()) <= 40 * 12, "{status}: {}", ran.summary()["http"]);
    }
}
