//! The watermark: a file beside sled that says how far the log was durable, written and synced with each commit.
//!
//! sled drops the newest records without a word when its file is damaged (44 of 300 bit flips); an opening is
//! therefore held against this file. Two checksummed slots are written in turn, so that a torn write leaves the
//! one before. Not here: comparing it with the log (`opening.rs`).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::codec::{CodecError, Decoder, put_varint, seal, unseal};
use super::error::JournalError;
use super::files;

/// Name of the watermark file in the state directory.
const WATERMARK_FILE: &str = "journal.watermark";

/// Version of a slot's layout.
const SLOT_VERSION: u8 = 1;

/// Bytes from one slot to the next: no sector or page holds parts of both.
const SLOT_STRIDE: u64 = 4096;

/// Bytes of a slot before its checksum, padded with zeros.
const SLOT_BODY_BYTES: usize = 120;

/// Bytes of a slot.
const SLOT_BYTES: usize = SLOT_BODY_BYTES + 8;

/// Readings of the file while another process writes it, at most.
const PEEKS_MAX: u32 = 8;

/// Which ledger generation stands, and for what part of the log. Generation 0 is the empty ledger and has no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LedgerName {
    /// Number of the generation.
    pub(super) generation: u64,
    /// Last log sequence folded into it.
    pub(super) through: u64,
    /// Entries in it.
    pub(super) entries: u64,
    /// Length of its file in bytes.
    pub(super) bytes: u64,
    /// Open intents in it: a fold in the middle of a run leaves them open, the next one goes on from there.
    pub(super) open: u64,
}

impl LedgerName {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.generation, self.through, self.entries, self.bytes, self.open] {
            put_varint(out, part);
        }
    }

    pub(super) fn decode(decoder: &mut Decoder<'_>) -> Result<LedgerName, CodecError> {
        Ok(LedgerName {
            generation: decoder.varint()?,
            through: decoder.varint()?,
            entries: decoder.varint()?,
            bytes: decoder.varint()?,
            // Ledgers named before there were folds in the middle of a run end here.
            open: if decoder.end().is_ok() { 0 } else { decoder.varint()? },
        })
    }
}

/// How far everything was durable at some commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Watermark {
    /// Whose journal it is: see [`super::key::LoadedKey::identity`].
    pub(super) identity: u64,
    /// Last durable log sequence.
    pub(super) sequence: u64,
    /// Records in the log after what the ledger stands for.
    pub(super) records: u64,
    /// The ledger then named.
    pub(super) ledger: LedgerName,
}

/// The open file.
#[derive(Debug)]
pub(super) struct WatermarkFile {
    file: File,
    path: PathBuf,
    turn: u64,
}

impl WatermarkFile {
    /// Whether a state directory has a watermark.
    pub(super) fn exists(state_dir: &Path) -> bool {
        state_dir.join(WATERMARK_FILE).exists()
    }

    /// Creates the file with its first mark.
    pub(super) fn create(state_dir: &Path, mark: &Watermark) -> Result<WatermarkFile, JournalError> {
        let path = state_dir.join(WATERMARK_FILE);
        let mut bytes = slot(0, mark);
        let len = usize::try_from(2 * SLOT_STRIDE).unwrap_or(bytes.len());
        bytes.resize(len, 0);
        files::write_whole(&path, &bytes)?;
        let file = files::open_or_create(&path)?;
        Ok(WatermarkFile { file, path, turn: 0 })
    }

    /// Opens the file and reads the newest mark.
    pub(super) fn open(state_dir: &Path) -> Result<(WatermarkFile, Watermark), JournalError> {
        let path = state_dir.join(WATERMARK_FILE);
        let file = files::open_or_create(&path)?;
        let (turn, mark) = newest(&file)?.ok_or_else(|| unreadable(&path))?;
        Ok((WatermarkFile { file, path, turn }, mark))
    }

    /// Reads the newest mark while another process may be writing the next one: that one writes into the slot of the
    /// mark before. `None` when there is no watermark.
    pub(super) fn peek(state_dir: &Path) -> Result<Option<Watermark>, JournalError> {
        let path = state_dir.join(WATERMARK_FILE);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(JournalError::io("open", &path)(error)),
        };
        // A commit may overtake the reading of both slots, one after the other.
        for _ in 0..PEEKS_MAX {
            if let Some((_, mark)) = newest(&file)? {
                return Ok(Some(mark));
            }
        }
        Err(unreadable(&path))
    }

    /// Writes a mark into the slot whose turn it is, and syncs it.
    pub(super) fn write(&mut self, mark: &Watermark) -> Result<(), JournalError> {
        self.turn += 1;
        let offset = (self.turn % 2) * SLOT_STRIDE;
        self.file
            .write_all_at(&slot(self.turn, mark), offset)
            .and_then(|()| self.file.sync_data())
            .map_err(JournalError::io("write", &self.path))
    }
}

/// The newest mark of the two slots, with its turn.
fn newest(file: &File) -> Result<Option<(u64, Watermark)>, JournalError> {
    let mut newest: Option<(u64, Watermark)> = None;
    for offset in [0, SLOT_STRIDE] {
        let mut bytes = [0; SLOT_BYTES];
        // A slot that cannot be read whole has no checksum either.
        if file.read_exact_at(&mut bytes, offset).is_err() {
            continue;
        }
        if let Some((turn, mark)) = read_slot(&bytes)? {
            newest = newest.filter(|(other, _)| *other > turn).or(Some((turn, mark)));
        }
    }
    Ok(newest)
}

fn unreadable(path: &Path) -> JournalError {
    JournalError::damaged(
        format!("no slot of {} is readable", path.display()),
        "nobody can say how much of the log is missing",
    )
}

fn slot(turn: u64, mark: &Watermark) -> Vec<u8> {
    let mut bytes = vec![SLOT_VERSION];
    bytes.extend_from_slice(&turn.to_be_bytes());
    bytes.extend_from_slice(&mark.identity.to_be_bytes());
    put_varint(&mut bytes, mark.sequence);
    put_varint(&mut bytes, mark.records);
    mark.ledger.encode(&mut bytes);
    bytes.resize(SLOT_BODY_BYTES, 0);
    seal(&mut bytes);
    bytes
}

/// `None` for a slot that is torn or was never written.
fn read_slot(bytes: &[u8]) -> Result<Option<(u64, Watermark)>, JournalError> {
    let Some(body) = unseal(bytes) else { return Ok(None) };
    let mut decoder = Decoder::new(body);
    let mut read = || {
        let version = decoder.u8()?;
        if version != SLOT_VERSION {
            return Err(CodecError::Unknown(format!("watermark, format version {version}")));
        }
        let turn = decoder.u64_fixed()?;
        let identity = decoder.u64_fixed()?;
        let sequence = decoder.varint()?;
        let records = decoder.varint()?;
        let ledger = LedgerName::decode(&mut decoder)?;
        Ok((turn, Watermark { identity, sequence, records, ledger }))
    };
    match read() {
        Ok(found) => Ok(Some(found)),
        Err(CodecError::Damaged(_)) => Ok(None),
        Err(CodecError::Unknown(what)) => Err(JournalError::UnknownFormat { what }),
    }
}

#[cfg(test)]
mod tests;
