//! Blocks of an input that are read and hashed before anybody asks for them, on a thread of their own.
//!
//! Only for a reading that goes from block to block. Not here: what a block is for, and whether its hash is the right
//! one (`blocks.rs`).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::blocks::{BLOCK_BYTES, as_u64};
use crate::digest::{ContentHash, content_hash};

/// Blocks that wait, at most.
const BLOCKS_MAX: usize = 3;

/// A block, or why it cannot be read.
type Fetched = io::Result<(Vec<u8>, ContentHash)>;

/// Blocks on their way. The thread ends when it is dropped.
#[derive(Debug)]
pub(super) struct Fetch {
    next: usize,
    blocks: Receiver<Fetched>,
    spare: Sender<Vec<u8>>,
}

impl Fetch {
    /// Begins to read a file of so many bytes from a block on.
    ///
    /// # Errors
    /// When the file cannot be shared or the thread cannot be started; the blocks can be read otherwise then.
    pub(super) fn start(file: &File, from: usize, bytes: u64) -> io::Result<Fetch> {
        let file = file.try_clone()?;
        let (sender, blocks) = sync_channel(BLOCKS_MAX);
        let (spare, spares) = channel();
        std::thread::Builder::new()
            .name("blocks".to_owned())
            .spawn(move || read(&file, from, bytes, &sender, &spares))?;
        Ok(Fetch { next: from, blocks, spare })
    }

    /// Copies a block and tells its length and hash. `None`: it is not the next one.
    pub(super) fn take(&mut self, index: usize, into: &mut [u8]) -> Option<io::Result<(usize, ContentHash)>> {
        if index != self.next {
            return None;
        }
        let (block, hash) = match self.blocks.recv().ok()? {
            Ok(fetched) => fetched,
            Err(error) => return Some(Err(error)),
        };
        let len = block.len();
        into.get_mut(..len)?.copy_from_slice(&block);
        self.next += 1;
        // The thread may have read everything by now.
        self.spare.send(block).unwrap_or_default();
        Some(Ok((len, hash)))
    }
}

fn read(file: &File, from: usize, bytes: u64, blocks: &SyncSender<Fetched>, spares: &Receiver<Vec<u8>>) {
    for index in from.. {
        let (offset, len) = place(index, bytes);
        if len == 0 {
            return;
        }
        let mut block = spares.try_recv().unwrap_or_default();
        block.resize(len, 0);
        let fetched = file.read_exact_at(&mut block, offset).map(|()| {
            let hash = content_hash(&block);
            (block, hash)
        });
        let is_over = fetched.is_err();
        if blocks.send(fetched).is_err() || is_over {
            return;
        }
    }
}

/// Where a block of a file of so many bytes begins, and its length; 0 after the last one.
pub(super) fn place(index: usize, bytes: u64) -> (u64, usize) {
    let offset = as_u64(index).saturating_mul(as_u64(BLOCK_BYTES));
    let left = bytes.saturating_sub(offset);
    (offset, usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn blocks_come_in_their_order_and_no_other() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..BLOCK_BYTES * 9 / 2).map(|at| u8::try_from(at % 251).unwrap()).collect();
        file.write_all(&bytes).unwrap();
        let mut fetch = Fetch::start(&file, 1, as_u64(bytes.len())).unwrap();
        let mut into = vec![0; BLOCK_BYTES];
        assert!(fetch.take(0, &mut into).is_none());
        for index in 1..5 {
            let (len, hash) = fetch.take(index, &mut into).unwrap().unwrap();
            let block = &bytes[index * BLOCK_BYTES..][..len];
            assert_eq!(len, if index == 4 { BLOCK_BYTES / 2 } else { BLOCK_BYTES });
            assert!(into[..len] == *block && hash == content_hash(block), "{index}");
        }
        assert!(fetch.take(5, &mut into).is_none());
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error_at_its_block() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(as_u64(BLOCK_BYTES) + 10).unwrap();
        let mut fetch = Fetch::start(&file, 0, as_u64(BLOCK_BYTES) * 2).unwrap();
        let mut into = vec![0; BLOCK_BYTES];
        assert!(fetch.take(0, &mut into).unwrap().is_ok());
        let error = fetch.take(1, &mut into).unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
