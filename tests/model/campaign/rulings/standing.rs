//! How an update stands to what is remembered: settled, equal, refused before, held, or to be sent.
//!
//! Not here: which rows make up an update (`rulings.rs`).

use super::super::laws::Flaw;
use super::super::memory::{Facts, Version, values, version_of};
use super::super::rows::Field;
use super::{Ruling, Subject};

impl Subject<'_> {
    /// Whether a row of this version was acknowledged in this batch under `each`: rows of a subject are sent in order,
    /// so the newest acknowledgement speaks for all before it that neither failed nor are in doubt.
    pub(super) fn was_passed(&self, version: Version) -> bool {
        let (entry, batch) = (self.entry, self.rules.batch);
        let has_failed = entry.refusals.iter().any(|refusal| refusal.version == version);
        let is_doubted = entry.doubts.iter().any(|doubt| doubt.version == version);
        let is_kept = self.is_each() && !self.rules.laws.has(Flaw::EachForgets);
        let Some(acked) = entry.acked.filter(|_| is_kept && !has_failed && !is_doubted) else {
            return false;
        };
        let first_doubt = entry.doubts.iter().map(|doubt| doubt.version).find(|of| of.batch == batch);
        let is_reached = acked.batch == batch && acked >= version;
        let is_before_doubt = acked.batch > batch && first_doubt.is_some_and(|first| first > version);
        version.batch == batch && (is_reached || is_before_doubt)
    }

    pub(super) fn was_sent_before(&self, version: Version) -> bool {
        let entry = self.entry;
        let acked = entry.acked.into_iter();
        let refused = entry.refusals.iter().map(|refusal| refusal.version);
        let doubted = entry.doubts.iter().map(|doubt| doubt.version);
        let mut sent = acked.chain(refused).chain(doubted);
        sent.any(|sent| sent.batch == self.rules.batch && sent < version)
    }

    /// Whether this very update was acknowledged in this batch, where values cannot tell.
    pub(super) fn is_settled(&self, facts: &Facts) -> bool {
        let laws = self.rules.laws;
        let forgets = laws.has(Flaw::FullForgets) && self.rules.is_full
            || laws.has(Flaw::EachForgets) && self.is_each();
        if !self.rules.is_full && !self.is_each() || forgets {
            return false;
        }
        let mut rest = facts.iter().filter(|(field, _)| **field != Field::Key);
        let is_exact = |(field, (_, version)): (&Field, &(String, Version))| {
            self.entry.version(*field) == Some(*version)
        };
        let is_held = rest.clone().all(|(field, (value, _))| self.entry.holds(*field, value));
        // Of an update of which only what differed was sent, only that has its version.
        let is_sent_in_part = self.rules.sends_changed && !self.rules.is_full;
        let are_exact = if is_sent_in_part { rest.any(is_exact) } else { rest.all(is_exact) };
        let is_proven = facts.len() > 1 && is_held && are_exact;
        is_proven || self.was_passed(version_of(facts))
    }

    pub(super) fn is_equal(&self, facts: &Facts) -> bool {
        let is_held = |(field, (value, version)): (&Field, &(String, Version))| {
            let is_overtaken_key = *field == Field::Key && self.entry.version(*field) > Some(*version);
            self.entry.holds(*field, value) || is_overtaken_key
        };
        let is_stale = facts.iter().any(|(field, (value, _))| self.is_stale(*field, value));
        !self.rules.is_full && !is_stale && facts.iter().all(is_held)
    }

    /// Whether a field has this value, and was acknowledged too long ago.
    pub(super) fn is_stale(&self, field: Field, value: &str) -> bool {
        let stale_before_s = self.rules.stale_before_s.filter(|_| !self.rules.laws.has(Flaw::NeverStale));
        let at_s = self.entry.times_s.get(&field).filter(|_| self.entry.holds(field, value));
        stale_before_s.zip(at_s).is_some_and(|(before_s, at_s)| *at_s < before_s)
    }

    /// The ruling on an update that has something to send.
    pub(super) fn otherwise(&self, facts: &Facts) -> Ruling {
        let (entry, version, values) = (self.entry, version_of(facts), values(facts));
        let laws = self.rules.laws;
        if self.rules.holds_doubts {
            let is_same = entry.doubts.iter().any(|doubt| doubt.version == version && doubt.values == values);
            let is_left = entry.unknown().iter().any(|field| !facts.contains_key(field));
            if is_same && !laws.has(Flaw::HoldSends) || is_left && !laws.has(Flaw::HoldForgetsOthers) {
                return Ruling::Held;
            }
        }
        let is_refused = entry.refusals.iter().any(|refusal| {
            let is_of_batch = refusal.batch == self.rules.batch || laws.has(Flaw::RefusedForEver);
            is_of_batch && refusal.version == version && refusal.how.is_definite() && refusal.values == values
        });
        let is_retried = self.rules.retries_failed && !laws.has(Flaw::RetryFailedPassedOver);
        if is_refused && !is_retried && !laws.has(Flaw::RefusedAgain) {
            Ruling::RefusedBefore
        } else {
            Ruling::Send
        }
    }
}
