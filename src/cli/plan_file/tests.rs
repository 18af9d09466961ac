//! Saved plans against everything that may move.

use super::*;

const OWN: BatchId = BatchId([7; 16]);
const OTHER: BatchId = BatchId([8; 16]);

fn moves(aside: u64, batches: u64, deliveries: u64) -> Moves {
    Moves { aside, batches, deliveries }
}

fn basis() -> Basis {
    let table = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
    Basis {
        target: "prod".into(),
        key: "number".into(),
        batch: OWN.to_string(),
        content: "c0".into(),
        settings: table("plan.duplicates", "fold"),
        hashed: table("the rules", "r0"),
        journal: Some("j0".into()),
        moves: moves(0, 3, 9),
        goes_on_with: None,
        begins: None,
    }
}

fn now(change: impl FnOnce(&mut Now)) -> Now {
    let mut now = Now { basis: basis(), last: Some((OTHER, 3)), open: None };
    change(&mut now);
    now
}

#[track_caller]
fn moved(change: impl FnOnce(&mut Now), expected: &str) {
    let standing = basis().standing(&now(change));
    let Standing::Moved(what) = standing else { panic!("{standing:?} instead of {expected}") };
    assert_eq!(what.join("; "), expected);
}

#[test]
fn what_moved_is_named() {
    assert_eq!(basis().standing(&now(|_| ())), Standing::Untouched);
    moved(|now| now.basis.content = "c1".into(), "the inputs' bytes");
    moved(|now| now.basis.target = "stage".into(), "the target (prod then, stage now)");
    moved(|now| now.basis.key = "imei".into(), "the key field (number then, imei now)");
    moved(|now| now.basis.journal = Some("j1".into()), "the journal (it is another one)");
    moved(|now| now.basis.journal = None, "the journal (it is another one)");
    moved(|now| now.basis.moves.aside = 1, "the ledger (changed by adopt or forget)");
    moved(|now| now.basis.moves = moves(0, 4, 10), "the ledger (another batch was sent since)");
    moved(|now| now.basis.batch = OTHER.to_string(), "a setting that shapes updates");
    let last = |now: &mut Now| {
        now.basis.settings.insert("plan.duplicates".into(), "last".into());
        now.basis.hashed.insert("the rules".into(), "r1".into());
        now.basis.batch = OTHER.to_string();
    };
    moved(last, "plan.duplicates (fold then, last now); the rules");
    // A setting that an older program did not know.
    moved(
        |now| {
            now.basis.settings.insert("plan.new".into(), "x".into());
        },
        "plan.new (unset then, x now)",
    );
}

#[test]
fn hashes_made_with_other_bytes_say_nothing() {
    let both = |now: &mut Now| {
        now.basis.content = "c1".into();
        now.basis.hashed.insert("the rules".into(), "r1".into());
    };
    moved(both, "the inputs' bytes");
}

#[test]
fn its_own_batch_may_move_the_ledger_until_it_is_closed() {
    let begun = |batches, open| {
        now(move |now| {
            now.basis.moves = moves(0, batches, 10);
            now.last = Some((OWN, 4));
            now.open = open;
        })
    };
    // It was the last to deliver already when the plan was made, or is it now.
    for batches in [3, 4] {
        assert_eq!(basis().standing(&begun(batches, Some(4))), Standing::Begun);
        assert_eq!(basis().standing(&begun(batches, None)), Standing::Done(4));
        // Closed, and begun anew by somebody: not the batch that was planned.
        assert_eq!(basis().standing(&begun(batches, Some(5))), Standing::Done(4));
    }
    // With --new-batch its own is the one that it has begun, not one of before.
    let anew = Basis { begins: Some(4), ..basis() };
    assert_eq!(anew.standing(&begun(4, Some(4))), Standing::Begun);
    assert_eq!(Basis { begins: Some(3), ..basis() }.standing(&begun(4, Some(4))), Standing::Begun);
    let Standing::Moved(what) = (Basis { begins: Some(5), ..basis() }).standing(&begun(4, Some(4))) else {
        panic!("it is not what was planned");
    };
    assert_eq!(what, ["the ledger (the batch was gone on with, and a new one was planned)"]);
    // Another one came between.
    assert!(matches!(basis().standing(&begun(5, Some(4))), Standing::Moved(_)));
}

#[test]
fn what_goes_on_does_not_begin_anew() {
    let going_on = Basis { goes_on_with: Some(4), ..basis() };
    let standing = |open| going_on.standing(&now(|now| now.basis.goes_on_with = open));
    assert_eq!(standing(Some(4)), Standing::Untouched);
    for open in [None, Some(5)] {
        let Standing::Moved(what) = standing(open) else { panic!("{open:?}") };
        assert_eq!(what, ["the batch (4 then, a new one by --new-batch now: another was begun since)"]);
    }
}

#[test]
fn a_plan_may_be_older_than_the_journal() {
    let first = Basis { journal: None, moves: Moves::default(), ..basis() };
    let now = |journal: &str, deliveries| {
        let basis =
            Basis { journal: Some(journal.into()), moves: moves(0, deliveries, deliveries), ..basis() };
        Now { basis, last: (deliveries > 0).then_some((OTHER, 1)), open: None }
    };
    assert_eq!(first.standing(&now("j7", 0)), Standing::Untouched);
    assert!(matches!(first.standing(&now("j7", 1)), Standing::Moved(_)));
}

#[test]
fn a_file_that_is_no_plan_is_neither_read_nor_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.json");
    check_place(&path).unwrap();
    let plan = SavedPlan { basis: basis(), inputs: vec!["crm.csv".into()], ..SavedPlan::new("now".into()) };
    plan.write(&path).unwrap();
    assert_eq!(SavedPlan::read(&path).unwrap(), plan);
    check_place(&path).unwrap();
    let newer = SavedPlan { version: 2, ..plan };
    newer.write(&path).unwrap();
    let refused = SavedPlan::read(&path).unwrap_err();
    assert!(refused.explanation.message.contains("version 2"), "{}", refused.explanation.message);
    std::fs::write(&path, "crm id,imei\nC-1,356868000000000\n").unwrap();
    let refused = SavedPlan::read(&path).unwrap_err();
    assert_eq!(refused.exit, Exit::Input);
    assert!(!refused.explanation.message.contains("3568"), "{}", refused.explanation.message);
    for place in [path.as_path(), Path::new("-"), dir.path()] {
        assert_eq!(check_place(place).unwrap_err().exit, Exit::Usage);
    }
}
