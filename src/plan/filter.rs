//! Conditions on columns (`--where`): which readable rows are rows of the job at all.
//!
//! A condition is a column, an operator and a value. Several `=` on one column are met by any of them; everything else
//! has to be met together. Text is compared without regard to case (ASCII) and to white space around it; `<` and `>`
//! compare numbers with numbers and dates with dates. Not here: finding the column (`input/`), who is asked first
//! (`survey.rs`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::choice::choice;
use crate::fields::{Cleaning, bare};

use super::order::OrderValue;

choice! {
    /// How a cell is held against a condition's value.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum Operator {
        /// The same text.
        Equal = "=",
        /// Another text.
        NotEqual = "!=",
        /// Less, or earlier.
        Less = "<",
        /// Not more, or not later.
        LessOrEqual = "<=",
        /// More, or later.
        More = ">",
        /// Not less, or not earlier.
        MoreOrEqual = ">=",
    }
}

/// What the conditions say of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// They are met.
    Yes,
    /// One of them is not met.
    No,
    /// One of them cannot be decided: its column, by its position in [`Filter::columns`], holds neither number nor
    /// date, or the other of both. The others are met.
    Unknown(usize),
}

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// There is no operator in it.
    #[error("`{text}` has no operator")]
    NoOperator {
        /// The condition as written.
        text: String,
    },
    /// There are operators in a row.
    #[error("`{text}` has more than one operator in a row")]
    ManyOperators {
        /// The condition as written.
        text: String,
    },
    /// There is no column before the operator.
    #[error("`{text}` names no column")]
    NoColumn {
        /// The condition as written.
        text: String,
    },
    /// A quote around the column's name is not closed, or followed by something else than an operator.
    #[error("the quotes in `{text}` do not go around a name")]
    Quotes {
        /// The condition as written.
        text: String,
    },
    /// The value is neither a number nor a date, and `<` or `>` has to compare it.
    #[error("the value of `{text}` is neither a number nor a date that can be read in one way only")]
    NotOrdered {
        /// The condition as written.
        text: String,
    },
    /// One column is written in two ways.
    #[error("the columns `{one}` and `{other}` look like one")]
    Alike {
        /// One of them.
        one: String,
        /// The other.
        other: String,
    },
}

impl FilterError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            FilterError::NoOperator { .. } | FilterError::ManyOperators { .. } => {
                "write COLUMN=VALUE, with one of = != < <= > >=; a value that begins with such a character goes in \
                 double quotes"
            }
            FilterError::NoColumn { .. } => "write COLUMN=VALUE; to keep rows without a value, write COLUMN=",
            FilterError::Quotes { .. } => "write \"COLUMN\"=VALUE, and a quote within the name twice",
            FilterError::NotOrdered { .. } => {
                "write a number, or a date such as 2026-01-31 or 2026-01-31T12:00:00Z"
            }
            FilterError::Alike { .. } => "write one column in the same way in every condition",
        }
    }
}

/// The conditions on one column.
#[derive(Debug, Clone)]
struct ColumnRules {
    column: String,
    /// Any of these, if there are any.
    any_of: Vec<String>,
    none_of: Vec<String>,
    bounds: Vec<(Operator, OrderValue)>,
}

/// All conditions of a job.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    columns: Vec<ColumnRules>,
    canonical: String,
}

impl Filter {
    /// Reads conditions as they are written. The operator is the first one in the text; a column whose name holds one
    /// is put in double quotes, and so may be a value.
    ///
    /// # Errors
    /// The first condition that is none.
    pub fn parse(conditions: &[String]) -> Result<Filter, FilterError> {
        let mut columns: Vec<ColumnRules> = Vec::new();
        let mut lines = BTreeSet::new();
        for text in conditions {
            let (column, operator, value) = take_apart(text)?;
            let at = match columns.iter().position(|known| known.column == column) {
                Some(at) => at,
                None => {
                    if let Some(alike) = columns.iter().find(|known| is_alike(&known.column, &column)) {
                        return Err(FilterError::Alike { one: alike.column.clone(), other: column });
                    }
                    let (any_of, none_of, bounds) = (Vec::new(), Vec::new(), Vec::new());
                    columns.push(ColumnRules { column: column.clone(), any_of, none_of, bounds });
                    columns.len() - 1
                }
            };
            let rules = &mut columns[at];
            let folded = bare(&value, Cleaning::Text).to_ascii_lowercase();
            lines.insert(format!("{column:?} {} {folded:?}", operator.name()));
            match operator {
                Operator::Equal => rules.any_of.push(folded),
                Operator::NotEqual => rules.none_of.push(folded),
                Operator::Less | Operator::LessOrEqual | Operator::More | Operator::MoreOrEqual => {
                    let bound = OrderValue::parse(&value).ok().flatten();
                    let bound = bound.ok_or_else(|| FilterError::NotOrdered { text: text.clone() })?;
                    rules.bounds.push((operator, bound));
                }
            }
        }
        let canonical = lines.iter().fold(String::new(), |mut all, line| {
            // Writing to a string cannot fail.
            writeln!(all, "{line}").unwrap_or_default();
            all
        });
        Ok(Filter { columns, canonical })
    }

    /// Whether there is no condition at all.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The columns it asks about, each once.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|rules| rules.column.as_str())
    }

    /// Holds a row against the conditions; `cell` gives the cell of a column by its position in [`Filter::columns`].
    /// A cell that is absent is empty. Cells are cleaned as the rules of fields clean them: what nobody sees, and
    /// what a spreadsheet puts around a text, is no part of it. What is certainly not met outweighs what cannot be
    /// decided.
    pub fn keeps<'c>(&self, cell: impl Fn(usize) -> Option<&'c str>) -> Kept {
        let mut undecided = None;
        for (at, rules) in self.columns.iter().enumerate() {
            match rules.is_met(cell(at).unwrap_or_default()) {
                Some(true) => {}
                Some(false) => return Kept::No,
                None => undecided = undecided.or(Some(at)),
            }
        }
        undecided.map_or(Kept::Yes, Kept::Unknown)
    }

    /// The conditions as a text that is equal when they mean the same; part of the batch id.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

impl ColumnRules {
    /// Whether a cell meets the conditions; `None` when it cannot be told.
    fn is_met(&self, cell: &str) -> Option<bool> {
        let text = bare(cell, Cleaning::Text);
        let cell = text.as_ref();
        let is = |value: &String| value.eq_ignore_ascii_case(cell);
        if (!self.any_of.is_empty() && !self.any_of.iter().any(is)) || self.none_of.iter().any(is) {
            return Some(false);
        }
        if self.bounds.is_empty() {
            return Some(true);
        }
        let value = OrderValue::parse(cell).ok().flatten()?;
        let mut is_met = Some(true);
        for (operator, bound) in &self.bounds {
            if bound.kind != value.kind {
                is_met = None;
                continue;
            }
            let (cell, bound) = (value.rank, bound.rank);
            let holds = match operator {
                Operator::Equal | Operator::NotEqual => true,
                Operator::Less => cell < bound,
                Operator::LessOrEqual => cell <= bound,
                Operator::More => cell > bound,
                Operator::MoreOrEqual => cell >= bound,
            };
            if !holds {
                return Some(false);
            }
        }
        is_met
    }
}

/// Column, operator and value of a condition.
fn take_apart(text: &str) -> Result<(String, Operator, String), FilterError> {
    let own = || text.to_owned();
    let trimmed = text.trim_start();
    let (column, rest) = match trimmed.strip_prefix('"') {
        Some(quoted) => {
            let (name, rest) = unquote(quoted).ok_or_else(|| FilterError::Quotes { text: own() })?;
            let rest = rest.trim_start();
            if operator_at(rest).is_none() {
                return Err(FilterError::Quotes { text: own() });
            }
            (name, rest)
        }
        None => {
            let at =
                trimmed.char_indices().map(|(at, _)| at).find(|at| operator_at(&trimmed[*at..]).is_some());
            let at = at.ok_or_else(|| FilterError::NoOperator { text: own() })?;
            (trimmed[..at].to_owned(), &trimmed[at..])
        }
    };
    let column = column.trim().to_owned();
    let (operator, value) = operator_at(rest).ok_or_else(|| FilterError::NoOperator { text: own() })?;
    if column.is_empty() {
        return Err(FilterError::NoColumn { text: own() });
    }
    let value = value.trim();
    if value.starts_with(['=', '<', '>']) || value.starts_with("!=") {
        return Err(FilterError::ManyOperators { text: own() });
    }
    let value = match value.strip_prefix('"').and_then(unquote) {
        Some((inner, "")) => inner.trim().to_owned(),
        Some(_) | None => value.to_owned(),
    };
    Ok((column, operator, value))
}

/// The operator that the text begins with, the longest one, and what is behind it.
fn operator_at(text: &str) -> Option<(Operator, &str)> {
    let fitting = Operator::ALL.into_iter().filter(|operator| text.starts_with(operator.name()));
    let operator = fitting.max_by_key(|operator| operator.name().len())?;
    Some((operator, &text[operator.name().len()..]))
}

/// What stands before the closing quote, two of them meaning one, and what stands behind it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        inner.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                inner.push('"');
                rest = more;
            }
            None => return Some((inner, rest)),
        }
    }
}

/// Whether an input may take two names for one column: letters and digits are the same.
fn is_alike(one: &str, other: &str) -> bool {
    let bare = |name: &str| -> String {
        name.to_lowercase().chars().filter(|letter| letter.is_alphanumeric()).collect()
    };
    let one = bare(one);
    !one.is_empty() && one == bare(other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(conditions: &[&str]) -> Result<Filter, FilterError> {
        Filter::parse(&conditions.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn keeps(conditions: &[&str], cells: &[&str]) -> Kept {
        filter(conditions).unwrap().keeps(|at| cells.get(at).copied())
    }

    #[test]
    fn conditions_on_one_column() {
        use Kept::{No, Unknown, Yes};
        for (condition, cell, expected) in [
            ("status=Active", "Active", Yes),
            ("status=Active", " ACTIVE ", Yes),
            ("status = Active ", "active", Yes),
            ("status=Active", "Inactive", No),
            ("status=Active", "", No),
            ("deleted=", "", Yes),
            ("deleted=", "  ", Yes),
            ("deleted=", "x", No),
            ("deleted!=", "x", Yes),
            ("status!=closed", "Closed", No),
            ("status!=closed", "", Yes),
            ("balance>10", "9", No),
            ("balance>10", "10", No),
            ("balance>=10", "10.0", Yes),
            ("balance<10", "9", Yes),
            ("balance<=10", "10", Yes),
            ("balance<=10", "11", No),
            ("balance<10", "n/a", Unknown(0)),
            ("balance<10", "", Unknown(0)),
            ("balance<10", "2026-01-01", Unknown(0)),
            ("modified>=2026-01-01", "31.12.2025 23:59", No),
            ("modified>=2026-01-01", "2026-01-01T00:00:00Z", Yes),
            ("modified>=2026-01-01", "01/02/2026", Unknown(0)),
            ("modified>=2026-01-01", "5", Unknown(0)),
            ("\"a=b\"=c", "C", Yes),
            ("\"a \"\"b\"\"\"=c", "c", Yes),
            ("note=\"=x\"", "=x", Yes),
            ("note=a=b", "a=b", Yes),
            ("note=\"", "\"", Yes),
        ] {
            assert_eq!(keeps(&[condition], &[cell]), expected, "{condition} with `{cell}`");
        }
    }

    #[test]
    fn one_column_any_of_several_columns_all() {
        let conditions = ["status=active", "tier=gold", "status=pending", "tier!=test"];
        let filter = filter(&conditions).unwrap();
        assert_eq!(filter.columns().collect::<Vec<_>>(), ["status", "tier"]);
        for (status, tier, expected) in [
            ("active", "gold", Kept::Yes),
            ("pending", "gold", Kept::Yes),
            ("closed", "gold", Kept::No),
            ("active", "basic", Kept::No),
        ] {
            assert_eq!(keeps(&conditions, &[status, tier]), expected, "{status} {tier}");
        }
        let between = ["age>=18", "age<65"];
        assert_eq!(keeps(&between, &["17"]), Kept::No);
        assert_eq!(keeps(&between, &["18"]), Kept::Yes);
        assert_eq!(keeps(&between, &["65"]), Kept::No);
    }

    #[test]
    fn what_is_not_met_outweighs_what_cannot_be_told() {
        let conditions = ["modified>2026-01-01", "status=active"];
        assert_eq!(keeps(&conditions, &["?", "closed"]), Kept::No);
        assert_eq!(keeps(&conditions, &["?", "active"]), Kept::Unknown(0));
        assert_eq!(keeps(&["a<1", "a>2026-01-01"], &["5"]), Kept::No);
        assert_eq!(keeps(&["a<1", "a>2026-01-01"], &["0"]), Kept::Unknown(0));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        let error = |text: &str| filter(&[text]).unwrap_err();
        assert!(matches!(error("status"), FilterError::NoOperator { .. }));
        assert!(matches!(error("important!"), FilterError::NoOperator { .. }));
        assert!(matches!(error("=x"), FilterError::NoColumn { .. }));
        assert!(matches!(error("\"\"=x"), FilterError::NoColumn { .. }));
        assert!(matches!(error("status==x"), FilterError::ManyOperators { .. }));
        assert!(matches!(error("age=>5"), FilterError::ManyOperators { .. }));
        assert!(matches!(error("age<>5"), FilterError::ManyOperators { .. }));
        assert!(matches!(error("\"status=x"), FilterError::Quotes { .. }));
        assert!(matches!(error("\"status\"x=x"), FilterError::Quotes { .. }));
        assert!(matches!(error("modified>yesterday"), FilterError::NotOrdered { .. }));
        assert!(matches!(error("modified>"), FilterError::NotOrdered { .. }));
        assert!(matches!(error("modified>01/02/2026"), FilterError::NotOrdered { .. }));
        let alike = filter(&["Status=a", "status=b"]).unwrap_err();
        assert!(matches!(alike, FilterError::Alike { .. }), "{alike}");
        assert!(!alike.remedy().is_empty());
    }

    #[test]
    fn the_canonical_text_knows_no_order_and_no_case_of_values() {
        let canonical = |conditions: &[&str]| filter(conditions).unwrap().canonical().to_owned();
        let base = canonical(&["a=x", "b!=y", "a=z"]);
        assert_eq!(base, canonical(&["b != Y", "a=Z", "a=X", "a=x"]));
        for other in [&["a=x", "b!=y"][..], &["a=x", "b=y", "a=z"], &["A=x", "b!=y", "A=z"]] {
            assert_ne!(base, canonical(other));
        }
        assert_eq!(canonical(&[]), "");
    }

    proptest! {
        #[test]
        fn any_text_is_a_condition_or_is_not(text in ".{0,40}", cell in ".{0,20}") {
            if let Ok(filter) = Filter::parse(std::slice::from_ref(&text)) {
                prop_assert_eq!(filter.columns().count(), 1);
                let kept = filter.keeps(|_| Some(&cell));
                prop_assert_eq!(kept, filter.keeps(|_| Some(&cell)));
            }
        }

        #[test]
        fn equal_and_not_equal_part_the_rows(value in "[a-zA-Z0-9 ]{0,6}", cell in "[a-zA-Z0-9 ]{0,6}") {
            let equal = keeps(&[&format!("c={value}")], &[&cell]);
            let other = keeps(&[&format!("c!={value}")], &[&cell]);
            prop_assert_ne!(equal, other);
        }
    }
}
