//! Kills inside the journal's tools, between the runs of an export: `compact` and `forget` leave what they found, or
//! have done what they were to do; and the journal is sound after every kill.
//!
//! Not here: `adopt`, which is a run of an export (`plan.rs`).

use std::process::Stdio;
use std::time::Duration;

use crate::Chance;
use crate::aftermath::Aftermath;
use crate::figures::Figures;
use crate::plan::{Plan, Policy};
use crate::support::{Workspace, finish};
use crate::witness::entries;

/// Of so many kills one is followed by a tool that is killed, too.
const TOOL_EVERY: u64 = 3;

/// Longest wait before a tool is killed, in microseconds.
const WAIT_US_MAX: u64 = 60_000;

/// `journal verify` finds nothing wrong; before anything is recorded there is no journal.
#[track_caller]
pub(crate) fn check_sound(ws: &Workspace) {
    let ran = ws.run(&["journal", "verify"]);
    let is_sound = ran.code == 0 || ran.code == 2 && ran.stderr.contains("no journal");
    assert!(is_sound, "verify ends with {}: {}{}", ran.code, ran.stdout, ran.stderr);
}

/// Kills a tool now and then. What the journal knows afterwards is what it knew before, without whom it was to forget.
pub(crate) fn perhaps(
    ws: &Workspace,
    plan: &Plan,
    before: Aftermath,
    chance: &mut Chance,
    figures: &mut Figures,
) -> Aftermath {
    if chance.below(TOOL_EVERY) > 0 {
        return before;
    }
    let forgotten = whom(plan, &before, chance);
    let mut words = vec!["journal", if forgotten.is_some() { "forget" } else { "compact" }];
    words.extend(forgotten.iter().flat_map(|key| ["--user-external-id", key]));
    let mut run = ws.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_micros(chance.below(WAIT_US_MAX)));
    run.kill().unwrap();
    let was_killed = run.wait().unwrap().code().is_none();
    check_sound(ws);
    let mut before = before;
    if let Some(key) = &forgotten {
        if chance.below(2) == 0 {
            finish(ws.command(&words)).expect(0);
        }
        if entries(ws, plan.subjects.iter().cloned()).iter().all(|(known, _)| known != key) {
            before.forget(key);
        }
    }
    figures.tool(words[1], was_killed);
    let (after, _) = before.after(ws, plan);
    assert!(after.committed == before.committed, "{words:?} changed what is committed");
    assert!(after.in_doubt == before.in_doubt, "{words:?} changed what is in doubt");
    after
}

/// Somebody to be forgotten, who is not in doubt and whose rows alone say what is to be sent again.
fn whom(plan: &Plan, before: &Aftermath, chance: &mut Chance) -> Option<String> {
    if !matches!(plan.policy, Policy::Fold | Policy::Each | Policy::Full) || chance.below(2) == 0 {
        return None;
    }
    let at = usize::try_from(chance.below(u64::try_from(before.committed.len()).unwrap())).unwrap();
    let (key, _) = before.committed.iter().nth(at)?;
    before.in_doubt.iter().all(|(of, _)| of != key).then(|| key.clone())
}
