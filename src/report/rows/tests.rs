//! Row files against a real directory: bytes, privacy, completeness.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn line<'a>(cells: &'a [Option<Cow<'a, str>>]) -> RowLine<'a> {
    RowLine {
        cells,
        run: "",
        row: 7,
        file: "crm.csv",
        line: 8,
        reason: "imei.luhn",
        signature: "",
        detail: "",
        raw: None,
    }
}

fn read_back(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_path(path).unwrap();
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn cells_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = [
        "plain",
        " leading and trailing ",
        "quote \" comma , semi ;",
        "line\nfeed\r\nboth",
        "",
        "=1+1",
        "+44 7700",
        "é山\u{202e}",
        "0012",
        "'",
    ];
    let names: Vec<String> = (0..hostile.len()).map(|index| format!("col, {index}\"")).collect();
    let cells: Vec<Option<Cow<'_, str>>> = hostile.iter().map(|cell| Some(Cow::Borrowed(*cell))).collect();
    let mut files = RowFiles::create(dir.path(), &names, "r1").unwrap();
    files.write(RowFileKind::Rejected, &line(&cells)).unwrap();
    let written = files.finish().unwrap();
    assert_eq!(
        written,
        [WrittenFile { name: "rejected.csv", path: dir.path().join("rejected.csv"), rows: 1 }]
    );
    let back = read_back(&written[0].path);
    assert_eq!(back[0][..hostile.len()], names[..]);
    assert_eq!(back[0][hostile.len()..], OWN_COLUMNS);
    assert_eq!(back[1][..hostile.len()], hostile);
    assert_eq!(back[1][hostile.len()..], ["r1", "7", "crm.csv", "8", "imei.luhn", "", "", ""]);
}

proptest::proptest! {
    #[test]
    fn any_cells_come_back(rows in proptest::collection::vec(proptest::array::uniform3(".*|[\",\r\n ;]*"), 1..6)) {
        let dir = tempfile::tempdir().unwrap();
        let mut files = RowFiles::create(dir.path(), &columns(&["a", "b", "c"]), "r").unwrap();
        for row in &rows {
            let cells = row.clone().map(|cell| Some(Cow::Owned(cell)));
            files.write(RowFileKind::Failed, &line(&cells)).unwrap();
        }
        let written = files.finish().unwrap();
        let back = read_back(&written[0].path);
        proptest::prop_assert_eq!(back.len(), rows.len() + 1);
        for (row, back) in rows.iter().zip(&back[1..]) {
            proptest::prop_assert_eq!(&back[..3], &row[..]);
        }
    }
}

#[test]
fn a_file_fed_back_has_our_columns_once() {
    let dir = tempfile::tempdir().unwrap();
    let names = columns(&["number", "_run", "_row", "imei", "_raw"]);
    let cells = ["1", "old", "3", "4", "5"].map(|cell| Some(Cow::Borrowed(cell)));
    let mut files = RowFiles::create(dir.path(), &names, "new").unwrap();
    files.write(RowFileKind::Failed, &RowLine { run: "old", row: 3, ..line(&cells) }).unwrap();
    let written = files.finish().unwrap();
    let back = read_back(&written[0].path);
    assert_eq!(back[0][..4], ["number", "imei", "_run", "_row"]);
    assert_eq!(back[0].len(), 2 + OWN_COLUMNS.len());
    assert_eq!(back[1][..4], ["1", "4", "old", "3"]);
}

#[test]
fn an_unreadable_record_is_kept_in_raw() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RowFiles::create(dir.path(), &columns(&["a", "b"]), "r").unwrap();
    let raw = b"1,\"x\xFF\xFE,caf\xC3\xA9\n";
    files.write(RowFileKind::Rejected, &RowLine { raw: Some(raw), ..line(&[]) }).unwrap();
    let written = files.finish().unwrap();
    let back = read_back(&written[0].path);
    assert_eq!(back[1].len(), back[0].len(), "short rows are filled up");
    assert_eq!(back[1][..2], ["", ""]);
    assert_eq!(back[1].last().unwrap(), "1,\"x\\xFF\\xFE,café\n");
}

#[test]
fn files_are_private_and_exist_only_when_complete() {
    let dir = tempfile::tempdir().unwrap();
    let cells = [Some(Cow::Borrowed("1"))];
    let named =
        |dir: &Path| RowFileKind::ALL.iter().filter(|kind| dir.join(kind.file_name()).exists()).count();
    let mut files = RowFiles::create(dir.path(), &columns(&["a"]), "r").unwrap();
    for kind in RowFileKind::ALL {
        files.write(kind, &line(&cells)).unwrap();
    }
    assert_eq!(named(dir.path()), 0, "a kill now tears no file");
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let written = files.finish().unwrap();
    assert_eq!(named(dir.path()), RowFileKind::ALL.len());
    for file in written {
        assert_eq!(file.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn no_row_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let files = RowFiles::create(dir.path(), &columns(&["a"]), "r").unwrap();
    assert_eq!(files.finish().unwrap(), []);
    let mut dropped = RowFiles::create(dir.path(), &columns(&["a"]), "r").unwrap();
    dropped.write(RowFileKind::Failed, &line(&[])).unwrap();
    drop(dropped);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "an abandoned file vanishes");
}

#[test]
fn a_row_too_wide_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = RowFiles::create(dir.path(), &columns(&["a"]), "r").unwrap();
    let cells = ["1", "2"].map(|cell| Some(Cow::Borrowed(cell)));
    let error = files.write(RowFileKind::Failed, &line(&cells)).unwrap_err();
    assert!(matches!(error, ReportError::Shape { .. }));
}

#[test]
fn debug_holds_no_cell() {
    let cells = [Some(Cow::Borrowed("secret-value"))];
    let line = RowLine { raw: Some(b"secret-value"), ..line(&cells) };
    assert!(!format!("{line:?}").contains("secret"));
}
