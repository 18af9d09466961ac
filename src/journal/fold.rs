//! The fold: an old generation and the log's records, merged subject by subject into a new generation.
//!
//! Recovery and compaction are this one function. It only reads the log and writes a new file, so it can run off
//! the journal thread: folding in the middle of a run calls [`merge`] from another thread with its own view of the
//! log. Not here: naming the new generation and dropping what it stands for (`core.rs`).

use crate::digest::SubjectId;
use crate::ledger::{EntryFold, LedgerEntry};

use super::codec::CodecError;
use super::entry::{decode_entry, encode_entry, is_blank};
use super::error::JournalError;
use super::generation::{GenerationReader, GenerationWriter};
use super::record::{decode_record, open_value, subject_of};
use super::store::VisitValue;

/// Memory that the records of one partition may take, by estimate.
pub(super) const PARTITION_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Memory a record takes beside its bytes: where it is, and whose.
const SLOT_BYTES: u64 = 40;

/// Partitions at most; a log over 64 GiB would have larger ones instead of more.
const PARTITION_BITS_MAX: u32 = 12;

/// Something that can visit log values from a sequence on.
pub(super) type ScanLog<'a> = &'a dyn Fn(u64, VisitValue<'_>) -> Result<(), JournalError>;

/// The part of the log to fold.
pub(super) struct LogPart<'a> {
    /// How to read it. It is read once per partition.
    pub(super) scan: ScanLog<'a>,
    /// First sequence.
    pub(super) from: u64,
    /// Last sequence.
    pub(super) through: u64,
    /// Records in it.
    pub(super) records: u64,
    /// Bytes of its values.
    pub(super) bytes: u64,
}

/// What a fold did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FoldCounts {
    /// Subjects the log had records of.
    pub(super) subjects: u64,
    /// Records folded.
    pub(super) records: u64,
    /// Intents without an outcome.
    pub(super) in_doubt: u64,
}

/// Merges a part of the log and the old generation into a new one.
pub(super) fn merge(
    part: &LogPart<'_>,
    old: Option<GenerationReader>,
    partition_bytes_max: u64,
    out: &mut GenerationWriter,
) -> Result<FoldCounts, JournalError> {
    let bits = partition_bits(part, partition_bytes_max);
    let mut merger = Merger { old, current: None, out, value: Vec::new(), counts: FoldCounts::default() };
    merger.advance()?;
    for partition in 0..1_u32 << bits {
        let records = Partition::load(part, bits, partition)?;
        for group in records.slots.chunk_by(|a, b| a.subject == b.subject) {
            merger.fold(group, &records.bytes)?;
        }
    }
    merger.copy_below(None)?;
    if merger.counts.records != part.records {
        return Err(JournalError::damaged(
            format!("the log holds {} records where {} were counted", merger.counts.records, part.records),
            "nothing yet: the log was left standing",
        ));
    }
    Ok(merger.counts)
}

fn partition_bits(part: &LogPart<'_>, partition_bytes_max: u64) -> u32 {
    let memory = part.bytes + part.records * SLOT_BYTES;
    let partitions = memory.div_ceil(partition_bytes_max.max(1)).max(1).next_power_of_two();
    partitions.trailing_zeros().min(PARTITION_BITS_MAX)
}

/// Records of the subjects whose id begins with certain bits, undecoded, sorted by subject and then by log order.
struct Partition {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
}

struct Slot {
    subject: SubjectId,
    begin: usize,
    end: usize,
}

impl Partition {
    fn load(part: &LogPart<'_>, bits: u32, partition: u32) -> Result<Partition, JournalError> {
        let mut loaded = Partition { bytes: Vec::new(), slots: Vec::new() };
        (part.scan)(part.from, &mut |sequence, value| {
            if sequence > part.through {
                return Ok(());
            }
            loaded.take(bits, partition, sequence, value).map_err(|fault| log_fault(sequence, fault))
        })?;
        // Stable, so that the records of a subject keep their order.
        loaded.slots.sort_by_key(|slot| slot.subject);
        Ok(loaded)
    }

    fn take(&mut self, bits: u32, partition: u32, sequence: u64, value: &[u8]) -> Result<(), CodecError> {
        for record in open_value(sequence, value)?.records() {
            let record = record?;
            let subject = subject_of(record)?;
            if leading_bits(subject, bits) == partition {
                let begin = self.bytes.len();
                self.bytes.extend_from_slice(record);
                self.slots.push(Slot { subject, begin, end: self.bytes.len() });
            }
        }
        Ok(())
    }
}

fn leading_bits(subject: SubjectId, bits: u32) -> u32 {
    let [first, second, ..] = subject.0;
    u32::from(u16::from_be_bytes([first, second])) >> (16 - bits)
}

/// The error of a log value that cannot be read back.
pub(super) fn log_fault(sequence: u64, fault: CodecError) -> JournalError {
    match fault {
        CodecError::Damaged(why) => JournalError::damaged(
            format!("the log value of sequence {sequence}: {why}"),
            "its records, and whether those after it are all there, are lost",
        ),
        CodecError::Unknown(what) => JournalError::UnknownFormat { what },
    }
}

struct Merger<'a> {
    old: Option<GenerationReader>,
    /// The old generation's next entry.
    current: Option<(SubjectId, Vec<u8>)>,
    out: &'a mut GenerationWriter,
    value: Vec<u8>,
    counts: FoldCounts,
}

impl Merger<'_> {
    fn advance(&mut self) -> Result<(), JournalError> {
        let before = self.current.take();
        let Some(old) = &mut self.old else { return Ok(()) };
        let Some((subject, value)) = old.next()? else { return Ok(()) };
        // grenad panics, naming both keys, when entries do not ascend.
        let ascends = before.as_ref().is_none_or(|(last, _)| *last < subject);
        let mut buffer = before.map(|(_, buffer)| buffer).unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(value);
        if !ascends {
            return Err(old.fault(CodecError::Damaged("its entries do not ascend")));
        }
        self.current = Some((subject, buffer));
        Ok(())
    }

    /// Copies the old entries before a subject as they are.
    fn copy_below(&mut self, subject: Option<SubjectId>) -> Result<(), JournalError> {
        while let Some((current, value)) = &self.current {
            if subject.is_some_and(|subject| *current >= subject) {
                break;
            }
            self.out.insert(*current, value)?;
            self.advance()?;
        }
        Ok(())
    }

    /// The old entry of a subject, or the one of a subject nothing is known of.
    fn take_old(&mut self, subject: SubjectId) -> Result<LedgerEntry, JournalError> {
        self.copy_below(Some(subject))?;
        match (&self.current, &self.old) {
            (Some((current, value)), Some(old)) if *current == subject => {
                let entry = decode_entry(subject, value).map_err(|fault| old.fault(fault))?;
                self.advance()?;
                Ok(entry)
            }
            (_, _) => Ok(LedgerEntry::new(subject)),
        }
    }

    /// Folds the records of one subject.
    fn fold(&mut self, group: &[Slot], bytes: &[u8]) -> Result<(), JournalError> {
        let Some(first) = group.first() else { return Ok(()) };
        let mut fold = EntryFold::new(self.take_old(first.subject)?);
        for slot in group {
            let record = decode_record(&bytes[slot.begin..slot.end]).map_err(|fault| match fault {
                CodecError::Damaged(why) => JournalError::damaged(
                    format!("a record of the log: {why}"),
                    "nothing yet: the log was left standing",
                ),
                CodecError::Unknown(what) => JournalError::UnknownFormat { what },
            })?;
            fold.apply(&record);
        }
        self.counts.subjects += 1;
        self.counts.records += group.len() as u64;
        self.counts.in_doubt += fold.open_intents() as u64;
        let entry = fold.finish();
        if !is_blank(&entry) {
            self.value.clear();
            encode_entry(&entry, &mut self.value);
            self.out.insert(entry.subject, &self.value)?;
        }
        Ok(())
    }
}
