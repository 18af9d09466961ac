//! Adoption: what the plan would send is recorded as acknowledged, and nothing is sent.
//!
//! The same reading side as delivery, and the journal right behind it: no intent, for nothing is ever on the wire.
//! Killed on the way, the same command goes on, as a resume does. Not here: whether to adopt (`cli/adopt.rs`),
//! sending (`driver.rs`).

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use super::feed::{Fed, Feed, Selection};
use super::{Delivered, Stopped, late_updates, waiting_updates};
use crate::engine::credit::Credit;
use crate::engine::signals::Signals;
use crate::event::Event;
use crate::fields::ClearAs;
use crate::input::Inputs;
use crate::journal::{JournalError, JournalWriter};
use crate::ledger::Record;
use crate::plan::Plan;
use crate::row::Place;
use crate::survey::{Emitter, Judge};

/// Groups of records on their way to the disk, at most.
const GROUPS_OPEN_MAX: usize = 128;

/// What an adoption is made of.
pub struct Adoption<'a> {
    /// The inputs, surveyed.
    pub inputs: &'a mut Inputs,
    /// Who judges rows.
    pub judge: Judge<'a>,
    /// What the survey ruled.
    pub plan: &'a Plan,
    /// The batch's sequence on its target.
    pub batch: u64,
    /// The journal.
    pub writer: JournalWriter,
    /// Rows kept until the last row of their subject arrives, at most.
    pub rows_folding_max: usize,
    /// The signals of this process.
    pub signals: Signals,
    /// The wall clock in seconds since the Unix epoch: when it is said to be acknowledged.
    pub now_s: fn() -> i64,
}

/// A group that is durable, or never will be: places of its updates and how many records it had.
struct Recorded {
    places: Vec<Place>,
    records: u64,
    result: Result<(), Arc<JournalError>>,
}

/// Records every update that the plan would send as acknowledged.
pub fn adopt(mut adoption: Adoption<'_>, emitter: &mut Emitter<'_>) -> Delivered {
    let sent = adoption.plan.facts().rows.send;
    emitter.emit(Event::DeliveryStarted { updates: sent, is_proven: true });
    let (late, waiting) = (late_updates(adoption.plan), waiting_updates(adoption.plan));
    let mut stopped = None;
    if late + waiting < sent {
        stopped = pass(&mut adoption, Selection::Main, emitter);
    }
    if late > 0 && stopped.is_none() {
        stopped = pass(&mut adoption, Selection::Late, emitter);
    }
    // What the server has is only written down here: nobody waits for anybody.
    if waiting > 0 && stopped.is_none() {
        stopped = pass(&mut adoption, Selection::Waiting, emitter);
    }
    Delivered { stopped, ..Delivered::default() }
}

/// One pass over the inputs; why it ended early, if it did.
fn pass(adoption: &mut Adoption<'_>, selection: Selection, emitter: &mut Emitter<'_>) -> Option<Stopped> {
    let (done, recorded) = mpsc::channel();
    let bytes_total = adoption.inputs.bytes_total();
    let feed = Feed {
        inputs: &mut *adoption.inputs,
        judge: adoption.judge.again(),
        plan: adoption.plan,
        batch: adoption.batch,
        // No request is made.
        envelope: None,
        clear_as: ClearAs::default(),
        rows_held_max: adoption.rows_folding_max,
        selection,
    };
    let mut open = 0;
    let mut stopped = None;
    // The groups bound what is held; the credit is never used up.
    let credit = Credit::new(usize::MAX);
    let read = feed.run(&credit, |group, rows, bytes| {
        emitter.emit(Event::Progressed { rows, bytes, bytes_total });
        if let Some(stop) = adoption.signals.seen() {
            stopped = Some(Stopped::Signal(stop));
            return false;
        }
        if !group.is_empty() {
            append(&adoption.writer, group, (adoption.now_s)(), done.clone());
            open += 1;
        }
        stopped = take(&recorded, &mut open, GROUPS_OPEN_MAX, emitter);
        stopped.is_none()
    });
    let left = take(&recorded, &mut open, 0, emitter);
    stopped.or(left).or(read.err().map(Stopped::from))
}

fn append(writer: &JournalWriter, group: Vec<Fed>, now_s: i64, done: Sender<Recorded>) {
    // An earlier part of an update, recorded ahead for want of room, is booked with the row that carries the update.
    let places = group.iter().filter(|fed| !fed.is_part).map(|fed| fed.place).collect();
    let records: Vec<Record> = group
        .into_iter()
        .map(|fed| Record::Synced {
            subject: fed.update.subject,
            version: fed.update.version,
            facts: fed.update.facts,
            at_s: now_s,
        })
        .collect();
    let count = records.len() as u64;
    let on_durable = move |result| {
        // Whoever waits for it waits until all are told.
        drop(done.send(Recorded { places, records: count, result }));
    };
    writer.append(&records, Box::new(on_durable));
}

/// Reports groups that became durable, waiting until no more than so many are open.
fn take(
    recorded: &Receiver<Recorded>,
    open: &mut usize,
    open_max: usize,
    emitter: &mut Emitter<'_>,
) -> Option<Stopped> {
    let mut stopped = None;
    while *open > 0 {
        let next = if *open > open_max { recorded.recv().ok() } else { recorded.try_recv().ok() };
        let Some(Recorded { places, records, result }) = next else { break };
        *open -= 1;
        match result {
            Ok(()) => {
                emitter.emit(Event::Committed { records });
                places.into_iter().for_each(|place| emitter.emit(Event::UpdateSynced { place }));
            }
            Err(error) => stopped = Some(Stopped::Journal(error)),
        }
    }
    stopped
}
