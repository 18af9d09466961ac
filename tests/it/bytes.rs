//! Compressed inputs, other encodings and damaged transfers, through the real binary: what arrives, and what is said.
//!
//! Not here: each case of bytes by itself (`src/input/tests/coded.rs`).

use std::io::Write as _;
use std::process::Stdio;

use crate::support::{Workspace, export, ran};

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn an_export_arrives_in_any_coding_and_is_one_and_the_same() {
    let workspace = Workspace::new();
    let text = export(40);
    let halves = text.as_bytes().split_at(text.len() / 2);
    let members = [gzip(halves.0), gzip(halves.1)].concat();
    workspace.write("nightly.csv", members);
    let first = workspace.sync(&["nightly.csv"]).expect(0).expect_books();
    assert_eq!(first.rows("synced"), 40);
    let requests = workspace.sandbox.stats().requests;
    // The ledger knows them all, whatever they are packed in.
    let zst = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    let marked = utf16le(&format!("\u{feff}{text}"));
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("plain.csv", text.clone().into_bytes(), &[]),
        ("a.zst", zst, &[]),
        ("marked.csv", marked.clone(), &[]),
        ("marked.csv.gz", gzip(&marked), &[]),
        ("told.csv", utf16le(&text), &["--encoding", "utf-16le"]),
    ];
    for (name, content, options) in cases {
        workspace.write(name, content);
        let ran = workspace.sync(&[&[name], options].concat()).expect(0).expect_books();
        assert_eq!(ran.rows("unchanged"), 40, "{name}");
        let is_noted =
            ran.stdout.contains("decoded from UTF-16LE") || ran.stderr.contains("decoded from UTF-16LE");
        assert_eq!(is_noted, name.starts_with("marked"), "{name}: {}{}", ran.stdout, ran.stderr);
    }
    assert_eq!(workspace.sandbox.stats().requests, requests, "nothing is sent twice");
}

#[test]
fn a_compressed_standard_input_is_spooled_and_expanded() {
    let workspace = Workspace::new();
    let mut command = workspace.sync_command(&["-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&gzip(export(12).as_bytes())).unwrap();
    let ran = ran(child.wait_with_output().unwrap()).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 12);
}

#[test]
fn of_a_transfer_that_broke_off_nothing_is_sent() {
    let workspace = Workspace::new();
    let whole = gzip(export(2_000).as_bytes());
    workspace.write("cut.csv.gz", &whole[..whole.len() / 2]);
    let ran = workspace.sync(&["cut.csv.gz"]).expect(6);
    assert!(ran.stderr.contains("cut off at byte") && ran.stderr.contains("gzip -t"), "{}", ran.stderr);
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x10;
    workspace.write("damaged.csv.gz", damaged);
    let ran = workspace.sync(&["damaged.csv.gz"]).expect(6);
    assert!(ran.stderr.contains("damaged.csv.gz: the gzip data is damaged near byte"), "{}", ran.stderr);
    assert_eq!(workspace.sandbox.stats().requests, 0);
}

#[test]
fn an_encoding_that_is_none_is_refused_before_anything_is_opened() {
    let workspace = Workspace::new();
    let ran = workspace.sync(&["gone.csv", "--encoding", "windows-1225"]).expect(2);
    assert!(ran.stderr.contains("did you mean `windows-1252`"), "{}", ran.stderr);
    workspace.configure("[input]\nencoding = \"windows-1225\"\n");
    let ran = workspace.sync(&["gone.csv"]).expect(10);
    assert!(ran.stderr.contains("did you mean `windows-1252`"), "{}", ran.stderr);
}

#[test]
fn mojibake_is_warned_of_by_check_and_sync_and_stops_neither() {
    let workspace = Workspace::new();
    let text = export(3).replacen('\n', ",contact\n", 1).replace("\n", ",Ren\u{c3}\u{a9}\n");
    let text = text.replacen(",contact,Ren\u{c3}\u{a9}", ",contact", 1);
    workspace.write("names.csv", text);
    let synced = workspace.sync(&["names.csv"]);
    assert_eq!(synced.rows("synced"), 3);
    for ran in [workspace.run(&["check", "names.csv"]), synced] {
        let ran = ran.expect(0);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(told.contains("names.csv line 2: letters like"), "{told}");
        assert!(!told.contains("names.csv line 3: letters like"), "once per file: {told}");
    }
}
