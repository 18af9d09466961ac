//! Paths into nested JSON, as an operator writes them: `/contact/phone`, `/phones/0`, `contact.phone`.
//!
//! Pure. A path is followed through the text of a value, level by level; what lies beside it is passed over and
//! never kept. Not here: which column a path begins at (`map.rs`), the text of the value at its end (`value.rs`).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A path: the top-level member it begins at, and the steps below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pointer {
    /// The top-level member.
    pub(super) head: String,
    steps: Vec<String>,
    /// Written as RFC 6901 has it, with a leading slash: it can hardly be meant as a name.
    pub(super) is_slashed: bool,
}

/// Why a path could not be followed.
#[derive(Debug)]
pub(super) enum Lost {
    /// The text is no JSON, or a name in it has an escape that stands for nothing.
    Json(serde_json::Error),
    /// An object on the path has a member twice.
    Duplicate,
}

impl Pointer {
    /// Reads a path: a JSON pointer (RFC 6901 clause 3, with `~0` for `~` and `~1` for `/`), or names with dots between
    /// them. `None` when the text can only be a name.
    pub(super) fn parse(text: &str) -> Option<Pointer> {
        let is_slashed = text.starts_with('/');
        let mut steps = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescape).collect::<Option<Vec<String>>>()?,
            None => {
                let steps: Vec<String> = text.split('.').map(str::to_owned).collect();
                if steps.len() < 2 || steps.iter().any(String::is_empty) {
                    return None;
                }
                steps
            }
        };
        let head = steps.remove(0);
        Some(Pointer { head, steps, is_slashed })
    }

    /// Whether it names the top-level member itself.
    pub(super) fn is_flat(&self) -> bool {
        self.steps.is_empty()
    }

    /// The same steps below another member, as a JSON pointer.
    pub(super) fn below(&self, head: &str) -> String {
        let steps = std::iter::once(head).chain(self.steps.iter().map(String::as_str));
        steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
    }

    /// The text of the value the path leads to; `None` when it leads nowhere, a scalar on the way included.
    pub(super) fn follow<'t>(&self, value: &'t str) -> Result<Option<&'t str>, Lost> {
        let mut at = value.trim();
        for step in &self.steps {
            let below = match at.as_bytes().first() {
                Some(b'{') => member(at, step)?,
                Some(b'[') => element(at, step)?,
                Some(_) | None => None,
            };
            let Some(below) = below else { return Ok(None) };
            at = below;
        }
        Ok(Some(at))
    }
}

fn unescape(step: &str) -> Option<String> {
    let mut parts = step.split('~');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (tilde, rest) = match part.as_bytes().first()? {
            b'0' => ('~', &part[1..]),
            b'1' => ('/', &part[1..]),
            _ => return None,
        };
        text.push(tilde);
        text.push_str(rest);
    }
    Some(text)
}

fn member<'t>(object: &'t str, step: &str) -> Result<Option<&'t str>, Lost> {
    let mut level = Level { step, hit: None, is_twice: false };
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let read = deserializer.deserialize_map(&mut level).and_then(|()| deserializer.end());
    match read {
        Err(_) if level.is_twice => Err(Lost::Duplicate),
        Err(error) => Err(Lost::Json(error)),
        Ok(()) => Ok(level.hit),
    }
}

fn element<'t>(array: &'t str, step: &str) -> Result<Option<&'t str>, Lost> {
    // RFC 6901 clause 4: digits without leading zeros; `-`, the element after the last, is never there.
    let is_index = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    let index = step.parse().ok().filter(|_| is_index);
    let mut deserializer = serde_json::Deserializer::from_str(array);
    let mut nth = Nth { index, hit: None };
    deserializer.deserialize_seq(&mut nth).and_then(|()| deserializer.end()).map_err(Lost::Json)?;
    Ok(nth.hit)
}

/// One object on the path.
struct Level<'s, 'de> {
    step: &'s str,
    hit: Option<&'de str>,
    is_twice: bool,
}

impl<'de> Visitor<'de> for &mut Level<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let value: &'de RawValue = map.next_value()?;
            if name == self.step {
                self.hit = Some(value.get());
            }
            if !names.insert(name) {
                self.is_twice = true;
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(())
    }
}

/// A member name, borrowed where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, name: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

/// One array on the path.
struct Nth<'de> {
    index: Option<usize>,
    hit: Option<&'de str>,
}

impl<'de> Visitor<'de> for &mut Nth<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        for _ in 0..self.index.unwrap_or(0) {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(());
            }
        }
        if self.index.is_some() {
            self.hit = seq.next_element::<&'de RawValue>()?.map(RawValue::get);
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_read_as_rfc_6901_and_with_dots() {
        for (text, expected) in [
            ("/contact/phone", Some(("contact", &["phone"][..]))),
            ("/phones/0", Some(("phones", &["0"]))),
            ("/phone", Some(("phone", &[]))),
            ("/a~1b/m~0n", Some(("a/b", &["m~n"]))),
            ("/~01", Some(("~1", &[]))),
            ("/", Some(("", &[]))),
            ("//a", Some(("", &["a"]))),
            ("/a~2", None),
            ("/a~", None),
            ("contact.phone", Some(("contact", &["phone"]))),
            ("a.b.0", Some(("a", &["b", "0"]))),
            ("phone", None),
            ("Tel.", None),
            (".phone", None),
            ("a..b", None),
            ("", None),
        ] {
            let pointer = Pointer::parse(text);
            let found = pointer.as_ref().map(|found| (found.head.as_str(), found.steps.clone()));
            let expected = expected.map(|(head, steps)| {
                (head, steps.iter().map(|step| (*step).to_owned()).collect::<Vec<String>>())
            });
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn paths_lead_to_values_as_they_are_written() {
        let value =
            r#" {"a":{"b":[1,"\u0041",{"c":null}]},"x/y":2,"m~n":3,"":4,"\u0064":5,"s":"{\"b\":1}"} "#;
        for (text, expected) in [
            ("/h/a/b/0", Some("1")),
            ("/h/a/b/1", Some(r#""\u0041""#)),
            ("/h/a/b/2/c", Some("null")),
            ("h.a.b.2", Some(r#"{"c":null}"#)),
            ("/h/x~1y", Some("2")),
            ("/h/m~0n", Some("3")),
            ("/h/", Some("4")),
            ("/h/d", Some("5")),
            ("/h/a/b/3", None),
            ("/h/a/b/00", None),
            ("/h/a/b/-", None),
            ("/h/a/b/c", None),
            ("/h/a/b/+1", None),
            ("/h/a/b/99999999999999999999", None),
            ("/h/nobody", None),
            ("/h/a/b/0/c", None),
            ("/h/s/b", None),
        ] {
            let pointer = Pointer::parse(text).unwrap();
            assert_eq!(pointer.follow(value).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn objects_on_the_path_have_each_member_once() {
        let pointer = Pointer::parse("/h/a").unwrap();
        for twice in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"a":1,"b":1,"b":2}"#] {
            assert!(matches!(pointer.follow(twice), Err(Lost::Duplicate)), "{twice}");
        }
        assert_eq!(pointer.follow(r#"{"a":1,"b":{"c":1,"c":2}}"#).unwrap(), Some("1"), "not on the path");
        assert!(matches!(pointer.follow(r#"{"a":1,"\ud800":2}"#), Err(Lost::Json(_))));
        assert!(matches!(pointer.follow(r#"{"a":1"#), Err(Lost::Json(_))));
    }

    proptest! {
        /// RFC 6901 clause 5, and serde_json's own resolution, agree with ours on every path of a document.
        #[test]
        fn it_leads_where_the_standard_says(steps in proptest::collection::vec("[a-c~/0-2]{0,3}", 1..4), leaf: u32) {
            let document = steps.iter().rev().fold(serde_json::json!(leaf), |below, step| serde_json::json!({ step: below }));
            let text: String = steps.iter().map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect();
            let pointer = Pointer::parse(&text).unwrap();
            prop_assert_eq!(document.pointer(&text), Some(&serde_json::json!(leaf)));
            let below_head = document[&pointer.head].to_string();
            let expected = leaf.to_string();
            prop_assert_eq!(pointer.follow(&below_head).unwrap(), Some(expected.as_str()));
        }

        #[test]
        fn any_text_is_followed_without_a_panic(text in "[\\[\\]{}\",:a0 ]{0,60}", path in "/[a0/~1]{0,6}") {
            if let Some(pointer) = Pointer::parse(&path) {
                drop(pointer.follow(&text));
            }
        }
    }
}
