//! Standard error as everybody shares it: lines for people, the bar, and the log, none of which clobbers another.
//!
//! Not here: what is said, and standard output (`json.rs`).

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::report::error::ReportError;
use crate::report::options::ReportOptions;
use crate::report::out::Out;
use crate::report::progress::BarSlot;
use crate::report::style::{Paint, clean_lines, is_hostile};

/// Standard error with its bar.
#[derive(Debug, Clone)]
pub struct Console {
    out: Out,
    bar: BarSlot,
    color: bool,
}

impl Console {
    /// The process's standard error.
    pub fn stderr(options: &ReportOptions) -> Console {
        Console::on(Out::stderr(), options)
    }

    /// Any other writer in its place, for tests.
    pub fn on(out: Out, options: &ReportOptions) -> Console {
        Console { out, bar: BarSlot::default(), color: options.has_color() }
    }

    /// Colors here.
    pub fn paint(&self) -> Paint {
        Paint::new(self.color)
    }

    pub(super) fn bar(&self) -> BarSlot {
        self.bar.clone()
    }

    /// Writes one line that was composed here; whatever others wrote in it was cleaned.
    pub fn line(&self, line: &str) {
        self.block(&format!("{line}\n"));
    }

    /// Writes lines that were composed here, each of them ended.
    pub fn block(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        // Colors are written only by `Paint`; without them nothing that steers a terminal may leave, whatever it is.
        let text = if self.color { lines.to_owned() } else { clean_lines(lines) };
        self.bar.suspend(|| self.out.write(&text));
    }

    /// The writer for logs.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter { console: self.clone() }
    }
}

/// Where tracing-subscriber writes: each record in one piece, past the bar.
#[derive(Debug, Clone)]
pub struct LogWriter {
    console: Console,
}

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let text = if self.console.color { keep_colors(&text) } else { clean_lines(&text) };
        self.console.bar.suspend(|| self.console.out.write(&text));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for LogWriter {
    type Writer = LogWriter;

    fn make_writer(&'w self) -> LogWriter {
        self.clone()
    }
}

/// Cleans all but line ends, tabs and the escape character: tracing-subscriber writes it for colors, and escapes it in
/// what it is given.
fn keep_colors(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hostile(character) && !matches!(character, '\n' | '\t' | '\u{1b}') {
            cleaned.extend(character.escape_default());
        } else {
            cleaned.push(character);
        }
    }
    cleaned
}

/// Sets up the log for the whole process: warnings by default, errors alone with `-q`, `-v` information, `-vv`
/// details, `-vvv` those of libraries too.
///
/// # Errors
/// When it was set up before.
pub fn init_logs(options: &ReportOptions, writer: LogWriter) -> Result<(), ReportError> {
    tracing::subscriber::set_global_default(subscriber(options, writer)).map_err(|_| ReportError::Logs)
}

fn subscriber(options: &ReportOptions, writer: LogWriter) -> impl tracing::Subscriber + Send + Sync {
    let (own, others) = match (options.quiet, options.verbose) {
        (true, _) => (LevelFilter::ERROR, LevelFilter::ERROR),
        (false, 0) => (LevelFilter::WARN, LevelFilter::ERROR),
        (false, 1) => (LevelFilter::INFO, LevelFilter::WARN),
        (false, 2) => (LevelFilter::DEBUG, LevelFilter::WARN),
        (false, _) => (LevelFilter::TRACE, LevelFilter::DEBUG),
    };
    let filter = Targets::new().with_target(env!("CARGO_CRATE_NAME"), own).with_default(others);
    let layer = tracing_subscriber::fmt::layer()
        // It would color a pipe by default: it looks at NO_COLOR, not at the terminal.
        .with_ansi(options.has_color())
        .with_target(options.verbose > 1)
        .with_writer(writer);
    tracing_subscriber::registry().with(filter).with(layer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::out::tests::Shared;

    fn logged(options: &ReportOptions) -> String {
        let shared = Shared::default();
        let console = Console::on(shared.out(), options);
        tracing::subscriber::with_default(subscriber(options, console.log_writer()), || {
            tracing::error!("an error");
            tracing::warn!(file = "a\u{1b}[31m\u{202e}b", "a warning\u{9b}2J");
            tracing::info!("some information");
            tracing::debug!("a detail");
            tracing::debug!(target: "hyper", "of a library");
        });
        shared.text()
    }

    #[test]
    fn a_pipe_gets_no_control_codes() {
        let text = logged(&ReportOptions::default());
        assert!(text.contains("a warning"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !is_hostile(c)), "{text:?}");
        assert_eq!(text.lines().count(), 2, "one record, one line: {text}");
    }

    #[test]
    fn a_colored_log_still_defuses_what_others_wrote() {
        let options = ReportOptions { color: super::super::ColorChoice::Always, ..ReportOptions::default() };
        let text = logged(&options);
        assert!(text.contains('\u{1b}'));
        assert!(!text.contains('\u{9b}') && !text.contains('\u{202e}'), "{text:?}");
        assert!(!text.contains("a\u{1b}[31m"), "{text:?}");
    }

    #[test]
    fn verbosity_sets_the_level() {
        let with = |quiet, verbose| logged(&ReportOptions { quiet, verbose, ..ReportOptions::default() });
        assert_eq!(with(true, 0).lines().count(), 1);
        assert!(!with(false, 0).contains("some information"));
        assert!(with(false, 1).contains("some information"));
        assert!(with(false, 2).contains("a detail"));
        assert!(!with(false, 2).contains("of a library"));
        assert!(with(false, 3).contains("of a library"));
    }
}
