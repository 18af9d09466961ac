//! Tests of the configuration file as written. Not here: tests of what its entries mean.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<ConfigFile, FileError> {
    ConfigFile::parse(Path::new("simsync.toml"), text.to_owned())
}

#[test]
fn entries_have_dotted_keys_values_and_lines() {
    let file = parse(
        "state = \"s\"\n[delivery]\nburst = 3\n\n[rules.severity]\n\"imei.luhn\" = \"error\"\nx.same = \"warn\"\n[api]\n",
    )
    .unwrap();
    let seen: Vec<_> =
        file.entries().iter().map(|entry| (entry.key.as_str(), &entry.raw, file.line(entry))).collect();
    let text = |text: &str| Raw::Text(text.to_owned());
    for expected in [
        ("state", &text("s"), 1),
        ("delivery.burst", &Raw::Number("3".to_owned()), 3),
        ("rules.severity.imei.luhn", &text("error"), 6),
        ("rules.severity.x.same", &text("warn"), 7),
        ("api", &Raw::EmptyTable, 8),
    ] {
        assert!(seen.contains(&expected), "{expected:?} in {seen:?}");
    }
    assert_eq!(seen.len(), 5);
}

#[test]
fn values_that_no_setting_has_are_named() {
    let file = parse("a = 0x10\nb = [1]\nc = 2026-01-01\nd = 1.5\ne = [\"x\"]\nf = true").unwrap();
    let raws: Vec<_> = file.entries().iter().map(|entry| entry.raw.clone()).collect();
    assert_eq!(raws[0], Raw::Other("integer that is not decimal"));
    assert_eq!(raws[1], Raw::Other("array of other things than texts"));
    assert_eq!(raws[2], Raw::Other("date"));
    assert_eq!(raws[3], Raw::Number("1.5".to_owned()));
    assert_eq!(raws[4], Raw::List(vec!["x".to_owned()]));
    assert_eq!(raws[5], Raw::Bool(true));
}

#[test]
fn a_syntax_error_shows_its_place() {
    let error = parse("[delivery]\nrate = 50/s\n").unwrap_err().to_string();
    assert!(error.starts_with("simsync.toml:2:"), "{error}");
    assert!(error.contains("2 | rate = 50/s\n"), "{error}");
    assert!(error.ends_with('^'), "{error}");
}

#[test]
fn a_syntax_error_does_not_repeat_a_credential() {
    for text in [
        "token = c4n4ry",
        "[api]\ntoken_command = \"echo c4n4ry",
        "url = https://me:c4n4ry@host/",
        "c4n4ry token",
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(!error.contains("c4n4ry"), "{error}");
    }
}

#[test]
fn an_excerpt_marks_the_part_and_hides_the_value() {
    let file = parse("\"é\" = \"x\"\n  rate = \"fast\" # comment\n").unwrap();
    let entry = file.entries().iter().find(|entry| entry.key == "rate").unwrap();
    let shown = |part, hides| file.excerpt(entry, part, hides).to_string();
    assert_eq!(shown(Part::Key, false), "  |\n2 |   rate = \"fast\" # comment\n  |   ^^^^");
    assert_eq!(shown(Part::Value, false), "  |\n2 |   rate = \"fast\" # comment\n  |          ^^^^^^");
    assert_eq!(shown(Part::Value, true), "  |\n2 |   rate = …\n  |   ^^^^");
}

#[test]
fn files_that_cannot_be_read_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("simsync.toml");
    assert!(ConfigFile::read(&path).unwrap().is_none());
    assert!(ConfigFile::read(&path.join("below")).unwrap().is_none());
    assert!(matches!(ConfigFile::read(dir.path()), Err(FileError::Unreadable { .. })));
    std::fs::write(&path, b"state = \"a\"\nx = \"\xff\"").unwrap();
    assert!(matches!(ConfigFile::read(&path), Err(FileError::NotUtf8 { line: 2, .. })));
    std::fs::write(&path, " ".repeat(1 + (1 << 20))).unwrap();
    assert!(matches!(ConfigFile::read(&path), Err(FileError::TooLong { .. })));
    std::fs::write(&path, "\u{feff}state = \"a\"\r\n").unwrap();
    assert_eq!(ConfigFile::read(&path).unwrap().unwrap().entries().len(), 1);
}

#[test]
fn init_replaces_nothing_unless_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("simsync.toml");
    init(&path, false).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), EXAMPLE);
    std::fs::write(&path, "mine").unwrap();
    assert!(matches!(init(&path, false), Err(FileError::Exists { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    init(&path, true).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), EXAMPLE);
    assert!(matches!(init(&dir.path().join("none/simsync.toml"), false), Err(FileError::Unwritable { .. })));
}

proptest! {
    #[test]
    fn no_text_makes_parsing_or_an_excerpt_panic(text in "[\\[\\]a-z=\".\\n\\ré€ #{}1-9]{0,60}") {
        match parse(&text) {
            Ok(file) => for entry in file.entries() {
                for part in [Part::Key, Part::Value] {
                    for hides in [false, true] {
                        prop_assert!(!file.excerpt(entry, part, hides).to_string().is_empty());
                    }
                }
            },
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
