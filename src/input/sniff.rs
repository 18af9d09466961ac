//! What kind of file an input is, by its first bytes; and the format of one that is text, by content and name.
//!
//! Pure. A file that is not text of ours is recognised and refused with a remedy, never read as if it were; the
//! encoding is never guessed. Not here: reading the file, decoding it (`encoding.rs`), and what its columns mean.

use std::fmt;

use super::Format;
use super::blocks::BOM;
use super::expand::Packing;
use super::head::DELIMITERS;

/// Bytes at the beginning that are looked at for signs of UTF-16.
const UTF16_LOOK_BYTES: usize = 4096;

/// Share of NUL bytes, one in so many, from which on text is taken for UTF-16 without a mark.
const UTF16_NUL_ONE_IN: usize = 4;

/// Where the magic of a tar archive stands (POSIX.1-1988, ustar interchange format).
const TAR_MAGIC_AT: usize = 257;

/// Kinds of files that are met in place of CSV or NDJSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// Compressed by gzip once more.
    Gzip,
    /// Compressed by zstd once more.
    Zstd,
    /// Compressed by bzip2.
    Bzip2,
    /// Compressed by xz.
    Xz,
    /// Compressed by lz4.
    Lz4,
    /// Compressed by the old `compress`.
    Compress,
    /// A zip archive.
    Zip,
    /// A 7z archive.
    SevenZip,
    /// A rar archive.
    Rar,
    /// A tar archive.
    Tar,
    /// A workbook of Excel (xlsx, xlsm, xlsb).
    Excel,
    /// A workbook of old Excel (xls).
    OldExcel,
    /// A spreadsheet of OpenDocument (ods).
    OpenDocument,
    /// A web page; usually the login page of an expired session.
    Html,
    /// XML; an "Excel 2003" export, say.
    Xml,
    /// A PDF document.
    Pdf,
    /// A rich text document.
    Rtf,
    /// A database of SQLite.
    Sqlite,
    /// Columns of Parquet.
    Parquet,
    /// UTF-32 text.
    Utf32,
}

impl Foreign {
    /// What the operator can do about it; `COMMAND` stands for the command typed.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Foreign::Gzip => "decompress it: gzip -dc FILE | simsync COMMAND -",
            Foreign::Zstd => "decompress it: zstd -dc FILE | simsync COMMAND -",
            Foreign::Bzip2 => "decompress it: bzip2 -dc FILE | simsync COMMAND -",
            Foreign::Xz => "decompress it: xz -dc FILE | simsync COMMAND -",
            Foreign::Lz4 => "decompress it: lz4 -dc FILE | simsync COMMAND -",
            Foreign::Compress => "decompress it: uncompress -c FILE | simsync COMMAND -",
            Foreign::Zip => "take the export out of it: unzip -p FILE | simsync COMMAND -",
            Foreign::SevenZip => "take the export out of it: 7z x -so FILE | simsync COMMAND -",
            Foreign::Rar => "take the export out of it: unrar p -inul FILE | simsync COMMAND -",
            Foreign::Tar => "take the exports out of it (tar -xf FILE) and name them",
            Foreign::Excel | Foreign::OldExcel | Foreign::OpenDocument => {
                "save the sheet as CSV UTF-8, with its number columns formatted as text"
            }
            Foreign::Html => "the download was most likely a login page; export again, as CSV",
            Foreign::Xml | Foreign::Pdf | Foreign::Rtf => "export as CSV UTF-8",
            Foreign::Sqlite => "export the table: sqlite3 -csv -header FILE 'SELECT ...' | simsync COMMAND -",
            Foreign::Parquet => "export as CSV UTF-8 or NDJSON",
            Foreign::Utf32 => "export as UTF-8, or convert: iconv -f UTF-32 -t UTF-8 FILE > FILE.utf8",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Foreign::Gzip => "compressed by gzip",
            Foreign::Zstd => "compressed by zstd",
            Foreign::Bzip2 => "compressed by bzip2",
            Foreign::Xz => "compressed by xz",
            Foreign::Lz4 => "compressed by lz4",
            Foreign::Compress => "compressed by compress",
            Foreign::Zip => "a zip archive",
            Foreign::SevenZip => "a 7z archive",
            Foreign::Rar => "a rar archive",
            Foreign::Tar => "a tar archive",
            Foreign::Excel => "an Excel workbook (xlsx)",
            Foreign::OldExcel => "an Excel workbook (xls)",
            Foreign::OpenDocument => "an OpenDocument spreadsheet (ods)",
            Foreign::Html => "a web page",
            Foreign::Xml => "XML",
            Foreign::Pdf => "a PDF document",
            Foreign::Rtf => "a rich text document",
            Foreign::Sqlite => "a SQLite database",
            Foreign::Parquet => "a Parquet file",
            Foreign::Utf32 => "UTF-32 text",
        })
    }
}

/// How the bytes are compressed, if they are.
pub(super) fn packing(head: &[u8]) -> Option<Packing> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packing::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packing::Zstd),
        // A skippable frame (RFC 8878 clause 3.1.2), with which parallel writers begin.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Packing::Zstd),
        _ => None,
    }
}

/// Recognises what is not ours by the first bytes. Compressed bytes are not for here: see [`packing`].
pub(super) fn foreign(head: &[u8]) -> Option<Foreign> {
    const MAGIC: [(&[u8], Foreign); 14] = [
        (b"\xfd7zXZ\0", Foreign::Xz),
        (b"\x04\x22\x4d\x18", Foreign::Lz4),
        (b"\x1f\x9d", Foreign::Compress),
        (b"7z\xbc\xaf\x27\x1c", Foreign::SevenZip),
        (b"Rar!\x1a\x07", Foreign::Rar),
        (b"\xd0\xcf\x11\xe0", Foreign::OldExcel),
        (b"%PDF-", Foreign::Pdf),
        (b"{\\rtf", Foreign::Rtf),
        (b"SQLite format 3\0", Foreign::Sqlite),
        (b"PAR1\x15", Foreign::Parquet),
        // A footer that is encrypted has its own magic (Parquet modular encryption).
        (b"PARE\x15", Foreign::Parquet),
        (b"\xff\xfe\0\0", Foreign::Utf32),
        (b"\0\0\xfe\xff", Foreign::Utf32),
        (b"PK\x07\x08PK\x03\x04", Foreign::Zip),
    ];
    let by_magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, kind)| *kind);
    by_magic.or_else(|| archive(head)).or_else(|| markup(without_bom(head)))
}

/// Archives whose magic is not all there is to know.
fn archive(head: &[u8]) -> Option<Foreign> {
    let has = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(match (has(b"xl/"), has(b"opendocument.spreadsheet")) {
            (true, _) => Foreign::Excel,
            (false, true) => Foreign::OpenDocument,
            (false, false) => Foreign::Zip,
        });
    }
    // After the magic and the block size comes the square root of pi, at the end of an empty file; or pi.
    let bzip2_block = head.get(4..10).unwrap_or_default();
    if head.starts_with(b"BZh") && [&b"1AY&SY"[..], b"\x17\x72\x45\x38\x50\x90"].contains(&bzip2_block) {
        return Some(Foreign::Bzip2);
    }
    let tar = head.get(TAR_MAGIC_AT..).unwrap_or_default();
    // The name before it is filled up with NULs, which no text has.
    (tar.starts_with(b"ustar") && head[..TAR_MAGIC_AT].contains(&0)).then_some(Foreign::Tar)
}

/// Recognises a web page or XML, also behind blanks and comments.
pub(super) fn markup(text: &[u8]) -> Option<Foreign> {
    const PAGES: [&str; 8] =
        ["<!doctype html", "<html", "<head", "<body", "<title", "<meta", "<script", "<table"];
    let begins = |text: &[u8], tag: &str| {
        text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes()))
    };
    let (rest, had_comment) = without_comments(text);
    let (is_xml, rest) = match rest.starts_with(b"<?xml") {
        true => {
            let end = memchr::memmem::find(rest, b"?>").map_or(rest.len(), |end| end + 2);
            (true, without_comments(&rest[end..]).0)
        }
        false => (false, rest),
    };
    if PAGES.iter().any(|tag| begins(rest, tag)) || (had_comment && !is_xml && rest.starts_with(b"<")) {
        return Some(Foreign::Html);
    }
    is_xml.then_some(Foreign::Xml)
}

/// What comes after blanks and comments, and whether there were comments.
fn without_comments(text: &[u8]) -> (&[u8], bool) {
    let mut rest = text.trim_ascii_start();
    let mut any = false;
    while let Some(comment) = rest.strip_prefix(b"<!--") {
        any = true;
        // One that does not end here: nothing but its beginning is known.
        let Some(end) = memchr::memmem::find(comment, b"-->") else { return (rest, any) };
        rest = comment[end + 3..].trim_ascii_start();
    }
    (rest, any)
}

/// On which side of a pair of bytes the lesser one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Little,
    Big,
}

/// UTF-16 without a mark: Latin text has a NUL in every other byte, always on the same side.
pub(super) fn utf16_side(head: &[u8]) -> Option<Side> {
    let look = &head[..head.len().min(UTF16_LOOK_BYTES)];
    let nul_at = |side: usize| look.iter().skip(side).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (nul_at(0), nul_at(1));
    let (more, fewer) = (even.max(odd), even.min(odd));
    let is_utf16 = more > 1 && more * UTF16_NUL_ONE_IN >= look.len() && fewer * UTF16_NUL_ONE_IN <= more;
    is_utf16.then_some(if odd > even { Side::Little } else { Side::Big })
}

/// The delimiter of one of our own row files, told by its header: `_run` and `_row` among the columns. Such a file has
/// one delimiter and a header, whatever was said about the inputs its rows once stood in.
pub(super) fn own_delimiter(head: &[u8]) -> Option<u8> {
    let text = without_bom(head);
    // A program may have saved it with another delimiter.
    DELIMITERS.into_iter().find(|delimiter| {
        let has = |wanted: &[u8]| header_cells(text, *delimiter).any(|cell| cell == wanted);
        has(b"_run") && has(b"_row")
    })
}

/// Whether the beginning of a file is UTF-8, but for a character that is cut off with it.
pub(super) fn is_utf8(head: &[u8]) -> bool {
    std::str::from_utf8(head).map_or_else(|bad| bad.error_len().is_none(), |_| true)
}

/// The cells of the first record without the quotes around them. A line end within quotes ends no record.
fn header_cells(text: &[u8], delimiter: u8) -> impl Iterator<Item = &[u8]> {
    let mut in_quotes = false;
    let mut ends_record = move |byte: &u8| {
        in_quotes ^= *byte == b'"';
        !in_quotes && matches!(byte, b'\n' | b'\r')
    };
    let end = text.iter().position(&mut ends_record).unwrap_or(text.len());
    let mut in_quotes = false;
    let ends_cell = move |byte: &u8| {
        in_quotes ^= *byte == b'"';
        !in_quotes && *byte == delimiter
    };
    text[..end].split(ends_cell).map(|cell| {
        let bare = cell.trim_ascii();
        bare.strip_prefix(b"\"").and_then(|bare| bare.strip_suffix(b"\"")).unwrap_or(bare)
    })
}

/// The bytes after a UTF-8 byte order mark.
pub(super) fn without_bom(head: &[u8]) -> &[u8] {
    head.strip_prefix(BOM).unwrap_or(head)
}

/// The format of an input: as told, else by content where that is clear, else by the name's extension, before which
/// one of a compressed file is passed over.
pub(super) fn format(told: Format, name: &str, head: &[u8]) -> Format {
    match told {
        Format::Csv | Format::Ndjson => return told,
        Format::Auto => {}
    }
    // A record separator begins each text of a JSON text sequence (RFC 7464).
    let text = without_bom(head).trim_ascii_start();
    let text = text.strip_prefix(b"\x1e").unwrap_or(text).trim_ascii_start();
    let mut extensions = name.rsplit('.').map(str::to_ascii_lowercase);
    let extension =
        extensions.find(|extension| !matches!(extension.as_str(), "gz" | "gzip" | "zst" | "zstd"));
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
        let tar = [&b"export.csv"[..], &[0; 247], b"ustar\x0000", &[0; 248]].concat();
        let csv_with_ustar = ["x".repeat(256).as_str(), ",ustar"].concat();
        for (head, kind) in [
            (&b"PK\x03\x04\x14\0\x06\0[Content_Types].xml..xl/workbook.xml"[..], Some(Foreign::Excel)),
            (
                b"PK\x03\x04mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
                Some(Foreign::OpenDocument),
            ),
            (b"PK\x03\x04export.csv", Some(Foreign::Zip)),
            (b"PK\x05\x06\0\0", Some(Foreign::Zip)),
            (b"\xd0\xcf\x11\xe0", Some(Foreign::OldExcel)),
            (b"%PDF-1.7\n", Some(Foreign::Pdf)),
            (b"{\\rtf1\\ansi", Some(Foreign::Rtf)),
            (b"7z\xbc\xaf\x27\x1c", Some(Foreign::SevenZip)),
            (b"BZh91AY&SY", Some(Foreign::Bzip2)),
            (b"BZh9\x17\x72\x45\x38\x50\x90", Some(Foreign::Bzip2)),
            (b"BZhang,imei\n", None),
            (b"\xfd7zXZ\0", Some(Foreign::Xz)),
            (b"\x04\x22\x4d\x18", Some(Foreign::Lz4)),
            (b"\x1f\x9d\x90", Some(Foreign::Compress)),
            (b"Rar!\x1a\x07\x01\0", Some(Foreign::Rar)),
            (b"SQLite format 3\0", Some(Foreign::Sqlite)),
            (b"PAR1\x15\x04", Some(Foreign::Parquet)),
            (b"PAR1,imei\n", None),
            (&tar, Some(Foreign::Tar)),
            (csv_with_ustar.as_bytes(), None),
            (b"\xff\xfe\0\0i\0\0\0", Some(Foreign::Utf32)),
            (b"\0\0\xfe\xff", Some(Foreign::Utf32)),
            (b"\n <!DOCTYPE HTML><p>", Some(Foreign::Html)),
            (b"\xef\xbb\xbf<html>", Some(Foreign::Html)),
            (b"\xef\xbb\xbf\r\n<!-- saved --> <!-- twice --><HTML>", Some(Foreign::Html)),
            (b"<!-- a comment without an end", Some(Foreign::Html)),
            (b"<table><tr><td>imei", Some(Foreign::Html)),
            (b"<?xml version=\"1.0\"?>\n<!DOCTYPE html>", Some(Foreign::Html)),
            (b"<?xml version", Some(Foreign::Xml)),
            (b"<?xml version=\"1.0\"?><!-- x --><Workbook>", Some(Foreign::Xml)),
            (b"imei,imsi\n1\0,2\n", None),
            (b"<imei>,imsi\n", None),
            (b"\xef\xbb\xbfimei", None),
            (b"", None),
        ] {
            assert_eq!(foreign(head), kind, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn compressed_bytes_and_utf16_are_told_by_what_they_are() {
        for (head, packed) in [
            (&b"\x1f\x8b\x08"[..], Some(Packing::Gzip)),
            (b"\x28\xb5\x2f\xfd", Some(Packing::Zstd)),
            (b"\x5e\x2a\x4d\x18\0\0\0\0", Some(Packing::Zstd)),
            (b"\x1f\x9d", None),
            (b"imei", None),
        ] {
            assert_eq!(packing(head), packed, "{}", head.escape_ascii());
        }
        for (head, side) in [
            (&b"i\0m\0e\0i\0"[..], Some(Side::Little)),
            (b"\0i\0m\0e\0i", Some(Side::Big)),
            (b"i\0m\0e\0i\0\x11\x01", Some(Side::Little)),
            (b"imei,imsi\n1\0,2\0\n", None),
            (b"", None),
        ] {
            assert_eq!(utf16_side(head), side, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn our_own_row_files_are_told_by_their_header() {
        for (head, delimiter) in [
            (&b"crm id,mobile,_run,_row,_file\n"[..], Some(b',')),
            (b"\xef\xbb\xbf\"crm id\";\"_run\";\"_row\"\r\nK\xc3\xa4the;;", Some(b';')),
            (b"\"a\nb\",_run,_row", Some(b',')),
            (b"a,_run,_row\nK\xc3", Some(b',')),
            (b"a,_run,_row\nK\xe4the\n", Some(b',')),
            (b"a,_run\n_row,_row\n", None),
            (b"a,\"_run,_row\"\n", None),
            (b"{\"_run\":1,\"_row\":2}\n", None),
            (b"", None),
        ] {
            assert_eq!(own_delimiter(head), delimiter, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn the_setting_wins_then_content_then_the_extension() {
        for (told, name, head, expected) in [
            (Format::Auto, "a.csv", "imei\n", Format::Csv),
            (Format::Auto, "a.csv", "{\"imei\":1}", Format::Ndjson),
            (Format::Csv, "a.ndjson", "{\"imei\":1}", Format::Csv),
            (Format::Auto, "a.JSONL", "", Format::Ndjson),
            (Format::Auto, "a.ndjson.gz", "", Format::Ndjson),
            (Format::Auto, "a.ndjson.csv", "", Format::Csv),
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
