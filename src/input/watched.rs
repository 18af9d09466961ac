//! Watched columns: those that are read beside the columns of fields, because a condition or the order of rows asks
//! for them.
//!
//! A watched column that is nowhere stops the run: a condition on it would silently send everything or nothing. Not
//! here: what is asked of them (`plan/`).

use super::OLD_FIELDS;
use super::error::{ColumnNames, Problem, SourceError};
use super::members::Members;
use super::names::{normalize, old_synonym};
use super::pointer::{Lost, Pointer};
use super::value::{is_too_deep, too_deep};
use crate::update::FieldKind;

/// Where a CSV input has a watched column.
#[derive(Debug, Clone, Copy)]
pub(super) struct WatchedAt {
    /// Its position in the header.
    pub(super) position: usize,
    /// Its cells hold JSON, into which the path goes on.
    pub(super) is_path: bool,
}

impl WatchedAt {
    /// The input does not have it.
    const NOWHERE: WatchedAt = WatchedAt { position: usize::MAX, is_path: false };

    /// Whether the input has it.
    pub(super) fn is_somewhere(self) -> bool {
        self.position != WatchedAt::NOWHERE.position
    }
}

/// The watched columns of a run.
#[derive(Debug, Default)]
pub(super) struct Watched {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: String,
    normal: String,
    /// The path that the name is where no column has it as its name.
    pointer: Option<Pointer>,
    /// An input has it.
    is_seen: bool,
    /// Known by its name as the old value of a field. Nobody has asked for it, so that it may be missing.
    hint_of: Option<FieldKind>,
}

/// How a column of an input fits a watched one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Pointer,
    Alike,
    Exact,
}

impl Column {
    fn new(name: &str) -> Column {
        let name = name.trim().to_owned();
        Column {
            normal: normalize(&name),
            pointer: Pointer::parse(&name),
            name,
            is_seen: false,
            hint_of: None,
        }
    }

    fn hint(field: FieldKind) -> Column {
        let name = format!("old_{field}");
        Column { normal: String::new(), pointer: None, name, is_seen: false, hint_of: Some(field) }
    }

    /// How a column or member fits by its name, or as the one where the path begins. As with columns of fields, a JSON
    /// pointer is alike to no name.
    fn fit(&self, name: &str) -> Option<Fit> {
        if self.hint_of.is_some() {
            return (old_synonym(&normalize(name)) == self.hint_of).then_some(Fit::Alike);
        }
        let pointer = self.pointer.as_ref();
        let is_pointer = pointer.is_some_and(|pointer| pointer.is_slashed);
        if self.name == name {
            Some(Fit::Exact)
        } else if !is_pointer && !self.normal.is_empty() && self.normal == normalize(name) {
            Some(Fit::Alike)
        } else {
            pointer.is_some_and(|pointer| pointer.head == name).then_some(Fit::Pointer)
        }
    }
}

impl Watched {
    /// These columns, and behind them those of old values: as they were named, or as they are known.
    pub(super) fn new(names: &[String], old: &[(FieldKind, String)]) -> Watched {
        let old = OLD_FIELDS.into_iter().map(|field| {
            let named = old.iter().find(|(of, _)| *of == field);
            named.map_or_else(|| Column::hint(field), |(_, name)| Column::new(name))
        });
        Watched { columns: names.iter().map(|name| Column::new(name)).chain(old).collect() }
    }

    /// Whether a column of this name is read because it is watched.
    pub(super) fn takes(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.fit(name).is_some())
    }

    /// The columns of a CSV input, by their positions in its header.
    ///
    /// # Errors
    /// When one is missing, or is not the only one of its name.
    pub(super) fn in_header(&mut self, file: &str, header: &[String]) -> Result<Vec<WatchedAt>, SourceError> {
        let mut positions = Vec::new();
        if header.is_empty() {
            return Ok(positions);
        }
        for column in &mut self.columns {
            let fits: Vec<Option<Fit>> = header.iter().map(|name| column.fit(name)).collect();
            let best = fits.iter().flatten().max().copied();
            let mut at = (0..header.len()).filter(|at| best.is_some() && fits[*at] == best);
            let Some(position) = at.next() else {
                if column.hint_of.is_some() {
                    positions.push(WatchedAt::NOWHERE);
                    continue;
                }
                return Err(missing(column, Some(file), header));
            };
            let rivals: Vec<usize> = at.collect();
            if !rivals.is_empty() && column.hint_of.is_some() {
                // Which of them it is nobody has said, and nothing depends on it but an order.
                positions.push(WatchedAt::NOWHERE);
                continue;
            }
            if !rivals.is_empty() {
                let all = std::iter::once(position).chain(rivals).map(|at| header[at].clone());
                return Err(SourceError::AmbiguousWatched {
                    file: file.to_owned(),
                    column: column.name.clone(),
                    candidates: ColumnNames(all.collect()),
                });
            }
            let is_path = best == Some(Fit::Pointer)
                && column.pointer.as_ref().is_some_and(|pointer| !pointer.is_flat());
            // A path is seen where it leads to something.
            column.is_seen |= !is_path;
            positions.push(WatchedAt { position, is_path });
        }
        Ok(positions)
    }

    /// Whether every column was in some input, once all of them were read. Inputs without any column prove nothing.
    pub(super) fn check_seen(&self, columns: &[String]) -> Result<(), SourceError> {
        match self.columns.iter().find(|column| !column.is_seen && column.hint_of.is_none()) {
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

/// The watched cells of a JSON row, and of a CSV row those that a path leads to. It has the others in its record.
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
        depth_max: usize,
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
                self.roles.push(columns.filter_map(|(at, column)| Some((at, column.fit(name)?))).collect());
            }
            for (at, fit) in &self.roles[member] {
                let column = &mut watched.columns[*at];
                let name = members.name(member);
                let value = match fit {
                    Fit::Exact | Fit::Alike => Some(value),
                    Fit::Pointer => pointed(value, column, depth_max)?,
                };
                let Some(value) = value else { continue };
                column.is_seen = true;
                match self.fits[*at] {
                    Some(better) if better > *fit => {}
                    Some(equal) if equal == *fit && column.hint_of.is_some() => self.cells[*at] = None,
                    Some(equal) if equal == *fit => {
                        let detail = format!("several members could be the column `{}`", column.name);
                        return Err(Problem::new("json.ambiguous", detail).of_column(name));
                    }
                    Some(_) | None => {
                        self.cells[*at] = match text(value, name) {
                            Err(_) if column.hint_of.is_some() => None,
                            text => text?,
                        };
                        self.fits[*at] = Some(*fit);
                    }
                }
            }
        }
        Ok(())
    }

    /// Follows the paths into the cells of a CSV row, which are asked for by their position.
    ///
    /// # Errors
    /// A cell that is no JSON though it begins like it, or leads to no cell: what is wrong with the row.
    pub(super) fn read_csv<'c>(
        &mut self,
        watched: &mut Watched,
        places: &[WatchedAt],
        cell: impl Fn(usize) -> Option<&'c str>,
        depth_max: usize,
    ) -> Result<(), Problem> {
        self.cells.clear();
        if places.iter().all(|place| !place.is_path) {
            return Ok(());
        }
        self.cells.resize(places.len(), None);
        for (at, (place, column)) in places.iter().zip(&mut watched.columns).enumerate() {
            if !place.is_path {
                continue;
            }
            let value = cell(place.position).unwrap_or_default().trim();
            // Row files have an empty cell where the member is absent: it speaks for nothing.
            column.is_seen |= value.is_empty();
            if !value.starts_with(['{', '[']) {
                continue;
            }
            if let Some(value) = pointed(value, column, depth_max)? {
                column.is_seen = true;
                self.cells[at] = text(value, &column.name)?;
            }
        }
        Ok(())
    }
}

/// The value that a column's path leads to, as it is written; `None` when there is no such value.
fn pointed<'v>(value: &'v str, column: &Column, depth_max: usize) -> Result<Option<&'v str>, Problem> {
    let Some(pointer) = &column.pointer else { return Ok(None) };
    if is_too_deep(value, depth_max) {
        return Err(too_deep(depth_max).of_column(&column.name));
    }
    pointer.follow(value).map_err(|lost| {
        let problem = match lost {
            Lost::Duplicate => Problem::new("json.duplicate_member", "a member on the path stands twice"),
            Lost::Json(_) => Problem::new("json.syntax", "a cell that begins like JSON and is none"),
        };
        problem.of_column(&column.name)
    })
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
