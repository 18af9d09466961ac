//! What is known of an input's columns, whatever its format.
//!
//! Not here: how a layout is found out (`header.rs`, `members.rs`), and who may ask (`inputs.rs`).

use std::sync::Arc;

use super::blocks::Source;
use super::header::CsvLayout;
use super::map::{self, MappedBy, Meaning, Rules};
use super::members::Members;
use super::names::{is_reserved, is_silent};
use super::watched::WatchedAt;
use crate::update::FieldKind;

/// Columns of an input.
pub(super) enum Layout {
    /// Shared with those who read stretches of the input ahead.
    Csv(Arc<CsvLayout>),
    Ndjson(Members),
}

/// An input with its layout.
pub(super) struct Shape {
    pub(super) source: Source,
    pub(super) layout: Layout,
    /// For each of its columns, the position in [`super::Inputs::columns`]; `None` for our own.
    pub(super) positions: Vec<Option<usize>>,
    /// Of CSV: where its header has the watched columns, in the order of [`super::InputOptions::watched`].
    pub(super) watched: Vec<WatchedAt>,
}

impl Shape {
    /// Whether a null in this column says something of a field: it stands for one itself, and not a path below it. A
    /// password is never cleared.
    pub(super) fn may_be_null(&self, column: usize, rules: &Rules) -> bool {
        let is_flat = |path: usize| rules.path(path).is_some_and(|(pointer, _)| pointer.is_flat());
        match &self.layout {
            Layout::Csv(layout) => layout.may_be_null(column),
            Layout::Ndjson(members) => match members.meaning(column) {
                Meaning::Reserved => false,
                Meaning::Fields(claims) => claims
                    .iter()
                    .any(|claim| claim.field != FieldKind::Password && claim.path.is_none_or(is_flat)),
            },
        }
    }
}

impl CsvLayout {
    /// See [`Shape::may_be_null`].
    pub(super) fn may_be_null(&self, column: usize) -> bool {
        FieldKind::ALL.into_iter().any(|field| {
            let is_it = self.columns[field.index()].is_some_and(|(taken, _)| taken == column);
            is_it && field != FieldKind::Password && !self.nested.contains(field)
        })
    }

    /// See [`Layout::claims`].
    pub(super) fn claims<'s>(&'s self, rules: &'s Rules) -> Vec<(FieldKind, &'s str, MappedBy)> {
        let path_name = |path: Option<usize>| Some(rules.path(path?)?.1);
        let claim_of = |field: FieldKind| {
            let (column, by) = self.columns[field.index()]?;
            let name = self.names[column].as_str();
            let claim = map::claim_on(field, &rules.meaning(name)).filter(|claim| claim.by == by);
            Some((field, claim.and_then(|claim| path_name(claim.path)).unwrap_or(name), by))
        };
        FieldKind::ALL.into_iter().filter_map(claim_of).collect()
    }
}

impl Layout {
    /// All column names, our own included, in their order.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Layout::Csv(layout) => layout.names.iter().map(String::as_str).collect(),
            Layout::Ndjson(members) => members.meanings().map(|(name, _)| name).collect(),
        }
    }

    /// The columns mapped by name that the input lacks. A path is asked for in its rows, too.
    pub(super) fn missing<'r>(&self, rules: &'r Rules) -> Vec<(FieldKind, &'r str)> {
        rules.missing(&self.names(), &|path| match self {
            // A file fed back holds what failed: it may well lack what the path leads to.
            Layout::Csv(layout) => layout.origin[0].is_some() || layout.nested.leads(path),
            Layout::Ndjson(members) => members.leads(path),
        })
    }

    /// The columns that stand for a field, in wire order, or the paths that begin at one. Of NDJSON several may: each
    /// row has its own members.
    pub(super) fn claims<'s>(&'s self, rules: &'s Rules) -> Vec<(FieldKind, &'s str, MappedBy)> {
        let path_name = |path: Option<usize>| Some(rules.path(path?)?.1);
        match self {
            Layout::Csv(layout) => layout.claims(rules),
            Layout::Ndjson(members) => FieldKind::ALL
                .into_iter()
                .flat_map(|field| {
                    members.meanings().filter_map(move |(name, meaning)| {
                        let claim = map::claim_on(field, meaning)?;
                        Some((field, path_name(claim.path).unwrap_or(name), claim.by))
                    })
                })
                .collect(),
        }
    }

    /// The columns that stand for a field, or hold the path to it.
    pub(super) fn columns_of(&self, field: FieldKind) -> Vec<usize> {
        match self {
            Layout::Csv(layout) => {
                layout.columns[field.index()].map(|(column, _)| column).into_iter().collect()
            }
            Layout::Ndjson(members) => {
                let claimed = |(_, meaning): &(&str, &Meaning)| map::claim_on(field, meaning).is_some();
                let members = members.meanings().enumerate();
                members.filter(|(_, member)| claimed(member)).map(|(at, _)| at).collect()
            }
        }
    }

    /// The columns that stand for no field and are not our own.
    pub(super) fn unmapped(&self) -> Vec<&str> {
        match self {
            Layout::Csv(layout) => {
                let taken: Vec<usize> = layout.columns.iter().flatten().map(|(column, _)| *column).collect();
                let names = layout.names.iter().enumerate();
                names
                    .filter(|(column, name)| {
                        !taken.contains(column) && !is_reserved(name) && !is_silent(name)
                    })
                    .map(|(_, name)| name.as_str())
                    .collect()
            }
            Layout::Ndjson(members) => members
                .meanings()
                .filter(|(_, meaning)| matches!(meaning, Meaning::Fields(claims) if claims.is_empty()))
                // Salesforce puts type and address of the record there.
                .filter(|(name, _)| *name != "attributes" && !is_silent(name))
                .map(|(name, _)| name)
                .collect(),
        }
    }
}
