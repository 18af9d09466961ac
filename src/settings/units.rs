//! Quantities as people write them: rates, durations, sizes, shares and error budgets, read and printed exactly.
//!
//! Nothing here rounds: what cannot be held exactly is refused, and what is printed reads back as the same value.
//! Not here: which setting has which quantity and within which bounds (`table.rs`).

use std::fmt;
use std::time::Duration;

/// Most requests a rate may name per unit of time; above it a rate is a typing error, not a limit.
pub(crate) const RATE_COUNT_MAX: u32 = 1_000_000;

/// Basis points in the whole: 100 %.
const BASIS_POINTS_WHOLE: u32 = 10_000;

/// The unit of time of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// `/s`
    Second,
    /// `/m`
    Minute,
    /// `/h`
    Hour,
}

impl Per {
    /// Its length in milliseconds.
    pub const fn ms(self) -> u64 {
        match self {
            Per::Second => 1_000,
            Per::Minute => 60_000,
            Per::Hour => 3_600_000,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Per::Second => "s",
            Per::Minute => "m",
            Per::Hour => "h",
        }
    }
}

/// How many attempts may begin per unit of time, for the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate {
    /// No limit of our own; the server's answers still set the pace.
    Unlimited,
    /// At most `count` attempts in each `per`; `count` is from 1 to a million.
    Every {
        /// Attempts.
        count: u32,
        /// In this long.
        per: Per,
    },
}

impl Rate {
    /// Reads `200/s`, `100/m`, `5000/h` or `unlimited`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Rate, String> {
        if text == "unlimited" {
            return Ok(Rate::Unlimited);
        }
        let Some((count, unit)) = text.split_once('/') else {
            return Err(format!("`{text}` is no rate: the unit of time is missing"));
        };
        let per = match unit.trim() {
            "s" | "sec" | "second" => Per::Second,
            "m" | "min" | "minute" => Per::Minute,
            "h" | "hour" => Per::Hour,
            _ => return Err(format!("`{text}` is no rate: its unit of time is none of s, m, h")),
        };
        let count = whole(count.trim()).and_then(|count| u32::try_from(count).ok());
        match count {
            Some(count @ 1..=RATE_COUNT_MAX) => Ok(Rate::Every { count, per }),
            Some(_) | None => {
                Err(format!("`{text}` is no rate: its count is no whole number from 1 to {RATE_COUNT_MAX}"))
            }
        }
    }

    /// Attempts per second; `None` when unlimited.
    pub fn per_second(self) -> Option<f64> {
        match self {
            Rate::Unlimited => None,
            Rate::Every { count, per: Per::Second } => Some(f64::from(count)),
            Rate::Every { count, per: Per::Minute } => Some(f64::from(count) / 60.0),
            Rate::Every { count, per: Per::Hour } => Some(f64::from(count) / 3_600.0),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Unlimited => f.write_str("unlimited"),
            Rate::Every { count, per } => write!(f, "{count}/{}", per.suffix()),
        }
    }
}

/// Reads `05:00` as hour and minute; the error says what is wrong with it.
pub(crate) fn time_of_day(text: &str) -> Result<(i8, i8), String> {
    let two = |text: &str, below: u64| {
        let number = whole(text).filter(|number| text.len() == 2 && *number < below)?;
        i8::try_from(number).ok()
    };
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((two(hour, 24)?, two(minute, 60)?)));
    parts.ok_or_else(|| format!("`{text}` is no time of day"))
}

/// A share of a whole, 0 to 100 %, exact to a hundredth of a percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    basis_points: u32,
}

impl Share {
    /// Reads `30%` or `0.25%`.
    pub fn parse(text: &str) -> Result<Share, String> {
        let wrong = || format!("`{text}` is no share");
        let number = text.strip_suffix('%').ok_or_else(wrong)?.trim_end();
        let (whole_percent, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if decimals.len() > 2 {
            return Err(format!("`{text}` is finer than a hundredth of a percent"));
        }
        let percent = whole(whole_percent).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)?;
        let hundredths =
            whole(&format!("{decimals:0<2}")).and_then(|n| u32::try_from(n).ok()).ok_or_else(wrong)?;
        match percent.checked_mul(100).and_then(|n| n.checked_add(hundredths)) {
            Some(basis_points @ 0..=BASIS_POINTS_WHOLE) => Ok(Share { basis_points }),
            Some(_) | None => Err(format!("`{text}` is more than 100%")),
        }
    }

    /// The share as a number from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.basis_points) / f64::from(BASIS_POINTS_WHOLE)
    }

    /// This share of a count, rounded down.
    pub fn of(self, count: u64) -> u64 {
        let share = u128::from(count) * u128::from(self.basis_points) / u128::from(BASIS_POINTS_WHOLE);
        u64::try_from(share).expect("a share of a count is not more than the count")
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.basis_points / 100, self.basis_points % 100) {
            (percent, 0) => write!(f, "{percent}%"),
            (percent, hundredths) if hundredths % 10 == 0 => write!(f, "{percent}.{}%", hundredths / 10),
            (percent, hundredths) => write!(f, "{percent}.{hundredths:02}%"),
        }
    }
}

/// How many failures a run may have before it stops: a count, or a share of the rows read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBudget {
    /// So many.
    Count(u64),
    /// This share of the rows read by the survey.
    Share(Share),
}

impl ErrorBudget {
    /// Reads `500` or `2%`.
    pub fn parse(text: &str) -> Result<ErrorBudget, String> {
        if text.ends_with('%') {
            return Share::parse(text).map(ErrorBudget::Share);
        }
        whole(text).map(ErrorBudget::Count).ok_or_else(|| format!("`{text}` is neither a count nor a share"))
    }

    /// The most failures allowed, given the rows the survey has read.
    pub fn failures_max(self, rows_read: u64) -> u64 {
        match self {
            ErrorBudget::Count(count) => count,
            ErrorBudget::Share(share) => share.of(rows_read),
        }
    }
}

impl fmt::Display for ErrorBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorBudget::Count(count) => write!(f, "{count}"),
            ErrorBudget::Share(share) => write!(f, "{share}"),
        }
    }
}

/// Reads a duration such as `30s`, `500ms` or `1h 30m` into milliseconds.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    if whole(text).is_some_and(|number| number != 0) {
        return Err(format!("`{text}` has no unit of time"));
    }
    let duration: Duration =
        humantime::parse_duration(text).map_err(|_| format!("`{text}` is no duration"))?;
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return Err(format!("`{text}` is finer than a millisecond"));
    }
    u64::try_from(duration.as_millis()).map_err(|_| format!("`{text}` is too long"))
}

/// Prints milliseconds in the largest unit that holds them exactly; what is printed reads back as the same.
pub fn duration_text(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let unit = UNITS.into_iter().find(|(length, _)| ms != 0 && ms.is_multiple_of(*length));
    unit.map_or_else(|| format!("{ms}ms"), |(length, name)| format!("{}{name}", ms / length))
}

const SIZES: [(u64, &str); 4] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")];

/// Reads a size such as `64KiB`, `1MiB` or `4096B` into bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    for (size, name) in SIZES {
        if let Some(count) = text.strip_suffix(name) {
            // `B` is a suffix of every unit, so a count that is no number here means a unit we do not know.
            let count = whole(count.trim_end()).ok_or_else(|| format!("`{text}` is no size"))?;
            return count.checked_mul(size).ok_or_else(|| format!("`{text}` is too large"));
        }
    }
    Err(format!("`{text}` has no unit of size"))
}

/// Prints bytes in the largest unit that holds them exactly; [`bytes`] reads it back.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let unit = SIZES.into_iter().find(|(size, _)| bytes != 0 && bytes.is_multiple_of(*size));
    let (size, name) = unit.unwrap_or((1, "B"));
    format!("{}{name}", bytes / size)
}

/// A whole number written in digits alone: no sign, no blank, nothing that `parse` would let pass beside them.
pub(crate) fn whole(text: &str) -> Option<u64> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_digits { text.parse().ok() } else { None }
}

/// What separates CSV cells: a punctuation character or Ctrl-A, or its name.
pub(crate) fn delimiter(text: &str) -> Result<u8, String> {
    match (text, text.as_bytes()) {
        ("comma", _) => Ok(b','),
        ("semicolon", _) => Ok(b';'),
        ("tab" | "\\t" | "\t", _) => Ok(b'\t'),
        ("bar" | "pipe", _) => Ok(b'|'),
        ("space", _) => Ok(b' '),
        // The first of the control characters is what Hive writes; a shell passes it on in many ways.
        ("^A" | "^a" | "ctrl-a" | "\\x01" | "\\001" | "\\u0001" | "\u{1}", _) => Ok(1),
        (_, [byte]) if byte.is_ascii_punctuation() && *byte != b'"' => Ok(*byte),
        (_, _) => Err(format!("`{text}` is no delimiter")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn delimiters_have_names() {
        for (text, expected) in [
            (":", Some(b':')),
            ("^", Some(b'^')),
            ("tab", Some(b'\t')),
            ("^A", Some(1)),
            ("\\x01", Some(1)),
            ("\u{1}", Some(1)),
            ("\"", None),
            ("\u{2}", None),
            ("ab", None),
        ] {
            assert_eq!(delimiter(text).ok(), expected, "{text:?}");
        }
    }

    #[test]
    fn rates_as_people_write_them() {
        for (text, expected) in [
            ("200/s", Some(Rate::Every { count: 200, per: Per::Second })),
            ("100/m", Some(Rate::Every { count: 100, per: Per::Minute })),
            ("5000 / hour", Some(Rate::Every { count: 5000, per: Per::Hour })),
            ("unlimited", Some(Rate::Unlimited)),
            ("200", None),
            ("0/s", None),
            ("-1/s", None),
            ("+1/s", None),
            ("0.5/s", None),
            ("1000001/s", None),
            ("200/d", None),
            ("", None),
            ("/s", None),
        ] {
            assert_eq!(Rate::parse(text).ok(), expected, "{text}");
        }
        assert_eq!(Rate::Every { count: 90, per: Per::Minute }.per_second(), Some(1.5));
    }

    #[test]
    fn shares_are_exact() {
        for (text, expected) in [
            ("30%", Some(3_000)),
            ("0.25%", Some(25)),
            ("0.5%", Some(50)),
            ("100%", Some(10_000)),
            ("100.01%", None),
            ("0.125%", None),
            ("30", None),
            ("-1%", None),
            ("%", None),
        ] {
            assert_eq!(Share::parse(text).ok().map(|share| share.basis_points), expected, "{text}");
        }
        assert_eq!(Share::parse("30%").unwrap().of(u64::MAX), u64::MAX / 10 * 3 + 1);
        assert_eq!(ErrorBudget::parse("2%").unwrap().failures_max(149), 2);
        assert_eq!(ErrorBudget::parse("7").unwrap().failures_max(149), 7);
    }

    #[test]
    fn durations_need_a_unit_and_lose_nothing() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("1h 30m", Some(5_400_000)),
            ("30d", Some(2_592_000_000)),
            ("0s", Some(0)),
            ("30", None),
            ("1500us", None),
            ("-1s", None),
            ("soon", None),
        ] {
            assert_eq!(duration_ms(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        for (text, expected) in [
            ("64KiB", Some(65_536)),
            ("1 MiB", Some(1_048_576)),
            ("10B", Some(10)),
            ("1MB", None),
            ("64", None),
            ("99999999999999999999GiB", None),
        ] {
            assert_eq!(bytes(text).ok(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..=3_650 * 86_400_000_u64, size: u64, basis_points in 0..=10_000_u32, count in 1..=RATE_COUNT_MAX) {
            prop_assert_eq!(duration_ms(&duration_text(ms)), Ok(ms));
            prop_assert_eq!(bytes(&bytes_text(size)), Ok(size));
            let share = Share { basis_points };
            prop_assert_eq!(Share::parse(&share.to_string()), Ok(share));
            for per in [Per::Second, Per::Minute, Per::Hour] {
                let rate = Rate::Every { count, per };
                prop_assert_eq!(Rate::parse(&rate.to_string()), Ok(rate));
            }
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let read = (Rate::parse(&text), Share::parse(&text), ErrorBudget::parse(&text), duration_ms(&text), bytes(&text));
            drop(read);
        }
    }
}
