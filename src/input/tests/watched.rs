//! Watched columns: found by exact and by alike name, by pointer, and missed loudly.

use super::*;

/// The watched cells of every row of the files, or the code of the row that has none.
fn cells(files: &[(&str, &str)], watched: &[&str]) -> Result<Vec<Vec<Option<String>>>, SourceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (name, text) in files {
        std::fs::write(path(name), text).unwrap();
    }
    let options = InputOptions {
        inputs: files.iter().map(|(name, _)| path(name)).collect(),
        watched: watched.iter().map(|name| (*name).to_owned()).collect(),
        spool_dir: dir.path().to_owned(),
        ..InputOptions::default()
    };
    let mut inputs = Inputs::open(&options)?;
    assert!(inputs.unknown_columns().iter().all(|column| !watched.contains(&column.name.as_str())));
    let mut read = |pass| {
        let mut all = Vec::new();
        let mut reader = inputs.read(pass);
        while let Some(row) = reader.next_row()? {
            all.push(match row {
                Ok(row) => (0..=watched.len()).map(|at| row.watched(at).map(str::to_owned)).collect(),
                Err(error) => vec![Some(error.code.to_owned())],
            });
        }
        Ok::<Vec<Vec<Option<String>>>, SourceError>(all)
    };
    let first = read(Pass::Survey)?;
    assert_eq!(read(Pass::Again)?, first, "both passes see the same cells");
    Ok(first)
}

fn some(cells: &[&str]) -> Vec<Option<String>> {
    let mut all: Vec<Option<String>> = cells.iter().map(|cell| Some((*cell).to_owned())).collect();
    all.push(None);
    all
}

#[test]
fn csv_columns_by_exact_name_first() {
    let one = ("one.csv", "imsi,STATUS,status,Last Modified\n1,a,b,c\n");
    assert_eq!(cells(&[one], &["status", "last_modified"]).unwrap(), [some(&["b", "c"])]);
    // A column of a field may be watched, and columns stand elsewhere in the next file.
    let two = ("two.csv", "Status;imsi\n x ;2\n");
    let one = ("one.csv", "imsi,status\n1,y\n");
    assert_eq!(cells(&[one, two], &["imsi", "status"]).unwrap(), [some(&["1", "y"]), some(&["2", " x "])]);
}

#[test]
fn a_column_that_is_missing_or_doubled_stops_the_run() {
    let error = cells(&[("a.csv", "imsi,state\n1,x\n")], &["stat"]).unwrap_err();
    assert!(matches!(&error, SourceError::NoWatchedColumn { .. }), "{error}");
    assert!(error.remedy().contains("did you mean `state`?"), "{}", error.remedy());
    let error = cells(&[("a.csv", "imsi,state\n1,x\n")], &["modified"]).unwrap_err();
    assert!(!error.remedy().contains("mean"), "{}", error.remedy());
    let error = cells(&[("a.csv", "imsi,Stat,STAT\n1,x,y\n")], &["stat"]).unwrap_err();
    assert!(matches!(&error, SourceError::AmbiguousWatched { .. }), "{error}");
    let error = cells(&[("a.ndjson", "{\"imsi\":\"1\",\"x\":1}\n")], &["stat"]).unwrap_err();
    assert!(matches!(&error, SourceError::NoWatchedColumn { .. }), "{error}");
    // An empty file proves nothing, and neither do no rows.
    let with = ("a.csv", "imsi,stat\n1,x\n");
    assert_eq!(cells(&[with, ("b.csv", "")], &["stat"]).unwrap(), [some(&["x"])]);
    assert!(cells(&[("b.csv", "")], &["stat"]).unwrap().is_empty());
    // A first line of data is not shown.
    let error = cells(&[("a.csv", "imsi,310260123456789\n1,x\n")], &["stat"]).unwrap_err();
    assert!(!format!("{error} {}", error.remedy()).contains("310260"), "{error}");
}

#[test]
fn json_members_by_name_and_by_pointer() {
    let rows = concat!(
        r#"{"imsi":"1","Status":"a\u0062","at":{"x":[{"y":12.50}],"z/w":true}}"#,
        "\n",
        r#"{"at":{"x":[]},"imsi":"2","status":"c","Status":"d"}"#,
        "\n",
        r#"{"imsi":"3","STATUS":null}"#,
        "\n",
        r#"{"imsi":"4","STATUS":"x","sta-tus":"y"}"#,
        "\n",
        r#"{"imsi":"5","status":["x"]}"#,
        "\n",
        r#"{"imsi":"6","status":"\ud800"}"#,
        "\n",
    );
    let found = cells(&[("a.ndjson", rows)], &["status", "/at/x/0/y", "/at/z~1w"]).unwrap();
    assert_eq!(found[0], some(&["ab", "12.50", "true"]));
    assert_eq!(found[1], [Some("c".to_owned()), None, None, None]);
    assert_eq!(found[2], [None, None, None, None]);
    for (row, code) in found[3..].iter().zip(["json.ambiguous", "json.nested", "json.syntax"]) {
        assert_eq!(*row, [Some(code.to_owned())]);
    }
}

#[test]
fn paths_lead_into_the_cells_of_row_files_too() {
    let rows = concat!(
        r#"{"imsi":"1","meta":{"status":"a","on":[true]},"x.y":"z"}"#,
        "\n",
        r#"{"imsi":"2","meta":null,"x.y":"w"}"#,
        "\n",
    );
    // The same members, as a row file has them.
    let fed_back = "imsi,meta,X-Y\n1,\"{\"\"status\"\":\"\"a\"\",\"\"on\"\":[true]}\",z\n2,,w\n";
    let expected = [some(&["a", "true", "z"]), vec![None, None, Some("w".to_owned()), None]];
    for watched in [["/meta/status", "/meta/on/0", "x.y"], ["meta.status", "meta.on.0", "x.y"]] {
        assert_eq!(cells(&[("a.ndjson", rows)], &watched).unwrap(), expected, "{watched:?}");
        assert_eq!(cells(&[("a.csv", fed_back)], &watched).unwrap(), expected, "{watched:?}");
    }
    // A column of that very name comes first.
    let both = "imsi,meta,meta.status\n1,\"{\"\"status\"\":\"\"a\"\"}\",b\n";
    assert_eq!(cells(&[("a.csv", both)], &["meta.status"]).unwrap(), [some(&["b"])]);
    for (cell, code) in [("{\"\"status\"\":[]}", "json.nested"), ("{\"\"status\"\":", "json.syntax")] {
        let text = format!("imsi,meta\n1,\"{cell}\"\n2,\"{{\"\"status\"\":1}}\"\n");
        let found = cells(&[("a.csv", &text)], &["/meta/status"]).unwrap();
        assert_eq!(found, [vec![Some(code.to_owned())], some(&["1"])]);
    }
    // A path that leads nowhere is as good as a column that is missing.
    for text in ["imsi,other\n1,x\n", "imsi,meta\n1,x\n", "imsi,meta\n1,{}\n"] {
        let error = cells(&[("a.csv", text)], &["meta.status"]).unwrap_err();
        assert!(matches!(&error, SourceError::NoWatchedColumn { .. }), "{text} {error}");
    }
}

#[test]
fn null_is_told_from_absent() {
    let rows = "{\"imsi\":null}\n{\"iccid\":\"1\"}\n{\"imsi\":\"\"}\n{\"imsi\":\"null\"}\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ndjson");
    std::fs::write(&path, rows).unwrap();
    let inputs = vec![path.to_str().unwrap().to_owned()];
    let mut inputs = Inputs::open(&InputOptions { inputs, ..InputOptions::default() }).unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut nulls = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        nulls.push(row.unwrap().is_null(FieldKind::Imsi));
    }
    assert_eq!(nulls, [true, false, false, false]);
}

/// For every row, the fields that are null, and the cell of the IMSI.
fn nulls(name: &str, text: &str) -> Vec<(Vec<FieldKind>, Option<String>)> {
    let scene = Scene::new(&[(name, text)]).map(FieldKind::Iccid, "/sim/iccid");
    let mut inputs = scene.open().unwrap();
    let mut reader = inputs.read(Pass::Survey);
    let mut all = Vec::new();
    while let Some(row) = reader.next_row().unwrap() {
        let row = row.unwrap();
        let nulls = FieldKind::ALL.into_iter().filter(|field| row.is_null(*field));
        all.push((nulls.collect(), row.cell(FieldKind::Imsi).map(str::to_owned)));
    }
    all
}

#[test]
fn nulls_come_back_from_row_files() {
    use FieldKind::{Iccid, Imsi};
    let text = "{\"imsi\":null,\"sim\":{\"iccid\":null},\"x\":null}\n{\"imsi\":\"null\",\"sim\":null}\n{\"sim\":{}}\n";
    let rows = Scene::ndjson(text).map(Iccid, "/sim/iccid").rows();
    let originals: Vec<Vec<Option<&str>>> = rows
        .iter()
        .map(|row| row.as_ref().unwrap().originals.iter().map(Option::as_deref).collect())
        .collect();
    assert_eq!(originals[0], [Some("null"), Some("{\"iccid\":null}"), None]);
    // A text that reads like it is kept apart from it; every rule trims.
    assert_eq!(originals[1][..2], [Some(" null"), None]);
    let own = "imsi,sim,x,_run,_row\nnull,\"{\"\"iccid\"\":null}\",,r,1\n null,,,r,2\n,{},,r,3\nnull,,,,\n";
    let expected = [
        (vec![Imsi, Iccid], None),
        (vec![], Some(" null".to_owned())),
        (vec![], Some(String::new())),
        (vec![], Some("null".to_owned())),
    ];
    assert_eq!(nulls("own.csv", own), expected);
    // Fed back once more it is the same; a cell of somebody else's file is no null.
    let again = Scene::csv(own).rows();
    let cells: Vec<Option<&str>> =
        again.iter().map(|row| row.as_ref().unwrap().originals[0].as_deref()).collect();
    assert_eq!(cells, [Some("null"), Some(" null"), Some(""), Some(" null")]);
}
