//! What kind of file an input is, by its first bytes and its name.
//!
//! Pure. A file that is not text of ours is recognised and refused with a remedy, never read as if it were; the
//! encoding is never guessed. Not here: reading the file, and what its columns mean.

use std::fmt;

use super::Format;

/// Bytes at the beginning that are looked at for signs of UTF-16.
const UTF16_LOOK_BYTES: usize = 4096;

/// Share of NUL bytes, one in so many, from which on text is taken for UTF-16 without a mark.
const UTF16_NUL_ONE_IN: usize = 4;

/// Kinds of files that are met in place of CSV or NDJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Compressed by gzip.
    Gzip,
    /// Compressed by zstd.
    Zstd,
    /// A workbook of Excel (xlsx) or another zip archive.
    Zip,
    /// A workbook of old Excel (xls).
    OldExcel,
    /// A web page; usually the login page of an expired session.
    Html,
    /// XML; an "Excel 2003" export, say.
    Xml,
    /// UTF-16 text, as Excel's "Unicode Text".
    Utf16,
}

impl Foreign {
    /// What the operator can do about it.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Foreign::Gzip => "decompress it: gzip -dc FILE | simsync sync -",
            Foreign::Zstd => "decompress it: zstd -dc FILE | simsync sync -",
            Foreign::Zip => "save the sheet as CSV UTF-8, or unzip the archive",
            Foreign::OldExcel => "save the sheet as CSV UTF-8",
            Foreign::Html => "the download was most likely a login page; export again",
            Foreign::Xml => "export as CSV UTF-8",
            Foreign::Utf16 => "export as UTF-8, or convert: iconv -f UTF-16 -t UTF-8 FILE > FILE.utf8",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Gzip => "compressed by gzip",
            Foreign::Zstd => "compressed by zstd",
            Foreign::Zip => "a workbook (xlsx) or zip archive",
            Foreign::OldExcel => "an Excel workbook (xls)",
            Foreign::Html => "a web page",
            Foreign::Xml => "XML",
            Foreign::Utf16 => "UTF-16 text",
        })
    }
}

/// Recognises what is not ours by the first bytes.
pub(super) fn foreign(head: &[u8]) -> Option<Foreign> {
    const MAGIC: [(&[u8], Foreign); 7] = [
        (b"\x1f\x8b", Foreign::Gzip),
        (b"\x28\xb5\x2f\xfd", Foreign::Zstd),
        (b"PK\x03\x04", Foreign::Zip),
        (b"PK\x05\x06", Foreign::Zip),
        (b"\xd0\xcf\x11\xe0", Foreign::OldExcel),
        (b"\xff\xfe", Foreign::Utf16),
        (b"\xfe\xff", Foreign::Utf16),
    ];
    let by_magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind);
    by_magic.or_else(|| looks_like_utf16(head).then_some(Foreign::Utf16)).or_else(|| markup(head))
}

fn markup(head: &[u8]) -> Option<Foreign> {
    let text = without_bom(head).trim_ascii_start();
    let begins =
        |tag: &str| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()));
    if begins("<!doctype html") || begins("<html") || begins("<head") {
        return Some(Foreign::Html);
    }
    begins("<?xml").then_some(Foreign::Xml)
}

/// UTF-16 without a mark: Latin text has a NUL in every other byte, always on the same side.
fn looks_like_utf16(head: &[u8]) -> bool {
    let look = &head[..head.len().min(UTF16_LOOK_BYTES)];
    let nul_at = |side: usize| look.iter().skip(side).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (nul_at(0), nul_at(1));
    let (more, fewer) = (even.max(odd), even.min(odd));
    more > 1 && more * UTF16_NUL_ONE_IN >= look.len() && fewer * UTF16_NUL_ONE_IN <= more
}

/// The bytes after a UTF-8 byte order mark.
pub(super) fn without_bom(head: &[u8]) -> &[u8] {
    head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head)
}

/// The format of an input: as told, else by content where that is clear, else by the name's extension.
pub(super) fn format(told: Format, name: &str, head: &[u8]) -> Format {
    match told {
        Format::Csv | Format::Ndjson => return told,
        Format::Auto => {}
    }
    // A record separator begins each text of a JSON text sequence (RFC 7464).
    let text = without_bom(head).trim_ascii_start();
    let text = text.strip_prefix(b"\x1e").unwrap_or(text).trim_ascii_start();
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let is_json_name = matches!(extension.as_deref(), Some("ndjson" | "jsonl" | "json" | "ldjson"));
    // An array is told by its first element: `[` may begin a CSV header as well.
    let begins_json = match text.split_first() {
        Some((b'{', _)) => true,
        Some((b'[', rest)) => rest.trim_ascii_start().starts_with(b"{"),
        _ => false,
    };
    if begins_json || (is_json_name && !looks_like_header(text)) { Format::Ndjson } else { Format::Csv }
}

/// Whether the first line is a row of names with delimiters, and no JSON however broken.
fn looks_like_header(text: &[u8]) -> bool {
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begins_name = line.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'"');
    let has = |bytes: &[u8]| line.iter().any(|byte| bytes.contains(byte));
    begins_name && has(b",;\t|") && !has(b"{}[]:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_kinds_are_recognised() {
        for (head, kind) in [
            (&b"\x1f\x8b\x08"[..], Some(Foreign::Gzip)),
            (b"\x28\xb5\x2f\xfd", Some(Foreign::Zstd)),
            (b"PK\x03\x04xl", Some(Foreign::Zip)),
            (b"\xd0\xcf\x11\xe0", Some(Foreign::OldExcel)),
            (b"\n <!DOCTYPE HTML><p>", Some(Foreign::Html)),
            (b"\xef\xbb\xbf<html>", Some(Foreign::Html)),
            (b"<?xml version", Some(Foreign::Xml)),
            (b"\xff\xfei\0m\0", Some(Foreign::Utf16)),
            (b"\xfe\xff\0i\0m", Some(Foreign::Utf16)),
            (b"i\0m\0e\0i\0", Some(Foreign::Utf16)),
            (b"\0i\0m\0e\0i", Some(Foreign::Utf16)),
            (b"imei,imsi\n1\0,2\n", None),
            (b"\xef\xbb\xbfimei", None),
            (b"", None),
        ] {
            assert_eq!(foreign(head), kind, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn the_setting_wins_then_content_then_the_extension() {
        for (told, name, head, expected) in [
            (Format::Auto, "a.csv", "imei\n", Format::Csv),
            (Format::Auto, "a.csv", "{\"imei\":1}", Format::Ndjson),
            (Format::Csv, "a.ndjson", "{\"imei\":1}", Format::Csv),
            (Format::Auto, "a.JSONL", "", Format::Ndjson),
            (Format::Auto, "-", "\u{feff}\n {\"a\":1}", Format::Ndjson),
            (Format::Auto, "-", "[ {\"a\":1}]", Format::Ndjson),
            (Format::Auto, "-", "[imei],imsi", Format::Csv),
            (Format::Auto, "a.json", "imei,imsi\n1,2\n", Format::Csv),
            (Format::Auto, "a.ndjson", "\"imei\";\"imsi\"\n", Format::Csv),
            (Format::Auto, "a.json", "imei: 1, imsi: 2\n", Format::Ndjson),
            (Format::Auto, "a.json", "\"imei\"\n", Format::Ndjson),
            (Format::Auto, "-", "\u{1e}{\"imei\":1}\n", Format::Ndjson),
            (Format::Ndjson, "a.csv", "imei", Format::Ndjson),
        ] {
            assert_eq!(format(told, name, head.as_bytes()), expected, "{name} {head}");
        }
    }
}
