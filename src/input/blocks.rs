//! Bytes of an input, block by block: a block is used only when its hash is recorded, or equals the recorded one.
//!
//! Not here: what the bytes mean. [`Source`] is an open handle that several passes read; [`Window`] is the stretch
//! of it that is in memory, always whole blocks at its end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Pass;
use super::error::SourceError;
use crate::digest::{ContentHash, content_hash};

/// Size of a block in bytes.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// The end-of-file mark of DOS; some exports still end with it.
const CTRL_Z: u8 = 0x1a;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// An input that is open and can be read at any place, any number of times.
#[derive(Debug)]
pub(super) struct Source {
    /// The input as given, for people.
    pub(super) name: String,
    file: File,
    /// Its length when it was opened. Another length later means that it changed.
    pub(super) bytes: u64,
    hashes: Vec<ContentHash>,
}

impl Source {
    pub(super) fn new(name: String, file: File, bytes: u64) -> Source {
        Source { name, file, bytes, hashes: Vec::new() }
    }

    /// Hash over the hashes of the blocks; of the whole content once a survey has read everything.
    pub(super) fn content_hash(&self) -> ContentHash {
        content_hash(self.hashes.as_flattened())
    }

    /// Reads one block to the beginning of `into` and returns its length, 0 after the last one.
    fn read_block(&mut self, index: usize, into: &mut [u8], pass: Pass) -> Result<usize, SourceError> {
        let offset = as_u64(index).saturating_mul(as_u64(BLOCK_BYTES));
        let left = self.bytes.saturating_sub(offset);
        let len = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        if len == 0 {
            return Ok(0);
        }
        self.file.read_exact_at(&mut into[..len], offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                return self.changed();
            }
            SourceError::Read { file: self.name.clone(), offset, source }
        })?;
        let hash = content_hash(&into[..len]);
        match (self.hashes.get(index), pass) {
            (Some(known), _) if *known == hash => {}
            (Some(_), _) => return Err(self.changed()),
            (None, Pass::Survey) => self.hashes.push(hash),
            (None, Pass::Again) => return Err(SourceError::NotSurveyed { file: self.name.clone() }),
        }
        Ok(len)
    }

    /// Whether the file still has the length it was opened with; asked when a pass has read all of it.
    pub(super) fn check_length(&self) -> Result<(), SourceError> {
        match self.file.metadata() {
            Ok(metadata) if metadata.len() == self.bytes => Ok(()),
            Ok(_) => Err(self.changed()),
            Err(source) => Err(SourceError::Read { file: self.name.clone(), offset: self.bytes, source }),
        }
    }

    fn changed(&self) -> SourceError {
        SourceError::Changed { file: self.name.clone() }
    }
}

/// The bytes in memory that no record has consumed yet. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset in the file of the buffer's first byte.
    offset: u64,
    next_block: usize,
    at_end: bool,
}

impl Window {
    /// Goes back to the beginning of a file, keeping the buffer.
    pub(super) fn rewind(&mut self) {
        *self = Window { buffer: std::mem::take(&mut self.buffer), ..Window::default() };
    }

    /// Everything read so far; records begin at [`Window::start`].
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Where the next record begins within [`Window::bytes`].
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// The bytes from `from` to `to` have been used.
    pub(super) fn consume_to(&mut self, to: usize) {
        debug_assert!(to >= self.start && to <= self.end, "records follow each other within the window");
        self.start = to;
    }

    /// Offset in the file of a place in [`Window::bytes`].
    pub(super) fn offset_of(&self, at: usize) -> u64 {
        self.offset + as_u64(at)
    }

    /// Whether nothing comes after [`Window::bytes`].
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Adds the next block. Returns by how much places in [`Window::bytes`] moved down.
    pub(super) fn fill(&mut self, source: &mut Source, pass: Pass) -> Result<usize, SourceError> {
        if self.at_end {
            return Ok(0);
        }
        let moved = self.start;
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += as_u64(moved);
        self.end -= moved;
        self.start = 0;
        if self.buffer.len() < self.end + BLOCK_BYTES {
            self.buffer.resize(self.end + BLOCK_BYTES, 0);
        }
        let first = self.next_block == 0;
        let len = source.read_block(self.next_block, &mut self.buffer[self.end..], pass)?;
        self.next_block += 1;
        self.end += len;
        self.at_end = self.offset_of(self.end) >= source.bytes;
        if first && self.bytes().starts_with(BOM) {
            self.start = BOM.len();
        }
        while self.at_end && self.end > self.start && self.buffer[self.end - 1] == CTRL_Z {
            self.end -= 1;
        }
        Ok(moved)
    }
}

/// Place of the first `needle`. The standard library's search behind this is the system's vectorised `memchr`.
pub(super) fn find(needle: u8, bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    let passed = io::BufRead::skip_until(&mut rest, needle).unwrap_or(bytes.len());
    let last = passed.checked_sub(1)?;
    (bytes[last] == needle).then_some(last)
}

/// A length as an offset; lossless on every platform this builds for.
pub(super) fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_agrees_with_a_plain_search() {
        for text in ["", "\n", "a\n", "\na\n", "abc", "ab\ncd\n"] {
            let plain = text.bytes().position(|byte| byte == b'\n');
            assert_eq!(find(b'\n', text.as_bytes()), plain, "{text:?}");
        }
    }
}
