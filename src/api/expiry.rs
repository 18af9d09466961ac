//! When a token expires, where it says so: the `exp` claim of a JWT.
//!
//! Pure. Nothing is verified and nothing is believed but for a warning: whether a token is good, the server decides.
//! Not here: reading the token (`token.rs`), the warning (`cli/expiry.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

/// The latest moment that is taken for one, in seconds since 1970: two days before the year 10000. Beyond it a claim is
/// in milliseconds, or means never.
const EXPIRES_S_MAX: i64 = 253_402_207_200;

/// The one claim that is read.
#[derive(Deserialize)]
struct Claims {
    exp: Option<serde_json::Number>,
}

/// When a JWT in compact form (RFC 7519 section 3, RFC 7515 section 7.1) expires, in seconds since 1970; `None` for a
/// token of another kind, without the claim (section 4.1.4), or with one that is no such number.
pub(super) fn expires_s(token: &str) -> Option<i64> {
    let mut parts = token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        // Five parts: encrypted, so that only the server can read it.
        return None;
    }
    // Some issuers pad what the standard wants bare.
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let exp = serde_json::from_slice::<Claims>(&claims).ok()?.exp?;
    let seconds = whole_seconds(&exp)?;
    (0..=EXPIRES_S_MAX).contains(&seconds).then_some(seconds)
}

/// A NumericDate may have a fraction (RFC 7519 section 2), which is cut off.
fn whole_seconds(date: &serde_json::Number) -> Option<i64> {
    date.as_i64().or_else(|| {
        let text = date.to_string();
        let (whole, fraction) = text.split_once('.')?;
        if fraction.bytes().all(|byte| byte.is_ascii_digit()) { whole.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("eyJhbGciOiJub25lIn0.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_claim_is_read_and_nothing_else() {
        assert_eq!(expires_s(&token(r#"{"exp":1700000000}"#)), Some(1_700_000_000));
        assert_eq!(
            expires_s(&token(r#"{"sub":"jane","exp":1700000000.75,"aud":["x"]}"#)),
            Some(1_700_000_000)
        );
        assert_eq!(expires_s(&token(r#"{"exp":0}"#)), Some(0));
        // An example of RFC 7519 section 3.1, signature and line ends included.
        let example = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
                       eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                       dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(expires_s(example), Some(1_300_819_380));
    }

    #[test]
    fn whatever_else_a_token_is_it_says_nothing() {
        for claims in [
            "{}",
            r#"{"exp":null}"#,
            r#"{"exp":"1700000000"}"#,
            r#"{"exp":-1}"#,
            r#"{"exp":1700000000000}"#,
            r#"{"exp":1e300}"#,
            r#"{"exp":{}}"#,
            "[]",
            "exp",
            "",
        ] {
            assert_eq!(expires_s(&token(claims)), None, "{claims}");
        }
        for token in ["", "opaque", "a.b", "a.b.c", "..", "a.b.c.d.e", "a.!!!.c", "é.é.é"] {
            assert_eq!(expires_s(token), None, "{token}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_token_is_a_panic(text in "[!-~]{0,64}", claims in ".{0,64}") {
            expires_s(&text);
            expires_s(&token(&claims));
        }
    }
}
