//! What was read ahead: updates that were handed over and not offered yet, because the server is taken for down.
//!
//! Rows that fail on their own stand together, at the head of a file or anywhere in it, and may be more than are held
//! at a time: whoever probes with those alone takes them for an outage. So from the first opening of the breaker on
//! more is read, probes come from anywhere in it, and when the server answers again it is sent in scattered order, so
//! that healthy ones pass between those that fail. Updates of one subject stay in their order.
//!
//! Not here: how much is read ahead, and when an intent is opened (the caller).

use std::collections::{HashMap, VecDeque};

use crate::digest::SubjectId;

/// What was read ahead, of whatever the caller holds of an update.
#[derive(Debug)]
pub struct Ahead<T> {
    is_on: bool,
    /// Subjects with something to take, each once.
    subjects: Vec<SubjectId>,
    updates: HashMap<SubjectId, VecDeque<T>>,
    /// Updates.
    len: usize,
    taken: u32,
    /// The moment of the probe that somebody was chosen for last.
    chosen_for_ms: Option<u64>,
}

impl<T> Default for Ahead<T> {
    fn default() -> Ahead<T> {
        Ahead {
            is_on: false,
            subjects: Vec::new(),
            updates: HashMap::new(),
            len: 0,
            taken: 0,
            chosen_for_ms: None,
        }
    }
}

impl<T> Ahead<T> {
    /// The breaker has opened: what comes from now on is read ahead. Whether it was not before.
    pub fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_on, true)
    }

    /// Whether what comes is read ahead, and does not go straight on.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Whether nothing is left to take.
    pub fn is_empty(&self) -> bool {
        self.subjects.is_empty()
    }

    /// Updates to take.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Takes an update in.
    pub fn push(&mut self, subject: SubjectId, update: T) {
        let updates = self.updates.entry(subject).or_default();
        if updates.is_empty() {
            self.subjects.push(subject);
        }
        updates.push_back(update);
        self.len += 1;
    }

    /// The next one to be sent: the first of its subject, from anywhere.
    pub fn take(&mut self) -> Option<T> {
        self.taken = self.taken.wrapping_add(1);
        self.take_at(mixed(self.taken, self.subjects.len()))
    }

    /// One for the probe of this moment, drawn from here and from so many that were never tried and are offered
    /// already: `None` when it is one of those, or was asked for this probe before.
    pub fn choose_probe(&mut self, at_ms: u64, offered: usize) -> Option<T> {
        if self.is_empty() || self.chosen_for_ms == Some(at_ms) {
            return None;
        }
        self.chosen_for_ms = Some(at_ms);
        self.taken = self.taken.wrapping_add(1);
        let place = scattered(self.taken, offered + self.subjects.len());
        self.take_at(place.checked_sub(offered)?)
    }

    /// Forgets all of it.
    pub fn clear(&mut self) {
        self.subjects.clear();
        self.updates.clear();
        self.len = 0;
    }

    fn take_at(&mut self, place: usize) -> Option<T> {
        if place >= self.subjects.len() {
            return None;
        }
        let subject = self.subjects.swap_remove(place);
        let updates = self.updates.get_mut(&subject)?;
        let update = updates.pop_front();
        self.len = self.len.saturating_sub(1);
        if updates.is_empty() {
            self.updates.remove(&subject);
        } else {
            self.subjects.push(subject);
        }
        update
    }
}

/// Place of the so-manieth among so many: far from those before it, wherever they were (multiples of the golden ratio).
pub(super) fn scattered(number: u32, count: usize) -> usize {
    let share = u64::from(number.wrapping_mul(0x9e37_79b9));
    let place = (share * u64::from(u32::try_from(count).unwrap_or(u32::MAX))) >> 32;
    usize::try_from(place).unwrap_or_default()
}

/// Place of the so-manieth among so many, like one drawn by chance: what is left is as mixed as what is taken, which
/// the multiples of the golden ratio do not see to where the number falls.
fn mixed(number: u32, count: usize) -> usize {
    let once = u64::from(number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let twice = (once ^ (once >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let thrice = (twice ^ (twice >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from((thrice ^ (thrice >> 31)) % count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: u64) -> SubjectId {
        SubjectId(u128::from(number).to_be_bytes())
    }

    fn ahead(updates: u64, subjects: u64) -> Ahead<u64> {
        let mut ahead = Ahead::default();
        (0..updates).for_each(|number| ahead.push(subject(number % subjects), number));
        ahead
    }

    #[test]
    fn all_of_it_comes_from_anywhere_and_each_subject_in_its_order() {
        let mut ahead = ahead(900, 300);
        let taken: Vec<u64> = std::iter::from_fn(|| ahead.take()).collect();
        assert!(ahead.is_empty());
        let mut sorted = taken.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..900).collect::<Vec<_>>());
        for of in 0..300 {
            assert!(taken.iter().filter(|number| **number % 300 == of).is_sorted(), "subject {of}");
        }
        for window in taken.chunks(100) {
            let from_head = window.iter().filter(|number| **number % 300 < 100).count();
            assert!((15..=55).contains(&from_head), "{from_head} of {window:?}");
        }
    }

    #[test]
    fn a_probe_is_chosen_once_and_from_what_is_offered_too() {
        let mut ahead = ahead(100, 100);
        let chosen: Vec<u64> = (0..40).filter_map(|at_ms| ahead.choose_probe(at_ms, 100)).collect();
        assert!((15..=25).contains(&chosen.len()), "{chosen:?}");
        assert_eq!(ahead.choose_probe(39, 0), None, "asked for this one before");
        assert!(ahead.choose_probe(40, 0).is_some());
        ahead.clear();
        assert!(ahead.is_empty() && ahead.take().is_none() && ahead.choose_probe(41, 5).is_none());
    }
}
