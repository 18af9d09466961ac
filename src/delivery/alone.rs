//! Whether a 429 is the account's or the row's own: pure counts, a few numbers an update.
//!
//! A server that counts requests pushes back whoever comes when its measure is full, now this one and now another. A
//! row that is pushed back time and again while many others pass and hardly anybody else is pushed back is answered
//! so for itself: it is charged for it. Not here: the quiet (`pause.rs`), what a row is charged with (`ruling.rs`).

/// Others that pass between two 429 of an update, for each of them that is pushed back, from which chance explains
/// the second one badly.
const PASSED_TIMES: u64 = 4;

/// Such 429 in a row after which they are the update's own.
const ALONE_MIN: u32 = 2;

/// Chronic updates of which that is found while nobody passes, from which it is believed of all of them.
const CHRONIC_MIN: u32 = 3;

/// Updates left at the end of the input, at most, of which nobody else can tell: others have passed before them.
pub(super) const LAST_MAX: usize = 3;

/// 429 in a row after which one of them is pushed back for itself, …
const LEFT_MIN: u32 = 3;

/// … once they have lasted for such a part of `outage_max`, a minute of fifteen, each waited for as long as it asks:
/// what counts requests lets single ones through meanwhile.
pub(super) const LEFT_PART: u64 = 15;

/// The moment of a 429 of an update that is among the last, and how long theirs have to last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    pub(super) now_ms: u64,
    pub(super) long_ms: u64,
    /// Whether another pass follows, in which others may tell.
    pub(super) are_others_coming: bool,
}

/// What everybody is answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    passed: u64,
    pushed_back: u64,
    /// Both, and those 429 that tell nothing new.
    answered: u64,
    /// Chronic updates found to be pushed back for themselves since somebody passed.
    chronic: u32,
}

/// What an update was told so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct PushedBack {
    /// How many had passed and been pushed back at its latest 429.
    since: Option<(u64, u64)>,
    /// How many answers there were up to it.
    answered: u64,
    /// 429 in a row that hardly anybody else had.
    alone: u32,
    /// At its latest 429 hardly anybody had passed since the one before.
    was_first: bool,
    /// Of its 429 since it is among the last and nobody has passed: when the first was, and how many.
    left: Option<(u64, u32)>,
    /// Nobody else was answered between its latest two.
    was_again: bool,
    /// It was left alone for long enough to be its own, if nobody else were to come.
    waits_for_others: bool,
}

impl PushedBack {
    /// Of an update behind one of its subject that was pushed back for itself.
    pub(super) fn behind_own() -> PushedBack {
        PushedBack { alone: ALONE_MIN, ..PushedBack::default() }
    }

    /// Whether it is known to be pushed back for itself.
    pub(super) fn is_own(self) -> bool {
        self.alone >= ALONE_MIN
    }

    /// Whether its latest 429 tells of a rate: not where it may be pushed back for itself, nor where nobody else was
    /// asked since the quiet of the one before.
    pub(super) fn tells_of_rate(self) -> bool {
        self.alone == 0 && !self.was_again
    }

    /// Whether it was left alone for so long that it waits for the next pass. True once.
    pub(super) fn waits_for_others(&mut self) -> bool {
        std::mem::take(&mut self.waits_for_others)
    }

    /// Whether others are to go before it after the quiet: whether they pass tells whose 429 it is. Who was pushed
    /// back behind them goes first the next time, when the server's measure is as empty as it gets.
    pub(super) fn goes_behind(self) -> bool {
        self.was_first
    }
}

impl Answers {
    /// Somebody had a definite answer.
    pub(super) fn on_definite(&mut self) {
        self.passed += 1;
        self.answered += 1;
        self.chronic = 0;
    }

    /// An update was pushed back; whether for itself. Of a chronic one it is believed where nobody passes, too: it
    /// may be that nothing else is sent. So it is of one of the last, where others have passed in this run, after a
    /// while.
    pub(super) fn on_throttled(&mut self, of: &mut PushedBack, is_chronic: bool, left: Option<Left>) -> bool {
        let was_own = of.is_own();
        let is_quiet = self.passed > 0 && of.since.is_none_or(|(passed, _)| passed == self.passed);
        of.left = left.filter(|_| is_quiet).map(|left| {
            let (since_ms, times) = of.left.unwrap_or((left.now_ms, 0));
            (since_ms, times.saturating_add(1))
        });
        if let Some((passed, pushed_back)) = of.since {
            let (passed, others) = (self.passed - passed, self.pushed_back - pushed_back);
            of.was_first = passed < PASSED_TIMES;
            if passed >= PASSED_TIMES * others.max(1) || is_chronic && others == 0 {
                of.alone += 1;
            } else if passed < PASSED_TIMES * others {
                of.alone = 0;
            }
            // Where nobody else was answered, nothing is known.
        }
        if let (Some(left), Some((since_ms, times))) = (left, of.left)
            && times >= LEFT_MIN
            && left.now_ms.saturating_sub(since_ms) >= left.long_ms
        {
            if left.are_others_coming {
                (of.waits_for_others, of.left) = (of.alone < ALONE_MIN, None);
            } else {
                of.alone = of.alone.max(ALONE_MIN);
            }
        }
        if is_chronic && self.chronic >= CHRONIC_MIN {
            of.alone = of.alone.max(ALONE_MIN);
        }
        let is_own = of.is_own();
        self.chronic += u32::from(is_chronic && is_own && !was_own);
        // Asked again at once, with nobody between, it tells the others nothing new.
        of.was_again = of.since.is_some() && of.answered == self.answered;
        self.pushed_back += u64::from(!is_own && !is_chronic && !of.was_again);
        self.answered += 1;
        (of.since, of.answered) = (Some((self.passed, self.pushed_back)), self.answered);
        is_own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the 429 of an update, after each of which so many pass and so many others are pushed back, are its own.
    fn are_own(rounds: u32, passed: u64, others: u64) -> Vec<bool> {
        let (mut answers, mut of) = (Answers::default(), PushedBack::default());
        let mut round = |_| {
            let is_own = answers.on_throttled(&mut of, false, None);
            (0..passed).for_each(|_| answers.on_definite());
            (0..others).for_each(|_| assert!(!answers.on_throttled(&mut PushedBack::default(), false, None)));
            is_own
        };
        (0..rounds).map(&mut round).collect()
    }

    #[test]
    fn who_is_pushed_back_alone_is_known_by_the_third_time() {
        assert_eq!(are_own(4, 4, 0), [false, false, true, true]);
        assert_eq!(are_own(4, 8, 2), [false, false, true, true], "two others are as bad");
    }

    #[test]
    fn who_is_pushed_back_with_others_is_not_alone_however_often() {
        assert_eq!(are_own(50, 7, 2), [false; 50]);
        assert_eq!(are_own(50, 3, 0), [false; 50], "too few have passed");
        assert_eq!(are_own(50, 0, 0), [false; 50], "nobody else was asked");
    }

    #[test]
    fn several_that_are_each_asked_twice_do_not_hide_each_other() {
        let (mut answers, mut several) = (Answers::default(), [PushedBack::default(); 4]);
        for round in 0..4 {
            for of in &mut several {
                let is_own = [(); 2].map(|()| answers.on_throttled(of, false, None)) == [true; 2];
                assert_eq!(is_own, round >= 2, "round {round}");
                (0..4).for_each(|_| answers.on_definite());
            }
        }
    }

    #[test]
    fn what_others_are_told_meanwhile_takes_it_back() {
        let (mut answers, mut of) = (Answers::default(), PushedBack::default());
        for _ in 0..3 {
            answers.on_throttled(&mut of, false, None);
            (0..9).for_each(|_| answers.on_definite());
        }
        assert!(of.is_own());
        (0..9).for_each(|_| _ = answers.on_throttled(&mut PushedBack::default(), false, None));
        assert!(!answers.on_throttled(&mut of, false, None));
    }

    #[test]
    fn chronic_ones_need_nobody_else() {
        let mut answers = Answers::default();
        let mut both = [PushedBack::default(); 2];
        let mut round = || both.each_mut().map(|of| answers.on_throttled(of, true, None));
        assert_eq!([round(), round(), round()], [[false; 2], [false; 2], [true; 2]]);
    }
}
