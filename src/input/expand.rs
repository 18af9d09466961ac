//! Compressed inputs: the bytes behind gzip members and zstd frames, block by block. The only door of flate2 and zstd.
//!
//! An [`Expander`] is fed: it holds one block of the file, which was verified before it came here, and says when it
//! needs the next one. Memory does not grow with the input. A stream that ends too early, is damaged, or is followed
//! by something else is an error, never a silent end. Not here: reading blocks (`blocks.rs`), what decides that an
//! input is compressed (`sniff.rs`), the characters in the bytes (`encoding.rs`).

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use zstd::stream::raw::{DParameter, Decoder, Operation};

use super::error::SourceError;
use super::sniff::Foreign;

/// Expanded bytes below which the expansion is not judged: short repetitive files compress very well.
pub(super) const EXPANSION_FLOOR_BYTES: u64 = 16 << 20;

/// Largest window of a zstd frame, as a power of two: the 128 MiB that the zstd tool itself takes without a word.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// How an input is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip (RFC 1952), one member or several.
    Gzip,
    /// zstd (RFC 8878), one frame or several, skippable ones among them.
    Zstd,
}

impl Packing {
    /// What decompresses a file beforehand.
    pub(super) fn tool(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
        }
    }
}

impl Packing {
    /// What a file is that is compressed by it although it was decompressed already.
    pub(super) fn twice(self) -> Foreign {
        match self {
            Packing::Gzip => Foreign::Gzip,
            Packing::Zstd => Foreign::Zstd,
        }
    }
}

impl fmt::Display for Packing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tool())
    }
}

/// What is wrong with compressed bytes. No row of such a file is sent: the survey fails.
#[derive(Debug, thiserror::Error)]
pub enum PackedError {
    /// The compressed stream is cut off.
    #[error("{file}: the {packing} data is cut off at byte {offset} of the file, in line {line} of its text")]
    Truncated {
        /// The input as given.
        file: String,
        /// How it is compressed.
        packing: Packing,
        /// Bytes of the file that were decompressed.
        offset: u64,
        /// The physical line of the text that could not be read on.
        line: u64,
    },
    /// The compressed stream is damaged, or a checksum does not fit.
    #[error(
        "{file}: the {packing} data is damaged near byte {offset} of the file, in line {line} of its text"
    )]
    Damaged {
        /// The input as given.
        file: String,
        /// How it is compressed.
        packing: Packing,
        /// Bytes of the file that were decompressed.
        offset: u64,
        /// The physical line of the text that could not be read on.
        line: u64,
        /// The library's reason.
        source: io::Error,
    },
    /// Something follows that is no further part of the stream. Zeros may: tapes and block devices add them.
    #[error("{file}: other bytes follow the {packing} data at byte {offset} of the file")]
    Trailing {
        /// The input as given.
        file: String,
        /// How it is compressed.
        packing: Packing,
        /// Where they begin.
        offset: u64,
    },
    /// A byte of the file stands for more text than bounds allow.
    #[error(
        "{file}: each {packing} byte stands for more than {expansion_max} bytes of text at byte {offset} of the file"
    )]
    Expands {
        /// The input as given.
        file: String,
        /// How it is compressed.
        packing: Packing,
        /// Bytes of the file that were decompressed.
        offset: u64,
        /// The bound in force.
        expansion_max: u64,
    },
}

impl PackedError {
    /// What the operator can do about it.
    pub(super) fn remedy(&self) -> String {
        match self {
            PackedError::Truncated { packing, .. } => format!(
                "the transfer or the export broke off: fetch the file again, and test it with {} -t FILE",
                packing.tool()
            ),
            PackedError::Damaged { packing, .. } => {
                format!("fetch the file again, in binary mode, and test it with {} -t FILE", packing.tool())
            }
            PackedError::Trailing { packing, .. } => format!(
                "fetch the file again; or cut it off there, or decompress it: {} -dc FILE > FILE.csv",
                packing.tool()
            ),
            PackedError::Expands { packing, .. } => format!(
                "look at the text ({} -dc FILE | head); if it is right, raise input.expansion_max",
                packing.tool()
            ),
        }
    }
}

impl From<PackedError> for SourceError {
    fn from(error: PackedError) -> SourceError {
        SourceError::Packed(error)
    }
}

/// What is wrong, before it is told with its place.
#[derive(Debug)]
pub(super) enum Fault {
    Truncated,
    Damaged(io::Error),
    Trailing,
}

/// What a step of an expander came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// So many bytes were written.
    Bytes(usize),
    /// The next block is needed.
    NeedsBlock,
    /// Everything was written, and nothing is left of the file.
    Over,
}

/// The block at hand. It has no `Debug`: it holds values.
#[derive(Default)]
pub(super) struct Slot {
    block: Vec<u8>,
    at: usize,
    end: usize,
    is_last: bool,
}

impl Slot {
    /// Puts the next block in place of one that was used up; `read` returns its length and whether it is the last.
    pub(super) fn load<E>(
        &mut self,
        len_max: usize,
        read: impl FnOnce(&mut [u8]) -> Result<(usize, bool), E>,
    ) -> Result<(), E> {
        self.block.resize(len_max, 0);
        (self.end, self.is_last) = read(&mut self.block)?;
        self.at = 0;
        Ok(())
    }

    /// What of the block is not used yet.
    pub(super) fn rest(&self) -> &[u8] {
        &self.block[self.at..self.end]
    }
}

impl BufRead for Slot {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.end && !self.is_last {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.at = (self.at + amount).min(self.end);
    }
}

impl Read for Slot {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

/// Turns the blocks of a file into the bytes they stand for.
pub(super) enum Expander {
    /// They stand for themselves.
    Stored(Slot),
    Gzip(Gzip),
    Zstd(Zstd),
}

impl Expander {
    pub(super) fn new(packing: Option<Packing>) -> Result<Expander, Fault> {
        Ok(match packing {
            None => Expander::Stored(Slot::default()),
            Some(Packing::Gzip) => Expander::Gzip(Gzip {
                decoder: Box::new(GzDecoder::new(Slot::default())),
                at: Within::Member,
            }),
            Some(Packing::Zstd) => Expander::Zstd(Zstd::new().map_err(Fault::Damaged)?),
        })
    }

    pub(super) fn slot(&mut self) -> &mut Slot {
        match self {
            Expander::Stored(slot) => slot,
            Expander::Gzip(gzip) => gzip.decoder.get_mut(),
            Expander::Zstd(zstd) => &mut zstd.slot,
        }
    }

    /// What of the block at hand is not used yet.
    pub(super) fn rest(&self) -> &[u8] {
        match self {
            Expander::Stored(slot) => slot.rest(),
            Expander::Gzip(gzip) => gzip.decoder.get_ref().rest(),
            Expander::Zstd(zstd) => zstd.slot.rest(),
        }
    }

    /// Writes the next bytes to `out`, which has room for at least one.
    pub(super) fn expand(&mut self, out: &mut [u8]) -> Result<Expanded, Fault> {
        match self {
            Expander::Stored(slot) => match slot.read(out) {
                Ok(0) => Ok(Expanded::Over),
                Ok(read) => Ok(Expanded::Bytes(read)),
                Err(_) => Ok(Expanded::NeedsBlock),
            },
            Expander::Gzip(gzip) => gzip.expand(out),
            Expander::Zstd(zstd) => zstd.expand(out),
        }
    }
}

/// Members of a gzip file, one after the other.
pub(super) struct Gzip {
    decoder: Box<GzDecoder<Slot>>,
    at: Within,
}

/// Where in a gzip file the decoder is.
#[derive(Clone, Copy)]
enum Within {
    Member,
    Between,
    /// In the zeros after the last member.
    Padding,
}

impl Gzip {
    fn expand(&mut self, out: &mut [u8]) -> Result<Expanded, Fault> {
        loop {
            match self.at {
                Within::Member => match self.decoder.read(out) {
                    Ok(0) => self.at = Within::Between,
                    Ok(written) => return Ok(Expanded::Bytes(written)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Ok(Expanded::NeedsBlock);
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                        return Err(Fault::Truncated);
                    }
                    Err(error) => return Err(Fault::Damaged(error)),
                },
                Within::Between | Within::Padding => {
                    let slot = self.decoder.get_mut();
                    match (slot.rest().first(), self.at) {
                        (None, _) if slot.is_last => return Ok(Expanded::Over),
                        (None, _) => return Ok(Expanded::NeedsBlock),
                        (Some(0), _) => {
                            let zeros = slot.rest().iter().take_while(|byte| **byte == 0).count();
                            slot.consume(zeros);
                            self.at = Within::Padding;
                        }
                        (Some(0x1f), Within::Between) => {
                            let slot = std::mem::take(slot);
                            self.decoder.reset(slot);
                            self.at = Within::Member;
                        }
                        (Some(_), _) => return Err(Fault::Trailing),
                    }
                }
            }
        }
    }
}

/// Frames of a zstd file, one after the other.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    slot: Slot,
    /// Whether the frame at hand has not come to its end.
    in_frame: bool,
}

impl Zstd {
    fn new() -> io::Result<Zstd> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))?;
        Ok(Zstd { decoder, slot: Slot::default(), in_frame: false })
    }

    fn expand(&mut self, out: &mut [u8]) -> Result<Expanded, Fault> {
        loop {
            let input = self.slot.rest();
            let is_dry = input.is_empty();
            // The decoder may hold bytes that `out` had no room for, but only within a frame; an empty input given to
            // it between frames would begin another one.
            if !is_dry || self.in_frame {
                let status = self.decoder.run_on_buffers(input, out).map_err(Fault::Damaged)?;
                self.slot.consume(status.bytes_read);
                self.in_frame = status.remaining != 0;
                if status.bytes_written > 0 {
                    return Ok(Expanded::Bytes(status.bytes_written));
                }
                if status.bytes_read > 0 {
                    continue;
                }
            }
            return match (self.slot.is_last, self.in_frame) {
                (false, _) => Ok(Expanded::NeedsBlock),
                (true, true) => Err(Fault::Truncated),
                (true, false) => Ok(Expanded::Over),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Everything a file stands for, given to the expander in blocks of this length, written in pieces of that one.
    fn expand(packing: Option<Packing>, file: &[u8], block: usize, piece: usize) -> Result<Vec<u8>, Fault> {
        let mut expander = Expander::new(packing).unwrap();
        let mut blocks = file.chunks(block).peekable();
        let mut all = Vec::new();
        let mut out = vec![0; piece];
        loop {
            match expander.expand(&mut out)? {
                Expanded::Bytes(len) => all.extend_from_slice(&out[..len]),
                Expanded::Over => return Ok(all),
                Expanded::NeedsBlock => {
                    let next = blocks.next().unwrap_or_default();
                    let is_last = blocks.peek().is_none();
                    let load = |into: &mut [u8]| {
                        into[..next.len()].copy_from_slice(next);
                        Ok::<_, Fault>((next.len(), is_last))
                    };
                    expander.slot().load(block, load)?;
                }
            }
        }
    }

    #[test]
    fn gzip_members_with_names_comments_and_padding_are_one_text() {
        let mut named = flate2::GzBuilder::new()
            .filename("export.csv")
            .comment("nightly")
            .extra(vec![7; 300])
            .write(Vec::new(), flate2::Compression::best());
        named.write_all(b"two,").unwrap();
        let parts =
            [gzip(b"one,"), named.finish().unwrap(), gzip(b""), gzip(b"three"), vec![0; 700]].concat();
        for block in [1, 2, 7, 64, 4096] {
            assert_eq!(expand(Some(Packing::Gzip), &parts, block, 3).unwrap(), b"one,two,three", "{block}");
        }
    }

    #[test]
    fn every_cut_of_a_stream_is_found_but_one_between_parts() {
        let (one, two) = (b"imsi,note\n310260123456789,a\n".repeat(20), b"310260123456780,b\n".repeat(30));
        let zstd = |text: &[u8]| zstd::bulk::compress(text, 3).unwrap();
        for (packing, first, second) in
            [(Packing::Gzip, gzip(&one), gzip(&two)), (Packing::Zstd, zstd(&one), zstd(&two))]
        {
            let whole = [first.as_slice(), &second].concat();
            for cut in 1..whole.len() {
                let result = expand(Some(packing), &whole[..cut], 16, 100);
                if cut == first.len() {
                    // Nothing in either format says that a further part was meant to come.
                    assert_eq!(result.unwrap(), one);
                } else {
                    assert!(matches!(result, Err(Fault::Truncated)), "{packing} cut at {cut}: {result:?}");
                }
            }
        }
    }

    #[test]
    fn what_follows_a_stream_is_another_part_or_an_error() {
        for (after, fault) in
            [(&b"xyz"[..], "trailing"), (b"\0\0x", "trailing"), (b"\x1fyz_______", "damaged")]
        {
            let file = [gzip(b"text").as_slice(), after].concat();
            for block in [1, 5, 4096] {
                let result = expand(Some(Packing::Gzip), &file, block, 10);
                let found = match result {
                    Err(Fault::Trailing) => "trailing",
                    Err(Fault::Damaged(_)) => "damaged",
                    Err(Fault::Truncated) | Ok(_) => "other",
                };
                assert_eq!(found, fault, "{}", after.escape_ascii());
            }
        }
    }

    #[test]
    fn skippable_zstd_frames_are_skipped() {
        let skippable = b"\x50\x2a\x4d\x18\x05\0\0\0hello";
        let frame = |text: &[u8]| zstd::bulk::compress(text, 1).unwrap();
        let file =
            [&skippable[..], &frame(b"one,"), skippable, &frame(b""), &frame(b"two"), skippable].concat();
        for block in [1, 3, 4096] {
            assert_eq!(expand(Some(Packing::Zstd), &file, block, 2).unwrap(), b"one,two", "{block}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_blocks_and_pieces_give_the_same_bytes(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..5),
            repeated in 1_usize..40, block in 1_usize..300, piece in 1_usize..300,
        ) {
            let parts: Vec<Vec<u8>> = parts.into_iter().map(|part| part.repeat(repeated)).collect();
            let text = parts.concat();
            let gz: Vec<u8> = parts.iter().flat_map(|part| gzip(part)).collect();
            let zst: Vec<u8> = parts.iter().flat_map(|part| zstd::bulk::compress(part, 3).unwrap()).collect();
            prop_assert_eq!(expand(Some(Packing::Gzip), &gz, block, piece).unwrap(), text.clone());
            prop_assert_eq!(expand(Some(Packing::Zstd), &zst, block, piece).unwrap(), text.clone());
            prop_assert_eq!(expand(None, &text, block, piece).unwrap(), text);
        }

        #[test]
        fn no_damage_brings_it_down(text in proptest::collection::vec(any::<u8>(), 0..300), at: usize, byte: u8) {
            for (packing, mut file) in
                [(Packing::Gzip, gzip(&text)), (Packing::Zstd, zstd::bulk::compress(&text, 3).unwrap())]
            {
                let at = at % file.len();
                file[at] ^= byte;
                let _ended = expand(Some(packing), &file, 32, 64);
            }
        }
    }
}
