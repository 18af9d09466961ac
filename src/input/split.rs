//! Where CSV records end: a bounded scan for line ends and quotes.
//!
//! The csv crate bounds nothing: one unclosed quote makes it swallow the rest of a file into one field. So records
//! are cut here first, by the same rules for quotes (a quote opens only at the beginning of a field, is doubled
//! within, and is an ordinary character elsewhere; LF, CRLF and CR end a record), and only then parsed. Not here:
//! what is in a record.

use super::blocks::find;

/// What the scan needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) delimiter: u8,
    pub(super) record_bytes_max: usize,
    pub(super) record_lines_max: u64,
}

/// The next record, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// The record ends before `end`, the next one begins at `next`; `breaks` line ends are inside it.
    Record { end: usize, next: usize, breaks: u64 },
    /// The record goes on after the last byte.
    More,
    /// The record is one line longer than a record may be; nothing is known of its end.
    TooLong,
    /// The quote opened `breaks` lines after the record's beginning is not closed within the bounds.
    Unbalanced { breaks: u64 },
}

/// The next place of one byte, remembered so that no stretch is searched twice.
#[derive(Debug, Clone, Copy)]
struct Scout {
    needle: u8,
    /// No needle stands between the last place asked for and here.
    next: usize,
    /// Whether one stands here.
    found: bool,
}

impl Scout {
    fn new(needle: u8) -> Scout {
        Scout { needle, next: 0, found: false }
    }

    /// The first needle at or after `from`, or the length of `bytes`.
    fn find(&mut self, bytes: &[u8], from: usize) -> usize {
        if self.found && self.next >= from {
            return self.next;
        }
        let begin = self.next.max(from);
        match find(self.needle, &bytes[begin..]) {
            Some(distance) => {
                self.next = begin + distance;
                self.found = true;
            }
            None => {
                self.next = bytes.len();
                self.found = false;
            }
        }
        self.next
    }

    fn moved(&mut self, by: usize) {
        if self.next < by {
            self.found = false;
        }
        self.next = self.next.saturating_sub(by);
    }
}

/// Cuts a window into records.
#[derive(Debug)]
pub(super) struct Splitter {
    line_feed: Scout,
    carriage_return: Scout,
    quote: Scout,
}

impl Splitter {
    pub(super) fn new() -> Splitter {
        Splitter { line_feed: Scout::new(b'\n'), carriage_return: Scout::new(b'\r'), quote: Scout::new(b'"') }
    }

    /// Places in the window moved down.
    pub(super) fn moved(&mut self, by: usize) {
        self.line_feed.moved(by);
        self.carriage_return.moved(by);
        self.quote.moved(by);
    }

    /// Finds the end of the record that begins at `from`. `at_end`: nothing comes after `bytes`.
    pub(super) fn split(&mut self, bytes: &[u8], from: usize, at_end: bool, rules: Rules) -> Split {
        let line_end = self.line_end(bytes, from);
        let split = if self.quote.find(bytes, from) < line_end {
            scan_quoted(bytes, from, at_end, rules)
        } else {
            end_record(bytes, line_end, at_end, 0)
        };
        let end = match split {
            Split::Record { end, .. } => end,
            Split::More => bytes.len(),
            Split::TooLong | Split::Unbalanced { .. } => return split,
        };
        if end - from > rules.record_bytes_max { Split::TooLong } else { split }
    }

    /// The first line end at or after `from`, or the length of `bytes`.
    pub(super) fn line_end(&mut self, bytes: &[u8], from: usize) -> usize {
        self.line_feed.find(bytes, from).min(self.carriage_return.find(bytes, from))
    }
}

/// The record ends at the line end at `end`, or at the end of the file.
pub(super) fn end_record(bytes: &[u8], end: usize, at_end: bool, breaks: u64) -> Split {
    match (bytes.get(end), bytes.get(end + 1)) {
        (None, _) if !at_end => Split::More,
        (None, _) => Split::Record { end, next: end, breaks },
        // Whether this is CR or CRLF is for the next block to say.
        (Some(b'\r'), None) if !at_end => Split::More,
        (Some(b'\r'), Some(b'\n')) => Split::Record { end, next: end + 2, breaks },
        (Some(_), _) => Split::Record { end, next: end + 1, breaks },
    }
}

/// Where in a field the scan is; the states are those of the csv crate.
#[derive(Clone, Copy)]
enum State {
    FieldStart,
    Unquoted,
    Quoted,
    /// After a quote within a quoted field: it was the closing one, or the first of two.
    QuoteInQuoted,
}

fn scan_quoted(bytes: &[u8], from: usize, at_end: bool, rules: Rules) -> Split {
    let mut state = State::FieldStart;
    let (mut breaks, mut opened_at) = (0, 0);
    let mut at = from;
    // One byte too many is as far as anybody has to look.
    let stop = bytes.len().min(from.saturating_add(rules.record_bytes_max).saturating_add(1));
    while let Some(byte) = bytes.get(at).copied() {
        if at - from > rules.record_bytes_max {
            // A record of one line is only long; one of several has most likely lost a quote.
            let quoted = breaks > 0 || matches!(state, State::Quoted);
            return if quoted { Split::Unbalanced { breaks: opened_at } } else { Split::TooLong };
        }
        state = match (state, byte) {
            (State::FieldStart, b'"') => {
                opened_at = breaks;
                State::Quoted
            }
            (State::Quoted, b'"') => State::QuoteInQuoted,
            (State::Quoted, b'\n' | b'\r') => {
                // The CR of a CRLF is counted with its LF; a last CR is counted when the next block is there.
                breaks += u64::from(byte == b'\n' || bytes.get(at + 1) != Some(&b'\n'));
                if breaks >= rules.record_lines_max {
                    return Split::Unbalanced { breaks: opened_at };
                }
                State::Quoted
            }
            (State::Quoted, _) | (State::QuoteInQuoted, b'"') => State::Quoted,
            (_, b'\n' | b'\r') => return end_record(bytes, at, at_end, breaks),
            (_, byte) if byte == rules.delimiter => State::FieldStart,
            (_, _) => State::Unquoted,
        };
        at += 1;
        at += unchanging(state, bytes.get(at..stop).unwrap_or_default(), rules.delimiter);
    }
    match state {
        State::Quoted if at_end => Split::Unbalanced { breaks: opened_at },
        State::FieldStart | State::Unquoted | State::Quoted | State::QuoteInQuoted => {
            end_record(bytes, at, at_end, breaks)
        }
    }
}

/// How many bytes come before the next one that may mean something in this state.
fn unchanging(state: State, bytes: &[u8], delimiter: u8) -> usize {
    let meaningful = match state {
        State::Unquoted => bytes.iter().position(|byte| [delimiter, b'\n', b'\r'].contains(byte)),
        State::Quoted => bytes.iter().position(|byte| b"\"\n\r".contains(byte)),
        State::FieldStart | State::QuoteInQuoted => Some(0),
    };
    meaningful.unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { delimiter: b',', record_bytes_max: 20, record_lines_max: 4 };

    fn split(text: &str, at_end: bool) -> Split {
        Splitter::new().split(text.as_bytes(), 0, at_end, RULES)
    }

    #[test]
    fn records_end_where_the_quotes_say() {
        let record = |end, next, breaks| Split::Record { end, next, breaks };
        for (text, expected) in [
            ("a,b\nc", record(3, 4, 0)),
            ("a,b\r\nc", record(3, 5, 0)),
            ("a,b\rc", record(3, 4, 0)),
            ("a,b", record(3, 3, 0)),
            ("\"a\nb\",c\nd", record(7, 8, 1)),
            ("\"a\r\nb\",c\nd", record(8, 9, 1)),
            ("\"a\rb\",c\nd", record(7, 8, 1)),
            ("\"a\"\"\nb\"\nd", record(7, 8, 1)),
            ("a\"b\nc\"", record(3, 4, 0)),
            ("a, \"b\nc\"", record(5, 6, 0)),
            ("\"a\"b\"\nc", record(5, 6, 0)),
            ("a,\"b", Split::Unbalanced { breaks: 0 }),
            ("\"a\nb\",\"c\nd", Split::Unbalanced { breaks: 1 }),
            ("\"\n\n\n\n\"", Split::Unbalanced { breaks: 0 }),
            ("\"123456789012345678901234567890\"", Split::Unbalanced { breaks: 0 }),
            ("\"a\",3456789012345678901234567890", Split::TooLong),
            ("123456789012345678901\nx", Split::TooLong),
            ("12345678901234567890\nx", record(20, 21, 0)),
        ] {
            assert_eq!(split(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn a_record_that_may_go_on_waits_for_more() {
        for text in ["a,b", "a,b\r", "\"a", "\"a\"", "\"a\n", ""] {
            assert_eq!(split(text, false), Split::More, "{text:?}");
        }
        assert_eq!(split("a long line without its end", false), Split::TooLong);
    }

    #[test]
    fn scouts_survive_a_move() {
        let mut splitter = Splitter::new();
        let first = b"ab\ncd\nef";
        assert_eq!(splitter.split(first, 0, false, RULES), Split::Record { end: 2, next: 3, breaks: 0 });
        assert_eq!(splitter.split(first, 3, false, RULES), Split::Record { end: 5, next: 6, breaks: 0 });
        assert_eq!(splitter.split(first, 6, false, RULES), Split::More);
        splitter.moved(6);
        assert_eq!(splitter.split(b"efg\nh", 0, false, RULES), Split::Record { end: 3, next: 4, breaks: 0 });
    }
}
