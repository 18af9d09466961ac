//! How numbers, durations, places and tables look to people. Pure text.
//!
//! Not here: where the text goes (`out.rs`, `console.rs`), and what it says (`summary.rs` and its neighbors).

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

pub use crate::count::{plural, thousands};

/// Colors, or none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Without any control code.
    pub const PLAIN: Paint = Paint { on: false };

    /// With colors if `on`.
    pub const fn new(on: bool) -> Paint {
        Paint { on }
    }

    /// Something wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Something to look at.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// Something good.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// A label.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A duration as a clock shows it: `00:12`, `1:02:33`, `2 d 03:04:05`.
pub fn clock(duration_ms: u64) -> String {
    let seconds = duration_ms / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    match (days, hours) {
        (0, 0) => format!("{minutes:02}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        (_, _) => format!("{days} d {hours:02}:{minutes:02}:{seconds:02}"),
    }
}

/// A duration in words, with its two largest units: `850 ms`, `3 s`, `2 min 5 s`, `1 h 2 min`, `3 d 4 h`.
pub fn span(duration_ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    if duration_ms < 1_000 {
        return format!("{duration_ms} ms");
    }
    let mut text = String::new();
    let mut rest = duration_ms;
    let mut shown = 0;
    for (unit_ms, name) in UNITS {
        let count = rest / unit_ms;
        rest %= unit_ms;
        if count > 0 {
            let gap = if shown == 0 { "" } else { " " };
            text.push_str(gap);
            text.push_str(&format!("{count} {name}"));
            shown += 1;
        } else if shown > 0 {
            break;
        }
        if shown == 2 {
            break;
        }
    }
    text
}

/// A rate given in thousandths per second: `24.1`, `1,204`, `0.05`.
pub fn rate(milli_per_s: u64) -> String {
    match milli_per_s {
        0..1_000 => format!("0.{:02}", milli_per_s / 10),
        1_000..100_000 => format!("{}.{}", milli_per_s / 1_000, milli_per_s % 1_000 / 100),
        _ => thousands(milli_per_s / 1_000),
    }
}

/// A share in percent, rounded down, so that 100 % means all: `4 %`; `<1 %` for a little, empty for nothing of nothing.
pub fn percent(part: u64, whole: u64) -> String {
    let Some(share) = (u128::from(part) * 100).checked_div(u128::from(whole)) else { return String::new() };
    if share == 0 && part > 0 { "<1 %".into() } else { format!("{share} %") }
}

/// Events per second, in thousandths, or 0 when no time has passed.
pub(super) fn milli_per_s(count: u64, duration_ms: u64) -> u64 {
    let rate = (u128::from(count) * 1_000_000).checked_div(u128::from(duration_ms)).unwrap_or(0);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// Replaces what could steer a terminal or turn text around: C0 and C1 control characters, DEL, bidirectional
/// controls, line separators, the byte order mark. For text that others wrote: file names, headers, server answers.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        push_clean(&mut cleaned, character);
    }
    Cow::Owned(cleaned)
}

/// Like [`clean`], keeping line feeds and tabs: for text of several lines that the program composed itself.
pub(super) fn clean_lines(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\n' | '\t') {
            cleaned.push(character);
        } else {
            push_clean(&mut cleaned, character);
        }
    }
    cleaned
}

fn push_clean(into: &mut String, character: char) {
    if is_hostile(character) {
        into.extend(character.escape_default());
    } else {
        into.push(character);
    }
}

/// Whether a character could steer a terminal or turn text around.
pub fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// A path as a POSIX shell reads it back, and no command as a flag.
pub fn shell_quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.starts_with('-') { shell_word(&format!("./{text}")) } else { shell_word(&text) }
}

/// A word as a POSIX shell reads it back: quoted only when it has to be.
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ':' | '=' | ',' | '@' | '%')
    };
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How a column of a table is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Sets rows of cells in columns two spaces apart, each line indented by `indent` spaces. Short rows end early; the
/// last cell of a line is not padded.
pub fn table(indent: usize, align: &[Align], rows: &[Vec<String>]) -> String {
    let mut widths = vec![0; align.len()];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (index, (cell, (width, align))) in row.iter().zip(widths.iter().zip(align)).enumerate() {
            let gap = if index == 0 { "" } else { "  " };
            // Writing to a string cannot fail.
            let written = match align {
                Align::Left => write!(line, "{gap}{cell:<width$}"),
                Align::Right => write!(line, "{gap}{cell:>width$}"),
            };
            debug_assert!(written.is_ok());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_nouns() {}

    #[test]
    fn durations_and_rates() {
        let clocks = [(0, "00:00"), (12_999, "00:12"), (3_753_000, "1:02:33"), (183_845_000, "2 d 03:04:05")];
        for (ms, text) in clocks {
            assert_eq!(clock(ms), text);
        }
        let spans = [
            (0, "0 ms"),
            (850, "850 ms"),
            (3_000, "3 s"),
            (125_000, "2 min 5 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (273_600_000, "3 d 4 h"),
        ];
        for (ms, text) in spans {
            assert_eq!(span(ms), text);
        }
        let rates = [(0, "0.00"), (50, "0.05"), (24_199, "24.1"), (1_204_567, "1,204")];
        for (milli, text) in rates {
            assert_eq!(rate(milli), text);
        }
        assert_eq!(milli_per_s(24, 1_000), 24_000);
        assert_eq!(milli_per_s(24, 0), 0);
        assert_eq!(percent(999, 1_000), "99 %");
        assert_eq!(percent(1, 1_000), "<1 %");
        assert_eq!(percent(0, 0), "");
    }

    #[test]
    fn hostile_text_is_defused() {
        assert_eq!(clean("crm-export.csv"), "crm-export.csv");
        assert_eq!(clean("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(clean("a\u{9b}2Jb\n"), "a\\u{9b}2Jb\\n");
        assert_eq!(clean("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
        assert_eq!(clean("Müller 山.csv"), "Müller 山.csv");
        assert_eq!(clean_lines("a\n\tb\r\n"), "a\n\tb\\r\n");
    }

    #[test]
    fn paths_can_be_pasted_into_a_shell() {
        for (path, quoted) in [
            ("runs/1/rejected.csv", "runs/1/rejected.csv"),
            ("my runs/a.csv", "'my runs/a.csv'"),
            ("it's.csv", r"'it'\''s.csv'"),
            ("-rf", "./-rf"),
            ("$(reboot)", "'$(reboot)'"),
        ] {
            assert_eq!(shell_quote(Path::new(path)), quoted);
        }
    }

    #[test]
    fn tables_line_up() {
        let rows = vec![vec!["6".into(), "number".into(), "x".into()], vec!["12".into(), "imei".into()]];
        assert_eq!(table(1, &[Align::Right, Align::Left, Align::Left], &rows), "  6  number  x\n 12  imei\n");
    }
}
