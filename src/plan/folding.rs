//! Pass 2: the fold of values. Rows of a subject that are part of one update wait here for the row that carries it.
//!
//! Not here: which rows are part of what (the plan has ruled), and hashing.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::digest::{FieldHash, SubjectId};
use crate::row::Version;
use crate::update::{FieldFact, FieldKind, FieldSet, Fields, Update};

use super::beside::Beside;
use super::ruling::Ruling;

/// Subjects whose folded rows are held at most, unless set otherwise.
pub const ROWS_HELD_MAX_DEFAULT: usize = 1_000_000;

/// What became of a row.
#[derive(Debug)]
pub enum Folded {
    /// Nothing to send: the row is not part of an update to send, or it waits for the row that carries it.
    Nothing,
    /// The update the row carries, with all that waited for it.
    Update(Update),
    /// No room to let the row wait: it is an update of its own, to be sent before the update it is part of (and late
    /// if that is). Its row stays booked as folded. The end state is the same.
    Early(Update),
}

/// A field that waits for its carrier.
struct HeldField {
    fact: FieldFact,
    value: Box<str>,
}

/// What rows of a subject say together.
#[derive(Default)]
struct Parts {
    fields: Vec<HeldField>,
    unsent: Option<Box<Fields>>,
}

/// Holds the values of folded rows until their subject's update is complete.
pub struct Folding {
    held: HashMap<SubjectId, Parts>,
    rows_held_max: usize,
    early: u64,
}

impl Folding {
    /// Holds at most so many rows; rows of one subject are held as one.
    pub fn new(rows_held_max: usize) -> Folding {
        Folding { held: HashMap::new(), rows_held_max, early: 0 }
    }

    /// Subjects whose rows wait. When all rows of a batch were taken there are none.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Rows sent as updates of their own for want of room.
    pub fn early(&self) -> u64 {
        self.early
    }

    /// Takes the next row of the batch, in file order, with its ruling and what the plan does not send of it. `facts`
    /// are the hashes of `fields`, in wire order.
    pub fn take(
        &mut self,
        ruling: Ruling,
        version: Version,
        subject: SubjectId,
        fields: &Fields,
        facts: &[(FieldKind, FieldHash)],
        beside: &Beside,
    ) -> Folded {
        if !ruling.is_sent() && !ruling.is_folded() {
            return Folded::Nothing;
        }
        let without = |left_out: FieldSet| {
            facts.iter().filter(move |(kind, _)| !left_out.contains(*kind)).filter_map(move |(kind, hash)| {
                let value = fields.get(*kind);
                debug_assert!(value.is_some(), "{kind} has a hash and no value");
                Some(HeldField {
                    fact: FieldFact { kind: *kind, hash: *hash, version },
                    value: value?.into(),
                })
            })
        };
        let not_sent = beside.left_out.union(beside.not_sent);
        let row = without(not_sent);
        if ruling.is_sent() {
            let mut all = self.held.remove(&subject).unwrap_or_default();
            all.merge(row);
            if all.fields.len() == 1 && !beside.not_sent.is_empty() {
                // What is new of the update was sent early. This row has its word all the same.
                all.merge(without(beside.left_out));
            }
            all.keep_unsent(fields, not_sent);
            return Folded::Update(all.into_update(subject));
        }
        if let Some(held) = self.held.get_mut(&subject) {
            held.merge(row);
            held.keep_unsent(fields, not_sent);
            return Folded::Nothing;
        }
        let mut parts = Parts { fields: row.collect(), unsent: None };
        parts.keep_unsent(fields, not_sent);
        if self.held.len() >= self.rows_held_max {
            if parts.fields.len() == 1 && !beside.not_sent.is_empty() {
                // Nothing of it is new: its update is told by the rows to come.
                return Folded::Nothing;
            }
            self.early += 1;
            return Folded::Early(parts.into_update(subject));
        }
        self.held.insert(subject, parts);
        Folded::Nothing
    }
}

/// Tells how much is held and never a value.
impl fmt::Debug for Folding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Folding").field("held", &self.held.len()).field("early", &self.early).finish()
    }
}

impl Parts {
    /// Later present fields win: by version, and in the order of the file where versions are equal.
    fn merge(&mut self, row: impl Iterator<Item = HeldField>) {
        for field in row {
            match self.fields.iter_mut().find(|other| other.fact.kind == field.fact.kind) {
                Some(other) if other.fact.version <= field.fact.version => *other = field,
                Some(_) => {}
                None => self.fields.push(field),
            }
        }
    }

    /// Keeps those values of a row that are not sent.
    fn keep_unsent(&mut self, fields: &Fields, not_sent: FieldSet) {
        for kind in not_sent.iter() {
            if let Some(value) = fields.get(kind).filter(|value| !value.is_empty()) {
                self.unsent.get_or_insert_default().set(kind, value);
            }
        }
    }

    fn into_update(self, subject: SubjectId) -> Update {
        let Parts { fields: mut parts, unsent } = self;
        parts.sort_unstable_by_key(|field| field.fact.kind);
        let mut fields = Fields::default();
        for field in &parts {
            fields.set(field.fact.kind, &field.value);
        }
        let facts: Vec<FieldFact> = parts.iter().map(|field| field.fact).collect();
        let version = facts.iter().map(|fact| fact.version).max().unwrap_or_default();
        Update { subject, version, fields, facts, unsent: unsent.map(|unsent| Arc::new(*unsent)) }
    }
}
