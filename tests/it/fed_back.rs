//! Row files fed back by the very command that a run prints: whatever was said about the input is not said about them.
//!
//! Not here: which rows stand in them (`reports.rs`), how they are written (`report/rows/tests.rs`).

use std::fs;
use std::process::{Command, Stdio};

use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, ran};

/// Runs the command that the last run says to run with a row file, letter by letter.
#[track_caller]
fn run_next(workspace: &Workspace, before: &Ran, verb: &str) -> Ran {
    let steps = before.summary()["next"].clone();
    let steps = steps.as_array().unwrap();
    let step = steps.iter().find_map(|step| step.as_str().filter(|step| step.starts_with(verb)));
    let step = step.unwrap_or_else(|| panic!("no `{verb}` in {steps:?}"));
    let command = step.split('`').nth(1).unwrap();
    let binary = env!("CARGO_BIN_EXE_simsync");
    let line = command.strip_prefix("simsync ").unwrap();
    // The words of the command itself come from the workspace, whose settings it repeats.
    let token = workspace.command(&[]);
    let envs = token.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("'{binary}' {line}")]).env_clear().envs(envs);
    shell.current_dir(workspace.dir.path()).stdin(Stdio::null());
    ran(shell.output().unwrap())
}

/// Corrects the rejected rows of the last run.
fn correct(workspace: &Workspace, wrong: &str, right: &str) {
    let path = workspace.run_dirs().pop().unwrap().join("rejected.csv");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(wrong), "{text}");
    fs::write(path, text.replace(wrong, right)).unwrap();
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect()
}

#[test]
fn the_printed_command_runs_whatever_was_said_about_the_input() {
    let table = |header: &str, delimiter: &str| {
        let rows = "Käthe-1,12ab,basic\nC-2,+447911123457,basic\n".replace(',', delimiter);
        format!("{}{rows}", header.replace(',', delimiter))
    };
    let csv = |delimiter| table("crm id,mobile,tier\n", delimiter);
    let ndjson =
        "{\"crm id\":\"Käthe-1\",\"mobile\":\"12ab\"}\n{\"crm id\":\"C-2\",\"mobile\":\"+447911123457\"}\n";
    let cases: [(Vec<u8>, &[&str]); 9] = [
        (latin1(&csv(",")), &["--encoding", "windows-1252"]),
        (csv("~").into_bytes(), &["--delimiter", "~"]),
        (format!("report\n\n{}", csv(",")).into_bytes(), &["--skip-rows", "2"]),
        (table("", ",").into_bytes(), &["--no-header", "--columns", "crm id,mobile,tier"]),
        (table("", ",").into_bytes(), &["--no-header", "--columns", "crm id,mobile,-"]),
        (ndjson.as_bytes().to_vec(), &["--format", "ndjson"]),
        (utf16le(&csv(",")), &["--encoding", "utf-16le"]),
        (utf16le(&csv("\t")), &["--encoding=utf-16le", "--delimiter=tab", "--format", "csv"]),
        (csv(",").into_bytes(), &[]),
    ];
    for (input, options) in cases {
        let workspace = Workspace::new();
        workspace.write("a.txt", input);
        let before = workspace.sync(&[&["a.txt"], options].concat()).expect(3);
        assert_eq!((before.rows("synced"), before.rows("rejected")), (1, 1), "{options:?}");
        let again = run_next(&workspace, &before, "correct").expect(3);
        assert_eq!(again.summary()["rejections"][0]["code"], "number.chars", "{options:?}");
        correct(&workspace, "12ab", "+447911123456");
        run_next(&workspace, &again, "correct").expect(0);
        let number = workspace.at_server("Käthe-1", "number");
        assert_eq!(number.as_deref(), Some("+447911123456"), "{options:?}");
    }
}

#[test]
fn a_row_file_that_a_spreadsheet_saved_runs_with_the_printed_command() {
    let saved: [fn(&str) -> Vec<u8>; 3] = [
        |text| latin1(&text.replace(',', ";")),
        |text| format!("\u{feff}{}", text.replace(',', ";")).into_bytes(),
        |text| utf16le(&format!("\u{feff}{}", text.replace(',', "\t"))),
    ];
    for (nth, save) in saved.into_iter().enumerate() {
        let workspace = Workspace::new();
        let rows = "one\ntwo\ncrm id,mobile\nKäthe-1,12ab\nC-2,+447911123457\n";
        workspace.write("a.csv", if nth == 0 { latin1(rows) } else { rows.as_bytes().to_vec() });
        let encoding = if nth == 0 { &["--encoding", "windows-1252"][..] } else { &[] };
        let before = workspace.sync(&[&["a.csv", "--skip-rows", "2"], encoding].concat()).expect(3);
        let path = workspace.run_dirs().pop().unwrap().join("rejected.csv");
        let text = fs::read_to_string(&path).unwrap().replace("12ab", "+447911123456");
        fs::write(&path, save(&text)).unwrap();
        run_next(&workspace, &before, "correct").expect(0);
        let number = workspace.at_server("Käthe-1", "number");
        assert_eq!(number.as_deref(), Some("+447911123456"), "{nth}");
    }
}

#[test]
fn a_row_with_a_nul_is_corrected_and_fed_back() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile,tier\nC-1,+44791112\x003456,basic\nC-2,+447911123457,basic\n");
    let before = workspace.sync(&["a.csv"]).expect(3);
    assert_eq!(before.summary()["rejections"][0]["code"], "csv.nul");
    let remedy = before.summary()["rejections"][0]["remedy"].as_str().unwrap().to_owned();
    assert!(remedy.contains("export again"), "{remedy}");
    let rejected = workspace.last_run_file("rejected.csv").unwrap();
    assert!(!rejected.contains('\0') && rejected.contains("+44791112\\x003456"), "{rejected:?}");
    correct(&workspace, "\n,,,", "\nC-1,+447911123456,basic,");
    run_next(&workspace, &before, "correct").expect(0);
    assert_eq!(workspace.at_server("C-1", "number").as_deref(), Some("+447911123456"));
}

#[test]
fn a_rejected_password_in_the_clear_stands_in_no_row_file() {
    let secret = "Winter-2026!";
    let workspace = Workspace::new();
    workspace.write("a.csv", format!("crm id,mobile,pw\nC-1,+447911123456,{secret}\n"));
    let before = workspace.sync(&["a.csv", "--map", "password=pw"]).expect(3);
    let rejected = workspace.last_rows("rejected.csv").remove(0);
    assert_eq!((rejected["_reason"].as_str(), rejected["pw"].as_str()), ("password.plaintext", ""));
    assert!(rejected["_detail"].contains("was removed"), "{rejected:?}");
    assert!(!workspace.last_run_file("rejected.csv").unwrap().contains(secret));
    run_next(&workspace, &before, "correct").expect(0);
    assert_eq!(workspace.at_server("C-1", "number").as_deref(), Some("+447911123456"));
    assert_eq!(workspace.at_server("C-1", "password"), None);
    // Within a JSON value only the password goes.
    let workspace = Workspace::new();
    let row = format!(
        "{{\"crm id\":\"C-1\",\"mobile\":\"+447911123456\",\"auth\":{{\"pw\":\"{secret}\",\"n\":7}}}}\n"
    );
    workspace.write("a.ndjson", row);
    workspace.sync(&["a.ndjson", "--map", "password=/auth/pw"]).expect(3);
    assert_eq!(workspace.last_rows("rejected.csv").remove(0)["auth"], "{\"pw\":\"\",\"n\":7}");
    // What is rejected for something else keeps its hash.
    let hash = "$2b$12$EixZaYVK1fsbw1ZfbX3OXePaWxn96p36WQoeG6Lruj3vjPGga31lW";
    let workspace = Workspace::new();
    workspace.write("a.csv", format!("crm id,mobile,pw\nC-1,12ab,{hash}\n"));
    workspace.sync(&["a.csv", "--map", "password=pw"]).expect(3);
    assert_eq!(workspace.last_rows("rejected.csv").remove(0)["pw"], hash);
}

#[test]
fn bytes_that_are_utf8_are_not_read_as_something_else() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile,tier\nKäthe-1,+447911123456,basic\n");
    for option in [&["--encoding", "windows-1252"][..], &["--encoding", "iso-8859-15"]] {
        let ran = workspace.sync(&[&["a.csv"], option].concat()).expect(6);
        assert!(ran.stderr.contains("a.csv line 2") && ran.stderr.contains("are UTF-8"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--encoding utf-8"), "{}", ran.stderr);
    }
    workspace.configure("[input]\nencoding = \"windows-1252\"\n");
    workspace.sync(&["a.csv"]).expect(6);
    workspace.sync(&["a.csv", "--encoding", "utf-8"]).expect(0);
    assert!(workspace.at_server("Käthe-1", "number").is_some());
}

#[test]
fn what_cannot_be_read_on_is_no_run_to_resume() {
    let workspace = Workspace::new();
    workspace.write("a.csv", b"crm id,mobile,tier\nC-1,+447911123456,basic\nC-2,+447911123457,caf\xe9\n");
    for command in [&["sync", "--rate", "unlimited"][..], &["plan"]] {
        let url = workspace.sandbox.url();
        let ran = workspace.run(&[command, &["--api-url", &url, "a.csv"]].concat()).expect(6);
        assert!(!ran.stderr.contains("pending") && !ran.stderr.contains("resume"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("next:"), "{}", ran.stderr);
        assert!(ran.stderr.contains("invalid UTF-8"), "{}", ran.stderr);
    }
    let ran = workspace.run(&["sync", "-q", "--api-url", &workspace.sandbox.url(), "a.csv"]).expect(6);
    assert!(!ran.stderr.contains("pending") && !ran.stderr.contains("resume"), "{}", ran.stderr);
    let ran = workspace.sync(&["a.csv"]).expect(6).expect_books();
    assert_eq!(ran.summary()["next"].as_array().map(Vec::len), Some(0));
}

#[test]
fn hints_name_the_command_that_was_typed() {
    let workspace = Workspace::new();
    workspace.write("a.zip", b"PK\x03\x04export.csv");
    workspace.write("a.bz2", b"BZh91AY&SY");
    for (command, option) in [("check", "-q"), ("plan", "-q"), ("sync", "--yes")] {
        for file in ["a.zip", "a.bz2"] {
            let url = workspace.sandbox.url();
            let to = if command == "check" { vec![] } else { vec!["--api-url", &url] };
            let ran = workspace.run(&[&[command, file, option], &to[..]].concat()).expect(6);
            assert!(ran.stderr.contains(&format!("| simsync {command} -")), "{command} {}", ran.stderr);
        }
    }
}

#[test]
fn line_ends_that_csv_does_not_have_are_told() {
    for (end, name) in [("\u{85}", "U+0085"), ("\u{2028}", "U+2028"), ("\u{2029}", "U+2029")] {
        let workspace = Workspace::new();
        workspace.write("a.csv", ["crm id,mobile,tier", "C-1,+447911123456,basic", ""].join(end));
        let ran = workspace.sync(&["a.csv"]).expect(6);
        assert!(ran.stderr.contains(name) && ran.stderr.contains("perl -pe"), "{}", ran.stderr);
        // The remedy, letter by letter.
        let error: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
        let hint = error["hint"].as_str().unwrap();
        let line = hint.split_once(": ").unwrap().1.replace("FILE", "a.csv");
        let status = Command::new("sh").args(["-c", &line]).current_dir(workspace.dir.path()).status();
        if status.is_ok_and(|status| status.success()) {
            assert_eq!(workspace.sync(&["a.csv.lf"]).expect(0).rows("synced"), 1);
        }
        // Within a row such a character is content.
        workspace.write("b.csv", format!("crm id,mobile,note\nC-2,+447911123457,a{end}b\n"));
        workspace.sync(&["b.csv"]).expect(0);
    }
}

#[test]
fn code_pages_that_are_not_read_are_converted_and_not_mistaken() {
    let workspace = Workspace::new();
    workspace.write("a.csv", "crm id,mobile\n");
    for label in ["cp850", "CP437", "ibm852", "cp858", "cp1047", "ebcdic", "utf-7", "ibm-037"] {
        let ran = workspace.sync(&["a.csv", "--encoding", label]);
        assert!(matches!(ran.code, 2 | 10), "{} {}", ran.code, ran.stderr);
        assert!(!ran.stderr.contains("did you mean"), "{}", ran.stderr);
        assert!(ran.stderr.contains("iconv -f ") && ran.stderr.contains("-t UTF-8"), "{}", ran.stderr);
    }
    let ran = workspace.sync(&["a.csv", "--encoding", "windows-1225"]);
    assert!(ran.stderr.contains("did you mean `windows-1252`"), "{}", ran.stderr);
}

#[test]
fn the_printed_command_goes_on_whoever_set_the_limit() {
    let limits = ["max_rows = 3", "max_rows = 3\nmax_duration = \"30d\"\nuntil = \"00:00\""];
    for (limit, flags) in limits.into_iter().zip([&["--max-rows=2"][..], &[]]) {
        let workspace = Workspace::new();
        workspace.configure(&format!("[delivery]\n{limit}\n"));
        workspace.write("a.csv", export(10));
        let first = workspace.sync(&[&["a.csv"], flags].concat()).expect(8).expect_books();
        assert!(first.rows("pending") >= 7, "{}", first.stdout);
        let again = run_next(&workspace, &first, "run").expect(0).expect_books();
        assert_eq!(again.rows("synced"), first.rows("pending"), "{limit} {flags:?}");
    }
    // Of a replay, too.
    let workspace = Workspace::new();
    workspace.write("a.csv", export(1));
    workspace.sync(&["a.csv"]).expect(0);
    workspace.fault(Faults { refused_values: ["basic".into()].into(), ..Faults::default() });
    workspace.write("a.csv", export(11));
    workspace.sync(&["a.csv"]).expect(3);
    workspace.fault(Faults::default());
    workspace.configure("[delivery]\nmax_rows = 3\n");
    let run = workspace.run_dirs().pop().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let url = workspace.sandbox.url();
    let first =
        workspace.run(&["replay", &run, "--api-url", &url, "--rate", "unlimited", "--json"]).expect(8);
    assert_eq!(run_next(&workspace, &first, "run").expect(0).rows("synced"), 7);
}
