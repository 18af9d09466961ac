//! Whole runs told to reporters: what people, machines and later readers get to see.
//!
//! Not here: the parts by themselves; their tests stand beneath them.

mod history;
mod machine;
mod text;

use std::path::Path;

use super::out::tests::Shared;
use super::*;
use crate::event::{AlarmFacts, MappedColumn, PlanFacts, PlanRows, RunFacts};
use crate::ledger::FailureKind;
use crate::row::Place;
use crate::update::FieldKind;

/// A run under test: its reporters and what they wrote.
struct Told {
    reporters: Reporters,
    stdout: Shared,
    stderr: Shared,
}

impl Told {
    fn new(options: ReportOptions) -> Told {
        let (stdout, stderr) = (Shared::default(), Shared::default());
        let console = Console::on(stderr.out(), &options);
        let reporters = Reporters::on(options, console, stdout.out()).unwrap();
        Told { reporters, stdout, stderr }
    }

    fn at(&mut self, at_ms: u64, event: Event) {
        self.reporters.on_event(&Stamped { at_ms, event });
    }

    /// Ends the run: `(standard output, standard error)`.
    fn end(self) -> (String, String) {
        self.reporters.finish();
        (self.stdout.text(), self.stderr.text())
    }
}

fn options() -> ReportOptions {
    ReportOptions {
        rule_text: |code| match code {
            "number.no_country" => Some(("national number and no default country", "set default_country")),
            _ => None,
        },
        commands: NextCommands {
            again: "simsync sync crm-export.csv".into(),
            unlimited: "simsync sync crm-export.csv".into(),
            readdressed: "simsync sync --api-url URL crm-export.csv".into(),
            unbudgeted: "simsync sync crm-export.csv".into(),
            probe: "simsync doctor --probe crm-export.csv".into(),
            without_inputs: "simsync sync".into(),
            options: String::new(),
        },
        wall: || "2026-11-22T01:00:12Z".into(),
        ..ReportOptions::default()
    }
}

fn place(ordinal: u64) -> Place {
    Place { ordinal, file: 0, line: ordinal + 1 }
}

fn started(command: &'static str, file: &str) -> Vec<(u64, Event)> {
    let facts = RunFacts {
        run_id: "20261122-010000-k3".into(),
        command,
        target: "https://gate.example.net/api".into(),
        started_at: "2026-11-22T01:00:00Z".into(),
        tool_version: "0.1.0",
    };
    let rejected =
        |ordinal, code, field| Event::RowRejected { place: place(ordinal), code, field, also: Vec::new() };
    let mut events = vec![
        (0, Event::RunStarted(facts)),
        (1, Event::InputOpened { name: file.into(), bytes: 20_000, format: "csv" }),
        (2, Event::Noticed { text: "column Notes is not used".into() }),
    ];
    for ordinal in 13..19 {
        events.push((5, rejected(ordinal, "number.no_country", Some(FieldKind::Number))));
    }
    for ordinal in 40..48 {
        events.push((6, rejected(ordinal, "imei.luhn", Some(FieldKind::Imei))));
    }
    let field = Some(FieldKind::Iccid);
    events.push((7, Event::RuleApplied { place: place(60), code: "iccid.short", warning: true, field }));
    events.push((8, Event::Progressed { rows: 300, bytes: 20_000, bytes_total: 20_000 }));
    events
}

fn planned() -> Event {
    let rows = PlanRows {
        read: 300,
        rejected: 14,
        duplicate: 9,
        conflict: 4,
        folded: 12,
        send: 261,
        ..PlanRows::default()
    };
    let mut field_changes = [0; crate::update::FIELD_COUNT];
    field_changes[FieldKind::Imei.index()] = 30;
    Event::PlanMade(Box::new(PlanFacts {
        batch: "3f2a77c0ffee3f2a".into(),
        key: Some(FieldKind::UserExternalId),
        rows,
        field_changes,
        subjects_new: 200,
        subjects_changed: 61,
        ..PlanFacts::default()
    }))
}

/// A run that synced 240 of 261 updates, failed 3 and stopped with the rest pending.
fn tell_sync(told: &mut Told, file: &str) {
    for (at_ms, event) in started("sync", file) {
        told.at(at_ms, event);
    }
    told.at(10, planned());
    told.at(2_000, Event::DeliveryStarted { updates: 261, is_proven: false });
    let ended = |status, outcome, is_retry| Event::AttemptEnded { status, outcome, latency_ms: 20, is_retry };
    told.at(2_500, Event::Paused { reason: "throttled", for_ms: Some(3_000) });
    told.at(5_500, Event::Resumed);
    for step in 0..20 {
        told.at(5_500 + step, ended(Some(429), "throttled", false));
    }
    told.at(6_000, ended(None, "timeout", true));
    for ordinal in 0..240 {
        told.at(6_500 + ordinal * 20, ended(Some(201), "acknowledged", ordinal % 8 == 0));
        told.at(6_501 + ordinal * 20, Event::UpdateSynced { place: place(100 + ordinal) });
    }
    for ordinal in 87..90 {
        told.at(11_500, ended(Some(422), "refused", false));
        let signature = "422 imsi already assigned to #".into();
        let (place, kind, status) = (place(ordinal), FailureKind::Refused, Some(422));
        told.at(11_500, Event::UpdateFailed { place, kind, status, signature });
    }
    told.at(12_000, Event::Committed { records: 243 });
}

fn end_early(told: &mut Told) {
    told.at(12_100, Event::RunEnded { exit_code: 8, stopped: Some("--max-duration 12 s is over".into()) });
}

fn row_files(dir: &Path) -> Vec<WrittenFile> {
    vec![
        WrittenFile { name: "rejected.csv", path: dir.join("rejected.csv"), rows: 14 },
        WrittenFile { name: "failed.csv", path: dir.join("failed.csv"), rows: 3 },
    ]
}

/// Whether a text could steer a terminal.
fn steers(text: &str) -> bool {
    text.chars().any(|character| character != '\n' && is_hostile(character))
}
