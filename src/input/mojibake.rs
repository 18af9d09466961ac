//! Mojibake: text that was in UTF-8, was read as Windows-1252 or Latin-1 somewhere on its way, and written as UTF-8
//! again. It is warned of once per file, because it is most likely in names, which are not sent.
//!
//! Pure. Not here: decoding (`encoding.rs`), what is wrong with an identifier (`fields/`).

use std::fmt;

/// What is worth knowing about the text of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextNote {
    /// It was decoded by its byte order mark.
    Decoded {
        /// The input as given.
        file: String,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// Some of it was decoded wrongly before it came here.
    Mojibake {
        /// The input as given.
        file: String,
        /// The line of the first row with a sign of it, or of the header.
        line: u64,
    },
    /// Its last row has too few cells and no line end.
    CutOff {
        /// The input as given.
        file: String,
        /// The line of that row.
        line: u64,
    },
    /// Its last row has no line end, and a field in its last cell, which may be cut off.
    NoLastLineEnd {
        /// The input as given.
        file: String,
        /// The line of that row.
        line: u64,
    },
    /// Its `sep=` line tells another delimiter than the operator.
    DelimiterOverruled {
        /// The input as given.
        file: String,
        /// The delimiter its line tells.
        told: char,
        /// The operator's, which was taken.
        taken: char,
    },
}

/// A whole sentence for people, without any value.
impl fmt::Display for TextNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextNote::Decoded { file, encoding } => {
                write!(f, "{file}: decoded from {encoding}, as its byte order mark tells")
            }
            TextNote::Mojibake { file, line } => write!(
                f,
                "{file} line {line}: letters like \u{c3}\u{a9} or \u{e2}\u{20ac}\u{2122} show that UTF-8 was read as \
                 Windows-1252 before the export; check the system it comes from"
            ),
            TextNote::CutOff { file, line } => write!(
                f,
                "{file} line {line}: the last row has too few cells and no line end: the file may be truncated; export \
                 or download it again"
            ),
            TextNote::NoLastLineEnd { file, line } => write!(
                f,
                "{file} line {line}: the last row has no line end; if the file was cut off there, the value in its last \
                 cell is incomplete"
            ),
            TextNote::DelimiterOverruled { file, told, taken } => write!(
                f,
                "{file}: its first line tells the delimiter {told:?}, but {taken:?} was asked for and is taken"
            ),
        }
    }
}

/// Longest sign in bytes.
pub(super) const SIGN_BYTES_MAX: usize = 6;

/// The byte order mark of UTF-8, read as Windows-1252: three letters.
const MARK: &[u8] = "\u{ef}\u{bb}\u{bf}".as_bytes();

/// Where the first sign of mojibake stands. ASCII is passed over at the speed of memory.
pub(super) fn find(text: &[u8]) -> Option<usize> {
    if text.is_ascii() {
        return None;
    }
    // Both bytes are rare after anything but the leads looked for: in UTF-8 the letters of Western names end in
    // A0 to BF.
    let letters = memchr::memchr2_iter(0x82, 0x83, text).find_map(|at| sign_around(text, at));
    let before = letters.map_or(text, |at| &text[..at]);
    memchr::memmem::find(before, MARK).or(letters)
}

/// The sign that the byte at `at` is part of.
fn sign_around(text: &[u8], at: usize) -> Option<usize> {
    let from = at.checked_sub(1)?;
    let is_second = |second: &[u8]| match second {
        // A continuation byte as the letter of Latin-1, or of Windows-1252 where that has another.
        [0xc2, 0x80..=0xbf, ..] | [0xc5, 0x92 | 0x93 | 0xa0 | 0xa1 | 0xb8 | 0xbd | 0xbe, ..] => true,
        [0xc6, 0x92, ..] | [0xcb, 0x86 | 0x9c, ..] | [0xe2, 0x80, 0x93..=0xba, ..] => true,
        [0xe2, 0x82, 0xac, ..] | [0xe2, 0x84, 0xa2, ..] => true,
        _ => false,
    };
    match &text[from..] {
        [0xc3, 0x82 | 0x83, second @ ..] => is_second(second).then_some(from),
        // Typographic quotes and dashes: the first two of their three bytes, as letters.
        [0xe2, 0x82, 0xac, ..] => {
            let letter = from.checked_sub(2)?;
            text[letter..from].eq(b"\xc3\xa2").then_some(letter)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text as it looks after one wrong decoding.
    fn mangled(text: &str) -> String {
        text.bytes()
            .map(|byte| match byte {
                0x80 => '\u{20ac}',
                0x93 => '\u{201c}',
                0x94 => '\u{201d}',
                0x99 => '\u{2122}',
                byte => char::from(byte),
            })
            .collect()
    }

    #[test]
    fn mojibake_is_told_from_text() {
        for (text, at) in [
            ("Ren\u{e9}", 3),
            ("M\u{fc}ller", 1),
            ("it\u{2019}s", 2),
            ("\u{201c}x\u{201d}", 0),
            ("a \u{2013} b", 2),
            ("a\u{a0}b", 1),
            ("a\u{ab}b", 1),
            ("x\u{feff}imei", 1),
            ("n\u{e3}o, Jo\u{e3}o", 1),
        ] {
            assert_eq!(find(mangled(text).as_bytes()), Some(at), "{text:?}");
            assert_eq!(find(text.as_bytes()), None, "{text:?}");
        }
        for text in [
            "",
            "plain",
            "S\u{c3}O PAULO",
            "\u{c2}ge d'or",
            "\u{e2}me \u{20ac} 5",
            "\u{20ac}",
            "\u{c3}",
            "\u{442}\u{2122}",
            "\u{6771}\u{4eac}\u{90fd}",
            "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}",
            "\u{201e}q\u{201c}",
            "G\u{f6}\u{df} \u{e5}\u{2122}",
        ] {
            assert_eq!(find(text.as_bytes()), None, "{text:?}");
        }
    }
}
