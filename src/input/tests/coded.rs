//! Compressed inputs and inputs in other encodings: the same rows as from plain UTF-8, in every pass, or an error with
//! its place. Cases of field-rules.md, section 4.2, are named after it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::{Rows, Scene, column, read_all, text_of};
use crate::input::{Foreign, Format, Inputs, PackedError, Packing, Pass, SourceError, TextNote};
use crate::update::FieldKind::{Imei, Imsi, Username};

const TEXT: &str = "imei,user name\n490154203237518,Ren\u{e9}\n356868000041418,\"two\nlines \u{20ac}\"\n";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(text, 3).unwrap()
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

fn encoded(text: &str, label: &str) -> Vec<u8> {
    match label {
        "utf-16le" => utf16(text, u16::to_le_bytes),
        "utf-16be" => utf16(text, u16::to_be_bytes),
        _ => {
            let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
            let (bytes, _, lossy) = encoding.encode(text);
            assert!(!lossy, "{label} has all of {text:?}");
            bytes.into_owned()
        }
    }
}

fn told(mut scene: Scene, label: &str) -> Scene {
    scene.options.encoding = Some(label.to_owned());
    scene
}

/// The rows of a survey and of two further passes, which must be equal.
#[track_caller]
fn rows_of_all_passes(scene: &Scene) -> Rows {
    let mut inputs = scene.open().unwrap();
    let rows = read_all(&mut inputs, Pass::Survey).unwrap();
    for _ in 0..2 {
        assert_eq!(read_all(&mut inputs, Pass::Again).unwrap(), rows);
    }
    rows
}

#[test]
fn compressed_inputs_give_the_rows_of_plain_ones() {
    let plain = Scene::csv(TEXT).rows();
    let halves = TEXT.as_bytes().split_at(40);
    for content in [
        gzip(TEXT.as_bytes()),
        [gzip(halves.0), gzip(b""), gzip(halves.1), vec![0; 512]].concat(),
        zstd(TEXT.as_bytes()),
        [zstd(halves.0), b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec(), zstd(halves.1)].concat(),
    ] {
        // The name says nothing, and standard input has none.
        for name in ["a.csv", "a.csv.gz", "a.zst"] {
            assert_eq!(rows_of_all_passes(&Scene::new(&[(name, &content)])), plain);
        }
        let mut scene = Scene::csv("");
        scene.options.inputs = vec!["-".into()];
        let mut inputs = Inputs::open_with(&scene.options, &mut content.as_slice()).unwrap();
        assert_eq!(inputs.bytes_total(), u64::try_from(content.len()).unwrap());
        assert_eq!(read_all(&mut inputs, Pass::Survey).unwrap(), plain);
        assert_eq!(read_all(&mut inputs, Pass::Again).unwrap(), plain);
    }
    let ndjson = "{\"imei\":\"1\"}\n{\"imei\":\"2\"}\n";
    let scene = Scene::new(&[("a.gz", gzip(ndjson.as_bytes()))]);
    assert_eq!(column(&rows_of_all_passes(&scene), Imei), ["1", "2"]);
    assert_eq!(scene.open().unwrap().files()[0].format, Format::Ndjson);
    assert_eq!(Scene::csv(gzip(b"")).rows(), []);
}

/// Some three blocks of text that compress little, so that the compressed file has several blocks, too.
fn large() -> String {
    let mut text = String::from("imsi,note\n");
    let mut state = 1_u64;
    for row in 0..25_000 {
        let mut note = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            note.push_str(&format!("{:016x}", state));
        }
        text.push_str(&format!("{row:08},{note}\n"));
    }
    text
}

#[test]
fn progress_is_counted_in_bytes_of_the_file() {
    let text = large();
    for content in [gzip(text.as_bytes()), zstd(text.as_bytes()), {
        let mut marked = vec![0xff, 0xfe];
        marked.extend(utf16(&text, u16::to_le_bytes));
        marked
    }] {
        let scene = Scene::csv(&content);
        let mut inputs = scene.open().unwrap();
        let total = inputs.bytes_total();
        assert_eq!(total, u64::try_from(content.len()).unwrap());
        assert!(total > 1 << 20, "several blocks are wanted");
        let mut reader = inputs.read(Pass::Survey);
        let (mut last, mut steps, mut rows) = (0, 0, 0);
        while reader.next_row().unwrap().is_some() {
            let read = reader.bytes_read();
            assert!(read >= last && read <= total);
            steps += u64::from(read > last);
            last = read;
            rows += 1;
        }
        assert_eq!((reader.bytes_read(), rows), (total, 25_000));
        assert!(steps > 2, "the bar moves: {steps}");
    }
}

#[test]
fn no_row_of_a_changed_compressed_block_is_used() {
    let text = large();
    for content in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
        let scene = Scene::csv(&content);
        let mut inputs = scene.open().unwrap();
        let surveyed = read_all(&mut inputs, Pass::Survey).unwrap().len();
        let file = OpenOptions::new().write(true).open(scene.path("a.csv")).unwrap();
        file.write_at(&[content[(1 << 20) + 5_000] ^ 1], (1 << 20) + 5_000).unwrap();
        let mut reader = inputs.read(Pass::Again);
        let mut rows = 0;
        let error = loop {
            match reader.next_row() {
                Ok(Some(_)) => rows += 1,
                Ok(None) => panic!("the change must be found"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, SourceError::Changed { .. }), "{error:?}");
        assert!(reader.bytes_read() <= 1 << 20, "{} bytes were used", reader.bytes_read());
        assert!(rows > 0 && rows < surveyed, "{rows} rows were used, those of the first block");
    }
    // One block, changed: no row at all.
    let scene = Scene::csv(gzip(TEXT.as_bytes()));
    let mut inputs = scene.open().unwrap();
    read_all(&mut inputs, Pass::Survey).unwrap();
    let file = OpenOptions::new().write(true).open(scene.path("a.csv")).unwrap();
    file.write_at(b"\x55", 20).unwrap();
    let mut reader = inputs.read(Pass::Again);
    assert!(matches!(reader.next_row(), Err(SourceError::Changed { .. })));
}

#[test]
fn a_truncated_or_damaged_stream_is_never_a_silent_end() {
    let text = large();
    let whole = gzip(text.as_bytes());
    let scene = Scene::csv(&whole[..whole.len() - 900]);
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut rows = 0;
    let error = loop {
        match reader.next_row() {
            Ok(row) => rows += u64::from(row.expect("an end would be silent").is_ok()),
            Err(error) => break error,
        }
    };
    let SourceError::Packed(PackedError::Truncated { packing: Packing::Gzip, offset, line, .. }) = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(*offset, u64::try_from(whole.len() - 900).unwrap());
    assert!(*line > 24_000 && *line <= 25_001, "line {line}");
    assert!(rows > 20_000, "rows before it are seen: {rows}");
    assert!(matches!(reader.next_row(), Ok(None)), "and none after it");
    // A checksum that does not fit, told at the end of the member.
    let mut damaged = whole.clone();
    let crc_at = damaged.len() - 8;
    damaged[crc_at] ^= 1;
    let error = Scene::csv(damaged).read_error();
    assert!(matches!(error, SourceError::Packed(PackedError::Damaged { line: 25_002, .. })), "{error:?}");
    // Within the first block of text it is told when the file is opened.
    for (content, part) in [
        (gzip(TEXT.as_bytes())[..30].to_vec(), "is cut off at byte 30 of the file"),
        (zstd(TEXT.as_bytes())[..30].to_vec(), "the zstd data is cut off"),
        ([gzip(TEXT.as_bytes()), b"PK".to_vec()].concat(), "other bytes follow the gzip data"),
        (
            b"\x1f\x8b\x09 no such method".to_vec(),
            "the gzip data is damaged near byte 10 of the file, in line 1",
        ),
    ] {
        let scene = Scene::csv(content);
        let error = scene.open_error();
        let text = text_of(&error, scene.dir.path());
        assert!(text.starts_with("a.csv: ") && text.contains(part), "{text}");
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn every_cut_of_a_compressed_file_is_refused_but_one_between_members() {
    let (one, two) = (gzip(b"imei\n1\n"), gzip(b"2\n"));
    let whole = [one.as_slice(), &two].concat();
    for cut in 2..whole.len() {
        let scene = Scene::csv(&whole[..cut]);
        if cut == one.len() {
            assert_eq!(column(&scene.rows(), Imei), ["1"]);
            continue;
        }
        let error = scene.open_error();
        assert!(matches!(error, SourceError::Packed(PackedError::Truncated { .. })), "{cut}: {error:?}");
    }
}

#[test]
fn a_bomb_is_refused_and_a_short_repetitive_file_is_not() {
    let row = format!("310260123456789,{}\n", " ".repeat(2_000));
    let text = |rows: usize| format!("imsi,note\n{}", row.repeat(rows));
    let short = Scene::csv(gzip(text(600).as_bytes())).bounds(|bounds| bounds.expansion_max = 2);
    assert_eq!(short.rows().len(), 600, "below the floor nothing is judged");
    let long = text((18 << 20) / row.len());
    for content in [gzip(long.as_bytes()), zstd(long.as_bytes())] {
        let scene = Scene::csv(&content).bounds(|bounds| bounds.expansion_max = 20);
        let error = scene.read_error();
        let SourceError::Packed(PackedError::Expands { expansion_max: 20, .. }) = &error else {
            panic!("{error:?}")
        };
        assert!(error.remedy().contains("input.expansion_max"));
        let scene = scene.bounds(|bounds| bounds.expansion_max = 100_000);
        let mut inputs = scene.open().unwrap();
        let mut reader = inputs.read(Pass::Survey);
        while reader.next_row().unwrap().is_some() {}
    }
}

#[test]
fn what_is_compressed_is_looked_at_again() {
    for (content, kind, inside) in [
        (gzip(&gzip(b"imei\n1\n")), Foreign::Gzip, Some(Packing::Gzip)),
        (zstd(&gzip(b"imei\n1\n")), Foreign::Gzip, Some(Packing::Zstd)),
        (gzip(&zstd(b"imei\n1\n")), Foreign::Zstd, Some(Packing::Gzip)),
        (gzip(b"PK\x03\x04....xl/workbook.xml"), Foreign::Excel, Some(Packing::Gzip)),
        (zstd(b"<html>login"), Foreign::Html, Some(Packing::Zstd)),
        (utf16("\u{feff}<!doctype html><p>", u16::to_be_bytes), Foreign::Html, None),
        (gzip(&utf16("\u{feff}\n<HTML>", u16::to_le_bytes)), Foreign::Html, Some(Packing::Gzip)),
    ] {
        for format in [Format::Auto, Format::Csv, Format::Ndjson] {
            let mut scene = Scene::csv(&content);
            scene.options.format = format;
            let error = scene.open_error();
            let SourceError::Foreign { found, inside: packed, .. } = &error else { panic!("{error:?}") };
            assert_eq!((*found, *packed), (kind, inside));
        }
    }
    let scene = Scene::csv(gzip(&gzip(b"imei\n1\n")));
    let text = text_of(&scene.open_error(), scene.dir.path());
    assert_eq!(text, "a.csv: decompressed by gzip, it is compressed by gzip, not CSV or NDJSON text");
}

#[test]
fn case_utf8_bom_is_stripped() {
    let scene = Scene::csv(format!("\u{feff}{TEXT}"));
    assert_eq!(rows_of_all_passes(&scene), Scene::csv(TEXT).rows());
    assert_eq!(scene.open().unwrap().text_notes(), []);
    let compressed = Scene::csv(gzip(format!("\u{feff}{TEXT}").as_bytes()));
    assert_eq!(rows_of_all_passes(&compressed), Scene::csv(TEXT).rows());
}

#[test]
fn case_utf16_with_bom_is_decoded_and_told() {
    let plain = Scene::csv(TEXT).rows();
    for (to_bytes, encoding) in
        [(u16::to_le_bytes as fn(u16) -> [u8; 2], "UTF-16LE"), (u16::to_be_bytes, "UTF-16BE")]
    {
        let marked = utf16(&format!("\u{feff}{TEXT}"), to_bytes);
        for content in [marked.clone(), gzip(&marked)] {
            let scene = Scene::csv(content);
            assert_eq!(rows_of_all_passes(&scene), plain);
            let notes = scene.open().unwrap().text_notes();
            assert!(matches!(&notes[..], [TextNote::Decoded { encoding: found, .. }] if *found == encoding));
            assert!(notes[0].to_string().contains(encoding));
        }
        let shaping = |scene: &Scene| scene.open().unwrap().shaping();
        assert_ne!(shaping(&Scene::csv(marked)), shaping(&Scene::csv(TEXT)), "it shapes the batch");
    }
}

#[test]
fn case_utf16_without_bom_is_an_error_with_the_option_to_give() {
    for (label, side) in [("utf-16le", "UTF-16LE"), ("utf-16be", "UTF-16BE")] {
        let content = encoded(TEXT, label);
        let error = Scene::csv(&content).open_error();
        let (text, remedy) = (error.to_string(), error.remedy());
        assert!(text.contains(side) && remedy.contains(&format!("--encoding {label}")), "{text} {remedy}");
        let scene = told(Scene::csv(content), label);
        assert_eq!(rows_of_all_passes(&scene), Scene::csv(TEXT).rows());
        assert_eq!(scene.open().unwrap().text_notes(), [], "what was told is no news");
    }
}

#[test]
fn case_invalid_utf8_stops_the_file_at_the_first_bad_byte() {
    let content = b"imei,some note\n1,ok\n2,\"b\xc3\xa9\nc\xc3\xa9d\xe9 \",\n3,x\n";
    for (content, of) in [(content.to_vec(), "the file"), (gzip(content), "the decompressed file")] {
        let scene = Scene::csv(content);
        let mut inputs = scene.open().unwrap();
        let mut reader = inputs.read(Pass::Survey);
        assert!(reader.next_row().unwrap().unwrap().is_ok(), "the row before it is read");
        let error = reader.next_row().map(drop).unwrap_err();
        let expected = format!("a.csv line 4 column 4: invalid UTF-8 at byte 31 of {of} (0xe9)");
        assert_eq!(text_of(&error, scene.dir.path()), expected);
        assert!(error.remedy().contains("--encoding windows-1252"));
        assert!(reader.next_row().unwrap().is_none());
    }
    // A sequence that the end cuts off is shown with all of its bytes.
    let scene = Scene::csv(b"imei,x\n1,\xe2\x82");
    let error = scene.read_error();
    let expected = "a.csv line 2 column 3: invalid UTF-8 at byte 9 of the file (0xe2 0x82)";
    assert_eq!(text_of(&error, scene.dir.path()), expected);
    let header = Scene::csv(b"sep=;\nimei;B\xc3\xa9\xe9;x\n1,2\n");
    let expected = "a.csv line 2 column 8: invalid UTF-8 at byte 14 of the file (0xe9)";
    assert_eq!(text_of(&header.open_error(), header.dir.path()), expected);
}

#[test]
fn case_encoding_windows_1252_decodes() {
    let scene = told(Scene::csv(encoded(TEXT, "windows-1252")), "windows-1252");
    assert_eq!(rows_of_all_passes(&scene), Scene::csv(TEXT).rows());
}

#[test]
fn every_label_gives_the_rows_of_plain_text() {
    for (label, name) in [
        ("latin1", "Ren\u{e9}"),
        ("iso-8859-2", "Wa\u{142}\u{119}sa"),
        ("windows-1251", "\u{418}\u{432}\u{430}\u{43d}"),
        ("koi8-r", "\u{418}\u{432}\u{430}\u{43d}"),
        ("ibm866", "\u{418}\u{432}\u{430}\u{43d}"),
        ("shift_jis", "\u{8868}\u{793a}\u{30bd}"),
        ("euc-jp", "\u{6771}\u{4eac}"),
        ("iso-2022-jp", "\u{6771}\u{4eac}"),
        ("gb18030", "\u{4e2d}\u{6587}\u{1f600}"),
        ("big5", "\u{4e2d}\u{6587}"),
        ("euc-kr", "\u{d55c}\u{ae00}"),
        ("macintosh", "Ren\u{e9}"),
        ("utf-8", "Ren\u{e9}"),
        ("UTF-16", "Ren\u{e9} \u{1f600}"),
    ] {
        let text = format!("imei,user name\n490154203237518,{name}\n");
        let as_bytes = if label == "UTF-16" { "utf-16le" } else { label };
        let scene = told(Scene::csv(encoded(&text, as_bytes)), label);
        assert_eq!(column(&rows_of_all_passes(&scene), Username), [name], "{label}");
    }
}

#[test]
fn bytes_that_are_no_text_of_the_encoding_are_told_and_never_replaced() {
    let mut lone = utf16("\u{feff}imei,x\n1,a\n2,b", u16::to_le_bytes);
    let bad_at = lone.len();
    lone.extend_from_slice(b"\x00\xd8\n\0");
    let odd = [utf16("\u{feff}imei\n1\n", u16::to_be_bytes), vec![0]].concat();
    for (content, label, expected) in [
        (
            lone,
            "",
            format!("a.csv line 3 column 4: invalid UTF-16LE at byte {bad_at} of the file (0x00 0xd8)"),
        ),
        (odd, "", "a.csv line 3 column 1: invalid UTF-16BE at byte 16 of the file (0x00)".to_owned()),
        (
            b"imei,x\r\n1,\x82\xa0\x81\n".to_vec(),
            "shift_jis",
            "a.csv line 2 column 4: invalid Shift_JIS at byte 12 of the file (0x81)".to_owned(),
        ),
        (
            gzip(b"imei,x\n1,\xaa\n"),
            "windows-1253",
            "a.csv line 2 column 3: invalid windows-1253 at byte 9 of the decompressed file (0xaa)"
                .to_owned(),
        ),
    ] {
        let scene = Scene::csv(content);
        let scene = if label.is_empty() { scene } else { told(scene, label) };
        let error = scene.open_error();
        assert_eq!(text_of(&error, scene.dir.path()), expected);
        assert!(!error.remedy().is_empty());
    }
    // Further back, the rows before it are read first, as with UTF-8.
    let text = large();
    let mut content = utf16(&format!("\u{feff}{text}"), u16::to_le_bytes);
    let len = content.len();
    content[len - 21] = 0xdc;
    let scene = Scene::csv(content);
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut rows = 0;
    let error = loop {
        match reader.next_row() {
            Ok(row) => rows += u64::from(row.expect("the bad bytes must be found").is_ok()),
            Err(error) => break error,
        }
    };
    assert_eq!(rows, 24_999);
    assert!(error.to_string().contains("line 25001 column"), "{error}");
}

#[test]
fn a_mark_that_contradicts_what_was_told_is_an_error() {
    for (content, label) in [
        (format!("\u{feff}{TEXT}").into_bytes(), "windows-1252"),
        (utf16(&format!("\u{feff}{TEXT}"), u16::to_be_bytes), "utf-16le"),
        (utf16(&format!("\u{feff}{TEXT}"), u16::to_le_bytes), "utf-8"),
        (encoded(TEXT, "utf-16be"), "windows-1252"),
    ] {
        let error = told(Scene::csv(content), label).open_error();
        assert!(matches!(error, SourceError::Encoding(_)), "{error:?}");
        assert!(error.remedy().contains("--encoding"), "{}", error.remedy());
    }
    assert!(told(Scene::csv(TEXT), "windows-1225").open_error().to_string().contains("`windows-1252`"));
}

#[test]
fn case_mojibake_in_names_is_warned_of_once_per_file() {
    let mangled = "Ren\u{c3}\u{a9}";
    let filler = format!("1,plain \u{e9}{}\n", "x".repeat(1_000)).repeat(1_500);
    for (content, line) in [
        (format!("imei,user name\n1,Ren\u{e9}\n2,{mangled}\n3,{mangled}\n"), Some(3)),
        (format!("imei,note\n1,\"a\n{mangled}\"\n"), Some(2)),
        (format!("imei,{mangled}\n1,x\n"), Some(1)),
        (format!("imei,user name\n1,x,too long\n2,{mangled},too long\n"), Some(3)),
        (format!("imei,user name\n\n\n1,{mangled}"), Some(4)),
        (format!("imei,user name\n{filler}2,it\u{e2}\u{20ac}\u{2122}s\n"), Some(1_502)),
        (TEXT.to_owned(), None),
        (format!("imei,user name\n{filler}"), None),
    ] {
        let marked = utf16(&format!("\u{feff}{content}"), u16::to_le_bytes);
        for bytes in [content.clone().into_bytes(), gzip(content.as_bytes()), marked] {
            let scene = Scene::csv(bytes);
            let mut inputs = scene.open().unwrap();
            let mut reader = inputs.read(Pass::Survey);
            while reader.next_row().unwrap().is_some() {}
            let lines: Vec<u64> = inputs
                .text_notes()
                .into_iter()
                .filter_map(|note| match note {
                    TextNote::Mojibake { line, .. } => Some(line),
                    TextNote::Decoded { .. }
                    | TextNote::CutOff { .. }
                    | TextNote::NoLastLineEnd { .. }
                    | TextNote::DelimiterOverruled { .. } => None,
                })
                .collect();
            assert_eq!(lines, Vec::from_iter(line), "{:.40}", content);
        }
    }
    let scene =
        Scene::ndjson(format!("{{\"imei\":\"1\"}}\n{{\"imei\":\"2\",\"user_name\":\"{mangled}\"}}\n"));
    let mut inputs = scene.open().unwrap();
    read_all(&mut inputs, Pass::Survey).unwrap();
    let note = inputs.text_notes().remove(0).to_string();
    assert!(note.contains("a.ndjson line 2:"), "{note}");
}

#[test]
fn an_empty_export_is_empty_in_any_form() {
    for content in [gzip(b""), zstd(b""), gzip(b"\xef\xbb\xbf"), b"\xff\xfe".to_vec(), b"\xfe\xff".to_vec()] {
        assert_eq!(Scene::csv(content).rows(), []);
    }
    let ended = utf16("\u{feff}imsi\r\n1\r\n\u{1a}", u16::to_le_bytes);
    assert_eq!(column(&Scene::csv(ended).rows(), Imsi), ["1"], "the DOS end mark is passed over here, too");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_form_of_a_text_gives_the_same_rows(
        cells in proptest::collection::vec("[a-zé€œß ,;\"'\r\n]{0,12}", 0..30),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut text = String::from("imei,note\n");
        for (at, cell) in cells.iter().enumerate() {
            text.push_str(&format!("{at},\"{}\"\n", cell.replace('"', "\"\"")));
        }
        let plain = Scene::csv(&text).rows();
        prop_assert_eq!(plain.len(), cells.len());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let parts = || cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]);
        let gz: Vec<u8> = parts().flat_map(gzip).collect();
        let zst: Vec<u8> = parts().flat_map(zstd).collect();
        for content in [gz, zst] {
            prop_assert_eq!(&Scene::csv(content).rows(), &plain);
        }
        for label in ["utf-16le", "utf-16be", "windows-1252"] {
            let content = encoded(&text, label);
            // By chance the bytes of such a text are UTF-8, too, and are refused under another name: `ßœ` is a letter
            // there.
            if label == "windows-1252" && !content.is_ascii() && std::str::from_utf8(&content).is_ok() {
                prop_assert!(told(Scene::csv(&content), label).open().is_err());
                continue;
            }
            prop_assert_eq!(&told(Scene::csv(&content), label).rows(), &plain);
            prop_assert_eq!(&told(Scene::csv(gzip(&content)), label).rows(), &plain);
        }
    }

    #[test]
    fn no_bytes_in_any_coding_bring_it_down(
        bytes in proptest::collection::vec(any::<u8>(), 0..300), cut: prop::sample::Index, form in 0..5_usize,
    ) {
        let content = [b"imei,imsi\n".as_slice(), &bytes].concat();
        let mut scene = match form {
            0 => Scene::csv({ let packed = gzip(&content); packed[..=cut.index(packed.len())].to_vec() }),
            1 => Scene::csv({ let packed = zstd(&content); packed[..=cut.index(packed.len())].to_vec() }),
            2 => Scene::csv([b"\xff\xfe".as_slice(), &bytes].concat()),
            3 => told(Scene::csv(&content), "shift_jis"),
            _ => told(Scene::csv(&content), "gb18030"),
        };
        scene.options.format = Format::Csv;
        let Ok(mut inputs) = scene.open() else { return Ok(()) };
        if let Ok(first) = read_all(&mut inputs, Pass::Survey) {
            prop_assert_eq!(read_all(&mut inputs, Pass::Again).unwrap(), first);
        }
    }
}
