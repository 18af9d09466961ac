//! The alphabet of everything the journal writes: variable-length integers, versions, optional parts, checksums.
//!
//! Hand-written because the log's size decides how long a run can go on before it must fold: a record is half of
//! what a self-describing format makes of it. Not here: records (`record.rs`), entries (`entry.rs`), named values
//! (`named.rs`).

use crate::digest::{UpdateDigest, checksum};
use crate::row::Version;
use crate::update::FieldSet;

/// Bytes of a checksum.
pub(super) const CHECKSUM_BYTES: usize = 8;

/// Bytes of a variable-length integer of 64 bits, at most.
const VARINT_BYTES_MAX: usize = 10;

/// Why bytes could not be read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CodecError {
    /// They are not what was written.
    Damaged(&'static str),
    /// They are of a format this build does not know, named here.
    Unknown(String),
}

/// Appends a variable-length integer: seven bits a byte, least significant first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a signed integer so that small magnitudes are short, whatever their sign.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Appends text with its length.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_varint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Appends a version.
pub(super) fn put_version(out: &mut Vec<u8>, version: Version) {
    put_varint(out, version.batch);
    put_varint(out, version.ordinal);
}

/// Appends a set of fields.
pub(super) fn put_fields(out: &mut Vec<u8>, fields: FieldSet) {
    put_varint(out, u64::from(fields.bits()));
}

/// Appends a digest.
pub(super) fn put_digest(out: &mut Vec<u8>, digest: UpdateDigest) {
    out.extend_from_slice(&digest.0.to_be_bytes());
}

/// Appends a status: 0 stands for none, HTTP has no such status.
pub(super) fn put_status(out: &mut Vec<u8>, status: Option<u16>) {
    put_varint(out, status.map_or(0, |status| u64::from(status) + 1));
}

/// Appends the checksum of everything before it.
pub(super) fn seal(bytes: &mut Vec<u8>) {
    seal_from(bytes, 0);
}

/// Appends the checksum of everything from a place on.
pub(super) fn seal_from(bytes: &mut Vec<u8>, begin: usize) {
    let sum = checksum(&bytes[begin..]);
    bytes.extend_from_slice(&sum.to_be_bytes());
}

/// What was sealed, if the checksum agrees.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
    (checksum(body) == u64::from_be_bytes(*sum)).then_some(body)
}

/// Cuts text to at most so many bytes, between characters.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Takes written parts off the front of a slice.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Decoder<'a> {
        Decoder { rest: bytes }
    }

    #[inline]
    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let (taken, rest) =
            self.rest.split_at_checked(len).ok_or(CodecError::Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let (taken, rest) =
            self.rest.split_first_chunk::<N>().ok_or(CodecError::Damaged("it ends too early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, CodecError> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u64_fixed(&mut self) -> Result<u64, CodecError> {
        self.array().map(u64::from_be_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, CodecError> {
        // Most numbers of an entry are small, and ten million entries are read in a second.
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, CodecError> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(VARINT_BYTES_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit; more would be lost without a word.
            if at + 1 == VARINT_BYTES_MAX && bits > 1 {
                break;
            }
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        let is_cut_off = self.rest.len() < VARINT_BYTES_MAX;
        Err(CodecError::Damaged(if is_cut_off { "it ends too early" } else { "a number is too long" }))
    }

    #[inline]
    pub(super) fn signed(&mut self) -> Result<i64, CodecError> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    #[inline]
    pub(super) fn length(&mut self) -> Result<usize, CodecError> {
        usize::try_from(self.varint()?).map_err(|_| CodecError::Damaged("a length is too large"))
    }

    pub(super) fn text(&mut self) -> Result<String, CodecError> {
        let len = self.length()?;
        let bytes = self.bytes(len)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| CodecError::Damaged("a text is not UTF-8"))
    }

    #[inline]
    pub(super) fn version(&mut self) -> Result<Version, CodecError> {
        Ok(Version { batch: self.varint()?, ordinal: self.varint()? })
    }

    #[inline]
    pub(super) fn fields(&mut self) -> Result<FieldSet, CodecError> {
        u16::try_from(self.varint()?)
            .ok()
            .and_then(FieldSet::from_bits)
            .ok_or(CodecError::Damaged("a set names a field that is none"))
    }

    pub(super) fn digest(&mut self) -> Result<UpdateDigest, CodecError> {
        self.u64_fixed().map(UpdateDigest)
    }

    pub(super) fn status(&mut self) -> Result<Option<u16>, CodecError> {
        match self.varint()? {
            0 => Ok(None),
            stored => {
                u16::try_from(stored - 1).map(Some).map_err(|_| CodecError::Damaged("a status is none"))
            }
        }
    }

    /// Whether nothing is left: what an earlier build did not write yet begins here.
    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn end(&self) -> Result<(), CodecError> {
        if self.rest.is_empty() { Ok(()) } else { Err(CodecError::Damaged("something follows its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_at_the_borders_come_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(Decoder::new(&bytes).varint(), Ok(value));
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            let mut bytes = Vec::new();
            put_signed(&mut bytes, value);
            assert_eq!(Decoder::new(&bytes).signed(), Ok(value));
        }
    }

    #[test]
    fn an_integer_that_overflows_is_refused() {
        let overflowing = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(Decoder::new(&overflowing).varint().is_err());
        assert!(Decoder::new(&[0xff; 11]).varint().is_err());
    }

    #[test]
    fn a_seal_notices_every_flipped_bit() {
        let mut bytes = b"intent".to_vec();
        seal(&mut bytes);
        assert_eq!(unseal(&bytes), Some(&b"intent"[..]));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 3), "aé");
    }
}
