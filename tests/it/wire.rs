//! The verdict table of the design (section 5) from both ends: the real binary against a server that misbehaves, its
//! exit code, books and files on one side, what arrived on the other.
//!
//! Not here: what is sent at all (`rulings.rs`), what survives a kill (`kill.rs`).

mod acknowledged;
mod alone;
mod blocks;
mod bounds;
mod certificates;
mod concurrency;
mod conflicts;
mod envelope;
mod first_contact;
mod hours;
mod keys;
mod pace;
mod peer;
mod proxies;
mod quiet;
mod refused;
mod retried;
mod same;
mod same_each;
pub(crate) mod scripted;
mod slowing;
mod stopping;
mod token;
mod verify;
mod versions;

use simsync::sandbox::{Faults, Outage, OutageKind, Window};

use crate::support::{Ran, Workspace, imei};

/// Few and quick retries.
const HASTY: &str = "[delivery]\nattempts_max = 3\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n";

/// The same, and a short timeout. An answer of the sandbox takes a few milliseconds.
const IMPATIENT: &str = "[delivery]\nattempts_max = 3\nbackoff_initial = \"10ms\"\nbackoff_max = \"50ms\"\n\
                         [api]\ntimeout = \"1s\"\nconnect_timeout = \"1s\"\n";

/// So many requests from this one on meet this outage.
fn outage(from: u64, count: u64, how: OutageKind) -> Faults {
    let window = Window::Requests { from, count };
    Faults { outages: vec![Outage { window, how }], ..Faults::default() }
}

/// Every request of this subject gets this status.
fn subject_status(subject: &str, status: u16) -> Faults {
    Faults { subject_statuses: [(subject.to_owned(), status)].into(), ..Faults::default() }
}

/// Answers of a status, as the summary has them.
fn http(ran: &Ran, status: &str) -> u64 {
    ran.summary()["http"][status].as_u64().unwrap_or(0)
}

/// Asserts that the one row of failed.csv is this one of [`crate::support::export`], with its cells and its reason,
/// and that nothing of the row is in its signature.
#[track_caller]
fn assert_failed_row(workspace: &Workspace, row: u32, reason: &str, signature: &str) {
    let rows = workspace.last_rows("failed.csv");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["crm id"], format!("C-{row:06}"));
    assert_eq!(rows[0]["imei"], imei(row));
    assert_eq!(rows[0]["_row"], (row + 1).to_string());
    assert_eq!(rows[0]["_line"], (row + 2).to_string());
    assert_eq!(rows[0]["_reason"], reason);
    assert!(rows[0]["_signature"].starts_with(signature), "{}", rows[0]["_signature"]);
    for column in ["crm id", "mobile", "imei", "tier"] {
        assert!(!rows[0]["_signature"].contains(&rows[0][column]), "{}", rows[0]["_signature"]);
    }
}
