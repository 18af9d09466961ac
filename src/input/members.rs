//! The member names of an NDJSON file, and the members of one of its objects.
//!
//! Values are found, not read: what is kept of one is its place in the line. Not here: the text of a value, and what
//! is wrong with a row (`ndjson.rs`).

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Bounds;
use super::blocks::{Window, as_u64};
use super::error::{ColumnNames, SourceError};
use super::json_file::{self, Whole};
use super::map::{Ambiguity, FieldColumns, Meaning, Rules, Trail, decide};

/// Longest name of a member, in bytes: all names are kept, so that their length is a bound on memory.
const NAME_BYTES_MAX: usize = 1024;

/// Lines of the head that end too early and are looked at for a value over several lines.
pub(super) const LOOKS_MAX: u32 = 4;

/// A member name seen so far.
struct Member {
    name: String,
    meaning: Meaning,
    /// The row that had it last, to find a member that stands twice.
    last_row: u64,
}

/// The member names of a file, in order of first appearance.
#[derive(Default)]
pub(super) struct Members {
    list: Vec<Member>,
    index: HashMap<String, usize>,
    rows: u64,
    columns_max: usize,
    /// How far each path was followed, by its number among the operator's.
    pub(super) trails: Vec<Trail>,
    /// The file's first block was all of it, so that no further name can come.
    pub(super) complete: bool,
}

/// What is wrong with a line, before it is told as a row's problem or the file's.
pub(super) enum Fault {
    Json(serde_json::Error),
    Duplicate(usize),
    LongName,
    TooMany,
}

impl Members {
    /// Diagnoses the head of a file, and takes the names of its complete lines.
    pub(super) fn inspect(
        file: &str,
        window: &Window,
        rules: &Rules,
        bounds: &Bounds,
    ) -> Result<Members, SourceError> {
        let mut members =
            Members { columns_max: bounds.columns_max, complete: window.at_end(), ..Members::default() };
        let head = &window.bytes()[window.start()..];
        if let Some(whole) = json_file::whole(head, window.at_end(), rules) {
            return Err(SourceError::of_whole(whole, file, 1));
        }
        let head = match head.iter().rposition(|byte| *byte == b'\n') {
            _ if window.at_end() => head,
            Some(last) => &head[..last],
            None => return Ok(members),
        };
        members.take_names(file, head, rules)?;
        members.check(file, head, rules)?;
        Ok(members)
    }

    /// Takes the names of all lines of the head, and follows the operator's paths in them.
    fn take_names(&mut self, file: &str, head: &[u8], rules: &Rules) -> Result<(), SourceError> {
        let (mut found, mut at, mut looks) = (Vec::new(), 0, 0);
        for (index, line) in head.split(|byte| *byte == b'\n').enumerate() {
            let begin = at + json_file::separators(line);
            at += line.len() + 1;
            let Ok(line) = std::str::from_utf8(line[json_file::separators(line)..].trim_ascii()) else {
                continue;
            };
            match self.parse(line, rules, &mut found) {
                Ok(()) => self.follow(line, rules, &found),
                Err(Fault::TooMany) => {
                    let columns_max = self.columns_max;
                    return Err(SourceError::TooManyColumns { file: file.to_owned(), columns_max });
                }
                Err(Fault::Json(error)) if error.is_eof() && !line.is_empty() && looks < LOOKS_MAX => {
                    looks += 1;
                    if let Some(whole) = json_file::spans_lines(&head[begin..]) {
                        return Err(SourceError::of_whole(whole, file, as_u64(index) + 1));
                    }
                }
                Err(Fault::Json(_) | Fault::Duplicate(_) | Fault::LongName) => {}
            }
        }
        Ok(())
    }

    /// Notes which paths lead somewhere in a row whose members were found.
    fn follow(&mut self, line: &str, rules: &Rules, found: &[(usize, Range<usize>)]) {
        for (member, place) in found {
            let Meaning::Fields(claims) = &self.list[*member].meaning else { continue };
            for path in claims.iter().filter_map(|claim| claim.path) {
                let value = &line[place.clone()];
                let led = rules.path(path).is_some_and(|(pointer, _)| {
                    pointer.is_flat() || matches!(pointer.follow(value), Ok(Some(_)) | Err(_))
                });
                note(&mut self.trails, path, value, led);
            }
        }
    }

    /// Notes whether a path led somewhere from this value.
    pub(super) fn note(&mut self, path: usize, value: &str, led: bool) {
        note(&mut self.trails, path, value, led);
    }

    /// Whether nothing speaks against a path.
    pub(super) fn leads(&self, path: usize) -> bool {
        self.trails.get(path).copied().unwrap_or_default().leads()
    }

    /// Whether the names tell which member stands for which field.
    fn check(&self, file: &str, head: &[u8], rules: &Rules) -> Result<(), SourceError> {
        match self.columns() {
            Ok(columns) if columns.iter().any(Option::is_some) || self.list.is_empty() => Ok(()),
            Ok(_) => Err(match json_file::wrapper(head, rules) {
                Some(path) => SourceError::of_whole(Whole::Wrapped(path), file, 1),
                None => {
                    let columns = ColumnNames(self.meanings().map(|(name, _)| name.to_owned()).collect());
                    SourceError::NoKnownColumn { file: file.to_owned(), columns }
                }
            }),
            Err(Ambiguity { field, columns }) => Err(SourceError::AmbiguousColumns {
                file: file.to_owned(),
                field,
                candidates: ColumnNames(
                    columns.iter().map(|column| self.list[*column].name.clone()).collect(),
                ),
            }),
        }
    }

    /// The name of a member.
    pub(super) fn name(&self, member: usize) -> &str {
        &self.list[member].name
    }

    /// What the name of a member means.
    pub(super) fn meaning(&self, member: usize) -> &Meaning {
        &self.list[member].meaning
    }

    /// How many names were seen so far.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// All names so far, our own included, with what they mean.
    pub(super) fn meanings(&self) -> impl Iterator<Item = (&str, &Meaning)> {
        self.list.iter().map(|member| (member.name.as_str(), &member.meaning))
    }

    /// The member of each field, if the names so far tell it.
    pub(super) fn columns(&self) -> Result<FieldColumns, Ambiguity> {
        let meanings: Vec<Meaning> = self.list.iter().map(|member| member.meaning.clone()).collect();
        decide(&meanings)
    }

    /// Finds the members of an object, as (name, place of the value in the line). New names are added.
    pub(super) fn parse(
        &mut self,
        line: &str,
        rules: &Rules,
        found: &mut Vec<(usize, Range<usize>)>,
    ) -> Result<(), Fault> {
        found.clear();
        self.rows += 1;
        let mut fault = None;
        let mut deserializer = serde_json::Deserializer::from_str(line);
        let object = Object { members: self, rules, line, found, fault: &mut fault };
        let parsed = object.deserialize(&mut deserializer).and_then(|()| deserializer.end());
        match (fault, parsed) {
            (Some(fault), _) => Err(fault),
            (None, Err(error)) => Err(Fault::Json(error)),
            (None, Ok(())) => Ok(()),
        }
    }

    fn find_or_add(&mut self, name: &str, guess: usize, rules: &Rules) -> Result<usize, Fault> {
        // Rows have the same members in the same order, nearly always.
        if self.list.get(guess).is_some_and(|member| member.name == name) {
            return Ok(guess);
        }
        if let Some(known) = self.index.get(name) {
            return Ok(*known);
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(Fault::LongName);
        }
        if self.list.len() >= self.columns_max {
            return Err(Fault::TooMany);
        }
        let added = self.list.len();
        self.index.insert(name.to_owned(), added);
        self.list.push(Member { name: name.to_owned(), meaning: rules.meaning(name), last_row: 0 });
        Ok(added)
    }
}

fn note(trails: &mut Vec<Trail>, path: usize, value: &str, led: bool) {
    if trails.len() <= path {
        trails.resize(path + 1, Trail::default());
    }
    trails[path].led |= led;
    trails[path].tried |= !matches!(value, "null" | "\"\"" | "{}" | "[]");
}

/// Reads one object into `found`.
struct Object<'p> {
    members: &'p mut Members,
    rules: &'p Rules,
    line: &'p str,
    found: &'p mut Vec<(usize, Range<usize>)>,
    fault: &'p mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut guess = 0;
        loop {
            let name =
                Name { members: &mut *self.members, rules: self.rules, guess, fault: &mut *self.fault };
            let Some(member) = map.next_key_seed(name)? else { return Ok(()) };
            let value: &'de RawValue = map.next_value()?;
            let at = value.get().as_ptr().addr() - self.line.as_ptr().addr();
            self.found.push((member, at..at + value.get().len()));
            let rows = self.members.rows;
            if std::mem::replace(&mut self.members.list[member].last_row, rows) == rows {
                *self.fault = Some(Fault::Duplicate(member));
                return Err(A::Error::custom("duplicate member"));
            }
            guess = member + 1;
        }
    }
}

/// Reads one member name as its index.
struct Name<'p> {
    members: &'p mut Members,
    rules: &'p Rules,
    guess: usize,
    fault: &'p mut Option<Fault>,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<usize, E> {
        self.members.find_or_add(name, self.guess, self.rules).map_err(|fault| {
            *self.fault = Some(fault);
            E::custom("a name beyond the bounds")
        })
    }
}
