//! NDJSON on real files: values, members, and what is no NDJSON.

use super::{Scene, column, lines, text_of};
use crate::input::{Pass, SourceError};
use crate::update::FieldKind::{self, Iccid, Imei, Imsi, Number, Username};

#[test]
fn values_keep_their_text() {
    for (value, cell) in [
        ("\"00123\"", "00123"),
        ("9007199254740991", "9007199254740991"),
        ("-9007199254740991", "-9007199254740991"),
        ("0", "0"),
        ("8.9014e19", "8.9014e19"),
        ("89014103211118510720.0", "89014103211118510720.0"),
        ("1E3", "1E3"),
        ("null", "(absent)"),
        ("\"\"", ""),
        (r#""a\"\u00e9\\""#, "a\"é\\"),
        (r#""+44\t""#, "+44\t"),
        ("\"89014103211118510720\"", "89014103211118510720"),
        ("9007199254740992", "!json.unsafe_integer"),
        ("-9007199254740992", "!json.unsafe_integer"),
        ("89014103211118510720", "!json.unsafe_integer"),
        ("true", "!json.nested"),
        ("[1]", "!json.nested"),
        ("{\"a\":1}", "!json.nested"),
        (r#""\ud800""#, "!json.syntax"),
        (r#""a\u0000""#, "!json.syntax"),
        ("NaN", "!json.syntax"),
        ("'a'", "!json.syntax"),
    ] {
        let content = format!("{{\"iccid\":\"1\"}}\n{{\"iccid\":{value}}}\n{{\"iccid\":\"3\"}}\n");
        let rows = Scene::ndjson(content).rows();
        assert_eq!(column(&rows, Iccid), ["1", cell, "3"], "{value}");
    }
}

#[test]
fn lines_that_are_no_rows_are_told_and_passed() {
    for (line, code, named) in [
        ("[1]", "json.not_object", None),
        ("\"89014103211118510720\"", "json.not_object", None),
        ("7", "json.not_object", None),
        ("{\"imei\":1", "json.syntax", None),
        ("{\"imei\":1,}", "json.syntax", None),
        ("{\"imei\":1}{\"imei\":2}", "json.syntax", None),
        ("imei,imsi", "json.syntax", None),
        ("{\"imei\":1,\"imei\":1}", "json.duplicate_member", Some("imei")),
        ("{\"x\":1,\"\\u0078\":1}", "json.duplicate_member", Some("x")),
        ("{\"imei\":123456789012345,\"note\":\"01234567890123456789\"}", "row.too_long", None),
        ("{\"imei\":\"0123456789012345678901\"}", "field.too_long", Some("imei")),
        ("{\"imei\":1,\"_run\":\"r\"}", "origin.invalid", Some("_row")),
    ] {
        let content = format!("{{\"imei\":1}}\r\n{line}\n\n{{\"imei\":3}}");
        let scene = Scene::ndjson(content).bounds(|bounds| {
            bounds.record_bytes_max = 50;
            bounds.field_bytes_max = 20;
        });
        let rows = scene.rows();
        assert_eq!(column(&rows, Imei)[0], "1");
        assert_eq!(column(&rows, Imei)[2], "3", "{line}");
        assert_eq!(lines(&rows), [1, 2, 4]);
        let error = rows[1].as_ref().expect_err(line);
        assert_eq!((error.code, error.column.as_deref()), (code, named), "{line}");
        assert_eq!(error.raw, line.as_bytes());
        let told = format!("{error:?}{}", error.detail);
        assert!(!told.contains("8901410") && !told.contains("012345"), "no value in {told}");
    }
}

#[test]
fn two_candidates_among_the_first_rows_are_a_question() {
    for content in ["{\"phone\":1,\"mobile\":3}\n", "{\"phone\":1}\n{\"mobile\":null}\n"] {
        let error = Scene::ndjson(content).open_error();
        assert!(matches!(error, SourceError::AmbiguousColumns { field: Number, .. }), "{error:?}");
        assert_eq!(column(&Scene::ndjson(content).map(Number, "phone").rows(), Number)[0], "1");
    }
}

#[test]
fn members_of_later_blocks_extend_the_mapping() {
    let filler = format!("{{\"imei\":\"1\",\"note\":\"{}\"}}\n", "x".repeat(1000)).repeat(1100);
    let tail = "{\"sim\":\"5\",\"imei\":\"2\",\"extra\":true}\n\
                {\"phone\":\"6\",\"mobile\":\"7\"}\n{\"mobile\":\"8\"}\n";
    let scene = Scene::ndjson(filler + tail);
    let mut inputs = scene.open().unwrap();
    assert_eq!(inputs.mapped().iter().collect::<Vec<_>>(), [Imei]);
    let shaping = inputs.shaping();
    let rows = super::read_all(&mut inputs, Pass::Survey).unwrap();
    let last = &rows[rows.len() - 3..].to_vec();
    assert_eq!(column(last, Iccid), ["5", "!json.ambiguous", "(absent)"]);
    assert_eq!(column(last, Number), ["(absent)", "!json.ambiguous", "8"]);
    assert_eq!(inputs.columns(), ["imei", "note", "sim", "extra", "phone", "mobile"]);
    let originals = &last[0].as_ref().unwrap().originals;
    let originals: Vec<_> = originals.iter().map(Option::as_deref).collect();
    assert_eq!(originals, [Some("2"), None, Some("5"), Some("true")]);
    assert_eq!(inputs.mapped().iter().collect::<Vec<_>>(), [Number, Imei, Iccid]);
    assert_eq!(inputs.shaping(), shaping, "the batch id may be taken before or after the survey");
    let unknown: Vec<_> = inputs.unknown_columns().into_iter().map(|column| column.name).collect();
    assert_eq!(unknown, ["note", "extra"]);
}

#[test]
fn a_member_mapped_by_name_wins_and_may_come_late() {
    let rows = Scene::ndjson("{\"Phone\":1,\"mobile\":2,\"phone\":3}\n").map(Number, "Phone").rows();
    assert_eq!(column(&rows, Number), ["1"]);

    let filler = format!("{{\"imei\":\"1\",\"note\":\"{}\"}}\n", "x".repeat(1000)).repeat(1100);
    let late = Scene::ndjson(filler.clone() + "{\"tel\":\"9\"}\n").map(Number, "tel");
    assert_eq!(column(&late.rows(), Number).last().map(String::as_str), Some("9"));
    let never = Scene::ndjson(filler).map(Number, "tel");
    assert!(matches!(never.read_error(), SourceError::NoSuchColumn { field: Number, .. }));
    let small = Scene::ndjson("{\"imei\":1}\n").map(Number, "tel");
    assert!(matches!(small.open_error(), SourceError::NoSuchColumn { .. }));
}

#[test]
fn files_that_are_no_ndjson_are_named() {
    for (name, content, says, remedy) in [
        ("a.json", "[\n {\"imei\":1},\n {\"imei\":2}\n]\n", "is one JSON array", "jq -c '.[]'"),
        ("a.ndjson", "\u{feff}[{\"imei\":1}]", "is one JSON array", "jq -c '.[]'"),
        ("a.json", "{\n  \"imei\": 1\n}\n{\n  \"imei\": 2\n}\n", "is pretty-printed JSON", "jq -c ."),
        ("a.json", "{ \"imei\":\n1 }", "is pretty-printed JSON", "jq -c ."),
        ("a.ndjson", "{\"imei\":1}{\"imei\":2}\n", "has several JSON objects on one line", "jq -c ."),
        ("a.ndjson", "{\"city\":1}\n{\"zip\":2}\n", "no column stands for a field", "--map"),
    ] {
        let scene = Scene::new(&[(name, content)]);
        let error = scene.open_error();
        assert!(text_of(&error, scene.dir.path()).starts_with(&format!("{name}: {says}")), "{error}");
        assert!(error.remedy().contains(remedy), "{}", error.remedy());
    }
}

#[test]
fn a_line_cut_at_the_end_is_one_bad_row() {
    let rows = Scene::ndjson("{\"imei\":1}\n{\"imei\":").rows();
    assert_eq!(column(&rows, Imei), ["1", "!json.syntax"]);
    let rows = Scene::ndjson("{\"imei\":1\n{\"imei\":2}\n").rows();
    assert_eq!(column(&rows, Imei), ["!json.syntax", "2"]);
}

#[test]
fn marks_line_ends_and_blank_lines_are_accepted() {
    let scene = Scene::ndjson("\u{feff}{\"imei\":1}\r\n\r\n  \n{\"imei\":2}\r\n\x1a");
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut seen = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        let row = row.unwrap();
        seen.push((row.place().line, row.cell(FieldKind::Imei).unwrap().to_owned()));
    }
    assert_eq!(seen, [(1, "1".to_owned()), (4, "2".to_owned())]);
    assert_eq!(reader.blank_rows(), 2);
}

#[test]
fn invalid_utf8_is_told_with_line_and_byte() {
    let scene = Scene::ndjson(b"{\"imei\":1}\n{\"imei\":2,\"n\":\"\xfc\"}\n");
    let error = scene.read_error();
    assert_eq!(
        text_of(&error, scene.dir.path()),
        "a.ndjson line 2 column 16: invalid UTF-8 at byte 26 of the file (0xfc)"
    );
}

#[test]
fn a_line_of_many_blocks_is_passed_over() {
    let long = "x".repeat(3 << 20);
    let content = format!("{{\"imei\":1}}\n{{\"note\":\"{long}\"}}\n{{\"imei\":3}}\n{{\"note\":\"{long}\"}}");
    let rows = Scene::ndjson(content).rows();
    assert_eq!(column(&rows, Imei), ["1", "!row.too_long", "3", "!row.too_long"]);
}

#[test]
fn member_names_are_bounded() {
    let content = "{\"imei\":1,\"a\":1}\n{\"b\":1,\"c\":2}\n";
    let error = Scene::ndjson(content).bounds(|bounds| bounds.columns_max = 3).open_error();
    assert!(matches!(error, SourceError::TooManyColumns { columns_max: 3, .. }));
}

#[test]
fn an_origin_may_be_text_or_number() {
    let rows = Scene::ndjson(
        "{\"imsi\":1,\"_run\":\"r\",\"_row\":7}\n{\"imsi\":1,\"_run\":\"r\",\"_row\":\"8\"}\n{\"imsi\":1}\n",
    )
    .rows();
    let origins: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap().origin.clone()).collect();
    assert_eq!(origins, [Some(("r".into(), 7)), Some(("r".into(), 8)), None]);
    assert_eq!(column(&rows, Imsi), ["1", "1", "1"]);
    assert_eq!(column(&rows, Username), ["(absent)"; 3]);
}
