//! Paths into CSV cells that hold JSON, as row files hold the nested members of an NDJSON input.
//!
//! Not here: the path itself (`pointer.rs`), the text of a value (`value.rs`), records (`csv.rs`).

use super::error::Problem;
use super::map::{FieldColumns, MappedBy, Meaning, Rules, Trail, claim_on};
use super::pointer::Pointer;
use super::value::{Scalar, Taking, nested_in};
use super::{Bounds, UnsafeIntegers};
use crate::update::{FieldKind, FieldSet};

/// A column in whose cells a path goes on.
#[derive(Clone)]
struct NestedColumn {
    field: FieldKind,
    column: usize,
    /// The path's number among the operator's.
    path: usize,
    pointer: Pointer,
    /// The path as the operator wrote it.
    name: String,
}

/// The nested columns of a CSV header; usually none.
#[derive(Clone, Default)]
pub(super) struct NestedColumns {
    list: Vec<NestedColumn>,
    unsafe_integers: UnsafeIntegers,
    /// How far each path was followed, by its number; complete after the survey.
    pub(super) trails: Vec<Trail>,
}

/// What the paths came to in the record read last. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct NestedCells {
    values: Vec<(FieldKind, Option<String>)>,
    pub(super) numbers: FieldSet,
    /// The fields whose path leads to null.
    pub(super) nulls: FieldSet,
    pub(super) trails: Vec<Trail>,
}

impl NestedColumns {
    pub(super) fn new(columns: &FieldColumns, meanings: &[Meaning], rules: &Rules) -> NestedColumns {
        let of_field = |field: FieldKind| {
            let (column, by) = columns[field.index()].filter(|(_, by)| *by == MappedBy::Path)?;
            let path = claim_on(field, meanings.get(column)?).filter(|claim| claim.by == by)?.path?;
            let (pointer, name) = rules.path(path)?;
            let (pointer, name) = (pointer.clone(), name.to_owned());
            // A path of one step is the column itself: its cell is text and no JSON.
            (!pointer.is_flat()).then_some(NestedColumn { field, column, path, pointer, name })
        };
        NestedColumns {
            list: FieldKind::ALL.into_iter().filter_map(of_field).collect(),
            unsafe_integers: rules.unsafe_integers,
            trails: Vec::new(),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the cells of a field's column hold JSON.
    pub(super) fn contains(&self, field: FieldKind) -> bool {
        self.list.iter().any(|nested| nested.field == field)
    }

    /// Whether nothing speaks against a path.
    pub(super) fn leads(&self, path: usize) -> bool {
        self.trails.get(path).copied().unwrap_or_default().leads()
    }
}

impl NestedCells {
    /// Goes on with what earlier passes saw of the paths.
    pub(super) fn begin(columns: &NestedColumns) -> NestedCells {
        NestedCells { trails: columns.trails.clone(), ..NestedCells::default() }
    }

    /// Follows the paths in a record, whose cells are asked for by their column.
    pub(super) fn read<'c>(
        &mut self,
        columns: &NestedColumns,
        cell: impl Fn(usize) -> Option<&'c str>,
        bounds: &Bounds,
    ) -> Result<(), Problem> {
        self.values.clear();
        self.numbers = FieldSet::EMPTY;
        self.nulls = FieldSet::EMPTY;
        let taking = Taking { unsafe_integers: columns.unsafe_integers, depth_max: bounds.json_depth_max };
        for nested in &columns.list {
            let text = cell(nested.column).unwrap_or_default();
            let found = nested_in(text, &nested.pointer, taking);
            let (led, scalar) = found.map_err(|problem| problem.of_column(&nested.name))?;
            if self.trails.len() <= nested.path {
                self.trails.resize(nested.path + 1, Trail::default());
            }
            self.trails[nested.path].led |= led;
            self.trails[nested.path].tried |= !text.trim().is_empty();
            let value = match scalar {
                Scalar::Absent => {
                    if led {
                        self.nulls.insert(nested.field);
                    }
                    None
                }
                Scalar::Text(text) => Some(text.into_owned()),
                Scalar::Number(literal) => {
                    self.numbers.insert(nested.field);
                    Some(literal.to_owned())
                }
            };
            self.values.push((nested.field, value));
        }
        Ok(())
    }

    /// What a field's path leads to in the record read last; `None` where it has no path.
    #[inline]
    pub(super) fn value(&self, field: FieldKind) -> Option<Option<&str>> {
        let (_, value) = self.values.iter().rfind(|(of, _)| *of == field)?;
        Some(value.as_deref())
    }
}
