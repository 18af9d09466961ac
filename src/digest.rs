//! Keyed and unkeyed hashes: subject ids, field hashes, update digests, batch ids, idempotency keys.
//!
//! The only user of blake3. Every hash of a value is keyed with the state directory's own key, because the space
//! of phone numbers is small enough to be enumerated. Not here: where the key is stored (`journal/`).

use std::fmt;

use crate::row::Version;
use crate::update::{FieldFact, FieldKind};

/// Keyed hash of a subject: 16 bytes over target, key field and canonical value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(pub [u8; 16]);

/// Keyed hash of a field's canonical value, 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldHash(pub u64);

impl FieldHash {
    /// Stands for a field that is cleared. No value has this hash, nor the hash 0.
    pub const CLEARED: FieldHash = FieldHash(u64::MAX);
}

/// Digest of what an update sets: 8 bytes over its fields' hashes in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpdateDigest(pub u64);

/// Identity of a batch: the inputs' bytes in order, the target, and every setting that shapes updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub [u8; 16]);

/// Hash of a stretch of input bytes, unkeyed; it never leaves the process but inside a [`BatchId`].
pub type ContentHash = [u8; 32];

/// The secret of a state directory (a file of mode 0600 beside the journal) under which values are hashed.
#[derive(Clone)]
pub struct StateKey {
    subjects: [u8; 32],
    fields: [u8; 32],
    requests: [u8; 32],
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey(..)")
    }
}

impl StateKey {
    /// Length of the secret in bytes.
    pub const LEN: usize = 32;

    /// Derives the working keys from the stored secret, one per purpose, so that equal values of a subject and of
    /// a field do not show as equal hashes.
    pub fn new(secret: &[u8; StateKey::LEN]) -> StateKey {
        StateKey {
            subjects: blake3::derive_key("simsync 1 subject id", secret),
            fields: blake3::derive_key("simsync 1 field hash", secret),
            requests: blake3::derive_key("simsync 1 idempotency key", secret),
        }
    }

    /// Id of the subject whose key field has this canonical value on this target.
    pub fn subject(&self, target: &str, key_field: FieldKind, value: &str) -> SubjectId {
        let parts = [target.as_bytes(), key_field.name().as_bytes()];
        // One buffer on the stack for all usual values: the hasher's own set-up costs more than the hash.
        let mut short = [0_u8; 256];
        let lens = parts.map(|part| (part.len() as u64).to_be_bytes());
        let pieces = [&lens[0][..], parts[0], &lens[1][..], parts[1], value.as_bytes()];
        let len = pieces.iter().map(|piece| piece.len()).sum::<usize>();
        let hash = if len <= short.len() {
            let mut at = 0;
            for piece in pieces {
                short[at..at + piece.len()].copy_from_slice(piece);
                at += piece.len();
            }
            blake3::keyed_hash(&self.subjects, &short[..len])
        } else {
            let mut hasher = blake3::Hasher::new_keyed(&self.subjects);
            for piece in pieces {
                hasher.update(piece);
            }
            hasher.finalize()
        };
        let mut id = [0; 16];
        id.copy_from_slice(&hash.as_bytes()[..16]);
        SubjectId(id)
    }

    /// Hash of a field's canonical value. The same value in another field hashes differently. The empty value is that
    /// of a cleared field: [`FieldHash::CLEARED`].
    pub fn field(&self, kind: FieldKind, value: &str) -> FieldHash {
        if value.is_empty() {
            return FieldHash::CLEARED;
        }
        // One buffer on the stack for all usual values: the hasher's own set-up costs more than the hash.
        let mut short = [0_u8; 64];
        let bytes = value.as_bytes();
        let hash = if bytes.len() < short.len() {
            short[0] = kind as u8;
            short[1..=bytes.len()].copy_from_slice(bytes);
            blake3::keyed_hash(&self.fields, &short[..=bytes.len()])
        } else {
            let mut hasher = blake3::Hasher::new_keyed(&self.fields);
            hasher.update(&[kind as u8]);
            hasher.update(bytes);
            hasher.finalize()
        };
        FieldHash(unreserved(first_u64(hash.as_bytes())))
    }

    /// The `Idempotency-Key` of an attempt: the same after an unknown outcome, a new one after each definite
    /// refusal, a different one when an earlier value comes back in a later version.
    pub fn idempotency(
        &self,
        subject: SubjectId,
        version: Version,
        digest: UpdateDigest,
        refusals: u32,
    ) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.requests);
        hasher.update(&subject.0);
        hasher.update(&version.batch.to_be_bytes());
        hasher.update(&version.ordinal.to_be_bytes());
        hasher.update(&digest.0.to_be_bytes());
        hasher.update(&refusals.to_be_bytes());
        let mut key = hasher.finalize().to_hex();
        key.truncate(32);
        key.to_string()
    }
}

/// Digest of what an update sets. Facts must stand in wire order, as [`crate::update::Update`] keeps them.
pub fn update_digest(facts: &[FieldFact]) -> UpdateDigest {
    let mut hasher = blake3::Hasher::new();
    for fact in facts {
        hasher.update(&[fact.kind as u8]);
        hasher.update(&fact.hash.0.to_be_bytes());
    }
    UpdateDigest(first_u64(hasher.finalize().as_bytes()))
}

/// Hash of a block of input bytes.
pub fn content_hash(bytes: &[u8]) -> ContentHash {
    *blake3::hash(bytes).as_bytes()
}

/// Identity of a batch from its parts, in order: content hashes of the inputs' blocks, target, shaping settings.
/// Every part is hashed with its length, so that no two lists of parts run together.
pub fn batch_id<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> BatchId {
    let mut hasher = blake3::Hasher::new_derive_key("simsync 1 batch id");
    for part in parts {
        update_with_len(&mut hasher, part);
    }
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    BatchId(id)
}

/// Checksum of a record on disk: the first 8 bytes of its hash.
pub fn checksum(bytes: &[u8]) -> u64 {
    first_u64(blake3::hash(bytes).as_bytes())
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn update_with_len(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

/// A hash that is none of the two with a meaning of their own: absent, and cleared.
const fn unreserved(hash: u64) -> u64 {
    match hash {
        0 => 1,
        u64::MAX => u64::MAX - 1,
        hash => hash,
    }
}

fn first_u64(hash: &[u8; 32]) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> StateKey {
        StateKey::new(&[7; 32])
    }

    #[test]
    fn a_subject_depends_on_target_field_and_value() {
        let base = key().subject("a", FieldKind::Number, "+1");
        assert_ne!(base, key().subject("b", FieldKind::Number, "+1"));
        assert_ne!(base, key().subject("a", FieldKind::Username, "+1"));
        assert_ne!(base, key().subject("a", FieldKind::Number, "+2"));
        assert_ne!(base, StateKey::new(&[8; 32]).subject("a", FieldKind::Number, "+1"));
    }

    #[test]
    fn long_and_short_subjects_hash_alike() {
        for len in [0, 1, 200, 230, 231, 232, 233, 234, 235, 236, 300] {
            let value = "x".repeat(len);
            let mut hasher = blake3::Hasher::new_keyed(&key().subjects);
            update_with_len(&mut hasher, b"t");
            update_with_len(&mut hasher, b"imei");
            hasher.update(value.as_bytes());
            assert_eq!(key().subject("t", FieldKind::Imei, &value).0, hasher.finalize().as_bytes()[..16]);
        }
    }

    #[test]
    fn long_and_short_values_hash_alike() {
        // The stack buffer and the streaming path must agree at their border.
        for len in [1, 62, 63, 64, 65, 300] {
            let value = "x".repeat(len);
            let mut hasher = blake3::Hasher::new_keyed(&key().fields);
            hasher.update(&[FieldKind::Imei as u8]);
            hasher.update(value.as_bytes());
            assert_eq!(key().field(FieldKind::Imei, &value).0, first_u64(hasher.finalize().as_bytes()));
        }
    }

    #[test]
    fn no_value_has_the_hash_of_a_cleared_field_or_of_an_absent_one() {
        assert_eq!(key().field(FieldKind::Imsi, ""), FieldHash::CLEARED);
        assert_eq!(unreserved(FieldHash::CLEARED.0), u64::MAX - 1);
        assert_eq!((unreserved(0), unreserved(1), unreserved(77)), (1, 1, 77));
    }

    #[test]
    fn an_idempotency_key_changes_with_a_refusal_only() {
        let subject = SubjectId([1; 16]);
        let version = Version { batch: 1, ordinal: 2 };
        let digest = UpdateDigest(3);
        let first = key().idempotency(subject, version, digest, 0);
        assert_eq!(first, key().idempotency(subject, version, digest, 0));
        assert_ne!(first, key().idempotency(subject, version, digest, 1));
        assert_eq!(first.len(), 32);
    }
}
