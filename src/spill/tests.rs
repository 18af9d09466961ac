//! Partitions hold what they were given, in memory and beyond; what does not fit is told before it is tried.

use std::os::unix::fs::MetadataExt as _;

use super::*;

/// Fills partitions with records of every length and compares what comes back.
fn fill(space: &Space, records: u32) -> Spill {
    let spill = space.partitions(7, BLOCK_BYTES_MIN);
    for number in 0..records {
        spill.append(number as usize % 7, &record(number)).unwrap();
    }
    for partition in 0..7 {
        let (mut read, mut pieces) = (Vec::new(), 0);
        spill
            .read(partition, &mut |piece| {
                read.extend_from_slice(piece);
                pieces += 1;
            })
            .unwrap();
        let expected: Vec<u8> =
            (0..records).filter(|number| *number as usize % 7 == partition).flat_map(record).collect();
        assert_eq!(read, expected);
        assert_eq!(spill.bytes(partition), expected.len() as u64);
        assert!(pieces > 1 || expected.len() < 2 * BLOCK_BYTES_MIN);
    }
    spill
}

fn record(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(number as usize % 40 + 1)
}

#[test]
fn what_fits_never_touches_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 1 << 20);
    let spill = fill(&space, 5_000);
    assert_eq!(space.spilled_bytes(), 0);
    assert!(space.shared.file.get().is_none());
    assert!(space.kept_bytes() > 0);
    drop(spill);
    assert_eq!(space.kept_bytes(), 0);
}

#[test]
fn beyond_memory_it_lies_in_a_private_file_without_a_name() {
    let dir = tempfile::tempdir().unwrap();
    for kept in [0, 10_000] {
        let space = Space::new(dir.path(), kept);
        // A partition has more blocks than a reader takes down at once.
        let spill = fill(&space, 20_000);
        let of_first = spill.lock()[0].spilled.len();
        assert!(of_first > PLACES_AT_ONCE, "{of_first}");
        // What was kept as long as there was room has gone before what followed.
        assert!(space.spilled_bytes() > 100_000);
        assert_eq!(space.kept_bytes(), 0);
        let file = space.shared.file.get().unwrap().metadata().unwrap();
        assert_eq!((file.mode() & 0o777, file.nlink()), (0o600, 0));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        drop(spill);
    }
}

#[test]
fn partitions_of_two_kinds_share_the_memory_and_each_lets_go_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 200_000);
    let first = fill(&space, 1_000);
    let kept = space.kept_bytes();
    assert!(kept > 0 && space.spilled_bytes() == 0);
    let second = fill(&space, 5_000);
    assert_eq!(space.kept_bytes(), kept, "only those that did not fit have gone");
    drop(second);
    drop(first);
    assert_eq!(space.kept_bytes(), 0);
}

#[test]
fn places_of_partitions_that_are_gone_are_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 0);
    drop(fill(&space, 5_000));
    let spilled = space.spilled_bytes();
    let kept = fill(&space, 3_000);
    (0..3).for_each(|_| drop(fill(&space, 1_000)));
    assert_eq!(space.spilled_bytes(), spilled);
    // Nothing of what is still there was written over.
    let mut read = 0;
    (0..7).for_each(|at| kept.read(at, &mut |piece| read += piece.len()).unwrap());
    assert_eq!(read, (0..3_000).map(|number| record(number).len()).sum::<usize>());
}

#[test]
fn new_blocks_are_written_many_at_once_and_before_they_are_read() {
    // What is written at once ends between two blocks, or within one.
    for block_bytes in [BLOCK_BYTES_MIN, 6_000] {
        let dir = tempfile::tempdir().unwrap();
        let space = Space::new(dir.path(), 0);
        let spill = space.partitions(1, block_bytes);
        let mut records = 0_u32;
        while space.spilled_bytes() <= 2 * WRITE_BYTES {
            spill.append(0, &record(records)).unwrap();
            records += 1;
        }
        let written = || space.shared.file.get().unwrap().metadata().unwrap().len();
        assert_eq!(written(), 2 * WRITE_BYTES);
        let mut read = Vec::new();
        spill.read(0, &mut |piece| read.extend_from_slice(piece)).unwrap();
        assert_eq!(read, (0..records).flat_map(record).collect::<Vec<u8>>());
        assert_eq!(written(), space.spilled_bytes());
    }
}

#[test]
fn records_are_replaced_by_others_as_long_wherever_they_lie() {
    let dir = tempfile::tempdir().unwrap();
    for kept in [0, 3_000, 1 << 20] {
        let space = Space::new(dir.path(), kept);
        let spill = space.partitions(2, BLOCK_BYTES_MIN);
        for number in 0..1_000_u32 {
            spill.append(number as usize % 2, &number.to_be_bytes()).unwrap();
        }
        let new: Vec<u8> = (0..500_u32).flat_map(|number| (number * 7).to_be_bytes()).collect();
        spill.overwrite(1, &new).unwrap();
        let read = |partition| {
            let mut read = Vec::new();
            spill.read(partition, &mut |piece| read.extend_from_slice(piece)).unwrap();
            read
        };
        assert_eq!(read(1), new);
        let old: Vec<u8> = (0..1_000_u32).step_by(2).flat_map(u32::to_be_bytes).collect();
        assert_eq!(read(0), old);
    }
}

#[test]
fn records_are_whole_within_a_piece() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 0);
    let spill = space.partitions(1, BLOCK_BYTES_MIN);
    spill.append_each((0..1_000_u32).map(|number| (0, number.to_be_bytes().repeat(6)))).unwrap();
    spill.read(0, &mut |piece| assert_eq!(piece.len() % 24, 0)).unwrap();
}

#[test]
fn many_records_are_appended_in_their_order_however_many_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let at_once = u32::try_from(RECORDS_AT_ONCE).unwrap();
    for records in [0, 1, at_once - 1, at_once, at_once + 1, 3 * at_once, 1_000] {
        let spill = Space::new(dir.path(), 0).partitions(1, BLOCK_BYTES_MIN);
        // One record is longer than a block, and than all room before it.
        let bytes =
            |number: u32| number.to_le_bytes().repeat(if number == 40 { BLOCK_BYTES_MIN } else { 20 });
        spill.append_each((0..records).map(|number| (0, bytes(number)))).unwrap();
        let mut read = Vec::new();
        spill.read(0, &mut |piece| read.extend_from_slice(piece)).unwrap();
        assert_eq!(read, (0..records).flat_map(bytes).collect::<Vec<_>>(), "{records} records");
    }
}

#[test]
fn room_that_lacks_is_told_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let space = Space::new(dir.path(), 0);
    space.require(1).unwrap();
    let error = space.require(u64::MAX).unwrap_err();
    assert!(error.is_full());
    assert!(error.to_string().contains("18446744073.7 GB are needed"), "{error}");
    assert!(space.shared.file.get().is_none());
}

#[test]
fn a_directory_that_is_not_there_is_an_error_with_its_name() {
    let space = Space::new(Path::new("/nonexistent"), 0);
    let spill = space.partitions(1, BLOCK_BYTES_MIN);
    let failed = (0..100).find_map(|_| spill.append(0, &[7; 100]).err()).unwrap();
    assert!(failed.to_string().contains("/nonexistent") && !failed.is_full(), "{failed}");
}

#[test]
fn sizes_are_told_in_units_of_disks() {
    let texts = [(999, "999 bytes"), (1_500, "1.5 kB"), (2_000_000, "2.0 MB"), (3_456_000_000, "3.4 GB")];
    for (bytes, text) in texts {
        assert_eq!(disk_text(bytes), text);
    }
}
