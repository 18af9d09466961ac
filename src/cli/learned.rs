//! What delivery learned at a target in the runs before, and what this one has learned.
//!
//! Not here: what it means for delivery (`delivery/`), how it is kept (`journal/`).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::deliver::{Delivered, Stopped};
use crate::delivery::outcome::StopCause;
use crate::delivery::{FEW_MAX, TurnedAway};
use crate::digest::SubjectId;
use crate::event::Event;
use crate::input::Inputs;
use crate::journal::{self, Journal, JournalError};
use crate::row::Place;
use crate::survey::Emitter;

/// Lines named whose answers have stopped a run, at most.
const LINES_NAMED_MAX: usize = 5;

/// What the runs before have learned.
#[derive(Debug, Clone)]
pub(super) struct Learned {
    /// Whether target, envelope and mapping have been acknowledged.
    pub(super) is_proven: bool,
    /// Where the limit of attempts at once settled.
    pub(super) settled: Option<u64>,
    /// Whom they were stopped for.
    pub(super) turned_away: Arc<TurnedAway>,
    /// What is kept of that; this run sends what it reads mixed then, so that others pass between those.
    kept: Option<journal::TurnedAway>,
    /// A single row is sent to find something out: it settles nothing for the others.
    is_probe: bool,
}

impl Learned {
    /// Of a target, with the fingerprint of envelope and mapping and the sequence of the batch that is to be delivered.
    pub(super) fn of(
        journal: &Journal,
        target: &str,
        proof: &str,
        (batch, token): (u64, u64),
        is_probe: bool,
    ) -> Result<Learned, JournalError> {
        let kept = journal.turned_away(target, batch)?;
        let of_kept = |kept: &journal::TurnedAway| {
            let (are_few, is_same_token) = (kept.subjects.len() < FEW_MAX, kept.token == token);
            TurnedAway {
                are_left_alone: kept.others_passed && kept.batch == batch && is_same_token && are_few,
                were_before: kept.batch != batch && are_few,
                is_same_token,
                subjects: kept.subjects.iter().copied().collect(),
            }
        };
        Ok(Learned {
            is_proven: journal.is_proven(proof)?,
            settled: journal.settled_limit(target)?,
            turned_away: Arc::new(kept.as_ref().map(of_kept).unwrap_or_default()),
            kept,
            is_probe,
        })
    }

    /// Whether a run before was stopped for answers to single rows, so that this one sends what it reads mixed.
    pub(super) fn is_mixed(&self) -> bool {
        self.kept.is_some()
    }

    /// Tells how this run differs for it.
    pub(super) fn tell(&self, emitter: &mut Emitter<'_>) {
        if self.is_mixed() {
            let text = "a run before was stopped by what it was answered: rows are sent mixed, not in their order, so \
                        that the answers to others tell whose fault that is"
                .to_owned();
            emitter.emit(Event::Noticed { text });
        }
    }

    /// Keeps what was learned by the run of this batch.
    pub(super) fn keep(
        self,
        delivered: &Delivered,
        journal: &Journal,
        target: &str,
        batch: u64,
    ) -> Result<(), JournalError> {
        if delivered.has_lost_journal() || self.is_probe {
            return Ok(());
        }
        if let Some(limit) = delivered.settled_limit {
            journal.set_settled_limit(target, limit)?;
        }
        match turned_away(self.kept, delivered, batch) {
            Some(kept) => journal.set_turned_away(target, batch, kept),
            None => Ok(()),
        }
    }
}

/// Whom the runs of the batch were stopped for, after this one, and within it nobody where it ended in order; `None`
/// where nothing more is known than before.
fn turned_away(
    before: Option<journal::TurnedAway>,
    delivered: &Delivered,
    batch: u64,
) -> Option<Option<journal::TurnedAway>> {
    let Some(stopped) = delivered.stopped.as_ref() else { return Some(None) };
    // Of another batch nothing but the subjects tells of this one.
    let own = before.as_ref().filter(|before| before.batch == batch);
    let had_passed = own.is_some_and(|own| own.others_passed);
    let is_still = |subject: &SubjectId| delivered.still_away.contains(subject);
    if !is_for_answers(stopped) {
        // Stopped otherwise, it knows no more than the one before, but who is settled.
        return own.cloned().map(|mut own| {
            own.subjects.retain(is_still);
            Some(own)
        });
    }
    let still = before.into_iter().flat_map(|before| before.subjects).filter(is_still);
    // What fails while the server is down has not failed for its own sake: it is told from the others between which
    // it is sent.
    let is_outage = matches!(stopped, Stopped::Cause(StopCause::Outage));
    let now = delivered.turned_away.iter().filter(|_| !is_outage).map(|(_, subject)| *subject);
    let mut seen = BTreeSet::new();
    Some(Some(journal::TurnedAway {
        batch,
        token: delivered.token,
        others_passed: delivered.others_passed || had_passed,
        is_for_others: true,
        subjects: now.chain(still).filter(|subject| seen.insert(*subject)).collect(),
    }))
}

/// Whether a run was stopped for answers to single rows, which may be the rows' fault.
fn is_for_answers(stopped: &Stopped) -> bool {
    matches!(
        stopped,
        Stopped::Redirected(_)
            | Stopped::Cause(
                StopCause::TokenRefused
                    | StopCause::Redirected { .. }
                    | StopCause::NothingAccepted { .. }
                    | StopCause::RefusalsInARow { .. }
                    | StopCause::Outage
            )
    )
}

/// The lines of these inputs whose answers have stopped a run, and what becomes of them.
pub(super) fn blamed(delivered: &Delivered, inputs: &Inputs) -> Option<String> {
    let files: Vec<&str> = inputs.files().iter().map(|file| file.name.as_str()).collect();
    blamed_lines(delivered, &files)
}

/// The same; `files` are the names of the inputs.
fn blamed_lines(delivered: &Delivered, files: &[&str]) -> Option<String> {
    if !delivered.stopped.as_ref().is_some_and(is_for_answers) {
        return None;
    }
    let mut places: Vec<Place> = delivered.turned_away.iter().map(|(place, _)| *place).collect();
    places.sort_unstable();
    let one = |place: &Place| match files.get(usize::try_from(place.file).unwrap_or(usize::MAX)) {
        Some(name) if files.len() > 1 => format!("{name}:{}", place.line),
        Some(_) | None => place.line.to_string(),
    };
    let named: Vec<String> = places.iter().take(LINES_NAMED_MAX).map(one).collect();
    let more = places.len().saturating_sub(named.len());
    let lines = match (named.split_last(), more) {
        (None, _) => return None,
        (Some((last, [])), 0) => last.clone(),
        (Some((last, first)), 0) => format!("{} and {last}", first.join(", ")),
        (Some(_), _) => format!("{} and {more} more", named.join(", ")),
    };
    Some(if places.len() == 1 {
        format!("that was the answer to line {lines}, which is sent between others in the next run")
    } else {
        format!("those were the answers to lines {lines}, which are sent between others in the next run")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Trouble, TroubleKind};

    fn subject(number: u8) -> SubjectId {
        SubjectId([number; 16])
    }

    fn place(file: u32, line: u64) -> Place {
        Place { ordinal: u64::from(file) * 1_000 + line, file, line }
    }

    fn stopped(cause: StopCause, blamed: &[u8], still: &[u8]) -> Delivered {
        Delivered {
            stopped: Some(Stopped::Cause(cause)),
            turned_away: blamed
                .iter()
                .map(|number| (place(0, u64::from(*number)), subject(*number)))
                .collect(),
            still_away: still.iter().map(|number| subject(*number)).collect(),
            ..Delivered::default()
        }
    }

    #[test]
    fn every_stopped_run_adds_its_own_what_is_settled_goes_and_an_end_in_order_forgets() {
        let first = turned_away(
            None,
            &Delivered { others_passed: true, ..stopped(StopCause::TokenRefused, &[1, 2], &[]) },
            7,
        );
        let first = first.unwrap().unwrap();
        assert_eq!(first.subjects, [subject(1), subject(2)]);
        assert!(first.others_passed && first.is_for_others && first.batch == 7);
        let elsewhere = Trouble { text: "a redirect".to_owned(), kind: TroubleKind::Redirect };
        let redirected = Delivered {
            stopped: Some(Stopped::Redirected(elsewhere)),
            ..stopped(StopCause::TokenRefused, &[3, 2], &[2])
        };
        let second = turned_away(Some(first), &redirected, 7).unwrap().unwrap();
        assert_eq!(second.subjects, [subject(3), subject(2)]);
        assert!(second.others_passed, "in a run of this batch");
        // Another batch that has nothing of its own takes the subjects, and nothing that is said of its rows.
        let outage = stopped(StopCause::Outage, &[4], &[2, 3]);
        let other = turned_away(Some(second.clone()), &outage, 8).unwrap().unwrap();
        assert_eq!((other.batch, other.subjects.len(), other.others_passed), (8, 2, false));
        // A budget says nothing about it, and an end in order settles the matter.
        let budget = stopped(StopCause::ErrorBudget { failed: 1 }, &[], &[2]);
        assert_eq!(turned_away(None, &budget, 7), None);
        let told = journal::TurnedAway { is_for_others: false, ..second.clone() };
        let own = turned_away(Some(told), &budget, 7).unwrap().unwrap();
        assert_eq!((own.batch, own.others_passed, own.subjects), (7, true, vec![subject(2)]));
        assert!(!own.is_for_others, "a newer batch has ended in order");
        assert_eq!(
            turned_away(Some(second.clone()), &budget, 8),
            None,
            "a copy would outlive the batch it is of"
        );
        let ended = Delivered { still_away: [subject(3)].into(), ..Delivered::default() };
        assert_eq!(turned_away(Some(second), &ended, 7), Some(None));
    }

    #[test]
    fn the_first_few_lines_are_named() {
        let told = |blamed: &[u8], files: &[&str]| {
            blamed_lines(&stopped(StopCause::TokenRefused, blamed, &[]), files).unwrap_or_default()
        };
        assert_eq!(told(&[], &["a"]), "");
        assert!(told(&[9], &["a"]).contains("to line 9, which is sent between others in the next run"));
        assert!(told(&[9, 2], &["a"]).contains("to lines 2 and 9, which are sent between others"));
        assert!(told(&[9, 2, 3, 4, 5, 6, 7], &["a"]).contains("lines 2, 3, 4, 5, 6 and 2 more, which"));
        assert!(told(&[9, 2], &["a", "b"]).contains("lines a:2 and a:9, which"));
    }
}
