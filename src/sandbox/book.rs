//! The book of subjects: what the sandbox has stored for each, who holds which identifier, and the echo of it.
//!
//! Not here: whether a request may be applied at all (`state.rs`), the records of requests (`log.rs`).

use std::collections::HashMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::faults::{EchoStyle, Uniqueness};
use super::wire::{Sent, Setting};
use crate::update::{FIELD_COUNT, FieldKind, Fields};

/// What stands in the place of a password wherever the sandbox shows one.
pub(super) const MASK: &str = "***";

/// Fields that at most one subject may hold, where uniqueness is asked for.
const UNIQUE: [FieldKind; 3] = [FieldKind::Number, FieldKind::Imsi, FieldKind::Iccid];

/// Place of a subject in the book.
pub(super) type SubjectIndex = usize;

/// One subject.
pub(super) struct Subject {
    /// The field it was recognised by.
    pub(super) kind: FieldKind,
    /// That field's value, which never changes: with another one it is another subject.
    pub(super) key: Box<str>,
    /// What is stored now.
    pub(super) fields: Fields,
    /// Updates applied.
    pub(super) applied: u64,
    /// Requests that named it.
    pub(super) attempts: u64,
    /// Requests for it that are not answered yet.
    pub(super) in_flight: u64,
    /// Hash of the last update applied, to tell a repetition.
    pub(super) last_applied: Option<u64>,
    /// Its requests' places in the log.
    pub(super) history: Vec<u32>,
}

/// All subjects.
#[derive(Default)]
pub(super) struct Book {
    pub(super) subjects: Vec<Subject>,
    /// Per field a subject can be recognised by: value to subject.
    by_key: [HashMap<Box<str>, SubjectIndex>; FIELD_COUNT],
    /// Per field: value to the subject that stored it last.
    holders: [HashMap<Box<str>, SubjectIndex>; FIELD_COUNT],
}

impl Book {
    /// The subject a request is about: the first of `match_by` that it carries. One seen for the first time is
    /// entered, with nothing stored.
    pub(super) fn identify(&mut self, match_by: &[FieldKind], sent: &Sent) -> Option<SubjectIndex> {
        let (kind, key) = match_by.iter().find_map(|kind| Some((*kind, sent.value(*kind)?)))?;
        if let Some(index) = self.by_key[kind.index()].get(key) {
            return Some(*index);
        }
        let index = self.subjects.len();
        self.subjects.push(Subject {
            kind,
            key: key.into(),
            fields: Fields::default(),
            applied: 0,
            attempts: 0,
            in_flight: 0,
            last_applied: None,
            history: Vec::new(),
        });
        self.by_key[kind.index()].insert(key.into(), index);
        Some(index)
    }

    /// The subject of this key, in whichever field of `match_by` it is found first.
    pub(super) fn find(&self, match_by: &[FieldKind], key: &str) -> Option<SubjectIndex> {
        match_by.iter().find_map(|kind| self.by_key[kind.index()].get(key).copied())
    }

    /// The first identifier that another subject holds already, and that subject.
    pub(super) fn taken(&self, index: SubjectIndex, sent: &Sent) -> Option<(FieldKind, SubjectIndex)> {
        UNIQUE.into_iter().find_map(|kind| {
            let holder = *self.holders[kind.index()].get(sent.value(kind)?)?;
            (holder != index).then_some((kind, holder))
        })
    }

    /// Stores what was sent. With [`Uniqueness::Steal`] other holders of its identifiers lose them. Tells whether
    /// the update repeats the one applied before it to this subject.
    pub(super) fn apply(
        &mut self,
        index: SubjectIndex,
        sent: &Sent,
        hash: u64,
        uniqueness: Uniqueness,
    ) -> bool {
        for (kind, setting) in sent.iter() {
            self.release(index, kind);
            match setting {
                Setting::Clear => self.subjects[index].fields.clear(kind),
                Setting::Value(value) => {
                    self.subjects[index].fields.set(kind, value);
                    self.hold(index, kind, value, uniqueness);
                }
            }
        }
        let subject = &mut self.subjects[index];
        subject.applied += 1;
        subject.last_applied.replace(hash) == Some(hash)
    }

    /// Enters the subject as the holder of an identifier.
    fn hold(&mut self, index: SubjectIndex, kind: FieldKind, value: &str, uniqueness: Uniqueness) {
        if !UNIQUE.contains(&kind) {
            return;
        }
        let before = self.holders[kind.index()].insert(value.into(), index);
        if let Some(loser) = before.filter(|loser| *loser != index && uniqueness == Uniqueness::Steal) {
            self.subjects[loser].fields.clear(kind);
            // The loser's state is no longer what its last update made it: sending that again is no repetition.
            self.subjects[loser].last_applied = None;
        }
    }

    /// Takes the subject's hold on its stored identifier away, unless another one has taken it over.
    fn release(&mut self, index: SubjectIndex, kind: FieldKind) {
        if !UNIQUE.contains(&kind) {
            return;
        }
        let holders = &mut self.holders[kind.index()];
        if let Some(value) = self.subjects[index].fields.get(kind)
            && holders.get(value) == Some(&index)
        {
            holders.remove(value);
        }
    }

    /// The answer's body as the vendor's page shows it: every stored field, `updated_at`, `status`.
    pub(super) fn echo(&self, index: SubjectIndex, sent: &Sent, manner: &EchoManner<'_>) -> String {
        let echo = Echo { stored: &self.subjects[index].fields, sent, manner };
        serde_json::to_string(&echo).unwrap_or_default()
    }
}

/// How an echo is written.
pub(super) struct EchoManner<'a> {
    pub(super) style: EchoStyle,
    /// RFC 3339.
    pub(super) updated_at: &'a str,
    pub(super) status: &'a str,
    /// Whether the last sent field that is no password is echoed with another value.
    pub(super) lie: bool,
    /// Bytes of padding, in a member of its own.
    pub(super) padding_bytes: usize,
}

struct Echo<'a> {
    stored: &'a Fields,
    sent: &'a Sent,
    manner: &'a EchoManner<'a>,
}

impl Serialize for Echo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sent = self.sent.iter().filter(|(kind, _)| *kind != FieldKind::Password);
        let lie = sent.last().map(|(kind, _)| kind).filter(|_| self.manner.lie);
        let mut map = serializer.serialize_map(None)?;
        for kind in FieldKind::ALL {
            match self.stored.get(kind) {
                Some(value) if lie == Some(kind) => map.serialize_entry(kind.name(), &other_than(value))?,
                Some(value) => map.serialize_entry(kind.name(), &styled(self.manner.style, kind, value))?,
                None if lie == Some(kind) => map.serialize_entry(kind.name(), "0")?,
                None if self.sent.get(kind).is_some() => map.serialize_entry(kind.name(), &None::<&str>)?,
                None => {}
            }
        }
        map.serialize_entry("updated_at", self.manner.updated_at)?;
        map.serialize_entry("status", self.manner.status)?;
        if self.manner.padding_bytes > 0 {
            map.serialize_entry("padding", &" ".repeat(self.manner.padding_bytes))?;
        }
        map.end()
    }
}

/// A value that differs in its last character.
fn other_than(value: &str) -> String {
    let mut other = value.to_owned();
    let last = if other.pop() == Some('0') { '1' } else { '0' };
    other.push(last);
    other
}

/// The value in another spelling of the same identifier, where it has one.
fn styled(style: EchoStyle, kind: FieldKind, value: &str) -> String {
    match (style, kind) {
        (EchoStyle::Reformatted, FieldKind::Number) => value.trim_start_matches('+').to_owned(),
        // E.118 leaves 19 digits; the card's ten bytes hold 20, the last one then being the filler F.
        (EchoStyle::Reformatted, FieldKind::Iccid) if value.len() == 19 => format!("{value}F"),
        (EchoStyle::Reformatted | EchoStyle::AsSent, _) => value.to_owned(),
    }
}

/// Fields as the controls show them: passwords masked, cleared fields null.
pub(super) struct Masked<'a>(pub(super) &'a Sent);

impl Serialize for Masked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(kind, setting)| {
            let shown = match setting {
                Setting::Clear => None,
                Setting::Value(_) if kind == FieldKind::Password => Some(MASK),
                Setting::Value(value) => Some(&**value),
            };
            (kind.name(), shown)
        }))
    }
}
