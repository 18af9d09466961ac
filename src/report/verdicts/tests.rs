//! The lines of verdicts, and the file they go to.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn cell<'a>(field: FieldKind, raw: &'a str, value: &'a str) -> CellLine<'a> {
    CellLine {
        field,
        raw: Some(raw),
        value: Some(value),
        verdict: CellVerdict::Fix,
        codes: vec!["text.cleaned"],
    }
}

fn line<'a>(fields: &'a [CellLine<'a>]) -> VerdictLine<'a> {
    VerdictLine {
        file: "a.csv",
        line: 3,
        row: 2,
        verdict: RowVerdict::Warned,
        subject: Some("C-1"),
        fields,
        codes: &["json.number"],
    }
}

fn rendered(line: &VerdictLine<'_>) -> String {
    let mut bytes = Vec::new();
    render(line, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_line_has_its_members_in_their_order() {
    let absent = CellLine {
        field: FieldKind::Iccid,
        raw: None,
        value: None,
        verdict: CellVerdict::Absent,
        codes: vec![],
    };
    let fields = [cell(FieldKind::Imei, "35-6", "356"), absent];
    assert_eq!(
        rendered(&line(&fields)),
        concat!(
            r#"{"file":"a.csv","line":3,"row":2,"verdict":"warned","subject":"C-1","fields":{"#,
            r#""imei":{"raw":"35-6","value":"356","verdict":"fix","codes":["text.cleaned"]},"#,
            r#""iccid":{"raw":null,"value":null,"verdict":"absent","codes":[]}},"codes":["json.number"]}"#,
            "\n"
        )
    );
}

#[test]
fn a_password_is_never_written() {
    let fields = [cell(FieldKind::Password, "hunter2", "hunter2")];
    let text = rendered(&line(&fields));
    assert!(text.contains(r#""password":{"raw":null,"value":null,"verdict":"fix""#), "{text}");
    assert!(!text.contains("hunter2") && !format!("{fields:?} {:?}", line(&fields)).contains("hunter2"));
}

#[test]
fn nothing_in_a_cell_ends_a_line_or_steers_a_terminal() {
    let raw = "a\u{2028}b\u{2029}c\u{85}d\u{1b}e\u{202e}f\u{7f}\n\"Müller";
    let fields = [cell(FieldKind::Username, raw, raw)];
    let text = rendered(&line(&fields));
    assert!(!text.trim_end_matches('\n').chars().any(is_hostile), "{text:?}");
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["fields"]["username"]["raw"], raw);
}

#[test]
fn a_file_is_private_and_has_no_name_until_it_is_complete() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("verdicts.ndjson");
    let mut verdicts = Verdicts::create(&path, &[]).unwrap();
    verdicts.write(&line(&[]));
    assert!(!path.exists());
    let names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(names.len() == 1 && names[0].starts_with("verdicts.ndjson.partial-"), "{names:?}");
    let written = verdicts.finish().unwrap().unwrap();
    assert_eq!((written.path.as_path(), written.rows), (path.as_path(), 1));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_check_that_ends_early_leaves_the_old_file_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    fs::write(&path, "old").unwrap();
    let mut verdicts = Verdicts::create(&path, &[]).unwrap();
    verdicts.write(&line(&[]));
    drop(verdicts);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_input_is_never_written_over_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let (input, link, hard) = (dir.path().join("in"), dir.path().join("link"), dir.path().join("hard"));
    fs::write(&input, "a").unwrap();
    std::os::unix::fs::symlink(&input, &link).unwrap();
    fs::hard_link(&input, &hard).unwrap();
    for output in [&input, &link, &hard] {
        let refused = Verdicts::create(output, &[&input]).unwrap_err();
        assert!(matches!(refused, ReportError::OutputIsInput { .. }), "{refused:?}");
    }
    assert!(Verdicts::create(&dir.path().join("out"), &[&input]).is_ok());
}

#[test]
fn a_link_stays_and_the_file_behind_it_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    Verdicts::create(&link, &[]).unwrap().finish().unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&file).unwrap(), "");
}

#[test]
fn a_device_is_written_to_and_stays_one() {
    let null = Path::new("/dev/null");
    let mut verdicts = Verdicts::create(null, &[]).unwrap();
    verdicts.write(&line(&[]));
    assert_eq!(verdicts.finish().unwrap(), None);
    assert!(!fs::metadata(null).unwrap().is_file());
}

#[test]
fn what_cannot_be_written_is_told_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("none/v"), dir.path().join("..")] {
        let refused = Verdicts::create(&path, &[]).unwrap_err();
        assert!(matches!(&refused, ReportError::Verdicts { path: told, .. } if *told == path), "{refused:?}");
    }
    let full = Path::new("/dev/full");
    if full.exists() {
        let mut verdicts = Verdicts::create(full, &[]).unwrap();
        verdicts.write(&line(&[]));
        let refused = verdicts.finish().unwrap_err();
        assert!(matches!(refused, ReportError::Verdicts { .. }), "{refused:?}");
    }
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut verdicts = Verdicts::to(Box::new(writer), VERDICTS_STDOUT.into());
    for _ in 0..4_096 {
        verdicts.write(&line(&[]));
    }
    assert_eq!(verdicts.finish().unwrap(), None);
}
