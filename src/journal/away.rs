//! Whom the runs of a batch were stopped for: kept with the batch until one of its runs ends in order, or it is
//! closed, and told to the next one that has nothing of its own.
//!
//! Not here: how it is written (`named.rs`), what it means for delivery (`cli/learned.rs`).

use crate::digest::SubjectId;

use super::core::Core;
use super::error::JournalError;
use super::named::{self, TURNED_AWAY_BATCHES_MAX, TurnedAway};

/// Named values to be written, or to be removed.
type Named = Vec<(String, Option<Vec<u8>>)>;

impl Core {
    /// Whom the runs of this batch were stopped for, or else those of the newest batch of the target, unless a newer
    /// one has ended in order since.
    pub(super) fn turned_away(&self, target: &str, batch: u64) -> Result<Option<TurnedAway>, JournalError> {
        named::check_name(target)?;
        let all = self.all_turned_away(target)?;
        let own = all.iter().find(|away| away.batch == batch);
        let others = all.iter().filter(|away| away.is_for_others).max_by_key(|away| away.batch);
        Ok(own.or(others).cloned())
    }

    /// Keeps whom the runs of this batch were stopped for; `None` where it has ended in order.
    pub(super) fn set_turned_away(
        &mut self,
        target: &str,
        batch: u64,
        away: Option<&TurnedAway>,
    ) -> Result<(), JournalError> {
        named::check_name(target)?;
        let mut before = self.all_turned_away(target)?;
        before.sort_by_key(|other| other.batch);
        let mut changed = Named::new();
        match (away, before.iter().position(|other| other.batch == batch)) {
            (None, None) => {}
            (None, Some(_)) => changed.push((named::turned_away(target, batch), None)),
            (Some(away), at) if at.is_some_and(|at| before.get(at) == Some(away)) => {}
            (Some(away), _) => changed.push(encoded(target, away)),
        }
        before.retain(|other| other.batch != batch);
        let kept = TURNED_AWAY_BATCHES_MAX - usize::from(away.is_some());
        let oldest = before.len().saturating_sub(kept);
        changed.extend(before.drain(..oldest).map(|other| (named::turned_away(target, other.batch), None)));
        for mut other in before {
            let was = other.clone();
            match away {
                None => other.is_for_others &= other.batch > batch,
                // Who continues it has to tell anew that the token is good.
                Some(away) if away.token == other.token => other.token = 0,
                Some(_) => {}
            }
            if other != was {
                changed.push(encoded(target, &other));
            }
        }
        if changed.is_empty() { Ok(()) } else { self.commit_named(changed) }
    }

    /// What is to be written where a batch goes on under another sequence.
    pub(super) fn moved_turned_away(&self, target: &str, from: u64, to: u64) -> Result<Named, JournalError> {
        let name = named::turned_away(target, from);
        let Some(away) = named::get::<TurnedAway>(self.store.as_ref(), &name)? else {
            return Ok(Named::new());
        };
        Ok(vec![(name, None), encoded(target, &TurnedAway { batch: to, ..away })])
    }

    /// Forgets that these subjects were turned away, at whatever target. Returns how many were.
    pub(super) fn forget_turned_away(&mut self, subjects: &[SubjectId]) -> Result<u64, JournalError> {
        let (mut forgotten, mut changed) = (0, Named::new());
        self.store.named_with(named::TURNED_AWAY, &mut |name, bytes| {
            if !name.contains('\0') {
                // Of an earlier build, which nobody asks for any more.
                changed.push((name.to_owned(), None));
                return Ok(());
            }
            let mut away: TurnedAway = named::decode(name, bytes)?;
            let before = away.subjects.len();
            away.subjects.retain(|subject| !subjects.contains(subject));
            if away.subjects.len() < before {
                forgotten += (before - away.subjects.len()) as u64;
                changed.push((name.to_owned(), Some(named::encode(name, &away))));
            }
            Ok(())
        })?;
        if !changed.is_empty() {
            self.commit_named(changed)?;
        }
        Ok(forgotten)
    }

    fn all_turned_away(&self, target: &str) -> Result<Vec<TurnedAway>, JournalError> {
        let mut all = Vec::new();
        self.store.named_with(&named::turned_away_at(target), &mut |name, bytes| {
            all.push(named::decode(name, bytes)?);
            Ok(())
        })?;
        Ok(all)
    }
}

fn encoded(target: &str, away: &TurnedAway) -> (String, Option<Vec<u8>>) {
    let name = named::turned_away(target, away.batch);
    let value = named::encode(&name, away);
    (name, Some(value))
}
