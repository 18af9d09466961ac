//! A file whose every page is checksummed, for ledger generations.
//!
//! grenad verifies nothing and panics on bytes it did not write; behind this it only ever sees verified ones. The
//! file is a header and pages of 16 KiB: `content | checksum`, the checksum taken over content, journal, generation
//! and page number, so that a page of another file is no page of this one. Not here: what the content means.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use crate::digest::checksum;

use super::codec::{CHECKSUM_BYTES, CodecError, Decoder, seal, unseal};

/// Bytes of a page on disk.
const PAGE_BYTES: usize = 16 * 1024;

/// Bytes of content in a page.
const CONTENT_BYTES: usize = PAGE_BYTES - CHECKSUM_BYTES;

/// Bytes of the header: magic 7, version 1, journal 8, generation 8, checksum 8.
const HEADER_BYTES: usize = 32;

const MAGIC: &[u8; 7] = b"simsync";

/// Version of header and pages.
const PAGES_VERSION: u8 = 1;

/// Which file pages belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PagesOwner {
    /// The journal.
    pub(super) identity: u64,
    /// The generation.
    pub(super) generation: u64,
}

impl PagesOwner {
    /// Seals a page's content in place.
    fn seal(self, page: u64, content: &mut Vec<u8>) {
        let len = content.len();
        for part in [self.identity, self.generation, page] {
            content.extend_from_slice(&part.to_be_bytes());
        }
        let sum = checksum(content);
        content.truncate(len);
        content.extend_from_slice(&sum.to_be_bytes());
    }
}

fn header(owner: PagesOwner) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(PAGES_VERSION);
    bytes.extend_from_slice(&owner.identity.to_be_bytes());
    bytes.extend_from_slice(&owner.generation.to_be_bytes());
    seal(&mut bytes);
    bytes
}

fn read_header(bytes: &[u8]) -> Result<PagesOwner, CodecError> {
    let body = unseal(bytes).ok_or(CodecError::Damaged("its header is not readable"))?;
    let mut decoder = Decoder::new(body);
    if decoder.array()? != *MAGIC {
        return Err(CodecError::Damaged("it is no ledger"));
    }
    let version = decoder.u8()?;
    if version != PAGES_VERSION {
        return Err(CodecError::Unknown(format!("ledger file, format version {version}")));
    }
    Ok(PagesOwner { identity: decoder.u64_fixed()?, generation: decoder.u64_fixed()? })
}

/// Content handed to the writing thread at a time: some pages, and no part of one but the last.
const CHUNK_BYTES: usize = 16 * CONTENT_BYTES;

/// Chunks on their way to the writing thread at most.
const CHUNKS_MAX: usize = 4;

/// Bytes after which the file is synced while it is written and commits go on, so that none of them waits for more.
const SYNC_BYTES_BESIDE: u64 = 2 * 1024 * 1024;

/// Bytes after which the file is synced while nobody else waits for the disk.
const SYNC_BYTES_ALONE: u64 = 16 * 1024 * 1024;

/// How a file goes to the disk while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WritePace {
    /// A little at a time, each little waited for: commits go on beside it.
    Beside,
    /// As fast as the disk takes it: nobody else waits for the disk. What is written is synced while the rest is made.
    Alone,
}

/// Writes content page by page: checksums and the disk are a thread's own business, while the next entries are merged.
#[derive(Debug)]
pub(super) struct PageWriter {
    content: Vec<u8>,
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<io::Result<u64>>>,
}

impl PageWriter {
    /// Begins a file with its header.
    pub(super) fn new(mut file: File, owner: PagesOwner, pace: WritePace) -> io::Result<PageWriter> {
        let header = header(owner);
        file.write_all(&header)?;
        let (chunks, handed) = mpsc::sync_channel(CHUNKS_MAX);
        let thread = std::thread::Builder::new()
            .name("journal-pages".to_owned())
            .spawn(move || write_pages(&file, owner, pace, &handed))?;
        let content = Vec::with_capacity(CHUNK_BYTES);
        Ok(PageWriter { content, chunks: Some(chunks), thread: Some(thread) })
    }

    /// Writes the last page, syncs the file, and says how long it is.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        if !self.content.is_empty() {
            self.hand_over()?;
        }
        self.join()
    }

    fn hand_over(&mut self) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.content, Vec::with_capacity(CHUNK_BYTES));
        match self.chunks.as_ref().map(|chunks| chunks.send(chunk)) {
            Some(Ok(())) => Ok(()),
            // The thread has ended before its time: its error says why.
            Some(Err(_)) | None => Err(self.join().err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn join(&mut self) -> io::Result<u64> {
        self.chunks = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) | None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for PageWriter {
    fn drop(&mut self) {
        // Given up: nobody asks for the file, and nothing writes to it any more.
        self.chunks = None;
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Seals and writes what is handed over; ends with a synced file.
fn write_pages(
    file: &File,
    owner: PagesOwner,
    pace: WritePace,
    chunks: &Receiver<Vec<u8>>,
) -> io::Result<u64> {
    let bytes = match pace {
        WritePace::Beside => seal_and_write(file, owner, chunks, SYNC_BYTES_BESIDE, &mut || file.sync_data()),
        WritePace::Alone => std::thread::scope(|scope| {
            let (ask, asked) = mpsc::sync_channel(1);
            let syncing = scope.spawn(move || asked.iter().try_for_each(|()| file.sync_data()));
            let bytes = seal_and_write(file, owner, chunks, SYNC_BYTES_ALONE, &mut || {
                // One that is asked already syncs this too. Its error is found below.
                ask.try_send(()).unwrap_or_default();
                Ok(())
            });
            drop(ask);
            syncing.join().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into())).and(bytes)
        }),
    }?;
    file.sync_all()?;
    Ok(bytes)
}

fn seal_and_write(
    mut file: &File,
    owner: PagesOwner,
    chunks: &Receiver<Vec<u8>>,
    sync_bytes: u64,
    sync: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<u64> {
    let mut bytes = HEADER_BYTES as u64;
    let mut synced = bytes;
    let mut sealed = Vec::with_capacity(CHUNK_BYTES / CONTENT_BYTES * PAGE_BYTES);
    let mut page = Vec::with_capacity(PAGE_BYTES + 24);
    let mut number = 0;
    for chunk in chunks {
        sealed.clear();
        for content in chunk.chunks(CONTENT_BYTES) {
            page.clear();
            page.extend_from_slice(content);
            owner.seal(number, &mut page);
            sealed.extend_from_slice(&page);
            number += 1;
        }
        file.write_all(&sealed)?;
        bytes += sealed.len() as u64;
        if bytes - synced >= sync_bytes {
            sync()?;
            synced = bytes;
        }
    }
    Ok(bytes)
}

impl Write for PageWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK_BYTES - self.content.len());
        self.content.extend_from_slice(&bytes[..taken]);
        if self.content.len() == CHUNK_BYTES {
            self.hand_over()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        // A page cut short would shift everything after it; only `finish` may end one early.
        Ok(())
    }
}

/// What reading every page gave.
#[derive(Debug)]
pub(super) struct CheckedPages {
    /// Pages in the file.
    pub(super) pages: u64,
    /// Numbers of those whose checksum does not agree, from 0.
    pub(super) bad: Vec<u64>,
}

/// Reads every page of a file and holds it against its checksum. Whose the file is, its header says.
pub(super) fn check_all(file: &File) -> io::Result<CheckedPages> {
    let len = file.metadata()?.len();
    let mut first = [0; HEADER_BYTES];
    file.read_exact_at(&mut first, 0)?;
    let owner = read_header(&first).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    let pages = len.saturating_sub(HEADER_BYTES as u64).div_ceil(PAGE_BYTES as u64);
    let mut checked = CheckedPages { pages, bad: Vec::new() };
    for page in 0..pages {
        let begin = HEADER_BYTES as u64 + page * PAGE_BYTES as u64;
        let length = usize::try_from((len - begin).min(PAGE_BYTES as u64)).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        file.read_exact_at(&mut content, begin)?;
        let stored = content.split_off(length.saturating_sub(CHECKSUM_BYTES));
        owner.seal(page, &mut content);
        if !content.ends_with(&stored) {
            checked.bad.push(page);
        }
    }
    Ok(checked)
}

/// Reads content, verifying each page as it comes.
#[derive(Debug)]
pub(super) struct PageReader {
    file: File,
    owner: PagesOwner,
    content_len: u64,
    position: u64,
    page: Option<u64>,
    content: Vec<u8>,
}

/// Why a file of pages cannot be opened.
#[derive(Debug)]
pub(super) enum PagesFault {
    /// The file system refuses.
    Io(io::Error),
    /// The content is not what was written.
    Codec(CodecError),
}

impl PageReader {
    /// Opens a file that must belong to this owner and be so long.
    pub(super) fn open(file: File, owner: PagesOwner, bytes: u64) -> Result<PageReader, PagesFault> {
        let len = file.metadata().map_err(PagesFault::Io)?.len();
        let mut first = [0; HEADER_BYTES];
        if len < first.len() as u64 {
            return Err(PagesFault::Codec(CodecError::Damaged("it is too short")));
        }
        file.read_exact_at(&mut first, 0).map_err(PagesFault::Io)?;
        let found = read_header(&first).map_err(PagesFault::Codec)?;
        if found != owner {
            return Err(PagesFault::Codec(CodecError::Damaged(
                "it belongs to another journal or generation",
            )));
        }
        if len != bytes {
            return Err(PagesFault::Codec(CodecError::Damaged(
                "it has another length than when it was written",
            )));
        }
        let pages_len = len - HEADER_BYTES as u64;
        let pages = pages_len.div_ceil(PAGE_BYTES as u64);
        let content_len = pages_len.saturating_sub(pages * CHECKSUM_BYTES as u64);
        Ok(PageReader { file, owner, content_len, position: 0, page: None, content: Vec::new() })
    }

    fn load(&mut self, page: u64) -> io::Result<()> {
        if self.page == Some(page) {
            return Ok(());
        }
        self.page = None;
        let begin = page * CONTENT_BYTES as u64;
        let content_len = (self.content_len - begin).min(CONTENT_BYTES as u64);
        let content_len = usize::try_from(content_len).map_err(io::Error::other)?;
        self.content.resize(content_len + CHECKSUM_BYTES, 0);
        self.file.read_exact_at(&mut self.content, HEADER_BYTES as u64 + page * PAGE_BYTES as u64)?;
        let mut stored = [0; CHECKSUM_BYTES];
        stored.copy_from_slice(&self.content[content_len..]);
        self.content.truncate(content_len);
        self.owner.seal(page, &mut self.content);
        if self.content[content_len..] != stored {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a page's checksum does not agree"));
        }
        self.content.truncate(content_len);
        self.page = Some(page);
        Ok(())
    }
}

impl Read for PageReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.content_len {
            return Ok(0);
        }
        let content_bytes = CONTENT_BYTES as u64;
        self.load(self.position / content_bytes)?;
        let begin = usize::try_from(self.position % content_bytes).map_err(io::Error::other)?;
        let available = &self.content[begin..];
        let taken = available.len().min(out.len());
        out[..taken].copy_from_slice(&available[..taken]);
        self.position += taken as u64;
        Ok(taken)
    }
}

impl Seek for PageReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.content_len.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a position before the beginning"))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests;
