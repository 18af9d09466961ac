//! The fold: an old generation and the log's records, merged subject by subject into a new generation.
//!
//! Recovery and compaction are this one function. Threads take shares of the subjects' range in turn, each with its
//! slice of the old generation, and hand their entries to the one that writes, in the ledger's order and a bounded
//! stretch ahead. Not here: reading and sorting the log (`gather.rs`, `sorted.rs`), the thread a fold is carried to
//! (`job.rs`), naming the new generation and dropping what it stands for (`core.rs`).

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, SyncSender};

use crate::count::plural;
use crate::digest::SubjectId;
use crate::ledger::{EntryFold, LedgerEntry};

use super::codec::CodecError;
use super::entry::{decode_parts, encode_entry, has_open_intents, is_blank};
use super::error::JournalError;
use super::gather::check_wanted;
use super::generation::{GenerationReader, GenerationWriter, OldGeneration};
use super::record::decode_record;
use super::sorted::{Merge, SLICES, SortedLog, slice_begin};

/// Memory that a fold's records may take, by estimate.
pub(super) const FOLD_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of entries that a thread hands over at once. Tests have small ledgers, and want to see more than one of
/// everything.
const CHUNK_BYTES: usize = if cfg!(test) { 512 } else { 128 * 1024 };

/// Chunks that a thread may be ahead of the one that writes: about a share.
const CHUNKS_AHEAD: usize = 6;

/// Bytes of ledger and log that are worth a share of their own.
const SHARE_BYTES: u64 = if cfg!(test) { 1024 } else { 768 * 1024 };

/// Bytes of an entry's subject and length in a chunk.
const ENTRY_HEAD_BYTES: usize = 16 + 4;

/// What is to be merged.
pub(super) struct FoldPart<'a> {
    /// The old generation.
    pub(super) old: &'a OldGeneration,
    /// The log's records.
    pub(super) sorted: &'a SortedLog,
    /// How many they are.
    pub(super) records: u64,
    /// Bytes of the log.
    pub(super) log_bytes: u64,
    /// What becomes of intents without an outcome.
    pub(super) open: OpenIntents,
    /// Memory for records.
    pub(super) memory_max: u64,
    /// Threads beside the one that writes.
    pub(super) threads: usize,
    /// Set when nobody wants the result any more.
    pub(super) cancelled: &'a AtomicBool,
}

/// What becomes of intents that have no outcome in the part of the log that is folded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenIntents {
    /// They stay open beside their entries: the run goes on, and their outcomes are to come.
    Carry,
    /// They are in doubt: the run is over.
    Doubt,
}

/// What a fold did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct FoldCounts {
    /// Subjects the log had records of.
    pub(super) subjects: u64,
    /// Records folded.
    pub(super) records: u64,
    /// Intents without an outcome, now in doubt.
    pub(super) in_doubt: u64,
    /// Intents without an outcome, still open.
    pub(super) open: u64,
}

impl FoldCounts {
    fn add(&mut self, other: &FoldCounts) {
        self.subjects += other.subjects;
        self.records += other.records;
        self.in_doubt += other.in_doubt;
        self.open += other.open;
    }
}

/// A stretch of a thread's entries, or the end of a share.
enum Piece {
    Entries(Vec<u8>),
    EndOfShare,
}

/// Merges the log's records and the old generation into a new one.
pub(super) fn merge(part: &FoldPart<'_>, out: &mut GenerationWriter) -> Result<FoldCounts, JournalError> {
    let shares = &part.shares();
    let threads = part.threads.clamp(1, shares.len());
    let (written, merged) = std::thread::scope(|scope| {
        let (mut pieces, mut workers) = (Vec::new(), Vec::new());
        for first in 0..threads {
            let (hand, handed) = mpsc::sync_channel(CHUNKS_AHEAD);
            pieces.push(handed);
            workers.push(scope.spawn(move || {
                let shares = shares.iter().skip(first).step_by(threads);
                part.merge_shares(shares, &hand)
            }));
        }
        let written = write_in_turn(shares.len(), &pieces, out);
        // Whoever still has something to hand over sees that nobody takes it.
        drop(pieces);
        let merged: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(JournalError::panicked("folding the log"))))
            .collect();
        (written, merged)
    });
    let mut counts = FoldCounts::default();
    let mut old_entries = 0;
    if let Some(failed) = written? {
        // The one whose turn it was has ended before its time; the others only because of it.
        return Err(merged.into_iter().nth(failed).and_then(Result::err).unwrap_or(JournalError::Closed));
    }
    for one in merged {
        let (one, old) = one?;
        counts.add(&one);
        old_entries += old;
    }
    part.old.check_entries(old_entries)?;
    if counts.records != part.records {
        return Err(JournalError::damaged(
            format!("the log holds {} where {} were counted", plural(counts.records, "record"), part.records),
            "nothing yet: the log was left standing",
        ));
    }
    Ok(counts)
}

/// Writes what threads hand over, share by share; the thread that failed to, if one did.
fn write_in_turn(
    shares: usize,
    pieces: &[Receiver<Piece>],
    out: &mut GenerationWriter,
) -> Result<Option<usize>, JournalError> {
    for share in 0..shares {
        let thread = share % pieces.len();
        loop {
            match pieces[thread].recv() {
                Ok(Piece::Entries(entries)) => write_entries(&entries, out)?,
                Ok(Piece::EndOfShare) => break,
                Err(mpsc::RecvError) => return Ok(Some(thread)),
            }
        }
    }
    Ok(None)
}

fn write_entries(mut entries: &[u8], out: &mut GenerationWriter) -> Result<(), JournalError> {
    while let Some((head, rest)) = entries.split_first_chunk::<ENTRY_HEAD_BYTES>() {
        let (mut subject, mut len) = ([0; 16], [0; 4]);
        subject.copy_from_slice(&head[..16]);
        len.copy_from_slice(&head[16..]);
        let (value, rest) = rest.split_at(u32::from_be_bytes(len) as usize);
        out.insert(SubjectId(subject), value)?;
        entries = rest;
    }
    Ok(())
}

impl FoldPart<'_> {
    /// The slices of each share.
    fn shares(&self) -> Vec<Range<usize>> {
        let bytes = self.old.bytes() + self.log_bytes;
        let wanted = usize::try_from(bytes / SHARE_BYTES).unwrap_or(SLICES).clamp(1, SLICES);
        let slices = SLICES / (wanted.next_power_of_two().min(SLICES));
        (0..SLICES).step_by(slices).map(|first| first..first + slices).collect()
    }

    /// Merges these shares one after the other; returns what was done, and how many entries the old generation had
    /// there.
    fn merge_shares<'s>(
        &self,
        shares: impl Iterator<Item = &'s Range<usize>>,
        hand: &SyncSender<Piece>,
    ) -> Result<(FoldCounts, u64), JournalError> {
        let mut merger = Merger {
            old: self.old.reader()?,
            end: None,
            old_entries: 0,
            current: None,
            fold: None,
            open: self.open,
            out: Chunks { hand, chunk: Vec::new() },
            value: Vec::new(),
            counts: FoldCounts::default(),
            cancelled: self.cancelled,
        };
        let ahead = self.threads * 2;
        for share in shares {
            self.old.will_need(share.start + ahead * share.len(), share.len());
            let memory_max = self.memory_max / self.threads.max(1) as u64;
            merger.merge_share(share, self.sorted.slices(share.clone(), memory_max)?)?;
        }
        Ok((merger.counts, merger.old_entries))
    }
}

/// Entries on their way to the one that writes.
struct Chunks<'a> {
    hand: &'a SyncSender<Piece>,
    chunk: Vec<u8>,
}

impl Chunks<'_> {
    fn insert(&mut self, subject: SubjectId, value: &[u8]) -> Result<(), JournalError> {
        let len = u32::try_from(value.len())
            .map_err(|_| JournalError::Misuse { what: "an entry of more than 4 GiB" })?;
        let needed = ENTRY_HEAD_BYTES + value.len();
        if !self.chunk.is_empty() && self.chunk.len() + needed > CHUNK_BYTES {
            self.hand_over()?;
        }
        if self.chunk.capacity() == 0 {
            self.chunk.reserve(CHUNK_BYTES.max(needed));
        }
        self.chunk.extend_from_slice(&subject.0);
        self.chunk.extend_from_slice(&len.to_be_bytes());
        self.chunk.extend_from_slice(value);
        Ok(())
    }

    fn end_share(&mut self) -> Result<(), JournalError> {
        if !self.chunk.is_empty() {
            self.hand_over()?;
        }
        self.hand.send(Piece::EndOfShare).map_err(|_| JournalError::Closed)
    }

    fn hand_over(&mut self) -> Result<(), JournalError> {
        let chunk = std::mem::take(&mut self.chunk);
        self.hand.send(Piece::Entries(chunk)).map_err(|_| JournalError::Closed)
    }
}

struct Merger<'a> {
    old: Option<GenerationReader>,
    /// Where the share ends.
    end: Option<SubjectId>,
    /// Entries of the old generation so far.
    old_entries: u64,
    /// The old generation's next entry.
    current: Option<(SubjectId, Vec<u8>)>,
    /// The subject whose records are being folded.
    fold: Option<EntryFold>,
    open: OpenIntents,
    out: Chunks<'a>,
    value: Vec<u8>,
    counts: FoldCounts,
    cancelled: &'a AtomicBool,
}

impl Merger<'_> {
    fn merge_share(&mut self, slices: &Range<usize>, mut records: Merge<'_>) -> Result<(), JournalError> {
        self.end = slice_begin(slices.end);
        self.current = None;
        if let (Some(old), Some(begin)) = (&mut self.old, slice_begin(slices.start)) {
            old.seek(begin);
        }
        self.advance()?;
        while let Some((subject, record)) = records.next()? {
            self.apply(subject, record)?;
        }
        self.emit()?;
        self.copy_below(None)?;
        self.out.end_share()
    }

    fn advance(&mut self) -> Result<(), JournalError> {
        check_wanted(self.cancelled)?;
        let before = self.current.take();
        let Some(old) = &mut self.old else { return Ok(()) };
        let Some((subject, value)) = old.next()? else { return Ok(()) };
        if self.end.is_some_and(|end| subject >= end) {
            return Ok(());
        }
        self.old_entries += 1;
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
            if has_open_intents(value) {
                self.fold = Some(self.take_current()?);
                self.emit()?;
            } else {
                self.out.insert(*current, value)?;
                self.advance()?;
            }
        }
        Ok(())
    }

    /// What the old generation holds of a subject.
    fn take_old(&mut self, subject: SubjectId) -> Result<EntryFold, JournalError> {
        self.copy_below(Some(subject))?;
        match &self.current {
            Some((current, _)) if *current == subject => self.take_current(),
            Some(_) | None => Ok(EntryFold::new(LedgerEntry::new(subject))),
        }
    }

    /// The current old entry, with the intents that were open when it was folded.
    fn take_current(&mut self) -> Result<EntryFold, JournalError> {
        let (Some((subject, value)), Some(old)) = (&self.current, &self.old) else {
            return Err(JournalError::Misuse { what: "an entry behind the last" });
        };
        let (entry, open) = decode_parts(*subject, value).map_err(|fault| old.fault(fault))?;
        self.advance()?;
        Ok(EntryFold::resume(entry, open))
    }

    /// Folds the next record.
    fn apply(&mut self, subject: SubjectId, record: &[u8]) -> Result<(), JournalError> {
        if self.fold.as_ref().is_none_or(|fold| fold.subject() != subject) {
            check_wanted(self.cancelled)?;
            self.emit()?;
            self.fold = Some(self.take_old(subject)?);
            self.counts.subjects += 1;
        }
        let record = decode_record(record).map_err(|fault| match fault {
            CodecError::Damaged(why) => JournalError::damaged(
                format!("a record of the log: {why}"),
                "nothing yet: the log was left standing",
            ),
            CodecError::Unknown(what) => JournalError::UnknownFormat { what },
        })?;
        if let Some(fold) = &mut self.fold {
            fold.apply(&record);
        }
        self.counts.records += 1;
        Ok(())
    }

    /// Writes the entry of the subject that was being folded.
    fn emit(&mut self) -> Result<(), JournalError> {
        let Some(fold) = self.fold.take() else { return Ok(()) };
        let (entry, open) = match self.open {
            OpenIntents::Carry => fold.into_parts(),
            OpenIntents::Doubt => {
                self.counts.in_doubt += fold.open_intents() as u64;
                (fold.finish(), Vec::new())
            }
        };
        self.counts.open += open.len() as u64;
        if !is_blank(&entry) || !open.is_empty() {
            self.value.clear();
            encode_entry(&entry, &open, &mut self.value);
            self.out.insert(entry.subject, &self.value)?;
        }
        Ok(())
    }
}
