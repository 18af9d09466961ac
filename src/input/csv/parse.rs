//! The cells of one CSV record.
//!
//! Nearly all records are cut into cells here: those without quotes, and those whose quotes enclose whole cells and
//! hold no other quote. All others are parsed by the csv crate, whose reading this one agrees with. Not here: where a
//! record ends (`split.rs`), what its cells mean (`fields/`).

use std::io::Cursor;

use csv::StringRecord;

use crate::input::footer::{self, Kind};
use crate::input::header::CsvLayout;

/// Bytes in which delimiters and quotes are looked for at once.
const WORD_BYTES: usize = size_of::<u64>();

/// Bytes in which the standard library looks at once for what is not ASCII, where they are whole words.
const ASCII_BYTES: usize = 2 * WORD_BYTES;

/// Cells of a record. It has no `Debug`: it holds values.
#[derive(Default)]
pub(in crate::input) struct Cells {
    /// The record, or its cells one behind the other; what comes behind belongs to no cell.
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

    /// Takes the text of a record. The error is the offset of the first byte that is not UTF-8.
    fn hold(&mut self, record: &[u8]) -> Result<(), usize> {
        self.spans.clear();
        let mut text = std::mem::take(&mut self.text).into_bytes();
        text.clear();
        text.extend_from_slice(record);
        // Where a text begins and ends between words, each byte there is looked at by itself, to see whether it is
        // UTF-8: that took most of the time.
        text.resize(record.len().next_multiple_of(ASCII_BYTES), 0);
        self.text = String::from_utf8(text).map_err(|bad| bad.utf8_error().valid_up_to())?;
        Ok(())
    }

    /// Cuts the record in the text, of so many bytes, whose quotes, if it has some, enclose whole cells. `false`: it
    /// is none, and the cells are undefined.
    fn cut(&mut self, len: usize, delimiter: u8) -> bool {
        let Cells { text, spans } = self;
        let mut signs = Signs::new(text.as_bytes(), len, delimiter);
        let mut begin = 0;
        loop {
            let sign = signs.next();
            let is_quoted = sign.is_some_and(|(at, byte)| at == begin && byte == b'"');
            let delimiter_at = if is_quoted {
                let Some((end, _)) = signs.find(|(_, byte)| *byte == b'"') else { return false };
                spans.push((begin + 1, end));
                match signs.next() {
                    None if end + 1 == len => return true,
                    Some((at, byte)) if at == end + 1 && byte == delimiter => at,
                    None | Some(_) => return false,
                }
            } else {
                spans.push((begin, sign.map_or(len, |(at, _)| at)));
                match sign {
                    None => return true,
                    Some((at, byte)) if byte == delimiter => at,
                    Some(_) => return false,
                }
            };
            begin = delimiter_at + 1;
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

/// The delimiters and quotes of a record, in their order: where each stands, and which it is. Most cells are so short
/// that a search for the next one takes as long to begin as to find it: so eight bytes are looked at as one number.
struct Signs<'t> {
    text: &'t [u8],
    len: usize,
    /// Eight times the delimiter.
    delimiters: u64,
    words: std::slice::Iter<'t, [u8; WORD_BYTES]>,
    /// Where the word at hand ends.
    end: usize,
    /// Those of the word at hand that are still to come: the high bit of each one's byte.
    left: u64,
}

impl<'t> Signs<'t> {
    /// Those in the first so many bytes of a text of whole words.
    fn new(text: &'t [u8], len: usize, delimiter: u8) -> Signs<'t> {
        let (words, _) = text.as_chunks();
        let delimiters = u64::from_le_bytes([delimiter; WORD_BYTES]);
        Signs { text, len, delimiters, words: words.iter(), end: 0, left: 0 }
    }
}

impl Iterator for Signs<'_> {
    type Item = (usize, u8);

    #[inline]
    fn next(&mut self) -> Option<(usize, u8)> {
        const QUOTES: u64 = u64::from_le_bytes([b'"'; WORD_BYTES]);
        while self.left == 0 {
            let word = u64::from_le_bytes(*self.words.next()?);
            self.left = !(filled(word ^ self.delimiters) & filled(word ^ QUOTES));
            self.end += WORD_BYTES;
        }
        let at = self.end - WORD_BYTES + (self.left.trailing_zeros() / u8::BITS) as usize;
        self.left &= self.left - 1;
        // Behind the record nothing counts, not even a NUL that delimits cells.
        if at >= self.len {
            return None;
        }
        Some((at, *self.text.get(at)?))
    }
}

/// The high bit of every byte that is not 0, and all other bits.
#[inline]
const fn filled(word: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x7f; WORD_BYTES]);
    ((word & LOW) + LOW) | word | LOW
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
        cells.hold(bytes)?;
        // A record of nothing is none to the crate. A delimiter that is part of a character is its own affair, too.
        if !bytes.is_empty() && self.delimiter.is_ascii() && cells.cut(bytes.len(), self.delimiter) {
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
        /// Whatever is cut here is cut as the crate would, be it short or longer than what is looked at at once.
        #[test]
        fn cells_are_those_of_the_crate(
            record in prop_oneof!["[a,;\" é]{0,24}", "([a-d,;é]{0,40}|\"[a-d,;]{0,40}\"[,;]|[,;]){0,4}"],
            delimiter in prop::sample::select(&b",;"[..]),
        ) {
            let mut parser = Parser::new(delimiter);
            let (mut cut, mut parsed) = (Cells::default(), Cells::default());
            prop_assert!(parser.parse_by_crate(record.as_bytes()).is_ok());
            parsed.take(&parser.record);
            prop_assert_eq!(cut.hold(record.as_bytes()), Ok(()));
            if !record.is_empty() && cut.cut(record.len(), delimiter) {
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
            cut.hold(record.as_bytes()).unwrap();
            assert!(cut.cut(record.len(), b','), "{record:?}");
            assert_eq!(cut.iter().collect::<Vec<_>>(), cells, "{record:?}");
        }
    }
}
