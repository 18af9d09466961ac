//! Whole columns: what no single row can show, gathered row by row in bounded memory.
//!
//! Not here: damage of one value (`mangle.rs` and the fields' own files), names of columns and what an alarm is said
//! like (`report/`).

use crate::row::Place;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

use super::{Checked, RuleSet};

/// Least number of damaged values that is an alarm.
const DAMAGED_MIN: u64 = 3;

/// A column of which one value in so many is damaged, or more, is an alarm.
const DAMAGED_ONE_IN: u64 = 100;

/// An alarm about the column of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ColumnAlarm {
    /// The field.
    pub field: FieldKind,
    /// The rule's code.
    pub code: &'static str,
    /// Values that show it.
    pub affected: u64,
    /// Values in the column.
    pub values: u64,
    /// Where first.
    pub first: Option<Place>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Column {
    values: u64,
    damaged: u64,
    first: Option<Place>,
}

/// What was seen of all columns so far.
#[derive(Debug)]
pub struct ColumnBook {
    columns: [Column; FIELD_COUNT],
}

impl ColumnBook {
    /// Empty books. `mapped` are the fields that have a column in every input.
    pub fn new(_rules: &RuleSet, _mapped: FieldSet) -> ColumnBook {
        ColumnBook { columns: [Column::default(); FIELD_COUNT] }
    }

    /// Notes a row that was checked, rejected ones too.
    pub fn observe(&mut self, place: Place, checked: &Checked) {
        let found: FieldSet = checked.findings.iter().filter_map(|finding| finding.field).collect();
        for field in found.union(checked.fields.present()).iter() {
            self.columns[field.index()].values += 1;
        }
        let mut damaged = FieldSet::EMPTY;
        for finding in &checked.findings {
            if let Some(field) = finding.field.filter(|field| !damaged.contains(*field))
                && finding.rule.rule().code.starts_with("excel.")
            {
                damaged.insert(field);
                let column = &mut self.columns[field.index()];
                column.damaged += 1;
                column.first.get_or_insert(place);
            }
        }
    }

    /// The alarms, in wire order.
    pub fn alarms(&self) -> Vec<ColumnAlarm> {
        let columns = FieldKind::ALL.into_iter().zip(self.columns);
        let alarmed = columns.filter(|(_, column)| {
            column.damaged >= DAMAGED_MIN && column.damaged.saturating_mul(DAMAGED_ONE_IN) >= column.values
        });
        alarmed
            .map(|(field, column)| ColumnAlarm {
                field,
                code: "column.damage",
                affected: column.damaged,
                values: column.values,
                first: column.first,
            })
            .collect()
    }

    /// Fields with damaged values: how many, of how many.
    pub fn damaged(&self) -> impl Iterator<Item = (FieldKind, u64, u64)> {
        let columns = FieldKind::ALL.into_iter().zip(self.columns);
        columns
            .filter(|(_, column)| column.damaged > 0)
            .map(|(field, column)| (field, column.damaged, column.values))
    }
}
