//! Traps 11 and 14: reports that hold the right rows, and logs that hold none.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use simsync::sandbox::{Faults, Shares};

use super::{HASTY, answering, key};
use crate::support::{TOKEN, Workspace, imei};

/// Rows of every fate, mixed: each with values of its own in every column, and cells that mislead a naive reader.
fn mixed_export(rows: u32) -> String {
    let mut text = String::from("note,crm id,imsi,imei,tier\n");
    for row in 0..rows {
        let note = match row % 5 {
            0 => format!("\"note, {row}\""),
            1 => format!("\"said \"\"{row}\"\"\""),
            2 => format!("\"line {row}\nand another\""),
            _ => format!("note {row}"),
        };
        let imsi = if row % 20 < 2 { 900_000 + row / 20 } else { row };
        let imei = if row % 11 == 3 { format!("35686800O{row:06}") } else { imei(row) };
        text += &format!("{note},{},23415{imsi:010},{imei},t{row}\n", key(row));
    }
    text
}

/// One tool pairs a row with the answer to another, one writes fewer names than values in its report.
#[test]
fn trap_11_every_reported_row_is_the_inputs_row_with_its_own_reason() {
    let refused: Vec<(String, u16)> = (0..200)
        .filter(|row| row % 7 == 5)
        .map(|row| (key(row), if row % 2 == 0 { 422 } else { 404 }))
        .collect();
    let refused: Vec<(&str, u16)> = refused.iter().map(|(key, status)| (key.as_str(), *status)).collect();
    let faults = Faults { latency_ms: 1, latency_jitter_ms: 25, seed: 4, ..answering(&refused) };
    let ws = Workspace::with(faults);
    let text = mixed_export(200);
    ws.write("crm.csv", &text);
    let ran = ws.sync(&["crm.csv", "--max-in-flight", "32", "--concurrency", "32"]).expect(3).expect_books();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let input: Vec<(u64, csv::StringRecord)> = reader
        .records()
        .map(Result::unwrap)
        .map(|record| (record.position().unwrap().line(), record))
        .collect();
    let mut seen = HashSet::new();
    for (name, fate) in
        [("rejected.csv", "rejected"), ("failed.csv", "failed"), ("conflicts.csv", "conflict")]
    {
        let report = ws.last_run_file(name).unwrap_or_else(|| panic!("no {name}"));
        let mut report = csv::Reader::from_reader(report.as_bytes());
        assert_eq!(report.headers().unwrap().len(), 5 + simsync::report::OWN_COLUMNS.len(), "{name}");
        // The reader refuses a row of more or fewer cells than the header has.
        let rows: Vec<csv::StringRecord> = report.records().map(Result::unwrap).collect();
        assert_eq!(u64::try_from(rows.len()).unwrap(), ran.rows(fate), "{name}");
        assert!(!rows.is_empty(), "{name}");
        for row in rows {
            let ordinal: usize = row[6].parse().unwrap();
            let (line, of) = &input[ordinal - 1];
            assert_eq!(row.iter().take(5).collect::<Vec<_>>(), of.iter().collect::<Vec<_>>(), "{name}");
            assert_eq!(row[8], line.to_string(), "{name}");
            assert!(seen.insert(ordinal), "row {ordinal} stands in two files");
            let serial = u32::try_from(ordinal).unwrap() - 1;
            let is_right = match fate {
                "rejected" => row[9].starts_with("imei."),
                "failed" => row[10].starts_with(if serial % 2 == 0 { "422 " } else { "404 " }),
                _ => row[9].starts_with("conflict.imsi"),
            };
            assert!(is_right, "{name}: {:?} for row {ordinal}", &row[9]);
        }
    }
    // And who is in no file was sent, with just the values of its row.
    for (serial, (_, record)) in (0..).zip(&input) {
        let is_sent = ws.at_server(&key(serial), "user_class").is_some();
        assert_eq!(is_sent, !seen.contains(&(usize::try_from(serial).unwrap() + 1)), "{}", key(serial));
        if is_sent {
            assert_eq!(ws.at_server(&key(serial), "imsi").as_deref(), Some(&record[2]));
            assert_eq!(ws.at_server(&key(serial), "user_class").as_deref(), Some(&record[4]));
        }
    }
}

/// What must stand in no log, status, summary or journal.
fn secrets() -> Vec<String> {
    let mut secrets =
        vec![TOKEN.to_owned(), "trapsalt".to_owned(), "trap.user".to_owned(), "C-00000".to_owned()];
    secrets.extend((0..30).map(|serial| format!("7910{serial:06}")));
    secrets.extend((0..30).map(imei));
    secrets
}

fn collect(dir: &Path, texts: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, texts);
        } else if path.extension().is_none_or(|extension| extension != "csv") {
            texts.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

/// Job logs with the command line, bodies of failed requests, whole records: each was seen somewhere.
#[test]
fn trap_14_no_secret_and_no_identifier_in_any_log() {
    let hash = "A".repeat(43) + "=";
    let mut text = String::from("crm id,mobile,imei,login,secret,tier\n");
    for serial in 0..30 {
        let imei = if serial % 9 == 4 { format!("{}x", imei(serial)) } else { imei(serial) };
        text += &format!(
            "C-{serial:06},+447910{serial:06},{imei},trap.user{serial},pbkdf2_sha256$150000$trapsalt{serial}${hash},b\n"
        );
    }
    let shares = Shares { wrong_echo: 0.2, garbage_body: 0.1, reset_after: 0.1, ..Shares::default() };
    let faults = Faults { seed: 2, shares, ..answering(&[(&key(6), 422), (&key(7), 500)]) };
    let ws = Workspace::with(faults);
    ws.configure(HASTY);
    ws.write("crm.csv", text);
    let mut texts = Vec::new();
    let url = ws.sandbox.url();
    let commands: [&[&str]; 5] = [
        &[
            "sync",
            "crm.csv",
            "-vv",
            "--map",
            "password=secret",
            "--map",
            "username=login",
            "--rate",
            "unlimited",
        ],
        &["replay", "latest", "-vv", "--json", "--map", "password=secret", "--map", "username=login"],
        &["plan", "crm.csv", "-vv", "--map", "password=secret"],
        &["show", "latest"],
        &["runs"],
    ];
    for (nth, args) in commands.into_iter().enumerate() {
        let own: &[&str] = if nth < 3 { &["--api-url", &url] } else { &[] };
        let ran = ws.run(&[args, own].concat());
        assert_eq!(ran.code, if nth < 3 { 3 } else { 0 }, "{args:?}: {}", ran.stderr);
        texts.push((format!("stdout of {args:?}"), ran.stdout.into_bytes()));
        texts.push((format!("stderr of {args:?}"), ran.stderr.into_bytes()));
    }
    assert!(ws.run_dirs().iter().any(|dir| dir.join("failed.csv").exists()), "nothing failed");
    collect(&ws.path("simsync-state"), &mut texts);
    for secret in secrets() {
        for (name, bytes) in &texts {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "{name} holds {secret}");
        }
    }
}
