//! Watched columns: those that are read beside the columns of fields, because a condition or the order of rows asks
//! for them.
//!
//! A watched column that is nowhere stops the run: a condition on it would silently send everything or nothing. Not
//! here: what is asked of them (`plan/`).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::error::{ColumnNames, Problem, SourceError};
use super::members::Members;
use super::names::normalize;

/// The watched columns of a run.
#[derive(Debug, Default)]
pub(super) struct Watched {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    normal: String,
    /// Of a JSON pointer (RFC 6901): its segments, the first of which is a member of the row.
    path: Vec<String>,
    /// An input has it.
    is_seen: bool,
}

/// How a column of an input fits a watched one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Alike,
    Pointer,
    Exact,
}

impl Column {
    fn new(name: &str) -> Column {
        let name = name.trim().to_owned();
        let segment = |text: &str| text.replace("~1", "/").replace("~0", "~");
        let path = name.strip_prefix('/').map(|rest| rest.split('/').map(segment).collect());
        Column { normal: normalize(&name), path: path.unwrap_or_default(), name, is_seen: false }
    }

    fn fit(&self, name: &str) -> Option<Fit> {
        if self.name == name {
            return Some(Fit::Exact);
        }
        let is_alike = self.path.is_empty() && !self.normal.is_empty() && self.normal == normalize(name);
        is_alike.then_some(Fit::Alike)
    }

    /// How a member of a JSON row fits, or what is within it.
    fn fit_member(&self, name: &str) -> Option<Fit> {
        let is_pointer = self.path.first().is_some_and(|first| first == name);
        self.fit(name).or(is_pointer.then_some(Fit::Pointer))
    }
}

impl Watched {
    pub(super) fn new(names: &[String]) -> Watched {
        Watched { columns: names.iter().map(|name| Column::new(name)).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Whether a column of this name is read because it is watched.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.fit_member(name).is_some())
    }

    /// The columns of a CSV input, by their positions in its header.
    ///
    /// # Errors
    /// When one is missing, or is not the only one of its name.
    pub(super) fn in_header(&mut self, file: &str, header: &[String]) -> Result<Vec<usize>, SourceError> {
        let mut positions = Vec::new();
        if header.is_empty() {
            return Ok(positions);
        }
        for column in &mut self.columns {
            let fits: Vec<Option<Fit>> = header.iter().map(|name| column.fit(name)).collect();
            let best = fits.iter().flatten().max().copied();
            let mut at = (0..header.len()).filter(|at| best.is_some() && fits[*at] == best);
            let Some(position) = at.next() else { return Err(missing(column, Some(file), header)) };
            let rivals: Vec<usize> = at.collect();
            if !rivals.is_empty() {
                let all = std::iter::once(position).chain(rivals).map(|at| header[at].clone());
                return Err(SourceError::AmbiguousWatched {
                    file: file.to_owned(),
                    column: column.name.clone(),
                    candidates: ColumnNames(all.collect()),
                });
            }
            column.is_seen = true;
            positions.push(position);
        }
        Ok(positions)
    }

    /// Whether every column was in some input, once all of them were read. Inputs without any column prove nothing.
    pub(super) fn check_seen(&self, columns: &[String]) -> Result<(), SourceError> {
        match self.columns.iter().find(|column| !column.is_seen) {
            Some(column) if !columns.is_empty() => Err(missing(column, None, columns)),
            Some(_) | None => Ok(()),
        }
    }
}

fn missing(column: &Column, file: Option<&str>, columns: &[String]) -> SourceError {
    SourceError::NoWatchedColumn {
        file: file.map_or_else(|| "all inputs".to_owned(), str::to_owned),
        column: column.name.clone(),
        columns: ColumnNames(columns.to_vec()),
    }
}

/// The watched cells of a JSON row. A CSV row has them in its record.
#[derive(Default)]
pub(super) struct WatchedCells {
    cells: Vec<Option<String>>,
    /// How the cell's member fits its column.
    fits: Vec<Option<Fit>>,
    /// For every member of the file, the columns it fits.
    roles: Vec<Vec<(usize, Fit)>>,
}

impl WatchedCells {
    /// The cell of a watched column.
    pub(super) fn get(&self, column: usize) -> Option<&str> {
        self.cells.get(column)?.as_deref()
    }

    /// Begins another file, whose members are others.
    pub(super) fn begin_file(&mut self) {
        self.roles.clear();
    }

    /// Reads the watched cells of a row from its members, given as (member, value as written).
    ///
    /// # Errors
    /// A value that is no cell, or two members that could be one column: what is wrong with the row.
    pub(super) fn read<'m>(
        &mut self,
        watched: &mut Watched,
        members: &Members,
        row: impl Iterator<Item = (usize, &'m str)>,
    ) -> Result<(), Problem> {
        let count = watched.columns.len();
        self.cells.clear();
        self.cells.resize(count, None);
        self.fits.clear();
        self.fits.resize(count, None);
        for (member, value) in row {
            while self.roles.len() <= member {
                let name = members.name(self.roles.len());
                let columns = watched.columns.iter().enumerate();
                self.roles
                    .push(columns.filter_map(|(at, column)| Some((at, column.fit_member(name)?))).collect());
            }
            for (at, fit) in &self.roles[member] {
                let column = &mut watched.columns[*at];
                let name = members.name(member);
                let value = match fit {
                    Fit::Exact | Fit::Alike => Some(Cow::Borrowed(value)),
                    Fit::Pointer => pointed(value, &column.path[1..]),
                };
                let Some(value) = value else { continue };
                column.is_seen = true;
                match self.fits[*at] {
                    Some(better) if better > *fit => {}
                    Some(equal) if equal == *fit => {
                        let detail = format!("several members could be the column `{}`", column.name);
                        return Err(Problem::new("json.ambiguous", detail).of_column(name));
                    }
                    Some(_) | None => {
                        self.cells[*at] = text(&value, name)?;
                        self.fits[*at] = Some(*fit);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The value at the end of a path, as it is written; `None` when there is no such value.
fn pointed<'v>(value: &'v str, path: &[String]) -> Option<Cow<'v, str>> {
    let Some((first, rest)) = path.split_first() else { return Some(Cow::Borrowed(value)) };
    let inner: Box<RawValue> = if value.starts_with('[') {
        let mut items: Vec<Box<RawValue>> = serde_json::from_str(value).ok()?;
        let at: usize = first.parse().ok().filter(|at| *at < items.len())?;
        items.swap_remove(at)
    } else {
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(value).ok()?;
        members.remove(first)?
    };
    pointed(inner.get(), rest).map(|value| Cow::Owned(value.into_owned()))
}

/// The text of a JSON value that is a cell: of a string its content, of anything else what is written; null is absent.
fn text(value: &str, name: &str) -> Result<Option<String>, Problem> {
    match value.as_bytes().first() {
        Some(b'"') => serde_json::from_str(value)
            .map(Some)
            .map_err(|_| Problem::new("json.syntax", "an invalid escape").of_column(name)),
        Some(b'{' | b'[') => {
            let detail = "an object or an array where a condition or --order-by needs text or a number";
            Err(Problem::new("json.nested", detail).of_column(name))
        }
        Some(b'n') | None => Ok(None),
        Some(_) => Ok(Some(value.to_owned())),
    }
}
