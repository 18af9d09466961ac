//! The checker's books of those that are turned away: whether it seems to be always the same ones, and whether a 429
//! is a row's own.
//!
//! Not here: what follows from it (`checker.rs`).

use super::Checker;
use crate::delivery::UpdateId;
use crate::delivery::outcome::{Outcome, Seen};

/// Others that pass between two 429 of a row, and how often they do, before the next one can be the row's own.
const LONELY_PASSES: u64 = 4;
pub(super) const LONELY_MIN: u32 = 2;

/// Of so few updates that are left when the input is over nobody else can tell: 429 are their own from the third in a
/// row without anybody passing, once those have lasted for this part of `outage_max`.
const LAST_SUBJECTS: usize = 3;
const LAST_TIMES: u32 = 3;
const LAST_PART: u64 = 15;

/// It is always the same ones that are turned away, where so many are again after others have passed, and few of them
/// pass: such a part of those.
const SAME_PASSES: u64 = 2;
const SAME_MIN: u64 = 7;
const SAME_PART: u64 = 2;

impl Checker {
    /// Whether it seems to be always the same ones that are turned away.
    pub(super) fn see_turned_away(&mut self, now_ms: u64, id: UpdateId, seen: &Seen) -> Result<bool, String> {
        let is_pushed_back = matches!(seen.outcome, Outcome::Throttled { .. });
        let is_so = is_pushed_back || seen.status == Some(503);
        let passes = self.passes;
        let book = self.book(id)?;
        let were_others_passed = book.turned_away.is_some_and(|then| passes >= then + SAME_PASSES);
        let was_turned_away = book.turned_away.is_some();
        if is_so {
            book.turned_away = Some(passes);
            self.again.0 += u64::from(were_others_passed);
        } else if seen.outcome == Outcome::Acknowledged {
            self.again.1 += u64::from(was_turned_away);
        }
        let are_same = self.again.0 >= SAME_MIN && self.again.1 * SAME_PART <= self.again.0;
        self.book(id)?.is_turned_away_alone |= is_so && are_same && were_others_passed;
        if is_pushed_back {
            self.see_pushed_back(now_ms, id, are_same)?;
        }
        Ok(are_same)
    }

    /// A 429 is everybody's, unless others pass between it and the next, again and again.
    fn see_pushed_back(&mut self, now_ms: u64, id: UpdateId, are_same: bool) -> Result<(), String> {
        let (passes, free_ms, lasting_ms) = (self.passes, self.free_ms, self.rules.outage_max_ms / LAST_PART);
        let heads = self.order.values().filter_map(|order| order.first());
        let are_few = heads.filter(|head| !self.books[*head].chronic).count() <= LAST_SUBJECTS;
        let is_last = self.is_input_over && (are_same || are_few);
        let book = self.book(id)?;
        let since = book.pushed_back.replace(passes);
        let is_quiet = passes > 0 && since.is_none_or(|since| since == passes);
        let (from_ms, times) = book.last.unwrap_or((now_ms, 0));
        book.last = (is_last && is_quiet).then_some((from_ms, times + 1));
        if book.last.is_some() && times + 1 >= LAST_TIMES && now_ms - from_ms >= lasting_ms {
            book.lonely = book.lonely.max(LONELY_MIN - 1) + 1;
        }
        let have_others_passed = since.is_some_and(|since| passes >= since + LONELY_PASSES);
        book.lonely += u32::from(have_others_passed);
        if book.is_turned_away_alone {
            book.lonely = book.lonely.max(LONELY_MIN);
        }
        if book.lonely >= LONELY_MIN {
            book.solid += 1;
            book.failed_first_ms.get_or_insert(free_ms);
        }
        Ok(())
    }
}
