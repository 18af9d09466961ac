//! What a server's certificate says of itself: until when it is valid, and for which names.
//!
//! Pure, and only as much of DER as that takes: whether the certificate is good, TLS has decided before. Not here: how
//! it is come by (`knock.rs`), what is wrong with one that is refused (`trouble.rs`).

/// Names told at most.
const NAMES_MAX: usize = 4;

/// Tags of X.690 that occur on the way (section 8.1.2).
const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;

/// The subject's alternative names, 2.5.29.17 (RFC 5280 section 4.2.1.6).
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// What is told of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// When it ceases to be valid, in seconds since 1970.
    pub expires_s: i64,
    /// Names of hosts it is for, at most four of them.
    pub names: Vec<String>,
}

impl Certificate {
    /// Reads an X.509 certificate in DER (RFC 5280 section 4.1); `None` where it is something else.
    pub(super) fn read(der: &[u8]) -> Option<Certificate> {
        let (certificate, _) = take(der, SEQUENCE)?;
        let (mut rest, _) = take(certificate, SEQUENCE)?;
        if let Some((_, after)) = take(rest, VERSION) {
            rest = after;
        }
        let (_serial, rest) = take(rest, INTEGER)?;
        let (_algorithm, rest) = take(rest, SEQUENCE)?;
        let (_issuer, rest) = take(rest, SEQUENCE)?;
        let (validity, rest) = take(rest, SEQUENCE)?;
        let (_not_before, not_after, _) = {
            let (tag, value, after) = element(validity)?;
            let (after_tag, after_value, rest) = element(after)?;
            ((tag, value), (after_tag, after_value), rest)
        };
        let names = extensions(rest).map(alternative_names).unwrap_or_default();
        Some(Certificate { expires_s: seconds(not_after)?, names })
    }
}

/// One element: its tag, its content, and what follows. Lengths of more than three bytes are none of a certificate's.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// The content of the element of this tag, and what follows it.
fn take(bytes: &[u8], expected: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == expected).then_some((content, rest))
}

/// The list of extensions, behind the subject, its key and the ids nobody uses any more.
fn extensions(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((tag, content, after)) = element(rest) {
        if tag == EXTENSIONS {
            return take(content, SEQUENCE).map(|(list, _)| list);
        }
        rest = after;
    }
    None
}

fn alternative_names(mut extensions: &[u8]) -> Vec<String> {
    while let Some((extension, rest)) = take(extensions, SEQUENCE) {
        extensions = rest;
        let Some((id, value)) = take(extension, OBJECT) else { continue };
        if id != ALTERNATIVE_NAMES {
            continue;
        }
        // Whether it is critical may stand in between.
        let value = take(value, BOOLEAN).map_or(value, |(_, rest)| rest);
        let names = take(value, OCTET_STRING).and_then(|(octets, _)| take(octets, SEQUENCE));
        return names.map(|(names, _)| dns_names(names)).unwrap_or_default();
    }
    Vec::new()
}

fn dns_names(mut names: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((tag, content, rest)) = element(names) {
        names = rest;
        let is_name = tag == DNS_NAME && content.iter().all(u8::is_ascii_graphic);
        if is_name && found.len() < NAMES_MAX {
            found.push(String::from_utf8_lossy(content).into_owned());
        }
    }
    found
}

/// A moment as certificates write it, always in UTC and with seconds (RFC 5280 sections 4.1.2.5.1 and 4.1.2.5.2).
fn seconds((tag, text): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<i64>().ok())?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    let part = |from: usize| number(rest.get(from..from + 2)?);
    let (month, day) = (part(0)?, part(2)?);
    let (hour, minute, second) = (part(4)?, part(6)?, part(8)?);
    if rest.len() != 10 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. Years are counted from March, so that the day that leap
/// years add is their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_tells_its_end_and_its_names() {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = ["gate.example.com", "*.example.net"].map(str::to_owned);
        for (year, expires_s) in [(2031, 1_931_040_000), (2060, 2_846_275_200)] {
            let mut params = rcgen::CertificateParams::new(names.to_vec()).expect("names");
            params.not_after = rcgen::date_time_ymd(year, 3, 12);
            let certificate = params.self_signed(&key).expect("a certificate");
            let read = Certificate::read(certificate.der()).expect("it is one");
            assert_eq!(read.names, names, "{year}");
            assert_eq!(read.expires_s, expires_s, "{year}");
        }
    }

    #[test]
    fn moments_are_read_in_both_forms() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000229235959Z", Some(951_868_799)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "700101000000+0100", None),
            (UTC_TIME, "701301000000Z", None),
            (GENERALIZED_TIME, "2050", None),
            (INTEGER, "700101000000Z", None),
        ] {
            assert_eq!(seconds((tag, text.as_bytes())), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            Certificate::read(&bytes);
        }
    }
}
