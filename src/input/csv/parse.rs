//! The cells of one CSV record.
//!
//! Nearly all records are cut into cells here: those without quotes, and those whose quotes enclose whole cells and
//! hold no other quote. All others are parsed by the csv crate, whose reading this one agrees with. Not here: where a
//! record ends (`split.rs`), what its cells mean (`fields/`).

use std::io::Cursor;

use csv::StringRecord;

use crate::input::footer::{self, Kind};
use crate::input::header::CsvLayout;

/// Cells of a record. It has no `Debug`: it holds values.
#[derive(Default)]
pub(in crate::input) struct Cells {
    text: String,
    /// Where in the text each cell begins and ends.
    spans: Vec<(usize, usize)>,
}

impl Cells {
    #[inline]
    pub(in crate::input) fn get(&self, cell: usize) -> Option<&str> {
        let (begin, end) = *self.spans.get(cell)?;
        self.text.get(begin..end)
    }

    pub(in crate::input) fn len(&self) -> usize {
        self.spans.len()
    }

    pub(in crate::input) fn iter(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.spans.iter().map(|(begin, end)| self.text.get(*begin..*end).unwrap_or_default())
    }

    /// Cuts a record whose quotes, if it has some, enclose whole cells. `false`: it is none, and the cells are
    /// undefined.
    fn cut(&mut self, record: &str, delimiter: u8) -> bool {
        let bytes = record.as_bytes();
        self.spans.clear();
        self.text.clear();
        self.text.push_str(record);
        let mut begin = 0;
        loop {
            let (end, next) = if bytes.get(begin) == Some(&b'"') {
                let Some(len) = memchr::memchr(b'"', &bytes[begin + 1..]) else { return false };
                let end = begin + 1 + len;
                begin += 1;
                (end, end + 1)
            } else {
                let rest = &bytes[begin..];
                let end = begin + memchr::memchr2(delimiter, b'"', rest).unwrap_or(rest.len());
                (end, end)
            };
            self.spans.push((begin, end));
            match bytes.get(next) {
                None => return true,
                Some(byte) if *byte == delimiter => begin = next + 1,
                Some(_) => return false,
            }
        }
    }

    fn take(&mut self, record: &StringRecord) {
        self.text.clear();
        self.spans.clear();
        for cell in record {
            self.spans.push((self.text.len(), self.text.len() + cell.len()));
            self.text.push_str(cell);
        }
    }
}

/// Reads records, given one at a time. The crate's reader is made once: making one costs more than many records.
pub(in crate::input) struct Parser {
    reader: csv::Reader<Cursor<Vec<u8>>>,
    delimiter: u8,
    /// What the crate reads into.
    record: StringRecord,
}

impl Parser {
    pub(in crate::input) fn new(delimiter: u8) -> Parser {
        const BUFFER_BYTES: usize = 8 << 10;
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(Cursor::new(Vec::new()));
        let mut parser = Parser { reader, delimiter, record: StringRecord::new() };
        // The crate strips a byte order mark from what it sees first. Ours is gone already, and a mark further down
        // is content: it is not for this record to see it first.
        let primed = parser.parse_by_crate(b"first");
        debug_assert!(primed.is_ok(), "ASCII is UTF-8");
        parser
    }

    /// The cells of a header without the white space around them; the error is that of [`Parser::parse`].
    pub(in crate::input) fn names(&mut self, bytes: &[u8]) -> Result<Vec<String>, usize> {
        let mut cells = Cells::default();
        self.parse(bytes, &mut cells)?;
        Ok(cells.iter().map(|name| name.trim().to_owned()).collect())
    }

    /// What a record reads like; `None`: it is not UTF-8.
    pub(super) fn kind(&mut self, bytes: &[u8], cells: &mut Cells, layout: &CsvLayout) -> Option<Kind> {
        self.parse(bytes, cells).ok()?;
        let cells: Vec<&str> = cells.iter().collect();
        Some(footer::kind(&cells, layout.names.len(), &layout.mapped))
    }

    /// Parses one record, given without its line end. The error is the offset of the first byte that is not UTF-8.
    pub(super) fn parse(&mut self, bytes: &[u8], cells: &mut Cells) -> Result<(), usize> {
        let text = std::str::from_utf8(bytes).map_err(|bad| bad.valid_up_to())?;
        // A record of nothing is none to the crate. A delimiter that is part of a character is its own affair, too.
        if !text.is_empty() && self.delimiter.is_ascii() && cells.cut(text, self.delimiter) {
            return Ok(());
        }
        self.parse_by_crate(bytes)?;
        cells.take(&self.record);
        Ok(())
    }

    fn parse_by_crate(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let feed = self.reader.get_mut();
        feed.set_position(0);
        feed.get_mut().clear();
        feed.get_mut().extend_from_slice(bytes);
        feed.get_mut().push(b'\n');
        match self.reader.read_record(&mut self.record) {
            Ok(_) => Ok(()),
            Err(_) => Err(std::str::from_utf8(bytes).map_or_else(|bad| bad.valid_up_to(), |_| 0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is cut here is cut as the crate would.
        #[test]
        fn cells_are_those_of_the_crate(record in "[a,;\" é]{0,24}", delimiter in prop::sample::select(&b",;"[..])) {
            let mut parser = Parser::new(delimiter);
            let (mut cut, mut parsed) = (Cells::default(), Cells::default());
            prop_assert!(parser.parse_by_crate(record.as_bytes()).is_ok());
            parsed.take(&parser.record);
            if !record.is_empty() && cut.cut(&record, delimiter) {
                prop_assert_eq!(cut.iter().collect::<Vec<_>>(), parsed.iter().collect::<Vec<_>>());
            } else {
                prop_assert!(record.is_empty() || record.contains('"'));
            }
        }
    }

    #[test]
    fn plain_records_do_not_need_the_crate() {
        for (record, cells) in [
            ("a,b,,c", vec!["a", "b", "", "c"]),
            ("\"a,b\",\"c\nd\",\"\",e", vec!["a,b", "c\nd", "", "e"]),
            (",", vec!["", ""]),
            ("\"\"", vec![""]),
        ] {
            let mut cut = Cells::default();
            assert!(cut.cut(record, b','), "{record:?}");
            assert_eq!(cut.iter().collect::<Vec<_>>(), cells, "{record:?}");
        }
    }
}
