//! The traps that other tools were seen to fall into, each a test of its number (reference/peers.md, section 11): the
//! real binary, judged by what the sandbox saw.
//!
//! Not here: the same subjects in depth (`rulings.rs`, `kill.rs`, `wire.rs`); a trap is one scenario, told from
//! outside.

mod answers;
mod memory;
mod pace;
mod telling;

use simsync::sandbox::Faults;

use crate::support::Workspace;

/// Few and quick retries, and little patience.
const HASTY: &str = "[delivery]\nattempts_max = 3\nbackoff_initial = \"5ms\"\nbackoff_max = \"20ms\"\n\
                     [api]\ntimeout = \"500ms\"\nconnect_timeout = \"500ms\"\n";

/// Subjects that always get these statuses.
fn answering(statuses: &[(&str, u16)]) -> Faults {
    let statuses = statuses.iter().map(|(subject, status)| ((*subject).to_owned(), *status));
    Faults { subject_statuses: statuses.collect(), ..Faults::default() }
}

/// What was sent as a subject's tier, in order.
fn tiers_sent(ws: &Workspace, subject: &str) -> Vec<String> {
    let history = ws.history(subject).into_iter();
    history.filter_map(|request| request.fields.get("user_class")?.clone()).collect()
}

/// A subject's key in [`crate::support::export`].
fn key(row: u32) -> String {
    format!("C-{row:06}")
}
