//! NDJSON: one object per line, its digits untouched.
//!
//! Values are kept as they are written (`RawValue`), because a 20-digit ICCID read as a number is another ICCID. A
//! line ends with LF or CRLF; a lone CR is white space to JSON; record separators before a text (RFC 7464) are passed
//! over. Not here: the table of member names, which grows with the rows (`members.rs`), the text of a value
//! (`value.rs`), what it means (`fields/`).

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::Bounds;
use super::blocks::{Source, Window, find};
use super::error::{Problem, SourceError};
use super::json_file::{self, Whole};
use super::map::{Claim, Meaning, Rules};
use super::members::{Fault, LOOKS_MAX, Members};
use super::names::looks_like_data;
use super::pointer::Pointer;
use super::reader::{Spot, Step, origin_row};
use super::value::{self, Scalar, Taking, is_too_deep, nested_in, scalar, told};
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

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

/// Our own columns whose text is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Own {
    /// `_run`.
    Run,
    /// `_row`.
    Row,
    /// `_raw`.
    Raw,
}

/// Reads the rows of one file. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct NdjsonRows {
    /// Place in the window of the line read last.
    line: Range<usize>,
    found: Vec<(usize, Range<usize>)>,
    cells: [Text; FIELD_COUNT],
    own: [Text; 3],
    scratch: String,
    /// Fields of the row read last whose value is a number.
    pub(super) numbers: FieldSet,
    /// Lines that ended too early and were looked at for a value over several lines.
    looks: u32,
    /// Fields of the row read last whose member is there and null.
    pub(super) nulls: FieldSet,
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
            let start = start + json_file::separators(&window.bytes()[start..end]);
            let bytes = window.bytes()[start..end].trim_ascii_end();
            if bytes.trim_ascii_start().is_empty() {
                spot.blank_rows += 1;
                continue;
            }
            let place = spot.next_place(place_line);
            let line = std::str::from_utf8(bytes)
                .map_err(|bad| window.not_utf8(&source.name, place_line, start, start + bad.valid_up_to()))?;
            self.line = start..start + bytes.len();
            return match self.read(line, members, rules, bounds) {
                Ok(origin_row) => Ok(Step::Row { place, origin_row }),
                Err(Wrong::TooMany) => {
                    let columns_max = bounds.columns_max;
                    Err(SourceError::TooManyColumns { file: source.name.clone(), columns_max })
                }
                Err(Wrong::Cut(_)) if let Some(whole) = self.goes_on(&window.bytes()[start..]) => {
                    Err(SourceError::of_whole(whole, &source.name, place_line))
                }
                Err(Wrong::Row(problem) | Wrong::Cut(problem)) => {
                    Ok(Step::Bad(problem.at(place, bytes, bounds.raw_bytes_max)))
                }
            };
        }
    }

    /// Whether a line that ends too early is the first of several that are one value.
    fn goes_on(&mut self, text: &[u8]) -> Option<Whole> {
        self.looks += 1;
        if self.looks > LOOKS_MAX { None } else { json_file::spans_lines(text) }
    }

    fn read(
        &mut self,
        line: &str,
        members: &mut Members,
        rules: &Rules,
        bounds: &Bounds,
    ) -> Result<Option<u64>, Wrong> {
        self.find_members(line, members, rules, bounds)?;
        self.scratch.clear();
        self.cells = Default::default();
        self.own = Default::default();
        self.numbers = FieldSet::EMPTY;
        self.nulls = FieldSet::EMPTY;
        let taking = Taking { unsafe_integers: rules.unsafe_integers, depth_max: bounds.json_depth_max };
        for (field, taken) in FieldKind::ALL.into_iter().zip(self.choose(members)?) {
            let Some((at, claim)) = taken else { continue };
            let path = claim.path.and_then(|path| Some((path, rules.path(path)?)));
            let (is_led, scalar, name) = match path {
                Some((path, (pointer, name))) if !pointer.is_flat() => {
                    let value = &line[self.found[at].1.clone()];
                    let found = follow(value, pointer, taking).map_err(|problem| problem.of_column(name))?;
                    members.note(path, value, found.0);
                    (found.0, found.1, name)
                }
                Some(_) | None => {
                    let name = members.name(self.found[at].0);
                    let value = &line[self.found[at].1.clone()];
                    (true, scalar(value, taking).map_err(|problem| problem.of_column(name))?, name)
                }
            };
            match scalar {
                Scalar::Number(_) => self.numbers.insert(field),
                Scalar::Absent if is_led => self.nulls.insert(field),
                Scalar::Absent | Scalar::Text(_) => {}
            }
            self.cells[field.index()] = self.keep(line, scalar, name, bounds)?;
        }
        self.read_own(line, members, taking, bounds)?;
        let cell = |own: Own| self.resolve(&self.own[own as usize], line.as_bytes());
        Ok(origin_row([cell(Own::Run), cell(Own::Row)])?)
    }

    /// Finds the members of the line's object.
    fn find_members(
        &mut self,
        line: &str,
        members: &mut Members,
        rules: &Rules,
        bounds: &Bounds,
    ) -> Result<(), Wrong> {
        if !line.trim_ascii_start().starts_with('{') {
            return Err(match serde_json::from_str::<IgnoredAny>(line) {
                Ok(_) => Problem::new("json.not_object", "a JSON value that is not an object").into(),
                Err(error) => Wrong::syntax(&error, line),
            });
        }
        members.parse(line, rules, &mut self.found).map_err(|fault| match fault {
            Fault::TooMany => Wrong::TooMany,
            Fault::Json(error) => Wrong::syntax(&error, line),
            Fault::LongName => Problem::new("field.too_long", "a very long member name").into(),
            Fault::Duplicate(member) => {
                let problem = Problem::new("json.duplicate_member", "a member stands twice");
                named(problem, members.name(member)).into()
            }
        })?;
        let is_deep = |(_, at): &(usize, Range<usize>)| {
            let value = &line[at.clone()];
            value.starts_with(['{', '[']) && is_too_deep(value, bounds.json_depth_max)
        };
        match self.found.iter().find(|found| is_deep(found)) {
            Some((member, _)) => {
                Err(named(value::too_deep(bounds.json_depth_max), members.name(*member)).into())
            }
            None => Ok(()),
        }
    }

    /// The texts of our own columns.
    fn read_own(
        &mut self,
        line: &str,
        members: &Members,
        taking: Taking,
        bounds: &Bounds,
    ) -> Result<(), Problem> {
        for at in 0..self.found.len() {
            let (member, place) = self.found[at].clone();
            if *members.meaning(member) != Meaning::Reserved {
                continue;
            }
            let name = members.name(member);
            let own = match name {
                "_run" => Own::Run,
                "_row" => Own::Row,
                "_raw" => Own::Raw,
                _ => continue,
            };
            let scalar = scalar(&line[place], taking).map_err(|problem| problem.of_column(name))?;
            self.own[own as usize] = self.keep(line, scalar, name, bounds)?;
        }
        Ok(())
    }

    /// For each field, which of the found members it takes: the strongest, which must be alone in its strength. A
    /// member that is null is a candidate as any other: what a row means must not hang on what it leaves out.
    fn choose(&self, members: &Members) -> Result<[Option<(usize, Claim)>; FIELD_COUNT], Problem> {
        let mut chosen: [Option<(usize, Claim)>; FIELD_COUNT] = [None; FIELD_COUNT];
        let mut rival: [Option<(usize, Claim)>; FIELD_COUNT] = [None; FIELD_COUNT];
        for (at, (member, _)) in self.found.iter().enumerate() {
            let Meaning::Fields(claims) = members.meaning(*member) else { continue };
            for claim in claims {
                let slot = claim.field.index();
                match chosen[slot] {
                    Some((_, taken)) if taken.by > claim.by => {}
                    Some((_, taken)) if taken.by == claim.by => rival[slot] = Some((at, *claim)),
                    Some(_) | None => chosen[slot] = Some((at, *claim)),
                }
            }
        }
        for field in FieldKind::ALL {
            if let (Some((one, taken)), Some((other, rival))) = (chosen[field.index()], rival[field.index()])
                && taken.by == rival.by
            {
                let [one, other] = [one, other].map(|at| members.name(self.found[at].0));
                let detail = format!(
                    "several members stand for {field}; say which: --map {field}={one}, or --map {field}={other}"
                );
                return Err(Problem::new("json.ambiguous", detail).of_column(one));
            }
        }
        Ok(chosen)
    }

    /// Notes where a text is, once it is known to be short enough.
    fn keep(&mut self, line: &str, scalar: Scalar<'_>, name: &str, bounds: &Bounds) -> Result<Text, Problem> {
        let text: Cow<'_, str> = match scalar {
            Scalar::Absent => return Ok(Text::Absent),
            Scalar::Text(text) => text,
            Scalar::Number(literal) => Cow::Borrowed(literal),
        };
        if text.len() > bounds.field_bytes_max {
            let detail = format!("a value longer than {} bytes", bounds.field_bytes_max);
            return Err(Problem::new("field.too_long", detail).of_column(name));
        }
        if let Cow::Borrowed(text) = text {
            // What is borrowed is a stretch of the line.
            let begin = text.as_ptr().addr().wrapping_sub(line.as_ptr().addr());
            if line.get(begin..begin.saturating_add(text.len())) == Some(text) {
                return Ok(Text::Line(begin..begin + text.len()));
            }
        }
        let begin = self.scratch.len();
        self.scratch.push_str(&text);
        Ok(Text::Scratch(begin..self.scratch.len()))
    }

    fn resolve<'t>(&'t self, text: &Text, line: &'t [u8]) -> Option<&'t str> {
        match text {
            Text::Absent => None,
            Text::Line(range) => std::str::from_utf8(&line[range.clone()]).ok(),
            Text::Scratch(range) => Some(&self.scratch[range.clone()]),
        }
    }

    /// The text of a field of the row read last.
    pub(super) fn cell<'t>(&'t self, field: FieldKind, window: &'t Window) -> Option<&'t str> {
        self.resolve(&self.cells[field.index()], &window.bytes()[self.line.clone()])
    }

    /// The text of a column of ours of the row read last.
    pub(super) fn own<'t>(&'t self, own: Own, window: &'t Window) -> Option<&'t str> {
        self.resolve(&self.own[own as usize], &window.bytes()[self.line.clone()])
    }

    /// The line of the row read last.
    pub(super) fn line<'t>(&self, window: &'t Window) -> &'t [u8] {
        &window.bytes()[self.line.clone()]
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
    /// The line ends before its value does.
    Cut(Problem),
    TooMany,
}

impl Wrong {
    fn syntax(error: &serde_json::Error, line: &str) -> Wrong {
        let (what, column) = told(error, line.as_bytes());
        let problem = Problem::new("json.syntax", format!("{what} (byte {column} of the line)"));
        if error.is_eof() { Wrong::Cut(problem) } else { Wrong::Row(problem) }
    }
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Wrong {
        Wrong::Row(problem)
    }
}

/// Names any member in a problem, unless its name is rather a value: some exports have identifiers for names.
fn named(problem: Problem, name: &str) -> Problem {
    if looks_like_data(name) { problem } else { problem.of_column(name) }
}

/// Follows a path below a member; the text of a string is looked into as a CSV cell is, since row files hold it so.
fn follow<'v>(value: &'v str, pointer: &Pointer, taking: Taking) -> Result<(bool, Scalar<'v>), Problem> {
    if !value.starts_with('"') {
        return nested_in(value, pointer, taking);
    }
    match scalar(value, taking)? {
        Scalar::Text(Cow::Borrowed(text)) => nested_in(text, pointer, taking),
        Scalar::Text(Cow::Owned(text)) => nested_in(&text, pointer, taking).map(|(led, found)| {
            let owned = match found {
                Scalar::Absent => Scalar::Absent,
                Scalar::Text(text) => Scalar::Text(Cow::Owned(text.into_owned())),
                // Whether it was a number is lost with the text it stood in.
                Scalar::Number(literal) => Scalar::Text(Cow::Owned(literal.to_owned())),
            };
            (led, owned)
        }),
        Scalar::Absent | Scalar::Number(_) => Ok((false, Scalar::Absent)),
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
