//! What the front door tells the reporters: how loud, in which form, where to, and the commands to name.
//!
//! Not here: where these come from (`cli/`, `settings/`).

use std::fmt;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::choice::choice;

/// Milliseconds between two status lines off a terminal, unless set otherwise.
pub const STATUS_EVERY_MS: u64 = 60_000;

/// Looks up what a rule code says and what helps: `(says, remedy)`.
pub type RuleText = fn(&str) -> Option<(&'static str, &'static str)>;

choice! {
    /// Whether text for people has colors.
    #[derive(Default)]
    pub enum ColorChoice {
        /// On a terminal, unless `NO_COLOR` or `TERM=dumb` says otherwise.
        #[default]
        Auto = "auto",
        /// Always, even into a pipe.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

/// Commands the summary tells the operator to run next, as they can be pasted into a shell.
#[derive(Debug, Clone, Default)]
pub struct NextCommands {
    /// What resumes this run; for `plan`, what sends the planned. Empty: none is named.
    pub again: String,
    /// What resumes this run without the limits that stop one ([`crate::exit::Exit::Limit`]).
    pub unlimited: String,
    /// What resumes this run under another address, which is to be filled in for `URL` where the command names one.
    /// Empty: none is named.
    pub readdressed: String,
    /// What goes on with this run without the error budgets that stop one. Empty: none is named.
    pub unbudgeted: String,
    /// What finds out why the API accepts nothing. Empty: none is named.
    pub probe: String,
    /// The same without inputs, to which the path of a row file can be appended. Empty: none is named.
    pub without_inputs: String,
    /// The options alone, to stand behind `simsync replay RUN`; with a space in front unless empty.
    pub options: String,
}

/// How long so many updates take, where anybody can tell before they are sent.
#[derive(Clone, Default)]
pub struct SendingTime(Option<Arc<dyn Fn(u64) -> Option<Duration> + Send + Sync>>);

impl SendingTime {
    /// Worked out by this.
    pub fn new(of: impl Fn(u64) -> Option<Duration> + Send + Sync + 'static) -> SendingTime {
        SendingTime(Some(Arc::new(of)))
    }

    /// How long so many updates take from now on, retries aside.
    pub(super) fn of(&self, updates: u64) -> Option<Duration> {
        self.0.as_ref().and_then(|of| of(updates))
    }
}

impl fmt::Debug for SendingTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendingTime(..)")
    }
}

/// How reporters behave.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Nothing at all on success, at most [`super::QUIET_LINES_MAX`] lines on anything else.
    pub quiet: bool,
    /// JSON Lines on standard output instead of text for people.
    pub json: bool,
    /// How often `-v` was given.
    pub verbose: u8,
    /// Colors.
    pub color: ColorChoice,
    /// Whether standard error is a terminal.
    pub stderr_is_tty: bool,
    /// Whether `NO_COLOR` is set and not empty (no-color.org).
    pub no_color: bool,
    /// Whether `TERM=dumb`: a terminal that understands no control codes.
    pub term_is_dumb: bool,
    /// Milliseconds between two status lines off a terminal; 0 for none.
    pub status_every_ms: u64,
    /// Directory of this run, `<state>/runs/<run-id>`; `None` leaves no trace on disk.
    pub run_dir: Option<PathBuf>,
    /// Commands to name.
    pub commands: NextCommands,
    /// Attempts per second the limiter allows all day long; `None` without a limit, or where it depends on the time
    /// of day.
    pub rate_per_s: Option<f64>,
    /// How long sending takes.
    pub sending_time: SendingTime,
    /// What rule codes say.
    pub rule_text: RuleText,
    /// The wall clock, RFC 3339.
    pub wall: fn() -> String,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions {
            quiet: false,
            json: false,
            verbose: 0,
            color: ColorChoice::Auto,
            stderr_is_tty: false,
            no_color: false,
            term_is_dumb: false,
            status_every_ms: STATUS_EVERY_MS,
            run_dir: None,
            commands: NextCommands::default(),
            rate_per_s: None,
            sending_time: SendingTime::default(),
            rule_text: |_| None,
            wall: String::new,
        }
    }
}

impl ReportOptions {
    /// The defaults, with what this process finds around it: the terminal, `NO_COLOR`, `TERM`.
    pub fn of_process() -> ReportOptions {
        ReportOptions {
            stderr_is_tty: std::io::stderr().is_terminal(),
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
            term_is_dumb: std::env::var_os("TERM").is_some_and(|value| value == "dumb"),
            ..ReportOptions::default()
        }
    }

    /// Whether text for people on standard error has colors.
    pub fn has_color(&self) -> bool {
        match self.color {
            ColorChoice::Auto => self.stderr_is_tty && !self.no_color && !self.term_is_dumb,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        }
    }

    /// Whether a progress bar may be drawn.
    pub fn has_bar(&self) -> bool {
        self.stderr_is_tty && !self.term_is_dumb && !self.quiet
    }

    /// Whether text for people about the run is wanted at all.
    pub fn has_text(&self) -> bool {
        !self.quiet && !self.json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_need_a_terminal_that_wants_them() {
        let tty = ReportOptions { stderr_is_tty: true, ..ReportOptions::default() };
        assert!(tty.has_color());
        assert!(!ReportOptions { no_color: true, ..tty.clone() }.has_color());
        assert!(!ReportOptions { term_is_dumb: true, ..tty.clone() }.has_color());
        assert!(!ReportOptions { color: ColorChoice::Never, ..tty.clone() }.has_color());
        assert!(!ReportOptions::default().has_color());
        assert!(ReportOptions { color: ColorChoice::Always, ..ReportOptions::default() }.has_color());
    }

    #[test]
    fn a_bar_needs_a_terminal_that_can_move_its_cursor() {
        let tty = ReportOptions { stderr_is_tty: true, ..ReportOptions::default() };
        assert!(tty.has_bar());
        assert!(ReportOptions { no_color: true, ..tty.clone() }.has_bar());
        assert!(!ReportOptions { term_is_dumb: true, ..tty.clone() }.has_bar());
        assert!(!ReportOptions { quiet: true, ..tty }.has_bar());
        assert!(!ReportOptions::default().has_bar());
    }
}
