//! Is it always the same rows that are turned away (429 or 503)? Pure counts, a few numbers an update.
//!
//! A server that sheds, or counts, turns away whoever comes at the wrong moment: asked again, a row that was turned
//! away passes about as often as one that is asked for the first time. Where many are asked again and hardly any of
//! them passes, while those asked for the first time do, they are turned away for their own sake, and nobody else is
//! to wait for them. Only who had others pass since it was turned away counts as asked again: in an outage, or until
//! a quota begins anew, nobody passes, and that tells nothing.
//!
//! Not here: single rows that are pushed back (`alone.rs`), and the rate that passes (`shed.rs`).

use super::decision::UpdateId;

/// Others that pass between two times an update is turned away, from which it counts as asked again.
const PASSED_MIN: u64 = 2;

/// Passes expected of those asked again, from which it is seen that they do not come: of eight by chance less than
/// two come three times in a thousand.
const EXPECTED_MIN: u64 = 8;

/// The same, from which it seems so.
const EXPECTED_FEW: u64 = 2;

/// Part of those expected, down to which they do not come, …
const MISSING_PART: u64 = 8;

/// … and from which they do come after all.
const COMING_PART: u64 = 4;

/// Outcomes after which both counts are halved: what was long ago matters less.
const OUTCOMES_MAX: u64 = 256;

/// Turned away in a row, with nobody passing between, that are everybody's whatever was known: as many as the
/// failures that open the breaker.
const IN_A_ROW_MAX: u32 = 10;

/// Outcomes of one kind of attempts.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    passed: u64,
    turned_away: u64,
}

/// How often an update was turned away.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct TurnedAway {
    times: u32,
    /// How many had passed by then.
    passed: u64,
    is_own: bool,
}

/// What became of those that are asked for the first time, and of those that were turned away before.
#[derive(Debug, Default)]
pub(super) struct Same {
    passed: u64,
    first: Tally,
    again: Tally,
    seem_same: bool,
    are_same: bool,
    /// Whether that was taken back since it was asked.
    is_taken_back: bool,
    in_a_row: u32,
}

/// An update whose attempts are used up, where nobody is left to pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct UsedUp {
    pub(super) id: UpdateId,
    /// Whether it is known to fail for its own sake.
    pub(super) is_own: bool,
    /// Whether it was turned away last.
    pub(super) is_turned_away: bool,
}

/// Whether all of them, in the order of ids, fail for their own sake: each is known to, or stands in the file between
/// such, with nobody but those turned away from one to the other. Rows that fail for their own sake stand together.
/// One look at each of them.
pub(super) fn are_own_or_between(all: impl IntoIterator<Item = UsedUp>) -> bool {
    // The one before, if it was turned away; whether one that is known stands in the stretch up to it; and whether
    // one waits for such a one behind it.
    let (mut before, mut has_own, mut waits) = (None, false, false);
    for UsedUp { id, is_own, is_turned_away } in all {
        let goes_on =
            is_turned_away && before.is_some_and(|before: UpdateId| before.checked_add(1) == Some(id));
        if !goes_on {
            if waits {
                return false;
            }
            has_own = false;
        }
        before = is_turned_away.then_some(id);
        if is_own {
            (has_own, waits) = (is_turned_away, false);
        } else if is_turned_away && has_own {
            waits = true;
        } else {
            return false;
        }
    }
    !waits
}

impl TurnedAway {
    /// Whether it is known to be turned away for its own sake.
    pub(super) fn is_own(self) -> bool {
        self.is_own
    }

    /// What was found of it is taken back.
    pub(super) fn take_back(&mut self) {
        self.is_own = false;
    }
}

impl Tally {
    fn count(&mut self, has_passed: bool) {
        self.passed += u64::from(has_passed);
        self.turned_away += u64::from(!has_passed);
        if self.all() >= OUTCOMES_MAX {
            (self.passed, self.turned_away) = (self.passed / 2, self.turned_away / 2);
        }
    }

    fn all(self) -> u64 {
        self.passed + self.turned_away
    }
}

impl Same {
    /// Whether those that are turned away are always the same.
    pub(super) fn are_same(&self) -> bool {
        self.are_same && self.in_a_row < IN_A_ROW_MAX
    }

    /// Whether they were found to be, whatever the latest answers say.
    pub(super) fn are_known(&self) -> bool {
        self.are_same
    }

    /// Whether the finding was taken back since it was asked last: what was known of single updates is, too.
    pub(super) fn is_taken_back(&mut self) -> bool {
        std::mem::take(&mut self.is_taken_back)
    }

    /// Whether one has passed that was turned away before.
    pub(super) fn has_passed_again(&self) -> bool {
        self.again.passed > 0
    }

    /// Whether it seems so: enough to learn nothing of a rate from them.
    pub(super) fn seem_same(&self) -> bool {
        self.seem_same
    }

    /// An update had a definite answer.
    pub(super) fn on_passed(&mut self, of: TurnedAway) {
        self.passed += 1;
        self.in_a_row = 0;
        if of.is_own {
            // It was turned away for what the server was then, and that has changed: of the others nothing is known
            // any more.
            self.is_taken_back = true;
            (self.are_same, self.again) = (false, Tally::default());
        }
        let tally = if of.times == 0 { &mut self.first } else { &mut self.again };
        tally.count(true);
        self.look();
    }

    /// An update was turned away.
    pub(super) fn on_turned_away(&mut self, of: &mut TurnedAway) {
        let have_others_passed = self.passed >= of.passed + PASSED_MIN;
        if of.times == 0 {
            self.first.count(false);
        } else if have_others_passed {
            self.again.count(false);
        }
        self.look();
        self.in_a_row += u32::from(!of.is_own);
        let is_again = of.times > 0 && have_others_passed;
        of.is_own |= self.are_same && is_again;
        (of.times, of.passed) = (of.times.saturating_add(1), self.passed);
    }

    fn look(&mut self) {
        let Same { first, again, .. } = *self;
        // As many of those asked again as of those asked for the first time, times all of the latter.
        let expected = again.all() * first.passed;
        let part = if self.are_same { COMING_PART } else { MISSING_PART };
        let are_missing = again.passed * first.all() * part <= expected;
        let are_expected = |least: u64| expected >= least * first.all().max(1);
        self.is_taken_back |= self.are_same && !are_missing;
        self.are_same = are_missing && (self.are_same || are_expected(EXPECTED_MIN));
        self.seem_same = are_missing && (self.are_same || are_expected(EXPECTED_FEW));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Rounds in which so many healthy rows are asked and each of the others again; whether they are taken for the
    /// same ones.
    fn are_same(rounds: u32, healthy: u32, others: usize, passes: impl Fn(u32, usize) -> bool) -> bool {
        let (mut same, mut of) = (Same::default(), vec![TurnedAway::default(); others]);
        for round in 0..rounds {
            for (at, of) in of.iter_mut().enumerate() {
                if passes(round, at) {
                    same.on_passed(*of);
                    *of = TurnedAway::default();
                } else {
                    same.on_turned_away(of);
                }
            }
            (0..healthy).for_each(|_| same.on_passed(TurnedAway::default()));
        }
        same.are_same
    }

    #[test]
    fn those_that_never_pass_while_others_do_are_the_same_ones() {
        assert!(are_same(3, 10, 20, |_, _| false));
        assert!(are_same(30, 4, 1, |_, _| false));
        assert!(!are_same(30, 1, 1, |_, _| false), "too few others pass between");
        assert!(!are_same(30, 0, 20, |_, _| false), "nobody passes");
    }

    #[test]
    fn whoever_passes_when_asked_again_is_not() {
        assert!(!are_same(30, 10, 20, |round, at| (round as usize + at).is_multiple_of(3)));
        assert!(!are_same(30, 10, 20, |round, at| round % 2 == 1 && at < 8), "a part of them does");
    }

    /// The same by walking from each of them both ways.
    fn are_own_or_between_by_walking(all: &BTreeMap<UpdateId, (bool, bool)>) -> bool {
        let is_beside = |others: &mut dyn Iterator<Item = UpdateId>| {
            let known =
                others.map_while(|other| all.get(&other).filter(|(_, is_turned_away)| *is_turned_away));
            known.into_iter().any(|(is_own, _)| *is_own)
        };
        all.iter().all(|(id, (is_own, is_turned_away))| {
            *is_own || *is_turned_away && is_beside(&mut (0..*id).rev()) && is_beside(&mut (*id + 1..))
        })
    }

    proptest! {
        #[test]
        fn one_look_at_each_finds_what_a_walk_from_each_of_them_does(
            first in 0_u64..3,
            rows in prop::collection::vec((0..20_u32, 0..10_u32, 0..20_u32), 0..12),
        ) {
            // Gaps, rows known to fail for their own sake, and such that were turned away, each more or less often.
            let rows = (first..).zip(rows).filter(|(_, (gap, ..))| *gap > 0);
            let all: BTreeMap<_, _> = rows.map(|(id, (_, own, away))| (id, (own > 3, away > 0))).collect();
            let used_up = all.iter().map(|(id, (is_own, is_turned_away))| {
                UsedUp { id: *id, is_own: *is_own, is_turned_away: *is_turned_away }
            });
            let looked = are_own_or_between(used_up);
            prop_assert_eq!(looked, are_own_or_between_by_walking(&all));
        }
    }

    #[test]
    fn who_stands_between_such_as_are_known_is_like_them() {
        let are = |rows: &str| {
            let used_up = |(id, row): (u64, char)| UsedUp {
                id,
                is_own: "oO".contains(row),
                is_turned_away: "ou".contains(row),
            };
            are_own_or_between((0..).zip(rows.chars()).filter(|(_, row)| *row != ' ').map(used_up))
        };
        // Known or unknown, turned away (small) or failing otherwise; a gap between.
        assert!(are("") && are("o") && are("O") && are("ouuuo") && are("ouo ouo O"));
        assert!(!are("u") && !are("uo") && !are("ou") && !are("ou o") && !are("ouOuo") && !are("oUo"));
    }

    /// Twenty that are known to be turned away for their own sake.
    fn known() -> (Same, [TurnedAway; 20]) {
        let (mut same, mut of) = (Same::default(), [TurnedAway::default(); 20]);
        for _ in 0..4 {
            of.iter_mut().for_each(|of| same.on_turned_away(of));
            (0..10).for_each(|_| same.on_passed(TurnedAway::default()));
        }
        assert!(same.are_same() && of.iter().all(|of| of.is_own()));
        (same, of)
    }

    #[test]
    fn it_is_taken_back_when_one_of_them_passes_and_is_found_anew() {
        let (mut same, mut of) = known();
        same.on_passed(TurnedAway::default());
        assert!(!same.is_taken_back());
        same.on_passed(of[0]);
        assert!(same.is_taken_back() && !same.are_same() && !same.seem_same());
        of.iter_mut().for_each(TurnedAway::take_back);
        of[1..4].iter_mut().for_each(|of| same.on_turned_away(of));
        assert!(!same.are_same() && !of.iter().any(|of| of.is_own()), "a few are no finding");
        for _ in 0..2 {
            (0..10).for_each(|_| same.on_passed(TurnedAway::default()));
            of[1..].iter_mut().for_each(|of| same.on_turned_away(of));
        }
        assert!(same.are_same() && of[1..].iter().all(|of| of.is_own()));
    }

    #[test]
    fn it_is_taken_back_when_they_pass_and_where_nobody_does_for_a_while() {
        let (mut same, of) = known();
        (0..10).for_each(|_| same.on_turned_away(&mut TurnedAway::default()));
        assert!(!same.are_same(), "ten in a row are everybody's");
        same.on_passed(TurnedAway::default());
        assert!(same.are_same());
        assert!(!same.is_taken_back());
        let mut again = of[0];
        again.take_back();
        (0..40).for_each(|_| same.on_passed(again));
        assert!(!same.are_same() && same.is_taken_back() && !same.is_taken_back());
    }
}
