//! Bytes of an input, block by block: a block is used only when its hash is recorded, or equals the recorded one.
//!
//! [`Source`] is an open handle that several passes read; [`Window`] is the stretch of its text that is in memory,
//! always whole blocks at its end: of the file itself, or of what `feed.rs` makes of it. Not here: what the text means.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::Pass;
use super::encoding::{Counted, HexBytes};
use super::error::SourceError;
use super::feed::{Feed, Reading, chars};
use super::fetch::{self, Fetch};
use super::mojibake;
use crate::digest::{ContentHash, content_hash};

/// Size of a block in bytes.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// The end-of-file mark of DOS; some exports still end with it.
const CTRL_Z: u8 = 0x1a;

/// The byte order mark of UTF-8.
pub(super) const BOM: &[u8] = b"\xef\xbb\xbf";

/// An input that is open and can be read at any place, any number of times.
#[derive(Debug)]
pub(super) struct Source {
    /// The input as given, for people.
    pub(super) name: String,
    /// `None`: its text is read by somebody else (see [`Window::of_stretch`]).
    file: Option<File>,
    /// Its length when it was opened. Another length later means that it changed.
    pub(super) bytes: u64,
    hashes: Vec<ContentHash>,
    /// How its bytes become text, once that was found out.
    pub(super) reading: Reading,
    is_fetching: bool,
    fetch: Option<Fetch>,
    /// The line of the first row that was decoded wrongly somewhere before, once the survey met one.
    pub(super) mojibake_line: Option<u64>,
}

impl Source {
    pub(super) fn new(name: String, file: File, bytes: u64) -> Source {
        Source { file: Some(file), bytes, ..Source::of_stretch(name) }
    }

    /// An input of which a stretch of the text is in memory already, and nothing else can be read.
    pub(super) fn of_stretch(name: String) -> Source {
        let reading = Reading::default();
        Source {
            name,
            file: None,
            bytes: 0,
            hashes: Vec::new(),
            reading,
            is_fetching: false,
            fetch: None,
            mojibake_line: None,
        }
    }

    fn file(&self, offset: u64) -> Result<&File, SourceError> {
        self.file.as_ref().ok_or_else(|| self.not_in_memory(offset))
    }

    fn not_in_memory(&self, offset: u64) -> SourceError {
        let source = io::ErrorKind::UnexpectedEof.into();
        SourceError::Read { file: self.name.clone(), offset, source }
    }

    /// Hash over the hashes of the blocks; of the whole content once a survey has read everything.
    pub(super) fn content_hash(&self) -> ContentHash {
        content_hash(self.hashes.as_flattened())
    }

    /// Reads one block to the beginning of `into` and returns its length, 0 after the last one.
    pub(super) fn read_block(
        &mut self,
        index: usize,
        into: &mut [u8],
        pass: Pass,
    ) -> Result<usize, SourceError> {
        let (offset, len) = fetch::place(index, self.bytes);
        if len == 0 {
            return Ok(0);
        }
        let read = match self.take_fetched(index, into) {
            Some(fetched) => fetched.map(|(_, hash)| hash),
            None => {
                let block = &mut into[..len];
                self.file(offset)?.read_exact_at(block, offset).map(|()| content_hash(block))
            }
        };
        let hash = read.map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                return self.changed();
            }
            SourceError::Read { file: self.name.clone(), offset, source }
        })?;
        match (self.hashes.get(index), pass) {
            (Some(known), _) if *known == hash => {}
            (Some(_), _) => return Err(self.changed()),
            (None, Pass::Survey) => self.hashes.push(hash),
            (None, Pass::Again) => return Err(SourceError::NotSurveyed { file: self.name.clone() }),
        }
        Ok(len)
    }

    /// The blocks after the next one will be read before they are asked for.
    pub(super) fn fetch_ahead(&mut self) {
        self.is_fetching = true;
    }

    /// Nobody asks for blocks any more, for the time being.
    pub(super) fn stop_fetching(&mut self) {
        (self.is_fetching, self.fetch) = (false, None);
    }

    /// A block that was read before it is asked for.
    fn take_fetched(&mut self, index: usize, into: &mut [u8]) -> Option<io::Result<(usize, ContentHash)>> {
        if !self.is_fetching {
            return None;
        }
        if let Some(fetched) = self.fetch.as_mut().and_then(|fetch| fetch.take(index, into)) {
            return Some(fetched);
        }
        // Without the help of a thread blocks are read all the same.
        self.fetch = Fetch::start(self.file.as_ref()?, index + 1, self.bytes).ok();
        None
    }

    /// Whether the file still has the length it was opened with; asked when a pass has read all of it.
    pub(super) fn check_length(&self) -> Result<(), SourceError> {
        match self.file(self.bytes)?.metadata() {
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
    /// Offset in the text of the buffer's first byte.
    offset: u64,
    next_block: usize,
    at_end: bool,
    /// What makes the text, of an input that is not plain UTF-8.
    feed: Option<Box<Feed>>,
    /// Offset in the text of the first sign of mojibake.
    suspect: Option<u64>,
    /// Somebody else reads the text, and this is what there is of it.
    is_stretch: bool,
    /// Why the text could not be read further ahead; told to whoever needs more of it.
    failure: Option<SourceError>,
}

impl Window {
    /// A stretch of a text, which begins at this offset and is followed by more that is not in memory.
    pub(super) fn of_stretch(buffer: Vec<u8>, offset: u64) -> Window {
        Window { end: buffer.len(), buffer, offset, is_stretch: true, ..Window::default() }
    }

    /// The buffer, once the stretch was read.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Goes back to the beginning of a file, keeping the buffer.
    pub(super) fn rewind(&mut self) {
        *self = Window { buffer: std::mem::take(&mut self.buffer), ..Window::default() };
    }

    /// Goes to the beginning of another file, or of the same in another reading, and reads the first of its text.
    pub(super) fn open(&mut self, source: &mut Source) -> Result<(), SourceError> {
        self.rewind();
        self.fill(source, Pass::Survey).map(drop)
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

    /// Offset in the text of a place in [`Window::bytes`]; of a plain input, in the file.
    pub(super) fn offset_of(&self, at: usize) -> u64 {
        self.offset + as_u64(at)
    }

    /// Whether nothing comes after [`Window::bytes`].
    pub(super) fn at_end(&self) -> bool {
        self.at_end
    }

    /// Offset in the text of what comes after [`Window::bytes`].
    pub(super) fn end_offset(&self) -> u64 {
        self.offset_of(self.end)
    }

    /// The bytes from an offset in the text on; `None` when they are not in memory any more, or not yet.
    pub(super) fn bytes_from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes().get(usize::try_from(offset.checked_sub(self.offset)?).ok()?..)
    }

    /// Adds the next block before anybody needs it. Returns as [`Window::fill`]; whether there is more to come, too.
    /// What goes wrong is told when it is needed.
    pub(super) fn fill_ahead(&mut self, source: &mut Source, pass: Pass) -> (usize, bool) {
        if self.at_end || self.failure.is_some() {
            return (0, false);
        }
        match self.fill(source, pass) {
            Ok(moved) => (moved, !self.at_end),
            Err(failure) => {
                self.failure = Some(failure);
                (0, false)
            }
        }
    }

    /// Makes room for a block behind the bytes in memory. Returns by how much they moved down. They are moved only
    /// where no more of them are kept than were used, so that looking ahead costs no more than reading.
    fn make_room(&mut self) -> usize {
        if self.buffer.len() >= self.end + BLOCK_BYTES {
            return 0;
        }
        let moved = self.start;
        if self.end - self.start > moved {
            self.buffer.resize((self.end + BLOCK_BYTES).max(2 * self.buffer.len()), 0);
            return 0;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.offset += as_u64(moved);
        self.end -= moved;
        self.start = 0;
        if self.buffer.len() < self.end + BLOCK_BYTES {
            self.buffer.resize(self.end + BLOCK_BYTES, 0);
        }
        moved
    }

    /// Adds the next block. Returns by how much places in [`Window::bytes`] moved down.
    pub(super) fn fill(&mut self, source: &mut Source, pass: Pass) -> Result<usize, SourceError> {
        if self.at_end {
            return Ok(0);
        }
        if self.is_stretch {
            return Err(source.not_in_memory(self.end_offset()));
        }
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let moved = self.make_room();
        let first = self.next_block == 0;
        if first && !source.reading.is_plain() {
            self.feed = Some(Box::new(Feed::new(source)?));
        }
        let room = &mut self.buffer[self.end..self.end + BLOCK_BYTES];
        let before = self.end;
        match &mut self.feed {
            None => {
                self.end += source.read_block(self.next_block, room, pass)?;
                self.at_end = self.offset_of(self.end) >= source.bytes;
            }
            Some(feed) => {
                self.end += feed.fill(source, pass, room)?;
                self.at_end = feed.is_over();
            }
        }
        self.next_block += 1;
        if first && self.bytes().starts_with(BOM) {
            self.start = BOM.len();
        }
        if pass == Pass::Survey && self.suspect.is_none() && source.mojibake_line.is_none() {
            self.suspect = self.look_for_mojibake(before).map(|at| self.offset_of(at));
        }
        while self.at_end && self.end > self.start && self.buffer[self.end - 1] == CTRL_Z {
            self.end -= 1;
        }
        Ok(moved)
    }

    /// The first sign of text that was decoded wrongly before, in what was added after `before`.
    fn look_for_mojibake(&self, before: usize) -> Option<usize> {
        // A sign may lie across the border of two blocks; and the first place to look at is after a byte order mark.
        let from = before.saturating_sub(mojibake::SIGN_BYTES_MAX).max(self.start);
        let added = self.bytes().get(from..)?;
        mojibake::find(added).map(|at| from + at)
    }

    /// Offset in the text of a sign of mojibake before the next record; told once.
    pub(super) fn take_suspect(&mut self) -> Option<u64> {
        let next = self.offset_of(self.start);
        self.suspect.take_if(|at| *at < next)
    }

    /// Whether the first sign of mojibake stands before this offset, and nobody asked for it yet.
    pub(super) fn has_suspect_before(&self, offset: u64) -> bool {
        self.suspect.is_some_and(|at| at < offset)
    }

    /// What could not be read on after the text that is there, for whoever needs more of it.
    pub(super) fn take_failure(&mut self) -> Option<SourceError> {
        self.feed.as_mut().and_then(|feed| feed.take_failure())
    }

    /// Bytes of the file that are behind the next record; of an input that is not plain, behind the text in memory.
    pub(super) fn bytes_behind(&self) -> u64 {
        match &self.feed {
            None => self.offset_of(self.start),
            Some(feed) => feed.used(),
        }
    }

    /// The error about a byte at `bad` in [`Window::bytes`] that is not UTF-8, in the line that begins at `line_begin`.
    pub(super) fn not_utf8(&self, file: &str, line: u64, line_begin: usize, bad: usize) -> SourceError {
        let rest = &self.bytes()[bad..];
        // No sequence has more than four bytes.
        let look = &rest[..rest.len().min(4)];
        let len = std::str::from_utf8(look).err().and_then(|error| error.error_len()).unwrap_or(look.len());
        let column = as_u64(chars(&self.bytes()[line_begin..bad])) + 1;
        SourceError::NotUtf8 {
            file: file.to_owned(),
            line,
            column,
            offset: self.offset_of(bad),
            of: self.feed.as_ref().map_or(Counted::File, |feed| feed.counted()),
            bytes: HexBytes(look[..len].to_vec()),
        }
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
