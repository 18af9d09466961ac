//! Plans: what they show, and saved plans, which are carried out only as long as nothing they rest on has moved.
//!
//! Not here: gates (`gates.rs`), rulings (`rulings.rs`).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use simsync::sandbox::Faults;

use crate::support::{Ran, Workspace, export, last_run};
use crate::witness::{frozen_after, kill_9};

impl Workspace {
    /// `simsync plan --json` for the sandbox; further arguments follow.
    pub(crate) fn plan(&self, args: &[&str]) -> Ran {
        let url = self.sandbox.url();
        let mut all = vec!["plan", "--api-url", &url, "--json"];
        all.extend_from_slice(args);
        self.run(&all)
    }

    fn no_request_came(&self) -> bool {
        self.sandbox.stats().requests == 0
    }
}

/// A workspace with an export and a plan of it in `p.json`.
fn planned() -> Workspace {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(0);
    workspace
}

/// The plan is refused before the first request, and says why.
#[track_caller]
fn refused(workspace: &Workspace, args: &[&str], why: &str) {
    let before = workspace.sandbox.stats().requests;
    let mut all = vec!["--plan", "p.json"];
    all.extend_from_slice(args);
    let ran = workspace.sync(&all).expect(4).expect_books();
    assert!(ran.stderr.contains(why) && ran.stderr.contains("plan again"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("to resume"), "{}", ran.stderr);
    assert_eq!(workspace.sandbox.stats().requests, before, "a refused plan sent something");
}

#[test]
fn a_saved_plan_is_carried_out_once() {
    let workspace = planned();
    let path = workspace.path("p.json");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    for clear in ["C-0000", "+4479", "35686800"] {
        assert!(!text.contains(clear), "{clear} stands in the plan: {text}");
    }
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&plan["version"], &plan["inputs"][0], &plan["rows"]["send"]),
        (&1.into(), &"crm.csv".into(), &20.into())
    );
    let ran = workspace.sync(&["--plan", "p.json"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 20);
    let run = last_run(&workspace);
    refused(&workspace, &[], "carried out already");
    // Nothing was done, and nothing is left to do: no figure says otherwise, and the run that did it is named.
    let again = workspace.sync(&["--plan", "p.json"]).expect(4).expect_books();
    let rows = again.summary()["rows"].clone();
    assert!(rows.as_object().unwrap().values().all(|count| count.as_u64() == Some(0)), "{rows}");
    assert!(again.stderr.contains(&format!("carried out already by run {run}, ")), "{}", again.stderr);
    assert!(again.stderr.contains(&format!("`simsync show {run}`")), "{}", again.stderr);
    let url = workspace.sandbox.url();
    let people = workspace.run(&["sync", "--api-url", &url, "--plan", "p.json"]).expect(4).stderr;
    assert!(people.contains("nothing was done now") && !people.contains("pending"), "{people}");
    // Planned again, there is nothing to do, and that may be done.
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(0);
    let ran = workspace.sync(&["--plan", "p.json"]).expect(0);
    assert_eq!(ran.rows("unchanged"), 20);
}

#[test]
fn a_plan_names_the_command_that_carries_it_out() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(3));
    let url = workspace.sandbox.url();
    let ran = workspace.run(&["plan", "crm.csv", "-o", "my plan.json", "--api-url", &url]).expect(0);
    assert!(ran.stderr.contains("the plan is saved in my plan.json"), "{}", ran.stderr);
    let command = format!("simsync sync --api-url {url} --plan 'my plan.json'");
    assert!(ran.stderr.contains(&command), "{}", ran.stderr);
}

#[test]
fn renamed_inputs_may_be_given() {
    let workspace = planned();
    fs::rename(workspace.path("crm.csv"), workspace.path("tonight.csv")).unwrap();
    workspace.sync(&["--plan", "p.json"]).expect(6);
    let ran = workspace.sync(&["--plan", "p.json", "tonight.csv"]).expect(0).expect_books();
    assert_eq!(ran.rows("synced"), 20);
}

#[test]
fn a_plan_is_refused_where_the_inputs_moved() {
    let workspace = planned();
    workspace.write("crm.csv", export(20).replace("C-000007,+447910000007", "C-000007,+447910009999"));
    refused(&workspace, &[], "the inputs' bytes");
    assert!(workspace.no_request_came());
}

#[test]
fn a_plan_is_refused_where_a_setting_moved() {
    for (args, why) in [
        (&["--duplicates", "last"][..], "plan.duplicates (fold then, last now)"),
        (&["--conflicts", "send"], "plan.conflicts (hold then, send now)"),
        (&["--in-doubt", "hold"], "plan.in_doubt (resend then, hold now)"),
        (&["--send", "changed"], "plan.send (full then, changed now)"),
        (&["--verify", "none"], "api.verify (echo then, none now)"),
        (&["--envelope", "flat"], "api.envelope (data-string then, flat now)"),
        (&["--full"], "--full (false then, true now)"),
        (&["--retry-failed"], "--retry-failed (false then, true now)"),
        (&["--key", "number"], "the key field (user_external_id then, number now)"),
        (&["--envelope", "flat"], "api.envelope (data-string then, flat now)"),
        (&["--severity", "imei.luhn=error"], "the rules ("),
        (&["--map", "generic_id=tier"], "how the inputs are read"),
        (&["--where", "tier=basic"], "--where or --order-by"),
    ] {
        let workspace = planned();
        refused(&workspace, args, why);
        assert!(workspace.no_request_came());
    }
    let workspace = planned();
    workspace.configure("[plan]\nresend_after = \"30d\"\n");
    refused(&workspace, &[], "plan.resend_after (unset then, 30d now)");
    workspace.configure("[api]\ntarget = \"elsewhere\"\n");
    refused(&workspace, &[], "the target (");
    // What shapes neither updates nor rulings may be set as it pleases.
    workspace.configure("[delivery]\nmax_in_flight = 3\n");
    workspace.sync(&["--plan", "p.json", "--max-rows", "5"]).expect(8);
    assert_eq!(workspace.sync(&["--plan", "p.json"]).expect(0).rows("synced"), 15);
}

#[test]
fn a_plan_is_refused_where_the_ledger_moved() {
    let workspace = planned();
    workspace.write("other.csv", "crm id,tier\nC-000003,premium\n");
    workspace.sync(&["other.csv"]).expect(0);
    refused(&workspace, &[], "the ledger (another batch was sent since)");
    // A batch that had nothing to send moves nothing.
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(0);
    workspace.sync(&["other.csv"]).expect(0);
    workspace.sync(&["--plan", "p.json"]).expect(0);
}

/// Acknowledgements grow old without anybody moving anything; then another plan would be made.
#[test]
fn a_plan_is_refused_where_rows_would_be_ruled_otherwise() {
    let workspace = planned();
    let text = fs::read_to_string(workspace.path("p.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&text).unwrap();
    plan["rulings"] = "00000000000000000000000000000000".into();
    plan["rows"]["send"] = 19.into();
    workspace.write("p.json", plan.to_string());
    refused(&workspace, &[], "what would be sent (19 updates then, 20 now");
    assert!(workspace.no_request_came());
    // Once its own batch has begun, what is left cannot be what it was.
    workspace.write("p.json", text);
    workspace.sync(&["--plan", "p.json", "--max-rows", "5"]).expect(8);
    workspace.sync(&["--plan", "p.json", "--max-rows", "5"]).expect(8);
}

#[test]
fn a_plan_that_goes_on_with_a_batch_begins_no_new_one() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    workspace.sync(&["--full", "--max-rows", "15", "crm.csv"]).expect(8);
    let args = ["-o", "p.json", "--new-batch", "--full", "crm.csv"];
    assert_eq!(workspace.plan(&args).expect(0).summary()["plan"]["rows"]["send"], 5);
    // Nothing of it can be sent: the ledger is where it was, but the planned batch is the newest no more.
    workspace.write("other.csv", "crm id,mobile\nX-1,+447910007777\nX-2,+447910007777\n");
    workspace.sync(&["other.csv"]).expect(3);
    let why = "the batch (1 then, a new one by --new-batch now: another was begun since)";
    refused(&workspace, &["--new-batch", "--full"], why);
    // Refused, it has not begun anew: what was left is gone on with.
    let ran = workspace.sync(&["--full", "crm.csv"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.rows("unchanged")), (5, 15));
}

#[test]
fn a_plan_of_another_journal_is_refused() {
    let workspace = planned();
    workspace.sync(&["crm.csv"]).expect(0);
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(0);
    fs::rename(workspace.path("simsync-state"), workspace.path("old-state")).unwrap();
    refused(&workspace, &[], "the journal (it is another one)");
}

#[test]
fn an_interrupted_plan_goes_on_and_overtaken_it_does_not() {
    let workspace = Workspace::with(frozen_after(400));
    workspace.write("crm.csv", export(1_000));
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(0);
    let mut run = workspace.sync_in_background(&["--plan", "p.json"]);
    workspace.wait_for_requests(300);
    kill_9(&mut run);
    workspace.fault(Faults::default());
    workspace.sync(&["--plan", "p.json", "--max-rows", "10"]).expect(8).expect_books();
    fs::copy(workspace.path("p.json"), workspace.path("copy.json")).unwrap();
    let ran = workspace.sync(&["--plan", "p.json"]).expect(0).expect_books();
    assert_eq!(ran.summary()["resumed"], true);
    assert_eq!(ran.rows("synced") + ran.rows("unchanged"), 1_000);
    refused(&workspace, &[], "carried out already");
}

#[test]
fn an_interrupted_plan_of_a_new_batch_goes_on_with_it_though_another_was_begun() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    workspace.plan(&["-o", "p.json", "--new-batch", "crm.csv"]).expect(0);
    workspace.sync(&["--plan", "p.json", "--new-batch", "--max-rows", "5"]).expect(8);
    // Nothing of it can be sent.
    workspace.write("other.csv", "crm id,mobile\nX-1,+447910007777\nX-2,+447910007777\n");
    workspace.sync(&["other.csv"]).expect(3);
    let ran = workspace.sync(&["--plan", "p.json", "--new-batch"]).expect(0).expect_books();
    assert_eq!((ran.rows("synced"), ran.summary()["resumed"].clone()), (15, true.into()));
    refused(&workspace, &["--new-batch"], "carried out already");
}

#[test]
fn an_interrupted_plan_does_not_go_on_over_another_batch() {
    let workspace = planned();
    workspace.sync(&["--plan", "p.json", "--max-rows", "5"]).expect(8);
    workspace.write("other.csv", "crm id,tier\nC-000003,premium\n");
    workspace.sync(&["other.csv"]).expect(0);
    refused(&workspace, &[], "another batch was sent since");
}

#[test]
fn a_gate_that_tripped_in_the_plan_trips_again() {
    let workspace = Workspace::new();
    workspace.configure("[plan]\nrejected_rows_min = 1\n");
    workspace.write("crm.csv", "crm id,imei\nC-1,nonsense\nC-2,356868000000017\n");
    workspace.plan(&["-o", "p.json", "crm.csv"]).expect(4);
    let stopped = workspace.sync(&["--plan", "p.json"]).expect(4);
    assert!(stopped.stderr.contains("rejected_max"), "{}", stopped.stderr);
    assert!(workspace.no_request_came());
    let ran = workspace.sync(&["--plan", "p.json", "--yes"]).expect(3).expect_books();
    assert_eq!(ran.rows("rejected"), 1);
}

#[test]
fn nothing_but_a_plan_is_replaced_or_carried_out() {
    let workspace = planned();
    let text = fs::read_to_string(workspace.path("crm.csv")).unwrap();
    workspace.plan(&["-o", "crm.csv", "crm.csv"]).expect(2);
    assert_eq!(fs::read_to_string(workspace.path("crm.csv")).unwrap(), text);
    workspace.sync(&["--plan", "crm.csv"]).expect(6);
    workspace.sync(&["--plan", "missing.json"]).expect(6);
    workspace.sync(&[]).expect(2);
}

#[test]
fn a_plan_shows_what_changes_masked() {
    let workspace = Workspace::new();
    workspace.write("crm.csv", export(20));
    workspace.sync(&["crm.csv"]).expect(0);
    let changed = export(20)
        .replace("C-000007,+447910000007", "C-000007,+447910009942")
        .replace("C-000019,", "C-000099,");
    // Folded: the number stands in an earlier row than the one that carries the update.
    workspace.write("crm.csv", format!("{changed}C-000003,+447910008871,,\nC-000003,,,premium\n"));
    let ran = workspace.plan(&["crm.csv"]).expect(0);
    let plan = ran.summary()["plan"].clone();
    let numbers =
        ["subjects_new", "subjects_changed", "subjects_unchanged", "subjects_known", "subjects_missing"];
    assert_eq!(numbers.map(|name| plan[name].as_u64().unwrap()), [1, 2, 17, 20, 1]);
    assert_eq!(plan["subjects_missing_before"], 0);
    let told: Vec<String> = plan["samples"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sample| {
            let changes = sample["changes"].as_array().unwrap().iter();
            let changes: Vec<String> = changes
                .map(|change| {
                    ["field", "before", "value"].map(|name| change[name].as_str().unwrap()).join(" ")
                })
                .collect();
            format!("{}: {}", sample["place"]["line"], changes.join(", "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "9: number was known …42",
            "21: number new …19, imei new …90, user_external_id new …99, user_class new …",
            "23: number was known …71, user_class was known …um",
        ]
    );
    for clear in ["+4479", "35686800", "C-0000"] {
        assert!(!ran.stdout.contains(clear), "{clear} stands in {}", ran.stdout);
    }
    let url = workspace.sandbox.url();
    let text = workspace.run(&["plan", "--api-url", &url, "crm.csv"]).expect(0).stderr;
    for line in [
        "subjects: 1 new, 2 changed, 17 unchanged\n",
        "1 known subject is not in this input (0 at the last run)\n",
        "changes by field: imei 1 · number 3 · user_class 2 · user_external_id 1\n",
        "changes, 3 of 3, values masked:\n",
        "  line 9        number …42 (was known)\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    // As many as are asked for, and none in a run.
    workspace.configure("[plan]\nsamples = 1\n");
    assert_eq!(
        workspace.plan(&["crm.csv"]).expect(0).summary()["plan"]["samples"].as_array().unwrap().len(),
        1
    );
    assert_eq!(workspace.sync(&["crm.csv"]).expect(0).summary()["plan"]["samples"], Value::Null);
}

#[test]
fn a_plan_beside_a_run_says_what_to_wait_for() {
    let workspace = Workspace::with(frozen_after(2));
    workspace.write("crm.csv", export(20));
    let mut child = workspace.sync_in_background(&["crm.csv"]);
    workspace.wait_for_requests(3);
    let ran = workspace.plan(&["crm.csv"]).expect(11);
    for said in ["wait for the run to end", "simsync lookup", "simsync show latest"] {
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    }
    // Both of them do.
    workspace.run(&["show", "latest"]).expect(0);
    let url = workspace.sandbox.url();
    workspace.run(&["lookup", "--user-external-id", "C-000001", "--api-url", &url]).expect(0);
    kill_9(&mut child);
}
