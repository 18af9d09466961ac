//! Where CSV records end: a bounded search for line ends and quotes.
//!
//! The csv crate bounds nothing: one unclosed quote makes it swallow the rest of a file into one field. So records
//! are cut here first, by the same rules for quotes (a quote opens only at the beginning of a field, is doubled
//! within, and is an ordinary character elsewhere; LF, CRLF and CR end a record), and only then parsed. Not here:
//! whether the quotes can be trusted (`quotes.rs`), what is in a record.

use memchr::{memchr, memchr_iter, memchr2_iter, memchr3};

/// What the scan needs to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) delimiter: u8,
    pub(super) record_bytes_max: usize,
    pub(super) record_lines_max: u64,
}

/// What quotes a record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    /// None at all.
    None,
    /// Only such as open a field at its beginning and close it at its end, or are doubled; and `="…"`, as spreadsheets
    /// write a text of digits.
    Sound,
    /// One at least stands where no quote belongs.
    Stray,
}

/// The next record, or why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// The record ends before `end`, the next one begins at `next`; `breaks` line ends are inside it.
    Record { end: usize, next: usize, breaks: u64, quotes: Quotes },
    /// The record goes on after the last byte.
    More,
    /// The record is one line longer than a record may be; nothing is known of its end.
    TooLong,
    /// The quote opened `breaks` lines after the record's beginning is not closed within the bounds.
    Unbalanced { breaks: u64 },
}

/// The next place of one kind of bytes, remembered so that no stretch is searched twice.
#[derive(Debug, Clone, Copy)]
struct Scout {
    /// Finds the first of them.
    search: fn(&[u8]) -> Option<usize>,
    /// None of them stands from here to `next`.
    from: usize,
    next: usize,
    /// Whether one stands at `next`.
    found: bool,
}

impl Scout {
    fn new(search: fn(&[u8]) -> Option<usize>) -> Scout {
        Scout { search, from: 0, next: 0, found: false }
    }

    /// The first of them at or after `from`, or the length of `bytes`.
    #[inline]
    fn find(&mut self, bytes: &[u8], from: usize) -> usize {
        let is_known = from >= self.from && from <= self.next;
        if is_known && (self.found || self.next == bytes.len()) {
            return self.next;
        }
        let begin = if is_known { self.next } else { from };
        if !is_known {
            self.from = from;
        }
        match (self.search)(&bytes[begin..]) {
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
        self.from = self.from.saturating_sub(by);
        self.next = self.next.saturating_sub(by);
    }
}

/// Cuts a window into records.
#[derive(Debug)]
pub(super) struct Splitter {
    line_feed: Scout,
    carriage_return: Scout,
    quote: Scout,
    backslash: Scout,
    nul: Scout,
    not_ascii: Scout,
}

impl Splitter {
    pub(super) fn new() -> Splitter {
        Splitter {
            line_feed: Scout::new(|bytes| memchr(b'\n', bytes)),
            carriage_return: Scout::new(|bytes| memchr(b'\r', bytes)),
            quote: Scout::new(|bytes| memchr(b'"', bytes)),
            backslash: Scout::new(|bytes| memchr(b'\\', bytes)),
            nul: Scout::new(|bytes| memchr(0, bytes)),
            not_ascii: Scout::new(find_not_ascii),
        }
    }

    /// Places in the window moved down.
    pub(super) fn moved(&mut self, by: usize) {
        self.line_feed.moved(by);
        self.carriage_return.moved(by);
        self.quote.moved(by);
        self.backslash.moved(by);
        self.nul.moved(by);
        self.not_ascii.moved(by);
    }

    /// Finds the end of the record that begins at `from`. `at_end`: nothing comes after `bytes`.
    pub(super) fn split(&mut self, bytes: &[u8], from: usize, at_end: bool, rules: Rules) -> Split {
        let line_end = self.line_end(bytes, from);
        let split = if self.quote(bytes, from) < line_end {
            self.split_quoted(bytes, from, at_end, rules)
        } else {
            end_record(bytes, line_end, at_end, 0, Quotes::None)
        };
        let end = match split {
            Split::Record { end, .. } => end,
            Split::More => bytes.len(),
            Split::TooLong | Split::Unbalanced { .. } => return split,
        };
        match split {
            _ if end - from <= rules.record_bytes_max => split,
            // A record of one line is only long; one of several has most likely lost a quote.
            Split::Record { breaks, .. } if breaks > 0 => Split::Unbalanced { breaks: 0 },
            Split::Record { .. } | Split::More | Split::TooLong | Split::Unbalanced { .. } => Split::TooLong,
        }
    }

    /// The first line end at or after `from`, or the length of `bytes`.
    pub(super) fn line_end(&mut self, bytes: &[u8], from: usize) -> usize {
        self.line_feed.find(bytes, from).min(self.carriage_return.find(bytes, from))
    }

    /// The first quote at or after `from`, or the length of `bytes`.
    pub(super) fn quote(&mut self, bytes: &[u8], from: usize) -> usize {
        self.quote.find(bytes, from)
    }

    /// Whether there is a backslash between two places.
    pub(super) fn has_backslash(&mut self, bytes: &[u8], from: usize, to: usize) -> bool {
        self.backslash.find(bytes, from) < to
    }

    /// Whether there is a NUL character between two places.
    pub(super) fn has_nul(&mut self, bytes: &[u8], from: usize, to: usize) -> bool {
        self.nul.find(bytes, from) < to
    }

    /// Whether there is nothing but ASCII between two places.
    pub(super) fn is_ascii(&mut self, bytes: &[u8], from: usize, to: usize) -> bool {
        self.not_ascii.find(bytes, from) >= to
    }

    /// A record with a quote: from quote to quote, and from there to the end of its field.
    fn split_quoted(&mut self, bytes: &[u8], from: usize, at_end: bool, rules: Rules) -> Split {
        let (mut at, mut breaks, mut quotes) = (from, 0, Quotes::Sound);
        loop {
            let line_end = self.line_end(bytes, at);
            let quote = self.quote(bytes, at);
            if quote >= line_end {
                return end_record(bytes, line_end, at_end, breaks, quotes);
            }
            // What comes before is outside of quotes, so a delimiter there is one.
            if quote > at && bytes[quote - 1] != rules.delimiter {
                if !is_formula(bytes, at, quote, rules.delimiter) {
                    quotes = Quotes::Stray;
                }
                at = field_end(bytes, quote, rules.delimiter);
            } else {
                let opened_at = breaks;
                let stop = bytes.len().min(from.saturating_add(rules.record_bytes_max).saturating_add(1));
                let Some(closing) = closing_quote(bytes, quote + 1, stop) else {
                    let bounded = stop < bytes.len() || at_end;
                    let goes_on = !bounded && count_breaks(&bytes[quote..]) + breaks < rules.record_lines_max;
                    return if goes_on { Split::More } else { Split::Unbalanced { breaks: opened_at } };
                };
                if line_end < closing {
                    breaks += count_breaks(&bytes[quote..closing]);
                    if breaks >= rules.record_lines_max {
                        return Split::Unbalanced { breaks: opened_at };
                    }
                }
                at = skip_spaces(bytes, closing + 1, rules.delimiter);
                if bytes.get(at).is_some_and(|byte| !ends_field(*byte, rules.delimiter)) {
                    quotes = Quotes::Stray;
                    at = field_end(bytes, at, rules.delimiter);
                }
            }
            match bytes.get(at) {
                Some(byte) if *byte == rules.delimiter => at += 1,
                Some(_) | None => return end_record(bytes, at, at_end, breaks, quotes),
            }
        }
    }
}

/// The first byte that is not ASCII.
fn find_not_ascii(bytes: &[u8]) -> Option<usize> {
    const AT_ONCE: usize = 64;
    let (chunks, _) = bytes.as_chunks::<AT_ONCE>();
    let passed = AT_ONCE * chunks.iter().take_while(|chunk| chunk.is_ascii()).count();
    bytes[passed..].iter().position(|byte| !byte.is_ascii()).map(|at| passed + at)
}

/// The record ends at the line end at `end`, or at the end of the file.
pub(super) fn end_record(bytes: &[u8], end: usize, at_end: bool, breaks: u64, quotes: Quotes) -> Split {
    let record = |next| Split::Record { end, next, breaks, quotes };
    match (bytes.get(end), bytes.get(end + 1)) {
        (None, _) if !at_end => Split::More,
        (None, _) => record(end),
        // Whether this is CR or CRLF is for the next block to say.
        (Some(b'\r'), None) if !at_end => Split::More,
        (Some(b'\r'), Some(b'\n')) => record(end + 2),
        (Some(_), _) => record(end + 1),
    }
}

/// The quote that closes a field: not followed by another one. A quote that is the last byte closes, too: when more
/// comes, the record is split again.
fn closing_quote(bytes: &[u8], from: usize, stop: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let quote = at + memchr(b'"', bytes.get(at..stop)?)?;
        if bytes.get(quote + 1) != Some(&b'"') {
            return Some(quote);
        }
        at = quote + 2;
    }
}

/// Whether the unquoted field with this first quote is `="…"`.
fn is_formula(bytes: &[u8], at: usize, quote: usize, delimiter: u8) -> bool {
    let begins = quote - 1 == at || bytes[quote.saturating_sub(2)] == delimiter;
    let field = &bytes[quote..field_end(bytes, quote, delimiter)];
    let Some(inner) = field.trim_ascii_end().strip_prefix(b"\"").and_then(|field| field.strip_suffix(b"\""))
    else {
        return false;
    };
    bytes[quote - 1] == b'=' && begins && memchr(b'"', inner).is_none()
}

/// The end of an unquoted field: its delimiter, its line end, or the length of `bytes`.
pub(super) fn field_end(bytes: &[u8], from: usize, delimiter: u8) -> usize {
    memchr3(delimiter, b'\n', b'\r', &bytes[from..]).map_or(bytes.len(), |distance| from + distance)
}

/// The first place from here on without a space or tab that is no delimiter.
pub(super) fn skip_spaces(bytes: &[u8], from: usize, delimiter: u8) -> usize {
    let is_space = |byte: &u8| (*byte == b' ' || *byte == b'\t') && *byte != delimiter;
    from + bytes[from..].iter().take_while(|byte| is_space(byte)).count()
}

pub(super) fn ends_field(byte: u8, delimiter: u8) -> bool {
    byte == delimiter || byte == b'\n' || byte == b'\r'
}

/// Line ends in a stretch of bytes, CRLF counting once.
pub(super) fn count_breaks(bytes: &[u8]) -> u64 {
    if memchr(b'\r', bytes).is_none() {
        // Counting one byte alone is much faster.
        return super::blocks::as_u64(memchr_iter(b'\n', bytes).count());
    }
    let is_break = |at: &usize| bytes[*at] == b'\n' || bytes.get(at + 1) != Some(&b'\n');
    super::blocks::as_u64(memchr2_iter(b'\n', b'\r', bytes).filter(is_break).count())
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
        let record = |end, next, breaks, quotes| Split::Record { end, next, breaks, quotes };
        for (text, expected) in [
            ("a,b\nc", record(3, 4, 0, Quotes::None)),
            ("a,b\r\nc", record(3, 5, 0, Quotes::None)),
            ("a,b\rc", record(3, 4, 0, Quotes::None)),
            ("a,b", record(3, 3, 0, Quotes::None)),
            ("\"a\nb\",c\nd", record(7, 8, 1, Quotes::Sound)),
            ("\"a\r\nb\",c\nd", record(8, 9, 1, Quotes::Sound)),
            ("\"a\rb\",c\nd", record(7, 8, 1, Quotes::Sound)),
            ("\"a\"\"\nb\"\nd", record(7, 8, 1, Quotes::Sound)),
            ("a\"b\nc\"", record(3, 4, 0, Quotes::Stray)),
            ("a, \"b\nc\"", record(5, 6, 0, Quotes::Stray)),
            ("\"a\"b\"\nc", record(5, 6, 0, Quotes::Stray)),
            ("a,\"b", Split::Unbalanced { breaks: 0 }),
            ("\"a\nb\",\"c\nd", Split::Unbalanced { breaks: 1 }),
            ("\"\n\n\n\n\"", Split::Unbalanced { breaks: 0 }),
            ("\"123456789012345678901234567890\"", Split::Unbalanced { breaks: 0 }),
            ("\"a\",3456789012345678901234567890", Split::TooLong),
            ("123456789012345678901\nx", Split::TooLong),
            ("12345678901234567890\nx", record(20, 21, 0, Quotes::None)),
        ] {
            assert_eq!(split(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn a_text_as_a_formula_is_no_stray_quote() {
        for (text, quotes) in [
            ("=\"12\",b", Quotes::Sound),
            ("a,=\"12\"", Quotes::Sound),
            ("a,=\"12\" ,b", Quotes::Sound),
            ("a,=\"12\"3\",b", Quotes::Stray),
            ("a,=\"12,b\"", Quotes::Stray),
            ("a,x=\"12\"", Quotes::Stray),
            ("a,\"12\" ,b", Quotes::Sound),
            ("a,\"12\"x", Quotes::Stray),
            ("a, \"12\"", Quotes::Stray),
        ] {
            let expected = Split::Record { end: text.len(), next: text.len(), breaks: 0, quotes };
            assert_eq!(split(text, true), expected, "{text:?}");
        }
    }

    #[test]
    fn scouts_look_again_where_they_are_sent_back() {
        let bytes = b"a\nb\nc\nd";
        let mut splitter = Splitter::new();
        assert_eq!(splitter.line_end(bytes, 4), 5);
        assert_eq!(splitter.line_end(bytes, 0), 1);
        assert_eq!(splitter.line_end(bytes, 2), 3);
        assert_eq!(splitter.line_end(bytes, 6), 7);
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
        let record = |end, next| Split::Record { end, next, breaks: 0, quotes: Quotes::None };
        let mut splitter = Splitter::new();
        let first = b"ab\ncd\nef";
        assert_eq!(splitter.split(first, 0, false, RULES), record(2, 3));
        assert_eq!(splitter.split(first, 3, false, RULES), record(5, 6));
        assert_eq!(splitter.split(first, 6, false, RULES), Split::More);
        splitter.moved(6);
        assert_eq!(splitter.split(b"efg\nh", 0, false, RULES), record(3, 4));
    }

    #[test]
    fn what_is_not_ascii_is_found_wherever_it_stands() {
        for len in [0, 1, 63, 64, 65, 130] {
            for at in 0..=len {
                let mut text = vec![b'a'; len];
                text.iter_mut().skip(at).step_by(7).for_each(|byte| *byte = 0xC3);
                let plain = text.iter().position(|byte| !byte.is_ascii());
                assert_eq!(find_not_ascii(&text), plain, "{len} {at}");
                let mut splitter = Splitter::new();
                for from in 0..len {
                    let to = len.min(from + 5);
                    let plain = text[from..to].is_ascii();
                    assert_eq!(splitter.is_ascii(&text, from, to), plain, "{len} {at} {from}");
                }
            }
        }
    }
}
