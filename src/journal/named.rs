//! The small named values: what the journal keeps beside log and ledger, one name each.
//!
//! A value is `version u8 | content | checksum`, the checksum taken over the name too, so that no value passes for
//! another's. Not here: when they change (`batches.rs`, `core.rs`).

use crate::digest::{BatchId, SubjectId, checksum, content_hash};
use crate::event::BatchFigures;
use crate::update::{FIELD_COUNT, FieldKind};

use super::codec::{CHECKSUM_BYTES, CodecError, Decoder, put_signed, put_text, put_varint};
use super::error::JournalError;
use super::store::Store;
use super::watermark::LedgerName;

/// Bytes of a target or run id at most; they stand in names and values of at most 4 KiB.
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// Version of a named value's layout.
const NAMED_VERSION: u8 = 1;

/// Something kept under a name.
pub(super) trait Named: Sized {
    fn encode(&self, out: &mut Vec<u8>);
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError>;
}

/// An open batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenBatch {
    /// Its sequence on the target.
    pub(super) seq: u64,
    /// Its rows.
    pub(super) rows: u64,
    /// When it was begun, in seconds since the Unix epoch.
    pub(super) begun_s: i64,
    /// Whether a run began to deliver it, so that something may stand under its version.
    pub(super) delivered: bool,
}

/// Which batch a run was about: the meaning of `_run` in a row fed back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunBatch {
    /// The target.
    pub target: String,
    /// The batch's sequence on it.
    pub batch_seq: u64,
}

/// Subjects that are kept as turned away, at most: as many as fit into one value.
pub const TURNED_AWAY_MAX: usize = 240;

/// Batches of a target of which it is kept whom their runs were stopped for, at most: the oldest goes.
pub const TURNED_AWAY_BATCHES_MAX: usize = 8;

/// Version of what is kept of those turned away. The first one was kept for a target as a whole, under a name without a
/// batch, which nobody asks for any more.
const TURNED_AWAY_VERSION: u8 = 2;

/// Whom the runs of a batch were stopped for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TurnedAway {
    /// The batch, by its sequence.
    pub batch: u64,
    /// What tells the token that the latest of those runs had at its end from others; 0 where another batch's run was
    /// stopped under it since.
    pub token: u64,
    /// Whether others had passed in those runs.
    pub others_passed: bool,
    /// Whether it is told to other batches, too, that have nothing of their own: no newer one has ended in order since.
    pub is_for_others: bool,
    /// Subjects that were turned away when a run was stopped, the latest first, and are not settled since; at most
    /// [`TURNED_AWAY_MAX`] are kept.
    pub subjects: Vec<SubjectId>,
}

/// How far a target's ledger has moved, so that a plan can tell whether it still stands on the one it was made of. Each
/// number only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerMoves {
    /// Times somebody else than a batch changed it, for all targets together: `adopt`, `forget`.
    pub aside: u64,
    /// Times a batch began to deliver that was not the last one to do so.
    pub batches: u64,
    /// Runs that began to deliver.
    pub deliveries: u64,
    /// The last batch that delivered, and its sequence.
    pub last: Option<(BatchId, u64)>,
}

impl Named for LedgerMoves {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.batches);
        put_varint(out, self.deliveries);
        let (id, seq) = self.last.unwrap_or((BatchId([0; 16]), 0));
        put_varint(out, seq);
        out.extend_from_slice(&id.0);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let (batches, deliveries, seq) = (decoder.varint()?, decoder.varint()?, decoder.varint()?);
        let id = BatchId(decoder.array()?);
        let last = (seq > 0).then_some((id, seq));
        // Counted under a name of its own, for all targets.
        Ok(LedgerMoves { aside: 0, batches, deliveries, last })
    }
}

/// The usual figures of a target are encoded as what they are: the newest last.
impl Named for Vec<BatchFigures> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.len() as u64);
        for figures in self {
            put_varint(out, figures.batch_seq);
            put_varint(out, figures.rows);
            put_varint(out, figures.missing);
            put_varint(out, figures.filled.len() as u64);
            figures.filled.iter().for_each(|filled| put_varint(out, *filled));
        }
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let count = decoder.varint()?;
        let mut all = Vec::new();
        for _ in 0..count {
            let (batch_seq, rows, missing) = (decoder.varint()?, decoder.varint()?, decoder.varint()?);
            // Fields are only ever added at the end.
            let mut filled = [0; FIELD_COUNT];
            for index in 0..decoder.varint()? {
                let value = decoder.varint()?;
                if let Some(slot) = usize::try_from(index).ok().and_then(|index| filled.get_mut(index)) {
                    *slot = value;
                }
            }
            all.push(BatchFigures { batch_seq, rows, missing, filled });
        }
        Ok(all)
    }
}

impl Named for OpenBatch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.seq);
        put_varint(out, self.rows);
        put_signed(out, self.begun_s);
        out.push(u8::from(self.delivered));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let (seq, rows, begun_s) = (decoder.varint()?, decoder.varint()?, decoder.signed()?);
        // Earlier builds did not say; whoever is not told must take it that something of the batch was sent.
        let delivered = decoder.is_at_end() || decoder.u8()? != 0;
        Ok(OpenBatch { seq, rows, begun_s, delivered })
    }
}

impl Named for RunBatch {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.batch_seq);
        put_text(out, &self.target);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        Ok(RunBatch { batch_seq: decoder.varint()?, target: decoder.text()? })
    }
}

impl Named for u64 {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, *self);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        decoder.varint()
    }
}

impl Named for TurnedAway {
    fn encode(&self, out: &mut Vec<u8>) {
        let kept = self.subjects.len().min(TURNED_AWAY_MAX);
        out.extend([TURNED_AWAY_VERSION, u8::from(self.others_passed), u8::from(self.is_for_others)]);
        put_varint(out, self.batch);
        out.extend(self.token.to_be_bytes());
        put_varint(out, kept as u64);
        self.subjects.iter().take(kept).for_each(|subject| out.extend_from_slice(&subject.0));
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let version = decoder.u8()?;
        if version != TURNED_AWAY_VERSION {
            return Err(CodecError::Unknown(format!("those turned away, format version {version}")));
        }
        let (others_passed, is_for_others) = (decoder.u8()? != 0, decoder.u8()? != 0);
        let batch = decoder.varint()?;
        let token = u64::from_be_bytes(decoder.array()?);
        let count = decoder.varint()?;
        let subjects = (0..count).map(|_| decoder.array().map(SubjectId)).collect::<Result<_, _>>()?;
        Ok(TurnedAway { batch, token, others_passed, is_for_others, subjects })
    }
}

impl Named for LedgerName {
    fn encode(&self, out: &mut Vec<u8>) {
        LedgerName::encode(self, out);
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        LedgerName::decode(decoder)
    }
}

impl Named for FieldKind {
    fn encode(&self, out: &mut Vec<u8>) {
        put_text(out, self.name());
    }

    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        let name = decoder.text()?;
        FieldKind::from_name(&name).ok_or_else(|| CodecError::Unknown(format!("key field {name}")))
    }
}

/// A bare fact: that its name is there is all it says.
impl Named for () {
    fn encode(&self, _out: &mut Vec<u8>) {}

    fn decode(_decoder: &mut Decoder<'_>) -> Result<Self, CodecError> {
        Ok(())
    }
}

/// Name of the journal's identity.
pub(super) const IDENTITY: &str = "identity";

/// Name of the standing ledger generation.
pub(super) const LEDGER: &str = "ledger";

/// Name of a target's key field.
pub(super) fn key_field(target: &str) -> String {
    format!("key/{target}")
}

/// Name of the number of attempts at once that a target's last run settled at.
pub(super) fn settled_limit(target: &str) -> String {
    format!("in-flight/{target}")
}

/// What the names of all targets' turned away begin with.
pub(super) const TURNED_AWAY: &str = "turned-away/";

/// What the names of a target's turned away begin with. The zero byte ends the target.
pub(super) fn turned_away_at(target: &str) -> String {
    format!("{TURNED_AWAY}{target}\0")
}

/// Name of whom the runs of a batch were stopped for.
pub(super) fn turned_away(target: &str, batch: u64) -> String {
    format!("{TURNED_AWAY}{target}\0{batch}")
}

/// Name of the count of moves of all ledgers that no batch made.
pub(super) const MOVES_ASIDE: &str = "moves-aside";

/// Name of how far a target's ledger has moved.
pub(super) fn moves(target: &str) -> String {
    format!("moves/{target}")
}

/// Name of the figures of a target's latest batches of this key field. The zero byte ends the target.
pub(super) fn figures(target: &str, key: FieldKind) -> String {
    format!("figures/{target}\0{key}")
}

/// Name of the newest batch's sequence on a target.
pub(super) fn newest_batch(target: &str) -> String {
    format!("newest/{target}")
}

/// What the names of a target's open batches begin with. The zero byte ends the target, so that no target's
/// batches are found under another.
pub(super) fn open_batches(target: &str) -> String {
    format!("open/{target}\0")
}

/// Name of an open batch.
pub(super) fn open_batch(target: &str, id: BatchId) -> String {
    format!("open/{target}\0{id}")
}

/// Name of a run's batch.
pub(super) fn run(run_id: &str) -> String {
    format!("run/{run_id}")
}

/// Name of a fingerprint that was acknowledged at least once. Fingerprints can be long; their hash is not.
pub(super) fn proven(fingerprint: &str) -> String {
    let hash = content_hash(fingerprint.as_bytes());
    hash.iter().fold("proven/".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}

/// Refuses targets and run ids that cannot be part of a name.
pub(super) fn check_name(name: &str) -> Result<(), JournalError> {
    if name.len() > NAME_BYTES_MAX {
        return Err(JournalError::Misuse { what: "a name of more than 1024 bytes" });
    }
    if name.contains('\0') {
        return Err(JournalError::Misuse { what: "a name with a zero byte" });
    }
    Ok(())
}

/// The bytes of something under its name.
pub(super) fn encode<T: Named>(name: &str, value: &T) -> Vec<u8> {
    let mut bytes = vec![NAMED_VERSION];
    value.encode(&mut bytes);
    let sum = sum(name, &bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    bytes
}

/// Reads something back.
pub(super) fn decode<T: Named>(name: &str, bytes: &[u8]) -> Result<T, JournalError> {
    let read = || {
        let (body, stored) = bytes
            .split_last_chunk::<CHECKSUM_BYTES>()
            .filter(|(body, stored)| sum(name, body) == u64::from_be_bytes(**stored))
            .ok_or(CodecError::Damaged("its checksum does not agree"))?;
        debug_assert_eq!(stored.len(), CHECKSUM_BYTES);
        let mut decoder = Decoder::new(body);
        let version = decoder.u8()?;
        if version != NAMED_VERSION {
            return Err(CodecError::Unknown(format!("named value {}, format version {version}", kind(name))));
        }
        let value = T::decode(&mut decoder)?;
        decoder.end()?;
        Ok(value)
    };
    read().map_err(|fault| match fault {
        CodecError::Damaged(why) => JournalError::damaged(
            format!("the named value {}: {why}", kind(name)),
            "what it said of batches and runs",
        ),
        CodecError::Unknown(what) => JournalError::UnknownFormat { what },
    })
}

/// Whether something stands under its name as it was written, whatever it is.
pub(super) fn check_sum(name: &str, bytes: &[u8]) -> Result<(), JournalError> {
    match bytes.split_last_chunk::<CHECKSUM_BYTES>() {
        Some((body, stored)) if sum(name, body) == u64::from_be_bytes(*stored) => Ok(()),
        Some(_) | None => Err(JournalError::damaged(
            format!("the named value {}: its checksum does not agree", kind(name)),
            "what it said of batches and runs",
        )),
    }
}

/// Reads a named value of the store.
pub(super) fn get<T: Named>(store: &dyn Store, name: &str) -> Result<Option<T>, JournalError> {
    store.named(name)?.map(|bytes| decode(name, &bytes)).transpose()
}

/// The part of a name that tells what it is, without whose it is.
fn kind(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

fn sum(name: &str, body: &[u8]) -> u64 {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes.extend_from_slice(body);
    checksum(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_under_their_name_only() {
        let value = OpenBatch { seq: 7, rows: 1_000_000, begun_s: -5, delivered: false };
        let bytes = encode("open/a", &value);
        assert_eq!(decode::<OpenBatch>("open/a", &bytes).unwrap(), value);
        assert!(matches!(decode::<OpenBatch>("open/b", &bytes), Err(JournalError::Damaged { .. })));
    }

    #[test]
    fn an_unknown_version_is_refused_by_name() {
        let mut bytes = vec![9];
        let sum = sum("run/x", &bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        let error = decode::<RunBatch>("run/x", &bytes).unwrap_err();
        assert!(
            matches!(error, JournalError::UnknownFormat { what } if what == "named value run, format version 9")
        );
    }

    #[test]
    fn as_many_turned_away_are_kept_as_a_value_holds_and_another_version_is_refused_by_name() {
        let of = |number: u32| SubjectId(u128::from(number).to_be_bytes());
        let value = TurnedAway {
            batch: u64::MAX,
            token: u64::MAX,
            others_passed: true,
            is_for_others: false,
            subjects: (0..2 * 240).map(of).collect(),
        };
        let mut bytes = encode("turned-away/x", &value);
        assert!(bytes.len() <= crate::journal::record::VALUE_BYTES_MAX, "{}", bytes.len());
        let kept = TurnedAway { subjects: (0..240).map(of).collect(), ..value };
        assert_eq!(decode::<TurnedAway>("turned-away/x", &bytes).unwrap(), kept);
        bytes.truncate(bytes.len() - CHECKSUM_BYTES);
        bytes[1] = 9;
        let sum = sum("turned-away/x", &bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        let error = decode::<TurnedAway>("turned-away/x", &bytes).unwrap_err();
        assert!(matches!(error, JournalError::UnknownFormat { what } if what.contains("format version 9")));
    }

    #[test]
    fn no_target_finds_the_batches_of_another() {
        let id = BatchId([1; 16]);
        assert!(!open_batch("https://a/x", id).starts_with(&open_batches("https://a/")));
        assert!(open_batch("https://a/", id).starts_with(&open_batches("https://a/")));
    }
}
