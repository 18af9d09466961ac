//! Names, patterns, standard input, and files of other kinds.

use std::fs;

use super::{Scene, column, no_stdin, read_all};
use crate::input::{Bounds, Foreign, Format, Inputs, Pass, SourceError};
use crate::update::FieldKind::{Imei, Imsi, Number};

fn name(scene: &Scene, file: &str) -> String {
    scene.path(file).to_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_opened_is_told_apart() {
    let mut scene = Scene::csv("imei\n1\n");
    for (input, check) in [
        ("gone.csv", (|error| matches!(error, SourceError::Missing { .. })) as fn(&SourceError) -> bool),
        ("sub", |error| matches!(error, SourceError::Directory { .. })),
        ("*.tsv", |error| matches!(error, SourceError::NoMatch { pattern } if pattern.ends_with("/*.tsv"))),
        ("a[.csv", |error| matches!(error, SourceError::BadPattern { .. })),
    ] {
        if input == "sub" {
            fs::create_dir(scene.path("sub")).unwrap();
        }
        let bad = name(&scene, input);
        scene.options.inputs.truncate(1);
        scene.options.inputs.push(bad);
        let error = scene.open_error();
        assert!(check(&error), "{error:?}");
        assert!(!error.remedy().is_empty());
    }
    scene.options.inputs = vec!["-".into(), "-".into()];
    assert!(matches!(scene.open_error(), SourceError::StdinTwice));
}

#[test]
fn a_pattern_stands_for_its_files_in_order() {
    let mut scene = Scene::new(&[("b.csv", "imei\n2\n"), ("a.csv", "imei\n1\n"), ("c[1].csv", "imei\n3\n")]);
    fs::create_dir(scene.path("d.csv")).unwrap();
    scene.options.inputs = vec![name(&scene, "*.csv")];
    assert_eq!(column(&scene.rows(), Imei), ["1", "2", "3"]);
    scene.options.inputs = vec![name(&scene, "c[1].csv"), name(&scene, "[b].csv")];
    assert_eq!(column(&scene.rows(), Imei), ["3", "2"]);
    scene.options.bounds.files_max = 1;
    assert!(matches!(scene.open_error(), SourceError::TooManyFiles { files: 2, files_max: 1 }));
}

#[test]
fn standard_input_is_spooled_out_of_sight() {
    let mut scene = Scene::csv("imei\n1\n");
    scene.options.inputs.insert(0, "-".into());
    let mut content = &b"{\"imei\":\"7\"}\n{\"imei\":\"8\"}\n"[..];
    let mut inputs = Inputs::open_with(&scene.options, &mut content).unwrap();
    assert_eq!(inputs.files()[0].name, "-");
    assert_eq!(inputs.files()[0].format, Format::Ndjson);
    assert_eq!(inputs.bytes_total(), 26 + 7);
    for pass in [Pass::Survey, Pass::Again, Pass::Again] {
        assert_eq!(column(&read_all(&mut inputs, pass).unwrap(), Imei), ["7", "8", "1"]);
    }
    assert_eq!(fs::read_dir(scene.dir.path()).unwrap().count(), 1, "the spool has no name");
    scene.options.spool_dir = scene.path("nowhere");
    let error = Inputs::open_with(&scene.options, &mut no_stdin()).map(|_| ()).expect_err("no directory");
    assert!(matches!(error, SourceError::Spool { .. }));
}

#[test]
fn a_pipe_is_read_once_and_passed_over_often() {
    let mut scene = Scene::new::<&str>(&[]);
    let pipe = scene.path("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    scene.options.inputs = vec![name(&scene, "pipe")];
    let writer = std::thread::spawn(move || fs::write(pipe, "imei\n1\n2\n").unwrap());
    let mut inputs = scene.open().unwrap();
    writer.join().unwrap();
    for pass in [Pass::Survey, Pass::Again] {
        assert_eq!(column(&read_all(&mut inputs, pass).unwrap(), Imei), ["1", "2"]);
    }
}

#[test]
fn files_of_other_kinds_are_refused_whatever_their_name() {
    for (content, kind) in [
        (&b"PK\x03\x04"[..], Foreign::Zip),
        (b"%PDF-1.4\n", Foreign::Pdf),
        (b"<!DOCTYPE html><title>Login</title>", Foreign::Html),
    ] {
        for told in [Format::Auto, Format::Csv, Format::Ndjson] {
            let mut scene = Scene::csv(content);
            scene.options.format = told;
            let error = scene.open_error();
            assert!(matches!(&error, SourceError::Foreign { found, .. } if *found == kind), "{error:?}");
        }
    }
}

#[test]
fn empty_inputs_have_no_rows_and_prove_nothing() {
    for content in ["", "\u{feff}", "\n\n", "\x1a", "imei,imsi\n", "imei,imsi", "  \n,,\n"] {
        let scene = Scene::csv(content);
        let mut inputs = scene.open().unwrap();
        assert_eq!(read_all(&mut inputs, Pass::Survey).unwrap(), [], "{content:?}");
        assert_eq!(inputs.files()[0].rows_seen, 0);
    }
    // A nightly export may be empty; that its column is missing is no news then.
    assert_eq!(Scene::csv("").map(Number, "tel").rows(), []);
    assert_eq!(Scene::ndjson("\n").map(Number, "tel").rows(), []);
}

#[test]
fn files_with_different_headers_are_one_batch() {
    let scene = Scene::new(&[
        ("a.csv", "tel,imei,x\n1,2,3\n,,\n4,5\n"),
        ("b.csv", "x,imsi,y\n6,7,8\n"),
        ("c.ndjson", "{\"y\":9,\"imsi\":\"10\"}\n"),
    ])
    .map(Number, "tel");
    let mut inputs = scene.open().unwrap();
    assert_eq!(inputs.columns(), ["tel", "imei", "x", "imsi", "y"]);
    let rows = read_all(&mut inputs, Pass::Survey).unwrap();
    assert_eq!(column(&rows, Imsi), ["(absent)", "!csv.ragged_short", "7", "10"]);
    let places: Vec<_> = rows
        .iter()
        .map(|row| row.as_ref().map_or_else(|error| error.place, |seen| seen.place))
        .map(|place| (place.ordinal, place.file, place.line))
        .collect();
    assert_eq!(places, [(1, 0, 2), (2, 0, 4), (3, 1, 2), (4, 2, 1)]);
    let originals: Vec<_> = rows[2].as_ref().unwrap().originals.iter().map(Option::as_deref).collect();
    assert_eq!(originals, [None, None, Some("6"), Some("7"), Some("8")]);
    assert_eq!(inputs.files().iter().map(|file| file.rows_seen).collect::<Vec<_>>(), [2, 1, 1]);
    let lacking: Vec<_> =
        inputs.mapping_notes().into_iter().filter(|note| note.by.is_none()).map(|note| note.column).collect();
    assert_eq!(lacking, ["tel", "tel"]);
}

#[test]
fn shaping_tells_mappings_apart_and_not_file_names() {
    let plain = Scene::new(&[("a.csv", "tel,imei\n")]);
    let renamed = Scene::new(&[("b.csv", "tel,imei\n")]);
    let shaping = |scene: &Scene| scene.open().unwrap().shaping();
    assert_eq!(shaping(&plain), shaping(&renamed));
    assert_ne!(shaping(&plain), shaping(&renamed.map(Number, "tel")));
    assert_ne!(shaping(&plain), shaping(&Scene::new(&[("a.csv", "tel;imei\n")])));
}

#[test]
fn shaping_tells_the_order_of_told_columns_and_the_bounds() {
    let told = |names: &[&str]| {
        let mut scene = Scene::csv("1,2\n3,4\n");
        scene.options.column_names = Some(names.iter().map(|name| (*name).to_owned()).collect());
        scene.open().unwrap().shaping()
    };
    assert_ne!(told(&["msisdn", "iccid"]), told(&["iccid", "msisdn"]));
    assert_ne!(told(&["msisdn", "iccid"]), told(&["msisdn", "-"]));
    assert_eq!(told(&["msisdn", " iccid"]), told(&["msisdn", "iccid"]));
    let shaping = |change: fn(&mut Bounds)| Scene::csv("tel,imei\n").bounds(change).open().unwrap().shaping();
    let base = shaping(|_| {});
    let changes: [fn(&mut Bounds); 5] = [
        |bounds| bounds.record_bytes_max += 1,
        |bounds| bounds.record_lines_max += 1,
        |bounds| bounds.columns_max += 1,
        |bounds| bounds.field_bytes_max += 1,
        |bounds| bounds.json_depth_max += 1,
    ];
    let mut all: Vec<String> = changes.into_iter().map(shaping).chain([base.clone()]).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 6, "each bound on rows shapes the batch");
    // Bounds that decide no row do not.
    assert_eq!(shaping(|bounds| bounds.files_max += 1), base);
}
