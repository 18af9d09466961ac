//! Prints what stopped the program: `error: …`, `  cause: …`, `  hint: …`; as one JSON object under `--json`.
//!
//! Not here: which error leads to which exit code and hint; every room's error says that itself.

use std::error::Error;

use serde::Serialize;

use crate::exit::Exit;
use crate::report::console::Console;
use crate::report::json::to_line;
use crate::report::style::clean;

/// Causes shown at most.
const CAUSES_MAX: usize = 6;

/// Lines of one message shown at most: a message may quote lines of a configuration file.
const MESSAGE_LINES_MAX: usize = 12;

/// What stopped the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The exit code.
    pub code: u8,
    /// What happened.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What the operator can do.
    pub hint: Option<String>,
}

impl Explanation {
    /// Of an error and its sources. A source whose text its error repeats is left out.
    pub fn of(error: &(dyn Error + 'static), exit: Exit, hint: Option<String>) -> Explanation {
        let message = error.to_string();
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source.filter(|_| causes.len() < CAUSES_MAX) {
            let text = cause.to_string();
            if !causes.last().unwrap_or(&message).contains(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        Explanation {
            kind: "exit_error",
            code: exit.code(),
            message,
            causes,
            hint: hint.filter(|hint| !hint.is_empty()),
        }
    }

    /// Prints it to standard error. Under `quiet` it takes three lines at most, one for each part.
    pub fn print(&self, console: &Console, json: bool, quiet: bool) {
        if json {
            console.block(&to_line(self));
            return;
        }
        let (causes, lines) = if quiet { (1, 1) } else { (CAUSES_MAX, MESSAGE_LINES_MAX) };
        let paint = console.paint();
        let mut text = format!("{} {}\n", paint.red("error:"), indented(&self.message, lines));
        for cause in self.causes.iter().take(causes) {
            text.push_str(&format!("  cause: {}\n", indented(cause, lines)));
        }
        if let Some(hint) = &self.hint {
            // Of a message the lines below the first show the place again; a hint goes on in them.
            let more = if hint.trim_end().lines().count() > lines { " …" } else { "" };
            text.push_str(&format!("  {} {}{more}\n", paint.bold("hint:"), indented(hint, lines)));
        }
        console.block(&text);
    }
}

/// A message of several lines keeps them (a configuration's carets must line up), each cleaned and set in.
fn indented(message: &str, lines: usize) -> String {
    let lines: Vec<String> = message.trim_end().lines().take(lines).map(clean_keeping_tabs).collect();
    lines.join("\n    ")
}

fn clean_keeping_tabs(line: &str) -> String {
    line.split('\t').map(clean).collect::<Vec<_>>().join("    ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::options::ReportOptions;
    use crate::report::out::tests::Shared;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open {0}")]
    struct Outer(&'static str, #[source] Middle);

    #[derive(Debug, thiserror::Error)]
    #[error("cannot open a\u{1b}[2J")]
    struct Middle(#[source] std::io::Error);

    fn explanation() -> Explanation {
        let error = Outer("a\u{1b}[2J", Middle(std::io::Error::other("no such\u{9b} file")));
        Explanation::of(&error, Exit::Input, Some("check the path".into()))
    }

    fn printed(json: bool) -> String {
        let shared = Shared::default();
        explanation().print(&Console::on(shared.out(), &ReportOptions::default()), json, false);
        shared.text()
    }

    #[test]
    fn an_error_its_cause_and_a_hint() {
        let expected =
            "error: cannot open a\\u{1b}[2J\n  cause: no such\\u{9b} file\n  hint: check the path\n";
        assert_eq!(printed(false), expected, "the middle error repeats the outer one and is left out");
    }

    #[test]
    fn one_json_object_under_json() {
        let text = printed(true);
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["type"], "exit_error");
        assert_eq!(value["code"], 6);
        assert_eq!(value["message"], "cannot open a\u{1b}[2J");
        assert_eq!(value["hint"], "check the path");
    }

    #[test]
    fn a_message_of_several_lines_keeps_them() {
        let error = std::io::Error::other("line 2\n2 | concurency = 8\n  | ^^^^^^^^^^");
        let shared = Shared::default();
        let console = Console::on(shared.out(), &ReportOptions::default());
        Explanation::of(&error, Exit::Config, None).print(&console, false, false);
        assert_eq!(shared.text(), "error: line 2\n    2 | concurency = 8\n      | ^^^^^^^^^^\n");
    }

    #[test]
    fn quiet_takes_a_line_for_each_part() {
        let error = std::io::Error::other("one\ntwo\nthree");
        let shared = Shared::default();
        let console = Console::on(shared.out(), &ReportOptions::default());
        Explanation::of(&error, Exit::Config, Some("a\nb".into())).print(&console, false, true);
        assert_eq!(shared.text(), "error: one\n  hint: a …\n");
    }
}
