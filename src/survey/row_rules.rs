//! What the operator says of whole rows: which of them count, which is newer, what clears a field.
//!
//! Not here: the judgement itself (`survey.rs`), conditions and order values (`plan/`), the rules of fields
//! (`fields/`).

use std::sync::LazyLock;

use super::chosen::{CHOSEN_COLUMNS, Chosen};
use crate::fields::{Cleaning, RuleOptions, bare};
use crate::input::Row;
use crate::plan::Filter;
use crate::row::Place;
use crate::update::{FieldKind, FieldSet};

/// What the operator says of whole rows: which of them count, which is newer, what clears a field.
#[derive(Debug, Clone, Default)]
pub struct RowRules {
    /// Conditions; rows that do not meet them are filtered.
    pub filter: Filter,
    /// The column that orders the rows of a subject; `None` for their order in the inputs.
    pub order_by: Option<String>,
    /// What clears a field.
    pub clears: Clears,
    /// Which rows of a run's row files are taken; `None` for all, and for every input that is no row file.
    pub chosen: Option<Chosen>,
    /// The one row to look at, by its ordinal; every other one is filtered, readable or not.
    pub only: Option<u64>,
}

impl RowRules {
    /// Columns to be read beside those of fields, as [`crate::input::InputOptions::watched`] wants them: those of the
    /// conditions, then that of the order, then those of the choice.
    pub fn watched(&self) -> Vec<String> {
        let chosen = self.chosen.iter().flat_map(|_| CHOSEN_COLUMNS);
        self.filter.columns().chain(self.order_by.as_deref()).chain(chosen).map(str::to_owned).collect()
    }

    /// Whether a replay takes the row.
    pub(super) fn is_chosen(&self, row: &Row<'_>) -> bool {
        let Some(chosen) = &self.chosen else { return true };
        let begin = self.filter.columns().count() + usize::from(self.order_by.is_some());
        let [reason, signature] = [begin, begin + 1].map(|column| row.watched(column).unwrap_or_default());
        chosen.keeps(reason, signature)
    }

    /// Whether a row is left out without a look at it.
    pub(super) fn leaves_out(&self, place: Place) -> bool {
        self.only.is_some_and(|ordinal| ordinal != place.ordinal)
    }

    /// What of it shapes the batch, as a text that is equal when that is; empty when there is nothing. What clears a
    /// field is part of the rules' fingerprint.
    pub fn shaping(&self) -> String {
        let order =
            self.order_by.as_ref().map_or_else(String::new, |column| format!("order by {column:?}\n"));
        let chosen = self.chosen.as_ref().map_or_else(String::new, Chosen::shaping);
        let only = self.only.map_or_else(String::new, |ordinal| format!("only row {ordinal}\n"));
        format!("{}{order}{chosen}{only}", self.filter.canonical())
    }
}

/// What clears a field.
#[derive(Debug, Clone, Default)]
pub struct Clears {
    token: Option<String>,
    clearable: FieldSet,
    null_clears: bool,
}

impl Clears {
    /// What the options of the rules say of it.
    pub fn new(options: &RuleOptions) -> Clears {
        let token = options.clear_token.as_deref().map(|token| bare(token, Cleaning::Opaque).into_owned());
        let token = token.filter(|token| !token.is_empty());
        let mut clearable = options.clearable;
        clearable.remove(FieldKind::Password);
        Clears { token, clearable, null_clears: options.null_clears }
    }

    /// The fields that a row clears, and those that it asks to clear and may not. A null says nothing where it may not
    /// clear: exports write it for whatever they lack. Nothing clears the key.
    pub(super) fn of(&self, row: &Row<'_>, key: Option<FieldKind>) -> (FieldSet, FieldSet) {
        let (mut cleared, mut refused) = (FieldSet::EMPTY, FieldSet::EMPTY);
        for kind in FieldKind::ALL {
            let may = self.clearable.contains(kind) && Some(kind) != key;
            if let Some(token) = &self.token
                && row.cell(kind).and_then(|cell| reads_as(cell, token)) == Some(true)
            {
                if may { cleared.insert(kind) } else { refused.insert(kind) }
            } else if self.null_clears && may && row.is_null(kind) {
                cleared.insert(kind);
            }
        }
        (cleared, refused)
    }

    /// The fields whose cell is the token but for case or white space. Sent as a value it would overwrite what it was
    /// to clear.
    pub(super) fn near_misses(&self, row: &Row<'_>) -> FieldSet {
        let Some(token) = &self.token else { return FieldSet::EMPTY };
        let is_missed =
            |kind: &FieldKind| row.cell(*kind).and_then(|cell| reads_as(cell, token)) == Some(false);
        FieldKind::ALL.into_iter().filter(is_missed).collect()
    }

    /// Whether anything does.
    pub(super) fn is_any(&self) -> bool {
        self.token.is_some() || self.null_clears
    }
}

/// Whether the cell is the token, letter by letter or else but for case and white space; `None` when it is something
/// else. It is cleaned first, as the rules clean it: what a spreadsheet adds would be taken off again and the token
/// sent.
fn reads_as(cell: &str, token: &str) -> Option<bool> {
    let cell = bare(cell, Cleaning::Opaque);
    if cell == token {
        return Some(true);
    }
    folded(&cell).eq(folded(token)).then_some(false)
}

/// What is asked of rows when the operator says nothing.
pub(super) static NO_ROW_RULES: LazyLock<RowRules> = LazyLock::new(RowRules::default);

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_in_other_case_is_a_near_miss_and_no_value() {
        for near in ["#clear#", "#Clear#", " #clear# ", "# CLEAR #", "#CLEAR #"] {
            assert_eq!(reads_as(near, "#CLEAR#"), Some(false), "{near}");
        }
        for other in ["#CLEAR#", " #CLEAR# ", "", "clear", "#CLEARED#"] {
            assert_ne!(reads_as(other, "#CLEAR#"), Some(false), "{other}");
        }
    }
}
