//! The checker of the simulation: reads what happened, in order, and says which promise was broken.
//!
//! It keeps its own, simpler books and shares no code with the scheduler. `planted.rs` and hand-made bad traces
//! (`tests/bad.rs`) show that it bites.

use std::collections::{BTreeMap, BTreeSet};

use super::day::Pace;
use crate::delivery::outcome::{Outcome, Seen, StopCause, Verdict};
use crate::delivery::{Action, Attempt, DeliveryRules, UpdateId};
use crate::ledger::FailureKind;
use books::{Budget, Rate, Streak};
use turned_away::LONELY_MIN;

mod books;
mod followers;
mod turned_away;

/// Refused subjects that are enough for the guard at first contact where nothing is left to try.
const GUARD_LAST_SUBJECTS: usize = 3;

/// Attempts under a token that was read again and is refused: the rows' own fault, unless none of them passes. Five,
/// and as many of rows that were refused with others before and count no more.
const TRIED_MAX: u32 = 10;
/// The same on days of rows that are refused for their own sake, each of which is tried once more.
const TRIED_AWAY_MAX: u32 = 48;

/// Failures that the scheduler may have given back and these plainer books have not; and as many more as passes that
/// give one back.
const GIVEN_BACK_MAX: u32 = 2;
const PASSES_MAX: u32 = 3;

/// Redirects that are the address's where one of those rows waits for the other.
const LINKED_REDIRECTS_MIN: usize = 2;

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Fact {
    Offered {
        id: UpdateId,
        subject: u64,
        chronic: bool,
    },
    /// Whether the file has first tries that nobody has read, and there is room for them.
    FirstTriesComing(bool),
    /// The file is read to its end; whether other passes follow.
    InputOver {
        is_last: bool,
    },
    /// What was deferred is offered again.
    PassBegan,
    Sent {
        attempt: Attempt,
        subject: u64,
        generation: u64,
    },
    Answered {
        id: UpdateId,
        seen: Seen,
    },
    Decided {
        verdicts: Vec<(UpdateId, Verdict)>,
        actions: Vec<Action>,
    },
    Drained,
    Leftover(UpdateId),
    Ended,
}

#[derive(Debug, Default)]
struct Book {
    subject: u64,
    chronic: bool,
    /// An earlier update of its subject ran out of attempts: it goes last.
    follows_failed: bool,
    has_been_sent: bool,
    /// Its last attempt failed for the time being.
    has_failed: bool,
    sent_ms: u64,
    /// Number of its last attempt among all.
    send: u64,
    in_flight: bool,
    is_settled: bool,
    is_deferred: bool,
    is_withheld: bool,
    /// A definite answer about the update itself: it must not be sent again.
    is_answered: bool,
    /// Failures that may be its own, with somebody's definite answer after them.
    solid: u32,
    /// Those of them that are no 429.
    confirmed: u32,
    /// When the first failure was that may be its own, on the clock of the time nothing held the run.
    failed_first_ms: Option<u64>,
    /// Definite answers at its latest 429, and how many of them came after enough others had passed.
    pushed_back: Option<u64>,
    lonely: u32,
    /// When the first of its 429 was since it is among the last and nobody passes, and how many they are.
    last: Option<(u64, u32)>,
    /// Somebody passed after a failure of its: it is known to fail on its own.
    is_known: bool,
    /// Definite answers when it was turned away last, with 429 or 503.
    turned_away: Option<u64>,
    /// It seems to be turned away for its own sake.
    is_turned_away_alone: bool,
}

/// The checker's books.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    rules: DeliveryRules,
    rate: Rate,
    budget: Budget,
    streak: Streak,
    books: BTreeMap<UpdateId, Book>,
    /// Unsettled updates of a subject, in the order of their offers.
    order: BTreeMap<u64, Vec<UpdateId>>,
    /// Heads of lanes that were never tried, and are not chronic.
    firsts: BTreeSet<UpdateId>,
    are_first_tries_coming: bool,
    /// Updates that are held and not chronic.
    plain: usize,
    /// Those of them whose answers tell of the server.
    witnesses: usize,
    deferred: BTreeSet<u64>,
    /// Subjects of which an update ran out of attempts, and none has passed since: the status of its last answer.
    exhausted: BTreeMap<u64, Option<u16>>,
    /// Subjects with an update on the wire.
    on_wire: BTreeMap<u64, UpdateId>,
    /// Failures that may be a row's own, without a definite answer after them.
    loose: BTreeMap<UpdateId, u32>,
    /// Subjects, not chronic, that were refused at first contact.
    refused: BTreeSet<u64>,
    quiet_until_ms: u64,
    /// The same with a quiet that need not be, because a 429 seems to be the row's own.
    spared_until_ms: u64,
    /// Time without a quiet and with the breaker closed, and up to when it was counted.
    free_ms: u64,
    seen_ms: u64,
    refused_generation: Option<u64>,
    /// Refusals of it, where it was itself read again for one.
    tried: u32,
    tried_max: u32,
    /// Attempts sent when it was asked for last.
    reread_sends: u64,
    passed_generation: Option<u64>,
    was_reread: bool,
    /// Latest generation that had a 403; refused once the token is read again.
    forbidden_generation: Option<u64>,
    /// Redirects of rows that are not chronic, and how many are the address's where others have passed.
    redirects: usize,
    redirects_min: usize,
    /// Failures that may have been given back.
    given_back_max: u32,
    /// Attempts sent, and the last of them that was acknowledged.
    sends: u64,
    /// Attempts sent before the breaker closed last: their failures are nobody's.
    closed_sends: u64,
    /// How often who had been turned away before was so again after others had passed, and how often it passed.
    again: (u64, u64),
    /// Definite answers.
    passes: u64,
    passed_send: u64,
    has_passed: bool,
    is_input_over: bool,
    is_open: bool,
    probing: Option<UpdateId>,
    was_well: bool,
    is_over: bool,
    /// Whose definite answer this decision follows.
    witness: Option<UpdateId>,
}

impl Checker {
    pub(crate) fn new(rules: DeliveryRules, pace: Pace) -> Checker {
        let (tried_max, redirects_min) = (TRIED_MAX, GUARD_LAST_SUBJECTS);
        let given_back_max = GIVEN_BACK_MAX;
        Checker {
            rules,
            rate: Rate::new(pace),
            tried_max,
            redirects_min,
            given_back_max,
            ..Checker::default()
        }
    }

    pub(crate) fn of_away(rules: DeliveryRules, pace: Pace) -> Checker {
        Checker { tried_max: TRIED_AWAY_MAX, ..Checker::new(rules, pace) }
    }

    pub(crate) fn of_linked(rules: DeliveryRules, pace: Pace) -> Checker {
        let given_back_max = GIVEN_BACK_MAX + PASSES_MAX;
        Checker { redirects_min: LINKED_REDIRECTS_MIN, given_back_max, ..Checker::of_away(rules, pace) }
    }

    pub(crate) fn see(&mut self, now_ms: u64, fact: &Fact) -> Result<(), String> {
        if !self.is_open {
            self.free_ms += now_ms.saturating_sub(self.seen_ms.max(self.quiet_until_ms));
        }
        self.seen_ms = now_ms;
        match fact {
            Fact::Offered { id, subject, chronic } => self.see_offer(*id, *subject, *chronic)?,
            Fact::FirstTriesComing(are_coming) => self.are_first_tries_coming = *are_coming,
            Fact::InputOver { is_last } => self.is_input_over = *is_last,
            Fact::PassBegan => {
                self.is_input_over = false;
                self.deferred.clear();
            }
            Fact::Sent { attempt, subject, generation } => {
                self.see_sent(now_ms, attempt, *subject, *generation)?;
            }
            Fact::Answered { id, seen } => self.see_answer(now_ms, *id, seen)?,
            Fact::Decided { verdicts, actions } => {
                self.see_actions(actions)?;
                self.see_verdicts(verdicts)?;
            }
            Fact::Drained => self.is_over = true,
            Fact::Leftover(id) => self.settle(*id)?,
            Fact::Ended => {
                let open: Vec<_> = self.books.iter().filter(|(_, book)| !book.is_settled).collect();
                ensure(open.is_empty(), || format!("without a verdict and not left over: {open:?}"))?;
            }
        }
        Ok(())
    }

    fn see_offer(&mut self, id: UpdateId, subject: u64, chronic: bool) -> Result<(), String> {
        let is_again = self.books.get(&id).is_none_or(|book| book.is_settled && book.is_deferred);
        ensure(is_again, || format!("{id} offered twice"))?;
        let mut book = Book { subject, chronic, ..Book::default() };
        if let Some(status) = self.exhausted.get(&subject) {
            book.follow(*status);
        }
        let follows_failed = book.follows_failed;
        self.plain += usize::from(!chronic);
        self.witnesses += usize::from(book.testifies());
        self.books.insert(id, book);
        let order = self.order.entry(subject).or_default();
        order.push(id);
        if order.len() == 1 && !chronic && !follows_failed {
            self.firsts.insert(id);
        }
        Ok(())
    }

    fn see_sent(
        &mut self,
        now_ms: u64,
        attempt: &Attempt,
        subject: u64,
        generation: u64,
    ) -> Result<(), String> {
        let id = attempt.id;
        ensure(!self.is_over, || format!("{id} sent after the end"))?;
        self.rate.spend(now_ms)?;
        ensure(now_ms >= self.quiet_until_ms, || format!("{id} sent into the quiet"))?;
        let is_refused = self.refused_generation.is_some_and(|refused| generation <= refused);
        let is_tried =
            self.was_reread && (self.rules.proven || self.has_passed) && self.tried < self.tried_max;
        ensure(!is_refused || is_tried, || format!("{id} sent with the refused token {generation}"))?;
        let twin = self.on_wire.insert(subject, id);
        ensure(twin.is_none(), || format!("{id}: two of subject {subject} on the wire"))?;
        let first = self.order.get(&subject).and_then(|order| order.first());
        ensure(first == Some(&id), || format!("{id} sent before {first:?} of its subject"))?;
        ensure(!self.deferred.contains(&subject), || format!("{id} sent after a deferred one"))?;
        if self.is_open {
            ensure(attempt.is_probe && self.probing.is_none(), || format!("{id} is no single probe"))?;
            self.probing = Some(id);
        }
        let in_flight = self.on_wire.len() - 1;
        let is_guarded = !self.rules.proven && !self.has_passed;
        let in_flight_max = if is_guarded { self.rules.unproven_in_flight } else { self.rules.max_in_flight };
        let where_at = if is_guarded { " at first contact" } else { "" };
        ensure(in_flight < in_flight_max, || format!("{in_flight} on the wire already{where_at}"))?;
        let (plain, are_coming) = (self.plain, self.are_first_tries_coming);
        let are_firsts_left = are_coming || self.firsts.iter().any(|other| *other != id);
        self.see_follower_sent(attempt)?;
        self.sends += 1;
        let send = self.sends;
        let book = self.book(id)?;
        ensure(!book.is_answered && !book.is_settled, || format!("{id} sent after a definite answer"))?;
        ensure(!attempt.is_probe || !book.chronic || plain == 0, || format!("{id} is chronic and probes"))?;
        let is_first = attempt.is_probe || book.chronic || !book.has_been_sent;
        let is_retry = book.has_failed;
        (book.has_been_sent, book.in_flight, book.sent_ms) = (true, true, now_ms);
        (book.send, book.is_withheld) = (send, false);
        self.firsts.remove(&id);
        self.budget.spend(now_ms, is_first, is_retry, are_firsts_left)
    }

    fn see_answer(&mut self, now_ms: u64, id: UpdateId, seen: &Seen) -> Result<(), String> {
        let Seen { outcome, quota, token_generation: generation, .. } = seen;
        self.probing = self.probing.filter(|probing| *probing != id);
        let (cap_ms, default_ms) = (self.rules.retry_after_max_ms, self.rules.throttle_default_ms);
        let is_guarded = !self.rules.proven && !self.has_passed;
        let (is_open, was_well) = (self.is_open, self.was_well);
        let volley_from_ms = self.quiet_until_ms.max(self.spared_until_ms);
        let are_same = self.see_turned_away(now_ms, id, seen)?;
        let book = self.book(id)?;
        book.in_flight = false;
        let (is_lonely, is_alone) = (book.lonely >= LONELY_MIN, book.is_turned_away_alone);
        let (subject, is_chronic, is_plain) = (book.subject, book.chronic, book.is_plain());
        let is_new_volley = book.sent_ms >= volley_from_ms;
        let (mut is_definite, mut is_failure, mut quiet_ms) = (false, false, None);
        match outcome {
            Outcome::Acknowledged => is_definite = true,
            Outcome::EchoMismatch { .. } | Outcome::Refused { .. } | Outcome::Conflict { .. } => {
                is_definite = true;
                if !is_chronic && is_guarded && !matches!(outcome, Outcome::Conflict { .. }) {
                    self.refused.insert(subject);
                }
            }
            // No simulated server speaks of streams.
            Outcome::TokenRefused | Outcome::Forbidden { .. } | Outcome::Unprocessed => {}
            Outcome::Redirected => self.redirects += usize::from(!is_chronic),
            Outcome::Throttled { retry_after_ms } => {
                let is_spared = is_lonely || are_same && retry_after_ms.is_none();
                quiet_ms = retry_after_ms.or(is_new_volley.then_some(default_ms)).filter(|_| !is_spared);
                if is_spared {
                    self.spared_until_ms = now_ms + default_ms;
                }
            }
            Outcome::ServerFailed { retry_after_ms, .. } => {
                quiet_ms = retry_after_ms.filter(|_| !is_alone || seen.status != Some(503));
                is_failure = true;
            }
            // A page of HTML is the server's fault but at first contact, and no simulated server answers with one.
            Outcome::Page { .. } => is_failure = true,
            Outcome::TimedOut | Outcome::Disconnected | Outcome::NotConnected => is_failure = true,
        }
        let closed_sends = self.closed_sends;
        let book = self.book(id)?;
        let is_late = book.send <= closed_sends;
        let is_loose = is_failure && *outcome != Outcome::NotConnected && !is_open && !is_late;
        book.is_answered = is_definite;
        book.has_failed = is_failure;
        // A chronic row that the application answers is charged even where nobody has had a definite answer.
        let is_own = book.chronic && seen.status.is_some_and(|status| ![502, 503, 504].contains(&status));
        let is_charged = is_loose && (was_well || is_own);
        if is_charged {
            let free_ms = self.free_ms;
            self.book(id)?.failed_first_ms.get_or_insert(free_ms);
        }
        self.on_wire.remove(&subject);
        *self.loose.entry(id).or_default() += u32::from(is_charged);
        if is_failure && is_plain && !is_late {
            self.streak.add(subject);
        }
        self.see_token(id, outcome, *generation)?;
        if is_definite || is_left_to_neighbors(outcome) {
            self.see_definite(id)?;
        }
        if let Some(quota) = quota.filter(|quota| quota.remaining == 0) {
            quiet_ms = quiet_ms.max(Some(quota.reset_ms));
        }
        if let Some(ms) = quiet_ms {
            self.quiet_until_ms = self.quiet_until_ms.max(now_ms + ms.min(cap_ms));
        }
        Ok(())
    }

    /// What an answer says of the token it was sent with.
    fn see_token(&mut self, id: UpdateId, outcome: &Outcome, generation: u64) -> Result<(), String> {
        if matches!(outcome, Outcome::Forbidden { .. }) {
            self.forbidden_generation = self.forbidden_generation.max(Some(generation));
        }
        // Where nothing but chronic rows is left, a token that was read again is as good as it gets: the refusal is
        // the row's.
        let is_replacement = self.refused_generation.is_some_and(|refused| refused < generation);
        let is_own = self.plain == 0 && is_replacement && self.passed_generation < Some(generation);
        if *outcome == Outcome::TokenRefused && !is_own && self.refused_generation < Some(generation) {
            (self.refused_generation, self.tried) = (Some(generation), 0);
        }
        // Those that were on the wire when it was read again tell nothing new.
        let reread_sends = self.reread_sends;
        let book = self.book(id)?;
        let is_tried = book.send > reread_sends && !book.chronic;
        let is_refused = *outcome == Outcome::TokenRefused && self.refused_generation == Some(generation);
        self.tried += u32::from(is_refused && is_tried);
        if *outcome == Outcome::Acknowledged {
            let Book { send, subject, .. } = *self.book(id)?;
            if send > reread_sends && self.refused_generation == Some(generation) {
                // It is good after all.
                (self.refused_generation, self.forbidden_generation, self.tried) = (None, None, 0);
            }
            self.passed_send = self.passed_send.max(send);
            self.exhausted.remove(&subject);
            self.passed_generation = self.passed_generation.max(Some(generation));
            self.has_passed = true;
        }
        Ok(())
    }

    /// Somebody had a definite answer: the failures before it are the rows' own.
    fn see_definite(&mut self, witness: UpdateId) -> Result<(), String> {
        self.was_well = true;
        self.passes += 1;
        self.witness = Some(witness);
        self.streak = Streak::default();
        let loose = std::mem::take(&mut self.loose);
        // Who has failed itself meanwhile shows that the server was not well.
        let is_taken_back = loose.get(&witness).is_some_and(|own| *own > 0);
        for (id, loose) in loose {
            let book = self.book(id)?;
            if is_taken_back {
                book.failed_first_ms = book.failed_first_ms.filter(|_| book.solid > 0);
                continue;
            }
            (book.solid, book.confirmed) = (book.solid + loose, book.confirmed + loose);
            book.is_known |= loose > 0;
        }
        Ok(())
    }

    fn see_actions(&mut self, actions: &[Action]) -> Result<(), String> {
        for action in actions {
            match action {
                Action::BreakerOpened => {
                    let rules = &self.rules;
                    if !self.is_nobody_left() {
                        self.streak.may_open(
                            self.was_well,
                            rules.breaker_failures,
                            rules.breaker_subjects,
                        )?;
                    }
                    self.is_open = true;
                    self.streak = Streak::default();
                    for id in std::mem::take(&mut self.loose).into_keys() {
                        let book = self.book(id)?;
                        book.failed_first_ms = book.failed_first_ms.filter(|_| book.solid > 0);
                    }
                }
                Action::BreakerClosed => (self.is_open, self.closed_sends) = (false, self.sends),
                Action::Stop(StopCause::NothingAccepted { .. }) => {
                    self.is_over = true;
                    let refused = self.refused.len();
                    let is_enough = refused >= self.rules.unproven_subjects as usize
                        || self.is_input_over && refused >= GUARD_LAST_SUBJECTS;
                    ensure(is_enough, || {
                        format!("the guard stopped after {refused} refused that are not chronic")
                    })?;
                }
                Action::Stop(StopCause::Redirected { .. }) => {
                    self.is_over = true;
                    let is_enough = !self.has_passed || self.redirects >= self.redirects_min;
                    ensure(is_enough, || format!("stopped after {} redirects", self.redirects))?;
                }
                Action::Stop(_) => self.is_over = true,
                Action::RereadToken => {
                    (self.tried, self.reread_sends, self.was_reread) = (0, self.sends, true);
                    self.refused_generation = self.refused_generation.max(self.forbidden_generation);
                }
                Action::QuietStarted { .. }
                | Action::QuietEnded
                | Action::GuardReleased
                | Action::NobodyPasses => {}
            }
        }
        Ok(())
    }

    fn see_verdicts(&mut self, verdicts: &[(UpdateId, Verdict)]) -> Result<(), String> {
        let exhausted = |verdict: &Verdict| matches!(verdict, Verdict::Failed(failure) if failure.kind == FailureKind::Exhausted);
        let nobody_left = verdicts.iter().any(|(_, verdict)| exhausted(verdict)) && {
            let failed: BTreeSet<UpdateId> = verdicts
                .iter()
                .filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
                .map(|(id, _)| *id)
                .collect();
            let mut heads = self.order.values().filter_map(|order| order.first());
            heads.all(|id| self.books[id].is_withheld || failed.contains(id))
        };
        // Where nothing moves, those whose attempts are used up wait for testimony too, with failures of their own.
        // It matters to who is turned away alone, and to ask it of all heads at every step takes half of a day.
        let nothing_moves = verdicts.iter().any(|(_, verdict)| is_turned_away(verdict)) && {
            let mut heads = self.order.values().filter_map(|order| order.first());
            heads.all(|id| {
                let book = &self.books[id];
                let is_ruled_on = || verdicts.iter().any(|(of, _)| of == id);
                book.is_withheld || book.has_failed && !book.in_flight || is_ruled_on()
            })
        };
        let is_guarded = !self.rules.proven && !self.has_passed;
        // Where all that is held waits for a first success, and no more may be held, none can come.
        let is_full = || self.books.values().filter(|book| !book.is_settled).count() >= self.rules.held_max;
        let is_input_over = self.is_input_over || is_guarded && is_full();
        for (id, verdict) in verdicts {
            let attempts_max = self.rules.attempts_max;
            let (is_open, witness, passed_send) = (self.is_open, self.witness, self.passed_send);
            let (free_ms, elapsed_max_ms) = (self.free_ms, self.rules.retry_elapsed_max_ms);
            let loose = self.loose.get(id).copied().unwrap_or_default();
            let book = self.book(*id)?;
            ensure(!book.is_settled, || format!("{id} has two verdicts"))?;
            match verdict {
                Verdict::RetryIn { .. } => continue,
                Verdict::Withheld => {
                    book.is_withheld = true;
                    continue;
                }
                Verdict::Synced => {}
                Verdict::Deferred(_) => {
                    book.is_deferred = true;
                    let subject = book.subject;
                    self.deferred.insert(subject);
                }
                Verdict::Failed(failure) if exhausted(verdict) => {
                    let charged = book.solid + loose;
                    let elapsed_ms = free_ms - book.failed_first_ms.unwrap_or(free_ms);
                    let is_late = elapsed_max_ms.is_some_and(|max_ms| elapsed_ms > max_ms);
                    ensure(charged >= attempts_max || is_late, || {
                        format!("{id} exhausted after {charged} in {elapsed_ms} ms")
                    })?;
                    ensure(!is_open, || format!("{id} exhausted while the server is down"))?;
                    let is_heard = witness.is_some_and(|witness| witness != *id);
                    ensure(is_heard || nobody_left, || format!("{id} exhausted without testimony"))?;
                    self.see_exhausted(*id, failure.status)?;
                }
                Verdict::Failed(_) => {
                    let is_alone = !is_turned_away(verdict) || passed_send > book.send || nothing_moves;
                    ensure(is_alone, || format!("{id} is turned away, and nobody has passed since"))?;
                    ensure(!is_guarded || is_input_over, || format!("{id} failed at first contact"))?;
                }
            }
            self.settle(*id)?;
        }
        self.witness = None;
        Ok(())
    }

    /// Whether all that are held have failed, or wait for somebody else.
    fn is_nobody_left(&self) -> bool {
        let mut heads = self.order.values().filter_map(|order| order.first()).map(|id| &self.books[id]);
        heads.all(|head| !head.in_flight && (head.is_withheld || head.has_failed))
    }

    fn settle(&mut self, id: UpdateId) -> Result<(), String> {
        let book = self.book(id)?;
        ensure(!book.is_settled && !book.in_flight, || format!("{id} ends twice, or on the wire"))?;
        book.is_settled = true;
        let (subject, chronic, was_witness) = (book.subject, book.chronic, book.testifies());
        self.plain -= usize::from(!chronic);
        self.witnesses -= usize::from(was_witness);
        self.firsts.remove(&id);
        if let Some(order) = self.order.get_mut(&subject) {
            order.retain(|waiting| *waiting != id);
            let head = order.first().copied();
            if order.is_empty() {
                self.order.remove(&subject);
            }
            if let Some(head) = head.filter(|head| self.books.get(head).is_some_and(Book::is_first_try)) {
                self.firsts.insert(head);
            }
        }
        Ok(())
    }

    fn book(&mut self, id: UpdateId) -> Result<&mut Book, String> {
        self.books.get_mut(&id).ok_or_else(|| format!("{id} was never offered"))
    }
}

impl Book {
    fn is_first_try(&self) -> bool {
        !self.chronic && !self.follows_failed && !self.has_been_sent
    }
}

/// Whether an update fails by an answer that leaves open whose fault it is.
fn is_turned_away(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Failed(failure)
        if failure.kind != FailureKind::Exhausted && matches!(failure.status, Some(403 | 300..=399)))
}

/// Whether a definite answer leaves open whose fault it is.
fn is_left_to_neighbors(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::TokenRefused | Outcome::Forbidden { .. } | Outcome::Redirected)
}

pub(crate) fn ensure(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}
