//! NDJSON: one object per line, its digits untouched.
//!
//! Values are kept as they are written (`RawValue`), because a 20-digit ICCID read as a number is another ICCID. A
//! line ends with LF or CRLF; a lone CR is white space to JSON. Not here: the table of member names, which grows with
//! the rows (`members.rs`), what a value means (`fields/`).

use std::ops::Range;

use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::Bounds;
use super::blocks::{Source, Window, find};
use super::error::{Problem, SourceError};
use super::map::{MappedBy, Meaning, Rules};
use super::members::{Fault, Members};
use super::reader::{Spot, Step, origin_row};
use crate::update::{FIELD_COUNT, FieldKind};

/// Largest integer that every JSON writer holds exactly (RFC 8259 clause 6, RFC 7493 clause 2.2): beyond it the
/// digits may have been rounded before they were written.
const SAFE_INTEGER_MAX: u64 = (1 << 53) - 1;

/// Where the text of a cell is.
#[derive(Debug, Clone, Default)]
enum Text {
    #[default]
    Absent,
    /// In the line, as it stands there.
    Line(Range<usize>),
    /// In the scratch, because it had escapes.
    Scratch(Range<usize>),
}

/// Reads the rows of one file. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct NdjsonRows {
    /// Place in the window of the line read last.
    line: Range<usize>,
    found: Vec<(usize, Range<usize>)>,
    cells: [Text; FIELD_COUNT],
    origin: [Text; 2],
    scratch: String,
}

impl NdjsonRows {
    /// Goes to the first line.
    pub(super) fn begin(
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
    ) -> Result<NdjsonRows, SourceError> {
        window.fill(source, spot.pass)?;
        Ok(NdjsonRows::default())
    }

    /// Reads the next line that is not blank.
    pub(super) fn next(
        &mut self,
        members: &mut Members,
        rules: &Rules,
        source: &mut Source,
        window: &mut Window,
        spot: &mut Spot,
        bounds: &Bounds,
    ) -> Result<Step, SourceError> {
        // Bytes of the line that were searched without finding its end.
        let mut searched = 0;
        loop {
            let (start, len) = (window.start(), window.bytes().len());
            let (end, next) = match find(b'\n', &window.bytes()[start + searched..]) {
                Some(distance) => (start + searched + distance, start + searched + distance + 1),
                None if window.at_end() => (len, len),
                None if len - start > bounds.record_bytes_max => {
                    return skip_line(source, window, spot, bounds);
                }
                None => {
                    searched = len - start;
                    window.fill(source, spot.pass)?;
                    continue;
                }
            };
            if start == next {
                return Ok(Step::End);
            }
            if end - start > bounds.record_bytes_max {
                return skip_line(source, window, spot, bounds);
            }
            let place_line = spot.line;
            spot.line += 1;
            searched = 0;
            window.consume_to(next);
            let bytes = window.bytes()[start..end].trim_ascii_end();
            if bytes.trim_ascii_start().is_empty() {
                spot.blank_rows += 1;
                continue;
            }
            let place = spot.next_place(place_line);
            let line = std::str::from_utf8(bytes)
                .map_err(|bad| window.not_utf8(&source.name, place_line, start, start + bad.valid_up_to()))?;
            self.line = start..start + bytes.len();
            let step = match self.read(line, members, rules, bounds) {
                Ok(origin_row) => Step::Row { place, origin_row },
                Err(Wrong::TooMany) => {
                    let columns_max = bounds.columns_max;
                    return Err(SourceError::TooManyColumns { file: source.name.clone(), columns_max });
                }
                Err(Wrong::Row(problem)) => Step::Bad(problem.at(place, bytes, bounds.raw_bytes_max)),
            };
            return Ok(step);
        }
    }

    fn read(
        &mut self,
        line: &str,
        members: &mut Members,
        rules: &Rules,
        bounds: &Bounds,
    ) -> Result<Option<u64>, Wrong> {
        if !line.trim_start().starts_with('{') {
            let problem = match serde_json::from_str::<IgnoredAny>(line) {
                Ok(_) => Problem::new("json.not_object", "a JSON value that is not an object"),
                Err(error) => syntax(&error),
            };
            return Err(problem.into());
        }
        match members.parse(line, rules, &mut self.found) {
            Ok(()) => {}
            Err(Fault::TooMany) => return Err(Wrong::TooMany),
            Err(Fault::Json(error)) => return Err(syntax(&error).into()),
            Err(Fault::Duplicate(member)) => {
                let problem = Problem::new("json.duplicate_member", "a member stands twice");
                return Err(problem.of_column(members.name(member)).into());
            }
        }
        self.scratch.clear();
        self.cells = Default::default();
        self.origin = Default::default();
        for (field, taken) in FieldKind::ALL.into_iter().zip(self.choose(members)?) {
            if let Some(at) = taken {
                self.cells[field.index()] = self.text(line, at, members, bounds)?;
            }
        }
        for at in 0..self.found.len() {
            let member = self.found[at].0;
            if *members.meaning(member) == Meaning::Reserved {
                match members.name(member) {
                    "_run" => self.origin[0] = self.text(line, at, members, bounds)?,
                    "_row" => self.origin[1] = self.text(line, at, members, bounds)?,
                    _ => {}
                }
            }
        }
        let cell = |text: &Text| self.resolve(text, line.as_bytes());
        Ok(origin_row([cell(&self.origin[0]), cell(&self.origin[1])])?)
    }

    /// For each field, which of the found members it takes: the strongest, which must be alone in its strength. A
    /// member that is null is a candidate as any other: what a row means must not hang on what it leaves out.
    fn choose(&self, members: &Members) -> Result<[Option<usize>; FIELD_COUNT], Problem> {
        let mut chosen: [Option<(usize, MappedBy)>; FIELD_COUNT] = [None; FIELD_COUNT];
        let mut rival: [Option<MappedBy>; FIELD_COUNT] = [None; FIELD_COUNT];
        for (at, (member, _)) in self.found.iter().enumerate() {
            let Meaning::Fields(claims) = members.meaning(*member) else { continue };
            for claim in claims {
                let slot = claim.field.index();
                match chosen[slot] {
                    Some((_, by)) if by > claim.by => {}
                    Some((_, by)) if by == claim.by => rival[slot] = Some(by),
                    Some(_) | None => chosen[slot] = Some((at, claim.by)),
                }
            }
        }
        for field in FieldKind::ALL {
            let slot = field.index();
            if rival[slot].is_some() && rival[slot] == chosen[slot].map(|(_, by)| by) {
                let detail = format!("several members stand for {field}; say which: --map {field}=MEMBER");
                let name = chosen[slot].map_or("", |(at, _)| members.name(self.found[at].0));
                return Err(Problem::new("json.ambiguous", detail).of_column(name));
            }
        }
        Ok(chosen.map(|taken| taken.map(|(at, _)| at)))
    }

    /// The text of a mapped value: of a string its content, of a number its literal.
    fn text(&mut self, line: &str, at: usize, members: &Members, bounds: &Bounds) -> Result<Text, Problem> {
        let (member, place) = self.found[at].clone();
        let name = members.name(member);
        let value = &line[place.clone()];
        let text = match value.as_bytes().first() {
            Some(b'"') if !value.contains('\\') => Text::Line(place.start + 1..place.end - 1),
            Some(b'"') => {
                let decoded: String = serde_json::from_str(value)
                    .map_err(|_| Problem::new("json.syntax", "an invalid escape").of_column(name))?;
                if decoded.contains('\0') {
                    return Err(Problem::new("json.syntax", "a NUL character").of_column(name));
                }
                let begin = self.scratch.len();
                self.scratch.push_str(&decoded);
                Text::Scratch(begin..self.scratch.len())
            }
            Some(b'n') => Text::Absent,
            Some(b't' | b'f') => return Err(nested("a boolean", name)),
            Some(b'[') => return Err(nested("an array", name)),
            Some(b'{') => return Err(nested("an object", name)),
            _ if is_unsafe_integer(value) => {
                let detail = "an integer beyond 2^53-1 may have been rounded; write it as a string";
                return Err(Problem::new("json.unsafe_integer", detail).of_column(name));
            }
            _ => Text::Line(place),
        };
        let len = match &text {
            Text::Absent => 0,
            Text::Line(range) | Text::Scratch(range) => range.len(),
        };
        if len > bounds.field_bytes_max {
            let detail = format!("a value longer than {} bytes", bounds.field_bytes_max);
            return Err(Problem::new("field.too_long", detail).of_column(name));
        }
        Ok(text)
    }

    fn resolve<'t>(&'t self, text: &Text, line: &'t [u8]) -> Option<&'t str> {
        match text {
            Text::Absent => None,
            Text::Line(range) => std::str::from_utf8(&line[range.clone()]).ok(),
            Text::Scratch(range) => Some(&self.scratch[range.clone()]),
        }
    }

    /// The text of each field of the row read last.
    pub(super) fn cells<'t>(&'t self, window: &'t Window) -> [Option<&'t str>; FIELD_COUNT] {
        let line = &window.bytes()[self.line.clone()];
        std::array::from_fn(|field| self.resolve(&self.cells[field], line))
    }

    /// The text of `_run` of the row read last.
    pub(super) fn origin_run<'t>(&'t self, window: &'t Window) -> Option<&'t str> {
        self.resolve(&self.origin[0], &window.bytes()[self.line.clone()])
    }

    /// The members of the row read last, each with its value as written.
    pub(super) fn members<'t>(&'t self, window: &'t Window) -> impl Iterator<Item = (usize, &'t str)> {
        let line = &window.bytes()[self.line.clone()];
        let value = |range: &Range<usize>| std::str::from_utf8(&line[range.clone()]).ok();
        self.found.iter().filter_map(move |(member, range)| Some((*member, value(range)?)))
    }
}

/// What ends the reading of a row.
enum Wrong {
    Row(Problem),
    TooMany,
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Wrong {
        Wrong::Row(problem)
    }
}

/// A line longer than a line may be: the file goes on behind its end.
fn skip_line(
    source: &mut Source,
    window: &mut Window,
    spot: &mut Spot,
    bounds: &Bounds,
) -> Result<Step, SourceError> {
    let place = spot.next_place(spot.line);
    spot.line += 1;
    let problem = Problem::too_long(bounds);
    let rest = &window.bytes()[window.start()..];
    let shown = find(b'\n', rest).map_or(rest, |end| &rest[..end]);
    let error = problem.at(place, shown, bounds.raw_bytes_max);
    loop {
        let (start, len) = (window.start(), window.bytes().len());
        let end = find(b'\n', &window.bytes()[start..]);
        window.consume_to(end.map_or(len, |distance| start + distance + 1));
        if end.is_some() || window.at_end() {
            return Ok(Step::Bad(error));
        }
        window.fill(source, spot.pass)?;
    }
}

fn nested(what: &str, name: &str) -> Problem {
    Problem::new("json.nested", format!("{what} where text or a number is expected")).of_column(name)
}

fn is_unsafe_integer(literal: &str) -> bool {
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    is_integer && digits.parse::<u64>().map_or(true, |value| value > SAFE_INTEGER_MAX)
}

/// A syntax error without the values that some of the library's texts quote.
fn syntax(error: &serde_json::Error) -> Problem {
    let column = error.column();
    let text = error.to_string();
    let what = match error.classify() {
        Category::Eof => "ends too early",
        Category::Syntax => text.split(" at line ").next().unwrap_or("invalid JSON"),
        Category::Data | Category::Io => "not an object",
    };
    Problem::new("json.syntax", format!("{what} (byte {column} of the line)"))
}
