//! Keyed and unkeyed hashes: subject ids, field hashes, update digests, batch ids, idempotency keys.
//!
//! The only user of blake3 and siphasher. Every hash of a value is keyed with the state directory's own key, because
//! the space of phone numbers is small enough to be enumerated. Not here: where the key is stored (`journal/`).

use std::fmt;

use siphasher::sip::SipHasher24;

use crate::row::Version;
use crate::update::{FieldFact, FieldKind};

/// Keyed hash of a subject: 16 bytes over target, key field and canonical value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId(pub [u8; 16]);

impl SubjectId {
    /// Bytes at the end that say which target and key field the subject belongs to.
    pub const TAG_BYTES: usize = 3;

    /// Which target and key field the subject belongs to, so that a ledger of several targets can be told apart. Two
    /// targets of one journal have the same tag once in 16 million pairs; then their counts run together, nothing else.
    pub fn tag(self) -> SubjectTag {
        let mut tag = [0; SubjectId::TAG_BYTES];
        tag.copy_from_slice(&self.0[16 - SubjectId::TAG_BYTES..]);
        SubjectTag(tag)
    }
}

/// Stands for a target and a key field, at the end of every [`SubjectId`] of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubjectTag([u8; SubjectId::TAG_BYTES]);

/// Makes subjects out of the key values of one target and key field.
#[derive(Clone)]
pub struct Subjects {
    key: [u8; 32],
    tag: [u8; SubjectId::TAG_BYTES],
}

impl Subjects {
    /// Id of the subject whose key field has this canonical value.
    pub fn id(&self, value: &str) -> SubjectId {
        let hash = blake3::keyed_hash(&self.key, value.as_bytes());
        let mut id = first_half(hash.as_bytes());
        id[16 - SubjectId::TAG_BYTES..].copy_from_slice(&self.tag);
        SubjectId(id)
    }

    /// The tag of all of them.
    pub fn tag(&self) -> SubjectTag {
        SubjectTag(self.tag)
    }
}

impl fmt::Debug for Subjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subjects(..)")
    }
}

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
    /// Made with its key once: every field of every row begins with it.
    fields: SipHasher24,
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
            subjects: blake3::derive_key("simsync 2 subject id", secret),
            fields: SipHasher24::new_with_key(&first_half(&blake3::derive_key(
                "simsync 2 field hash",
                secret,
            ))),
            requests: blake3::derive_key("simsync 1 idempotency key", secret),
        }
    }

    /// Id of the subject whose key field has this canonical value on this target. For many values of one target and
    /// key field, make [`StateKey::subjects`] once.
    pub fn subject(&self, target: &str, key_field: FieldKind, value: &str) -> SubjectId {
        self.subjects(target, key_field).id(value)
    }

    /// What makes subjects out of the key values of a target.
    pub fn subjects(&self, target: &str, key_field: FieldKind) -> Subjects {
        let mut hasher = blake3::Hasher::new_keyed(&self.subjects);
        update_with_len(&mut hasher, target.as_bytes());
        update_with_len(&mut hasher, key_field.name().as_bytes());
        let mut bytes = [0; 32 + SubjectId::TAG_BYTES];
        hasher.finalize_xof().fill(&mut bytes);
        let (mut key, mut tag) = ([0; 32], [0; SubjectId::TAG_BYTES]);
        key.copy_from_slice(&bytes[..32]);
        tag.copy_from_slice(&bytes[32..]);
        Subjects { key, tag }
    }

    /// Hash of a field's canonical value. The same value in another field hashes differently. The empty value is that
    /// of a cleared field: [`FieldHash::CLEARED`].
    pub fn field(&self, kind: FieldKind, value: &str) -> FieldHash {
        self.field_numbered(&[&[kind as u8], value.as_bytes()].concat())
    }

    /// The same of the field's number and its value in one piece, as [`Fields::numbered`] gives them: so the hash is
    /// had at half the price.
    ///
    /// [`Fields::numbered`]: crate::update::Fields::numbered
    pub fn field_numbered(&self, field: &[u8]) -> FieldHash {
        if field.len() <= 1 {
            return FieldHash::CLEARED;
        }
        FieldHash(unreserved(self.fields.hash(field)))
    }

    /// Tells one token from another; says nothing of either.
    pub fn token(&self, token: &str) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.requests);
        hasher.update(b"token");
        update_with_len(&mut hasher, token.as_bytes());
        first_u64(hasher.finalize().as_bytes())
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

fn first_half(hash: &[u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
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
    fn subjects_of_one_target_and_key_field_share_their_tag_alone() {
        let subjects = key().subjects("a", FieldKind::Imei);
        let (one, other) = (subjects.id("1"), subjects.id("2"));
        assert_eq!((one.tag(), other.tag()), (subjects.tag(), subjects.tag()));
        assert_ne!(one.0[..13], other.0[..13]);
        assert_ne!(key().subject("b", FieldKind::Imei, "1").tag(), one.tag());
        assert_ne!(key().subject("a", FieldKind::Imsi, "1").tag(), one.tag());
    }

    #[test]
    fn no_value_has_the_hash_of_a_cleared_field_or_of_an_absent_one() {
        assert_eq!(key().field(FieldKind::Imsi, ""), FieldHash::CLEARED);
        assert_eq!(key().field_numbered(&[FieldKind::Imsi as u8]), FieldHash::CLEARED);
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
