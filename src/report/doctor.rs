//! What the doctor found, check by check, as it finds it: a line for people, or a line of JSON.
//!
//! Not here: the checks (`cli/doctor/`). The answer is the command's data, so that it goes to standard output.

use serde::Serialize;

use crate::exit::Exit;
use crate::report::error::ReportError;
use crate::report::json::to_line;
use crate::report::out::Out;
use crate::report::style::{Paint, clean, plural};

/// Width of the column of names.
const NAME_WIDTH: usize = 10;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// All is well.
    Ok,
    /// A run can begin; something is to be known.
    Warning,
    /// A run would not begin, or not end well.
    Failed,
    /// Not looked at, because something before it failed or there is nothing to look at.
    Skipped,
}

impl CheckStatus {
    const fn word(self) -> &'static str {
        match self {
            CheckStatus::Ok => "ok",
            CheckStatus::Warning => "warning",
            CheckStatus::Failed => "FAILED",
            CheckStatus::Skipped => "skipped",
        }
    }
}

/// One check and what it found. No member holds a token or a value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRecord {
    /// What was looked at, in one word.
    pub check: &'static str,
    /// How it ended.
    pub status: CheckStatus,
    /// What was found.
    pub says: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The exit code that a run would end with because of it.
    pub exit_code: Option<u8>,
}

impl CheckRecord {
    /// Nothing to do about it.
    pub fn ok(check: &'static str, says: impl Into<String>) -> CheckRecord {
        CheckRecord { check, status: CheckStatus::Ok, says: says.into(), hint: None, exit_code: None }
    }

    /// Something to be known.
    pub fn warning(
        check: &'static str,
        says: impl Into<String>,
        hint: Option<impl Into<String>>,
    ) -> CheckRecord {
        let hint = hint.map(Into::into);
        CheckRecord { status: CheckStatus::Warning, hint, ..CheckRecord::ok(check, says) }
    }

    /// Something to be done.
    pub fn failed(
        check: &'static str,
        exit: Exit,
        says: impl Into<String>,
        hint: impl Into<String>,
    ) -> CheckRecord {
        let (hint, exit_code) = (Some(hint.into()), Some(exit.code()));
        CheckRecord { status: CheckStatus::Failed, hint, exit_code, ..CheckRecord::ok(check, says) }
    }

    /// Not looked at.
    pub fn skipped(check: &'static str, why: impl Into<String>) -> CheckRecord {
        CheckRecord { status: CheckStatus::Skipped, ..CheckRecord::ok(check, why) }
    }
}

/// A finding as `--json` has it.
#[derive(Serialize)]
struct CheckLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    record: &'a CheckRecord,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct EndLine {
    #[serde(rename = "type")]
    kind: &'static str,
    exit_code: u8,
    ok: u64,
    warnings: u64,
    failed: u64,
    skipped: u64,
}

/// How grave a failure is beside others: what passes by itself least, the state directory most.
fn gravity(exit: Exit) -> (bool, u8) {
    (!matches!(exit, Exit::Temporary | Exit::Locked), exit.code())
}

/// Tells what is found, and counts it.
#[derive(Debug)]
pub struct DoctorReport {
    out: Out,
    paint: Paint,
    is_json: bool,
    is_quiet: bool,
    counts: [u64; 4],
    worst: Option<Exit>,
}

impl DoctorReport {
    /// A report to `out`. Quiet, it tells warnings and failures alone.
    pub fn new(out: Out, paint: Paint, is_json: bool, is_quiet: bool) -> DoctorReport {
        DoctorReport { out, paint, is_json, is_quiet, counts: [0; 4], worst: None }
    }

    /// Tells a finding at once: the next one may take its time.
    pub fn tell(&mut self, record: &CheckRecord) {
        let index = match record.status {
            CheckStatus::Ok => 0,
            CheckStatus::Warning => 1,
            CheckStatus::Failed => 2,
            CheckStatus::Skipped => 3,
        };
        self.counts[index] += 1;
        if record.status == CheckStatus::Failed {
            let exit = Exit::ALL.into_iter().find(|exit| Some(exit.code()) == record.exit_code);
            let exit = exit.unwrap_or(Exit::Unexpected);
            let is_worse = |worst| gravity(exit) > gravity(worst);
            if self.worst.is_none_or(is_worse) {
                self.worst = Some(exit);
            }
        }
        if self.is_json {
            self.out.write(&to_line(&CheckLine { kind: "check", record }));
        } else if !self.is_quiet || matches!(record.status, CheckStatus::Warning | CheckStatus::Failed) {
            self.out.write(&self.line(record));
        }
    }

    /// Whether anything failed so far.
    pub fn has_failed(&self) -> bool {
        self.worst.is_some()
    }

    /// Tells the end: the exit code is that of the gravest failure; and what kept the findings from being written.
    pub fn finish(self) -> (Exit, Option<ReportError>) {
        let exit = self.worst.unwrap_or(Exit::Success);
        let [ok, warnings, failed, skipped] = self.counts;
        if self.is_json {
            let kind = "doctor_ended";
            let exit_code = exit.code();
            self.out.write(&to_line(&EndLine { kind, exit_code, ok, warnings, failed, skipped }));
        } else if !self.is_quiet {
            let checks = plural(ok + warnings + failed, "check");
            let text = match (failed, warnings) {
                (0, 0) => format!("{checks}, all well\n"),
                (0, _) => format!("{checks}, {}\n", plural(warnings, "warning")),
                (_, _) => format!("{checks}, {failed} failed, {}\n", plural(warnings, "warning")),
            };
            self.out.write(&text);
        }
        (exit, self.out.take_failure().map(|source| ReportError::Output { source }))
    }

    fn line(&self, record: &CheckRecord) -> String {
        let word = format!("{:<7}", record.status.word());
        let word = match record.status {
            CheckStatus::Ok => self.paint.green(&word),
            CheckStatus::Warning => self.paint.yellow(&word),
            CheckStatus::Failed => self.paint.red(&word),
            CheckStatus::Skipped => word,
        };
        let mut text = format!("{word}  {:<NAME_WIDTH$}  {}\n", record.check, clean(&record.says));
        if let Some(hint) = &record.hint {
            let indent = " ".repeat(7 + 2 + NAME_WIDTH + 2);
            text.push_str(&format!("{indent}{} {}\n", self.paint.bold("hint:"), clean(hint)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::out::tests::Shared;

    fn told(is_json: bool, is_quiet: bool) -> (String, Exit) {
        let shared = Shared::default();
        let mut report = DoctorReport::new(shared.out(), Paint::PLAIN, is_json, is_quiet);
        report.tell(&CheckRecord::ok("config", "valid"));
        report.tell(&CheckRecord::warning("disk", "little room", Some("free\u{1b}[31m some")));
        assert!(!report.has_failed());
        report.tell(&CheckRecord::failed("lock", Exit::Locked, "held", "wait"));
        report.tell(&CheckRecord::failed("journal", Exit::Journal, "damaged", "restore a copy"));
        report.tell(&CheckRecord::skipped("probe", "something before it failed"));
        assert!(report.has_failed());
        let (exit, problem) = report.finish();
        assert!(problem.is_none());
        (shared.text(), exit)
    }

    #[test]
    fn every_check_is_a_line_and_the_gravest_failure_decides() {
        let (text, exit) = told(false, false);
        assert_eq!(exit, Exit::Journal);
        let expected = "\
ok       config      valid
warning  disk        little room
                     hint: free\\u{1b}[31m some
FAILED   lock        held
                     hint: wait
FAILED   journal     damaged
                     hint: restore a copy
skipped  probe       something before it failed
4 checks, 2 failed, 1 warning
";
        assert_eq!(text, expected);
    }

    #[test]
    fn quiet_tells_what_is_wrong_alone() {
        let (text, _) = told(false, true);
        assert!(!text.contains("config") && !text.contains("skipped") && text.contains("lock"), "{text}");
        assert!(!text.contains("checks"), "{text}");
    }

    #[test]
    fn json_has_a_line_for_each_and_one_for_the_end() {
        let (text, _) = told(true, false);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[2]["type"], "check");
        assert_eq!((lines[2]["status"].as_str(), lines[2]["exit_code"].as_u64()), (Some("failed"), Some(11)));
        assert_eq!(lines[5]["type"], "doctor_ended");
        assert_eq!((lines[5]["exit_code"].as_u64(), lines[5]["failed"].as_u64()), (Some(13), Some(2)));
    }

    #[test]
    fn what_passes_by_itself_is_the_least() {
        let shared = Shared::default();
        let mut report = DoctorReport::new(shared.out(), Paint::PLAIN, false, true);
        for exit in [Exit::Temporary, Exit::Locked, Exit::Config, Exit::Journal, Exit::Stopped] {
            report.tell(&CheckRecord::failed("x", exit, "", ""));
        }
        assert_eq!(report.finish().0, Exit::Journal);
        assert!(
            gravity(Exit::Locked) < gravity(Exit::Stopped)
                && gravity(Exit::Temporary) < gravity(Exit::Locked)
        );
    }
}
