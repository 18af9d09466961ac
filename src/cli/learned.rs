//! What delivery learned at a target in the runs before, and what this one has learned.
//!
//! Not here: what it means for delivery (`delivery/`), how it is kept (`journal/`).

use crate::deliver::Delivered;
use crate::delivery::LeftAlone;
use crate::journal::{Journal, JournalError};

/// What the runs before have learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Learned {
    /// Whether target, envelope and mapping have been acknowledged.
    pub(super) is_proven: bool,
    /// Where the limit of attempts at once settled.
    pub(super) settled: Option<u64>,
    /// What the last run left alone at its end.
    pub(super) left_alone: Option<LeftAlone>,
}

impl Learned {
    /// Of a target, with the fingerprint of envelope and mapping and the sequence of the batch that is to be delivered.
    pub(super) fn of(
        journal: &Journal,
        target: &str,
        proof: &str,
        batch: u64,
    ) -> Result<Learned, JournalError> {
        let left_alone = journal.left_alone(target)?;
        Ok(Learned {
            is_proven: journal.is_proven(proof)?,
            settled: journal.settled_limit(target)?,
            left_alone: left_alone.map(|(of, updates)| LeftAlone { updates, is_resumed: of == batch }),
        })
    }

    /// Keeps what was learned by the run of this batch.
    pub(super) fn keep(
        delivered: &Delivered,
        journal: &Journal,
        target: &str,
        batch: u64,
    ) -> Result<(), JournalError> {
        if delivered.has_lost_journal() {
            return Ok(());
        }
        if let Some(limit) = delivered.settled_limit {
            journal.set_settled_limit(target, limit)?;
        }
        // A run that was stopped otherwise knows no more of it than the one before.
        if delivered.stopped.is_none() || delivered.left_alone.is_some() {
            journal.set_left_alone(target, delivered.left_alone.map(|updates| (batch, updates)))?;
        }
        Ok(())
    }
}
