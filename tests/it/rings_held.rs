//! Swaps and chains in which one update is in doubt and held: whoever takes what it gives up waits with it, and is
//! refused for nobody's sake; and the step that is told first is the one that helps.
//!
//! Not here: rings that are begun and not finished otherwise (`rings_open.rs`), what is held alone (`replay.rs`).

use simsync::sandbox::{Faults, Uniqueness};

use crate::rings::{BREAK, assert_holds, sync, takes, with_subjects};
use crate::support::{Ran, Workspace, finish};
use crate::witness::{frozen_after, kill_9};

/// Sends these rows and kills the run when so many were answered and the next one is on the wire.
fn killed_behind(subjects: u64, rows: &[(u64, u64)], answered: u64) -> Workspace {
    let workspace = with_subjects(subjects);
    workspace.write("rows.csv", takes(rows));
    let before = workspace.sandbox.stats().requests;
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..frozen_after(answered) });
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["rows.csv"]].concat());
    workspace.wait_for_requests(before + answered + 1);
    kill_9(&mut child);
    workspace.fault(Faults { uniqueness: Uniqueness::Refuse409, ..Faults::default() });
    workspace
}

fn held(workspace: &Workspace) -> Ran {
    sync(workspace, &["rows.csv", "--in-doubt", "hold"]).expect(3).expect_books()
}

/// Does what the summary names first, as it stands there.
fn first_step(workspace: &Workspace, ran: &Ran) -> Ran {
    let step = ran.summary()["next"][0].as_str().unwrap().to_owned();
    let command = step.split('`').nth(1).unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    finish(workspace.command(&words))
}

#[test]
fn a_ring_of_which_one_is_held_waits_as_a_whole() {
    for rows in [&[(0, 1), (1, 0)][..], &[(0, 1), (1, 2), (2, 0)][..], &[(0, 1), (1, 0), (2, 9)][..]] {
        let subjects = rows.len() as u64;
        // Behind the clear, and whoever is sent beside it.
        let others = rows.iter().filter(|(_, imsi)| *imsi >= subjects).count() as u64;
        let workspace = killed_behind(subjects, rows, 1 + others);
        assert_eq!(workspace.at_server("C-000000", "imsi"), None, "cleared");
        for _ in 0..2 {
            let ran = held(&workspace);
            let summary = ran.summary();
            assert_eq!(
                (ran.rows("held"), summary["attempts"].as_u64()),
                (subjects - others, Some(0)),
                "{summary}"
            );
            let told = summary["notices"].to_string();
            assert!(told.contains("line 2 (imsi)") && told.contains("--in-doubt resend"), "{told}");
            let listed = workspace.last_rows("in_doubt.csv");
            assert!(listed.iter().all(|row| row["_reason"] == "held"), "{listed:?}");
            let cleared = &listed.iter().find(|row| row["crm id"] == "C-000000").unwrap()["_detail"];
            assert!(
                cleared.contains("gives up, which is held; its subject was cleared of imsi"),
                "{cleared}"
            );
        }
        let ran = first_step(&workspace, &held(&workspace)).expect(0);
        assert!(!ran.stderr.contains("409"), "{}", ran.stderr);
        assert_holds(&workspace, rows);
    }
}

#[test]
fn who_takes_what_a_held_one_gives_up_waits_with_it_and_nobody_else_does() {
    // 0 takes what 1 gives up, 1 what 2 does; 2 is on the wire. 3 has nothing to do with them.
    let workspace = killed_behind(4, &[(0, 1), (1, 2), (2, 7)], 0);
    workspace.write("rows.csv", takes(&[(0, 1), (1, 2), (2, 7)]));
    let ran = held(&workspace);
    assert_eq!((ran.rows("held"), ran.summary()["attempts"].as_u64()), (3, Some(0)), "{}", ran.stdout);
    let listed = workspace.last_rows("in_doubt.csv");
    let details: Vec<&str> = listed.iter().map(|row| row["_detail"].as_str()).collect();
    assert_eq!(details[0], "in_doubt = \"hold\": it takes what row 2 of this input gives up, which is held");
    assert_eq!(details[1], "in_doubt = \"hold\": it takes what row 3 of this input gives up, which is held");
    assert!(details[2].contains("imsi, user_class may have been set by it"), "{details:?}");
    // Another export that says the same of others is sent.
    workspace.write("more.csv", takes(&[(0, 1), (1, 2), (2, 7), (3, 8)]));
    let more = sync(&workspace, &["more.csv", "--in-doubt", "hold"]).expect_books();
    assert_eq!(more.rows("failed"), 0, "{}", more.stdout);
    assert_holds(&workspace, &[(3, 8)]);
}

#[test]
fn the_step_that_lets_held_rows_go_is_told_before_the_one_for_what_failed() {
    let workspace = with_subjects(3);
    let rows = takes(&[(0, 1), (1, 0), (2, 12)]).replace("12,basic", "12,gold");
    workspace.write("rows.csv", rows);
    let before = workspace.sandbox.stats().requests;
    let refusing = |faults: Faults| {
        let refused_values = ["gold".to_owned()].into();
        Faults { refused_values, uniqueness: Uniqueness::Refuse409, ..faults }
    };
    // Behind the one that is refused, and the clear.
    workspace.fault(refusing(frozen_after(2)));
    let mut child = workspace.sync_in_background(&[&BREAK[..], &["rows.csv"]].concat());
    workspace.wait_for_requests(before + 3);
    kill_9(&mut child);
    workspace.fault(refusing(Faults::default()));
    let ran = held(&workspace);
    assert_eq!((ran.rows("held"), ran.rows("failed")), (2, 1), "{}", ran.stdout);
    let summary = ran.summary();
    let steps: Vec<&str> =
        summary["next"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
    assert!(steps.len() == 2 && steps[0].contains("--in-doubt resend"), "{steps:?}");
    assert!(steps[1].contains("failed.csv"), "{steps:?}");
}
