//! No identifier and no credential stands in a file of the journal, in whatever spelling: as text, in wider
//! characters, packed into half bytes as a SIM card holds them, as a number. Looked for after a kill, after folds in
//! the middle of a run, after a resume, and after an orderly end.
//!
//! Not here: logs, events and reports (`state_dir.rs`); the row files, which must hold values.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use memchr::memmem;
use simsync::sandbox::Faults;

use crate::support::{Workspace, imei};
use crate::witness::{frozen_after, kill_9};

/// Rows of the export.
const ROWS: u32 = 1_200;

/// Rows whose every value is looked for; of all others the parts that all have in common.
const LOOKED_FOR_EVERY: u32 = 97;

/// Bytes that all passwords have in common.
const SALT: &str = "zebrasaltzebra";

/// What all user names and CRM ids begin with.
const NAME: &str = "okapi-user-";
const KEY: &str = "quagga-key-";

/// The values of a row.
struct Person {
    key: String,
    number: String,
    imei: String,
    imsi: String,
    iccid: String,
    username: String,
    password: String,
}

impl Person {
    fn new(serial: u32) -> Person {
        let iccid = format!("894411009988{serial:06}");
        Person {
            key: format!("{KEY}{serial:06}"),
            number: format!("+4479{:08}", 17_000_000 + serial),
            imei: imei(serial),
            imsi: format!("23415{:010}", 7_788_000_000_u64 + u64::from(serial)),
            iccid: format!("{iccid}{}", check_digit(&iccid)),
            username: format!("{NAME}{serial}@example.com"),
            password: format!("pbkdf2_sha256$150000${SALT}{serial}${}=", "A".repeat(43)),
        }
    }
}

/// The last digit by ISO/IEC 7812-1 annex B.
fn check_digit(body: &str) -> u32 {
    let doubled = |(index, digit): (usize, u8)| {
        let digit = u32::from(digit - b'0') * if index % 2 == 0 { 2 } else { 1 };
        digit / 10 + digit % 10
    };
    let sum: u32 = body.bytes().rev().enumerate().map(doubled).sum();
    (10 - sum % 10) % 10
}

fn export(class: &str) -> String {
    let mut text = "user_external_id,number,imei,imsi,iccid,username,password,user_class\n".to_owned();
    for person in (0..ROWS).map(Person::new) {
        let Person { key, number, imei, imsi, iccid, username, password } = person;
        writeln!(text, "{key},{number},{imei},{imsi},{iccid},{username},{password},{class}").unwrap();
    }
    text
}

/// Everything that must not be found, with what it is.
fn canaries() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for text in [SALT, NAME, KEY, "quagga", "okapi-", "pbkdf2_sha256"] {
        spellings("common part", text, &mut found);
    }
    for serial in (0..ROWS).step_by(LOOKED_FOR_EVERY as usize) {
        let person = Person::new(serial);
        let named = [
            ("key", &person.key),
            ("number", &person.number),
            ("imei", &person.imei),
            ("imsi", &person.imsi),
            ("iccid", &person.iccid),
            ("username", &person.username),
            ("password", &person.password),
        ];
        for (what, value) in named {
            spellings(what, value, &mut found);
        }
    }
    found
}

fn spellings(what: &str, value: &str, found: &mut Vec<(String, Vec<u8>)>) {
    let mut add = |how: &str, bytes: Vec<u8>| {
        // Megabytes of hashes hold any five bytes once in some hundred runs. What is shorter is found by its other
        // spellings.
        if bytes.len() >= 6 {
            found.push((format!("{what} as {how}"), bytes));
        }
    };
    add("text", value.as_bytes().to_vec());
    add("capitals", value.to_uppercase().into_bytes());
    add("text backwards", value.bytes().rev().collect());
    add("UTF-16LE", value.encode_utf16().flat_map(u16::to_le_bytes).collect());
    add("UTF-16BE", value.encode_utf16().flat_map(u16::to_be_bytes).collect());
    add("hexadecimal", value.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect());
    let digits = value.strip_prefix('+').unwrap_or(value);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    // TS 31.102 and TS 24.008 pack two digits a byte, the first one low; others put it high. From either digit on.
    for (first, begin) in [("first", 0), ("second", 1)] {
        let pairs: Vec<(u8, u8)> =
            digits.as_bytes()[begin..].chunks_exact(2).map(|pair| (pair[0] - b'0', pair[1] - b'0')).collect();
        let swapped = pairs.iter().map(|(one, two)| two << 4 | one).collect();
        add(&format!("half bytes swapped from the {first} digit"), swapped);
        let packed = pairs.iter().map(|(one, two)| one << 4 | two).collect();
        add(&format!("half bytes from the {first} digit"), packed);
    }
    if let Ok(number) = digits.parse::<u64>() {
        let significant = 8 - number.leading_zeros() as usize / 8;
        add("a number, last byte first", number.to_le_bytes()[..significant].to_vec());
        add("a number", number.to_be_bytes()[8 - significant..].to_vec());
    }
}

/// The journal's files: everything in the state directory but the directories of runs.
fn journal_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            found.push(path);
        } else if !path.ends_with("runs") {
            journal_files(&path, found);
        }
    }
}

#[track_caller]
fn look(ws: &Workspace, when: &str) {
    let mut files = Vec::new();
    journal_files(&ws.path("simsync-state"), &mut files);
    let names: Vec<String> = files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    for expected in ["journal/db", "journal/conf", "journal.key", "journal.watermark", "lock", ".grenad"] {
        assert!(names.iter().any(|name| name.ends_with(expected)), "{when}: no {expected} in {names:?}");
    }
    for path in files {
        // A fold that is on may have taken its place meanwhile.
        let Ok(bytes) = fs::read(&path) else { continue };
        for (what, canary) in canaries() {
            let found = memmem::find(&bytes, &canary);
            assert!(found.is_none(), "{when}: {} holds a {what} at byte {found:?}", path.display());
        }
    }
}

#[test]
fn no_file_of_the_journal_tells_a_value() {
    let ws = Workspace::with(frozen_after(900));
    // So small a log that it is folded again and again while the run is on.
    ws.write("simsync.toml", "[journal]\nlog_max = \"2KiB\"\n");
    ws.write("export.csv", export("basic"));
    let args = ["export.csv", "--config", "simsync.toml", "--map", "password=password"];
    let mut run = ws.sync_in_background(&args);
    ws.wait_for_requests(901);
    look(&ws, "while a run is on, after folds");
    kill_9(&mut run);
    look(&ws, "after a kill");
    ws.sandbox.set_faults(Faults::default()).unwrap();
    ws.sync(&args).expect(0).expect_books();
    look(&ws, "after the resume");
    ws.write("export.csv", export("premium"));
    // All of them change at once, which a gate would ask about.
    ws.sync(&[&args[..], &["--yes"]].concat()).expect(0).expect_books();
    look(&ws, "after a second export");
    assert_eq!(ws.at_server(&Person::new(1).key, "imsi"), Some(Person::new(1).imsi), "they were sent");
}

#[test]
fn what_is_looked_for_would_be_found() {
    let person = Person::new(0);
    let digits: Vec<u8> = person.imsi.bytes().map(|byte| byte - b'0').collect();
    // As EF_IMSI holds it (TS 31.102 clause 4.2.2): length, then parity and the first digit, then pairs.
    let mut sim = vec![0x08, digits[0] << 4 | 0x09];
    sim.extend(digits[1..].chunks_exact(2).map(|pair| pair[1] << 4 | pair[0]));
    let found = canaries().into_iter().any(|(_, canary)| memmem::find(&sim, &canary).is_some());
    assert!(found, "an IMSI as a SIM card holds it");
    let text = export("basic");
    assert!(canaries().iter().any(|(_, canary)| memmem::find(text.as_bytes(), canary).is_some()));
}
