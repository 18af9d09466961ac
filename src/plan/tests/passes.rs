//! Laws over both passes: a batch is planned, delivered by a toy server, cut short anywhere, and run again.
//!
//! The toy server sets what an update says. What it ends up with must be what the rows say, each field as its newest
//! row has it; nothing acknowledged is sent again; a run after the last one has nothing to do.

use proptest::prelude::*;

use super::any::{any_past, any_rows, any_rules};
use super::model::{agrees, allowed, is_nothing_corrected};
use super::*;
use crate::ledger::FieldState;
use crate::plan::{Folded, Folding, SendMode};
use crate::update::{Fields, Update};

/// One update of pass 2, in the order of sending.
struct Sent {
    update: Update,
    is_early: bool,
}

type Server = BTreeMap<(u8, FieldKind), u64>;

/// How the toy server takes updates, and where the run is cut.
#[derive(Debug, Clone)]
struct Weather {
    /// Updates with an outcome before the run is cut.
    settled: usize,
    /// Updates after these that are on the wire when it is cut, and whether each is applied.
    on_the_wire: Vec<bool>,
    /// Every so many updates one is refused; 0 for none.
    refuses_every: usize,
}

const FAIR: Weather = Weather { settled: usize::MAX, on_the_wire: Vec::new(), refuses_every: 0 };

/// Pass 2: the updates of a plan, late ones last.
fn updates(rows: &[TestRow], plan: &Plan, rows_held_max: usize) -> Vec<Sent> {
    let mut folding = Folding::new(rows_held_max);
    let (mut sent, mut late) = (Vec::new(), Vec::new());
    for (ordinal, row) in (1..).zip(rows).filter(|(_, row)| row.subject != 0) {
        let facts = row.facts();
        let mut fields = Fields::default();
        for (kind, hash) in &facts {
            fields.set(*kind, &hash.0.to_string());
        }
        let (ruling, beside) = (plan.ruling(ordinal), plan.beside(ordinal).unwrap());
        let version = row.version.unwrap_or(v(BATCH, plan.numbered(ordinal)));
        let queue = if ruling.is_late() { &mut late } else { &mut sent };
        let (update, is_early) =
            match folding.take(ruling, version, id(row.subject), &fields, &facts, &beside) {
                Folded::Nothing => continue,
                Folded::Update(update) => (update, false),
                Folded::Early(update) => (update, true),
            };
        queue.push(Sent { update: update.settling(beside.settles, Some(KEY)), is_early });
    }
    assert_eq!(folding.held(), 0, "every folded row has found its carrier");
    sent.extend(late);
    sent
}

fn apply(server: &mut Server, update: &Update) {
    for (kind, value) in update.fields.iter() {
        server.insert((update.subject.0[0], kind), value.parse().unwrap());
    }
}

/// Delivers updates and returns the log of it.
fn deliver(sent: &[Sent], weather: &Weather, server: &mut Server) -> Vec<Record> {
    let mut log = Vec::new();
    for (number, Sent { update, .. }) in (1..).zip(sent) {
        let on_the_wire = match number <= weather.settled {
            true => None,
            false => match weather.on_the_wire.get(number - weather.settled - 1) {
                Some(is_applied) => Some(*is_applied),
                None => break,
            },
        };
        let (subject, version) = (update.subject, update.version);
        let digest = update_digest(&update.facts);
        log.push(Record::Intent { subject, version, fields: update.fields.present(), digest });
        if on_the_wire.is_none() && weather.refuses_every > 0 && number % weather.refuses_every == 0 {
            let (signature, unknown) = (String::new(), FieldSet::EMPTY);
            let facts = update.facts.clone();
            log.push(Record::Refused { subject, version, digest, status: 422, signature, unknown, facts });
            continue;
        }
        if on_the_wire != Some(false) {
            apply(server, update);
        }
        if on_the_wire.is_none() {
            log.push(Record::Synced { subject, version, facts: update.facts.clone(), at_s: NOW_S });
        }
    }
    log
}

/// A server that holds what the ledger knows, and something else where the ledger does not know.
fn server_of(ledger: &[LedgerEntry]) -> Server {
    let mut server = Server::new();
    for entry in ledger {
        for kind in FieldKind::ALL {
            match entry.field(kind).map(|field| field.state) {
                Some(FieldState::Known(hash)) => server.insert((entry.subject.0[0], kind), hash.0),
                Some(FieldState::Unknown) => server.insert((entry.subject.0[0], kind), 77),
                None => None,
            };
        }
    }
    server
}

/// What the rows want of the server: each field as its newest row has it, unless the ledger has it newer.
fn wanted(rows: &[TestRow], ledger: &[LedgerEntry]) -> Server {
    type Age = (u64, Option<i128>, Version);
    let mut newest: BTreeMap<(u8, FieldKind), (Age, u64)> = BTreeMap::new();
    for (ordinal, row) in (1..).zip(rows).filter(|(_, row)| row.subject != 0) {
        let version = row.version.unwrap_or(v(BATCH, ordinal));
        for (kind, hash) in &row.fields {
            // A replayed row keeps the version it has, whatever the column says.
            let age = (version.batch, row.rank.filter(|_| row.version.is_none()), version);
            let slot = newest.entry((row.subject, *kind)).or_insert((age, *hash));
            if slot.0 <= age {
                *slot = (age, *hash);
            }
        }
    }
    newest.retain(|(subject, kind), ((_, _, version), _)| {
        let entry = ledger.iter().find(|entry| entry.subject == id(*subject));
        entry.and_then(|entry| entry.field(*kind)).is_none_or(|field| field.version <= *version)
    });
    newest.into_iter().map(|(place, (_, hash))| (place, hash)).collect()
}

/// A fold in doubt that is then sent row by row (for want of room), or of which only older rows are replayed, stays
/// unknown until a newer batch: its fields are marked with its version, and these rows are older. They are sent again,
/// and nothing is lost.
fn is_any_unknown(ledger: &[LedgerEntry]) -> bool {
    ledger.iter().any(|entry| !entry.unknown().is_empty())
}

/// Whether the ledger holds all that a row says beside these fields, so that `send = "changed"` sends nothing of it.
fn is_rest_known(row: &TestRow, left_out: FieldSet, ledger: &[LedgerEntry]) -> bool {
    let entry = ledger.iter().find(|entry| entry.subject == id(row.subject));
    row.fields.iter().filter(|(kind, _)| !left_out.contains(**kind)).all(|(kind, hash)| {
        let held = entry.and_then(|entry| entry.field(*kind));
        held.is_some_and(|held| held.state == FieldState::Known(FieldHash(*hash)))
    })
}

fn is_replay(rows: &[TestRow]) -> bool {
    rows.iter().any(|row| row.version.is_some())
}

fn any_send() -> impl Strategy<Value = SendMode> {
    prop::sample::select(SendMode::ALL.to_vec())
}

fn any_weather() -> impl Strategy<Value = Weather> {
    (0..6_usize, prop::collection::vec(any::<bool>(), 0..3), prop_oneof![3 => Just(0_usize), 1 => 2..4_usize])
        .prop_map(|(settled, on_the_wire, refuses_every)| Weather { settled, on_the_wire, refuses_every })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cut_run_and_its_resume_agree_with_the_model_and_repeat_nothing(
        rows in any_rows(), log in any_past(), rules in any_rules(), weather in any_weather(), room in 0..3_usize,
        send in any_send(),
    ) {
        let rules = PlanRules { send, ..rules };
        // The model sends all fields, and knows of no corrections, which a row fed back under a version of the log
        // may be.
        let agrees = |rows: &[TestRow], ledger: &[LedgerEntry], rules: &PlanRules| match send {
            SendMode::Full if is_nothing_corrected(rows, ledger) => agrees(rows, ledger, rules),
            SendMode::Full | SendMode::Changed => Ok(plan(rows, ledger, rules)),
        };
        let rows = allowed(rows, &rules);
        let first = ledger(&log);
        let mut server = server_of(&first);
        let plan = agrees(&rows, &first, &rules)?;
        let sent = updates(&rows, &plan, room);
        let log = deliver(&sent, &weather, &mut server);
        let resumed = agrees(&rows, &fold_log(&first, &log), &rules)?;
        let again = updates(&rows, &resumed, room);
        // A fold of which a part was sent early is sent again until all of it is acknowledged.
        let is_excused = is_replay(&rows) && is_any_unknown(&first);
        let is_whole = |one: &&Sent| {
            !is_excused && sent.iter().all(|other| !other.is_early || other.update.subject != one.update.subject)
        };
        for Sent { update, .. } in sent.iter().filter(is_whole) {
            let acked = log.iter().any(|record| {
                matches!(record, Record::Synced { subject, version, facts, .. }
                    if (*subject, *version) == (update.subject, update.version) && *facts == update.facts)
            });
            let repeated = again.iter().find(|again| {
                (again.update.subject, again.update.version, &again.update.facts)
                    == (update.subject, update.version, &update.facts)
            });
            prop_assert!(!acked || repeated.is_none(), "sent again: {:?}", update);
        }
    }

    #[test]
    fn runs_cut_anywhere_end_where_one_run_ends(
        rows in any_rows(),
        log in any_past(),
        rules in any_rules(),
        cuts in prop::collection::vec(any_weather(), 0..3),
        room in 0..3_usize,
        send in any_send(),
    ) {
        let duplicates = match rules.duplicates {
            DuplicatePolicy::Each | DuplicatePolicy::First => DuplicatePolicy::Each,
            DuplicatePolicy::Fold | DuplicatePolicy::Last | DuplicatePolicy::Reject => DuplicatePolicy::Fold,
        };
        // Nobody holds anything back: then the rows get what they want.
        let rules = PlanRules {
            duplicates,
            conflicts: ConflictPolicy::Send,
            in_doubt: InDoubtPolicy::Resend,
            send,
            retry_failed: true,
            ..rules
        };
        let rows = allowed(rows, &rules);
        let mut last = ledger(&log);
        let mut has_unknown = false;
        let mut is_row_by_row = is_replay(&rows);
        let wanted = wanted(&rows, &last);
        let mut server = server_of(&last);
        for cut in cuts.iter().chain([&FAIR]) {
            let plan = plan(&rows, &last, &rules);
            let sent = updates(&rows, &plan, room);
            has_unknown |= is_any_unknown(&last);
            is_row_by_row |= sent.iter().any(|sent| sent.is_early);
            last = fold_log(&last, &deliver(&sent, cut, &mut server));
        }
        for (place, hash) in &wanted {
            prop_assert_eq!(server.get(place), Some(hash), "{:?}", place);
        }
        // What the ledger believes is what the server holds.
        for entry in &last {
            for kind in FieldKind::ALL {
                if let Some(FieldState::Known(hash)) = entry.field(kind).map(|field| field.state) {
                    prop_assert_eq!(server.get(&(entry.subject.0[0], kind)), Some(&hash.0), "{:?}", kind);
                }
            }
        }
        let idle = plan(&rows, &last, &rules);
        // Sent again until a newer batch, see `is_any_unknown`.
        prop_assert!((has_unknown && is_row_by_row) || idle.facts().rows.send == 0, "{:?}", rulings(&idle));
    }

    #[test]
    fn a_resume_calls_no_row_superseded_that_the_first_run_did_not(
        rows in any_rows(),
        log in any_past(),
        cuts in prop::collection::vec(any_weather(), 0..3),
        send in any_send(),
    ) {
        let rules = || PlanRules { send, ..rules() };
        let before = ledger(&log);
        let (first, mut ledger) = (plan(&rows, &before, &rules()), before.clone());
        let mut server = Server::new();
        for cut in cuts.iter().chain([&FAIR]) {
            let plan = plan(&rows, &ledger, &rules());
            ledger = fold_log(&ledger, &deliver(&updates(&rows, &plan, 9), cut, &mut server));
        }
        let last = plan(&rows, &ledger, &rules());
        for (ordinal, row) in (1..).zip(&rows) {
            // A row of which only a part was left is superseded once that is acknowledged, if it is fed back, or if
            // nothing of it was sent but other rows of its update: no ledger tells what its first run did from what
            // another one has done.
            let left_out = first.left_out(ordinal);
            let is_unsent = send == SendMode::Changed && is_rest_known(row, left_out, &before);
            let is_partial = !left_out.is_empty() && (row.version.is_some() || is_unsent);
            let was = is_partial || first.ruling(ordinal) == Ruling::Superseded;
            prop_assert!(was || last.ruling(ordinal) != Ruling::Superseded, "row {}", ordinal);
        }
    }
}
