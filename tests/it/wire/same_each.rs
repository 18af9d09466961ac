//! Subjects that fail for ever, of each of which several rows are sent in order (`each`): their later rows are all
//! that is left in the end, and whoever looks at those alone takes them for an outage.
//!
//! Not here: rows of a subject each (`same.rs`, `retried.rs`), and blocks of them (`blocks.rs`).

use std::fmt::Write as _;

use simsync::sandbox::{Faults, RetryAfter};

use super::HASTY;
use crate::support::{Ran, Workspace};

const SUBJECTS: u32 = 1_000;
const ROUNDS: u32 = 2;
const BAD: u32 = 60;

/// Two rows of each subject, one round after the other or one subject after the other.
fn export(are_rounds: bool) -> String {
    let mut text = String::from("crm id,mobile,tier\n");
    for at in 0..SUBJECTS * ROUNDS {
        let (subject, round) =
            if are_rounds { (at % SUBJECTS, at / SUBJECTS) } else { (at / ROUNDS, at % ROUNDS) };
        writeln!(text, "C-{subject:06},+4479{:08},t{round}", 10_000_000 + subject).unwrap();
    }
    text
}

/// So many subjects here and there, or from one on.
fn bad(from: Option<u32>, count: u32) -> Vec<u32> {
    let step = SUBJECTS / count;
    (0..count).map(|number| from.map_or(number * step + step / 2, |from| from + number)).collect()
}

fn workspace(bad: &[u32], status: u16, are_rounds: bool) -> Workspace {
    let workspace = Workspace::new();
    workspace.configure(&format!("{HASTY}outage_max = \"5s\"\n"));
    workspace.write("crm.csv", export(are_rounds));
    workspace.fault(failing(bad, status, RetryAfter::Absent));
    workspace
}

fn failing(bad: &[u32], status: u16, retry_after: RetryAfter) -> Faults {
    let subject_statuses = bad.iter().map(|subject| (format!("C-{subject:06}"), status)).collect();
    Faults { subject_statuses, retry_after, ..Faults::default() }
}

fn sync(workspace: &Workspace) -> Ran {
    workspace.sync(&["--duplicates", "each", "crm.csv"])
}

#[test]
fn subjects_answered_with_503_for_ever_fail_with_all_of_their_rows_in_the_first_run() {
    for (are_rounds, from) in [(true, None), (false, None), (true, Some(0)), (false, Some(470))] {
        let about = format!("in rounds: {are_rounds}, from {from:?}");
        let bad = bad(from, BAD);
        let workspace = workspace(&bad, 503, are_rounds);
        let ran = sync(&workspace).expect(3).expect_books();
        let rows = u64::from(BAD * ROUNDS);
        assert_eq!(ran.rows("failed"), rows, "{about}: {}", ran.stdout);
        assert_eq!(ran.rows("synced"), u64::from(SUBJECTS * ROUNDS) - rows, "{about}");
    }
}
