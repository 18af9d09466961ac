//! The state directory as an operator may find it: damaged, gone in part, not to be written, on a full disk; and what
//! must never stand in it in clear.
//!
//! Not here: kills (`kill.rs`); every single byte of damage, which the journal's own tests go through.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use simsync::sandbox::Faults;

use crate::support::{Ran, TOKEN, Workspace, export, imei, ran};
use crate::witness::{Aftermath, Export, check_finals, copy_dir, frozen_after, kill_9};

/// Rows that are refused, so that complaints come in.
const REFUSED: [&str; 2] = ["C-000007", "C-000021"];

/// The journal's files in a state directory, without directories and the lock.
fn journal_files(state: &Path) -> Vec<PathBuf> {
    let mut files =
        vec![state.join("journal.key"), state.join("journal.watermark"), state.join("journal/db")];
    let entries = fs::read_dir(state).unwrap().map(|entry| entry.unwrap().path());
    files.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "grenad")));
    files
}

/// A way to damage a file.
type Damage = (&'static str, fn(&Path));

/// The damage that leaves the first half.
const HALF: &str = "cut in half";

const DAMAGES: [Damage; 4] = [
    ("deleted", |path| fs::remove_file(path).unwrap()),
    ("emptied", |path| cut(path, 0)),
    (HALF, |path| cut(path, fs::metadata(path).unwrap().len() / 2)),
    ("overwritten", |path| {
        let length = fs::read(path).unwrap().len();
        fs::write(path, vec![0xA5; length]).unwrap();
    }),
];

fn cut(path: &Path, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Every damage to every file of a journal: exit 13 with a remedy, and nothing is sent.
fn refused_when_damaged(ws: &Workspace) {
    let (state, copy) = (ws.path("simsync-state"), ws.path("copy"));
    copy_dir(&state, &copy);
    let seen = ws.sandbox.stats().requests;
    for file in journal_files(&state) {
        for (how, damage) in DAMAGES {
            if file.ends_with("journal.watermark") && how == HALF {
                // One of its two slots is left, as after a torn write: see below.
                continue;
            }
            damage(&file);
            let refused = ws.sync(&["export.csv"]);
            let what = format!("{} {how}: {}{}", file.display(), refused.stdout, refused.stderr);
            assert_eq!(refused.code, 13, "{what}");
            assert!(hint(&refused).len() > 20, "no remedy; {what}");
            assert_eq!(ws.sandbox.stats().requests, seen, "something was sent; {what}");
            fs::remove_dir_all(&state).unwrap();
            copy_dir(&copy, &state);
        }
    }
}

/// The remedy in an error, as `--json` prints it on standard error.
fn hint(refused: &Ran) -> String {
    let last = refused.stderr.lines().last().unwrap_or_default();
    let error: serde_json::Value = serde_json::from_str(last).unwrap_or_default();
    error["hint"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_damaged_journal_is_refused_after_an_orderly_end() {
    let ws = Workspace::new();
    ws.write("export.csv", export(500));
    ws.sync(&["export.csv"]).expect(0);
    refused_when_damaged(&ws);
    // The copy of the whole directory is as good as the original.
    let seen = ws.sandbox.stats().requests;
    ws.sync(&["export.csv"]).expect(0);
    assert_eq!(ws.sandbox.stats().requests, seen);
}

/// A run of this export, killed in the middle.
fn killed(export: &Export) -> (Workspace, Aftermath) {
    let ws = Workspace::with(frozen_after(1_500));
    ws.write("export.csv", &export.text);
    let mut run = ws.sync_in_background(&["export.csv"]);
    ws.wait_for_requests(1_000);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    (ws, aftermath)
}

#[test]
fn a_damaged_journal_is_refused_after_a_kill() {
    let export = Export::new(2_000);
    let (ws, aftermath) = killed(&export);
    refused_when_damaged(&ws);
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

/// The watermark's slots are written in turn, so that one torn by a power cut leaves the other.
#[test]
fn a_torn_watermark_is_borne() {
    let export = Export::new(2_000);
    let (ws, aftermath) = killed(&export);
    let watermark = ws.path("simsync-state/journal.watermark");
    cut(&watermark, fs::metadata(&watermark).unwrap().len() / 2);
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resume(&ws, &export, &resumed);
}

#[test]
fn a_state_directory_that_cannot_be_is_refused_before_anything_is_sent() {
    let ws = Workspace::new();
    ws.write("export.csv", export(10));
    // Below a file no directory can be made, whoever runs this.
    ws.write("file", "");
    for state in ["file", "file/state"] {
        let refused = ws.sync(&["export.csv", "--state", state]).expect(13);
        assert!(refused.stderr.contains("file"), "{}", refused.stderr);
        assert!(hint(&refused).len() > 20, "{}", refused.stderr);
    }
    assert_eq!(ws.sandbox.stats().requests, 0);
}

#[test]
fn a_state_directory_that_may_not_be_written_is_refused_before_anything_is_sent() {
    let ws = Workspace::new();
    ws.write("export.csv", export(10));
    fs::create_dir(ws.path("closed")).unwrap();
    fs::set_permissions(ws.path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    if rustix::process::geteuid().is_root() {
        crate::support::skipped("root may write everywhere");
        return;
    }
    for state in ["closed", "closed/state"] {
        let refused = ws.sync(&["export.csv", "--state", state]).expect(13);
        assert!(hint(&refused).len() > 20, "{}", refused.stderr);
    }
    assert_eq!(ws.sandbox.stats().requests, 0);
}

/// A file system of its own, so small that the journal fills it.
pub(crate) struct SmallDisk {
    pub(crate) path: PathBuf,
}

impl SmallDisk {
    /// `None` where this user may not mount.
    pub(crate) fn mounted(path: PathBuf, size: &str) -> Option<SmallDisk> {
        fs::create_dir(&path).unwrap();
        let options = format!("size={size},mode=700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path).output();
        mount.is_ok_and(|output| output.status.success()).then_some(SmallDisk { path })
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A mount that stays would only outlive the test's directory.
        drop(Command::new("umount").arg("-l").arg(&self.path).output());
    }
}

#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let (ws, export) = (Workspace::new(), Export::new(5_000));
    ws.write("export.csv", &export.text);
    let Some(disk) = SmallDisk::mounted(ws.path("simsync-state"), "2m") else {
        crate::support::skipped("this user may not mount a file system");
        return;
    };
    // What others have left free of it is not enough for the run, and enough to begin.
    fs::write(disk.path.join("ballast"), vec![0; 900 << 10]).unwrap();
    let stopped = ws.sync(&["export.csv"]).expect(13);
    assert!(hint(&stopped).contains("space"), "{}", stopped.stderr);
    fs::remove_file(disk.path.join("ballast")).unwrap();
    let aftermath = Aftermath::of(&ws, &export.finals);
    aftermath.check();
    let seen = ws.sandbox.stats().requests;
    assert!((1..4_750).contains(&seen), "{seen} requests: it did not fill up in the middle");
    let command = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&disk.path).output().unwrap();
    assert!(command.status.success());
    let resumed = ws.sync(&["export.csv"]).expect(3).expect_books();
    aftermath.check_resends(&ws);
    check_finals(&ws, &export.finals);
    assert_eq!(resumed.rows("failed"), 0);
}

/// What must not stand anywhere in clear.
fn canaries() -> Vec<(String, String)> {
    let mut canaries = vec![
        ("token".to_owned(), TOKEN.to_owned()),
        ("password".to_owned(), "pbkdf2_sha256$150000$canarysalt".to_owned()),
        ("username".to_owned(), "canary.user".to_owned()),
        ("crm id".to_owned(), "C-0000".to_owned()),
        ("rejected cell".to_owned(), "canary-cell".to_owned()),
    ];
    for serial in [3, 7, 21, 150] {
        canaries.push(("number".to_owned(), format!("79{}", 10_000_000 + serial)));
        canaries.push(("imei".to_owned(), imei(serial)));
    }
    canaries
}

/// An export with every kind of trouble in it.
fn troubled_export() -> String {
    let mut text = String::from("crm id,mobile,imei,login,secret,tier\n");
    let hash = "A".repeat(43) + "=";
    for serial in 0..200 {
        let (number, imei) = (10_000_000 + serial, imei(serial));
        let number = if serial % 50 == 49 { "canary-cell".to_owned() } else { format!("+4479{number:08}") };
        text += &format!(
            "C-{serial:06},{number},{imei},canary.user{serial}@example.com,\
             pbkdf2_sha256$150000$canarysalt{serial}${hash},basic\n"
        );
    }
    text
}

#[test]
fn no_identifier_and_no_credential_stands_in_clear_where_it_must_not() {
    let mut faults = Faults { refused_values: REFUSED.map(str::to_owned).into(), ..Faults::default() };
    faults.shares.wrong_echo = 0.1;
    faults.shares.garbage_body = 0.1;
    faults.shares.reset_after = 0.1;
    faults.shares.error_500_before = 0.1;
    faults.fail_first = None;
    let ws = Workspace::with(faults);
    ws.write("export.csv", troubled_export());
    // The second export changes every subject, which a gate minds.
    let args = ["export.csv", "-vv", "--yes", "--map", "password=secret", "--map", "username=login"];
    let finished = ws.sync(&args).expect(3);
    assert!(finished.rows("failed") > 0 && finished.rows("rejected") > 0, "{}", finished.stdout);
    assert!(finished.summary()["retries"].as_u64().unwrap() > 0);
    // And one that was killed, its log not folded.
    ws.write("export.csv", troubled_export().replace(",basic", ",gold"));
    let before = ws.sandbox.stats().requests;
    ws.sandbox.set_faults(frozen_after(100)).unwrap();
    let mut killed = ws.sync_command(&args);
    let log = ws.path("killed.log");
    killed.stdout(fs::File::create(&log).unwrap()).stderr(fs::File::create(ws.path("killed.err")).unwrap());
    let mut killed = killed.spawn().unwrap();
    ws.wait_for_requests(before + 101);
    kill_9(&mut killed);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    // And one without the token it needs.
    let mut refused = ws.sync_command(&args);
    let refused = ran(refused.env("SIMSYNC_TOKEN", "canary-token-5d1f-wrong").output().unwrap());
    assert!(![0, 3].contains(&refused.code), "{}", refused.stdout);
    let mut texts: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, ran) in [("finished", &finished), ("refused", &refused)] {
        texts.push((format!("stdout, {name}"), ran.stdout.clone().into_bytes()));
        texts.push((format!("stderr, {name}"), ran.stderr.clone().into_bytes()));
    }
    for path in [log, ws.path("killed.err")] {
        texts.push((path.display().to_string(), fs::read(path).unwrap()));
    }
    files_below(&ws.path("simsync-state"), &mut texts);
    assert!(texts.iter().any(|(name, _)| name.ends_with("journal/db")), "the journal was not looked at");
    for (what, canary) in canaries() {
        for (name, bytes) in &texts {
            let is_there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!is_there, "{name} holds the {what}");
        }
    }
}

/// All files below a directory but the row files, which must hold values. Nobody but the owner may read any of them.
fn files_below(dir: &Path, texts: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
        if path.is_dir() {
            files_below(&path, texts);
        } else if path.extension().is_none_or(|extension| extension != "csv") {
            texts.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}
