//! Line ends that CSV does not have: files of mainframes end lines with NEL, some exports with the separators of
//! Unicode. All of such a file would be its header, and it would have no rows.
//!
//! Pure. Not here: the line ends that are read (`split.rs`).

use super::error::SourceError;
use super::head::Head;
use super::split::Splitter;

/// A character that ends lines elsewhere (Unicode Standard Annex #14, classes NL and BK).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherLineEnd {
    /// NEL, the line end of EBCDIC.
    NextLine,
    /// The line separator.
    LineSeparator,
    /// The paragraph separator.
    ParagraphSeparator,
}

impl OtherLineEnd {
    const ALL: [OtherLineEnd; 3] =
        [OtherLineEnd::NextLine, OtherLineEnd::LineSeparator, OtherLineEnd::ParagraphSeparator];

    /// Its bytes in UTF-8.
    fn bytes(self) -> &'static [u8] {
        match self {
            OtherLineEnd::NextLine => b"\xc2\x85",
            OtherLineEnd::LineSeparator => b"\xe2\x80\xa8",
            OtherLineEnd::ParagraphSeparator => b"\xe2\x80\xa9",
        }
    }

    /// Its name for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            OtherLineEnd::NextLine => "U+0085 (NEL)",
            OtherLineEnd::LineSeparator => "U+2028 (line separator)",
            OtherLineEnd::ParagraphSeparator => "U+2029 (paragraph separator)",
        }
    }

    /// What the operator can do about it.
    pub(super) fn remedy(self) -> String {
        let bytes = self.bytes().escape_ascii();
        format!("convert its line ends: perl -pe 's/{bytes}/\\n/g' FILE > FILE.lf")
    }
}

/// Refuses a file whose first line, which should be its header, holds such characters. Without a header, one that has
/// no other line end: in a row such a character is content.
pub(super) fn check(head: Head<'_>) -> Result<(), SourceError> {
    let text = &head.window.bytes()[head.window.start()..];
    let first = &text[..Splitter::new().line_end(text, 0)];
    let is_row = head.options.column_names.is_some();
    if is_row && first.len() < text.len() {
        return Ok(());
    }
    let found = OtherLineEnd::ALL.into_iter().find(|end| memchr::memmem::find(first, end.bytes()).is_some());
    found.map_or(Ok(()), |end| Err(SourceError::OtherLineEnds { file: head.file.to_owned(), end }))
}
