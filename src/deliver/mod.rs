//! Pass 2, deliver: reads the inputs again and sends what the plan ruled to be sent, each intent durable before its
//! request leaves, each acknowledgement durable before it is reported.
//!
//! Wiring. Three threads and a few senders around one loop: the reading side (`feed.rs`) hands over updates, the
//! driver (`driver.rs`) asks the pure scheduler what to do, the journal's thread makes it durable. Not here: any
//! decision (`delivery/`, `plan/`).

mod adopt;
mod ahead;
mod aside;
mod chains;
mod clears;
mod commit;
mod confirm;
mod drain;
mod driver;
mod fates;
mod feed;
mod hours;
mod later;
mod resolve;
mod rings;
mod rows;
mod settle;
mod steer;
mod superseded;
mod swaps;
mod tell;
mod waves;

use std::collections::BTreeSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc;

pub use self::hours::{Flow, Hours, Window};
pub use self::steer::Reload;

pub use self::adopt::{Adoption, adopt};
pub use self::confirm::{Confirmation, confirm};
pub use self::fates::Fates;
pub use self::rows::{RowsError, RowsWritten, WriteRows, write_rows};
pub use self::superseded::Newer;
pub use self::tell::way_out;

use self::clears::Cleared;
use self::driver::{Driver, Job, Wake};
use self::feed::{Fed, Feed, FeedError, LaterWaves, Selection};
use self::resolve::PassPlace;
use crate::api::{ApiError, Client, ClientOptions, Envelope, Token, TokenSource, Trouble, TroubleKind};
use crate::delivery::outcome::{Outcome, PAGE, Seen, StopCause};
use crate::delivery::{DeliveryRules, Scheduler};
use crate::digest::{StateKey, SubjectId};
use crate::engine::credit::Credit;
use crate::engine::senders::Senders;
use crate::engine::signals::{Signals, Stop};
use crate::event::{Event, Halt};
use crate::exit::Exit;
use crate::fields::ClearAs;
use crate::input::{Inputs, SourceError};
use crate::journal::{JournalError, JournalWriter, LedgerScan};
use crate::plan::{Plan, Ruling};
use crate::report::plural;
use crate::row::Place;
use crate::spill::Space;
use crate::survey::{Emitter, Judge};

/// Everything that bounds delivery.
#[derive(Debug, Clone)]
pub struct DeliverRules {
    /// The scheduler's rules.
    pub scheduler: DeliveryRules,
    /// How fast, by time of day.
    pub hours: Hours,
    /// Whether rows are sent mixed from the beginning, as far as they are read ahead.
    pub is_mixed: bool,
    /// Threads that send.
    pub senders: usize,
    /// Updates handed over and not settled, at most, retries included.
    pub rows_held_max: usize,
    /// Rows kept until the last row of their subject arrives, at most.
    pub rows_folding_max: usize,
    /// Updates that wait for a later pass and are kept in memory with what they send, at most.
    pub deferred_held_max: usize,
    /// How long attempts on the wire may take to end once the run stops.
    pub shutdown_grace_ms: u64,
    /// When the run stops on the run's clock, in milliseconds, and by which limit.
    pub stop_at: Option<(u64, Limit)>,
    /// Updates handed over for sending, at most; what comes after them stays pending.
    pub updates_max: Option<u64>,
}

/// A limit that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// A length of the run.
    Duration {
        /// The length, as text.
        length: String,
    },
    /// A time of day.
    Until {
        /// As it was written.
        time: String,
    },
    /// A number of updates.
    Updates {
        /// How many.
        updates: u64,
        /// How many of them were not used, because nothing that is left fits into them.
        left: u64,
    },
}

/// Bounds that may change in the middle of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Steering {
    /// How fast, by time of day.
    pub hours: Hours,
    /// Attempts on the wire at once, at most.
    pub max_in_flight: usize,
    /// The same, in words.
    pub text: String,
}

impl DeliverRules {
    /// Updates whose intents may be open at a time without waiting for a retry, or behind one of their subject that
    /// does: what a crash leaves in doubt. Twice what may be in flight keeps the wire busy while intents are made
    /// durable; a slow pace needs no more than a second's worth.
    pub fn window(&self) -> usize {
        window(self.scheduler.max_in_flight, &self.hours)
    }
}

fn window(max_in_flight: usize, hours: &Hours) -> usize {
    let full = 2 * max_in_flight;
    match hours.fastest() {
        None => 2 * full,
        Some(pace) => {
            let mut second = 16;
            while second < full
                && pace.period.as_secs_f64() * f64::from(u32::try_from(second).unwrap_or(u32::MAX)) < 1.0
            {
                second *= 2;
            }
            second.min(full).max(2)
        }
    }
}

/// What to do where a page of HTML answers.
pub const NO_API: &str = "what answers is no API: check host and path of api.url, and whether a portal or a proxy \
                          answers in its place";

/// Why a run stopped before its end.
#[derive(Debug, Clone)]
pub enum Stopped {
    /// The scheduler's decision.
    Cause(StopCause),
    /// The API never answered, or does so no more, because of this trouble on the way to it.
    Unreachable(Trouble),
    /// Answers named another place than the API's address: this one.
    Redirected(Trouble),
    /// A certificate was not accepted, on this side or the other, before the API had answered anything.
    Untrusted(String),
    /// The operator's.
    Signal(Stop),
    /// A limit that was asked for.
    Limit(Limit),
    /// The input cannot be read on.
    Source(Arc<SourceError>),
    /// The journal cannot be written.
    Journal(Arc<JournalError>),
    /// A fault of the program.
    Internal(String),
}

impl Stopped {
    /// The exit code that follows.
    pub fn exit(&self) -> Exit {
        match self {
            Stopped::Cause(StopCause::TokenRefused) => Exit::Token,
            Stopped::Cause(StopCause::Outage) | Stopped::Unreachable(_) => Exit::Temporary,
            Stopped::Cause(StopCause::Redirected { .. }) | Stopped::Redirected(_) | Stopped::Untrusted(_) => {
                Exit::Config
            }
            Stopped::Cause(
                StopCause::NothingAccepted { .. }
                | StopCause::RefusalsInARow { .. }
                | StopCause::ErrorBudget { .. }
                | StopCause::SignatureBudget { .. },
            ) => Exit::Stopped,
            Stopped::Signal(Stop::Interrupt) => Exit::Interrupted,
            Stopped::Signal(Stop::Terminate) => Exit::Terminated,
            Stopped::Limit(_) => Exit::Limit,
            Stopped::Source(_) => Exit::Input,
            Stopped::Journal(_) => Exit::Journal,
            Stopped::Internal(_) => Exit::Unexpected,
        }
    }

    /// The answers that stopped the run, if they did.
    fn halt(&self) -> Option<Halt> {
        let cause = match self {
            Stopped::Cause(cause) => cause,
            Stopped::Redirected(_) => return Some(Halt::Redirected),
            Stopped::Unreachable(_)
            | Stopped::Untrusted(_)
            | Stopped::Signal(_)
            | Stopped::Limit(_)
            | Stopped::Source(_)
            | Stopped::Journal(_)
            | Stopped::Internal(_) => return None,
        };
        match cause {
            StopCause::NothingAccepted { .. } => Some(Halt::NothingAccepted),
            StopCause::RefusalsInARow { .. } => Some(Halt::RefusalsInARow),
            StopCause::ErrorBudget { .. } | StopCause::SignatureBudget { .. } => Some(Halt::Budget),
            StopCause::Redirected { .. } => Some(Halt::Redirected),
            StopCause::TokenRefused | StopCause::Outage => None,
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Stopped::Cause(StopCause::TokenRefused) => {
                "renew the token, then run the same command again; nothing is lost, no row was marked failed for it".into()
            }
            Stopped::Cause(StopCause::Outage) => "run the same command again when the API is back; it resumes".into(),
            Stopped::Cause(StopCause::Redirected { .. }) | Stopped::Redirected(_) => {
                way_out(TroubleKind::Redirect).into()
            }
            Stopped::Cause(StopCause::NothingAccepted { signature, .. }) if signature.contains(PAGE) => {
                NO_API.into()
            }
            Stopped::Cause(StopCause::NothingAccepted { .. }) => {
                "check api.envelope (data-string, data-object, flat), api.url and the column mapping; no row was \
                 marked failed; `simsync doctor --probe FILE` finds out which envelope the API understands"
                    .into()
            }
            Stopped::Cause(StopCause::RefusalsInARow { .. }) => {
                "find out what changed at the API, for instance with `simsync doctor --probe FILE`; if so many rows \
                 may be wrong, raise delivery.refusals_in_a_row_max, or set it to 0, and run again"
                    .into()
            }
            Stopped::Cause(StopCause::SignatureBudget { .. }) => {
                "look at failed.csv; then run again, with a larger --max-errors-per-signature if this complaint is \
                 acceptable"
                    .into()
            }
            Stopped::Cause(StopCause::ErrorBudget { .. }) => {
                "look at failed.csv, then run again, with a larger --max-errors if these failures are acceptable".into()
            }
            Stopped::Unreachable(trouble) => {
                format!("{}; then run the same command again", way_out(trouble.kind))
            }
            Stopped::Untrusted(_) => {
                format!("{}; no row was marked failed for it", way_out(TroubleKind::Certificate))
            }
            Stopped::Signal(_) => "run the same command again; it resumes".into(),
            Stopped::Limit(_) => "run again without this limit; it resumes".into(),
            Stopped::Source(error) => error.remedy(),
            Stopped::Journal(error) => error.remedy(),
            Stopped::Internal(_) => "please report this as a bug, with the run's summary.json".into(),
        }
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Cause(StopCause::TokenRefused) => {
                f.write_str("the API refused the token, and reading it again brought none that it accepts")
            }
            Stopped::Cause(StopCause::Outage) => {
                f.write_str("the API is down or keeps pushing back, for longer than outage_max")
            }
            Stopped::Cause(StopCause::Redirected { status }) => {
                write!(f, "the API answered with a redirect (HTTP {status}): this is not the endpoint")
            }
            Stopped::Cause(StopCause::NothingAccepted { signature, subjects }) => write!(
                f,
                "the API accepted none of the first {subjects} subjects at this target; most frequent complaint: {signature}"
            ),
            Stopped::Cause(StopCause::RefusalsInARow { signature, subjects }) => write!(
                f,
                "one complaint about {} in a row, as many as refusals_in_a_row_max: {signature}",
                plural(*subjects, "subject")
            ),
            Stopped::Cause(StopCause::SignatureBudget { signature, failed }) => write!(
                f,
                "more updates failed with one complaint than max_errors_per_signature allows ({}): {signature}",
                failed.saturating_sub(1)
            ),
            Stopped::Cause(StopCause::ErrorBudget { failed }) => {
                write!(f, "more updates failed than max_errors allows ({})", failed.saturating_sub(1))
            }
            Stopped::Redirected(trouble) => {
                write!(f, "the API answered with {}: this is not the endpoint", trouble.text)
            }
            Stopped::Unreachable(trouble) => {
                write!(f, "the API could not be reached for as long as outage_max: {}", trouble.text)
            }
            Stopped::Untrusted(trouble) => write!(f, "no connection to the API can be trusted: {trouble}"),
            Stopped::Limit(Limit::Duration { length }) => write!(f, "--max-duration {length} is over"),
            Stopped::Limit(Limit::Until { time }) => write!(f, "it is {time}: --until"),
            Stopped::Limit(Limit::Updates { updates, left: 0 }) => {
                write!(f, "--max-rows {updates} is reached, and there are more to send")
            }
            Stopped::Limit(Limit::Updates { updates, left }) => write!(
                f,
                "--max-rows {updates} has room for {left} more, and nothing fits into that of what is left to send"
            ),
            Stopped::Signal(Stop::Interrupt) => f.write_str("interrupted (SIGINT)"),
            Stopped::Signal(Stop::Terminate) => f.write_str("asked to terminate (SIGTERM)"),
            Stopped::Source(error) => write!(f, "{error}"),
            Stopped::Journal(error) => write!(f, "{error}"),
            Stopped::Internal(text) => write!(f, "internal error: {text}"),
        }
    }
}

impl From<FeedError> for Stopped {
    fn from(error: FeedError) -> Stopped {
        match error {
            FeedError::Source(error) => Stopped::Source(Arc::new(error)),
            FeedError::Plan(_) | FeedError::Inconsistent(_) => Stopped::Internal(error.to_string()),
        }
    }
}

/// What cannot be begun at all.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// No client.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// No thread or runtime.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// What the two passes share, and where delivery gets its parts from.
pub struct Delivery<'a> {
    /// The inputs, surveyed.
    pub inputs: &'a mut Inputs,
    /// Who judges rows.
    pub judge: Judge<'a>,
    /// What the survey ruled.
    pub plan: &'a Plan,
    /// The batch's sequence on its target.
    pub batch: u64,
    /// The state directory's key.
    pub state_key: &'a StateKey,
    /// The journal.
    pub writer: JournalWriter,
    /// The API.
    pub client: ClientOptions,
    /// The wire format.
    pub envelope: Envelope,
    /// How clearing is sent.
    pub clear_as: ClearAs,
    /// The token, as read before the survey.
    pub token: Token,
    /// Where it comes from, to be read again when it is refused.
    pub token_source: TokenSource,
    /// Keeps, durably, that the target has acknowledged something: called at the first acknowledgement ever.
    pub prove: &'a dyn Fn() -> Result<(), JournalError>,
    /// The bounds.
    pub rules: DeliverRules,
    /// The signals of this process.
    pub signals: Signals,
    /// The ledger as it stood at the beginning: who holds what, where updates want each other's values.
    pub ledger: &'a dyn Fn() -> Result<LedgerScan, JournalError>,
    /// Where the fates of updates are kept that the row files tell.
    pub space: &'a Space,
    /// What the bounds are when somebody wants them read again.
    pub reload: &'a Reload<'a>,
    /// Places of the rows of [`Plan::cleared_before`], ascending.
    pub cleared: &'a [Place],
}

/// What delivery leaves behind for the reports.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Why it stopped before its end.
    pub stopped: Option<Stopped>,
    /// Which updates failed or are in doubt; `None` where nothing was delivered.
    pub fates: Option<Fates>,
    /// Attempts at once where the adaptive limit settled, for the next run at the target to begin with.
    pub settled_limit: Option<u64>,
    /// Whose answers have stopped the run, where answers to single updates did.
    pub turned_away: Vec<(Place, SubjectId)>,
    /// Of the subjects that earlier runs were stopped for, those that nothing is settled of.
    pub still_away: BTreeSet<SubjectId>,
    /// Whether anybody else was acknowledged.
    pub others_passed: bool,
    /// What tells the token that was in force at the end from others.
    pub token: u64,
    /// Who was cleared to break a swap and has no update yet.
    pub(crate) cleared: Cleared,
    /// Those of them whose own updates have failed.
    pub(crate) cleared_failed: usize,
}

impl Delivered {
    /// Whether an update has failed.
    pub fn has_failed(&self) -> bool {
        self.fates.as_ref().is_some_and(Fates::has_failed)
    }

    /// Whether the journal can take nothing more.
    pub fn has_lost_journal(&self) -> bool {
        matches!(self.stopped, Some(Stopped::Journal(_)))
    }
}

/// Delivers what the plan ruled to be sent.
///
/// # Errors
/// When delivery cannot even begin. Everything that goes wrong later is in [`Delivered::stopped`].
pub fn deliver(delivery: Delivery<'_>, emitter: &mut Emitter<'_>) -> Result<Delivered, DeliverError> {
    let clock = emitter.clock();
    let (waker, wakes) = mpsc::channel();
    let rules = delivery.rules.clone();
    let state_key = delivery.state_key;
    let updates = delivery.plan.facts().rows.send;
    emitter.emit(Event::DeliveryStarted { updates, is_proven: rules.scheduler.proven });
    tracing::info!(
        "window: at most {} updates can be in doubt after a crash, besides those that wait for a retry, or behind one that does",
        rules.window()
    );
    let scheduler = Scheduler::new(rules.scheduler.clone(), clock.now_ms());
    let senders = start_senders(&rules, &delivery.client, clock, &waker)?;
    let on_signal = waker.clone();
    // After the driver has ended, nobody takes these any more; the count of signals tells the rest of the run.
    delivery.signals.tell(move |stop| drop(on_signal.send(Wake::Signal(stop))));
    let on_ask = waker.clone();
    delivery.signals.tell_asks(move |ask| drop(on_ask.send(Wake::Asked(ask))));
    let mut driver = Driver::new(
        &rules,
        state_key,
        emitter,
        scheduler,
        delivery.writer.clone(),
        (waker, wakes),
        delivery.token.clone(),
        delivery.token_source.clone(),
        delivery.prove,
        delivery.reload,
        Fates::new(delivery.space),
    );
    driver.batch = delivery.batch;
    driver.outcome.cleared = clears::cleared_before(delivery.plan, delivery.cleared);
    driver.senders = Some(senders);
    driver.set_hours(rules.hours.clone());
    run_passes(&mut driver, delivery);
    Ok(driver.end())
}

fn start_senders(
    rules: &DeliverRules,
    client: &ClientOptions,
    clock: crate::engine::clock::Clock,
    waker: &mpsc::Sender<Wake>,
) -> Result<Senders<Job>, DeliverError> {
    // A client that cannot be made is a configuration error and must not surface as a thread's.
    drop(Client::new(client)?);
    let senders = Senders::start(rules.senders, || {
        let client = Arc::new(Client::new(client).map_err(std::io::Error::other)?);
        let waker = waker.clone();
        Ok(move |job: Job| {
            let client = Arc::clone(&client);
            let mut ending = Ending { waker: waker.clone(), id: job.id, is_told: false };
            async move {
                let began_ms = clock.now_ms();
                let answered = client.attempt(&job.token, &job.request).await;
                let seen = answered.seen;
                let latency_ms = clock.now_ms() - began_ms;
                ending.tell(seen, latency_ms, answered.trouble);
            }
        })
    })?;
    Ok(senders)
}

/// The end of an attempt, told in any case: an attempt that panicked would leave the driver waiting for ever.
struct Ending {
    waker: mpsc::Sender<Wake>,
    id: u64,
    is_told: bool,
}

impl Ending {
    fn tell(&mut self, seen: Seen, latency_ms: u64, trouble: Option<Trouble>) {
        self.is_told = true;
        // The driver has ended when the attempt was cut off; its outcome is in doubt by then.
        drop(self.waker.send(Wake::Answered { id: self.id, seen, latency_ms, trouble }));
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.is_told {
            let seen =
                Seen { outcome: Outcome::Disconnected, status: None, quota: None, token_generation: 0 };
            self.tell(seen, 0, None);
        }
    }
}

/// The main pass, the chronic rows, those that wait for others, then deferred conflicts until a pass makes no progress.
fn run_passes(driver: &mut Driver<'_, '_>, mut delivery: Delivery<'_>) {
    let sent = delivery.plan.facts().rows.send;
    let (late, waiting) = (late_updates(delivery.plan), waiting_updates(delivery.plan));
    let place = |is_followed| if is_followed { PassPlace::Followed } else { PassPlace::LastButDeferred };
    if late + waiting < sent {
        driver.place = place(late + waiting > 0);
        pass(driver, &mut delivery, Selection::Main);
        driver.check_updates();
    }
    if late > 0 && driver.is_going() && !driver.is_full() {
        driver.later("chronic rows", late);
        driver.place = place(waiting > 0);
        pass(driver, &mut delivery, Selection::Late);
        driver.check_updates();
    }
    driver.place = PassPlace::Followed;
    let mut next = Some(waiting);
    while let Some(waiting) = next {
        waves::run(driver, &mut delivery, waiting);
        resolve::run(driver, &mut delivery);
        next = driver.take_up_postponed();
    }
    if driver.is_carrying() {
        // Stopped between two passes: what is kept back stays pending.
        resolve::close(driver, &delivery);
    }
    driver.end_updates();
}

/// Updates of the plan that failed in earlier batches and wait for nobody.
fn late_updates(plan: &Plan) -> u64 {
    let is_late = |ordinal: &u64| plan.ruling(*ordinal) == Ruling::SendLate && !plan.is_chained(*ordinal);
    (1..=plan.facts().rows.read).filter(is_late).count() as u64
}

/// Updates of the plan that take what those of other subjects give up.
fn waiting_updates(plan: &Plan) -> u64 {
    plan.facts().chains.waiting
}

/// A pass over a reading of the inputs.
fn pass(driver: &mut Driver<'_, '_>, delivery: &mut Delivery<'_>, selection: Selection) {
    let window = driver.window;
    let bytes_total = delivery.inputs.bytes_total();
    let feed = Feed {
        inputs: &mut *delivery.inputs,
        judge: delivery.judge.again(),
        plan: delivery.plan,
        batch: delivery.batch,
        envelope: Some(delivery.envelope),
        clear_as: delivery.clear_as,
        rows_held_max: delivery.rules.rows_folding_max,
        selection,
    };
    pass_of(driver, (window, bytes_total), |credit, send| feed.run(credit, send));
}

/// Who is told of a group of updates and how far the reading is; `false` when nobody listens any more.
type Send<'a> = &'a mut dyn FnMut(Vec<Fed>, u64, u64) -> bool;

/// A pass over what a reading side hands over, and leaves for later waves, to its end.
fn pass_of(
    driver: &mut Driver<'_, '_>,
    (window, bytes_total): (usize, u64),
    feed: impl FnOnce(&Credit, Send<'_>) -> Result<LaterWaves, FeedError> + std::marker::Send,
) {
    let credit = Credit::new(window);
    driver.begin_pass(bytes_total, &credit);
    let waker = driver.waker();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut send = |group, rows, bytes| waker.send(Wake::Fed { group, rows, bytes }).is_ok();
            // A panic must reach the driver as an end of the reading side, or it would wait for ever.
            let ended = catch_unwind(AssertUnwindSafe(|| feed(&credit, &mut send)));
            let ended = match ended {
                Ok(ended) => ended.map_err(Stopped::from),
                Err(_) => Err(Stopped::Internal("the reading side panicked".into())),
            };
            drop(waker.send(Wake::FeedEnded(ended)));
        });
        driver.pass(&credit);
        credit.close();
    });
}
