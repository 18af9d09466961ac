//! What is promised of updates behind one of their subject that ran out of attempts: they go last, they testify to
//! nothing, and each is tried as often as the rules say.
//!
//! Not here: when an update may be exhausted (`checker.rs`).

use super::turned_away::LONELY_MIN;
use super::{Book, Checker, ensure};
use crate::delivery::{Attempt, UpdateId};

impl Book {
    /// Whether its answer tells of the server, as far as its subject is concerned.
    pub(super) fn testifies(&self) -> bool {
        !self.chronic && !self.follows_failed
    }

    /// Whether its failures may open the breaker.
    pub(super) fn is_plain(&self) -> bool {
        self.testifies() && !self.is_known
    }

    /// An earlier one of its subject ran out of attempts, with this as its last answer: the same is its own, too.
    pub(super) fn follow(&mut self, status: Option<u16>) {
        self.follows_failed = true;
        self.is_turned_away_alone |= status == Some(503);
        self.lonely = if status == Some(429) { self.lonely.max(LONELY_MIN) } else { self.lonely };
    }
}

impl Checker {
    /// An update ran out of attempts: those of its subject go last.
    pub(super) fn see_exhausted(&mut self, id: UpdateId, status: Option<u16>) -> Result<(), String> {
        let subject = self.book(id)?.subject;
        self.exhausted.insert(subject, status);
        let behind = self.order.get(&subject).cloned().unwrap_or_default();
        for behind in behind.into_iter().filter(|behind| *behind != id) {
            let book = self.book(behind)?;
            let was_witness = book.testifies();
            book.follow(status);
            self.witnesses -= usize::from(was_witness);
        }
        Ok(())
    }

    /// An update is sent, which is not yet in the books.
    pub(super) fn see_follower_sent(&mut self, attempt: &Attempt) -> Result<(), String> {
        let id = attempt.id;
        let (witnesses, confirmed_max) = (self.witnesses, self.rules.attempts_max + self.given_back_max);
        let is_waiting = |first: &&UpdateId| !self.deferred.contains(&self.books[*first].subject);
        let first = self.firsts.iter().find(is_waiting).copied();
        let book = self.book(id)?;
        if !book.follows_failed || book.chronic {
            return Ok(());
        }
        ensure(!attempt.is_probe || witnesses == 0, || format!("{id}, behind a failed one, probes"))?;
        ensure(attempt.is_probe || first.is_none(), || {
            format!("{id}, behind a failed one, goes before the first try of {first:?}")
        })?;
        let confirmed = book.confirmed;
        ensure(confirmed < confirmed_max, || {
            format!("{id}, behind a failed one, goes on after {confirmed} failures of its own")
        })
    }
}
