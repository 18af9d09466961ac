//! Batches, runs, key fields and proven fingerprints: the requests about named values, as the journal thread does
//! them.
//!
//! Not here: how they are written (`named.rs`), what follows from them (`plan/`).

use crate::digest::BatchId;
use crate::event::BatchFigures;
use crate::update::FieldKind;

use super::core::Core;
use super::error::JournalError;
use super::named::{self, LedgerMoves, OpenBatch, RunBatch};

/// Batches of a target whose figures are kept: about a week of nightly exports.
pub const FIGURES_MAX: usize = 8;

/// The place of a batch among those of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Its sequence on the target, part of every version; the first is 1.
    pub seq: u64,
    /// Whether it was open already, so that this run continues it.
    pub resumed: bool,
    /// Whether no batch of the target is newer.
    pub newest: bool,
    /// When it was begun, in seconds since the Unix epoch; 0 for one that [`super::Journal::peek_batch`] would
    /// begin.
    pub begun_s: i64,
    /// Whether a run of it has begun to deliver: every gate has let it pass by then.
    pub delivered: bool,
}

impl Core {
    /// What beginning this batch would answer.
    pub(super) fn peek_batch(
        &self,
        target: &str,
        id: BatchId,
        make_newest: bool,
    ) -> Result<Batch, JournalError> {
        named::check_name(target)?;
        let newest = self.newest_seq(target)?;
        let open: Option<OpenBatch> = named::get(self.store.as_ref(), &named::open_batch(target, id))?;
        Ok(match open {
            // One that never began to deliver owns no version: begun anew it loses nothing, and its rows, which nobody
            // has sent yet, are not held to be older than what was sent meanwhile.
            Some(open) if open.seq == newest || (open.delivered && !make_newest) => {
                let OpenBatch { seq, begun_s, delivered, .. } = open;
                Batch { seq, resumed: true, newest: seq == newest, begun_s, delivered }
            }
            Some(_) | None => {
                Batch { seq: newest + 1, resumed: false, newest: true, begun_s: 0, delivered: false }
            }
        })
    }

    /// Begins or continues a batch; durable when it returns.
    pub(super) fn begin_batch(
        &mut self,
        target: &str,
        id: BatchId,
        rows: u64,
        now_s: i64,
        make_newest: bool,
    ) -> Result<Batch, JournalError> {
        let batch = self.peek_batch(target, id, make_newest)?;
        if batch.resumed {
            return Ok(batch);
        }
        let open_name = named::open_batch(target, id);
        let newest_name = named::newest_batch(target);
        let before: Option<OpenBatch> = named::get(self.store.as_ref(), &open_name)?;
        let open =
            named::encode(&open_name, &OpenBatch { seq: batch.seq, rows, begun_s: now_s, delivered: false });
        let newest = named::encode(&newest_name, &batch.seq);
        let mut group = vec![(open_name, Some(open)), (newest_name, Some(newest))];
        if let Some(before) = before {
            group.extend(self.moved_turned_away(target, before.seq, batch.seq)?);
        }
        self.commit_named(group)?;
        Ok(Batch { begun_s: now_s, ..batch })
    }

    /// Closes a batch: the same batch run again is a new one. That none of this sequence is open is fine.
    pub(super) fn close_batch(&mut self, target: &str, seq: u64) -> Result<(), JournalError> {
        named::check_name(target)?;
        let mut closed = Vec::new();
        self.store.named_with(&named::open_batches(target), &mut |name, bytes| {
            if named::decode::<OpenBatch>(name, bytes)?.seq == seq {
                closed.push((name.to_owned(), None));
            }
            Ok(())
        })?;
        if closed.is_empty() {
            return Ok(());
        }
        closed.push((named::turned_away(target, seq), None));
        self.commit_named(closed)
    }

    /// The newest of the target's open batches before this sequence. One that never began to deliver has none yet.
    pub(super) fn older_open(&self, target: &str, seq: u64) -> Result<Option<u64>, JournalError> {
        named::check_name(target)?;
        let mut newest = None;
        self.store.named_with(&named::open_batches(target), &mut |name, bytes| {
            let open: OpenBatch = named::decode(name, bytes)?;
            newest = newest.max(Some(open.seq).filter(|open_seq| open.delivered && *open_seq < seq));
            Ok(())
        })?;
        Ok(newest)
    }

    /// How far a target's ledger has moved.
    pub(super) fn ledger_moves(&self, target: &str) -> Result<LedgerMoves, JournalError> {
        named::check_name(target)?;
        let store = self.store.as_ref();
        let moves: LedgerMoves = named::get(store, &named::moves(target))?.unwrap_or_default();
        let aside = named::get(store, named::MOVES_ASIDE)?.unwrap_or(0);
        Ok(LedgerMoves { aside, ..moves })
    }

    /// Notes that a run begins to deliver a batch; durable when it returns, so that no plan made before can miss it.
    pub(super) fn note_delivery(&mut self, target: &str, id: BatchId, seq: u64) -> Result<(), JournalError> {
        let mut moves = self.ledger_moves(target)?;
        moves.deliveries += 1;
        if moves.last != Some((id, seq)) {
            moves.batches += 1;
            moves.last = Some((id, seq));
        }
        let name = named::moves(target);
        let value = named::encode(&name, &moves);
        let mut group = vec![(name, Some(value))];
        let open_name = named::open_batch(target, id);
        let open: Option<OpenBatch> = named::get(self.store.as_ref(), &open_name)?;
        if let Some(open) = open.filter(|open| open.seq == seq && !open.delivered) {
            let value = named::encode(&open_name, &OpenBatch { delivered: true, ..open });
            group.push((open_name, Some(value)));
        }
        self.commit_named(group)
    }

    /// Notes that somebody else than a batch changes what the ledger holds, of any target.
    pub(super) fn note_moved_aside(&mut self) -> Result<(), JournalError> {
        let name = named::MOVES_ASIDE.to_owned();
        let count: u64 = named::get(self.store.as_ref(), &name)?.unwrap_or(0);
        let value = named::encode(&name, &(count + 1));
        self.commit_named(vec![(name, Some(value))])
    }

    /// Figures of the latest closed batches, oldest first.
    pub(super) fn figures(&self, target: &str, key: FieldKind) -> Result<Vec<BatchFigures>, JournalError> {
        named::check_name(target)?;
        Ok(named::get(self.store.as_ref(), &named::figures(target, key))?.unwrap_or_default())
    }

    /// Keeps the figures of a batch, once per batch, and forgets those of the oldest ones.
    pub(super) fn keep_figures(
        &mut self,
        target: &str,
        key: FieldKind,
        figures: &BatchFigures,
    ) -> Result<(), JournalError> {
        let mut all = self.figures(target, key)?;
        all.retain(|kept| kept.batch_seq != figures.batch_seq);
        all.push(*figures);
        let surplus = all.len().saturating_sub(FIGURES_MAX);
        all.drain(..surplus);
        let name = named::figures(target, key);
        let value = named::encode(&name, &all);
        self.commit_named(vec![(name, Some(value))])
    }

    fn newest_seq(&self, target: &str) -> Result<u64, JournalError> {
        Ok(named::get(self.store.as_ref(), &named::newest_batch(target))?.unwrap_or(0))
    }

    pub(super) fn target_key(&self, target: &str) -> Result<Option<FieldKind>, JournalError> {
        named::check_name(target)?;
        named::get(self.store.as_ref(), &named::key_field(target))
    }

    pub(super) fn set_target_key(&mut self, target: &str, key: FieldKind) -> Result<(), JournalError> {
        if self.target_key(target)? == Some(key) {
            return Ok(());
        }
        let name = named::key_field(target);
        let value = named::encode(&name, &key);
        self.commit_named(vec![(name, Some(value))])?;
        self.write_index();
        Ok(())
    }

    pub(super) fn settled_limit(&self, target: &str) -> Result<Option<u64>, JournalError> {
        named::check_name(target)?;
        named::get(self.store.as_ref(), &named::settled_limit(target))
    }

    pub(super) fn set_settled_limit(&mut self, target: &str, limit: u64) -> Result<(), JournalError> {
        if self.settled_limit(target)? == Some(limit) {
            return Ok(());
        }
        let name = named::settled_limit(target);
        let value = named::encode(&name, &limit);
        self.commit_named(vec![(name, Some(value))])
    }

    pub(super) fn record_run(&mut self, run_id: &str, run: &RunBatch) -> Result<(), JournalError> {
        named::check_name(run_id)?;
        named::check_name(&run.target)?;
        let name = named::run(run_id);
        let value = named::encode(&name, run);
        self.commit_named(vec![(name, Some(value))])?;
        self.write_index();
        Ok(())
    }

    pub(super) fn run_batch(&self, run_id: &str) -> Result<Option<RunBatch>, JournalError> {
        // Whatever stands in a column of an input may be asked about: what cannot be recorded is not there.
        named::get(self.store.as_ref(), &named::run(run_id))
    }

    pub(super) fn is_proven(&self, fingerprint: &str) -> Result<bool, JournalError> {
        Ok(named::get::<()>(self.store.as_ref(), &named::proven(fingerprint))?.is_some())
    }

    pub(super) fn set_proven(&mut self, fingerprint: &str) -> Result<(), JournalError> {
        if self.is_proven(fingerprint)? {
            return Ok(());
        }
        let name = named::proven(fingerprint);
        let value = named::encode(&name, &());
        self.commit_named(vec![(name, Some(value))])
    }
}
