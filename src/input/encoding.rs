//! Encodings: which one an input is in, and its text as UTF-8. The only door of encoding_rs.
//!
//! The encoding is told, or shown by a byte order mark; it is never guessed, and nothing is ever replaced: the first
//! bytes that stand for no character are an error with their place. A mark that contradicts what was told is an error
//! too, because one of both is wrong. Not here: reading bytes (`blocks.rs`), whether they are text at all (`sniff.rs`),
//! UTF-8 itself, which is checked where its records are read.

use std::fmt;

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::error::SourceError;
use super::sniff;
use crate::near::nearest;

/// Labels that a hint may name; every label of the WHATWG Encoding Standard is taken.
const COMMON_LABELS: &[&str] = &[
    "utf-8",
    "utf-16",
    "utf-16le",
    "utf-16be",
    "windows-1250",
    "windows-1251",
    "windows-1252",
    "windows-1253",
    "windows-1254",
    "windows-1255",
    "windows-1256",
    "windows-1257",
    "windows-1258",
    "windows-874",
    "cp1250",
    "cp1251",
    "cp1252",
    "latin1",
    "latin2",
    "iso-8859-1",
    "iso-8859-2",
    "iso-8859-3",
    "iso-8859-4",
    "iso-8859-5",
    "iso-8859-6",
    "iso-8859-7",
    "iso-8859-8",
    "iso-8859-10",
    "iso-8859-13",
    "iso-8859-14",
    "iso-8859-15",
    "iso-8859-16",
    "ibm866",
    "koi8-r",
    "koi8-u",
    "macintosh",
    "gbk",
    "gb18030",
    "gb2312",
    "big5",
    "euc-jp",
    "iso-2022-jp",
    "shift_jis",
    "euc-kr",
    "us-ascii",
];

/// Code pages of DOS and EBCDIC that the WHATWG Encoding Standard has no decoder for, by the numbers of IBM.
const UNREAD_CODE_PAGES: &[u16] = &[
    37, 273, 277, 278, 280, 284, 285, 290, 297, 420, 424, 437, 500, 720, 737, 775, 850, 852, 855, 857, 858,
    860, 861, 862, 863, 864, 865, 869, 870, 871, 875, 880, 905, 924, 1025, 1026, 1047, 1140, 1141, 1142,
    1143, 1144, 1145, 1146, 1147, 1148, 1149,
];

/// Bytes before a malformed sequence that are kept, to show all of it when it lies across two blocks.
const TAIL_BYTES: usize = 8;

/// Checks a label of the WHATWG Encoding Standard; the error is a label like it, if there is one.
///
/// # Errors
///
/// No encoding that can be decoded has this label.
pub fn check_encoding(label: &str) -> Result<(), Option<&'static str>> {
    match Encoding::for_label_no_replacement(label.as_bytes()) {
        Some(_) => Ok(()),
        // A neighbor of another code page would make other letters of the same bytes.
        None if unread_code_page(label).is_some() => Err(None),
        None => Err(nearest(label.trim(), COMMON_LABELS.iter().copied())),
    }
}

/// The name that iconv has for an encoding that is known and not read here: code pages of DOS and EBCDIC, UTF-7.
pub fn unread_code_page(label: &str) -> Option<String> {
    let bare: String = label.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    if bare.contains("utf7") {
        return Some("UTF-7".to_owned());
    }
    let number = bare.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let is_known = number.parse().is_ok_and(|number: u16| UNREAD_CODE_PAGES.contains(&number));
    match &bare[..bare.len() - number.len()] {
        "" | "cp" | "ibm" | "oem" | "dos" | "pc" | "ccsid" | "codepage" | "ebcdic" | "ebcdiccp"
            if is_known =>
        {
            // Of this one iconv knows the other name only.
            let maker = if number == "737" { "CP" } else { "IBM" };
            Some(format!("{maker}{:0>3}", number.trim_start_matches('0')))
        }
        // Which of its code pages it is, the label does not say; this one is that of Unix services.
        word if word.starts_with("ebcdic") => Some("IBM1047".to_owned()),
        _ => None,
    }
}

/// An encoding that has to be decoded: any but UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charset(&'static Encoding);

impl Charset {
    /// Its name in the WHATWG Encoding Standard.
    pub(super) fn name(self) -> &'static str {
        self.0.name()
    }

    /// Whether each byte is a character, so that nearly any bytes can be decoded.
    pub(super) fn is_single_byte(self) -> bool {
        self.0.is_single_byte()
    }
}

/// What the operator said about the encoding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    encoding: &'static Encoding,
    /// UTF-16 without a side: its mark tells.
    is_sideless: bool,
}

impl Told {
    pub(super) fn of(label: &str) -> Result<Told, EncodingError> {
        let Some(encoding) = Encoding::for_label_no_replacement(label.as_bytes()) else {
            let near = check_encoding(label).err().flatten();
            return Err(EncodingError::UnknownLabel { label: label.to_owned(), near });
        };
        // The standard reads the labels without a side as the little-endian one.
        let is_sideless = encoding == UTF_16LE && !label.trim().to_ascii_lowercase().ends_with("le");
        Ok(Told { encoding, is_sideless })
    }
}

/// What is wrong with the encoding of an input.
#[derive(Debug, thiserror::Error)]
pub enum EncodingError {
    /// No encoding has this label.
    #[error("there is no encoding `{label}`{}", near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownLabel {
        /// The label as given.
        label: String,
        /// One like it.
        near: Option<&'static str>,
    },
    /// UTF-16 without a byte order mark.
    #[error("{file}: looks like {found} text without a byte order mark")]
    Unmarked {
        /// The input as given.
        file: String,
        /// By the side of its NUL bytes.
        found: &'static str,
    },
    /// The file shows another encoding than the one told.
    #[error("{file}: {} {found}, but {told} was told", if *is_marked { "begins with the mark of" } else { "looks like" })]
    Contradicted {
        /// The input as given.
        file: String,
        /// What the file shows.
        found: &'static str,
        /// What the operator said.
        told: &'static str,
        /// Whether a byte order mark shows it.
        is_marked: bool,
    },
    /// All bytes of the input are UTF-8, some of them no ASCII: decoded as told they would be other letters. A text in
    /// an encoding of single bytes is UTF-8 by chance only where it has next to no letter beyond ASCII.
    #[error("{file} line {line}: the bytes of the file are UTF-8, but {told} was told")]
    ReadsAsUtf8 {
        /// The input as given.
        file: String,
        /// What the operator said.
        told: &'static str,
        /// The line of the first byte that is no ASCII.
        line: u64,
    },
    /// Bytes that stand for no character.
    #[error("{file} line {line} column {column}: invalid {encoding} at byte {offset} of {of} ({bytes})")]
    Malformed {
        /// The input as given.
        file: String,
        /// The encoding's name.
        encoding: &'static str,
        /// The physical line of the first bad byte.
        line: u64,
        /// Its column in characters; the first is 1.
        column: u64,
        /// Its offset; the first byte is 0.
        offset: u64,
        /// What the offset counts in.
        of: Counted,
        /// The bytes.
        bytes: HexBytes,
    },
}

impl EncodingError {
    /// What the operator can do about it.
    pub(super) fn remedy(&self) -> String {
        match self {
            EncodingError::UnknownLabel { label, .. } if let Some(name) = unread_code_page(label) => {
                format!("convert the file: iconv -f {name} -t UTF-8 FILE > FILE.utf8")
            }
            EncodingError::ReadsAsUtf8 { told, .. } => {
                format!("read it as what it is: --encoding utf-8 in place of {}", told.to_ascii_lowercase())
            }
            EncodingError::UnknownLabel { .. } => {
                "name an encoding of the WHATWG Encoding Standard, such as windows-1252, iso-8859-2 or utf-16le; \
                 convert any other with iconv"
                    .into()
            }
            EncodingError::Unmarked { found, .. } => {
                format!("say so: --encoding {}; or export as UTF-8", found.to_ascii_lowercase())
            }
            EncodingError::Contradicted { is_marked: true, .. } => {
                "leave --encoding (input.encoding) out: the mark at the beginning of the file tells".into()
            }
            EncodingError::Contradicted { found, is_marked: false, .. } => {
                format!("check the encoding; --encoding {} fits the bytes", found.to_ascii_lowercase())
            }
            EncodingError::Malformed { encoding, .. } if encoding.starts_with("UTF-16") => {
                "the file was cut off or put together from several: export it again".into()
            }
            EncodingError::Malformed { .. } => {
                "check --encoding (input.encoding): the file may be in another one; or export as UTF-8".into()
            }
        }
    }
}

impl From<EncodingError> for SourceError {
    fn from(error: EncodingError) -> SourceError {
        SourceError::Encoding(error)
    }
}

/// What the offset of a byte counts in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The file as it is.
    File,
    /// What a compressed file stands for.
    Decompressed,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Counted::File => "the file",
            Counted::Decompressed => "the decompressed file",
        })
    }
}

/// A few bytes that are no text, printed as `0xe9 0x0a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let blank = if at > 0 { " " } else { "" };
            write!(f, "{blank}0x{byte:02x}")?;
        }
        Ok(())
    }
}

/// What an input is in, by what was told and by its first bytes; `None`: UTF-8.
pub(super) fn decide(file: &str, told: Option<Told>, head: &[u8]) -> Result<Option<Charset>, EncodingError> {
    let marked = Encoding::for_bom(head).map(|(encoding, _)| encoding);
    let shown = marked.or_else(|| {
        sniff::utf16_side(head).map(|side| match side {
            sniff::Side::Little => UTF_16LE,
            sniff::Side::Big => UTF_16BE,
        })
    });
    let encoding = match (told, shown) {
        (None, None) => UTF_8,
        (None, Some(found)) if marked.is_none() => {
            return Err(EncodingError::Unmarked { file: file.to_owned(), found: found.name() });
        }
        (None, Some(found)) => found,
        (Some(told), None) => told.encoding,
        (Some(told), Some(found)) if told.encoding == found => found,
        (Some(told), Some(found)) if told.is_sideless && marked == Some(UTF_16BE) => found,
        (Some(told), Some(found)) => {
            return Err(EncodingError::Contradicted {
                file: file.to_owned(),
                found: found.name(),
                told: told.encoding.name(),
                is_marked: marked.is_some(),
            });
        }
    };
    Ok((encoding != UTF_8).then_some(Charset(encoding)))
}

/// What a step of decoding came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decoded {
    /// All bytes given are decoded.
    All,
    /// There is no room for more text.
    Full,
    /// These bytes at this offset of what was given so far stand for no character.
    Malformed { offset: u64, bytes: HexBytes },
}

/// Turns bytes into UTF-8. It has no `Debug`: it holds values.
pub(super) struct Transcoder {
    decoder: Decoder,
    /// Bytes decoded so far.
    total: u64,
    /// The last of them.
    tail: Vec<u8>,
}

impl Transcoder {
    /// A mark at the beginning comes out as U+FEFF, as that of UTF-8 does.
    pub(super) fn new(encoding: Charset) -> Transcoder {
        let decoder = encoding.0.new_decoder_without_bom_handling();
        Transcoder { decoder, total: 0, tail: Vec::new() }
    }

    /// Decodes `bytes`, after which nothing comes if `is_last`. Returns how many were read and written.
    pub(super) fn decode(&mut self, bytes: &[u8], out: &mut [u8], is_last: bool) -> (usize, usize, Decoded) {
        let (result, read, written) = self.decoder.decode_to_utf8_without_replacement(bytes, out, is_last);
        let keep = &bytes[read.saturating_sub(TAIL_BYTES)..read];
        self.total += super::blocks::as_u64(read);
        self.tail.extend_from_slice(keep);
        let decoded = match result {
            DecoderResult::InputEmpty => Decoded::All,
            DecoderResult::OutputFull => Decoded::Full,
            DecoderResult::Malformed(len, after) => {
                // The bytes after the bad ones were read, too, before their badness showed.
                let before_end = usize::from(len) + usize::from(after);
                let from = self.tail.len().saturating_sub(before_end);
                let bad = self.tail[from..].iter().copied().take(usize::from(len)).collect();
                let offset = self.total.saturating_sub(super::blocks::as_u64(before_end));
                Decoded::Malformed { offset, bytes: HexBytes(bad) }
            }
        };
        let excess = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..excess);
        (read, written, decoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_and_what_is_shown_must_agree() {
        let plain = &b"imei,imsi\n"[..];
        let (le, be) = (&b"\xff\xfei\0m\0e\0"[..], &b"\xfe\xff\0i\0m\0e"[..]);
        let (bare_le, bare_be) = (&b"i\0m\0e\0i\0"[..], &b"\0i\0m\0e\0i"[..]);
        for (told, head, expected) in [
            ("", plain, Ok(None)),
            ("", b"\xef\xbb\xbfimei", Ok(None)),
            ("", le, Ok(Some("UTF-16LE"))),
            ("", be, Ok(Some("UTF-16BE"))),
            ("", bare_le, Err("--encoding utf-16le")),
            ("", bare_be, Err("--encoding utf-16be")),
            ("utf-8", plain, Ok(None)),
            ("UTF8", b"\xef\xbb\xbfimei", Ok(None)),
            ("utf-8", le, Err("leave --encoding")),
            ("latin1", plain, Ok(Some("windows-1252"))),
            ("cp1252", b"\xef\xbb\xbfimei", Err("leave --encoding")),
            ("windows-1252", bare_be, Err("--encoding utf-16be")),
            ("utf-16le", le, Ok(Some("UTF-16LE"))),
            ("utf-16le", bare_le, Ok(Some("UTF-16LE"))),
            ("utf-16le", be, Err("leave --encoding")),
            ("utf-16", be, Ok(Some("UTF-16BE"))),
            ("utf-16", le, Ok(Some("UTF-16LE"))),
            ("utf-16", bare_be, Err("--encoding utf-16be")),
            ("utf-16be", bare_le, Err("--encoding utf-16le")),
        ] {
            let told_text = told;
            let told = (!told.is_empty()).then(|| Told::of(told).unwrap());
            let result = decide("a.csv", told, head).map(|found| found.map(Charset::name));
            match (&result, expected) {
                (Ok(found), Ok(name)) => assert_eq!(*found, name, "{told_text}"),
                (Err(error), Err(part)) => assert!(error.remedy().contains(part), "{told_text} {error:?}"),
                (_, _) => panic!("{told_text} {} {result:?}", head.escape_ascii()),
            }
        }
    }

    #[test]
    fn labels_are_those_of_the_standard_and_near_ones_are_named() {
        for label in COMMON_LABELS {
            assert_eq!(check_encoding(label), Ok(()), "{label}");
        }
        for (label, near) in [
            ("windows-1225", Some("windows-1252")),
            ("utf16-le", Some("utf-16le")),
            ("shift-jsi", Some("shift_jis")),
            ("ebcdic", None),
            // It has a label, and no text: the standard maps it to errors.
            ("iso-2022-kr", Some("iso-2022-jp")),
        ] {
            assert_eq!(check_encoding(label), Err(near), "{label}");
            assert!(matches!(Told::of(label), Err(EncodingError::UnknownLabel { .. })));
        }
    }

    #[test]
    fn code_pages_without_a_decoder_have_no_neighbor() {
        for (label, name) in [
            ("cp850", "IBM850"),
            ("IBM-037", "IBM037"),
            ("cp37", "IBM037"),
            ("437", "IBM437"),
            ("CP858", "IBM858"),
            ("cp737", "CP737"),
            ("EBCDIC-US", "IBM1047"),
            ("ebcdic", "IBM1047"),
            ("utf-7", "UTF-7"),
            ("unicode-1-1-utf-7", "UTF-7"),
        ] {
            assert_eq!(check_encoding(label), Err(None), "{label}");
            let remedy = Told::of(label).map(drop).unwrap_err().remedy();
            assert!(remedy.contains(&format!("iconv -f {name} -t UTF-8 FILE")), "{label}: {remedy}");
        }
        for label in ["windows-1225", "cp1225", "", "x"] {
            assert_eq!(unread_code_page(label), None, "{label}");
        }
    }

    #[test]
    fn malformed_bytes_are_shown_whole_wherever_they_are_cut() {
        for (label, bytes, offset, bad) in [
            // A lone surrogate; half a unit at the end; a lead byte without its second; an unmapped byte.
            ("utf-16le", &b"a\0\x00\xd8b\0"[..], 2, "0x00 0xd8"),
            ("utf-16be", b"\0a\0", 2, "0x00"),
            ("shift_jis", b"ab\x81\n", 2, "0x81"),
            ("gb18030", b"ab\x81\x30\x81", 2, "0x81 0x30 0x81"),
            ("windows-1253", b"abc\xaa", 3, "0xaa"),
            ("euc-jp", b"\xa4\xa2\x8f\xa2\x20", 2, "0x8f 0xa2"),
        ] {
            for block in [1, 2, 3, 100] {
                let mut transcoder = Transcoder::new(Charset(Told::of(label).unwrap().encoding));
                let mut out = [0; 64];
                let mut blocks = bytes.chunks(block).peekable();
                let found = loop {
                    let Some(next) = blocks.next() else { panic!("{label}: nothing found") };
                    let (_, _, decoded) = transcoder.decode(next, &mut out, blocks.peek().is_none());
                    if let Decoded::Malformed { offset, bytes } = decoded {
                        break (offset, bytes.to_string());
                    }
                };
                assert_eq!(found, (offset, bad.to_owned()), "{label} in blocks of {block}");
            }
        }
    }
}
