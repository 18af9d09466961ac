//! The journal thread: the only one that touches the store.
//!
//! Not here: the order of requests (`queue.rs`), what a commit is (`core.rs`).

use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use super::error::JournalError;
use super::queue::{Append, Queue, Request, Work};

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
    let (mut sound, mut told) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
    for Append { records, on_durable } in group {
        match records {
            Ok(records) => {
                sound.push(records);
                told.push(on_durable);
            }
            Err(error) => on_durable(Err(Arc::new(error))),
        }
    }
    if sound.is_empty() {
        return;
    }
    let result = match core.commit_records(&sound) {
        Ok(()) => Ok(()),
        Err(JournalError::Stopped(cause)) => Err(cause),
        Err(error) => Err(Arc::new(error)),
    };
    // The records go first: a callback may take its time.
    drop(sound);
    told.into_iter().for_each(|on_durable| on_durable(result.clone()));
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
