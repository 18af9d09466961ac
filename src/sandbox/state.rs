//! The sandbox's mind: what becomes of a request, in the order of its arrival. No sockets, no clock of its own.
//!
//! A request is ruled on as soon as it has arrived whole, and applied then or never; waiting, hanging and resetting
//! come afterwards and elsewhere (`serve.rs`, `connection.rs`). So a fault's name tells the truth about whether
//! the update was applied, and equal arrival orders end in equal states.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::OVERSIZED_BYTES;
use super::book::{Book, EchoManner, Masked, SubjectIndex};
use super::chance::{Chance, Lot};
use super::faults::{Fault, Faults, OutageKind, Uniqueness};
use super::limit::Bucket;
use super::log::{Log, Record, Stats};
use super::reply::{Answer, Reply};
use super::view::Views;
use super::wire::{self, Clears, Complaint, SandboxEnvelope, Sent};
use crate::update::FieldKind;

/// Longest `Idempotency-Key` taken, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// What the server is, apart from its faults.
pub(super) struct Nature {
    pub(super) token: String,
    pub(super) envelope: SandboxEnvelope,
    pub(super) clears: Clears,
    pub(super) match_by: Vec<FieldKind>,
    pub(super) honor_idempotency_key: bool,
    pub(super) history_max: usize,
}

/// A request as it arrived.
pub(super) struct Arrival<'a> {
    /// The token of `Authorization: Bearer`.
    pub(super) bearer: Option<&'a str>,
    pub(super) content_type: Option<&'a str>,
    pub(super) idempotency_key: Option<&'a str>,
    /// `None` when it was longer than a server takes.
    pub(super) body: Option<&'a [u8]>,
}

/// When a request arrived.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// Since the start.
    pub(super) elapsed: Duration,
    pub(super) wall: Timestamp,
}

impl Now {
    pub(super) fn elapsed_ms(self) -> u64 {
        u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// What is to be done about a request.
pub(super) struct Plan {
    pub(super) answer: Answer,
    pub(super) delay_ms: u64,
    pub(super) ticket: Ticket,
}

/// What has to be given back when a request is over.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    subject: Option<SubjectIndex>,
    /// Resets so far: the subject of an earlier life is not this one's.
    life: u64,
}

/// An answer kept under an `Idempotency-Key`.
struct Saved {
    /// Hash of the update it answered.
    hash: u64,
    reply: Reply,
}

/// What is learnt of a request on its way through the rules.
#[derive(Default)]
struct Trace {
    applied: bool,
    replayed: bool,
    fault: Option<&'static str>,
}

/// Everything the sandbox knows.
pub(super) struct State {
    nature: Nature,
    faults: Faults,
    chance: Chance,
    bucket: Option<Bucket>,
    /// Requests and time before the faults came into force.
    faults_since: (u64, u64),
    book: Book,
    log: Log,
    keys: HashMap<Box<str>, Option<Saved>>,
    life: u64,
}

impl State {
    pub(super) fn new(nature: Nature, faults: Faults) -> State {
        State {
            chance: Chance::new(&faults),
            bucket: faults.rate_max.map(Bucket::new),
            faults,
            faults_since: (0, 0),
            book: Book::default(),
            log: Log::new(nature.history_max),
            keys: HashMap::new(),
            life: 0,
            nature,
        }
    }

    /// Puts other faults into force; they must have been checked.
    pub(super) fn set_faults(&mut self, faults: Faults, now: Now) {
        self.chance = Chance::new(&faults);
        self.bucket = faults.rate_max.map(Bucket::new);
        self.faults = faults;
        self.faults_since = (self.log.stats.requests, now.elapsed_ms());
    }

    /// Forgets subjects, records and counts, and begins the faults anew.
    pub(super) fn reset(&mut self, now: Now) {
        self.log.reset();
        self.book = Book::default();
        self.keys = HashMap::new();
        self.life += 1;
        self.set_faults(self.faults.clone(), now);
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Rules on a request. Every call must be followed by a [`State::release`] of its ticket.
    pub(super) fn handle(&mut self, arrival: &Arrival<'_>, now: Now) -> Plan {
        let seq = self.log.arrive(now.elapsed);
        let ordinal = seq - self.faults_since.0;
        let lot = self.chance.draw(ordinal);
        let parsed = match arrival.body {
            Some(body) => wire::parse(self.nature.envelope, self.nature.clears, body),
            None => Err(Complaint { status: 413, member: "detail".into(), says: "Request too long.".into() }),
        };
        let sent = parsed.as_ref().ok();
        let subject = sent.and_then(|sent| self.book.identify(&self.nature.match_by, sent));
        if let Some(index) = subject {
            let subject = &mut self.book.subjects[index];
            subject.attempts += 1;
            subject.in_flight += 1;
            self.log.stats.subject_in_flight_max =
                self.log.stats.subject_in_flight_max.max(subject.in_flight);
        }
        let fields = sent.and_then(|sent| serde_json::to_string(&Masked(sent)).ok());
        let mut trace = Trace::default();
        let request = Request { arrival, parsed, subject, ordinal, now };
        let answer = self.rule(&request, lot, &mut trace);
        let place = self.log.settle(Record {
            seq,
            at_ms: now.elapsed_ms(),
            subject,
            status: answer.status(),
            applied: trace.applied,
            replayed: trace.replayed,
            fault: trace.fault,
            idempotency_key: arrival.idempotency_key.map(Into::into),
            fields: fields.map(Into::into),
        });
        if let (Some(index), Some(place)) = (subject, place) {
            self.book.subjects[index].history.push(place);
        }
        Plan { answer, delay_ms: lot.delay_ms, ticket: Ticket { subject, life: self.life } }
    }

    /// A request is over: answered, reset, or given up by the client.
    pub(super) fn release(&mut self, ticket: Ticket) {
        self.log.stats.in_flight -= 1;
        if let Some(index) = ticket.subject.filter(|_| ticket.life == self.life) {
            self.book.subjects[index].in_flight -= 1;
        }
    }

    /// What stands before the application, the application, and what spoils its answer.
    fn rule(&mut self, request: &Request<'_>, lot: Lot, trace: &mut Trace) -> Answer {
        let now = request.now;
        let since_ms = now.elapsed_ms().saturating_sub(self.faults_since.1);
        let outage = self.faults.outages.iter().find(|outage| outage.window.holds(request.ordinal, since_ms));
        if let Some(outage) = outage {
            trace.fault = Some("outage");
            return match outage.how {
                OutageKind::Status(status) => Answer::Whole(self.failure(status, now)),
                OutageKind::Reset => Answer::Reset,
                OutageKind::Hang => Answer::Hang,
            };
        }
        if let Some(Err(wait)) = self.bucket.as_mut().map(|bucket| bucket.take(now.elapsed)) {
            trace.fault = Some("rate_max");
            // A Retry-After of whole seconds that is never too early.
            let wait_s = wait.as_millis().div_ceil(1000).max(1);
            let reply = Reply::detail(429, "Request was throttled.");
            return Answer::Whole(Reply { retry_after: Some(wait_s.to_string()), ..reply });
        }
        let before = match lot.fault {
            Some(Fault::Status(status)) => Some(Answer::Whole(self.failure(status, now))),
            Some(Fault::Redirect) => Some(Answer::Whole(Reply::redirect())),
            Some(Fault::ResetBefore) => Some(Answer::Reset),
            Some(Fault::HangBefore) => Some(Answer::Hang),
            Some(
                Fault::Error500After
                | Fault::ResetAfter
                | Fault::HangAfter
                | Fault::CutAnswer
                | Fault::WrongEcho
                | Fault::WrongStatus
                | Fault::GarbageBody
                | Fault::EmptyBody
                | Fault::OversizedBody,
            )
            | None => None,
        };
        if let Some(answer) = before {
            trace.fault = lot.fault.map(Fault::name);
            return answer;
        }
        let reply = self.application(request, trace).unwrap_or_else(|refusal| refusal);
        match (lot.fault, request.update()) {
            (Some(fault), Some((sent, subject))) if reply.status == 201 => {
                trace.fault = Some(fault.name());
                self.spoil(fault, reply, sent, subject, now)
            }
            (Some(_) | None, _) => Answer::Whole(reply),
        }
    }

    /// Turns an acknowledgement into what a fault makes of it.
    fn spoil(&self, fault: Fault, reply: Reply, sent: &Sent, subject: SubjectIndex, now: Now) -> Answer {
        let body = match fault {
            Fault::ResetAfter | Fault::ResetBefore => return Answer::Reset,
            Fault::HangAfter | Fault::HangBefore => return Answer::Hang,
            Fault::CutAnswer => return Answer::Cut(reply),
            Fault::Error500After => return Answer::Whole(self.failure(500, now)),
            Fault::Status(status) => return Answer::Whole(self.failure(status, now)),
            Fault::Redirect => return Answer::Whole(Reply::redirect()),
            Fault::GarbageBody => "<html><body>upstream said: \u{1}{\"status\":".to_owned(),
            Fault::EmptyBody => String::new(),
            Fault::WrongEcho => self.echo(subject, sent, now, |manner| manner.lie = true),
            Fault::WrongStatus => self.echo(subject, sent, now, |manner| manner.status = "queued"),
            Fault::OversizedBody => {
                self.echo(subject, sent, now, |manner| manner.padding_bytes = OVERSIZED_BYTES)
            }
        };
        Answer::Whole(Reply { body, ..reply })
    }

    /// The documented endpoint.
    fn application(&mut self, request: &Request<'_>, trace: &mut Trace) -> Result<Reply, Reply> {
        self.admit(request)?;
        let sent = request.parsed.as_ref().map_err(Reply::complaint)?;
        let Some(subject) = request.subject else {
            return Err(Reply::detail(400, "No field identifies the subject."));
        };
        wire::judge(sent).map_err(|complaint| Reply::complaint(&complaint))?;
        let known = &self.book.subjects[subject];
        if let Some(status) = self.faults.subject_statuses.get(&*known.key) {
            trace.fault = Some("subject_status");
            return Err(self.failure(*status, request.now));
        }
        if let Some(first) = self.faults.fail_first.filter(|first| known.attempts <= first.attempts) {
            trace.fault = Some("fail_first");
            return Err(self.failure(first.status, request.now));
        }
        let mut hasher = DefaultHasher::new();
        sent.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(reply) = self.replay(request.arrival.idempotency_key, hash)? {
            trace.replayed = true;
            return Ok(reply);
        }
        let reply = match self.refuse(subject, sent, trace) {
            Some(refusal) => refusal,
            None => {
                trace.applied = true;
                let repeated = self.book.apply(subject, sent, hash, self.faults.uniqueness);
                self.log.stats.duplicates += u64::from(repeated);
                let body = self.echo(subject, sent, request.now, |_| ());
                Reply { status: 201, body, ..Reply::default() }
            }
        };
        self.keep(request.arrival.idempotency_key, hash, &reply);
        Ok(reply)
    }

    /// Token, content type and key: what is looked at before the body.
    fn admit(&self, request: &Request<'_>) -> Result<(), Reply> {
        let arrival = request.arrival;
        let token = match &self.faults.token_after {
            Some(after) if request.ordinal > after.requests => &after.token,
            Some(_) | None => &self.nature.token,
        };
        match arrival.bearer {
            Some(bearer) if bearer == token => {}
            Some(_) => return Err(Reply::detail(401, "Invalid token.")),
            None => return Err(Reply::detail(401, "Authentication credentials were not provided.")),
        }
        let essence = arrival.content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
        if !essence.trim().eq_ignore_ascii_case("application/json") {
            return Err(Reply::detail(415, "Unsupported media type in request."));
        }
        if arrival.idempotency_key.is_some_and(|key| key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
            return Err(Reply::detail(400, "Idempotency-Key too long."));
        }
        Ok(())
    }

    /// The refusal of an update that could be read, by the values chosen and by uniqueness.
    fn refuse(&self, subject: SubjectIndex, sent: &Sent, trace: &mut Trace) -> Option<Reply> {
        let refused = FieldKind::ALL
            .into_iter()
            .find(|kind| sent.value(*kind).is_some_and(|value| self.faults.refused_values.contains(value)));
        if let Some(kind) = refused {
            trace.fault = Some("refused_value");
            return Some(Reply::member(422, kind.name(), "This value is not accepted."));
        }
        let status = match self.faults.uniqueness {
            Uniqueness::Off | Uniqueness::Steal => return None,
            Uniqueness::Refuse409 => 409,
            Uniqueness::Refuse422 => 422,
        };
        let (kind, holder) = self.book.taken(subject, sent)?;
        trace.fault = Some("uniqueness");
        let says = format!("{kind} already assigned to {}", self.book.subjects[holder].key);
        Some(Reply::member(status, kind.name(), &says))
    }

    /// The answer kept under a key, where keys are honoured.
    fn replay(&mut self, key: Option<&str>, hash: u64) -> Result<Option<Reply>, Reply> {
        let Some(key) = key else { return Ok(None) };
        match self.keys.get(key) {
            Some(Some(saved)) if saved.hash == hash => Ok(Some(saved.reply.clone())),
            Some(Some(_)) => Err(Reply::detail(422, "Idempotency-Key was used with another body.")),
            Some(None) | None => Ok(None),
        }
    }

    /// Keeps an answer under its key, or only the key where keys are not honoured, as long as there is room.
    fn keep(&mut self, key: Option<&str>, hash: u64, reply: &Reply) {
        let Some(key) = key else { return };
        if self.keys.len() >= self.nature.history_max && !self.keys.contains_key(key) {
            return;
        }
        let saved = self.nature.honor_idempotency_key.then(|| Saved { hash, reply: reply.clone() });
        self.keys.insert(key.into(), saved);
    }

    fn echo(
        &self,
        subject: SubjectIndex,
        sent: &Sent,
        now: Now,
        change: impl FnOnce(&mut EchoManner<'_>),
    ) -> String {
        let updated_at = format!("{:.0}", now.wall);
        let mut manner = EchoManner {
            style: self.faults.echo,
            updated_at: &updated_at,
            status: "success",
            lie: false,
            padding_bytes: 0,
        };
        change(&mut manner);
        self.book.echo(subject, sent, &manner)
    }

    /// A failure that is not about the update.
    fn failure(&self, status: u16, now: Now) -> Reply {
        Reply::failure(status, self.faults.retry_after, now.wall)
    }
}

/// A request on its way through the rules.
struct Request<'a> {
    arrival: &'a Arrival<'a>,
    parsed: Result<Sent, Complaint>,
    subject: Option<SubjectIndex>,
    /// Counted from when the faults came into force, from 1.
    ordinal: u64,
    now: Now,
}

impl Request<'_> {
    fn update(&self) -> Option<(&Sent, SubjectIndex)> {
        self.parsed.as_ref().ok().zip(self.subject)
    }
}

/// Looking at it all.
impl State {
    pub(super) fn stats(&self) -> Stats {
        let mut stats = self.log.stats.clone();
        stats.subjects = self.book.subjects.len() as u64;
        stats.distinct_idempotency_keys = self.keys.len() as u64;
        stats
    }

    pub(super) fn views(&self) -> Views<'_> {
        Views { book: &self.book, log: &self.log, match_by: &self.nature.match_by }
    }
}
