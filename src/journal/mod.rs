//! The journal: the durable memory of intents, outcomes, batches and runs, and the ledger folded from them.
//!
//! The only user of sled (`store.rs`) and grenad (`generation.rs`). One thread (`thread.rs`) does everything that
//! touches the store. In a state directory it keeps `lock`, `journal.key`, `journal.watermark`, `journal/` (sled) and
//! `ledger-<generation>.grenad`. Not here: what the records mean (`ledger.rs`), what follows from them (`plan/`).
//!
//! `targets.json` repeats for readers what is known of targets and runs. Tools are `view.rs` (reading without the
//! lock), `upkeep.rs` (numbers, forgetting), `rewrite.rs` (the store written anew) and `verify.rs`.
//!
//! Reading order: `handle.rs` what others call, `core.rs` commit and when to fold, `fold.rs` (`gather.rs`,
//! `sorted.rs`, `job.rs`) the fold, `opening.rs` what is believed after a crash, then the formats: `packing.rs`,
//! `record.rs`, `entry.rs`, `named.rs`, `watermark.rs`, `pages.rs`.

mod away;
mod batches;
mod codec;
mod core;
mod entry;
mod error;
mod files;
mod fold;
mod gather;
mod generation;
mod guard;
mod handle;
mod index;
mod job;
mod key;
mod lock;
mod named;
mod opening;
mod packing;
mod pages;
mod queue;
mod record;
mod rewrite;
mod room;
mod sorted;
mod store;
mod thread;
mod upkeep;
mod verify;
mod view;
mod watermark;

#[cfg(test)]
mod tests;

pub use self::core::FinishReport;
pub use batches::{Batch, FIGURES_MAX};
pub use error::{DAMAGE_REMEDY, JournalError, JournalErrorKind};
pub use generation::{LedgerLookups, LedgerScan};
pub use handle::{
    COMMIT_DELAY_MAX_MS, COMMIT_ROWS_MAX, Journal, JournalOptions, JournalWriter, LOG_BYTES_MAX,
};
pub use index::{JournalIndex, RunFact, TargetBatch, TargetFact};
pub use lock::{LockHolder, lock_holder};
pub use named::{LedgerMoves, RunBatch, TURNED_AWAY_BATCHES_MAX, TURNED_AWAY_MAX, TurnedAway};
pub use opening::Recovery;
pub use queue::OnDurable;
pub use room::{Room, room};
pub use upkeep::{DiskUse, TargetStats, Upkeep, UpkeepStats, disk_use};
pub use verify::{Finding, Verified, verify};
pub use view::LedgerView;
