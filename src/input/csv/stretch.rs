//! Records of a stretch that somebody reads ahead, and what one stretch leaves for the next.
//!
//! Not here: who reads ahead (`ahead.rs`), the records themselves (`csv.rs`).

use super::parse::{Cells, Parser};
use super::{CsvRows, Doubt, Lone};
use crate::input::header::{CsvLayout, Ending};
use crate::input::nested::NestedCells;
use crate::input::split::Splitter;

/// What one record leaves for those after it. What it does not name is known at the end of a file only.
#[derive(Debug, Clone, Copy)]
pub(in crate::input) struct Carry {
    doubt: Option<Doubt>,
    uncounted: bool,
    other_header: Option<u64>,
    after_blank: bool,
    lone: Option<Lone>,
    has_names_only: bool,
}

impl CsvRows {
    /// Reads stretches of files of this layout, each of them after [`CsvRows::turn_to`].
    pub(in crate::input) fn of_stretches(layout: &CsvLayout) -> CsvRows {
        CsvRows {
            splitter: Splitter::new(),
            parser: Parser::new(layout.delimiter),
            record: Cells::default(),
            nested: NestedCells::default(),
            doubt: None,
            uncounted: false,
            other_header: None,
            after_blank: false,
            lone: None,
            ending: Ending::Whole,
            has_names_only: false,
            has_trailer: false,
            rows_to: 0,
            rows_before: 0,
            until: 0,
            asked_for_names: false,
        }
    }

    /// Goes to a stretch that begins with a record and is read up to this offset. Nothing before it casts doubt on its
    /// rows, and there are some; whether all of them were more than names is a guess.
    pub(in crate::input) fn turn_to(&mut self, until: u64, has_names_only: bool) {
        self.splitter = Splitter::new();
        (self.doubt, self.lone, self.other_header) = (None, None, None);
        (self.after_blank, self.uncounted, self.asked_for_names) = (false, false, false);
        self.ending = Ending::Whole;
        self.rows_to = 0;
        self.has_names_only = has_names_only;
        self.until = until;
    }

    /// Whether the record after this one can be read by somebody who knows nothing of those before.
    pub(in crate::input) fn is_settled(&self) -> bool {
        self.doubt.is_none() && self.lone.is_none() && self.other_header.is_none() && !self.after_blank
    }

    /// Whether rows were of names alone, as far as was read.
    pub(in crate::input) fn has_names_only(&self) -> bool {
        self.has_names_only
    }

    /// Whether it decided something that rows of names alone were seen before, or not.
    pub(in crate::input) fn asked_for_names(&self) -> bool {
        self.asked_for_names
    }

    /// What is left for the records after the one read last.
    pub(in crate::input) fn carry(&self) -> Carry {
        Carry {
            doubt: self.doubt,
            uncounted: self.uncounted,
            other_header: self.other_header,
            after_blank: self.after_blank,
            lone: self.lone,
            has_names_only: self.has_names_only,
        }
    }

    /// Goes on where the reader of a stretch ended that began here.
    pub(in crate::input) fn go_on_from(&mut self, carry: Carry) {
        let Carry { doubt, uncounted, other_header, after_blank, lone, has_names_only } = carry;
        self.doubt = doubt;
        self.uncounted |= uncounted;
        self.other_header = other_header;
        self.after_blank = after_blank;
        self.lone = lone;
        self.has_names_only |= has_names_only;
    }

    /// Bytes of the window moved down.
    pub(in crate::input) fn moved(&mut self, by: usize) {
        self.splitter.moved(by);
    }
}
