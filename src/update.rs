//! Facts about updates: the nine fields, sets of fields, and a valid, normalised row.
//!
//! Not here: the rules of a field (`fields/`), hashing (`digest.rs`), the wire format (`api/envelope.rs`).

use std::fmt;
use std::sync::Arc;

use crate::choice::choice;
use crate::digest::{FieldHash, SubjectId};
use crate::row::Version;

/// Number of members of the update.
pub const FIELD_COUNT: usize = 9;

choice! {
    /// One of the nine members of the update, in the order of the vendor's page, which is the order on the wire.
    #[derive(PartialOrd, Ord, Hash)]
    #[repr(u8)]
    pub enum FieldKind {
        /// MSISDN, E.164.
        Number = "number",
        /// Identifier from the operating system or app store.
        GenericId = "generic_id",
        /// IMEI, 3GPP TS 23.003 clause 6.2.1.
        Imei = "imei",
        /// IMSI, E.212.
        Imsi = "imsi",
        /// ICCID, E.118.
        Iccid = "iccid",
        /// Login name.
        Username = "username",
        /// Password hash.
        Password = "password",
        /// The CRM's identifier of the user.
        UserExternalId = "user_external_id",
        /// Class of service.
        UserClass = "user_class",
    }
}

impl FieldKind {
    /// Position in wire order, 0 to 8.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of fields, as bits in wire order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FieldSet(u16);

impl FieldSet {
    /// No field.
    pub const EMPTY: FieldSet = FieldSet(0);

    /// Fields of which one value belongs to one subject.
    pub const EXCLUSIVE: FieldSet = FieldSet::only(FieldKind::Number)
        .union(FieldSet::only(FieldKind::Imsi))
        .union(FieldSet::only(FieldKind::Iccid));

    /// The set with exactly this field.
    pub const fn only(kind: FieldKind) -> FieldSet {
        FieldSet(1 << kind.index())
    }

    /// The bits, for a record on disk.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set of these bits; `None` when a bit stands for no field.
    pub const fn from_bits(bits: u16) -> Option<FieldSet> {
        if bits >> FIELD_COUNT == 0 { Some(FieldSet(bits)) } else { None }
    }

    /// Whether the field is in the set.
    pub const fn contains(self, kind: FieldKind) -> bool {
        self.0 & (1 << kind.index()) != 0
    }

    /// Adds a field.
    pub const fn insert(&mut self, kind: FieldKind) {
        self.0 |= 1 << kind.index();
    }

    /// Takes a field out.
    pub const fn remove(&mut self, kind: FieldKind) {
        self.0 &= !(1 << kind.index());
    }

    /// Fields in either set.
    pub const fn union(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 | other.0)
    }

    /// Fields in this set and not in the other.
    pub const fn minus(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & !other.0)
    }

    /// Fields in both sets.
    pub const fn intersect(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & other.0)
    }

    /// Whether no field is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of fields in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The fields in wire order.
    pub fn iter(self) -> impl Iterator<Item = FieldKind> {
        // Bit by bit: every row passes through here several times.
        let mut bits = self.0;
        std::iter::from_fn(move || {
            let next = FieldKind::ALL.get(bits.trailing_zeros() as usize).copied()?;
            bits &= bits - 1;
            Some(next)
        })
    }
}

impl FromIterator<FieldKind> for FieldSet {
    fn from_iter<I: IntoIterator<Item = FieldKind>>(kinds: I) -> FieldSet {
        let mut set = FieldSet::EMPTY;
        for kind in kinds {
            set.insert(kind);
        }
        set
    }
}

/// The canonical values of a row's present fields. An absent field is not sent; an empty value clears its field, and no
/// value is empty otherwise.
#[derive(Clone, Default)]
pub struct Fields {
    /// The values in the order they were set, each behind the number of its field, as they are hashed. One text for
    /// all of them, since every row of a file passes through here.
    text: String,
    /// Where each present field's value stands in the text: its beginning and its length in bytes.
    spans: [(usize, usize); FIELD_COUNT],
    present: FieldSet,
}

impl Fields {
    /// The canonical value of a field, if present.
    pub fn get(&self, kind: FieldKind) -> Option<&str> {
        let (start, len) = self.spans[kind.index()];
        self.present.contains(kind).then(|| self.text.get(start..start + len).unwrap_or_default())
    }

    /// Sets or replaces a field.
    #[inline]
    pub fn set(&mut self, kind: FieldKind, value: &str) {
        if self.present.contains(kind) {
            self.clear(kind);
        }
        self.text.push(char::from(kind as u8));
        self.spans[kind.index()] = (self.text.len(), value.len());
        self.text.push_str(value);
        self.present.insert(kind);
    }

    /// Takes a field out.
    pub fn clear(&mut self, kind: FieldKind) {
        if !self.present.contains(kind) {
            return;
        }
        let (start, len) = self.spans[kind.index()];
        self.text.replace_range(start - 1..start + len, "");
        self.present.remove(kind);
        for kind in self.present.iter() {
            let behind = &mut self.spans[kind.index()].0;
            if *behind > start {
                *behind -= 1 + len;
            }
        }
    }

    /// Takes every field out and keeps the memory.
    pub fn clear_all(&mut self) {
        self.text.clear();
        self.present = FieldSet::EMPTY;
    }

    /// Which fields are present.
    pub fn present(&self) -> FieldSet {
        self.present
    }

    /// What is hashed of a field, if present: its number, then its canonical value.
    pub fn numbered(&self, kind: FieldKind) -> Option<&[u8]> {
        if !self.present.contains(kind) {
            return None;
        }
        let (start, len) = self.spans[kind.index()];
        self.text.as_bytes().get(start - 1..start + len)
    }

    /// The present fields in wire order, as [`Fields::numbered`] gives them.
    pub fn iter_numbered(&self) -> impl Iterator<Item = (FieldKind, &[u8])> {
        self.present.iter().filter_map(|kind| Some((kind, self.numbered(kind)?)))
    }

    /// The present fields in wire order.
    pub fn iter(&self) -> impl Iterator<Item = (FieldKind, &str)> {
        self.present.iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }
}

/// Equal when the same fields have the same values, in whatever order they were set.
impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.present == other.present && self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

/// Prints which fields are present and never a value: values of identifiers belong in no log.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|(kind, _)| kind.name())).finish()
    }
}

/// One field of an update as the journal and the plan know it: no value, only its keyed hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldFact {
    /// Which field.
    pub kind: FieldKind,
    /// Keyed hash of its canonical value.
    pub hash: FieldHash,
    /// Version of the row that set it.
    pub version: Version,
}

/// A valid, normalised row, or several rows of one subject folded into one: what one request sets.
#[derive(Debug, Clone)]
pub struct Update {
    /// Whom it is about.
    pub subject: SubjectId,
    /// The newest version among its fields, but for that of a doubt which its key bears ([`Update::settling`]).
    pub version: Version,
    /// The values to send.
    pub fields: Fields,
    /// The same fields as facts, in wire order.
    pub facts: Vec<FieldFact>,
    /// Values of its rows that are not sent, because the server has them: it may quote them all the same.
    pub unsent: Option<Arc<Fields>>,
}

impl Update {
    /// The update, which repeats the word of an older row in an update in doubt of this version: what was in doubt of
    /// its fields is settled by its acknowledgement, though its rows are older. Its key, which goes with every
    /// update, bears the version.
    #[must_use]
    pub fn settling(mut self, doubt: Option<Version>, key: Option<FieldKind>) -> Update {
        let of_key = self.facts.iter_mut().find(|fact| Some(fact.kind) == key);
        if let (Some(fact), Some(doubt)) = (of_key, doubt) {
            fact.version = fact.version.max(doubt);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_indexes_agree() {
        for (index, kind) in FieldKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.index(), index);
            assert_eq!(FieldKind::from_name(kind.name()), Some(kind));
        }
    }

    #[test]
    fn a_set_refuses_bits_that_are_no_field() {
        assert_eq!(FieldSet::from_bits(0b1_1111_1111).map(FieldSet::len), Some(9));
        assert_eq!(FieldSet::from_bits(1 << 9), None);
    }

    #[test]
    fn fields_are_set_replaced_and_taken_out_in_any_order() {
        use FieldKind::{Iccid, Imei, Imsi, UserClass};
        let mut fields = Fields::default();
        let steps = [(Imsi, "1"), (Imei, "22"), (UserClass, ""), (Imsi, "333"), (Iccid, "4"), (Imei, "5")];
        for (kind, value) in steps {
            fields.set(kind, value);
            assert_eq!(fields.get(kind), Some(value));
        }
        let all = [(Imei, "5"), (Imsi, "333"), (Iccid, "4"), (UserClass, "")];
        assert_eq!(fields.iter().collect::<Vec<_>>(), all);
        fields.clear(Imsi);
        fields.clear(Imsi);
        assert_eq!(fields.iter().collect::<Vec<_>>(), [all[0], all[2], all[3]]);

        let mut same = Fields::default();
        for (kind, value) in [(UserClass, ""), (Imei, "5"), (Iccid, "4")] {
            same.set(kind, value);
        }
        assert_eq!(fields, same);
        same.clear(UserClass);
        assert_ne!(fields, same);
        same.clear_all();
        assert_eq!(same, Fields::default());
        assert_eq!(same.get(Imei), None);
        // What stood behind a value in the row before is nowhere in this one.
        let mut reused = Fields::default();
        reused.set(Imei, "356868000041418");
        reused.set(Imsi, "1");
        reused.clear_all();
        reused.set(Imei, "a value longer than the one before");
        reused.clear(Imei);
        assert_eq!(reused, Fields::default());
    }

    #[test]
    fn what_is_hashed_is_the_fields_number_and_its_value_wherever_it_stands() {
        use FieldKind::{Imei, Imsi, Number, UserClass};
        let mut fields = Fields::default();
        for (kind, value) in [(UserClass, "gold"), (Imsi, "1"), (Number, "+1"), (Imei, ""), (Imsi, "22")] {
            fields.set(kind, value);
        }
        fields.clear(UserClass);
        let numbered: Vec<_> = fields.iter_numbered().collect();
        let expected = [(Number, &b"\0+1"[..]), (Imei, &b"\x02"[..]), (Imsi, &b"\x0322"[..])];
        assert_eq!(numbered, expected);
    }

    #[test]
    fn debug_of_fields_shows_no_value() {
        let mut fields = Fields::default();
        fields.set(FieldKind::Imsi, "310260123456789");
        assert_eq!(format!("{fields:?}"), "{\"imsi\"}");
    }
}
