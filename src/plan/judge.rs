//! One update against the ledger entry of its subject: settled, equal, or to be sent, and then how.
//!
//! Not here: which rows make up the update (`join.rs`), other subjects (`conflict.rs`).

use std::cmp::Ordering;

use crate::digest::update_digest;
use crate::ledger::{FailureKind, FieldState, LedgerEntry, Refusal};
use crate::row::Version;
use crate::update::{FieldFact, FieldSet};

use super::rules::{DuplicatePolicy, InDoubtPolicy, PlanRules, SendMode};
use super::ruling::Ruling;

/// How an update stands to what the ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// This very update was acknowledged in this batch (`each` and `--full` only).
    Settled,
    /// Every field equals what was last acknowledged, none is unknown.
    Equal,
    /// There is something to send.
    Different,
}

/// What the ledger says of an update.
#[derive(Debug)]
pub(super) struct Judgement {
    pub(super) standing: Standing,
    /// The ruling when the update is not unchanged: held, refused before, or sent.
    pub(super) otherwise: Ruling,
    /// Fields it sets to something else than the ledger holds as known.
    pub(super) changed: FieldSet,
    /// Fields it does not send, because the ledger has them as they are.
    pub(super) not_sent: FieldSet,
    /// Whether sending it repeats, or overwrites, an update in doubt.
    pub(super) in_doubt: bool,
}

/// The version of an update: the newest among its fields.
pub(super) fn version_of(facts: &[FieldFact]) -> Version {
    facts.iter().map(|fact| fact.version).max().unwrap_or_default()
}

/// Judges an update by its subject's entry. Fields `touched` by earlier updates of the batch are sent in any case.
pub(super) fn judge(
    facts: &[FieldFact],
    entry: Option<&LedgerEntry>,
    rules: &PlanRules,
    touched: FieldSet,
) -> Judgement {
    let all: FieldSet = facts.iter().map(|fact| fact.kind).collect();
    let Some(entry) = entry else {
        return Judgement {
            standing: Standing::Different,
            otherwise: Ruling::Send,
            changed: all,
            not_sent: FieldSet::EMPTY,
            in_doubt: false,
        };
    };
    let is_equal = |fact: &FieldFact| is_known_equal(entry, fact) || is_overtaken_key(entry, fact, rules);
    let changed: FieldSet = facts.iter().filter(|fact| !is_equal(fact)).map(|fact| fact.kind).collect();
    let version = version_of(facts);
    let stale = stale(facts, entry, rules);
    let standing = if is_settled(facts, version, entry, rules) {
        Standing::Settled
    } else if changed.is_empty() && stale.is_empty() && !rules.full {
        Standing::Equal
    } else {
        Standing::Different
    };
    let not_sent = match rules.send {
        SendMode::Full => FieldSet::EMPTY,
        SendMode::Changed if rules.full => FieldSet::EMPTY,
        // A field that equals the ledger goes along where an update since then may have said otherwise, which failed or
        // was left: acknowledged once more, it is newer than that one, which may be fed back or resumed.
        SendMode::Changed => {
            let said_between = entry.said_between(facts.iter().copied(), rules.older_open);
            not_sent(all, changed.union(touched).union(stale).union(said_between), rules)
        }
    };
    // What became of an update, and what is said of it by its digest, is about the fields that are sent.
    let sent = all.minus(not_sent);
    let sent_facts: Vec<FieldFact>;
    let facts = if not_sent.is_empty() {
        facts
    } else {
        sent_facts = facts.iter().filter(|fact| sent.contains(fact.kind)).copied().collect();
        &sent_facts
    };
    Judgement {
        standing,
        otherwise: otherwise(facts, version, sent, entry, rules),
        changed,
        not_sent,
        in_doubt: rules.in_doubt == InDoubtPolicy::Resend && is_in_doubt(version, sent, entry, rules),
    }
}

/// Of the fields of an update, those not to be sent. One with nothing but the key would say nothing: it is sent whole.
fn not_sent(all: FieldSet, wanted: FieldSet, rules: &PlanRules) -> FieldSet {
    let mut not_sent = all.minus(wanted);
    not_sent.remove(rules.key);
    if all.minus(not_sent) == FieldSet::only(rules.key) { FieldSet::EMPTY } else { not_sent }
}

/// Whether an earlier row of the subject was sent in this batch, as far as the ledger remembers. Only then does it
/// depend on that row's success whether this one, equal to the ledger, changes anything.
pub(super) fn was_sent_before(version: Version, entry: &LedgerEntry, rules: &PlanRules) -> bool {
    let acked = entry.acked.into_iter();
    let refused = entry.refusals.iter().map(|refusal| refusal.version);
    let in_doubt = entry.in_doubt.iter().map(|doubt| doubt.version);
    acked.chain(refused).chain(in_doubt).any(|sent| sent.batch == rules.batch && sent < version)
}

/// The refusal that keeps an update from being sent again: definite, by a run of this batch, of the same bytes.
pub(super) fn refusal_of<'a>(
    facts: &[FieldFact],
    version: Version,
    entry: &'a LedgerEntry,
    rules: &PlanRules,
) -> Option<&'a Refusal> {
    // A replayed row keeps its old version: its refusal then is the reason it is replayed, not one against it.
    let refusal = entry.refusal(version).filter(|refusal| refusal.batch == rules.batch)?;
    (refusal.kind.is_definite() && refusal.digest == update_digest(facts)).then_some(refusal)
}

fn otherwise(
    facts: &[FieldFact],
    version: Version,
    all: FieldSet,
    entry: &LedgerEntry,
    rules: &PlanRules,
) -> Ruling {
    if rules.in_doubt == InDoubtPolicy::Hold {
        // Another update waits for whatever made fields unknown, unless nothing is left of that when it is
        // acknowledged. One that ran out of attempts may be sent again: it sets them all.
        let is_the_same = match entry.in_doubt.iter().find(|doubt| doubt.version == version) {
            Some(doubt) => doubt.digest == update_digest(facts),
            None => entry.may_be_in_doubt(version),
        };
        if is_the_same || !entry.unknown().minus(all).is_empty() {
            return Ruling::Held;
        }
    }
    let is_refused = refusal_of(facts, version, entry, rules).is_some();
    if is_refused && !rules.retry_failed {
        return Ruling::RefusedBefore;
    }
    // Whom the operator has asked for by name goes with the others, not last. Under `each` it goes where all of its
    // subject go: a row sent in an earlier pass than one before it would be overwritten by that one.
    let is_by_itself = is_refused && rules.duplicates != DuplicatePolicy::Each;
    if !is_by_itself && is_chronic(entry, rules) { Ruling::SendLate } else { Ruling::Send }
}

/// Whether the subject failed in an earlier batch; or ran out of attempts in this one, while others passed, which
/// makes it no less likely to again.
fn is_chronic(entry: &LedgerEntry, rules: &PlanRules) -> bool {
    entry.refusals.iter().any(|refusal| {
        let is_before = refusal.version.batch < rules.batch && refusal.kind != FailureKind::Deferred;
        let is_again = refusal.version.batch == rules.batch && refusal.kind == FailureKind::Exhausted;
        // Who is asked for by name goes with the others, and so do all of its subject, in their order.
        (is_before || is_again && !rules.retry_failed) && Some(refusal.version) > entry.acked
    })
}

fn is_known_equal(entry: &LedgerEntry, fact: &FieldFact) -> bool {
    entry.field(fact.kind).is_some_and(|field| field.state == FieldState::Known(fact.hash))
}

/// Whether the field is the key, unknown since a newer intent. Any other field would be left out then; the key goes
/// with every update, and an acknowledgement of this one could not resolve it.
fn is_overtaken_key(entry: &LedgerEntry, fact: &FieldFact, rules: &PlanRules) -> bool {
    fact.kind == rules.key && entry.field(fact.kind).is_some_and(|field| field.version > fact.version)
}

/// Fields of the update whose acknowledgement is older than [`PlanRules::resend_after_s`].
fn stale(facts: &[FieldFact], entry: &LedgerEntry, rules: &PlanRules) -> FieldSet {
    let Some(after_s) = rules.resend_after_s else { return FieldSet::EMPTY };
    let after_s = i64::try_from(after_s).unwrap_or(i64::MAX);
    let is_stale = |fact: &&FieldFact| {
        is_known_equal(entry, fact) && rules.now_s.saturating_sub(entry.field_time_s(fact.kind)) > after_s
    };
    facts.iter().filter(is_stale).map(|fact| fact.kind).collect()
}

fn is_in_doubt(version: Version, all: FieldSet, entry: &LedgerEntry, rules: &PlanRules) -> bool {
    let overwrites_one = entry.in_doubt.iter().any(|doubt| {
        // The key field is part of every update; that two updates share it says nothing.
        let mut shared = doubt.fields.intersect(entry.unknown()).intersect(all);
        shared.remove(rules.key);
        !shared.is_empty()
    });
    overwrites_one || entry.may_be_in_doubt(version)
}

/// Under `each` and `--full` values cannot tell what was sent in this batch; versions can.
fn is_settled(facts: &[FieldFact], version: Version, entry: &LedgerEntry, rules: &PlanRules) -> bool {
    if rules.duplicates != DuplicatePolicy::Each && !rules.full {
        return false;
    }
    // The fields prove it when they are acknowledged in exactly their versions; where only what differed was sent, the
    // fields that were.
    let mut rest = facts.iter().filter(|fact| fact.kind != rules.key).peekable();
    let is_exact =
        |fact: &FieldFact| entry.field(fact.kind).is_some_and(|field| field.version == fact.version);
    let is_proven = rest.peek().is_some()
        && rest.clone().all(|fact| is_known_equal(entry, fact))
        && match rules.send {
            SendMode::Changed if !rules.full => rest.any(is_exact),
            SendMode::Changed | SendMode::Full => rest.all(is_exact),
        };
    // Under `each` the next row may have overtaken them since. Not so for a replayed row, which may have been rejected
    // while its neighbours passed, nor for a fold, of which a part may have been sent early.
    is_proven || is_passed(version, entry, rules)
}

/// Whether a row of this version, an update of its own, was acknowledged in this batch. Rows of a subject are sent in
/// order, and so the newest acknowledged version proves it for every row of this batch up to there that has neither
/// failed nor is in doubt. Where a newer batch was acknowledged since, that version is not kept; the first doubt of
/// this batch is, and what was sent before it has its outcome. The entry names only so many failures and doubts;
/// where it may have forgotten one, nothing is proven.
pub(super) fn is_passed(version: Version, entry: &LedgerEntry, rules: &PlanRules) -> bool {
    let Some(acked) = entry.acked.filter(|_| rules.duplicates == DuplicatePolicy::Each) else { return false };
    if version.batch != rules.batch {
        return false;
    }
    let is_reached = match acked.batch.cmp(&rules.batch) {
        Ordering::Less => false,
        Ordering::Equal => version <= acked,
        Ordering::Greater => {
            let mut doubts = entry.in_doubt.iter().map(|doubt| doubt.version);
            doubts.find(|doubt| doubt.batch == rules.batch).is_some_and(|first| version < first)
        }
    };
    is_reached && !entry.may_have_failed(version) && !entry.may_be_in_doubt(version)
}
