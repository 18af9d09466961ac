//! What is known of an input's columns, whatever its format.
//!
//! Not here: how a layout is found out (`header.rs`, `members.rs`), and who may ask (`inputs.rs`).

use super::blocks::Source;
use super::header::CsvLayout;
use super::map::{self, MappedBy, Meaning};
use super::members::Members;
use super::names::is_reserved;
use crate::update::FieldKind;

/// Columns of an input.
pub(super) enum Layout {
    Csv(CsvLayout),
    Ndjson(Members),
}

/// An input with its layout.
pub(super) struct Shape {
    pub(super) source: Source,
    pub(super) layout: Layout,
    /// For each of its columns, the position in [`super::Inputs::columns`]; `None` for our own.
    pub(super) positions: Vec<Option<usize>>,
    /// Of CSV: positions in the header of the watched columns, in the order of [`super::InputOptions::watched`].
    pub(super) watched: Vec<usize>,
}

impl Layout {
    /// All column names, our own included, in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Layout::Csv(layout) => layout.names.iter().map(String::as_str).collect(),
            Layout::Ndjson(members) => members.meanings().map(|(name, _)| name).collect(),
        }
    }

    /// The columns that stand for a field, in wire order. Of NDJSON several may: each row has its own members.
    pub(super) fn claims(&self) -> Vec<(FieldKind, &str, MappedBy)> {
        match self {
            Layout::Csv(layout) => FieldKind::ALL
                .into_iter()
                .filter_map(|field| {
                    let (column, by) = layout.columns[field.index()]?;
                    Some((field, layout.names[column].as_str(), by))
                })
                .collect(),
            Layout::Ndjson(members) => FieldKind::ALL
                .into_iter()
                .flat_map(|field| {
                    members.meanings().filter_map(move |(name, meaning)| {
                        let by = map::claim_on(field, meaning)?;
                        Some((field, name, by))
                    })
                })
                .collect(),
        }
    }

    /// The columns that stand for no field and are not our own.
    pub(super) fn unmapped(&self) -> Vec<&str> {
        match self {
            Layout::Csv(layout) => {
                let taken: Vec<usize> = layout.columns.iter().flatten().map(|(column, _)| *column).collect();
                let names = layout.names.iter().enumerate();
                names
                    .filter(|(column, name)| !taken.contains(column) && !is_reserved(name))
                    .map(|(_, name)| name.as_str())
                    .collect()
            }
            Layout::Ndjson(members) => members
                .meanings()
                .filter(|(_, meaning)| matches!(meaning, Meaning::Fields(claims) if claims.is_empty()))
                .map(|(name, _)| name)
                .collect(),
        }
    }
}
