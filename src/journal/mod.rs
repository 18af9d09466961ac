//! The journal: the durable memory of intents, outcomes, batches and runs, and the ledger folded from them.
//!
//! The only user of sled (`store.rs`) and grenad (`generation.rs`). One thread (`thread.rs`) does everything that
//! touches the store. In a state directory it keeps `lock`, `journal.key`, `journal.watermark`, `journal/` (sled) and
//! `ledger-<generation>.grenad`. Not here: what the records mean (`ledger.rs`), what follows from them (`plan/`).
//!
//! Reading order: `handle.rs` what others call, `core.rs` commit and fold, `opening.rs` what is believed after a
//! crash, then the formats: `record.rs`, `entry.rs`, `named.rs`, `watermark.rs`, `pages.rs`.

mod batches;
mod codec;
mod core;
mod entry;
mod error;
mod files;
mod fold;
mod generation;
mod guard;
mod handle;
mod key;
mod lock;
mod named;
mod opening;
mod pages;
mod queue;
mod record;
mod room;
mod store;
mod thread;
mod watermark;

#[cfg(test)]
mod tests;

pub use self::core::FinishReport;
pub use batches::{Batch, FIGURES_MAX};
pub use error::{JournalError, JournalErrorKind};
pub use generation::LedgerScan;
pub use handle::{COMMIT_DELAY_MAX_MS, COMMIT_ROWS_MAX, Journal, JournalOptions, JournalWriter};
pub use lock::{LockHolder, lock_holder};
pub use named::{LedgerMoves, RunBatch};
pub use opening::Recovery;
pub use queue::OnDurable;
pub use room::{Room, room};
