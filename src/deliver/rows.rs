//! The row files: at the end of a run the inputs are read once more, and every row that was rejected, failed, kept back
//! or left in doubt is written out, to be corrected and fed back as it is.
//!
//! Wiring. Rendered at the end, because then a kill can neither lose nor tear them: the next run lists again what
//! is still open. Not here: how the files look (`report/rows.rs`).

use std::borrow::Cow;

use super::clears::{self, Cleared};
use super::fates::{Fate, FatesByRow, What};
use super::superseded::{Newer, Overtaken, Superseded};
use super::swaps::Swaps;
use super::{Delivered, Stopped};
use crate::engine::signals::Signals;
use crate::event::Breach;
use crate::fields::RuleId;
use crate::input::{Inputs, Pass, Row, RowError, SourceError};
use crate::plan::{Beside, BesideError, Plan, Ruling};
use crate::report::{ReportError, RowFileKind, RowFiles, RowLine, WrittenFile};
use crate::row::{Place, Version};
use crate::spill::{Space, SpillError};
use crate::survey::{Judge, Judged};
use crate::update::{FieldKind, FieldSet};

/// The rule for passwords in the clear.
const PLAINTEXT: &str = "password.plaintext";

/// Rows between two looks for a signal.
const SIGNAL_ROWS: u64 = 256;

/// What the row files are written from.
pub struct WriteRows<'a> {
    /// The inputs, surveyed.
    pub inputs: &'a mut Inputs,
    /// Who judges rows.
    pub judge: Judge<'a>,
    /// What the survey ruled.
    pub plan: &'a Plan,
    /// What delivery left behind.
    pub delivered: &'a mut Delivered,
    /// Where fates are kept, if there was no delivery.
    pub space: &'a Space,
    /// Id of this run, for rows that have no earlier one.
    pub run_id: &'a str,
    /// The files.
    pub files: RowFiles,
    /// The signals of this process: one more than there were ends the writing.
    pub signals: &'a Signals,
    /// What overtook superseded rows.
    pub newer: Newer<'a>,
    /// Places of the rows of the plan's listed swaps, swap by swap.
    pub swap_places: &'a [Vec<Place>],
}

/// What was written, and found on the way.
#[derive(Debug, Default)]
pub struct RowsWritten {
    /// The files that have rows.
    pub files: Vec<WrittenFile>,
}

/// Why the row files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The inputs cannot be read again.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The files cannot be written.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// What the plan says of a row cannot be read back.
    #[error(transparent)]
    Plan(#[from] BesideError),
    /// The fates of updates could not be kept, or cannot be read back.
    #[error("what became of updates cannot be kept: {0}")]
    Fates(#[from] SpillError),
    /// The operator asked to stop.
    #[error("the row files were not written: {0}")]
    Stopped(Stopped),
}

/// Why a row stands in a file.
pub(super) struct Why {
    pub(super) kind: RowFileKind,
    pub(super) reason: String,
    pub(super) signature: String,
    pub(super) detail: String,
}

/// Writes the row files.
///
/// # Errors
/// When the inputs cannot be read again or the files cannot be written.
pub fn write_rows(write: WriteRows<'_>) -> Result<RowsWritten, RowsError> {
    let WriteRows { inputs, mut judge, plan, delivered, space, run_id, files, signals, newer, .. } = write;
    let swap_places = write.swap_places;
    // Where no row is to be listed nothing is written, and nothing read for it.
    if !is_any_to_be_listed(plan, delivered) {
        return Ok(RowsWritten::default());
    }
    let signals_before = signals.count();
    let names: Vec<String> = inputs.files().iter().map(|file| file.name.clone()).collect();
    let mut writing = Writing {
        names: names.clone(),
        passwords: inputs.columns_of(FieldKind::Password),
        plan,
        run_id,
        files,
    };
    let (batch, key) = (newer.batch, judge.key_field());
    let key_alone: FieldSet = key.into_iter().collect();
    let superseded = Superseded::find(newer, plan, inputs, &mut judge)?;
    let fates = FatesByRow::find(&mut delivered.fates, space, plan, inputs, &mut judge)?;
    let swaps = Swaps { places: swap_places, swaps: plan.swaps(), names };
    let cleared = std::mem::take(&mut delivered.cleared);
    let mut reasons = Reasons { plan, fates, superseded, swaps, cleared };
    let mut reader = inputs.read(Pass::Again);
    while let Some(row) = reader.next_row()? {
        let place = row.as_ref().map_or_else(|error| error.place, Row::place);
        if place.ordinal.is_multiple_of(SIGNAL_ROWS)
            && let Some(stop) = signals.seen().filter(|_| signals.count() > signals_before)
        {
            return Err(RowsError::Stopped(Stopped::Signal(stop)));
        }
        let ruling = plan.ruling(place.ordinal);
        // Most rows need not be judged once more, where those before them do not decide how.
        let judged = match to_judge(ruling) {
            ToJudge::Never if judge.is_settled() => continue,
            ToJudge::IfListed if judge.is_settled() => Judged::Filtered,
            ToJudge::Never | ToJudge::IfListed | ToJudge::First => judge.read(&row).1,
        };
        let Beside { left_out, unknown, swap, linked, .. } = plan.beside(place.ordinal)?;
        let overtaken = match judged {
            Judged::Valid { subject, version, .. } if ruling == Ruling::Superseded => {
                let ordinal = plan.version_ordinal(place.ordinal)?;
                let present = judge.facts.iter().map(|(kind, _)| *kind).filter(|kind| Some(*kind) != key);
                let version = version.unwrap_or(Version { batch, ordinal });
                Some(Overtaken { subject, version, present: present.collect(), left_out })
            }
            Judged::Valid { .. } | Judged::Rejected { .. } | Judged::Filtered => None,
        };
        let kept_by = KeptBy { swap, unknown: unknown.minus(key_alone), behind: linked.waits_for };
        let Some(why) = reasons.why(&row, judged, (place, kept_by), overtaken)? else { continue };
        writing.write(&row, judged, place, why, &judge)?;
    }
    drop(reader);
    Ok(RowsWritten { files: writing.files.finish()? })
}

/// Whether any row stands in a file.
fn is_any_to_be_listed(plan: &Plan, delivered: &Delivered) -> bool {
    let facts = plan.facts();
    let rows = facts.rows;
    let by_plan = rows.rejected + rows.conflict + rows.held + rows.superseded + rows.refused_before;
    let has_fates = delivered.fates.as_ref().is_some_and(|fates| !fates.is_empty());
    by_plan > 0 || has_fates || !delivered.cleared.is_empty()
}

/// Whether what a row is listed with depends on how it is judged.
enum ToJudge {
    /// It is listed in no file.
    Never,
    /// Why it is listed is told by its judgment.
    First,
    /// What became of its update tells.
    IfListed,
}

fn to_judge(ruling: Ruling) -> ToJudge {
    match ruling {
        Ruling::Filtered | Ruling::Elsewhere | Ruling::Duplicate | Ruling::Unchanged | Ruling::Confirmed => {
            ToJudge::Never
        }
        Ruling::Rejected | Ruling::Superseded => ToJudge::First,
        Ruling::Conflict
        | Ruling::Held
        | Ruling::RefusedBefore
        | Ruling::FoldedRefused
        | Ruling::Send
        | Ruling::SendLate
        | Ruling::Folded
        | Ruling::FoldedLate => ToJudge::IfListed,
    }
}

/// The row files while they are written.
struct Writing<'a> {
    names: Vec<String>,
    /// Columns of passwords, by input.
    passwords: Vec<Vec<usize>>,
    plan: &'a Plan,
    run_id: &'a str,
    files: RowFiles,
}

impl Writing<'_> {
    fn write(
        &mut self,
        row: &Result<Row<'_>, RowError>,
        judged: Judged,
        place: Place,
        mut why: Why,
        judge: &Judge<'_>,
    ) -> Result<(), RowsError> {
        let mut is_plaintext = false;
        if why.kind == RowFileKind::Rejected {
            let also = judge.also(judged);
            add_also(&mut why.detail, &also);
            is_plaintext = std::iter::once(why.reason.as_str())
                .chain(also.iter().map(|breach| breach.code))
                .any(|code| code == PLAINTEXT);
        }
        let mut cells = Vec::new();
        // Fed back, the row has to keep its place among its subject's rows, which a column may have given it.
        let (mut run, mut number) = (self.run_id.to_owned(), self.plan.version_ordinal(place.ordinal)?);
        let mut raw = match row {
            Ok(row) => {
                row.originals(&mut cells);
                if let Some(origin) = row.origin() {
                    (run, number) = (origin.run, origin.row);
                }
                row.carried_raw().map(str::as_bytes)
            }
            Err(error) => Some(error.raw.as_slice()),
        };
        let file_index = usize::try_from(place.file).unwrap_or(usize::MAX);
        if let Ok(row) = row
            && let Some(password) = row.cell(FieldKind::Password).filter(|_| is_plaintext)
        {
            let columns = self.passwords.get(file_index).map_or(&[][..], Vec::as_slice);
            remove_password(password, columns, &mut cells);
            raw = raw.filter(|raw| !String::from_utf8_lossy(raw).contains(password));
            why.detail.push_str("; the password was removed: left empty, it is not sent");
        }
        let written = self.files.write(
            why.kind,
            &RowLine {
                cells: &cells,
                run: &run,
                row: number,
                file: self.names.get(file_index).map_or("", String::as_str),
                line: place.line,
                reason: &why.reason,
                signature: &why.signature,
                detail: &why.detail,
                raw,
            },
        );
        Ok(written?)
    }
}

/// Empties what holds a password in the clear, which no file of a run keeps (reference/field-rules.md 1.7). Of a JSON
/// value only the password goes, if it stands there as it would be written.
fn remove_password(password: &str, columns: &[usize], cells: &mut [Option<Cow<'_, str>>]) {
    for column in columns {
        let Some(cell) = cells.get_mut(*column).and_then(Option::as_mut) else { continue };
        let quoted = serde_json::Value::from(password).to_string();
        let is_within = cell.as_ref() != password && cell.contains(&quoted);
        *cell = Cow::Owned(if is_within { cell.replace(&quoted, "\"\"") } else { String::new() });
    }
}

/// What the plan says of a row that it keeps back.
#[derive(Debug, Clone, Copy)]
struct KeptBy {
    /// The swap that it is part of, counted from 1; 0 for none.
    swap: u32,
    /// Fields of its subject that are unknown.
    unknown: FieldSet,
    /// The row that it waits for, which is held; 0 for none.
    behind: u64,
}

struct Reasons<'a> {
    plan: &'a Plan,
    fates: FatesByRow,
    superseded: Superseded<'a>,
    swaps: Swaps<'a>,
    cleared: Cleared,
}

impl Reasons<'_> {
    fn why(
        &mut self,
        row: &Result<Row<'_>, RowError>,
        judged: Judged,
        (place, kept_by): (Place, KeptBy),
        overtaken: Option<Overtaken>,
    ) -> Result<Option<Why>, SpillError> {
        let ordinal = place.ordinal;
        let still = self.plan.cleared_still();
        let still = still.binary_search_by_key(&ordinal, |(of, _)| *of).ok().map(|at| still[at].1);
        let why = match self.plan.ruling(ordinal) {
            Ruling::Rejected => Some(rejected(row, judged)),
            Ruling::Conflict if kept_by.swap > 0 => Some(self.swaps.why(place, kept_by.swap)),
            Ruling::Conflict => Some(self.conflict(ordinal)),
            Ruling::Held => Some(held(&kept_by)),
            // A folded row shares the fate of the first update at or behind it.
            Ruling::RefusedBefore
            | Ruling::FoldedRefused
            | Ruling::Send
            | Ruling::SendLate
            | Ruling::Folded
            | Ruling::FoldedLate => {
                let fate = self.fates.of(ordinal)?.map(told);
                match self.cleared.get(&ordinal) {
                    Some((_, cleared)) => Some(clears::why(*cleared, fate)),
                    None => fate,
                }
            }
            Ruling::Superseded => overtaken.map(|overtaken| {
                let (reason, detail) = self.superseded.why(&overtaken);
                Why { kind: RowFileKind::Superseded, reason, signature: String::new(), detail }
            }),
            Ruling::Filtered
            | Ruling::Elsewhere
            | Ruling::Duplicate
            | Ruling::Unchanged
            | Ruling::Confirmed => None,
        };
        Ok(match (why, still) {
            (Some(why), Some(cleared)) => Some(clears::why(cleared, Some(why))),
            (why, _) => why,
        })
    }

    /// Names the field and the other claimants, where the plan lists them.
    fn conflict(&self, ordinal: u64) -> Why {
        let group = self.plan.conflicts().iter().find(|group| group.ordinals.contains(&ordinal));
        let (reason, detail) = match group {
            Some(group) => {
                let others = group.ordinals.iter().filter(|other| **other != ordinal);
                let others: Vec<String> = others.map(u64::to_string).collect();
                (
                    format!("conflict.{}", group.field),
                    format!("{} is claimed by row {} too", group.field, others.join(", ")),
                )
            }
            None => (
                "conflict".into(),
                "another subject of this batch claims the same number, imsi or iccid".into(),
            ),
        };
        Why { kind: RowFileKind::Conflict, reason, signature: String::new(), detail }
    }
}

/// What is said of an update that needs a person.
fn told(fate: Fate) -> Why {
    let Fate { what, signature } = fate;
    let (kind, reason, detail) = match what {
        What::Failed { kind, maybe_applied } => {
            let detail = if maybe_applied { "it may have been applied" } else { "" };
            (RowFileKind::Failed, kind.name(), detail)
        }
        What::InDoubt => (
            RowFileKind::InDoubt,
            "in-doubt",
            "the run ended while its request was on the wire; it may or may not have been applied",
        ),
        What::RefusedBefore { kind } => {
            (RowFileKind::Failed, kind.name(), "refused earlier in this batch; --retry-failed sends it again")
        }
    };
    Why { kind, reason: reason.into(), signature, detail: detail.into() }
}

/// Adds the further reasons for which a row was rejected, so that one correction serves for all.
fn add_also(detail: &mut String, also: &[Breach]) {
    for breach in also {
        let field = breach.field.map_or(String::new(), |field| format!("{field}: "));
        let says = RuleId::of(breach.code).map_or("", |id| id.rule().says);
        detail.push_str(&format!("; {field}{says} ({})", breach.code));
    }
}

/// Why a row waits.
fn held(kept_by: &KeptBy) -> Why {
    let names: Vec<&str> = kept_by.unknown.iter().map(FieldKind::name).collect();
    let why = match kept_by.behind {
        0 => format!(
            "an update of this subject had no definite answer, and {} may have been set by it",
            names.join(", ")
        ),
        row => format!("it takes what row {row} of this input gives up, which is held"),
    };
    Why {
        kind: RowFileKind::InDoubt,
        reason: "held".into(),
        signature: String::new(),
        detail: format!("in_doubt = \"hold\": {why}"),
    }
}

fn rejected(row: &Result<Row<'_>, RowError>, judged: Judged) -> Why {
    let (code, field) = match judged {
        Judged::Rejected { code, field } => (code, field),
        Judged::Valid { .. } | Judged::Filtered => ("duplicate.rejected", None),
    };
    let mut detail = field.map_or(String::new(), |field| format!("{field}: "));
    match row {
        Err(error) if !error.detail.is_empty() => detail.push_str(&error.detail),
        Ok(_) | Err(_) => {
            if let Some(id) = RuleId::of(code) {
                detail.push_str(id.rule().says);
            }
        }
    }
    Why { kind: RowFileKind::Rejected, reason: code.into(), signature: String::new(), detail }
}
