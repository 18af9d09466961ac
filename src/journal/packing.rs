//! Records on their way into the log: encoded by whoever appends them, packed into values by the journal thread.
//!
//! An append's records become bytes on its own thread, where they were made and are freed; the journal thread, which
//! all appends wait for, only copies stretches of them. Not here: a record's bytes, and how values are read
//! (`record.rs`).

use crate::ledger::Record;

use super::codec::{CHECKSUM_BYTES, put_varint, seal_from};
use super::error::JournalError;
use super::record::{self, VALUE_BYTES_MAX, VALUE_VERSION};

/// Bytes of a usual record with its length, to begin with.
const RECORD_BYTES: usize = 64;

/// Bytes of values that are kept for the next commit's. A full one has some 800 KiB.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Where a value's count of records lies in it: behind its version and sequence.
const COUNT_AT: usize = 1 + 8;

/// Records as they lie in a value, one behind the other, each behind its length.
#[derive(Debug, Default)]
pub(super) struct EncodedRecords {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl EncodedRecords {
    /// Encodes records, all of them or none.
    ///
    /// # Errors
    ///
    /// When one of them is what no record may be.
    pub(super) fn of(records: &[Record]) -> Result<EncodedRecords, JournalError> {
        records.iter().try_for_each(record::check)?;
        let mut encoded = EncodedRecords {
            bytes: Vec::with_capacity(records.len() * RECORD_BYTES),
            ends: Vec::with_capacity(records.len()),
        };
        records.iter().for_each(|record| encoded.push(record));
        Ok(encoded)
    }

    fn push(&mut self, record: &Record) {
        let begin = self.bytes.len();
        // Nearly every length takes one byte.
        self.bytes.push(0);
        record::encode_record(record, &mut self.bytes);
        let len = self.bytes.len() - begin - 1;
        match u8::try_from(len) {
            Ok(len) if len < 0x80 => self.bytes[begin] = len,
            Ok(_) | Err(_) => {
                let mut prefix = Vec::new();
                put_varint(&mut prefix, len as u64);
                self.bytes.splice(begin..=begin, prefix);
            }
        }
        self.ends.push(self.bytes.len());
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Values of the log, each with its sequence, one behind the other.
#[derive(Debug, Default)]
pub(super) struct PackedValues {
    bytes: Vec<u8>,
    /// The sequence of each, and where it ends.
    ends: Vec<(u64, usize)>,
}

impl PackedValues {
    /// Adds a value as it is.
    pub(super) fn push(&mut self, sequence: u64, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push((sequence, self.bytes.len()));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Their bytes together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each with its sequence.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut begin = 0;
        self.ends.iter().map(move |(sequence, end)| {
            let value = &self.bytes[begin..*end];
            begin = *end;
            (*sequence, value)
        })
    }

    /// Without values, and with room for as many.
    pub(super) fn emptied(mut self) -> PackedValues {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES_MAX);
        self.ends.clear();
        self
    }
}

/// Packs records into values of consecutive sequences.
#[derive(Debug)]
pub(super) struct Packer {
    values: PackedValues,
    /// The sequence of the value that is open.
    sequence: u64,
    /// Where it begins, and how many records it has.
    begin: usize,
    count: u16,
    records: u64,
}

impl Packer {
    /// Begins with the value of this sequence.
    pub(super) fn new(sequence: u64) -> Packer {
        Packer::in_room_of(PackedValues::default(), sequence)
    }

    /// The same in the room of values that nobody needs any more.
    pub(super) fn in_room_of(values: PackedValues, sequence: u64) -> Packer {
        let mut packer = Packer { values: values.emptied(), sequence, begin: 0, count: 0, records: 0 };
        packer.begin_value();
        packer
    }

    /// Adds records. A record is never parted.
    pub(super) fn push(&mut self, encoded: &EncodedRecords) {
        let (mut begin, mut first) = (0, 0);
        while first < encoded.ends.len() {
            let room =
                (VALUE_BYTES_MAX - CHECKSUM_BYTES).saturating_sub(self.values.bytes.len() - self.begin);
            let ends = &encoded.ends[first..];
            // A value takes one whatever its length: what is too long the store refuses.
            let least = usize::from(self.count == 0);
            let fitting = ends.iter().take_while(|end| **end - begin <= room).count().max(least);
            if let Some(end) = fitting.checked_sub(1).map(|last| ends[last]) {
                self.values.bytes.extend_from_slice(&encoded.bytes[begin..end]);
                begin = end;
            }
            // No value has room for more than fit into 16 bits.
            self.count = self.count.saturating_add(u16::try_from(fitting).unwrap_or(u16::MAX));
            first += fitting;
            if first < encoded.ends.len() {
                self.close_value();
                self.begin_value();
            }
        }
        self.records += encoded.ends.len() as u64;
    }

    /// Records packed so far.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// The values. There is always at least one: a commit without records leaves an empty value as its mark, so
    /// that the sequence tells of every commit.
    pub(super) fn finish(mut self) -> PackedValues {
        self.close_value();
        self.values
    }

    fn begin_value(&mut self) {
        self.begin = self.values.bytes.len();
        self.count = 0;
        self.values.bytes.push(VALUE_VERSION);
        self.values.bytes.extend_from_slice(&self.sequence.to_be_bytes());
        self.values.bytes.extend_from_slice(&[0, 0]);
    }

    fn close_value(&mut self) {
        let count_at = self.begin + COUNT_AT;
        self.values.bytes[count_at..count_at + 2].copy_from_slice(&self.count.to_be_bytes());
        seal_from(&mut self.values.bytes, self.begin);
        self.values.ends.push((self.sequence, self.values.bytes.len()));
        self.sequence += 1;
    }
}
