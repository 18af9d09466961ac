//! What is sent at all: the plan's rulings over several runs of the real binary, judged by what the sandbox holds.
//!
//! Not here: the same rulings against a model (`plan/tests`), and what an answer means (`wire.rs`).

mod history;
mod inputs;
mod policies;
mod refused_before;
mod replayed;
mod targets;

use crate::support::{Ran, Workspace};

/// Writes a file of `crm id,tier` rows and syncs it.
fn sync_tiers(workspace: &Workspace, rows: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut text = String::from("crm id,tier\n");
    for (id, tier) in rows {
        text.push_str(&format!("{id},{tier}\n"));
    }
    workspace.write("tiers.csv", text);
    let mut all = args.to_vec();
    all.push("tiers.csv");
    workspace.sync(&all).expect_books()
}

/// The tiers that were sent for a subject, in order.
fn tiers_sent(workspace: &Workspace, subject: &str) -> Vec<String> {
    workspace
        .history(subject)
        .into_iter()
        .filter_map(|request| request.fields.get("user_class")?.clone())
        .collect()
}
