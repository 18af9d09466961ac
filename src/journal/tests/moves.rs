//! What a saved plan and the gates ask of the journal: how far a ledger has moved, and figures of the latest exports.

use crate::digest::BatchId;
use crate::event::BatchFigures;
use crate::update::FieldKind;

use super::super::batches::FIGURES_MAX;
use super::super::named::LedgerMoves;
use super::open;

const ONE: BatchId = BatchId([1; 16]);
const OTHER: BatchId = BatchId([2; 16]);

#[test]
fn a_ledger_moves_with_every_batch_that_was_not_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    assert_eq!(journal.ledger_moves("a").unwrap(), LedgerMoves::default());
    let deliver = |id, seq| journal.note_delivery("a", id, seq).unwrap();
    for (id, seq, batches) in [(ONE, 1, 1), (ONE, 1, 1), (OTHER, 2, 2), (ONE, 1, 3), (ONE, 3, 4)] {
        deliver(id, seq);
        let moves = journal.ledger_moves("a").unwrap();
        assert_eq!((moves.batches, moves.last), (batches, Some((id, seq))));
    }
    journal.note_moved_aside().unwrap();
    journal.finish().unwrap();
    let journal = open(dir.path()).unwrap();
    let moves = LedgerMoves { aside: 1, batches: 4, deliveries: 5, last: Some((ONE, 3)) };
    assert_eq!(journal.ledger_moves("a").unwrap(), moves);
    // Other targets know of what concerns all of them, and of nothing else.
    assert_eq!(journal.ledger_moves("a/b").unwrap(), LedgerMoves { aside: 1, ..LedgerMoves::default() });
}

#[test]
fn figures_are_kept_of_the_latest_batches_of_a_key_field() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path()).unwrap();
    let figures = |batch_seq, rows| BatchFigures { batch_seq, rows, missing: rows / 2, filled: [rows; 9] };
    let keep = |figures| journal.keep_figures("a", FieldKind::Number, figures).unwrap();
    for seq in 1..=10 {
        keep(figures(seq, u64::MAX - seq));
    }
    // A run that was killed before its batch was closed keeps them again.
    keep(figures(10, 5));
    journal.finish().unwrap();
    let journal = open(dir.path()).unwrap();
    let kept = journal.figures("a", FieldKind::Number).unwrap();
    assert_eq!(kept.len(), FIGURES_MAX);
    assert_eq!((kept[0], kept[FIGURES_MAX - 1]), (figures(3, u64::MAX - 3), figures(10, 5)));
    assert_eq!(journal.figures("a", FieldKind::Imei).unwrap(), []);
    assert_eq!(journal.figures("b", FieldKind::Number).unwrap(), []);
}
