//! `journal adopt`: an export recorded as applied, and nothing sent.

use crate::support::{Ran, Workspace, export, kill_after};
use crate::witness::kill_9;

fn adopt(ws: &Workspace, args: &[&str]) -> Ran {
    let url = ws.sandbox.url();
    let mut all = vec!["journal", "adopt", "--json", "--api-url", &url];
    all.extend_from_slice(args);
    let mut command = ws.command(&all);
    // No token is needed.
    command.env_remove("SIMSYNC_TOKEN");
    crate::support::ran(command.output().unwrap())
}

#[test]
fn a_sync_of_the_same_file_sends_nothing_then() {
    let ws = Workspace::new();
    ws.write("export.csv", export(200));
    let adopted = adopt(&ws, &["export.csv"]).expect(0).expect_books();
    assert_eq!((adopted.rows("synced"), adopted.summary()["command"].as_str().unwrap()), (200, "adopt"));
    assert_eq!(ws.sandbox.stats().requests, 0);
    let run = adopted.summary()["run_id"].as_str().unwrap().to_owned();
    assert!(ws.path("simsync-state/runs").join(run).join("summary.json").exists());
    let synced = ws.sync(&["export.csv"]).expect(0).expect_books();
    assert_eq!((synced.rows("unchanged"), ws.sandbox.stats().requests), (200, 0));
    // What differs from it is a change as any other.
    let edited = export(200).replace("+447910000007,", "+447910000777,");
    ws.write("edited.csv", edited);
    assert_eq!(ws.sync(&["edited.csv"]).expect(0).rows("synced"), 1);
}

#[test]
fn it_folds_the_rows_of_a_subject_and_keeps_rejected_rows_back() {
    let ws = Workspace::new();
    let text = "crm id,mobile,tier\nA,+447911000001,basic\nB,12,basic\nA,+447911000002,gold\n";
    ws.write("export.csv", text);
    let adopted = adopt(&ws, &["export.csv", "--yes"]).expect(3).expect_books();
    assert_eq!((adopted.rows("synced"), adopted.rows("folded"), adopted.rows("rejected")), (1, 1, 1));
    ws.write("last.csv", "crm id,mobile,tier\nA,+447911000002,gold\n");
    assert_eq!(ws.sync(&["last.csv"]).expect(0).rows("unchanged"), 1);
    assert_eq!(ws.sandbox.stats().requests, 0);
}

#[test]
fn each_row_is_adopted_in_order() {
    let ws = Workspace::new();
    ws.write("export.csv", "crm id,tier\nA,basic\nA,gold\nA,silver\n");
    let adopted = adopt(&ws, &["export.csv", "--duplicates", "each"]).expect(0).expect_books();
    assert_eq!(adopted.rows("synced"), 3);
    ws.write("end.csv", "crm id,tier\nA,silver\n");
    assert_eq!(ws.sync(&["end.csv"]).expect(0).rows("unchanged"), 1);
}

#[test]
fn gates_stop_it_as_they_stop_a_sync() {
    let ws = Workspace::new();
    let mut text = export(10);
    (0..40).for_each(|row| text.push_str(&format!("X-{row},12,,basic\n")));
    ws.write("export.csv", text);
    adopt(&ws, &["export.csv"]).expect(4);
    let synced = ws.sync(&["export.csv", "--yes"]).expect(3);
    assert_eq!(synced.rows("synced"), 10, "nothing was adopted");
}

#[test]
fn what_an_older_run_left_unknown_is_settled_by_it() {
    let ws = Workspace::with(crate::witness::frozen_after(1));
    ws.write("export.csv", export(5));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(2);
    kill_9(&mut run);
    adopt(&ws, &["export.csv"]).expect(0);
    let requests = ws.sandbox.stats().requests;
    ws.sandbox.set_faults(simsync::sandbox::Faults::default()).unwrap();
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 5);
    assert_eq!(ws.sandbox.stats().requests, requests);
}

/// The export is said to be applied, all of it: what of it was refused or is in doubt, and whatever is newer.
#[test]
fn what_was_refused_held_or_overtaken_is_recorded_too() {
    use simsync::sandbox::Faults;
    // Refused in a batch that is still open.
    let ws = Workspace::with(Faults {
        subject_statuses: [("C-000002".to_owned(), 422)].into(),
        ..Faults::default()
    });
    ws.write("export.csv", export(20));
    let stopped = ws.sync(&["export.csv", "--max-in-flight", "1", "--max-rows", "6"]).expect(8);
    assert_eq!(stopped.rows("failed"), 1);
    let adopted = adopt(&ws, &["export.csv"]).expect(0).expect_books();
    assert_eq!((adopted.rows("failed"), adopted.rows("unchanged")), (0, stopped.rows("synced")));
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 20);
    // In doubt, where that is held.
    let ws = Workspace::with(crate::witness::frozen_after(1));
    ws.configure("[plan]\nin_doubt = \"hold\"\n");
    ws.write("export.csv", export(5));
    let mut run = ws.sync_in_background(&["export.csv", "--concurrency", "1"]);
    ws.wait_for_requests(2);
    kill_9(&mut run);
    ws.sandbox.set_faults(Faults::default()).unwrap();
    assert_eq!(adopt(&ws, &["export.csv"]).expect(0).expect_books().rows("held"), 0);
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 5);
    // Of an open batch that a newer one has overtaken.
    let ws = Workspace::new();
    ws.write("monday.csv", export(20));
    ws.sync(&["monday.csv", "--max-rows", "5"]).expect(8);
    ws.write("tuesday.csv", export(20).replace(",basic", ",gold"));
    ws.sync(&["tuesday.csv"]).expect(0);
    let adopted = adopt(&ws, &["monday.csv"]).expect(0).expect_books();
    assert_eq!((adopted.rows("synced"), adopted.rows("superseded")), (20, 0));
    assert_eq!(ws.sync(&["monday.csv"]).expect(0).rows("unchanged"), 20);
}

#[test]
fn killed_at_any_moment_it_is_completed_by_the_same_command() {
    let ws = Workspace::new();
    ws.write("export.csv", export(3_000));
    for delay_ms in [20, 60, 120, 200] {
        let url = ws.sandbox.url();
        kill_after(&mut ws.command(&["journal", "adopt", "--api-url", &url, "export.csv"]), delay_ms);
    }
    adopt(&ws, &["export.csv"]).expect(0).expect_books();
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 3_000);
    assert_eq!(ws.sandbox.stats().requests, 0);
}

#[test]
fn a_lost_journal_is_begun_anew_with_it() {
    let ws = Workspace::new();
    ws.write("export.csv", export(30));
    ws.sync(&["export.csv"]).expect(0);
    std::fs::remove_dir_all(ws.path("simsync-state/journal")).unwrap();
    let refused = ws.sync(&["export.csv"]).expect(13);
    assert!(refused.stderr.contains("journal adopt"), "{}", refused.stderr);
    std::fs::rename(ws.path("simsync-state"), ws.path("lost")).unwrap();
    adopt(&ws, &["export.csv"]).expect(0);
    assert_eq!(ws.sync(&["export.csv"]).expect(0).rows("unchanged"), 30);
}

/// Bytes that a command of the workspace reads, its own and its libraries' files among them; `None` where the system
/// does not tell.
fn bytes_read(ws: &Workspace, args: &[&str]) -> Option<u64> {
    let plain = ws.command(args);
    let mut shell = std::process::Command::new("sh");
    // What a child has read is added to its parent's figures when it has been waited for.
    shell.args(["-c", "\"$0\" \"$@\" >told 2>&1; echo $? >code; cat /proc/$$/io"]);
    shell.arg(plain.get_program()).args(plain.get_args()).current_dir(ws.dir.path()).env_clear();
    shell.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let told = String::from_utf8(shell.output().unwrap().stdout).unwrap();
    let code = std::fs::read_to_string(ws.path("code")).unwrap();
    assert_eq!(code, "0\n", "{}", std::fs::read_to_string(ws.path("told")).unwrap());
    told.lines().find_map(|line| line.strip_prefix("rchar: "))?.parse().ok()
}

#[test]
fn where_no_row_is_to_be_listed_the_inputs_are_read_twice_and_no_more() {
    let ws = Workspace::new();
    let size = ws.write("export.csv", export(60_000)).metadata().unwrap().len();
    let url = ws.sandbox.url();
    let args = ["journal", "adopt", "--api-url", &url, "--yes", "export.csv"];
    let Some(read) = bytes_read(&ws, &args) else {
        return crate::support::skipped("nobody counts what is read");
    };
    assert!(2 * size <= read && read < 3 * size, "{read} bytes read of {size}");
    // A row that is to be listed is looked for.
    let more = export(60_001) + "C-none,12,,\n";
    let size = ws.write("more.csv", more).metadata().unwrap().len();
    let url = ws.sandbox.url();
    let adopted = ws.run(&["journal", "adopt", "--api-url", &url, "--yes", "more.csv"]).expect(3);
    assert!(adopted.stderr.contains("rejected.csv"), "{size}: {}", adopted.stderr);
}
