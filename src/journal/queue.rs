//! The queue in front of the journal thread: requests in order, appends gathered into groups.
//!
//! Its length is bounded by the senders: the scheduler has a window of open intents, and no more outcomes than
//! those. Not here: what is done with a request (`thread.rs`).

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::core::{Core, FinishReport};
use super::error::JournalError;
use super::packing::EncodedRecords;

/// Told once the records are durable, or never will be.
pub type OnDurable = Box<dyn FnOnce(Result<(), Arc<JournalError>>) + Send>;

/// Records on their way to the log, or why they may not go there.
pub(super) struct Append {
    pub(super) records: Result<EncodedRecords, JournalError>,
    pub(super) on_durable: OnDurable,
}

/// Something to do with the core, answering its caller itself.
pub(super) type Call = Box<dyn FnOnce(&mut Core) + Send>;

/// Where the end of the journal is told.
pub(super) type FinishReply = Sender<Result<FinishReport, JournalError>>;

pub(super) enum Request {
    Append(Append),
    Call(Call),
    Finish(FinishReply),
    Stop,
}

/// What the thread does next.
pub(super) enum Work {
    Group(Vec<Append>),
    Call(Call),
    Finish(FinishReply),
    Stop,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    /// Rows of all appends waiting.
    rows: usize,
    /// Requests waiting that are no appends: somebody waits for each.
    urgent: usize,
    is_closed: bool,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    ready: Condvar,
}

impl Queue {
    /// Adds a request; gives it back when nobody will ever take it.
    pub(super) fn push(&self, request: Request, rows_max: usize) -> Result<(), Request> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(request);
        }
        let was_empty = state.requests.is_empty();
        match &request {
            Request::Append(append) => state.rows += rows_of(append),
            Request::Call(_) | Request::Finish(_) | Request::Stop => state.urgent += 1,
        }
        state.requests.push_back(request);
        // Waking the thread for each append would cost more than the append.
        let wakes = was_empty || state.urgent > 0 || state.rows >= rows_max;
        drop(state);
        if wakes {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for the next work. Appends are gathered until so many rows wait, something urgent comes, or the delay
    /// is over.
    pub(super) fn next(&self, rows_max: usize, delay: Duration) -> Work {
        let mut state = self
            .ready
            .wait_while(self.lock(), |state| state.requests.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        if matches!(state.requests.front(), Some(Request::Append(_))) {
            let gathering = |state: &mut State| state.rows < rows_max && state.urgent == 0;
            let waited = self.ready.wait_timeout_while(state, delay, gathering);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        take_work(&mut state, rows_max)
    }

    /// Closes the queue; what still waits is handed out to be refused.
    pub(super) fn close(&self) -> VecDeque<Request> {
        let mut state = self.lock();
        state.is_closed = true;
        state.rows = 0;
        state.urgent = 0;
        std::mem::take(&mut state.requests)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half way, so a poisoned one is as good as new.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_work(state: &mut State, rows_max: usize) -> Work {
    let mut group = Vec::new();
    let mut rows = 0;
    while let Some(request) = state.requests.pop_front() {
        let fits = match &request {
            Request::Append(append) => rows + rows_of(append) <= rows_max,
            Request::Call(_) | Request::Finish(_) | Request::Stop => false,
        };
        if !fits && !group.is_empty() {
            state.requests.push_front(request);
            break;
        }
        match request {
            Request::Append(append) => {
                rows += rows_of(&append);
                state.rows -= rows_of(&append);
                group.push(append);
            }
            Request::Call(call) => {
                state.urgent -= 1;
                return Work::Call(call);
            }
            Request::Finish(reply) => {
                state.urgent -= 1;
                return Work::Finish(reply);
            }
            Request::Stop => {
                state.urgent -= 1;
                return Work::Stop;
            }
        }
    }
    Work::Group(group)
}

/// An append without records still is one: its caller waits for everything before it.
fn rows_of(append: &Append) -> usize {
    append.records.as_ref().map_or(0, EncodedRecords::len).max(1)
}
