//! What arrives on the wire: the envelope, the nine members, and what the documented endpoint would say of them.
//!
//! Pure. The rules are a server's, deliberately coarser than `fields/` and independent of it: two programs that
//! share one mistake cannot find it. Not here: state, faults, HTTP.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::update::{FIELD_COUNT, FieldKind};

/// Longest value of a field that is taken, in characters: the usual bound of such a column.
pub const VALUE_CHARS_MAX: usize = 255;

/// How the update is wrapped in the request's body. The vendor's page leaves it open (field rules, section 0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxEnvelope {
    /// `{"data":"{\"number\":…}"}`, as documented.
    #[default]
    DataString,
    /// `{"data":{"number":…}}`.
    DataObject,
    /// `{"number":…}`.
    Flat,
}

/// Which empty values clear a field; the others are refused with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clears {
    /// Neither `""` nor `null`.
    #[default]
    Refuse,
    /// `""` clears.
    Empty,
    /// `null` clears.
    Null,
    /// Both clear.
    Both,
}

/// What a request sets, in wire order.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Sent {
    values: [Option<Setting>; FIELD_COUNT],
}

/// What is to become of a field.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum Setting {
    Value(Box<str>),
    Clear,
}

impl Sent {
    pub(super) fn get(&self, kind: FieldKind) -> Option<&Setting> {
        self.values[kind.index()].as_ref()
    }

    /// The value a field is set to; nothing for one that is absent or cleared.
    pub(super) fn value(&self, kind: FieldKind) -> Option<&str> {
        match self.get(kind)? {
            Setting::Value(value) => Some(value),
            Setting::Clear => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FieldKind, &Setting)> {
        FieldKind::ALL.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

/// What is wrong with a request, as the member (or `detail`) and its complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    /// 400 for what cannot be read, 422 for a value that cannot be.
    pub(super) status: u16,
    pub(super) member: String,
    pub(super) says: String,
}

impl Complaint {
    fn new(status: u16, member: &str, says: &str) -> Complaint {
        Complaint { status, member: member.to_owned(), says: says.to_owned() }
    }
}

/// Takes a body out of its envelope and its members apart.
///
/// # Errors
/// Everything that makes it a 400: syntax, envelope, unknown or repeated member, wrong type, nothing set.
pub(super) fn parse(envelope: SandboxEnvelope, clears: Clears, body: &[u8]) -> Result<Sent, Complaint> {
    let outer = members(body, "detail")?;
    let inner = match envelope {
        SandboxEnvelope::Flat => outer,
        SandboxEnvelope::DataString => match data(outer)? {
            Value::String(text) => members(text.as_bytes(), "data")?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                return Err(Complaint::new(400, "data", "Not a valid string."));
            }
        },
        SandboxEnvelope::DataObject => match data(outer)? {
            // A repeated member is lost here, which is what the server behind this envelope would do as well.
            Value::Object(map) => Members(map.into_iter().collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::String(_) => {
                return Err(Complaint::new(400, "data", "Expected a dictionary of items."));
            }
        },
    };
    let mut sent = Sent::default();
    for (name, value) in inner.0 {
        let Some(kind) = FieldKind::from_name(&name) else {
            return Err(Complaint::new(400, &name, "Unknown field."));
        };
        if sent.get(kind).is_some() {
            return Err(Complaint::new(400, &name, "Repeated field."));
        }
        sent.values[kind.index()] = Some(setting(&name, value, clears)?);
    }
    if sent.is_empty() {
        return Err(Complaint::new(400, "detail", "No field to update."));
    }
    Ok(sent)
}

/// Judges the values of a request that could be read.
///
/// # Errors
/// The first value that makes it a 422.
pub(super) fn judge(sent: &Sent) -> Result<(), Complaint> {
    for (kind, setting) in sent.iter() {
        let Setting::Value(value) = setting else { continue };
        if let Some(says) = malformed(kind, value) {
            return Err(Complaint::new(422, kind.name(), says));
        }
    }
    Ok(())
}

fn setting(name: &str, value: Value, clears: Clears) -> Result<Setting, Complaint> {
    match value {
        Value::String(text) if !text.is_empty() => Ok(Setting::Value(text.into())),
        Value::String(_) if matches!(clears, Clears::Empty | Clears::Both) => Ok(Setting::Clear),
        Value::String(_) => Err(Complaint::new(400, name, "This field may not be blank.")),
        Value::Null if matches!(clears, Clears::Null | Clears::Both) => Ok(Setting::Clear),
        Value::Null => Err(Complaint::new(400, name, "This field may not be null.")),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(Complaint::new(400, name, "Not a valid string."))
        }
    }
}

/// What a server says of a value that cannot be. Lengths are wide: E.164 for numbers, TS 23.003 clause 6.2 for
/// IMEI and IMEISV, E.212 for IMSI, E.118 and what platforms accept for ICCID. Check digits are not looked at.
fn malformed(kind: FieldKind, value: &str) -> Option<&'static str> {
    let digits = |text: &str, min: usize, max: usize| {
        (min..=max).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match kind {
        FieldKind::Number => {
            let sound = digits(value.strip_prefix('+').unwrap_or(value), 7, 15);
            (!sound).then_some("Enter a valid phone number.")
        }
        FieldKind::Imei => (!digits(value, 14, 16)).then_some("Enter a valid IMEI."),
        FieldKind::Imsi => (!digits(value, 6, 15)).then_some("Enter a valid IMSI."),
        FieldKind::Iccid => {
            let sound =
                (17..=22).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
            (!sound).then_some("Enter a valid ICCID.")
        }
        FieldKind::GenericId
        | FieldKind::Username
        | FieldKind::Password
        | FieldKind::UserExternalId
        | FieldKind::UserClass => (value.chars().nth(VALUE_CHARS_MAX).is_some())
            .then_some("Ensure this field has no more than 255 characters."),
    }
}

/// The one member `data`, alone.
fn data(outer: Members) -> Result<Value, Complaint> {
    let mut data = None;
    for (name, value) in outer.0 {
        if name != "data" {
            return Err(Complaint::new(400, "data", "This field is required, alone."));
        }
        if data.replace(value).is_some() {
            return Err(Complaint::new(400, "data", "Repeated field."));
        }
    }
    data.ok_or_else(|| Complaint::new(400, "data", "This field is required."))
}

fn members(bytes: &[u8], member: &str) -> Result<Members, Complaint> {
    serde_json::from_slice(bytes).map_err(|_| Complaint::new(400, member, "JSON parse error."))
}

/// The members of an object in their order, repeated ones included, which a map would lose silently.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::with_capacity(FIELD_COUNT);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(envelope: SandboxEnvelope, body: &str) -> Result<Vec<&'static str>, (u16, String)> {
        let sent = parse(envelope, Clears::Refuse, body.as_bytes()).and_then(|sent| {
            judge(&sent)?;
            Ok(sent)
        });
        sent.map(|sent| sent.iter().map(|(kind, _)| kind.name()).collect())
            .map_err(|complaint| (complaint.status, complaint.member))
    }

    #[test]
    fn each_envelope_understands_itself_alone() {
        use SandboxEnvelope::{DataObject, DataString, Flat};
        let bodies = [
            (DataString, r#"{"data":"{\"imei\":\"490154203237518\",\"username\":\"a\"}"}"#),
            (DataObject, r#"{"data":{"imei":"490154203237518","username":"a"}}"#),
            (Flat, r#"{"imei":"490154203237518","username":"a"}"#),
        ];
        for (spoken, body) in bodies {
            for understood in [DataString, DataObject, Flat] {
                let expected = if spoken == understood {
                    Ok(vec!["imei", "username"])
                } else {
                    Err((400, "data".into()))
                };
                assert_eq!(verdict(understood, body), expected, "{spoken:?} read as {understood:?}");
            }
        }
    }

    #[test]
    fn what_is_refused_and_how() {
        let table = [
            (r#"{"imei":"49015420323751x"}"#, 422, "imei"),
            (r#"{"imei":"4901542032375"}"#, 422, "imei"),
            (r#"{"imsi":"31026O123456789"}"#, 422, "imsi"),
            (r#"{"imsi":"3102601234567890"}"#, 422, "imsi"),
            (r#"{"iccid":"8.9014E+19"}"#, 422, "iccid"),
            (r#"{"iccid":"890141032111185"}"#, 422, "iccid"),
            (r#"{"number":"+44770090000O"}"#, 422, "number"),
            (r#"{"number":"++447700900000"}"#, 422, "number"),
            (r#"{"number":"+4477009000001234"}"#, 422, "number"),
            (r#"{"imei":490154203237518}"#, 400, "imei"),
            (r#"{"imei":null}"#, 400, "imei"),
            (r#"{"username":""}"#, 400, "username"),
            (r#"{"username":["a"]}"#, 400, "username"),
            (r#"{"imei2":"490154203237518"}"#, 400, "imei2"),
            (r#"{"username":"a","username":"b"}"#, 400, "username"),
            ("{}", 400, "detail"),
            ("[]", 400, "detail"),
            ("", 400, "detail"),
            (r#"{"username":"a"} x"#, 400, "detail"),
        ];
        for (body, status, member) in table {
            assert_eq!(verdict(SandboxEnvelope::Flat, body), Err((status, member.to_owned())), "{body}");
        }
    }

    #[test]
    fn a_long_text_is_refused_at_its_bound() {
        let body = |chars| format!(r#"{{"user_class":"{}"}}"#, "é".repeat(chars));
        assert_eq!(verdict(SandboxEnvelope::Flat, &body(VALUE_CHARS_MAX)), Ok(vec!["user_class"]));
        let long = verdict(SandboxEnvelope::Flat, &body(VALUE_CHARS_MAX + 1));
        assert_eq!(long, Err((422, "user_class".to_owned())));
    }

    #[test]
    fn the_vendors_own_row_is_taken() {
        let inner = r#"{"number":"+1234567890","generic_id":"com.example.app.user123","imei":"123456789012345","imsi":"310260123456789","iccid":"8901410321118510720","username":"john.doe","password":"$2a$10$N9qo8uL0ickgx2ZMRZoMye","user_external_id":"ext_12345","user_class":"premium"}"#;
        let body = serde_json::json!({ "data": inner }).to_string();
        assert_eq!(verdict(SandboxEnvelope::DataString, &body).map(|fields| fields.len()), Ok(9));
    }

    #[test]
    fn empty_values_clear_only_where_they_may() {
        let table = [
            (Clears::Refuse, false, false),
            (Clears::Empty, true, false),
            (Clears::Null, false, true),
            (Clears::Both, true, true),
        ];
        for (clears, empty, null) in table {
            let taken = |body: &str| parse(SandboxEnvelope::Flat, clears, body.as_bytes()).is_ok();
            assert_eq!(taken(r#"{"imsi":""}"#), empty, "{clears:?}");
            assert_eq!(taken(r#"{"imsi":null}"#), null, "{clears:?}");
        }
    }
}
