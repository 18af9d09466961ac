//! Another user's state directory: what may be read there is read, and what may not is called neither damage nor a
//! full disk.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, TOKEN, Workspace, binary, export, finish, skipped};
use crate::witness::{frozen_after, kill_9};

/// Drops what lets root pass over the modes of files, and nothing else.
const ORDINARY: [&str; 3] = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"];

/// Runs the binary as a user for whom the modes of files count. `None` where this one is not and cannot become one.
fn ordinary(ws: &Workspace, args: &[&str]) -> Option<Ran> {
    let probe = ws.write("probe", "");
    fs::set_permissions(&probe, Permissions::from_mode(0o0)).unwrap();
    if fs::File::open(&probe).is_err() {
        return Some(ws.run(args));
    }
    let dropped = |program: &Path| {
        let mut command = Command::new(ORDINARY[0]);
        command.args(&ORDINARY[1..]).arg(program);
        command
    };
    let runs = |mut command: Command| command.output().is_ok_and(|output| output.status.success());
    let mut cat = dropped(Path::new("cat"));
    cat.arg(&probe);
    if !runs(dropped(Path::new("true"))) || runs(cat) {
        return None;
    }
    let mut command = dropped(binary());
    command.args(args).current_dir(ws.dir.path()).env_clear();
    command.env("SIMSYNC_TOKEN", TOKEN).env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(finish(command))
}

/// Sets the modes of everything below a directory, and its own.
fn modes(path: &Path, dir: u32, file: u32) {
    if path.is_dir() {
        fs::set_permissions(path, Permissions::from_mode(0o700)).unwrap();
        for entry in fs::read_dir(path).unwrap() {
            modes(&entry.unwrap().path(), dir, file);
        }
        fs::set_permissions(path, Permissions::from_mode(dir)).unwrap();
    } else {
        fs::set_permissions(path, Permissions::from_mode(file)).unwrap();
    }
}

/// A workspace whose last run was killed with records in its log, after one that had come to its end.
fn killed() -> Workspace {
    let ws = Workspace::new();
    ws.write("first.csv", export(100));
    ws.sync(&["first.csv"]).expect(0);
    ws.sandbox.set_faults(frozen_after(150)).unwrap();
    ws.write("second.csv", export(300));
    let before = ws.sandbox.stats().requests;
    let mut run = ws.sync_in_background(&["second.csv"]);
    ws.wait_for_requests(before + 100);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    ws
}

fn told(ran: Ran) -> Value {
    serde_json::from_str(ran.expect(0).stdout.trim()).unwrap()
}

#[test]
fn what_may_be_read_and_not_written_is_verified_and_looked_up() {
    let ws = killed();
    let state = ws.path("simsync-state");
    // Nothing may be written; or the files, and nothing beside them.
    for file in [0o400, 0o600] {
        modes(&state, 0o500, file);
        let Some(verified) = ordinary(&ws, &["journal", "verify", "--json"]) else {
            modes(&state, 0o700, 0o600);
            return skipped("nobody but root can be had here");
        };
        let verified = told(verified);
        assert_eq!((&verified["sound"], &verified["read_only"]), (&true.into(), &true.into()), "{verified}");
        assert!(verified["log_records"].as_u64().unwrap() > 80, "{verified}");
        let looked_up = ordinary(&ws, &["lookup", "--user-external-id", "C-000001", "--json"]).unwrap();
        let looked_up = told(looked_up);
        assert_eq!(
            (&looked_up["found"], &looked_up["run_is_on"]),
            (&true.into(), &false.into()),
            "{looked_up}"
        );
        assert!(looked_up["records_unread"].as_u64().unwrap() > 80, "{looked_up}");
        let text = ordinary(&ws, &["lookup", "--user-external-id", "C-000001"]).unwrap().expect(0).stdout;
        assert!(text.contains("the last fold") && text.contains("may not be written"), "{text}");
        for args in [&["runs"][..], &["show", "latest"]] {
            ordinary(&ws, args).unwrap().expect(0);
        }
        for args in [&["journal", "stats"][..], &["journal", "compact"], &["plan", "second.csv"]] {
            let url = ws.sandbox.url();
            let args = if args[0] == "plan" { [args, &["--api-url", &url]].concat() } else { args.to_vec() };
            let refused = ordinary(&ws, &args).unwrap().expect(13);
            let hint = &refused.stderr;
            assert!(hint.contains("nothing is known to be wrong with the journal"), "{args:?}: {hint}");
            assert!(!hint.contains("free space"), "{args:?}: {hint}");
        }
    }
    modes(&state, 0o700, 0o600);
    ws.sync(&["second.csv"]).expect(0);
}

#[test]
fn what_may_not_be_read_is_no_damage() {
    let ws = killed();
    let state = ws.path("simsync-state");
    let files: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().path()).collect();
    let ledger = files.iter().find(|path| path.extension().is_some_and(|kind| kind == "grenad")).unwrap();
    for path in
        [ledger.clone(), state.join("journal.key"), state.join("journal.watermark"), state.join("journal/db")]
    {
        let mode = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, Permissions::from_mode(0o0)).unwrap();
        let Some(unchecked) = ordinary(&ws, &["journal", "verify"]) else {
            fs::set_permissions(&path, mode).unwrap();
            return skipped("nobody but root can be had here");
        };
        let unchecked = unchecked.expect(1);
        assert!(!unchecked.stdout.contains("damaged"), "{}: {}", path.display(), unchecked.stdout);
        let told = &unchecked.stderr;
        assert!(told.contains("could not be checked") && told.contains("permission"), "{told}");
        assert!(told.contains(&*path.file_name().unwrap().to_string_lossy()), "{told}");
        fs::set_permissions(&path, mode).unwrap();
    }
    ws.run(&["journal", "verify"]).expect(0);
}

#[test]
fn a_run_that_is_on_is_seen_by_who_may_only_read() {
    let ws = Workspace::with(Faults { latency_ms: 400, ..Faults::default() });
    ws.write("export.csv", export(400));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(2);
    let lock = ws.path("simsync-state/lock");
    fs::set_permissions(&lock, Permissions::from_mode(0o400)).unwrap();
    let ran = ordinary(&ws, &["journal", "verify"]);
    let pid = run.id().to_string();
    kill_9(&mut run);
    let Some(ran) = ran else { return skipped("nobody but root can be had here") };
    let refused = ran.expect(11);
    assert!(refused.stderr.contains(&pid), "{}", refused.stderr);
}
