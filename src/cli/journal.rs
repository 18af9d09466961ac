//! `journal stats`, `verify` and `compact`, and the way to `forget` and `adopt`.
//!
//! Not here: the tools themselves (`journal/`), how their answers look (`report/tools.rs`).

mod forget;

use std::ffi::OsString;
use std::path::Path;

use super::common::{print, report_options};
use super::fatal::Fatal;
use super::{JournalCommand, adopt, parts};
use crate::engine;
use crate::engine::chance::Chance;
use crate::engine::clock;
use crate::exit::Exit;
use crate::journal::{
    DAMAGE_REMEDY, DiskUse, JournalError, LockHolder, TargetStats, Upkeep, Verified, disk_use, verify,
};
use crate::report::{
    BatchRecord, CompactReport, Console, DiskRecord, FindingRecord, Moment, Paint, StatsReport, TargetRecord,
    VerifyReport,
};
use crate::settings::{self, Flags, Settings, Surroundings};

/// Runs one of the commands. `args` are as typed, to be named in hints.
pub(super) fn journal(
    command: &JournalCommand,
    flags: &Flags,
    around: &Surroundings,
    args: &[OsString],
) -> Result<Exit, Fatal> {
    if let JournalCommand::Adopt(adopted) = command {
        return adopt::adopt(flags, around, &adopted.input.inputs, args);
    }
    let settings = settings::resolve(flags, around)?.settings;
    let state = parts::state_of(&settings);
    match command {
        JournalCommand::Stats(_) => stats(&settings, &state),
        JournalCommand::Verify(_) => verify_all(&settings, &state),
        JournalCommand::Compact(_) => compact(&settings, &state),
        JournalCommand::Forget(forgotten) => forget::forget(&settings, &state, forgotten),
        JournalCommand::Adopt(_) => Ok(Exit::Success),
    }
}

/// Who holds the lock while a tool has it.
pub(super) fn who() -> LockHolder {
    LockHolder {
        pid: std::process::id(),
        host: engine::host_name(),
        run_id: clock::run_id(Chance::from_entropy().next_u64()),
        since_s: clock::wall_s(),
    }
}

/// There is none where it was looked for.
pub(super) fn no_journal(state: &Path) -> Fatal {
    Fatal::new(
        Exit::Usage,
        format!("there is no journal in {}", state.display()),
        "name the state directory with --state DIR (that of rehearsals is its subdirectory `sandbox`)",
    )
}

fn moment(settings: &Settings, at_s: i64) -> Moment {
    let zone = settings.delivery.time_zone.as_deref();
    Moment { at: clock::rfc3339(at_s), local: clock::local(at_s, zone) }
}

fn paint(settings: &Settings) -> Paint {
    Console::stderr(&report_options(settings)).paint()
}

fn open(state: &Path) -> Result<Upkeep, Fatal> {
    Upkeep::open(state, &who())?.ok_or_else(|| no_journal(state))
}

fn stats(settings: &Settings, state: &Path) -> Result<Exit, Fatal> {
    let upkeep = open(state)?;
    let stats = upkeep.stats()?;
    upkeep.close()?;
    let report = StatsReport {
        state: state.display().to_string(),
        generation: stats.generation,
        entries: stats.entries,
        entries_elsewhere: stats.subjects_elsewhere,
        log_records: stats.records_folded,
        sequence: stats.sequence,
        runs: stats.runs,
        targets: stats.targets.into_iter().map(|target| target_record(settings, target)).collect(),
        disk: disk_record(disk_use(state)?),
    };
    print(&if settings.run.json { report.json() } else { report.text(paint(settings)) })?;
    Ok(Exit::Success)
}

fn target_record(settings: &Settings, stats: TargetStats) -> TargetRecord {
    let at = |at_s| moment(settings, at_s);
    let open_batches = stats.fact.open.iter();
    TargetRecord {
        key: stats.fact.key.map(crate::update::FieldKind::name),
        batches: stats.fact.newest_batch,
        open_batches: open_batches
            .map(|open| BatchRecord { batch: open.seq, rows: open.rows, begun: at(open.begun_s) })
            .collect(),
        target: stats.fact.target,
        subjects: stats.subjects,
        subjects_unknown: stats.unknown,
        subjects_in_doubt: stats.in_doubt,
        subjects_cleared: stats.cleared,
        subjects_failed: stats.failed,
        oldest_acknowledgement: stats.oldest_ack_s.map(at),
        newest_acknowledgement: stats.newest_ack_s.map(at),
    }
}

fn disk_record(disk: DiskUse) -> DiskRecord {
    let DiskUse { store_bytes, ledger_bytes, other_bytes } = disk;
    DiskRecord { store_bytes, ledger_bytes, other_bytes }
}

fn verify_all(settings: &Settings, state: &Path) -> Result<Exit, Fatal> {
    let verified = verify(state, &who()).map_err(unchecked)?.ok_or_else(|| no_journal(state))?;
    let sound = verified.is_sound();
    let report = verify_report(verified);
    print(&if settings.run.json { report.json() } else { report.text(paint(settings)) })?;
    if sound {
        return Ok(Exit::Success);
    }
    Err(Fatal::new(Exit::Journal, format!("the journal in {} is damaged", state.display()), DAMAGE_REMEDY))
}

/// Without room for the store's copy, or the permission to read, nothing is known of the journal.
fn unchecked(error: JournalError) -> Fatal {
    let (is_no_room, is_denied) = (error.is_no_room(), error.is_denied());
    let remedy = error.remedy();
    let fatal = Fatal::from(error);
    let message = |want: &str| {
        format!("the journal could not be checked for want of {want}: {}", fatal.explanation.message)
    };
    if is_denied {
        return Fatal::new(Exit::Unexpected, message("permission"), remedy);
    }
    if !is_no_room {
        return fatal;
    }
    Fatal::new(
        Exit::Unexpected,
        message("space"),
        "make room for a copy of the store in the state directory, or name another place with TMPDIR; nothing is \
         known to be wrong with the journal",
    )
}

fn verify_report(verified: Verified) -> VerifyReport {
    let sound = verified.is_sound();
    let findings = verified.findings.into_iter();
    VerifyReport {
        sound,
        log_values: verified.log_values,
        log_records: verified.log_records,
        named_values: verified.named_values,
        generation: verified.generation,
        pages: verified.pages,
        entries: verified.entries,
        findings: findings.map(|found| FindingRecord { what: found.what, lost: found.lost }).collect(),
        findings_total: verified.findings_total,
        read_only: verified.is_read_only,
        blank: verified.is_blank,
    }
}

fn compact(settings: &Settings, state: &Path) -> Result<Exit, Fatal> {
    let before = disk_use(state)?;
    open(state)?.rewrite()?;
    let after = disk_use(state)?;
    let report = CompactReport { before: disk_record(before), after: disk_record(after) };
    print(&if settings.run.json { report.json() } else { report.text() })?;
    Ok(Exit::Success)
}
