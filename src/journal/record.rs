//! Records of the log as bytes, and the packed values that hold them, as they are read.
//!
//! A value is `version u8 | own sequence u64 | count u16 | records | checksum u64`, at most 4 KiB, because sled
//! keeps larger ones in files it never syncs. A record is `length | type and version u8 | subject 16 bytes | rest`:
//! a fold can skip the records of other partitions without reading them. Not here: what records mean
//! (`ledger.rs`), how values come about (`packing.rs`), the store that keeps them.

use crate::digest::{FieldHash, SubjectId};
use crate::ledger::{FailureKind, Record, SIGNATURE_BYTES_MAX, UnknownCause};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind};

use super::codec::{
    CodecError, Decoder, cut, put_digest, put_fields, put_signed, put_status, put_text, put_varint,
    put_version, unseal,
};
use super::error::JournalError;

/// Bytes of a value, at most. A leaf of sled holds 16 values; over 128 KiB it goes to blob files that are never
/// synced (reliability.md section 2.2).
pub(super) const VALUE_BYTES_MAX: usize = 4096;

/// Version of a value's layout.
pub(super) const VALUE_VERSION: u8 = 1;

/// Version of the record types' layouts, but for those of [`WITH_FACTS`].
const RECORD_VERSION: u8 = 1;

/// Version of records of failed updates and of those in doubt: their facts follow, which version 1 did not have.
const WITH_FACTS: u8 = 2;

const HEADER_BYTES: usize = 1 + 8 + 2;

const TAG_INTENT: u8 = 1;
const TAG_SYNCED: u8 = 2;
const TAG_REFUSED: u8 = 3;
const TAG_DEFERRED: u8 = 4;
const TAG_UNKNOWN: u8 = 5;
const TAG_WITHDRAWN: u8 = 6;
const TAG_REFUSED_IN: u8 = 7;
const TAG_CONFIRMED: u8 = 8;

/// How an update was refused.
const KIND_REFUSED: u8 = 1;
const KIND_UNRESOLVED: u8 = 2;

/// Set beside the field's number when a fact has another version than its record.
const FACT_OWN_VERSION: u8 = 0x80;

/// Refuses what no record may be, before anything of it is written.
pub(super) fn check(record: &Record) -> Result<(), JournalError> {
    match record {
        Record::Synced { facts, .. }
        | Record::Confirmed { facts, .. }
        | Record::Refused { facts, .. }
        | Record::RefusedIn { facts, .. }
        | Record::Deferred { facts, .. }
        | Record::Unknown { facts, .. }
            if facts.len() > FIELD_COUNT =>
        {
            Err(JournalError::Misuse { what: "more facts than there are fields" })
        }
        Record::RefusedIn { kind, .. } if !kind.is_definite() => {
            Err(JournalError::Misuse { what: "a refusal that is not definite" })
        }
        Record::Intent { .. }
        | Record::Synced { .. }
        | Record::Refused { .. }
        | Record::RefusedIn { .. }
        | Record::Deferred { .. }
        | Record::Unknown { .. }
        | Record::Withdrawn { .. }
        | Record::Confirmed { .. } => Ok(()),
    }
}

/// A value as it lies in the log.
#[derive(Debug)]
pub(super) struct LogValue<'a> {
    /// Records in it.
    pub(super) count: u16,
    /// Their bytes.
    pub(super) body: &'a [u8],
}

/// Opens the value stored under a sequence.
pub(super) fn open_value(sequence: u64, bytes: &[u8]) -> Result<LogValue<'_>, CodecError> {
    let body = unseal(bytes).ok_or(CodecError::Damaged("its checksum does not agree"))?;
    let mut decoder = Decoder::new(body);
    let version = decoder.u8()?;
    if version != VALUE_VERSION {
        return Err(CodecError::Unknown(format!("log value, format version {version}")));
    }
    if decoder.u64_fixed()? != sequence {
        return Err(CodecError::Damaged("it was written under another sequence"));
    }
    let count = u16::from_be_bytes(decoder.array()?);
    Ok(LogValue { count, body: &body[HEADER_BYTES..] })
}

impl<'a> LogValue<'a> {
    /// The records' bytes, undecoded, in log order.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<&'a [u8], CodecError>> + use<'a> {
        let mut decoder = Decoder::new(self.body);
        let mut left = self.count;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            left -= 1;
            Some(decoder.length().and_then(|len| decoder.bytes(len)))
        })
    }
}

/// The subject of an undecoded record.
pub(super) fn subject_of(record: &[u8]) -> Result<SubjectId, CodecError> {
    let mut decoder = Decoder::new(record);
    decoder.u8()?;
    decoder.array().map(SubjectId)
}

/// Appends a record without its length. It must have passed [`check`].
pub(super) fn encode_record(record: &Record, out: &mut Vec<u8>) {
    let tag = match record {
        Record::Intent { .. } => TAG_INTENT,
        Record::Synced { .. } => TAG_SYNCED,
        Record::Refused { .. } => TAG_REFUSED,
        Record::Deferred { .. } => TAG_DEFERRED,
        Record::Unknown { .. } => TAG_UNKNOWN,
        Record::Withdrawn { .. } => TAG_WITHDRAWN,
        Record::RefusedIn { .. } => TAG_REFUSED_IN,
        Record::Confirmed { .. } => TAG_CONFIRMED,
    };
    out.push(tag << 4 | newest_version(tag));
    out.extend_from_slice(&record.subject().0);
    put_version(out, record.version());
    match record {
        Record::Intent { fields, digest, .. } => {
            put_fields(out, *fields);
            put_digest(out, *digest);
        }
        Record::Synced { version, facts, at_s, .. } => {
            put_signed(out, *at_s);
            put_facts(out, facts, *version);
        }
        Record::Confirmed { version, facts, .. } => put_facts(out, facts, *version),
        Record::RefusedIn { batch, kind, digest, status, signature, unknown, .. } => {
            put_varint(out, *batch);
            out.push(if *kind == FailureKind::Unresolved { KIND_UNRESOLVED } else { KIND_REFUSED });
            put_digest(out, *digest);
            put_varint(out, u64::from(*status));
            put_fields(out, *unknown);
            put_text(out, cut(signature, SIGNATURE_BYTES_MAX));
        }
        Record::Refused { digest, status, signature, unknown, .. }
        | Record::Deferred { digest, status, signature, unknown, .. } => {
            put_digest(out, *digest);
            put_varint(out, u64::from(*status));
            put_fields(out, *unknown);
            put_text(out, cut(signature, SIGNATURE_BYTES_MAX));
        }
        Record::Unknown { fields, digest, cause, status, signature, .. } => {
            put_fields(out, *fields);
            put_digest(out, *digest);
            out.push(cause_tag(*cause));
            put_status(out, *status);
            put_text(out, cut(signature, SIGNATURE_BYTES_MAX));
        }
        Record::Withdrawn { .. } => {}
    }
    if let Some(facts) = facts_behind(record) {
        put_facts(out, facts, record.version());
    }
}

/// The facts that stand behind everything else of a record.
fn facts_behind(record: &Record) -> Option<&[FieldFact]> {
    match record {
        Record::Refused { facts, .. }
        | Record::RefusedIn { facts, .. }
        | Record::Deferred { facts, .. }
        | Record::Unknown { facts, .. } => Some(facts),
        Record::Intent { .. }
        | Record::Synced { .. }
        | Record::Withdrawn { .. }
        | Record::Confirmed { .. } => None,
    }
}

fn newest_version(tag: u8) -> u8 {
    match tag {
        TAG_REFUSED | TAG_REFUSED_IN | TAG_DEFERRED | TAG_UNKNOWN => WITH_FACTS,
        _ => RECORD_VERSION,
    }
}

fn put_facts(out: &mut Vec<u8>, facts: &[FieldFact], record_version: Version) {
    put_varint(out, facts.len() as u64);
    facts.iter().for_each(|fact| put_fact(out, fact, record_version));
}

fn put_fact(out: &mut Vec<u8>, fact: &FieldFact, record_version: Version) {
    let own = fact.version != record_version;
    let mut bytes = [0; 1 + size_of::<u64>()];
    bytes[0] = fact.kind as u8 | if own { FACT_OWN_VERSION } else { 0 };
    bytes[1..].copy_from_slice(&fact.hash.0.to_be_bytes());
    out.extend_from_slice(&bytes);
    if own {
        put_version(out, fact.version);
    }
}

fn take_facts(decoder: &mut Decoder<'_>, record_version: Version) -> Result<Vec<FieldFact>, CodecError> {
    let count = decoder.length()?;
    if count > FIELD_COUNT {
        return Err(CodecError::Damaged("it holds more facts than there are fields"));
    }
    (0..count).map(|_| take_fact(decoder, record_version)).collect()
}

/// None in records of before the facts.
fn take_facts_behind(
    decoder: &mut Decoder<'_>,
    format: u8,
    record_version: Version,
) -> Result<Vec<FieldFact>, CodecError> {
    if format < WITH_FACTS { Ok(Vec::new()) } else { take_facts(decoder, record_version) }
}

fn take_fact(decoder: &mut Decoder<'_>, record_version: Version) -> Result<FieldFact, CodecError> {
    let byte = decoder.u8()?;
    let kind = FieldKind::ALL
        .get(usize::from(byte & !FACT_OWN_VERSION))
        .copied()
        .ok_or(CodecError::Damaged("a fact names a field that is none"))?;
    let hash = FieldHash(decoder.u64_fixed()?);
    let version = if byte & FACT_OWN_VERSION == 0 { record_version } else { decoder.version()? };
    Ok(FieldFact { kind, hash, version })
}

/// Decodes one record.
pub(super) fn decode_record(bytes: &[u8]) -> Result<Record, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let byte = decoder.u8()?;
    let (tag, format) = (byte >> 4, byte & 0x0f);
    refuse_unknown(tag, format)?;
    let subject = SubjectId(decoder.array()?);
    let version = decoder.version()?;
    let record = match tag {
        TAG_INTENT => {
            Record::Intent { subject, version, fields: decoder.fields()?, digest: decoder.digest()? }
        }
        TAG_SYNCED => {
            let at_s = decoder.signed()?;
            Record::Synced { subject, version, facts: take_facts(&mut decoder, version)?, at_s }
        }
        TAG_CONFIRMED => Record::Confirmed { subject, version, facts: take_facts(&mut decoder, version)? },
        TAG_REFUSED_IN => Record::RefusedIn {
            subject,
            version,
            batch: decoder.varint()?,
            kind: take_refused_kind(&mut decoder)?,
            digest: decoder.digest()?,
            status: take_status(&mut decoder)?,
            unknown: decoder.fields()?,
            signature: decoder.text()?,
            facts: take_facts_behind(&mut decoder, format, version)?,
        },
        TAG_REFUSED | TAG_DEFERRED => {
            let digest = decoder.digest()?;
            let status = take_status(&mut decoder)?;
            let unknown = decoder.fields()?;
            let signature = decoder.text()?;
            let facts = take_facts_behind(&mut decoder, format, version)?;
            if tag == TAG_REFUSED {
                Record::Refused { subject, version, digest, status, signature, unknown, facts }
            } else {
                Record::Deferred { subject, version, digest, status, signature, unknown, facts }
            }
        }
        TAG_UNKNOWN => Record::Unknown {
            subject,
            version,
            fields: decoder.fields()?,
            digest: decoder.digest()?,
            cause: take_cause(&mut decoder)?,
            status: decoder.status()?,
            signature: decoder.text()?,
            facts: take_facts_behind(&mut decoder, format, version)?,
        },
        _ => Record::Withdrawn { subject, version },
    };
    decoder.end()?;
    Ok(record)
}

fn refuse_unknown(tag: u8, format: u8) -> Result<(), CodecError> {
    let name = match tag {
        TAG_INTENT => "intent",
        TAG_SYNCED => "synced",
        TAG_REFUSED => "refused",
        TAG_DEFERRED => "deferred",
        TAG_UNKNOWN => "unknown",
        TAG_WITHDRAWN => "withdrawn",
        TAG_REFUSED_IN => "refused-in",
        TAG_CONFIRMED => "confirmed",
        _ => return Err(CodecError::Unknown(format!("log record of type {tag}, format version {format}"))),
    };
    if !(RECORD_VERSION..=newest_version(tag)).contains(&format) {
        return Err(CodecError::Unknown(format!("{name} record, format version {format}")));
    }
    Ok(())
}

fn take_status(decoder: &mut Decoder<'_>) -> Result<u16, CodecError> {
    u16::try_from(decoder.varint()?).map_err(|_| CodecError::Damaged("a status is none"))
}

fn take_refused_kind(decoder: &mut Decoder<'_>) -> Result<FailureKind, CodecError> {
    match decoder.u8()? {
        KIND_REFUSED => Ok(FailureKind::Refused),
        KIND_UNRESOLVED => Ok(FailureKind::Unresolved),
        other => Err(CodecError::Unknown(format!("refused-in record, kind {other}"))),
    }
}

fn cause_tag(cause: UnknownCause) -> u8 {
    match cause {
        UnknownCause::Exhausted => 1,
        UnknownCause::EchoMismatch => 2,
        UnknownCause::Cut => 3,
    }
}

fn take_cause(decoder: &mut Decoder<'_>) -> Result<UnknownCause, CodecError> {
    match decoder.u8()? {
        1 => Ok(UnknownCause::Exhausted),
        2 => Ok(UnknownCause::EchoMismatch),
        3 => Ok(UnknownCause::Cut),
        other => Err(CodecError::Unknown(format!("unknown record, cause {other}"))),
    }
}

#[cfg(test)]
mod tests;
