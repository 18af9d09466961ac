//! The journal thread: the only one that touches the store.
//!
//! Not here: the order of requests (`queue.rs`), what a commit is (`core.rs`).

use std::sync::Arc;
use std::time::Duration;

use crate::ledger::Record;

use super::core::Core;
use super::error::JournalError;
use super::queue::{Append, Queue, Request, Work};
use super::record;

/// How much one commit gathers.
#[derive(Debug, Clone, Copy)]
pub(super) struct CommitBounds {
    pub(super) rows_max: usize,
    pub(super) delay: Duration,
}

/// Does requests until the journal is finished or stopped.
pub(super) fn run(queue: &Queue, core: Core, bounds: CommitBounds) {
    // However this ends, nobody may be left waiting.
    let _refuse_rest = RefuseRest(queue);
    let mut core = core;
    loop {
        match queue.next(bounds.rows_max, bounds.delay) {
            Work::Group(group) => commit_group(&mut core, group),
            Work::Call(call) => call(&mut core),
            Work::Finish(reply) => {
                let result = core.finish();
                // Whoever asked may have gone; then nobody wants to know.
                drop(reply.send(result));
                return;
            }
            Work::Stop => return,
        }
        core.tend();
    }
}

fn commit_group(core: &mut Core, group: Vec<Append>) {
    let (sound, unsound): (Vec<Append>, Vec<Append>) =
        group.into_iter().partition(|append| check_all(&append.records).is_ok());
    for append in unsound {
        let refused = check_all(&append.records).map_err(Arc::new);
        (append.on_durable)(refused);
    }
    if sound.is_empty() {
        return;
    }
    let records = sound.iter().flat_map(|append| &append.records);
    let result = match core.commit_records(records) {
        Ok(()) => Ok(()),
        Err(JournalError::Stopped(cause)) => Err(cause),
        Err(error) => Err(Arc::new(error)),
    };
    for append in sound {
        // The records go first: a callback may take its time.
        drop(append.records);
        (append.on_durable)(result.clone());
    }
}

fn check_all(records: &[Record]) -> Result<(), JournalError> {
    records.iter().try_for_each(record::check)
}

/// Refuses a request that will not be done.
pub(super) fn refuse(request: Request) {
    match request {
        Request::Append(append) => (append.on_durable)(Err(Arc::new(JournalError::Closed))),
        // Their callers see the reply channel close.
        Request::Call(_) | Request::Finish(_) | Request::Stop => {}
    }
}

struct RefuseRest<'a>(&'a Queue);

impl Drop for RefuseRest<'_> {
    fn drop(&mut self) {
        self.0.close().into_iter().for_each(refuse);
    }
}
