//! `--json`: JSON Lines on standard output, one message a line, the summary last. Messages and members are only ever
//! added; readers skip types they do not know.
//!
//! Not here: the summary's shape (`model.rs`); fatal errors, which go to standard error (`explain.rs`).

use serde::Serialize;

use crate::event::{Breach, Event, Stamped};
use crate::report::build::{alarm_record, plan_record};
use crate::report::glance::Glance;
use crate::report::model::{AlarmRecord, PlaceRecord, PlanRecord, SCHEMA_VERSION, Summary};
use crate::report::options::ReportOptions;
use crate::report::out::Out;
use crate::report::style::is_hostile;
use crate::report::{Reporter, View};

/// Milliseconds of the run between two `progress` messages.
const PROGRESS_EVERY_MS: u64 = 5_000;

/// Text as one line of JSON. Everything that could steer a terminal is written `\uNNNN`, which reads back the same.
pub(super) fn to_line<T: Serialize>(message: &T) -> String {
    // Our mirror types hold no map with other keys than text, the one thing that cannot be written.
    let json = serde_json::to_string(message).unwrap_or_default();
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        if is_hostile(character) {
            // All of them are in the basic plane, and outside of strings none occurs.
            line.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            line.push(character);
        }
    }
    line.push('\n');
    line
}

#[derive(Serialize)]
struct Message<'a> {
    at_ms: u64,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Body<'a> {
    RunStarted {
        schema_version: u32,
        tool_version: &'a str,
        run_id: &'a str,
        command: &'a str,
        target: &'a str,
        started_at: &'a str,
    },
    InputOpened {
        name: &'a str,
        bytes: u64,
        format: &'a str,
    },
    Notice {
        text: &'a str,
    },
    RowRejected {
        place: PlaceRecord,
        code: &'a str,
        field: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        also: Vec<Also>,
    },
    ColumnAlarm {
        #[serde(flatten)]
        alarm: AlarmRecord,
    },
    Plan {
        batch: &'a str,
        resumed: bool,
        key: Option<&'a str>,
        #[serde(flatten)]
        plan: Box<PlanRecord>,
    },
    Gate {
        gate: &'a str,
        text: &'a str,
        overridden: bool,
    },
    DeliveryStarted {
        updates: u64,
    },
    UpdateFailed {
        place: PlaceRecord,
        kind: &'a str,
        status: Option<u16>,
        signature: &'a str,
    },
    UpdateInDoubt {
        place: PlaceRecord,
    },
    Paused {
        reason: &'a str,
        for_ms: Option<u64>,
    },
    Resumed,
    PassStarted {
        about: &'a str,
        updates: u64,
    },
    Draining {
        reason: &'a str,
        in_flight: u64,
    },
}

/// A further reason for which a row is rejected.
#[derive(Serialize)]
struct Also {
    code: &'static str,
    field: Option<&'static str>,
}

#[derive(Serialize)]
struct Progress {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    glance: Glance,
}

impl Also {
    fn of(breach: Breach) -> Also {
        Also { code: breach.code, field: breach.field.map(crate::update::FieldKind::name) }
    }
}

/// Writes messages.
pub(super) struct Json {
    out: Out,
    options: ReportOptions,
    written_ms: u64,
}

impl Json {
    /// Writes to `out`.
    pub(super) fn new(out: Out, options: ReportOptions) -> Json {
        Json { out, options, written_ms: 0 }
    }

    fn body<'a>(&self, event: &'a Event, view: &View<'_>) -> Option<Body<'a>> {
        Some(match event {
            Event::RunStarted(facts) => Body::RunStarted {
                schema_version: SCHEMA_VERSION,
                tool_version: facts.tool_version,
                run_id: &facts.run_id,
                command: facts.command,
                target: &facts.target,
                started_at: &facts.started_at,
            },
            Event::InputOpened { name, bytes, format } => Body::InputOpened { name, bytes: *bytes, format },
            Event::Noticed { text } | Event::Warned { text } => Body::Notice { text },
            Event::RowRejected { place, code, field, also } => Body::RowRejected {
                place: view.notes.place(*place),
                code,
                field: field.map(crate::update::FieldKind::name),
                also: also.iter().map(|breach| Also::of(*breach)).collect(),
            },
            Event::ColumnAlarmed(alarm) => {
                Body::ColumnAlarm { alarm: alarm_record(alarm, view.notes, self.options.rule_text) }
            }
            Event::PlanMade(facts) => Body::Plan {
                batch: &facts.batch,
                resumed: facts.resumed,
                key: facts.key.map(crate::update::FieldKind::name),
                plan: Box::new(plan_record(facts, view.notes, &self.options)),
            },
            Event::GateTripped { gate, text, overridden } => {
                Body::Gate { gate, text, overridden: *overridden }
            }
            Event::DeliveryStarted { updates, .. } => Body::DeliveryStarted { updates: *updates },
            Event::UpdateFailed { place, kind, status, signature } => Body::UpdateFailed {
                place: view.notes.place(*place),
                kind: kind.name(),
                status: *status,
                signature,
            },
            Event::UpdateInDoubt { place } => Body::UpdateInDoubt { place: view.notes.place(*place) },
            Event::Paused { reason, for_ms } => Body::Paused { reason, for_ms: *for_ms },
            Event::Resumed => Body::Resumed,
            Event::LaterPassStarted { about, updates } => Body::PassStarted { about, updates: *updates },
            Event::DrainStarted { reason, in_flight, .. } => Body::Draining { reason, in_flight: *in_flight },
            // One message per row that went well or per attempt would bury the others; `progress` counts them. What
            // is known once, when the survey is over, stands in the summary.
            Event::Progressed { .. }
            | Event::ColumnsMapped { .. }
            | Event::LinesSkipped { .. }
            | Event::RuleApplied { .. }
            | Event::RowFiltered { .. }
            | Event::AttemptEnded { .. }
            | Event::UpdateSynced { .. }
            | Event::UpdateDeferred { .. }
            | Event::LimitChanged { .. }
            | Event::SubjectsCleared { .. }
            | Event::SwapBroken
            | Event::RowsSetAside
            | Event::Slowed { .. }
            | Event::StatusAsked
            | Event::Committed { .. }
            | Event::RunEnded { .. } => return None,
        })
    }
}

impl Reporter for Json {
    fn on_event(&mut self, stamped: &Stamped, view: &View<'_>) {
        if let Some(body) = self.body(&stamped.event, view) {
            self.out.write(&to_line(&Message { at_ms: stamped.at_ms, body }));
        }
        self.on_tick(view);
    }

    fn on_tick(&mut self, view: &View<'_>) {
        if view.stats.at_ms >= self.written_ms + PROGRESS_EVERY_MS && view.stats.exit_code.is_none() {
            self.written_ms = view.stats.at_ms;
            self.out.write(&to_line(&Progress { kind: "progress", glance: view.glance() }));
        }
    }

    fn on_end(&mut self, summary: &Summary) {
        self.out.write(&to_line(summary));
    }
}
