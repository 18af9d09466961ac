//! The body of a request: the update's fields in one of three envelopes.
//!
//! Not here: headers and the URL (`client.rs`), which fields are sent (`plan/`).

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::choice::choice;
use crate::fields::ClearAs;
use crate::update::Fields;

choice! {
    /// How the fields are wrapped. The vendor's page is garbled at this very place, so that three readings are left
    /// (field-rules 0.1); the first is what its table and its older revisions say.
    #[derive(Hash, Default)]
    pub enum Envelope {
        /// `{"data":"{\"number\":…}"}`: JSON within a string.
        #[default]
        DataString = "data-string",
        /// `{"data":{"number":…}}`.
        DataObject = "data-object",
        /// `{"number":…}`.
        Flat = "flat",
    }
}

/// The body of a request that sets these fields, in wire order; an empty value clears its field, as `clear_as` says.
/// Every text passes through the JSON serializer, twice where it is JSON within a string.
pub fn body(envelope: Envelope, clear_as: ClearAs, fields: &Fields) -> Vec<u8> {
    let members = Members { fields, clear_as };
    match envelope {
        Envelope::DataString => json(&Data { data: json_text(&members) }),
        Envelope::DataObject => json(&Data { data: members }),
        Envelope::Flat => json(&members),
    }
}

#[derive(serde::Serialize)]
struct Data<T> {
    data: T,
}

struct Members<'a> {
    fields: &'a Fields,
    clear_as: ClearAs,
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.present().len()))?;
        for (kind, value) in self.fields.iter() {
            match (value, self.clear_as) {
                ("", ClearAs::Null) => map.serialize_entry(kind.name(), &())?,
                (value, ClearAs::Empty | ClearAs::Null) => map.serialize_entry(kind.name(), value)?,
            }
        }
        map.end()
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    serde_json::to_writer(&mut bytes, value)
        .expect("strings under string keys, written to memory, always serialize");
    bytes
}

fn json_text<T: Serialize>(value: &T) -> String {
    String::from_utf8(json(value)).expect("the serializer writes UTF-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::update::FieldKind;

    fn text(envelope: Envelope, fields: &Fields) -> String {
        String::from_utf8(body(envelope, ClearAs::Empty, fields)).expect("UTF-8")
    }

    #[test]
    fn the_documented_example_is_met_byte_for_byte() {
        let mut fields = Fields::default();
        // Set out of order on purpose: the wire order is that of the vendor's page.
        fields.set(FieldKind::UserClass, "premium");
        fields.set(FieldKind::Number, "+1234567890");
        fields.set(FieldKind::Imei, "123456789012345");
        let table = [
            (
                Envelope::DataString,
                r#"{"data":"{\"number\":\"+1234567890\",\"imei\":\"123456789012345\",\"user_class\":\"premium\"}"}"#,
            ),
            (
                Envelope::DataObject,
                r#"{"data":{"number":"+1234567890","imei":"123456789012345","user_class":"premium"}}"#,
            ),
            (Envelope::Flat, r#"{"number":"+1234567890","imei":"123456789012345","user_class":"premium"}"#),
        ];
        for (envelope, expected) in table {
            assert_eq!(text(envelope, &fields), expected, "{}", envelope.name());
        }
    }

    #[test]
    fn a_cleared_field_is_sent_as_an_empty_string_or_as_null() {
        let mut fields = Fields::default();
        fields.set(FieldKind::UserClass, "");
        assert_eq!(text(Envelope::Flat, &fields), r#"{"user_class":""}"#);
        fields.set(FieldKind::Imsi, "1");
        let null = |envelope| String::from_utf8(body(envelope, ClearAs::Null, &fields)).expect("UTF-8");
        assert_eq!(null(Envelope::Flat), r#"{"imsi":"1","user_class":null}"#);
        assert_eq!(null(Envelope::DataObject), r#"{"data":{"imsi":"1","user_class":null}}"#);
        assert_eq!(null(Envelope::DataString), r#"{"data":"{\"imsi\":\"1\",\"user_class\":null}"}"#);
    }

    proptest! {
        #[test]
        fn any_text_survives_every_envelope(values in proptest::collection::vec(".*", 9)) {
            let mut fields = Fields::default();
            for (kind, value) in FieldKind::ALL.into_iter().zip(&values) {
                fields.set(kind, value);
            }
            for envelope in Envelope::ALL {
                let outer: Value = serde_json::from_slice(&body(envelope, ClearAs::Empty, &fields)).expect("JSON");
                let inner = match envelope {
                    Envelope::DataString => {
                        serde_json::from_str(outer["data"].as_str().expect("a string")).expect("JSON within")
                    }
                    Envelope::DataObject => outer["data"].clone(),
                    Envelope::Flat => outer,
                };
                for (kind, value) in FieldKind::ALL.into_iter().zip(&values) {
                    prop_assert_eq!(inner[kind.name()].as_str(), Some(value.as_str()));
                }
            }
        }
    }
}
