//! The words in which a server refuses: what a person would read out of an error body.
//!
//! Pure. The text is raw: it may hold values of the row and must pass [`signature`](super::signature()) before it
//! is shown, stored or logged. Not here: what follows from it (`answer.rs`).

use serde_json::{Map, Value};

/// How deep nested errors are followed.
const DEPTH_MAX: u32 = 6;

/// Items of an array, or members of an object, that are read.
const ITEMS_MAX: usize = 4;

/// Members that hold the explanation, in the order in which they are read out: Django REST Framework, RFC 9457,
/// Laravel, FastAPI and most home-made APIs use one or several of them.
const TELLING: [&str; 16] = [
    "field",
    "loc",
    "pointer",
    "code",
    "error",
    "title",
    "message",
    "msg",
    "detail",
    "details",
    "error_description",
    "error_message",
    "reason",
    "errors",
    "non_field_errors",
    "fault",
];

/// Members whose text is never read out.
const SECRET: [&str; 5] = ["password", "token", "authorization", "secret", "api_key"];

/// The complaint in an answer's body, on one or several lines; empty when there is none.
pub(super) fn complaint(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim_start_matches('\u{feff}').trim();
    match serde_json::from_str::<Value>(text) {
        Ok(value) => told(&value, DEPTH_MAX),
        Err(_) if text.starts_with('<') => markup(text),
        Err(_) => first_line(text).to_owned(),
    }
}

fn told(value: &Value, depth: u32) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(bool) => bool.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        Value::Array(_) | Value::Object(_) if depth == 0 => String::new(),
        Value::Array(items) => joined(items.iter().take(ITEMS_MAX).map(|item| told(item, depth - 1)), "; "),
        Value::Object(members) => object(members, depth - 1),
    }
}

fn object(members: &Map<String, Value>, depth: u32) -> String {
    let telling: Vec<String> = TELLING
        .iter()
        .filter_map(|name| members.get(*name))
        // A bare number or flag beside an explanation (a status, a code) says nothing once digits are masked.
        .filter(|value| !value.is_number() && !value.is_boolean())
        .map(|value| told(value, depth))
        .filter(|text| !text.is_empty())
        .collect();
    if !telling.is_empty() {
        return joined(telling.into_iter(), ": ");
    }
    let members = members.iter().take(ITEMS_MAX).map(|(name, value)| {
        let text = if value.is_string() && is_secret(name) { "#".to_owned() } else { told(value, depth) };
        if text.is_empty() { text } else { format!("{name}: {text}") }
    });
    joined(members, "; ")
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

fn joined(parts: impl Iterator<Item = String>, separator: &str) -> String {
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(separator)
}

/// The title of a page, else its first line of text.
fn markup(page: &str) -> String {
    // Folding ASCII case keeps every byte in its place, so that positions found in one hold in the other.
    let folded = page.to_ascii_lowercase();
    let title = folded.find("<title").and_then(|at| {
        let begin = at + folded[at..].find('>')? + 1;
        let end = begin + folded[begin..].find("</title")?;
        page.get(begin..end)
    });
    match title.map(str::trim) {
        Some(title) if !title.is_empty() => decoded(title),
        Some(_) | None => decoded(first_line(&without_tags(page, &folded))),
    }
}

fn without_tags(page: &str, folded: &str) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some(open) = folded[at..].find('<') {
        text.push_str(&page[at..at + open]);
        text.push('\n');
        let tag = at + open;
        // Scripts and styles are no text; their content goes with them.
        let end_mark = match &folded[tag..] {
            rest if rest.starts_with("<script") => "</script",
            rest if rest.starts_with("<style") => "</style",
            rest if rest.starts_with("<!--") => "-->",
            _ => ">",
        };
        let Some(end) = folded[tag..].find(end_mark) else { return text };
        let Some(close) = folded[tag + end..].find('>') else { return text };
        at = tag + end + close + 1;
    }
    text.push_str(&page[at..]);
    text
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn decoded(text: &str) -> String {
    // `&amp;` last: the other way round `&amp;lt;` would be decoded twice.
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&nbsp;", " "),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explanation_is_found() {
        let table: [(&str, &str); 24] = [
            (r#"{"detail":"imsi already assigned to 1"}"#, "imsi already assigned to 1"),
            (r#"{"error":"bad","message":"worse"}"#, "bad: worse"),
            (
                r#"{"imsi":["device with this imsi already exists."]}"#,
                "imsi: device with this imsi already exists.",
            ),
            (r#"{"imsi":["a","b"],"iccid":["c"]}"#, "iccid: c; imsi: a; b"),
            (
                r#"{"errors":{"imsi":["has already been taken."]},"message":"invalid"}"#,
                "invalid: imsi: has already been taken.",
            ),
            (r#"{"errors":[{"field":"imsi","code":"unique","message":"m"}]}"#, "imsi: unique: m"),
            (
                r#"{"detail":[{"loc":["body","imsi"],"msg":"field required","type":"x"}]}"#,
                "body; imsi: field required",
            ),
            (r#"{"type":"about:blank","title":"T","status":422,"detail":"D"}"#, "T: D"),
            (r#"{"error":{"code":1001,"message":"no"}}"#, "no"),
            (r#"{"result":{"message":"deep"}}"#, "result: deep"),
            (r#"{"password":"$2a$10$abc"}"#, "password: #"),
            (r#"{"password":["too short"]}"#, "password: too short"),
            (r#"["one","two"]"#, "one; two"),
            (r#""just text""#, "just text"),
            (r#"{"detail":null}"#, ""),
            ("{}", ""),
            ("", ""),
            ("  \n\n first \n second", "first"),
            ("<html><head><TITLE>\n502 Bad Gateway </TITLE></head><body>x</body></html>", "502 Bad Gateway"),
            (
                "<html><script>var a='<b>';</script><style>p{}</style><body><h1>Not &amp; found</h1><p>x</body>",
                "Not & found",
            ),
            ("<?xml version=\"1.0\"?><Error><Code>NoSuch</Code></Error>", "NoSuch"),
            ("<html><title></title><body>plain</body></html>", "plain"),
            ("<unclosed", ""),
            ("\u{feff}{\"detail\":\"marked\"}", "marked"),
        ];
        for (body, expected) in table {
            assert_eq!(complaint(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn hostile_bodies_end_somewhere() {
        let deep = "[".repeat(60_000);
        assert!(complaint(deep.as_bytes()).len() <= deep.len());
        let nested = format!("{}\"x\"{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(complaint(nested.as_bytes()), "");
        assert_eq!(complaint(&[0xff, 0xfe, b'x']), "\u{fffd}\u{fffd}x");
        assert_eq!(complaint("<p>\u{130}<title>\u{130}".as_bytes()), "\u{130}");
    }
}
