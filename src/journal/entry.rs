//! Ledger entries as bytes: the value beside a subject id in a generation.
//!
//! Versions and times of fields are written only where they differ from the entry's, and most do not: the usual entry
//! takes some 90 bytes. A fold in the middle of a run keeps a subject's open intents behind its entry, so that the
//! next fold goes on as if there had been none between; whoever reads the entry finds them in doubt. Not here: the
//! file entries lie in (`generation.rs`), its checksums (`pages.rs`).

use crate::digest::{FieldHash, SubjectId};
use crate::ledger::{
    CORRECTED_MAX, Corrected, EntryFold, FailureKind, FieldState, IN_DOUBT_MAX, InDoubt, LedgerEntry,
    LedgerField, REFUSALS_MAX, Refusal, SAID_MAX, SIGNATURE_BYTES_MAX, Said,
};
use crate::row::Version;
use crate::update::{FIELD_COUNT, FieldFact, FieldKind, FieldSet};

use super::codec::{
    CodecError, Decoder, cut, put_digest, put_fields, put_signed, put_status, put_text, put_varint,
    put_version,
};

/// Version of an entry's layout and of the hashes in it. Version 1 hashed fields with BLAKE3 and subjects without a
/// tag. Its variants follow, up to [`ENTRY_VERSION_MAX`].
const ENTRY_VERSION: u8 = 2;

/// Added to the version where open intents follow the entry.
const WITH_OPEN: u8 = 1;

/// Added to the version where the entry has values last known of unknown fields, or times of fields.
const WITH_ASIDE: u8 = 2;

/// Added to the version where the entry has updates in doubt that were corrected.
const WITH_CORRECTED: u8 = 4;

/// Added to the version where the entry has what rows said of fields and is not in force.
const WITH_SAID: u8 = 8;

/// The last variant of the version.
const ENTRY_VERSION_MAX: u8 = ENTRY_VERSION + WITH_OPEN + WITH_ASIDE + WITH_CORRECTED + WITH_SAID;

/// Set beside a failure's kind when another batch follows than its version's: that of the run that sent the update.
const FAILED_IN: u8 = 0x80;

/// Set beside a field's number where another value was acknowledged since.
const SAID_REPLACED: u8 = 0x80;

/// Whether nothing is known of the subject, so that an entry would say nothing.
pub(super) fn is_blank(entry: &LedgerEntry) -> bool {
    *entry == LedgerEntry::new(entry.subject)
}

/// Appends an entry without its subject, and the subject's intents that are open.
pub(super) fn encode_entry(entry: &LedgerEntry, open: &[InDoubt], out: &mut Vec<u8>) {
    let has_aside = !entry.last_known.is_empty() || !entry.field_times_s.is_empty();
    let (open_bit, aside_bit) = (u8::from(!open.is_empty()) * WITH_OPEN, u8::from(has_aside) * WITH_ASIDE);
    let corrected_bit = u8::from(!entry.corrected.is_empty()) * WITH_CORRECTED;
    let said_bit = u8::from(!entry.said.is_empty()) * WITH_SAID;
    out.push(ENTRY_VERSION + open_bit + aside_bit + corrected_bit + said_bit);
    // 0 is no batch: batches are numbered from 1. An acknowledged version of batch 0 would still come back, for
    // the flag says whether there is one.
    out.push(u8::from(entry.acked.is_some()));
    let base = entry.acked.unwrap_or_default();
    put_version(out, base);
    put_signed(out, entry.acked_at_s);
    let present: FieldSet = fields_where(entry, |_| true);
    let own: FieldSet = fields_where(entry, |field| field.version != base);
    put_fields(out, present);
    put_fields(out, entry.unknown());
    put_fields(out, own);
    for field in FieldKind::ALL.into_iter().filter_map(|kind| entry.field(kind)) {
        if let FieldState::Known(hash) = field.state {
            out.extend_from_slice(&hash.0.to_be_bytes());
        }
        if field.version != base {
            put_version(out, field.version);
        }
    }
    put_doubts(out, &entry.in_doubt);
    put_varint(out, entry.refusals.len() as u64);
    for refusal in &entry.refusals {
        put_version(out, refusal.version);
        put_digest(out, refusal.digest);
        let is_own = refusal.batch == refusal.version.batch;
        out.push(failure_tag(refusal.kind) | if is_own { 0 } else { FAILED_IN });
        if !is_own {
            put_varint(out, refusal.batch);
        }
        put_varint(out, u64::from(refusal.count));
        put_status(out, refusal.status);
        put_text(out, cut(&refusal.signature, SIGNATURE_BYTES_MAX));
    }
    if has_aside {
        put_aside(out, entry);
    }
    if !entry.corrected.is_empty() {
        put_varint(out, entry.corrected.len() as u64);
        for corrected in &entry.corrected {
            put_version(out, corrected.version);
            put_digest(out, corrected.digest);
        }
    }
    if !entry.said.is_empty() {
        put_varint(out, entry.said.len() as u64);
        entry.said.iter().for_each(|said| put_said(out, said));
    }
    if !open.is_empty() {
        put_doubts(out, open);
    }
}

/// Whether open intents follow an encoded entry.
pub(super) fn has_open_intents(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|format| has_variant(*format, WITH_OPEN))
}

fn has_variant(format: u8, bit: u8) -> bool {
    (ENTRY_VERSION..=ENTRY_VERSION_MAX).contains(&format) && (format - ENTRY_VERSION) & bit != 0
}

/// Decodes the entry of a subject as it is to be read: what is open is in doubt.
pub(super) fn decode_entry(subject: SubjectId, bytes: &[u8]) -> Result<LedgerEntry, CodecError> {
    let mut entry = LedgerEntry::new(subject);
    decode_anew(&mut entry, subject, bytes)?;
    Ok(entry)
}

/// Like [`decode_entry`], to where another entry may stand.
pub(super) fn decode_anew(
    entry: &mut LedgerEntry,
    subject: SubjectId,
    bytes: &[u8],
) -> Result<(), CodecError> {
    entry.subject = subject;
    entry.fields = [None; FIELD_COUNT];
    entry.field_times_s.clear();
    entry.last_known.clear();
    entry.said.clear();
    entry.corrected.clear();
    let open = decode_into(entry, bytes)?;
    if !open.is_empty() {
        let read = std::mem::replace(entry, LedgerEntry::new(subject));
        *entry = EntryFold::resume(read, open).finish();
    }
    Ok(())
}

/// Decodes the entry of a subject as it is to be folded further, with its open intents apart.
pub(super) fn decode_parts(
    subject: SubjectId,
    bytes: &[u8],
) -> Result<(LedgerEntry, Vec<InDoubt>), CodecError> {
    let mut entry = LedgerEntry::new(subject);
    let open = decode_into(&mut entry, bytes)?;
    Ok((entry, open))
}

/// Decodes into an entry without fields, in place: an entry is some 400 bytes, and copying it takes longer than
/// reading it.
fn decode_into(entry: &mut LedgerEntry, bytes: &[u8]) -> Result<Vec<InDoubt>, CodecError> {
    let mut decoder = Decoder::new(bytes);
    let format = decoder.u8()?;
    if !(ENTRY_VERSION..=ENTRY_VERSION_MAX).contains(&format) {
        return Err(CodecError::Unknown(format!("ledger entry, format version {format}")));
    }
    let is_acked = match decoder.u8()? {
        0 => false,
        1 => true,
        _ => return Err(CodecError::Damaged("a flag is neither set nor clear")),
    };
    let base = decoder.version()?;
    entry.acked = is_acked.then_some(base);
    entry.acked_at_s = decoder.signed()?;
    take_fields(&mut decoder, base, &mut entry.fields)?;
    entry.in_doubt = take_list(&mut decoder, IN_DOUBT_MAX, take_doubt)?;
    entry.refusals = take_list(&mut decoder, REFUSALS_MAX, take_refusal)?;
    if has_variant(format, WITH_ASIDE) {
        take_aside(&mut decoder, entry)?;
    }
    if has_variant(format, WITH_CORRECTED) {
        let take = |decoder: &mut Decoder<'_>| {
            Ok(Corrected { version: decoder.version()?, digest: decoder.digest()? })
        };
        entry.corrected = take_list(&mut decoder, CORRECTED_MAX, take)?;
    }
    if has_variant(format, WITH_SAID) {
        entry.said = take_list(&mut decoder, SAID_MAX, take_said)?;
    }
    let open = if has_variant(format, WITH_OPEN) {
        // As many as a run may have open; each takes bytes, so the entry's own length bounds the list.
        take_list(&mut decoder, bytes.len(), take_doubt)?
    } else {
        Vec::new()
    };
    decoder.end()?;
    Ok(open)
}

/// The times are told by how long they came before the entry's, which is shorter.
fn put_aside(out: &mut Vec<u8>, entry: &LedgerEntry) {
    put_fields(out, entry.last_known.iter().map(|(kind, _)| *kind).collect());
    entry.last_known.iter().for_each(|(_, hash)| out.extend_from_slice(&hash.0.to_be_bytes()));
    put_fields(out, entry.field_times_s.iter().map(|(kind, _)| *kind).collect());
    entry.field_times_s.iter().for_each(|(_, at_s)| put_signed(out, entry.acked_at_s.wrapping_sub(*at_s)));
}

fn take_aside(decoder: &mut Decoder<'_>, entry: &mut LedgerEntry) -> Result<(), CodecError> {
    for kind in decoder.fields()?.iter() {
        entry.last_known.push((kind, FieldHash(decoder.u64_fixed()?)));
    }
    for kind in decoder.fields()?.iter() {
        entry.field_times_s.push((kind, entry.acked_at_s.wrapping_sub(decoder.signed()?)));
    }
    Ok(())
}

fn put_said(out: &mut Vec<u8>, said: &Said) {
    out.push(said.fact.kind as u8 | if said.is_replaced { SAID_REPLACED } else { 0 });
    out.extend_from_slice(&said.fact.hash.0.to_be_bytes());
    put_version(out, said.fact.version);
}

fn take_said(decoder: &mut Decoder<'_>) -> Result<Said, CodecError> {
    let byte = decoder.u8()?;
    let kind = FieldKind::ALL.get(usize::from(byte & !SAID_REPLACED)).copied();
    let kind = kind.ok_or(CodecError::Damaged("it names a field that is none"))?;
    let hash = FieldHash(decoder.u64_fixed()?);
    let fact = FieldFact { kind, hash, version: decoder.version()? };
    Ok(Said { fact, is_replaced: byte & SAID_REPLACED != 0 })
}

fn put_doubts(out: &mut Vec<u8>, doubts: &[InDoubt]) {
    put_varint(out, doubts.len() as u64);
    for doubt in doubts {
        put_version(out, doubt.version);
        put_fields(out, doubt.fields);
        put_digest(out, doubt.digest);
    }
}

fn take_doubt(decoder: &mut Decoder<'_>) -> Result<InDoubt, CodecError> {
    Ok(InDoubt { version: decoder.version()?, fields: decoder.fields()?, digest: decoder.digest()? })
}

fn fields_where(entry: &LedgerEntry, wanted: impl Fn(LedgerField) -> bool) -> FieldSet {
    FieldKind::ALL.into_iter().filter(|kind| entry.field(*kind).is_some_and(&wanted)).collect()
}

fn take_fields(
    decoder: &mut Decoder<'_>,
    base: Version,
    fields: &mut [Option<LedgerField>; FIELD_COUNT],
) -> Result<(), CodecError> {
    let present = decoder.fields()?;
    let unknown = decoder.fields()?;
    let own = decoder.fields()?;
    if unknown.union(own).is_empty() {
        // Nearly all entries: the hashes lie one behind the other.
        let (hashes, _) = decoder.bytes(size_of::<u64>() * present.len())?.as_chunks();
        for (kind, hash) in present.iter().zip(hashes) {
            let state = FieldState::Known(FieldHash(u64::from_be_bytes(*hash)));
            fields[kind.index()] = Some(LedgerField { state, version: base });
        }
        return Ok(());
    }
    for kind in present.iter() {
        let state = if unknown.contains(kind) {
            FieldState::Unknown
        } else {
            FieldState::Known(FieldHash(decoder.u64_fixed()?))
        };
        let version = if own.contains(kind) { decoder.version()? } else { base };
        fields[kind.index()] = Some(LedgerField { state, version });
    }
    Ok(())
}

fn take_refusal(decoder: &mut Decoder<'_>) -> Result<Refusal, CodecError> {
    let (version, digest) = (decoder.version()?, decoder.digest()?);
    let (kind, is_own) = take_failure(decoder)?;
    Ok(Refusal {
        version,
        batch: if is_own { version.batch } else { decoder.varint()? },
        digest,
        kind,
        count: u32::try_from(decoder.varint()?).map_err(|_| CodecError::Damaged("a count is too large"))?,
        status: decoder.status()?,
        signature: decoder.text()?,
    })
}

fn take_list<T>(
    decoder: &mut Decoder<'_>,
    len_max: usize,
    mut take: impl FnMut(&mut Decoder<'_>) -> Result<T, CodecError>,
) -> Result<Vec<T>, CodecError> {
    let len = decoder.length()?;
    if len == 0 {
        return Ok(Vec::new());
    }
    if len > len_max {
        return Err(CodecError::Damaged("a list is too long"));
    }
    (0..len).map(|_| take(decoder)).collect()
}

fn failure_tag(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::Refused => 1,
        FailureKind::Exhausted => 2,
        FailureKind::EchoMismatch => 3,
        FailureKind::Deferred => 4,
        FailureKind::Unresolved => 5,
    }
}

/// How an update failed, and whether in the batch of its version.
fn take_failure(decoder: &mut Decoder<'_>) -> Result<(FailureKind, bool), CodecError> {
    let byte = decoder.u8()?;
    let is_own = byte & FAILED_IN == 0;
    match byte & !FAILED_IN {
        1 => Ok((FailureKind::Refused, is_own)),
        2 => Ok((FailureKind::Exhausted, is_own)),
        3 => Ok((FailureKind::EchoMismatch, is_own)),
        4 => Ok((FailureKind::Deferred, is_own)),
        5 => Ok((FailureKind::Unresolved, is_own)),
        other => Err(CodecError::Unknown(format!("ledger entry, failure kind {other}"))),
    }
}

#[cfg(test)]
mod tests;
