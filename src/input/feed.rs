//! The text of an input that is not plain UTF-8: verified blocks, expanded, then decoded.
//!
//! A plain input never comes here: its blocks are its text. What cannot be read on is told only after the text before
//! it was handed out, so that rows before a bad byte are seen in any format. Not here: the steps themselves
//! (`expand.rs`, `encoding.rs`), records (`split.rs`).

use super::Pass;
use super::blocks::{BLOCK_BYTES, BOM, Source, as_u64};
use super::encoding::{Charset, Counted, Decoded, EncodingError, Transcoder};
use super::error::SourceError;
use super::expand::{EXPANSION_FLOOR_BYTES, Expanded, Expander, Fault, PackedError, Packing};

/// Bytes between expanding and decoding.
const STAGE_BYTES: usize = 128 << 10;

/// How the bytes of an input become its text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) packing: Option<Packing>,
    /// `None`: UTF-8, which is checked where its records are read.
    pub(super) charset: Option<Charset>,
    /// See [`super::EXPANSION_MAX`].
    pub(super) expansion_max: u64,
}

impl Reading {
    /// Whether the bytes are the text.
    pub(super) fn is_plain(self) -> bool {
        self.packing.is_none() && self.charset.is_none()
    }

    /// What an offset in the text before decoding counts in.
    pub(super) fn counted(self) -> Counted {
        if self.packing.is_some() { Counted::Decompressed } else { Counted::File }
    }
}

/// The blocks of a file as the bytes they stand for.
struct Bytes {
    expander: Expander,
    reading: Reading,
    next_block: usize,
    /// Bytes of the blocks before the one at hand.
    behind: u64,
    expanded: u64,
}

impl Bytes {
    /// Bytes of the file that were used.
    fn used(&self) -> u64 {
        self.behind - as_u64(self.expander.rest().len())
    }

    /// Writes the next bytes to `out`; 0 when none are left.
    fn fill(
        &mut self,
        source: &mut Source,
        pass: Pass,
        line: u64,
        out: &mut [u8],
    ) -> Result<usize, SourceError> {
        loop {
            match self.expander.expand(out) {
                Ok(Expanded::Bytes(len)) => {
                    self.expanded += as_u64(len);
                    self.check_expansion(source)?;
                    return Ok(len);
                }
                Ok(Expanded::Over) => return Ok(0),
                Ok(Expanded::NeedsBlock) => {
                    let index = self.next_block;
                    let before_last = as_u64(index).saturating_mul(as_u64(BLOCK_BYTES));
                    let mut read = 0;
                    self.expander.slot().load(BLOCK_BYTES, |block| {
                        read = source.read_block(index, block, pass)?;
                        let end = before_last.saturating_add(as_u64(read));
                        Ok::<_, SourceError>((read, end >= source.bytes))
                    })?;
                    self.behind += as_u64(read);
                    self.next_block += 1;
                }
                Err(fault) => return Err(self.explained(fault, source, line)),
            }
        }
    }

    fn check_expansion(&self, source: &Source) -> Result<(), SourceError> {
        let Some(packing) = self.reading.packing else { return Ok(()) };
        let (used, expansion_max) = (self.used(), self.reading.expansion_max);
        if self.expanded <= EXPANSION_FLOOR_BYTES || self.expanded <= used.saturating_mul(expansion_max) {
            return Ok(());
        }
        Err(PackedError::Expands { file: source.name.clone(), packing, offset: used, expansion_max }.into())
    }

    fn explained(&self, fault: Fault, source: &Source, line: u64) -> SourceError {
        let (file, offset) = (source.name.clone(), self.used());
        // What is not compressed has no such fault.
        let packing = self.reading.packing.unwrap_or(Packing::Gzip);
        match fault {
            Fault::Truncated => PackedError::Truncated { file, packing, offset, line }.into(),
            Fault::Damaged(source) => PackedError::Damaged { file, packing, offset, line, source }.into(),
            Fault::Trailing => PackedError::Trailing { file, packing, offset }.into(),
        }
    }
}

/// Expanded bytes that wait to be decoded.
struct Stage {
    transcoder: Transcoder,
    charset: Charset,
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    /// No further bytes come.
    is_last: bool,
    /// Of an encoding of single bytes, which takes nearly any bytes.
    utf8: Option<Utf8Watch>,
}

/// Whether the bytes so far are UTF-8 and not all of them ASCII.
#[derive(Default)]
struct Utf8Watch {
    /// The line of the first byte that is no ASCII.
    line: Option<u64>,
    /// The beginning of a character that the bytes so far end with.
    begun: Vec<u8>,
    is_other: bool,
}

impl Utf8Watch {
    /// Looks at some more bytes, before which the text ends as `lines` says.
    fn pass(&mut self, bytes: &[u8], lines: &Lines) {
        let Some(first) = bytes.iter().position(|byte| !byte.is_ascii()).filter(|_| !self.is_other) else {
            self.is_other |= !self.begun.is_empty() && !bytes.is_empty();
            return;
        };
        if self.line.is_none() {
            self.line = Some(lines.after(&bytes[..first]).0);
        }
        let joined = [std::mem::take(&mut self.begun).as_slice(), bytes].concat();
        match std::str::from_utf8(&joined) {
            Ok(_) => {}
            Err(bad) if bad.error_len().is_none() => self.begun = joined[bad.valid_up_to()..].to_vec(),
            Err(_) => self.is_other = true,
        }
    }

    /// The line of the first byte that is no ASCII, when all bytes were UTF-8.
    fn line(&self) -> Option<u64> {
        self.line.filter(|_| !self.is_other && self.begun.is_empty())
    }
}

/// One reading of an input. It has no `Debug`: it holds values.
pub(super) struct Feed {
    bytes: Bytes,
    stage: Option<Stage>,
    lines: Lines,
    failure: Option<SourceError>,
    over: bool,
}

impl Feed {
    pub(super) fn new(source: &Source) -> Result<Feed, SourceError> {
        let reading = source.reading;
        let stage = reading.charset.map(|charset| Stage {
            transcoder: Transcoder::new(charset),
            charset,
            bytes: vec![0; STAGE_BYTES],
            at: 0,
            end: 0,
            is_last: false,
            utf8: charset.is_single_byte().then(Utf8Watch::default),
        });
        let explained = |fault| match fault {
            // Only memory can be lacking here.
            Fault::Damaged(error) => {
                SourceError::Read { file: source.name.clone(), offset: 0, source: error }
            }
            Fault::Truncated | Fault::Trailing => SourceError::Changed { file: source.name.clone() },
        };
        let expander = Expander::new(reading.packing).map_err(explained)?;
        let bytes = Bytes { expander, reading, next_block: 0, behind: 0, expanded: 0 };
        Ok(Feed { bytes, stage, lines: Lines::new(), failure: None, over: false })
    }

    /// Whether all of the text was handed out.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// What stands after the text handed out, if it cannot be read on.
    pub(super) fn take_failure(&mut self) -> Option<SourceError> {
        self.failure.take()
    }

    /// What an offset in its text counts in.
    pub(super) fn counted(&self) -> Counted {
        self.bytes.reading.counted()
    }

    /// Bytes of the file that the text handed out came from.
    pub(super) fn used(&self) -> u64 {
        self.bytes.used()
    }

    /// Writes text to `out` until it is full, or nothing comes any more. Returns its length.
    pub(super) fn fill(
        &mut self,
        source: &mut Source,
        pass: Pass,
        out: &mut [u8],
    ) -> Result<usize, SourceError> {
        if let Some(failure) = self.failure.take() {
            self.over = true;
            return Err(failure);
        }
        let mut len = 0;
        while !self.over && len < out.len() {
            let before = len;
            let more = match &mut self.stage {
                None => self.bytes.fill(source, pass, self.lines.line, &mut out[len..]).map(|written| {
                    self.over = written == 0;
                    len += written;
                    true
                }),
                Some(stage) => {
                    let mut decoded = 0;
                    let step =
                        stage.step(&mut self.bytes, source, pass, &self.lines, &mut out[len..], &mut decoded);
                    len += decoded;
                    step.map(|step| match step {
                        Step::More => true,
                        Step::Full => false,
                        Step::Over => {
                            self.over = true;
                            false
                        }
                    })
                }
            };
            self.lines.pass(&out[before..len]);
            match more {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) if len == 0 => {
                    self.over = true;
                    return Err(failure);
                }
                Err(failure) => {
                    self.failure = Some(failure);
                    break;
                }
            }
        }
        Ok(len)
    }
}

enum Step {
    More,
    Full,
    Over,
}

impl Stage {
    /// Decodes what waits, or lets more come. `written` is the text that came out, also before an error.
    fn step(
        &mut self,
        bytes: &mut Bytes,
        source: &mut Source,
        pass: Pass,
        lines: &Lines,
        out: &mut [u8],
        written: &mut usize,
    ) -> Result<Step, SourceError> {
        if self.at == self.end && !self.is_last {
            self.at = 0;
            self.end = 0;
            self.end = bytes.fill(source, pass, lines.line, &mut self.bytes)?;
            self.is_last = self.end == 0;
            if let Some(utf8) = &mut self.utf8 {
                utf8.pass(&self.bytes[..self.end], lines);
            }
        }
        let (read, text_bytes, decoded) =
            self.transcoder.decode(&self.bytes[self.at..self.end], out, self.is_last);
        self.at += read;
        *written = text_bytes;
        match decoded {
            Decoded::All if self.is_last => match self.utf8.as_ref().and_then(Utf8Watch::line) {
                None => Ok(Step::Over),
                Some(line) => {
                    let (file, told) = (source.name.clone(), self.charset.name());
                    Err(EncodingError::ReadsAsUtf8 { file, told, line }.into())
                }
            },
            Decoded::All => Ok(Step::More),
            Decoded::Full => Ok(Step::Full),
            Decoded::Malformed { offset, bytes: bad } => {
                let (line, column) = lines.after(&out[..text_bytes]);
                Err(EncodingError::Malformed {
                    file: source.name.clone(),
                    encoding: self.charset.name(),
                    line,
                    column,
                    offset,
                    of: bytes.reading.counted(),
                    bytes: bad,
                }
                .into())
            }
        }
    }
}

/// Where in its lines a text is. LF, CRLF and a lone CR end a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lines {
    /// The line of the next character; the first is 1.
    line: u64,
    /// Characters of it so far.
    chars: u64,
    after_cr: bool,
    is_begun: bool,
}

impl Lines {
    fn new() -> Lines {
        Lines { line: 1, chars: 0, after_cr: false, is_begun: false }
    }

    /// Passes over some text.
    fn pass(&mut self, text: &[u8]) {
        let text = match text.strip_prefix(BOM) {
            Some(rest) if !self.is_begun => rest,
            Some(_) | None => text,
        };
        self.is_begun = true;
        let mut line_begin = None;
        for at in memchr::memchr2_iter(b'\n', b'\r', text) {
            let before = at.checked_sub(1).map(|before| text[before]);
            let ends_crlf = text[at] == b'\n' && before.map_or(self.after_cr, |byte| byte == b'\r');
            self.line += u64::from(!ends_crlf);
            line_begin = Some(at + 1);
        }
        if let Some(last) = text.last() {
            self.after_cr = *last == b'\r';
        }
        let chars = as_u64(chars(&text[line_begin.unwrap_or_default()..]));
        self.chars = if line_begin.is_some() { chars } else { self.chars + chars };
    }

    /// Line and column of what comes after some more text.
    fn after(mut self, text: &[u8]) -> (u64, u64) {
        self.pass(text);
        (self.line, self.chars + 1)
    }
}

/// Characters in a stretch of UTF-8; bytes that are none count as what they look like.
pub(super) fn chars(text: &[u8]) -> usize {
    text.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn utf8_is_told_in_any_pieces(bytes in prop::collection::vec(prop_oneof![
            Just("a".as_bytes()), Just("\u{e9}".as_bytes()), Just("\u{20ac}\n".as_bytes()), Just(&b"\xe9"[..]), Just(&b"\xe2\x82"[..]),
        ], 0..6), piece in 1_usize..5) {
            let bytes = bytes.concat();
            let (mut watch, mut lines) = (Utf8Watch::default(), Lines::new());
            for piece in bytes.chunks(piece) {
                watch.pass(piece, &lines);
                lines.pass(piece);
            }
            let is_utf8 = std::str::from_utf8(&bytes).is_ok() && !bytes.is_ascii();
            let before = bytes.iter().take_while(|byte| byte.is_ascii()).filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(watch.line(), is_utf8.then_some(1 + as_u64(before)));
        }

        #[test]
        fn lines_are_the_same_in_any_pieces(text in "[aé\n\r]{0,30}", cut in 0_usize..60) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let mut lines = Lines::new();
            lines.pass(&bytes[..cut]);
            prop_assert_eq!(lines.after(&bytes[cut..]), Lines::new().after(bytes));
            let plain = text.replace("\r\n", "\n").replace('\r', "\n");
            let last = plain.rsplit('\n').next().unwrap_or_default();
            let expected = (1 + as_u64(plain.matches('\n').count()), 1 + as_u64(last.chars().count()));
            prop_assert_eq!(Lines::new().after(bytes), expected);
        }
    }
}
