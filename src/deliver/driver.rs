//! The driver of pass 2: one loop that owns the run's state, asks the scheduler what to do, and tells the journal, the
//! senders and the listener. Whatever can wake it arrives on one channel; the loop only names what happened.
//!
//! Not here: decisions (`delivery/`), reading (`feed.rs`), what a verdict writes (`settle.rs`), and what is reported
//! once that is durable (`commit.rs`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use super::commit::Durable;
use super::fates::Fates;
use super::feed::{Fed, LaterWaves};
use super::hours::{Flow, Hours};
use super::later::Later;
use super::resolve::PassPlace;
use super::rings::Rings;
use super::settle::{self, Unresolved};
use super::tell::InTheWay;
use super::{DeliverRules, Delivered, Reload, Stopped};
use crate::api::{Request, Token, TokenError, TokenSource, Trouble};
use crate::delivery::outcome::Seen;
use crate::delivery::{Action, Ahead, Decision, REASON_THROTTLED, Scheduler, TokenRead, UpdateId};
use crate::digest::{StateKey, SubjectId};
use crate::engine::chance::Chance;
use crate::engine::clock;
use crate::engine::credit::Credit;
use crate::engine::permits::Permits;
use crate::engine::senders::Senders;
use crate::engine::signals::{Ask, Stop};
use crate::event::Event;
use crate::journal::{JournalError, JournalWriter};
use crate::ledger::Record;
use crate::survey::Emitter;

/// Wakes handled before outcomes are written and new attempts started.
const WAKES_MAX: usize = 1_024;

/// Longest sleep of the loop, so that status and progress stay alive.
const IDLE_MS_MAX: u64 = 500;

/// The same while the window is full and nothing is on the wire: only a pause, or what the first-contact guard keeps
/// back.
const STUCK_MS_MAX: u64 = 10;

/// Everything that can wake the driver.
pub(super) enum Wake {
    /// The reading side hands over updates, and says how far it is.
    Fed { group: Vec<Fed>, rows: u64, bytes: u64 },
    /// The reading side has ended, and leaves this for later.
    FeedEnded(Result<LaterWaves, Stopped>),
    /// The limiter has granted permits.
    Granted(u32),
    /// An attempt has ended.
    Answered { id: UpdateId, seen: Seen, latency_ms: u64, trouble: Option<Trouble> },
    /// A group of records is durable: these updates may be sent, these are settled.
    Durable(Result<Durable, Arc<JournalError>>),
    /// The token was read again.
    TokenRead(Result<Token, TokenError>),
    /// The operator wants the run to stop.
    Signal(Stop),
    /// The operator wants something else.
    Asked(Ask),
}

/// An attempt, as the senders take it.
pub(super) struct Job {
    pub(super) id: UpdateId,
    pub(super) token: Arc<Token>,
    pub(super) request: Request,
}

/// What the window has room for.
#[derive(Default)]
pub(super) struct Room {
    /// Updates whose intents may be opened now.
    pub(super) free: usize,
    /// Subjects with an update that waits for a retry: it takes no place, nor do those behind it.
    pub(super) retrying: HashSet<SubjectId>,
}

/// An update between its hand-over and its durable fate.
pub(super) struct Held {
    pub(super) fed: Fed,
    pub(super) request: Request,
    /// Attempts started in this run.
    pub(super) attempts: u32,
    /// It gave its credit back early, because it waits for a retry.
    pub(super) credited: bool,
}

impl Held {
    /// As it was handed over, with what it sends.
    pub(super) fn into_fed(self) -> Fed {
        let Held { mut fed, request, .. } = self;
        fed.body = request.body;
        fed.update.fields = Arc::unwrap_or_clone(request.sent);
        fed.update.unsent = request.unsent;
        fed
    }
}

/// The loop's state over the passes of a run.
pub(super) struct Driver<'a, 'e> {
    pub(super) rules: &'a DeliverRules,
    pub(super) state_key: &'a StateKey,
    pub(super) emitter: &'a mut Emitter<'e>,
    pub(super) scheduler: Scheduler,
    pub(super) writer: JournalWriter,
    pub(super) senders: Option<Senders<Job>>,
    pub(super) permits: Option<Permits>,
    pub(super) wakes: Receiver<Wake>,
    pub(super) waker: Sender<Wake>,
    pub(super) token: Arc<Token>,
    pub(super) token_source: TokenSource,
    /// Keeps, durably, that the target has acknowledged something.
    pub(super) prove: &'a dyn Fn() -> Result<(), JournalError>,
    pub(super) reload: &'a Reload<'a>,
    /// Updates whose intents may be open; grows when the bounds do.
    pub(super) window: usize,
    /// How fast, by time of day.
    pub(super) hours: Hours,
    /// How fast just now.
    pub(super) flow: Flow,
    /// When to look at the clock on the wall again.
    pub(super) hours_looked_ms: u64,
    pub(super) chance: Chance,
    pub(super) progress: Progress,
    pub(super) outcome: Delivered,
    pub(super) fates: Fates,
    /// Updates that wait for a later pass, by their last row's ordinal.
    pub(super) deferred: BTreeMap<u64, Unresolved>,
    /// Their subjects: what comes later of these waits, too.
    pub(super) waiting: HashSet<SubjectId>,
    /// Whether what waited is being tried again.
    pub(super) is_resolving: bool,
    /// Whether another pass comes after this one.
    pub(super) place: PassPlace,
    pub(super) synced: u64,
    /// Sequence of the batch.
    pub(super) batch: u64,
    pub(super) held: HashMap<UpdateId, Held>,
    /// Updates that were read beyond the window, without intents.
    pub(super) ahead: Ahead<Fed>,
    /// Whether it is read ahead before anything is sent.
    pub(super) is_filling: bool,
    pub(super) room: Room,
    /// The update that was chosen to probe, once its intent is durable.
    pub(super) probe: Option<UpdateId>,
    pub(super) permits_in_hand: u32,
    /// Updates handed over for the first time, those among them that wait for a later pass.
    pub(super) handed: u64,
    /// Which rings are begun.
    pub(super) rings: Rings,
    /// What was read for later waves.
    pub(super) later: Later,
    /// Whether what is handed over is a wave: what waits for a deferred update is put aside.
    pub(super) is_in_waves: bool,
    pub(super) pending: Durable,
    pub(super) records: Vec<Record>,
    pub(super) commits_open: usize,
    /// Intents that are not durable yet: their updates are not yet offered to the scheduler.
    pub(super) opening: usize,
    /// Whether the reading side has not ended.
    pub(super) feeding: bool,
    /// Why sending pauses, as told last.
    pub(super) paused: Option<&'static str>,
    pub(super) quiet_reason: &'static str,
    pub(super) drain_until_ms: Option<u64>,
    pub(super) cut: bool,
    pub(super) signals: u32,
    pub(super) beat_ms: u64,
    /// Attempts that may be on the wire at once, as told last.
    pub(super) limit_told: Option<u64>,
    /// Why sending is slow, as told last.
    pub(super) slowed: Option<String>,
    pub(super) troubles: Vec<Trouble>,
    /// What else than the API answers in its place, or stands before it.
    pub(super) in_the_way: InTheWay,
    /// Whether the API has answered anything in this run.
    pub(super) is_answered: bool,
}

/// How far the current pass is.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) bytes_total: u64,
}

impl<'a, 'e> Driver<'a, 'e> {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, by the wiring; each argument is a part of the run"
    )]
    pub(super) fn new(
        rules: &'a DeliverRules,
        state_key: &'a StateKey,
        emitter: &'a mut Emitter<'e>,
        scheduler: Scheduler,
        writer: JournalWriter,
        channel: (Sender<Wake>, Receiver<Wake>),
        token: Token,
        token_source: TokenSource,
        prove: &'a dyn Fn() -> Result<(), JournalError>,
        reload: &'a Reload<'a>,
        fates: Fates,
    ) -> Driver<'a, 'e> {
        Driver {
            rules,
            state_key,
            emitter,
            scheduler,
            writer,
            senders: None,
            permits: None,
            wakes: channel.1,
            waker: channel.0,
            token: Arc::new(token),
            token_source,
            prove,
            reload,
            window: rules.window(),
            hours: rules.hours.clone(),
            // Nothing leaves before it is known what time it is.
            flow: Flow::Closed,
            hours_looked_ms: 0,
            chance: Chance::from_entropy(),
            progress: Progress::default(),
            outcome: Delivered::default(),
            fates,
            deferred: BTreeMap::new(),
            waiting: HashSet::new(),
            is_resolving: false,
            place: PassPlace::Followed,
            synced: 0,
            batch: 0,
            held: HashMap::new(),
            ahead: Ahead::default(),
            is_filling: false,
            room: Room::default(),
            probe: None,
            permits_in_hand: 0,
            handed: 0,
            rings: Rings::default(),
            later: Later::default(),
            is_in_waves: false,
            pending: Durable::default(),
            records: Vec::new(),
            commits_open: 0,
            opening: 0,
            feeding: false,
            paused: None,
            quiet_reason: REASON_THROTTLED,
            drain_until_ms: None,
            cut: false,
            signals: 0,
            beat_ms: 0,
            limit_told: None,
            slowed: None,
            troubles: Vec::new(),
            in_the_way: InTheWay::default(),
            is_answered: false,
        }
    }

    /// Runs one pass to its end: until everything handed over is durably settled, or the run has stopped and what was
    /// on the wire has ended or been cut off.
    pub(super) fn pass(&mut self, credit: &Credit) {
        self.feeding = true;
        loop {
            let is_idle = !self.wait(credit);
            self.hand_later(credit);
            self.advance();
            self.write();
            self.tell_condition();
            self.check_time();
            self.check_hours();
            self.expect_first_tries(credit);
            self.pump();
            if self.outcome.stopped.is_some() {
                credit.close();
                self.finish_draining();
            }
            self.beat();
            let is_written = self.commits_open == 0 && self.records.is_empty();
            let is_handed = !self.feeding && self.ahead.is_empty() && !self.later.has_ready();
            let is_over = is_handed && self.later.is_empty();
            if is_written && is_over && (self.held.is_empty() || self.is_journal_dead()) {
                return;
            }
            if is_written && is_handed && self.is_going() && !self.is_last_pass() {
                self.scheduler.end_of_pass();
                if self.opening == 0 && self.scheduler.only_waits() {
                    return self.carry_over();
                }
                continue;
            }
            // Only what the first-contact guard keeps back is left, or what waits for that, or it fills the window so
            // that nothing more can come.
            if is_written && self.is_going() && (is_handed || is_idle && self.is_window_full(credit)) {
                let decision = self.scheduler.release_withheld(is_over);
                self.take(decision, credit);
                self.write();
            }
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.emitter.clock().now_ms()
    }

    /// Sleeps until something happens or time alone makes something possible, and takes what has happened. Whether
    /// anything has.
    pub(super) fn wait(&mut self, credit: &Credit) -> bool {
        let now_ms = self.now_ms();
        let due_ms =
            self.scheduler.wake_at(now_ms).unwrap_or(u64::MAX).min(self.drain_until_ms.unwrap_or(u64::MAX));
        // What the scheduler would send at once has to wait for its time of day.
        let is_closed = self.flow == Flow::Closed && self.drain_until_ms.is_none();
        let due_ms = if is_closed { due_ms.max(now_ms + IDLE_MS_MAX) } else { due_ms };
        let due_ms = due_ms.min(self.stop_at_ms());
        let is_stuck =
            self.is_window_full(credit) && self.commits_open == 0 && self.scheduler.in_flight() == 0;
        let idle_ms_max = if is_stuck { STUCK_MS_MAX } else { IDLE_MS_MAX };
        let sleep_ms = due_ms.saturating_sub(now_ms).min(idle_ms_max);
        let mut next = self.wakes.recv_timeout(Duration::from_millis(sleep_ms)).ok();
        let mut taken = 0;
        while let Some(wake) = next {
            self.on_wake(wake, credit);
            taken += 1;
            next = if taken < WAKES_MAX { self.wakes.try_recv().ok() } else { None };
        }
        let now_ms = self.now_ms();
        let decision = self.scheduler.on_tick(now_ms);
        self.take(decision, credit);
        taken > 0
    }

    fn on_wake(&mut self, wake: Wake, credit: &Credit) {
        match wake {
            Wake::Fed { group, rows, bytes } => {
                (self.progress.rows, self.progress.bytes) = (rows, bytes);
                let group = self.within_limit(group, credit);
                let group = self.behind_none(group, credit);
                let group = self.set_aside(group, credit);
                self.take_in(group);
            }
            Wake::FeedEnded(ended) => {
                self.feeding = false;
                match ended {
                    Ok(later) => self.take_later(later),
                    Err(stopped) => self.stop(stopped),
                }
            }
            Wake::Granted(count) => self.permits_in_hand += count,
            Wake::Answered { id, seen, latency_ms, trouble } => {
                if let Some(trouble) = &trouble {
                    self.tell_trouble(trouble);
                }
                self.on_answered(id, (seen, trouble.as_ref()), latency_ms, credit);
                if let Some(trouble) = trouble {
                    self.stop_for_good(trouble);
                }
            }
            Wake::Durable(durable) => {
                self.commits_open -= 1;
                match durable {
                    Ok(durable) => self.on_durable(durable, credit),
                    Err(error) => self.stop(Stopped::Journal(error)),
                }
            }
            Wake::TokenRead(token) => self.on_token(token, credit),
            Wake::Signal(signal) => self.on_signal(signal),
            Wake::Asked(ask) => self.on_ask(ask, credit),
        }
    }

    fn on_answered(
        &mut self,
        id: UpdateId,
        (seen, trouble): (Seen, Option<&Trouble>),
        latency_ms: u64,
        credit: &Credit,
    ) {
        let Some(held) = self.held.get(&id) else { return };
        if self.cut {
            return;
        }
        self.emitter.emit(Event::AttemptEnded {
            status: seen.status,
            outcome: seen.outcome.name(),
            latency_ms,
            is_retry: held.attempts > 1,
        });
        // A 407 is a proxy's word.
        self.is_answered |= seen.status.is_some_and(|status| status != 407);
        self.note_in_the_way(&seen, trouble);
        let (now_ms, jitter) = (self.now_ms(), self.chance.next_unit());
        let decision = self.scheduler.on_outcome(id, seen, now_ms, jitter);
        self.take(decision, credit);
    }

    /// Carries out what the scheduler has decided.
    pub(super) fn take(&mut self, decision: Decision, credit: &Credit) {
        for (id, verdict) in decision.verdicts {
            let Some(held) = self.held.get_mut(&id) else { continue };
            let subject = held.fed.update.subject;
            match settle::settle(&held.fed.update, verdict, self.batch, clock::wall_s()) {
                Some((record, settled)) => {
                    self.room.retrying.remove(&subject);
                    if !held.credited {
                        self.room.free += 1;
                        credit.give(1);
                    }
                    self.records.push(record);
                    self.pending.settled.push((id, settled));
                }
                // An update that waits for its retry does not hold up the reading side, nor do those behind it.
                None => {
                    self.room.retrying.insert(subject);
                    let behind: Vec<UpdateId> = self.scheduler.behind(subject).collect();
                    [id].into_iter().chain(behind).for_each(|id| self.give_place_back(id, credit));
                }
            }
        }
        for action in decision.actions {
            self.act(action, credit);
        }
    }

    fn act(&mut self, action: Action, credit: &Credit) {
        match action {
            Action::RereadToken => {
                let (source, waker, generation) =
                    (self.token_source.clone(), self.waker.clone(), self.token.generation + 1);
                std::thread::spawn(move || {
                    // The driver may have ended meanwhile; nobody waits for the token then.
                    drop(waker.send(Wake::TokenRead(source.again(generation))));
                });
            }
            Action::Stop(cause) => self.stop_for(cause),
            Action::QuietStarted { reason, .. } => self.quiet_reason = reason,
            // What stands in the way is told from the scheduler's condition, which knows when one pause hides another.
            Action::QuietEnded | Action::BreakerClosed => {}
            Action::BreakerOpened | Action::NobodyPasses => self.read_ahead(credit),
            Action::GuardReleased => {
                if let Err(error) = (self.prove)() {
                    self.stop(Stopped::Journal(Arc::new(error)));
                }
            }
        }
    }

    fn on_token(&mut self, token: Result<Token, TokenError>, credit: &Credit) {
        let read = match token {
            Ok(token) => {
                let changed = !token.is_same(&self.token);
                let generation = token.generation;
                if changed {
                    self.token = Arc::new(token);
                }
                Ok(TokenRead { generation, changed })
            }
            Err(error) => {
                let text =
                    format!("the token could not be read again: {}; {}", error.in_words(), error.remedy());
                self.emitter.emit(Event::Noticed { text });
                Err(())
            }
        };
        let now_ms = self.now_ms();
        let decision = self.scheduler.on_token(read, now_ms);
        self.take(decision, credit);
    }

    /// Starts attempts: as many as the scheduler wants and the limiter grants.
    fn pump(&mut self) {
        let now_ms = self.now_ms();
        if self.flow == Flow::Closed {
            return;
        }
        let Some(permits) = &self.permits else {
            while let Some(attempt) = self.scheduler.next(now_ms) {
                self.start(attempt.id);
            }
            return;
        };
        let mut started = Vec::new();
        while self.permits_in_hand > 0 {
            let Some(attempt) = self.scheduler.next(now_ms) else { break };
            self.permits_in_hand -= 1;
            started.push(attempt.id);
        }
        let wanted = self.scheduler.sendable(now_ms);
        if wanted == 0 {
            // Permits that nobody can use now would later come on top of the burst.
            self.permits_in_hand = 0;
        }
        permits.want(u32::try_from(wanted).unwrap_or(u32::MAX));
        for id in started {
            self.start(id);
        }
    }

    fn start(&mut self, id: UpdateId) {
        if let (Some(held), Some(senders)) = (self.held.get_mut(&id), &mut self.senders) {
            held.attempts += 1;
            let (token, request) = (Arc::clone(&self.token), held.request.clone());
            senders.send(Job { id, token, request });
        }
    }
}

impl Driver<'_, '_> {
    /// Makes ready for the next pass over the inputs.
    pub(super) fn begin_pass(&mut self, bytes_total: u64, credit: &Credit) {
        self.progress = Progress { rows: 0, bytes: 0, bytes_total };
        (self.ahead, self.room.free) = (Ahead::default(), self.window);
        self.scheduler.begin_pass(self.deferred_room());
        self.begin_mixed(credit);
    }

    /// Whether nothing has stopped the run.
    pub(super) fn is_going(&self) -> bool {
        self.outcome.stopped.is_none()
    }

    /// Updates acknowledged so far.
    pub(super) fn synced(&self) -> u64 {
        self.synced
    }

    /// The channel that wakes the driver.
    pub(super) fn waker(&self) -> Sender<Wake> {
        self.waker.clone()
    }

    /// Ends the senders and gives up what delivery leaves behind.
    pub(super) fn end(mut self) -> Delivered {
        if let Some(senders) = self.senders.take() {
            senders.stop();
        }
        self.tell_limit();
        self.tell_cleared_so_far();
        self.tell_cleared();
        self.outcome.settled_limit = self.scheduler.settled_limit().map(|limit| limit as u64);
        self.outcome.token = self.token.hash(self.state_key);
        self.outcome.still_away.clone_from(self.scheduler.still_away());
        self.outcome.others_passed = self.scheduler.have_others_passed();
        self.outcome.fates = Some(self.fates);
        self.outcome
    }
}
