//! The table of pollutions, and how a sample of each is drawn.
//!
//! Not here: the pollutions themselves: of quotes (`quotes.rs`), of delimiters and line ends (`lines.rs`), of whole
//! files (`files.rs`).

use crate::base::{Base, Quoting, Text};
use crate::{files, lines, quotes};

/// A polluted file, and a word for where it was polluted.
pub(crate) struct Case {
    pub(crate) told: String,
    pub(crate) bytes: Vec<u8>,
}

/// A way of damaging an export.
pub(crate) struct Pollution {
    pub(crate) name: &'static str,
    /// All of its files, for the sample of rows given.
    pub(crate) make: fn(&Scene<'_>) -> Vec<Case>,
}

/// What a pollution works on.
pub(crate) struct Scene<'b> {
    pub(crate) base: &'b Base,
    /// The clean export, once with every cell quoted and once with those that need it.
    pub(crate) texts: [(Quoting, Text); 2],
    /// Records that are polluted; 0 is the header.
    pub(crate) records: Vec<usize>,
}

/// Numbers by chance, the same for the same seed (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }
}

/// Every pollution, in the order of the table.
pub(crate) const POLLUTIONS: [Pollution; 43] = [
    Pollution { name: "nothing", make: files::clean },
    Pollution { name: "quote inserted before a cell", make: quotes::before },
    Pollution { name: "quote inserted after a cell", make: quotes::after },
    Pollution { name: "quote inserted inside a cell", make: quotes::inside },
    Pollution { name: "quote doubled", make: quotes::doubled },
    Pollution { name: "quote missing", make: quotes::missing },
    Pollution { name: "opening quotes of a record missing", make: quotes::record_unopened },
    Pollution { name: "white space before quotes", make: quotes::padded },
    Pollution { name: "other quote character, one cell", make: quotes::other_cell },
    Pollution { name: "other quote character, one column", make: quotes::other_column },
    Pollution { name: "other quote character, whole file", make: quotes::other_file },
    Pollution { name: "backslash escapes", make: quotes::backslashes },
    Pollution { name: "quotes not escaped", make: quotes::unescaped },
    Pollution { name: "cells not quoted at all", make: quotes::unquoted },
    Pollution { name: "extra delimiter before a cell", make: lines::extra_before },
    Pollution { name: "extra delimiter inside a cell", make: lines::extra_inside },
    Pollution { name: "delimiter missing", make: lines::missing },
    Pollution { name: "one delimiter is another", make: lines::one_other },
    Pollution { name: "delimiters of one row are others", make: lines::row_other },
    Pollution { name: "delimiters of all rows are others", make: lines::rows_other },
    Pollution { name: "another delimiter throughout", make: lines::all_other },
    Pollution { name: "line end inserted in a cell", make: lines::broken_cell },
    Pollution { name: "line end between cells", make: lines::broken_record },
    Pollution { name: "line end missing", make: lines::joined },
    Pollution { name: "other or mixed line ends", make: lines::ends },
    Pollution { name: "blank lines", make: lines::blank },
    Pollution { name: "no or two line ends at the end", make: lines::last_end },
    Pollution { name: "truncated within the last rows", make: files::truncated },
    Pollution { name: "preamble lines", make: files::preamble },
    Pollution { name: "header of several lines", make: files::tall_header },
    Pollution { name: "no header", make: files::headless },
    Pollution { name: "header repeated", make: files::repeated_header },
    Pollution { name: "second table, other columns", make: files::second_table },
    Pollution { name: "second table, columns in another order", make: files::permuted_table },
    Pollution { name: "two files joined", make: files::concatenated },
    Pollution { name: "footer lines", make: files::footers },
    Pollution { name: "NUL", make: files::nul },
    Pollution { name: "Ctrl-Z", make: files::ctrl_z },
    Pollution { name: "byte order mark within", make: files::inner_mark },
    Pollution { name: "UTF-16 without mark", make: files::utf16 },
    Pollution { name: "Latin-1 bytes", make: files::latin1 },
    Pollution { name: "spreadsheet damage", make: files::spreadsheet },
    Pollution { name: "half and doubled rows", make: files::halves },
];

impl<'b> Scene<'b> {
    /// `records` of the clean export are polluted, chosen by chance; the header is always among them.
    pub(crate) fn new(base: &'b Base, records: usize, chance: &mut Chance) -> Scene<'b> {
        let count = base.rows.len();
        let mut chosen = vec![0, 1, count];
        while chosen.len() < records.min(count) {
            let record = 1 + chance.below(count);
            if !chosen.contains(&record) {
                chosen.push(record);
            }
        }
        chosen.sort_unstable();
        let texts = [Quoting::Minimal, Quoting::All].map(|quoting| (quoting, base.write(quoting, ",", "\n")));
        Scene { base, texts, records: chosen }
    }

    /// One case for every chosen cell of both texts that the edit has something to do with.
    pub(crate) fn each_cell(
        &self,
        edit: impl Fn(&Text, usize, usize) -> Vec<(String, Vec<u8>)>,
    ) -> Vec<Case> {
        let mut cases = Vec::new();
        for (quoting, text) in &self.texts {
            for record in &self.records {
                for (column, name) in self.base.names.iter().enumerate() {
                    for (word, bytes) in edit(text, *record, column) {
                        let told = format!("{quoting:?} quoting, record {record}, {name}: {word}");
                        cases.push(Case { told, bytes });
                    }
                }
            }
        }
        cases
    }

    /// One case for every chosen record of both texts.
    pub(crate) fn each_record(&self, edit: impl Fn(&Text, usize) -> Vec<(String, Vec<u8>)>) -> Vec<Case> {
        let mut cases = Vec::new();
        for (quoting, text) in &self.texts {
            for record in &self.records {
                for (word, bytes) in edit(text, *record) {
                    cases.push(Case { told: format!("{quoting:?} quoting, record {record}: {word}"), bytes });
                }
            }
        }
        cases
    }

    /// Cases of both texts.
    pub(crate) fn each_text(&self, edit: impl Fn(Quoting, &Text) -> Vec<(String, Vec<u8>)>) -> Vec<Case> {
        let mut cases = Vec::new();
        for (quoting, text) in &self.texts {
            for (word, bytes) in edit(*quoting, text) {
                cases.push(Case { told: format!("{quoting:?} quoting: {word}"), bytes });
            }
        }
        cases
    }
}

/// The bytes with a stretch of them replaced.
pub(crate) fn spliced(bytes: &[u8], place: std::ops::Range<usize>, with: &[u8]) -> Vec<u8> {
    [&bytes[..place.start], with, &bytes[place.end..]].concat()
}
