//! CSV on real files: one table per kind of mess.

use super::{Scene, column, lines, text_of};
use crate::input::{MappedBy, Pass, SourceError};
use crate::update::FieldKind::{Iccid, Imei, Imsi, Number, Username};

#[test]
fn the_delimiter_is_found_by_the_known_names() {
    for content in [
        "imsi,msisdn\n1,2\n",
        "imsi;msisdn\n1;2\n",
        "imsi\tmsisdn\n1\t2\n",
        "imsi|msisdn\n1|2\n",
        "sep=;\nimsi;msisdn\n1;2\n",
        "sep=^\r\nimsi^msisdn\r\n1^2\r\n",
        "\u{feff}\"sep=|\"\n\"imsi\"|\"msisdn\"\n\"1\"|\"2\"\n",
        "\u{feff}imsi,msisdn\r\n1,2\r\n",
        "\"note; other\",imsi,msisdn\nx,1,2",
        "imsi,msisdn\r1,2\r",
        "imsi,msisdn\n1,2\n\x1a",
        "imsi,msisdn\n1,2\x1a\x1a",
        "\n ,\n imsi , msisdn \n1,2\n",
    ] {
        let rows = Scene::csv(content).rows();
        assert_eq!(column(&rows, Imsi), ["1"], "{content:?}");
        assert_eq!(column(&rows, Number), ["2"], "{content:?}");
    }
}

#[test]
fn a_single_column_needs_no_delimiter() {
    assert_eq!(column(&Scene::csv("msisdn\n1\n2").rows(), Number), ["1", "2"]);
    // Read with a semicolon this would be the one known name `simcard`.
    assert_eq!(column(&Scene::csv("sim,card\n1,2\n").rows(), Iccid), ["1"]);
}

#[test]
fn delimiters_that_fit_equally_are_a_question() {
    let error = Scene::csv("imsi,phone;iccid\n").open_error();
    let SourceError::DelimiterAmbiguous { candidates, .. } = &error else { panic!("{error:?}") };
    assert_eq!(candidates, &[',', ';']);
    assert!(error.remedy().contains("sep="));
}

#[test]
fn lines_are_the_physical_ones() {
    for (content, expected) in [
        ("imsi,note\n1,a\n\n2,\"b\nc\"\n3,d\n", &[2, 4, 6][..]),
        ("imsi,note\r\n1,a\r\n\r\n2,\"b\r\nc\"\r\n3,d", &[2, 4, 6]),
        ("imsi,note\r1,a\r\r2,\"b\rc\"\r3,d\r", &[2, 4, 6]),
        ("imsi,\"a\nnote\"\n1,a\n", &[3]),
        ("sep=,\n\nimsi,note\n1,a\n", &[4]),
    ] {
        let rows = Scene::csv(content).rows();
        assert_eq!(lines(&rows), expected, "{content:?}");
        let ordinals: Vec<u64> = rows.iter().map(|row| row.as_ref().unwrap().place.ordinal).collect();
        assert_eq!(ordinals, (1..=u64::try_from(rows.len()).unwrap()).collect::<Vec<_>>());
    }
}

#[test]
fn blank_lines_are_counted_and_no_rows() {
    let scene = Scene::csv("imsi,note\n\n1,a\n  \t \n , \n,,,\n2,b\n\n");
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(crate::input::Pass::Survey);
    let mut ordinals = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        ordinals.push(row.unwrap().place().ordinal);
    }
    assert_eq!((ordinals, reader.blank_rows()), (vec![1, 2], 5));
    assert_eq!(inputs.files()[0].rows_seen, 2);
}

#[test]
fn records_that_are_no_rows_are_told_and_passed() {
    for (record, code, named) in [
        ("1,2", "csv.ragged_short", None),
        ("1,2,3,4", "csv.ragged_long", None),
        ("1,2,3,, x", "csv.ragged_long", None),
        ("1,2,3,", "csv.ragged_long", None),
        ("1,\0,3", "csv.nul", Some("imei")),
        ("1,2,123456789012345678901", "field.too_long", Some("note")),
        ("12345678901234567890,12345678901234567890,", "row.too_long", None),
    ] {
        let content = format!("imsi,imei,note\n8,8,ok\n{record}\n9,9,ok\n");
        let scene = Scene::csv(content).bounds(|bounds| {
            bounds.field_bytes_max = 20;
            bounds.record_bytes_max = 40;
        });
        let rows = scene.rows();
        let error = rows[1].as_ref().expect_err(record);
        assert_eq!((error.code, error.column.as_deref()), (code, named), "{record:?}");
        assert_eq!(error.place.ordinal, 2);
        assert_eq!(error.place.line, 3);
        assert_eq!(error.raw, record.trim_end_matches('\n').as_bytes());
        assert_eq!(column(&rows, Imsi).last().map(String::as_str), Some("9"), "{record:?}");
        assert!(!format!("{error:?}").contains("12345"), "values stay out of Debug");
    }
}

#[test]
fn cells_are_kept_as_the_csv_crate_reads_them() {
    for (record, cell) in [
        ("1,,x", ""),
        ("1,\" 2\"\" \",x", " 2\" "),
        ("1,=\"a\",x", "=\"a\""),
        ("1,2,\"a\"b", "2"),
        ("1,2,5\" wide", "2"),
        ("1,'+44,x", "'+44"),
        ("1,2,\"free\ntext\"", "2"),
    ] {
        let rows = Scene::csv(format!("imsi,username,note\n{record}\n")).rows();
        assert_eq!(column(&rows, Username), [cell], "{record:?}");
    }
}

#[test]
fn an_unbalanced_quote_ends_the_file_with_its_line() {
    let many = format!("imsi,note\n1,a\n2,\"b\n{}", "3,c\n".repeat(200));
    let long = format!("imsi,note\n1,a\n2,\"b\n{}", "3,c,0123456789012345678901234567\n".repeat(20));
    let reopened = "imsi,note\n1,a\n2,\"b\nc\",\"d\n3,e\n";
    let same_line = "imsi,note\n1,a\n2,\"b";
    for (content, line) in [(many.as_str(), 3), (&long, 3), (reopened, 4), (same_line, 3)] {
        let scene = Scene::csv(content).bounds(|bounds| bounds.record_bytes_max = 500);
        let mut inputs = scene.open().unwrap();
        let mut reader = inputs.read(crate::input::Pass::Survey);
        assert!(reader.next_row().unwrap().unwrap().is_ok(), "the row before is fine");
        let error = reader.next_row().map(|_| ()).expect_err("the quote swallows lines");
        let expected = format!("a.csv line {line}: unbalanced quote opened at line {line}");
        assert_eq!(text_of(&error, scene.dir.path()), expected);
    }
}

#[test]
fn a_long_line_is_passed_over_whatever_its_length() {
    let long = "x".repeat(3 << 20);
    let content = format!("imsi,note\n1,a\n2,{long}\r\n3,c\n4,{long}");
    let rows = Scene::csv(content).rows();
    assert_eq!(column(&rows, Imsi), ["1", "!row.too_long", "3", "!row.too_long"]);
    assert_eq!(lines(&rows), [2, 3, 4, 5]);
    assert_eq!(rows[1].as_ref().unwrap_err().raw.len(), crate::input::RAW_BYTES_MAX);
}

#[test]
fn invalid_utf8_is_told_with_line_and_byte() {
    for (content, line, column, offset, bytes) in [
        (&b"imsi,name\n1,a\n2,M\xfcller\n"[..], 3, 4, 17, "0xfc"),
        (b"\xef\xbb\xbfimsi,name\n1,\"a\r\nb\n\xff\"\n", 4, 1, 21, "0xff"),
        (b"imsi,name\n1,a\xc3", 2, 4, 13, "0xc3"),
    ] {
        let scene = Scene::csv(content);
        let error = scene.read_error();
        let expected = format!(
            "a.csv line {line} column {column}: invalid UTF-8 at byte {offset} of the file ({bytes})"
        );
        assert_eq!(text_of(&error, scene.dir.path()), expected);
        assert!(error.remedy().contains("iconv"));
    }
    let header = Scene::csv(b"imsi,stra\xdfe\n1,2\n").open_error();
    assert!(matches!(header, SourceError::NotUtf8 { line: 1, offset: 9, .. }), "{header:?}");
}

#[test]
fn headers_without_a_clear_mapping_are_refused() {
    let unknown = Scene::csv("first name,account id\nbob,7\n").open_error();
    assert!(unknown.to_string().contains("`first name`, `account id`"), "{unknown}");
    assert!(unknown.remedy().contains("--map user_external_id='account id'"), "{}", unknown.remedy());
    assert!(unknown.remedy().contains("msisdn"));

    let headerless = Scene::csv("447700900123,bob\n447700900124,eve\n").open_error();
    assert!(!headerless.to_string().contains("4477"), "{headerless}");
    assert!(!headerless.to_string().contains("bob"), "{headerless}");
    assert!(!format!("{headerless:?}").contains("bob"), "{headerless:?}");

    let twice = Scene::csv("Phone,Mobile,imsi\n").open_error();
    assert!(twice.to_string().ends_with("several columns stand for number: `Phone`, `Mobile`"), "{twice}");
    assert_eq!(twice.remedy(), "say which one is meant: --map number=Phone, or --map number=Mobile");

    let nowhere = Scene::csv("imsi,name\n").map(Number, "Handset").open_error();
    assert!(nowhere.to_string().contains("`Handset`") && nowhere.to_string().contains("`name`"), "{nowhere}");

    let ours = Scene::csv("imsi,_raw\n").map(Number, "_raw").open_error();
    assert!(matches!(ours, SourceError::NoSuchColumn { .. }), "{ours:?}");

    let wide = Scene::csv("imsi,a,b,c\n").bounds(|bounds| bounds.columns_max = 3).open_error();
    assert!(matches!(wide, SourceError::TooManyColumns { columns_max: 3, .. }));

    let long = Scene::csv("imsi,a,b,c\n").bounds(|bounds| bounds.record_bytes_max = 5).open_error();
    assert!(matches!(long, SourceError::HeaderTooLong { bytes_max: 5, .. }), "{long:?}");
}

#[test]
fn what_a_field_was_before_is_read_beside_it_and_is_no_unknown_column() {
    let scene = Scene::csv("Tel,SIM,old_imsi,Previous SIM,SIM old,Old Notes\n1,2,3,4,5,6\n");
    let mut inputs = scene.open().unwrap();
    let unknown: Vec<_> = inputs.unknown_columns().into_iter().map(|column| column.name).collect();
    assert_eq!(unknown, ["Tel", "Old Notes"]);
    let mut reader = inputs.read(Pass::Survey);
    let row = reader.next_row().unwrap().unwrap().unwrap();
    // Two columns could be the ICCID of before: neither is taken.
    assert_eq!([Number, Imsi, Iccid].map(|field| row.old(field)), [None, Some("3"), None]);
    assert_eq!(row.cell(Iccid), Some("2"));
}

#[test]
fn columns_are_listed_as_mapped_unknown_or_ours() {
    let scene = Scene::csv("Tel,SIM,imssi,_run,_row,_odd,,old_imsi\n1,2,3,r,7,x,y,z\n").map(Number, "tel");
    let inputs = scene.open().unwrap();
    let notes: Vec<_> =
        inputs.mapping_notes().into_iter().map(|note| (note.field, note.column, note.by)).collect();
    let expected =
        [(Number, "Tel".into(), Some(MappedBy::NameAlike)), (Iccid, "SIM".into(), Some(MappedBy::Synonym))];
    assert_eq!(notes, expected);
    let unknown: Vec<_> =
        inputs.unknown_columns().into_iter().map(|column| (column.name, column.suggestion)).collect();
    assert_eq!(unknown, [("imssi".into(), Some(Imsi)), ("_odd".into(), None)]);
    assert_eq!(inputs.columns(), ["Tel", "SIM", "imssi", "_odd", "", "old_imsi"]);
    assert_eq!(inputs.mapped().iter().collect::<Vec<_>>(), [Number, Iccid]);
    let rows = scene.rows();
    let row = rows[0].as_ref().unwrap();
    assert_eq!(row.origin, Some(("r".into(), 7)));
    let originals: Vec<_> = row.originals.iter().map(|cell| cell.as_deref().unwrap()).collect();
    assert_eq!(originals, ["1", "2", "3", "x", "y", "z"]);
}

#[test]
fn an_origin_is_whole_or_wrong() {
    for (cells, expected) in [
        ("r,7", Ok(Some(("r".to_owned(), 7)))),
        (",", Ok(None)),
        (" , ", Ok(None)),
        ("r,", Err("origin.invalid")),
        (",7", Err("origin.invalid")),
        ("r,0", Err("origin.invalid")),
        ("r,x", Err("origin.invalid")),
        ("r,-1", Err("origin.invalid")),
    ] {
        let rows = Scene::csv(format!("imei,_run,_row\n1,{cells}\n")).rows();
        let found = rows[0].as_ref().map(|seen| seen.origin.clone()).map_err(|error| error.code);
        assert_eq!(found, expected, "{cells:?}");
    }
}

#[test]
fn a_mark_within_the_file_is_content() {
    let rows = Scene::csv("imei,imsi\n\u{feff}1,2\n").rows();
    assert_eq!(column(&rows, Imei), ["\u{feff}1"]);
}
