//! Batches of a target, as the model counts them: which are open, and which number the next one has.
//!
//! A kill may leave unknown whether a batch was begun, or closed; then both are allowed until a later run tells.

use std::collections::BTreeMap;

use super::rulings::Duplicates;

/// What makes a batch the same: content, and the settings that shape updates: the policy, `--full`, `--send changed`.
pub(crate) type Key = (String, Duplicates, bool, bool);

#[derive(Debug, Clone, Copy)]
struct Open {
    seq: u64,
    /// Whether it is certain that it was not closed.
    is_sure: bool,
    /// Whether a request of it was seen. Without one it may begin anew when another batch is newer.
    has_delivered: bool,
}

/// The batches of one target.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    newest: u64,
    open: BTreeMap<Key, Open>,
    /// One that may have been begun by a run that was killed.
    ghost: Option<Key>,
}

/// What a run's batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Whether the run continues it; none where that cannot be known.
    pub(crate) is_resumed: Option<bool>,
    pub(crate) is_newest: bool,
}

impl Batches {
    /// A run of this batch has this number. An error is a number it must not have.
    pub(crate) fn begin(&mut self, key: &Key, makes_newest: bool, seq: u64) -> Result<Begun, String> {
        let next = self.newest + 1;
        let last = next + u64::from(self.ghost.is_some());
        let is_new = (next..=last).contains(&seq);
        let is_ghost = self.ghost.as_ref() == Some(key) && seq == next;
        let open = self.open.get(key).copied();
        let is_resumed = match open {
            Some(open) if seq == open.seq && !(makes_newest && open.seq != self.newest) => Some(true),
            // A newer batch that nobody has seen may make this one an older one.
            Some(open) if makes_newest && self.ghost.is_some() && seq == open.seq => Some(true),
            Some(open) if is_new && open.is_sure && open.has_delivered && !makes_newest => {
                return Err(format!("batch {} is open, and {seq} was begun", open.seq));
            }
            Some(open) if is_new && open.is_sure && open.seq == self.newest && self.ghost.is_none() => {
                return Err(format!("batch {} is the newest and open, and {seq} was begun", open.seq));
            }
            Some(_) | None if is_ghost => None,
            Some(_) | None if is_new => Some(false),
            Some(_) | None => {
                return Err(format!("batch {seq} is neither open nor the next after {}", self.newest));
            }
        };
        if seq > self.newest {
            if let Some(ghost) = self.ghost.take().filter(|_| seq > next) {
                self.open.insert(ghost, Open { seq: next, is_sure: false, has_delivered: false });
            }
            self.newest = seq;
        }
        let has_delivered = open.is_some_and(|open| open.seq == seq && open.has_delivered);
        self.open.insert(key.clone(), Open { seq, is_sure: true, has_delivered });
        Ok(Begun { is_resumed, is_newest: seq == self.newest })
    }

    /// A run that was killed may have begun this batch.
    pub(crate) fn may_have_begun(&mut self, key: &Key) {
        if !self.open.contains_key(key) {
            self.ghost = Some(key.clone());
        }
    }

    /// A request of the batch was seen.
    pub(crate) fn has_delivered(&mut self, key: &Key) {
        if let Some(open) = self.open.get_mut(key) {
            open.has_delivered = true;
        }
    }

    /// Whether the batch is open: `None` where that is not certain.
    pub(crate) fn is_open(&self, key: &Key) -> Option<bool> {
        let is_ghost = self.ghost.as_ref() == Some(key);
        match self.open.get(key) {
            Some(open) if open.is_sure => Some(true),
            Some(_) => None,
            None if is_ghost => None,
            None => Some(false),
        }
    }

    /// Whether a batch is open that is not the newest: forgotten with its runs, it is closed.
    pub(crate) fn has_older_open(&self) -> bool {
        self.open.values().any(|open| open.is_sure && open.seq < self.newest)
    }

    /// The sequence of the batch, if it is open for all that is known.
    pub(crate) fn seq(&self, key: &Key) -> Option<u64> {
        self.open.get(key).map(|open| open.seq)
    }

    /// The sequence of the batch, if it is open and the newest, so that `--new-batch` goes on with it all the same;
    /// and whether it is certain that it is so, and that it has begun to deliver.
    pub(crate) fn newest_open(&self, key: &Key) -> Option<(u64, bool)> {
        let open = self.open.get(key).filter(|open| open.seq == self.newest)?;
        Some((open.seq, open.is_sure && open.has_delivered && self.ghost.is_none()))
    }

    /// The number that a new batch would have, if that is certain.
    pub(crate) fn next(&self) -> Option<u64> {
        self.ghost.is_none().then_some(self.newest + 1)
    }

    /// The batch of this number is closed.
    pub(crate) fn close_seq(&mut self, seq: u64) {
        self.open.retain(|_, open| open.seq != seq);
    }

    /// Every row of the batch is ruled on.
    pub(crate) fn close(&mut self, key: &Key) {
        self.open.remove(key);
    }

    /// The batch may have been closed.
    pub(crate) fn may_have_closed(&mut self, key: &Key) {
        if let Some(open) = self.open.get_mut(key) {
            open.is_sure = false;
        }
    }
}
