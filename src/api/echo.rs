//! The echo: whether an answer that says "done" speaks of the values that were sent.
//!
//! Pure. Not here: what an answer's status means (`answer.rs`).

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::update::{FieldKind, FieldSet, Fields};

/// What a positive answer's body says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// It agrees with what was sent.
    Agrees,
    /// Its `status` is another than `success`.
    OtherStatus,
    /// It echoes other values for these fields.
    Differs(FieldSet),
    /// It is no JSON object.
    Unreadable,
}

/// Reads the body of a positive answer that is not empty. The echo may stand at the top, or under `data` as an
/// object or as JSON within a string; wherever a `status` or a sent field stands, it has to agree.
pub(super) fn read(
    body: &[u8],
    sent: &Fields,
    canonical: &dyn Fn(FieldKind, &str) -> Option<String>,
) -> Said {
    let Ok(top) = serde_json::from_slice::<Members<'_>>(body) else { return Said::Unreadable };
    let mut differs = FieldSet::EMPTY;
    let mut succeeded = true;
    let mut check = |members: &Members<'_>| {
        for (name, raw) in &members.0 {
            match name {
                Name::Field(kind) => {
                    if *kind != FieldKind::Password
                        && let Some(value) = sent.get(*kind)
                        && !agrees(*kind, raw, value, canonical)
                    {
                        differs.insert(*kind);
                    }
                }
                Name::Status => succeeded &= is_success(raw),
                Name::Data | Name::Other => {}
            }
        }
    };
    check(&top);
    for (name, raw) in &top.0 {
        if matches!(name, Name::Data) {
            let within = text_of(raw);
            let nested = within.as_deref().unwrap_or(raw.get());
            if let Ok(members) = serde_json::from_str::<Members<'_>>(nested) {
                check(&members);
            }
        }
    }
    match (succeeded, differs.is_empty()) {
        (false, _) => Said::OtherStatus,
        (true, false) => Said::Differs(differs),
        (true, true) => Said::Agrees,
    }
}

fn is_success(raw: &RawValue) -> bool {
    // A null status says nothing, like an absent one.
    raw.get() == "null" || text_of(raw).is_some_and(|text| text.eq_ignore_ascii_case("success"))
}

fn agrees(
    kind: FieldKind,
    raw: &RawValue,
    sent: &str,
    canonical: &dyn Fn(FieldKind, &str) -> Option<String>,
) -> bool {
    if sent.is_empty() {
        // Cleared: empty, or null as it is in the server's database. Any value means that it is still there.
        return raw.get() == "null" || text_of(raw).is_some_and(|text| text.trim().is_empty());
    }
    let text = match text_of(raw) {
        Some(text) => text,
        // A server that keeps identifiers as numbers echoes bare digits; taken as text, because a 20-digit ICCID
        // does not survive as a number.
        None if raw.get().starts_with(|c: char| c.is_ascii_digit()) => Cow::Borrowed(raw.get()),
        None => return false,
    };
    // What was sent is canonical as a rule, but not where an operator told a rule to let a value through as it is.
    is_same_spelling(kind, &text, sent)
        || canonical(kind, &text)
            .is_some_and(|echoed| echoed == sent || canonical(kind, sent).is_some_and(|sent| echoed == sent))
}

/// Whether two spellings differ only as every server may spell: a number with or without its `+`, an ICCID with or
/// without its filler `F` (E.118 numbers as 3GPP cards store them), hexadecimal digits in either case.
fn is_same_spelling(kind: FieldKind, echoed: &str, sent: &str) -> bool {
    match kind {
        FieldKind::Number => echoed.trim_start_matches('+') == sent.trim_start_matches('+'),
        FieldKind::Iccid => {
            echoed.trim_end_matches(['F', 'f']).eq_ignore_ascii_case(sent.trim_end_matches(['F', 'f']))
        }
        FieldKind::GenericId
        | FieldKind::Imei
        | FieldKind::Imsi
        | FieldKind::Username
        | FieldKind::Password
        | FieldKind::UserExternalId
        | FieldKind::UserClass => echoed == sent,
    }
}

/// The text of a JSON string; `None` for anything else.
fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    let within = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if within.contains('\\') {
        serde_json::from_str(raw.get()).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(within))
    }
}

/// A member's name, as far as it matters.
enum Name {
    Field(FieldKind),
    Status,
    Data,
    Other,
}

/// The members of an object that matter, in their order. A repeated name is kept each time: all have to agree.
struct Members<'a>(Vec<(Name, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::with_capacity(12);
                while let Some(name) = map.next_key_seed(NameSeed)? {
                    if let Name::Other = name {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        members.push((name, map.next_value::<&'de RawValue>()?));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(match FieldKind::from_name(name) {
            Some(kind) => Name::Field(kind),
            None if name == "status" => Name::Status,
            None if name == "data" => Name::Data,
            None => Name::Other,
        })
    }
}
