//! `password`: sent only as a sound hash, and only when the operator mapped the column by name.
//!
//! A hash without its digest can never verify and locks the user out, so shape and length are checked, not prefixes
//! alone. Never printed, logged or kept. Not here: hashing; verifying that a hash is of some password.

use std::borrow::Cow;

use super::Context;
use super::clean::{has_control, is_error_value, trim};
use super::luhn::is_digits;
use super::rules::{ERROR, ERROR_BUT_LENIENT, Rule, RuleId, WARN, WARN_BUT_LENIENT, rule};

const STRINGS: &str = "PHC string format; crypt(5)";

pub(super) const RULES: &[Rule] = &[
    rule(
        "password.masked",
        WARN,
        "a masked password; the field is not sent",
        "field-rules 1.7",
        "do not map the column, or export the hashes",
    ),
    rule(
        "password.truncated",
        ERROR_BUT_LENIENT,
        "the beginning of a hash of the wrong length: it can never verify and locks the user out",
        STRINGS,
        "export the whole hash; a bcrypt hash has 60 characters",
    ),
    rule(
        "password.unsalted",
        ERROR,
        "bare hexadecimal digits: an unsalted hash, or none that a server verifies",
        "OWASP Password Storage Cheat Sheet",
        "export salted hashes such as bcrypt or Argon2, or do not map the column",
    ),
    rule(
        "password.plaintext",
        ERROR,
        "no hash of a known scheme, so probably the password itself",
        "vendor's page: passwords should be properly hashed",
        "export hashes, do not map the column, or set allow_plaintext_passwords",
    ),
    rule(
        "password.control",
        ERROR,
        "control characters, or anything but visible ASCII characters in a hash",
        "crypt(5): hashes are printable ASCII without white space; field-rules 1.7",
        "remove line breaks, blanks and invisible characters from the cell",
    ),
    rule(
        "password.scheme",
        WARN_BUT_LENIENT,
        "a hash of a weak scheme, or one that few servers know",
        "OWASP Password Storage Cheat Sheet",
        "check that the server verifies this scheme; prefer bcrypt or Argon2",
    ),
    rule(
        "password.cost",
        WARN_BUT_LENIENT,
        "a bcrypt hash with a cost below 10",
        "OWASP Password Storage Cheat Sheet",
        "hash again with a higher cost when users log in",
    ),
];

const MASKED: RuleId = RuleId::known("password.masked");
const TRUNCATED: RuleId = RuleId::known("password.truncated");
const UNSALTED: RuleId = RuleId::known("password.unsalted");
pub(super) const PLAINTEXT: RuleId = RuleId::known("password.plaintext");
const CONTROL: RuleId = RuleId::known("password.control");
const SCHEME: RuleId = RuleId::known("password.scheme");
const COST: RuleId = RuleId::known("password.cost");

/// Lowest bcrypt cost that needs no warning.
const BCRYPT_COST_MIN: u32 = 10;
/// So many `x` in a row stand for a password, not for one.
const CROSSES_MIN: usize = 4;
/// Lengths of bare hexadecimal digests: MD5 and NT, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512.
const HEX_DIGEST_LENS: [usize; 6] = [32, 40, 56, 64, 96, 128];

pub(super) fn check<'a>(value: &'a str, context: &mut Context<'_>) -> Option<Cow<'a, str>> {
    let hash = trim(value);
    if hash.is_empty() {
        return None;
    }
    if context.applies(MASKED) && (is_masked(hash) || context.rules.is_null_marker(hash, false)) {
        context.raise(MASKED);
        return None;
    }
    let kind = judge(hash);
    let sent = if kind == Kind::Plaintext { value } else { hash };
    // The shapes below leave a salt free, in most schemes.
    let is_hash = matches!(kind, Kind::Sound | Kind::Cheap | Kind::Foreign);
    if has_control(sent) || (is_hash && !sent.bytes().all(|byte| byte.is_ascii_graphic())) {
        return context.pass_as_is(CONTROL, sent);
    }
    match kind {
        Kind::Sound => Some(Cow::Borrowed(hash)),
        Kind::Cheap => context.pass_as_is(COST, hash),
        Kind::Foreign => context.pass_as_is(SCHEME, hash),
        Kind::Truncated => context.pass_as_is(TRUNCATED, hash),
        Kind::Unsalted => context.pass_as_is(UNSALTED, hash),
        // Every byte of a password counts, white space at its ends too.
        Kind::Plaintext => context.pass_as_is(PLAINTEXT, value),
    }
}

/// What a password cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sound,
    Cheap,
    Foreign,
    Truncated,
    Unsalted,
    Plaintext,
}

/// What exports put in place of a password.
fn is_masked(value: &str) -> bool {
    const WORDS: [&str; 8] =
        ["hidden", "masked", "redacted", "filtered", "protected", "encrypted", "removed", "omitted"];
    let dots = |c: char| matches!(c, '*' | '•' | '●' | '∙' | '·' | '⁎' | '＊');
    let word = value.trim_matches(['(', ')', '[', ']', '<', '>']);
    value.chars().all(dots)
        || (value.len() >= CROSSES_MIN
            && (value.bytes().all(|b| b == b'x') || value.bytes().all(|b| b == b'X')))
        || is_error_value(value)
        || (word.len() + 2 == value.len() && WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

fn judge(hash: &str) -> Kind {
    if let Some((scheme, inner)) = hash.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        return judge_braced(scheme, inner);
    }
    if let Some(rest) = hash.strip_prefix('*')
        && rest.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return if rest.len() == 40 { Kind::Foreign } else { Kind::Truncated };
    }
    if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) && HEX_DIGEST_LENS.contains(&hash.len()) {
        return Kind::Unsalted;
    }
    match hash.strip_prefix('$') {
        Some(rest) => judge_modular(rest),
        None => judge_django(hash),
    }
}

/// Spring's `{bcrypt}$2a$…` and LDAP's `{SSHA}…`.
fn judge_braced(scheme: &str, inner: &str) -> Kind {
    if scheme.is_empty()
        || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_@.".contains(&byte))
    {
        return Kind::Plaintext;
    }
    let whole = |complete: bool| if complete { Kind::Foreign } else { Kind::Truncated };
    let base64 = |length_min: usize| whole(is_base64(inner) && inner.len() >= length_min);
    let modular = || match inner.strip_prefix('$').map(judge_modular) {
        Some(Kind::Sound | Kind::Cheap | Kind::Foreign) => Kind::Foreign,
        Some(Kind::Truncated | Kind::Unsalted | Kind::Plaintext) | None => Kind::Truncated,
    };
    match scheme.to_ascii_lowercase().as_str() {
        "noop" | "plain" | "plaintext" | "clear" | "cleartext" => Kind::Plaintext,
        // Digest and at least four bytes of salt, in base64.
        "smd5" => base64(28),
        "ssha" | "ssha1" => base64(32),
        "ssha256" => base64(48),
        "ssha384" => base64(72),
        "ssha512" => base64(92),
        // Spring puts the salt in braces of its own; LDAP has none under these names.
        "md5" | "sha" | "sha1" | "sha-1" | "sha256" | "sha-256" | "sha384" | "sha512" | "sha-512" | "nt"
        | "ntlm" | "lanman"
            if !inner.starts_with('{') =>
        {
            Kind::Unsalted
        }
        "bcrypt" | "argon2" | "argon2i" | "argon2id" | "blf-crypt" | "sha256-crypt" | "sha512-crypt" => {
            modular()
        }
        "crypt" if !inner.starts_with('$') => whole(inner.len() == DES_CRYPT_LEN && is_base64(inner)),
        "crypt" => modular(),
        _ => whole(inner.len() >= BRACED_LEN_MIN),
    }
}

/// Characters of a hash of the old DES crypt(3): two of salt, eleven of digest.
const DES_CRYPT_LEN: usize = 13;
/// Fewest characters behind a scheme in braces of which nothing else is known: a digest of 12 bytes in base64.
const BRACED_LEN_MIN: usize = 16;

/// `$id$…$salt$digest`, without the first `$`.
fn judge_modular(hash: &str) -> Kind {
    let (id, rest) = hash.split_once('$').unwrap_or((hash, ""));
    let mut parts = rest.rsplit('$');
    let (digest, salt) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let salted =
        |lengths: &[usize]| match is_base64(digest) && lengths.contains(&digest.len()) && !salt.is_empty() {
            true => Kind::Sound,
            false => Kind::Truncated,
        };
    let foreign = |complete: bool| if complete { Kind::Foreign } else { Kind::Truncated };
    match id {
        "2a" | "2b" | "2y" => judge_bcrypt(rest),
        "2x" | "2" => foreign(judge_bcrypt(rest) != Kind::Truncated),
        "argon2id" | "argon2i" | "argon2d" => judge_argon2(rest),
        "scrypt" => salted(&[43, 44, 86, 88]),
        "7" | "y" | "gy" => salted(&[43]),
        "6" => salted(&[86]),
        "5" => salted(&[43]),
        "pbkdf2" => salted(&[27]),
        "pbkdf2-sha256" => salted(&[43]),
        "pbkdf2-sha512" => salted(&[86]),
        "P" | "H" => foreign(rest.len() == 31 && is_base64(rest)),
        "1" | "apr1" => foreign(digest.len() == 22 && is_base64(digest) && !salt.is_empty()),
        _ => Kind::Plaintext,
    }
}

/// Cost, `$`, 22 characters of salt and 31 of digest.
fn judge_bcrypt(rest: &str) -> Kind {
    let Some((cost, body)) = rest.split_once('$') else { return Kind::Truncated };
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    let whole = cost.len() == 2 && is_digits(cost) && body.len() == 53 && body.bytes().all(alphabet);
    match cost.parse::<u32>() {
        Ok(4..BCRYPT_COST_MIN) if whole => Kind::Cheap,
        Ok(BCRYPT_COST_MIN..=31) if whole => Kind::Sound,
        Ok(_) | Err(_) => Kind::Truncated,
    }
}

/// Fewest base64 characters of an Argon2 salt: 8 bytes (PHC string format).
const ARGON2_SALT_LEN_MIN: usize = 11;
/// Fewest base64 characters of an Argon2 hash: 16 bytes (RFC 9106 clause 4). Its length is a choice of who hashes, so
/// a hash that lost a few characters cannot be told from a shorter one.
const ARGON2_HASH_LEN_MIN: usize = 22;

/// `v=19$m=…,t=…,p=…$salt$hash`, version optional.
fn judge_argon2(rest: &str) -> Kind {
    let unversioned = match rest.split_once('$') {
        Some((version, tail)) if version.starts_with("v=") => tail,
        Some(_) | None => rest,
    };
    let parts: Vec<&str> = unversioned.split('$').collect();
    let whole = match parts.as_slice() {
        [parameters, salt, digest] => {
            ["m=", "t=", "p="].iter().all(|name| has_number(parameters, name))
                && is_base64(salt)
                && salt.len() >= ARGON2_SALT_LEN_MIN
                && is_base64(digest)
                && digest.len() >= ARGON2_HASH_LEN_MIN
        }
        _ => false,
    };
    if whole { Kind::Sound } else { Kind::Truncated }
}

/// Whether a list such as `m=65536,t=3,p=4` gives a number for the name.
fn has_number(parameters: &str, name: &str) -> bool {
    parameters.split(',').filter_map(|parameter| parameter.strip_prefix(name)).any(is_digits)
}

/// Django's `algorithm$…`, and Werkzeug's `algorithm:parameters$…`.
fn judge_django(hash: &str) -> Kind {
    let Some((algorithm, rest)) = hash.split_once('$') else { return Kind::Plaintext };
    let parts: Vec<&str> = rest.split('$').collect();
    let digest = parts.last().copied().unwrap_or("");
    let whole = |count: usize, length: usize| match parts.len() == count && digest.len() == length {
        true => Kind::Sound,
        false => Kind::Truncated,
    };
    match algorithm {
        "pbkdf2_sha256" => whole(3, 44),
        "pbkdf2_sha1" => whole(3, 28),
        "scrypt" => whole(5, 88),
        "argon2" | "bcrypt" | "bcrypt_sha256" => rest.strip_prefix('$').map_or_else(
            // Django writes `argon2$argon2id$…` with one sign and `bcrypt$$2b$…` with two.
            || if algorithm == "argon2" { judge_modular(rest) } else { Kind::Truncated },
            judge_modular,
        ),
        _ if algorithm.starts_with("pbkdf2:") || algorithm.starts_with("scrypt:") => {
            let hex = digest.len() >= WERKZEUG_HEX_MIN && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            if hex && parts.len() == 2 { Kind::Foreign } else { Kind::Truncated }
        }
        "md5" | "sha1" | "unsalted_md5" | "unsalted_sha1" | "crypt" => Kind::Foreign,
        _ => Kind::Plaintext,
    }
}

/// Fewest hexadecimal digits of Werkzeug's digests, those of SHA-1.
const WERKZEUG_HEX_MIN: usize = 40;

/// Characters of every alphabet that hashes are written in.
fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./+-_=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use crate::fields::tests::{verdict, verdict_under};
    use crate::fields::{Preset, RuleOptions};
    use crate::update::FieldKind::Password;

    const BCRYPT: &str = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

    #[test]
    fn sound_hashes_pass() {
        let sha512 = format!("$6$rounds=5000$saltsalt${}", "a".repeat(86));
        let sha256 = format!("$5$saltsalt${}", "a".repeat(43));
        let yescrypt = format!("$y$j9T$salt${}", "a".repeat(43));
        let passlib = format!("$pbkdf2-sha256$29000$salt${}", "a".repeat(43));
        let argon2 = format!("$argon2id$v=19$m=65536,t=3,p=4${}${}", "a".repeat(22), "b".repeat(43));
        let django = format!("pbkdf2_sha256$260000$salt${}=", "a".repeat(43));
        let django_argon2 = format!("argon2{argon2}");
        let django_bcrypt = format!("bcrypt_sha256${BCRYPT}");
        for hash in
            [BCRYPT, &sha512, &sha256, &yescrypt, &passlib, &argon2, &django, &django_argon2, &django_bcrypt]
        {
            assert_eq!(verdict(Password, hash), (Some(hash.to_owned()), vec![]), "{hash}");
            // The length of an Argon2 hash is free, so only a larger loss shows.
            let kept = if hash.contains("argon2") { hash.len() - 25 } else { hash.len() - 3 };
            let cut = &hash[..kept];
            assert_eq!(verdict(Password, cut), (None, vec!["password.truncated"]), "{cut}");
        }
        assert_eq!(verdict(Password, &format!(" {BCRYPT}\u{200B}")), (Some(BCRYPT.to_owned()), vec![]));
    }

    #[test]
    fn weak_and_foreign_hashes_are_sent_with_a_warning() {
        let cheap = BCRYPT.replace("$10$", "$04$");
        assert_eq!(verdict(Password, &cheap), (Some(cheap.clone()), vec!["password.cost"]));
        let spring = format!("{{bcrypt}}{BCRYPT}");
        let old = BCRYPT.replace("$2a$", "$2x$");
        let phpass = format!("$P${}", "B".repeat(31));
        let mysql = format!("*{}", "A1".repeat(20));
        let werkzeug = format!("pbkdf2:sha256:260000$salt${}", "a0".repeat(32));
        let des = "{CRYPT}ab01FAX.bQRSU";
        let crypt = format!("{{CRYPT}}$6$saltsalt${}", "a".repeat(86));
        let md5 = format!("$1$saltsalt${}", "a".repeat(22));
        let apr1 = format!("$apr1$saltsalt${}", "a".repeat(22));
        let oldest = BCRYPT.replace("$2a$", "$2$");
        let spring_salted = format!("{{SHA-256}}{{c2FsdA==}}{}", "a0".repeat(32));
        for hash in [
            &spring,
            &old,
            &oldest,
            &phpass,
            &mysql,
            &werkzeug,
            &crypt,
            &md5,
            &apr1,
            &spring_salted,
            des,
            "{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMoWImr",
        ] {
            assert_eq!(verdict(Password, hash), (Some(hash.to_owned()), vec!["password.scheme"]), "{hash}");
        }
    }

    #[test]
    fn masks_drop_the_field_and_keep_the_row() {
        for mask in
            ["****", "*", "••••••", "(hidden)", "[REDACTED]", "NULL", "########", "xxxxxx", "<encrypted>"]
        {
            assert_eq!(verdict(Password, mask), (None, vec!["password.masked"]), "{mask}");
        }
        assert_eq!(verdict(Password, " "), (None, vec![]));
    }

    #[test]
    fn everything_else_rejects_the_row() {
        let md5 = "5f4dcc3b5aa765d61d8327deb882cf99";
        assert_eq!(verdict(Password, md5), (None, vec!["password.unsalted"]));
        assert_eq!(verdict(Password, "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="), (None, vec!["password.unsalted"]));
        for length in [32, 40, 64, 128] {
            assert_eq!(verdict(Password, &"aB".repeat(length / 2)), (None, vec!["password.unsalted"]));
        }
        for cut in [
            "{bcrypt}$2a$10$N9qo8uLOickgx2ZMRZoMye",
            "{SSHA}0c0blFTXXNuAMHECS4uxrj3ZieMo",
            "{CRYPT}ab01FAX",
            "$argon2id$v=19$m=,t=3,p=4$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHQ",
            "pbkdf2:sha256:260000$salt$a0a0",
        ] {
            assert_eq!(verdict(Password, cut), (None, vec!["password.truncated"]), "{cut}");
        }
        assert_eq!(verdict(Password, "hun\tter2"), (None, vec!["password.control"]));
        assert_eq!(verdict(Password, "hash\u{200B}ed pass"), (None, vec!["password.plaintext"]));
        let noop = "{noop}a long password in clear";
        for text in ["hunter2", "$ecret$1", "{x y}z", "pass$word", "hidden", "xxx", noop] {
            assert_eq!(verdict(Password, text), (None, vec!["password.plaintext"]), "{text}");
        }
    }

    #[test]
    fn nothing_invisible_stands_in_a_hash_of_any_scheme() {
        let salt = "SaltSALT";
        let scrypt = "a0".repeat(64);
        for hash in [
            format!("$1${salt}${}", "a".repeat(22)),
            format!("$apr1${salt}${}", "a".repeat(22)),
            format!("$5${salt}${}", "a".repeat(43)),
            format!("$6${salt}${}", "a".repeat(86)),
            format!("$7${salt}${}", "a".repeat(43)),
            format!("$y$j9T${salt}${}", "a".repeat(43)),
            format!("$scrypt$ln=16,r=8,p=1${salt}${}", "a".repeat(43)),
            format!("$pbkdf2-sha256$29000${salt}${}", "a".repeat(43)),
            format!("pbkdf2_sha256$260000${salt}${}=", "a".repeat(43)),
            format!("scrypt${salt}$16384$8$1${}", "a".repeat(88)),
            format!("scrypt:32768:8:1${salt}${scrypt}"),
            format!("sha1${salt}${}", "a0".repeat(20)),
            format!("{{x-{}}}{salt}0123456789", "own"),
            format!("{{CRYPT}}$6${salt}${}", "a".repeat(86)),
            format!("{{SHA-256}}{{{salt}}}{}", "a0".repeat(32)),
        ] {
            assert!(verdict(Password, &hash).0.is_some(), "{hash}");
            for mark in ['\0', '\u{1}', '\u{7F}', '\u{85}', ' ', '\u{A0}', '\u{200B}', '\u{FEFF}', 'é'] {
                let damaged = hash.replace("tS", &format!("t{mark}S"));
                assert_eq!(verdict(Password, &damaged), (None, vec!["password.control"]), "{damaged:?}");
            }
        }
    }

    #[test]
    fn plaintext_once_allowed_is_sent_byte_for_byte() {
        let options = RuleOptions { allow_plaintext_passwords: true, ..RuleOptions::default() };
        let (sent, codes) = verdict_under(&options, Password, " pass word ");
        assert_eq!((sent.as_deref(), codes), (Some(" pass word "), vec!["password.plaintext"]));
        // That says nothing about hashes that can never verify.
        assert_eq!(verdict_under(&options, Password, &BCRYPT[..29]), (None, vec!["password.truncated"]));
        let lenient = RuleOptions { preset: Preset::Lenient, ..RuleOptions::default() };
        let cut = &BCRYPT[..29];
        assert_eq!(
            verdict_under(&lenient, Password, cut),
            (Some(cut.to_owned()), vec!["password.truncated"])
        );
    }
}
