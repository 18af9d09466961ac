//! Two slots: whatever happens to one, the other stands.

use std::fs;

use super::*;

fn mark(sequence: u64) -> Watermark {
    let ledger = LedgerName { generation: 3, through: 1, entries: 2, bytes: u64::MAX, open: 5 };
    Watermark { identity: 7, sequence, records: sequence * 2, ledger }
}

fn written(dir: &Path, last: u64) -> PathBuf {
    let mut file = WatermarkFile::create(dir, &mark(0)).unwrap();
    (1..=last).for_each(|sequence| file.write(&mark(sequence)).unwrap());
    dir.join(WATERMARK_FILE)
}

#[test]
fn the_newest_mark_is_read_whichever_slot_it_is_in() {
    for last in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), last);
        let (mut file, found) = WatermarkFile::open(dir.path()).unwrap();
        assert_eq!(found, mark(last));
        // And it goes on from there, not over the newest.
        file.write(&mark(last + 1)).unwrap();
        assert_eq!(WatermarkFile::open(dir.path()).unwrap().1, mark(last + 1));
    }
}

#[test]
fn a_torn_slot_leaves_the_mark_before() {
    for last in 1..4_u64 {
        let dir = tempfile::tempdir().unwrap();
        let path = written(dir.path(), last);
        let mut bytes = fs::read(&path).unwrap();
        let begin = usize::try_from((last % 2) * SLOT_STRIDE).unwrap();
        bytes[begin + 40..begin + SLOT_BYTES].fill(0);
        fs::write(&path, bytes).unwrap();
        assert_eq!(WatermarkFile::open(dir.path()).unwrap().1, mark(last - 1));
    }
}

#[test]
fn two_torn_slots_are_damage() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 3);
    for garbage in [Vec::new(), vec![0; 8192], b"not a watermark".repeat(1000)] {
        fs::write(&path, garbage).unwrap();
        assert!(matches!(WatermarkFile::open(dir.path()), Err(JournalError::Damaged { .. })));
    }
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), 0);
    let mut body = slot(9, &mark(1))[..SLOT_BODY_BYTES].to_vec();
    body[0] = 2;
    seal(&mut body);
    let mut bytes = fs::read(&path).unwrap();
    bytes[..SLOT_BYTES].copy_from_slice(&body);
    fs::write(&path, bytes).unwrap();
    match WatermarkFile::open(dir.path()) {
        Err(JournalError::UnknownFormat { what }) => assert_eq!(what, "watermark, format version 2"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_slot_has_room_for_the_largest_numbers() {
    let ledger = LedgerName {
        generation: u64::MAX,
        through: u64::MAX,
        entries: u64::MAX,
        bytes: u64::MAX,
        open: u64::MAX,
    };
    let largest = Watermark { identity: u64::MAX, sequence: u64::MAX, records: u64::MAX, ledger };
    let bytes = slot(u64::MAX, &largest);
    assert_eq!(bytes.len(), SLOT_BYTES);
    assert_eq!(read_slot(&bytes).unwrap(), Some((u64::MAX, largest)));
}
