//! Every case of field-rules 4.4 (NDJSON), named after it.

use super::{Rows, Scene, column, lines, read_all, text_of};
use crate::input::{Pass, SourceError, UnsafeIntegers};
use crate::update::FieldKind::{self, Iccid, Imei, Number, UserClass, Username};

/// The rows of a file whose lines are `{"imei":"1"}`, the line given, and `{"imei":"3"}`.
fn between(line: &str) -> Rows {
    Scene::ndjson(format!("{{\"imei\":\"1\"}}\n{line}\n{{\"imei\":\"3\"}}\n")).rows()
}

/// Code, column and detail of the one bad row between two good ones.
fn told(line: &str) -> (String, String, String) {
    let rows = between(line);
    assert_eq!(lines(&rows), [1, 2, 3], "{line}");
    assert!(rows[0].is_ok() && rows[2].is_ok(), "{line}");
    let error = rows[1].as_ref().expect_err(line);
    (error.code.to_owned(), error.column.clone().unwrap_or_default(), error.detail.clone())
}

fn numbers(content: &str) -> Vec<Vec<FieldKind>> {
    let scene = Scene::ndjson(content);
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut numbers = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        numbers.push(row.unwrap().numbers().iter().collect());
    }
    numbers
}

#[test]
fn string_digits() {
    let rows = between(r#"{"imei":"0049015420323751","iccid":"89014103211118510720"}"#);
    assert_eq!(column(&rows, Imei)[1], "0049015420323751");
    assert_eq!(column(&rows, Iccid)[1], "89014103211118510720");
    assert_eq!(numbers(r#"{"imei":"490154203237518"}"#), [[]]);
}

#[test]
fn integer_literal_up_to_2_53_minus_1() {
    let rows = between(r#"{"imei":490154203237518,"user_class":9007199254740991}"#);
    assert_eq!(column(&rows, Imei)[1], "490154203237518");
    assert_eq!(column(&rows, UserClass)[1], "9007199254740991");
    let found = numbers("{\"imei\":490154203237518,\"number\":\"+44\",\"iccid\":null}\n{\"imei\":\"1\"}\n");
    assert_eq!(found, [vec![Imei], vec![]], "the next row is not a number because the last one was");
}

#[test]
fn integer_literal_beyond_2_53_minus_1() {
    for literal in ["9007199254740992", "89014103211118510720", "-9007199254740992", &"9".repeat(400)] {
        let line = format!("{{\"iccid\":{literal}}}");
        let (code, column, detail) = told(&line);
        assert_eq!((code.as_str(), column.as_str()), ("json.unsafe_integer", "iccid"));
        assert!(!detail.contains("900719") && !detail.contains("890141"), "{detail}");
    }
    // What stands for no field may be as large as it likes.
    assert_eq!(column(&between(r#"{"imei":"2","id":89014103211118510720}"#), Imei), ["1", "2", "3"]);

    let mut scene = Scene::ndjson("{\"iccid\":89014103211118510720}\n{\"iccid\":-0}\n");
    let strict = scene.open().unwrap().shaping();
    scene.options.unsafe_integers = UnsafeIntegers::Accept;
    assert_eq!(column(&scene.rows(), Iccid), ["89014103211118510720", "-0"]);
    assert_ne!(scene.open().unwrap().shaping(), strict, "another setting is another batch");
}

#[test]
fn exponent_and_fraction() {
    for literal in ["8.9014103211118e19", "1E3", "89014103211118510720.0", "1e999999999", "-1e-400", "0.5"] {
        let rows = between(&format!("{{\"iccid\":{literal}}}"));
        assert_eq!(column(&rows, Iccid)[1], literal, "as it stands, for the field's rules");
    }
}

#[test]
fn null_is_absent_and_empty_text_is_an_empty_cell() {
    let rows = between(r#"{"imei":null,"iccid":""}"#);
    assert_eq!(column(&rows, Imei)[1], "(absent)");
    assert_eq!(column(&rows, Iccid)[1], "");
}

#[test]
fn bool_array_and_object_in_a_field() {
    for (value, what) in
        [("true", "boolean"), ("false", "boolean"), ("[\"1\"]", "array"), ("{\"a\":1}", "object")]
    {
        let (code, column, detail) = told(&format!("{{\"iccid\":{value}}}"));
        assert_eq!((code.as_str(), column.as_str()), ("json.nested", "iccid"), "{value}");
        assert!(detail.contains(what), "{detail}");
        let scene = Scene::ndjson(format!("{{\"a\":{{\"b\":{value}}},\"imei\":1}}")).map(Iccid, "/a/b");
        let rows = scene.rows();
        let error = rows[0].as_ref().expect_err(value);
        assert_eq!((error.code, error.column.as_deref()), ("json.nested", Some("/a/b")), "the path is named");
    }
}

#[test]
fn nested_by_json_pointer_and_by_dotted_path() {
    let content = "{\"crm id\":\"a\",\"contact\":{\"phone\":\"+44 1\",\"x/y\":[7,\"\\u0041\"]}}\n\
                   {\"crm id\":\"b\",\"contact\":{}}\n\
                   {\"crm id\":\"c\",\"contact\":null}\n\
                   {\"crm id\":\"d\"}\n\
                   {\"crm id\":\"e\",\"contact\":\"text\"}\n\
                   {\"crm id\":\"f\",\"contact\":\"{\\\"phone\\\":\\\"+44 6\\\"}\"}\n\
                   {\"crm id\":\"g\",\"contact\":{\"phone\":null,\"x/y\":[]}}\n";
    for path in ["/contact/phone", "contact.phone"] {
        let scene = Scene::ndjson(content).map(Number, path).map(Username, "/contact/x~1y/1");
        let rows = scene.rows();
        let absent = "(absent)";
        assert_eq!(
            column(&rows, Number),
            ["+44 1", absent, absent, absent, absent, "+44 6", absent],
            "{path}"
        );
        assert_eq!(column(&rows, Username), ["A", absent, absent, absent, absent, absent, absent]);
        let inputs = scene.open().unwrap();
        let note = inputs.mapping_notes().into_iter().find(|note| note.field == Number).unwrap();
        assert_eq!(note.column, path);
        assert!(inputs.unknown_columns().is_empty(), "a member on a path is used");
    }
    // Nothing is taken out of nested objects without being told.
    let rows = Scene::ndjson("{\"imei\":\"1\",\"contact\":{\"phone\":\"+44\"}}\n").rows();
    assert_eq!(column(&rows, Number), ["(absent)"]);
}

#[test]
fn a_literal_name_wins_over_a_path() {
    let content = "{\"/contact/phone\":\"1\",\"contact\":{\"phone\":\"2\"},\"a.b\":\"3\",\"a\":{\"b\":\"4\"}}\n\
                   {\"contact\":{\"phone\":\"2\"},\"a\":{\"b\":\"4\"}}\n";
    let rows = Scene::ndjson(content).map(Number, "/contact/phone").map(Imei, "a.b").rows();
    assert_eq!(column(&rows, Number), ["1", "2"]);
    assert_eq!(column(&rows, Imei), ["3", "4"]);
}

#[test]
fn a_path_that_leads_nowhere_is_no_column() {
    let content = "{\"imei\":\"1\",\"contact\":{\"phone\":\"2\"}}\n";
    for (path, remedy) in [
        ("/contact/phnoe", "no row has a value there"),
        ("/contcat/phone", "--map number=/contact/phone"),
        ("/Contact/phone", "--map number=/contact/phone"),
        ("contcat.phone", "--map number=/contact/phone"),
    ] {
        let error = Scene::ndjson(content).map(Number, path).open_error();
        assert!(matches!(error, SourceError::NoSuchColumn { field: Number, .. }), "{path}: {error:?}");
        assert!(error.remedy().contains(remedy), "{path}: {}", error.remedy());
    }
    // Where nobody has a contact at all, nothing speaks against the path.
    let scene = Scene::ndjson("{\"imei\":\"1\",\"contact\":null}\n").map(Number, "/contact/phone");
    assert_eq!(column(&scene.rows(), Number), ["(absent)"]);
    // It may lead somewhere in a later block only.
    let filler =
        format!("{{\"imei\":\"1\",\"contact\":{{\"note\":\"{}\"}}}}\n", "x".repeat(1000)).repeat(1100);
    let late = Scene::ndjson(filler.clone() + content).map(Number, "/contact/phone");
    assert_eq!(column(&late.rows(), Number).last().map(String::as_str), Some("2"));
    let never = Scene::ndjson(filler).map(Number, "/contact/phone");
    assert!(matches!(never.read_error(), SourceError::NoSuchColumn { field: Number, .. }));
}

#[test]
fn a_pointer_names_no_csv_column_of_a_mixed_run() {
    let files = [
        ("a.csv", "crm id,phone\nx,1\n"),
        ("b.ndjson", "{\"crm id\":\"y\",\"contact\":{\"phone\":\"2\"}}\n"),
    ];
    let scene = Scene::new(&files).map(Number, "/contact/phone");
    let inputs = scene.open().unwrap();
    let missing: Vec<_> = inputs.mapping_notes().into_iter().filter(|note| note.by.is_none()).collect();
    assert_eq!(missing.len(), 1);
    assert!(missing[0].file.ends_with("a.csv") && missing[0].column == "/contact/phone");
    assert_eq!(column(&scene.rows(), Number), ["(absent)", "2"]);
}

#[test]
fn a_csv_cell_that_holds_json_is_followed() {
    let content = "crm id,contact\n\
                   a,\"{\"\"phone\"\":\"\"+44 1\"\",\n\"\"n\"\":[5]}\"\nb,\nc,John\nd,\"{\"\"phone\"\":\"\nf,{}\n";
    let scene = Scene::csv(content).map(Number, "/contact/phone").map(Imei, "contact.n.0");
    let rows = scene.rows();
    assert_eq!(column(&rows, Number), ["+44 1", "(absent)", "(absent)", "!json.syntax", "(absent)"]);
    assert_eq!(column(&rows, Imei)[0], "5");
    assert_eq!(rows[3].as_ref().unwrap_err().column.as_deref(), Some("/contact/phone"));
    let nowhere = Scene::csv("crm id,contact\na,{}\nb,John\n").map(Number, "/contact/phone");
    assert!(matches!(nowhere.read_error(), SourceError::NoSuchColumn { .. }));
    let fed_back = Scene::csv("crm id,contact,_run,_row\na,{},r,1\n").map(Number, "/contact/phone");
    assert_eq!(column(&fed_back.rows(), Number), ["(absent)"]);
    let flat = Scene::csv("crm id,contact\na,{}\n").map(Number, "/contact");
    assert_eq!(column(&flat.rows(), Number), ["{}"], "a path of one step is the column");
}

#[test]
fn unknown_members_are_listed_once() {
    let row = "{\"imei\":\"1\",\"x\":1,\"attributes\":{\"type\":\"Contact\"},\"y\":[{}]}\n";
    let inputs = Scene::ndjson(row.repeat(3)).open().unwrap();
    let unknown: Vec<_> = inputs.unknown_columns().into_iter().map(|column| column.name).collect();
    assert_eq!(unknown, ["x", "y"], "and never what Salesforce adds to every record");
}

#[test]
fn duplicate_member() {
    for (line, named) in [
        (r#"{"imei":"1","imei":"1"}"#, "imei"),
        (r#"{"imei":"1","\u0069mei":"2"}"#, "imei"),
        (r#"{"x":1,"imei":"1","x":1}"#, "x"),
        (r#"{"447911123456":1,"447911123456":1}"#, ""),
    ] {
        let (code, column, _) = told(line);
        assert_eq!((code.as_str(), column.as_str()), ("json.duplicate_member", named), "{line}");
    }
    for nested in [r#"{"p":"1","p":"2"}"#, r#"{"p":"1","\u0070":"2"}"#, r#"{"p":"1","q":1,"q":1}"#] {
        let content = format!("{{\"c\":{nested}}}\n{{\"c\":{{\"p\":\"3\"}},\"d\":{nested}}}\n");
        let rows = Scene::ndjson(content).map(Number, "/c/p").rows();
        assert_eq!(column(&rows, Number), ["!json.duplicate_member", "3"], "only on the path: {nested}");
    }
}

#[test]
fn bom_crlf_blank_lines() {
    let rows = Scene::ndjson("\u{feff}\r\n{\"imei\":\"1\"}\r\n\r\n \t\r\n{\"imei\":\"2\"}").rows();
    assert_eq!((column(&rows, Imei), lines(&rows)), (vec!["1".into(), "2".into()], vec![2, 5]));
}

#[test]
fn record_separators_of_rfc_7464() {
    let content = "\u{1e}{\"imei\":\"1\"}\n\u{1e}\u{1e}{\"imei\":\"2\"\n\u{1e}\n\u{1e}{\"imei\":\"3\"}\n";
    let scene = Scene::new(&[("a.txt", content)]);
    let rows = scene.rows();
    assert_eq!(column(&rows, Imei), ["1", "!json.syntax", "3"]);
    assert_eq!(lines(&rows), [1, 2, 4]);
}

#[test]
fn pretty_printed_array_and_concatenated() {
    let good = "{\"imei\":\"1\"}\n";
    let pretty = "{\n  \"imei\": \"2\",\n  \"x\": {\n    \"y\": 1\n  }\n}\n";
    let filler = format!("{{\"imei\":\"1\",\"note\":\"{}\"}}\n", "x".repeat(1000)).repeat(1100);
    for (content, says, remedy) in [
        (pretty.to_owned(), "a.ndjson: is pretty-printed JSON, not", "jq -c . FILE"),
        (pretty.repeat(3), "a.ndjson: is pretty-printed JSON, not", "jq -c . FILE"),
        (format!("{good}{pretty}"), "a.ndjson line 2: pretty-printed JSON begins here", "jq -c . FILE"),
        (format!("{filler}{pretty}"), "a.ndjson line 1101: pretty-printed JSON begins here", "jq -c . FILE"),
        (format!("[{}]", good.trim()), "a.ndjson: is one JSON array, not", "jq -c '.[]'"),
        (format!("[\n{good},\n{good}]\n"), "a.ndjson: is one JSON array, not", "jq -c '.[]'"),
        (format!("{good}[\n{good},\n{good}]\n"), "a.ndjson line 2: a JSON array begins here", "jq -c '.[]'"),
        (good.trim().repeat(2), "a.ndjson: has several JSON objects on one line", "jq -c . FILE"),
        (
            format!("{{\"totalSize\":1,\"done\":true,\"records\":[{}]}}", good.trim()),
            "a.ndjson: is one JSON object around the rows (.records[])",
            "jq -c '.records[]' FILE",
        ),
        (
            format!("{{\n\"data\": [\n{good}]\n}}"),
            "a.ndjson: is one JSON object around the rows",
            "jq -c '.data[]'",
        ),
        (
            format!("{{\"d\":{{\"results\":[{}{}", good.trim(), ",{\"imei\":\"1\"}".repeat(100_000)),
            "a.ndjson: is one JSON object around the rows (.d.results[])",
            "jq -c '.d.results[]'",
        ),
    ] {
        let scene = Scene::ndjson(&content);
        let error = match scene.open() {
            Ok(mut inputs) => read_all(&mut inputs, Pass::Survey).expect_err(says),
            Err(error) => error,
        };
        assert!(text_of(&error, scene.dir.path()).starts_with(says), "{error}");
        assert!(error.remedy().contains(remedy), "{}", error.remedy());
    }
    // One line torn is one row lost, not a file.
    for torn in ["{\"imei\":\"2\"}{\"imei\":\"3\"}", "{\"imei\":\"2\",", "{\"imei\":", "{", "["] {
        assert_eq!(told(torn).0, "json.syntax", "{torn}");
    }
    assert_eq!(told("[{\"imei\":\"2\"}]").0, "json.not_object");
}

#[test]
fn trailing_comma_single_quotes_comments_and_nan() {
    for (line, says) in [
        (r#"{"imei":"1",}"#, "a comma with nothing after it (byte 13 "),
        (r#"{"imei":["1",]}"#, "a comma with nothing after it (byte 14 "),
        (r#"{"imei":"1"},"#, "a comma after the object"),
        (r#"{'imei':"1"}"#, "single quotes; JSON has double quotes only (byte 2 "),
        (r#"{"imei":'1'}"#, "single quotes; JSON has double quotes only (byte 9 "),
        (r#"{imei:"1"}"#, "a member name without quotes (byte 2 "),
        (r#"{"imei":"1"} // note"#, "a comment, which JSON does not have (byte 14 "),
        (r#"{/* note */"imei":"1"}"#, "a comment, which JSON does not have (byte 2 "),
        (r#"{"imei":"1" # note"#, "a comment, which JSON does not have (byte 13 "),
        (r#"{"imei":NaN}"#, "NaN or Infinity, which JSON does not have (byte 9 "),
        (r#"{"imei":Infinity}"#, "NaN or Infinity"),
        (r#"{"imei":-Infinity}"#, "NaN or Infinity"),
        (r#"{"imei":None}"#, "a word that JSON does not have"),
        (r#"{"imei":True}"#, "a word that JSON does not have"),
        (r#"{"imei":007}"#, "a number with a leading zero"),
        (r#"{"imei":-012}"#, "a number with a leading zero"),
        (r#"{"imei":+44}"#, "a number that JSON does not write so"),
        (r#"{"imei":.5}"#, "a number that JSON does not write so"),
        ("\u{feff}{\"imei\":\"1\"}", "a byte order mark within the file (byte 1 "),
        (r#"{"imei":"1"}{"imei":"2"}"#, "several objects on one line"),
        ("{\"imei\":\"1\t\"}", "a control character within a string"),
        (r#"{"imei":"1"#, "the object ends too early"),
    ] {
        let (code, _, detail) = told(line);
        assert_eq!(code, "json.syntax", "{line}");
        assert!(detail.starts_with(says), "{line}: {detail}");
    }
}

#[test]
fn lone_surrogates_and_u0000() {
    for (value, says) in [
        (r#""\ud800""#, "a lone surrogate"),
        (r#""\udc00x""#, "a lone surrogate"),
        (r#""\ud800\u0041""#, "a lone surrogate"),
        (r#""a\u0000b""#, "a NUL character"),
        (r#""\q""#, "invalid escape"),
        (r#""\u12""#, "invalid escape"),
    ] {
        for member in ["imei", "_raw", "_run"] {
            let (code, _, detail) = told(&format!("{{\"{member}\":{value}}}"));
            assert_eq!(code, "json.syntax", "{member} {value}");
            assert!(detail.starts_with(says), "{member} {value}: {detail}");
        }
        let scene = Scene::ndjson(format!("{{\"imei\":\"1\",\"c\":{{\"p\":{value}}}}}")).map(Number, "/c/p");
        assert_eq!(column(&scene.rows(), Number), ["!json.syntax"], "{value}");
    }
    assert_eq!(told(r#"{"\ud800":1}"#).0, "json.syntax", "in a name");
    // What is not looked at may hold what it likes, if it is JSON by its grammar.
    assert_eq!(column(&between(r#"{"imei":"2","note":"\ud800"}"#), Imei), ["1", "2", "3"]);
    assert_eq!(column(&between(r#"{"imei":"\ud83d\ude00"}"#), Imei)[1], "\u{1f600}", "a pair is a character");
}

#[test]
fn over_long_line() {
    let line = format!("{{\"imei\":\"2\",\"note\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(told(&line).0, "row.too_long");
}

#[test]
fn nesting_is_bounded() {
    let deep =
        |levels: usize| format!("{{\"imei\":\"2\",\"x\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(column(&between(&deep(63)), Imei), ["1", "2", "3"], "64 levels with the row's own");
    let (code, column, detail) = told(&deep(64));
    assert_eq!((code.as_str(), column.as_str()), ("json.too_deep", "x"));
    assert!(detail.contains("64"), "{detail}");
    for levels in [100_000, 500_000] {
        assert_eq!(told(&deep(levels)).0, "json.too_deep");
        assert_eq!(told(&"[".repeat(levels)).0, "json.syntax");
        assert_eq!(told(&"{\"a\":".repeat(levels / 5)).0, "json.syntax");
        assert_eq!(told(&("[".repeat(levels) + &"]".repeat(levels))).0, "json.not_object");
    }
    let scene = Scene::ndjson(deep(4)).bounds(|bounds| bounds.json_depth_max = 4);
    assert_eq!(super::column(&scene.rows(), Imei), ["!json.too_deep"]);
}

#[test]
fn member_names_cost_bounded_memory() {
    let many: String = (0..80_000).map(|at| format!("\"m{at}\":1,")).collect();
    let error = Scene::ndjson(format!("{{\"imei\":\"1\"}}\n{{{many}\"imei\":\"2\"}}\n")).open_error();
    assert!(matches!(error, SourceError::TooManyColumns { columns_max: 1024, .. }), "{error:?}");
    let (code, _, detail) = told(&format!("{{\"{}\":1}}", "n".repeat(2000)));
    assert_eq!((code.as_str(), detail.as_str()), ("field.too_long", "a very long member name"));
}

#[test]
fn content_wins_over_the_extension() {
    let rows = Scene::new(&[("a.json", "imei,imsi\n1,2\n")]).rows();
    assert_eq!(column(&rows, Imei), ["1"]);
    let rows = Scene::new(&[("a.csv", "{\"imei\":\"1\"}\n")]).rows();
    assert_eq!(column(&rows, Imei), ["1"]);
}
