//! Order values: what a cell of the column of `--order-by` says about how new its row is, and what `<` and `>` of a
//! condition compare.
//!
//! A cell is a number, or a date with or without a time of day, or it is rejected: a date that can be read in two ways
//! would decide silently which of two values survives. Not here: what follows from the order (`join.rs`), conditions
//! (`filter.rs`), a clock. A time without a zone is taken for UTC; within one export all of them are alike.

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use crate::fields::{Cleaning, bare};

/// Units in one: fractions of a number and of a second have nine digits at most.
const UNIT: i128 = 1_000_000_000;

/// Longest integer part of a number, in digits: far beyond any counter, far within the rank.
const INTEGER_DIGITS_MAX: usize = 28;

/// Years of eight or fourteen digits in a row that are taken for a date; any other such number is a number.
const COMPACT_YEARS: std::ops::RangeInclusive<i16> = 1900..=2199;

/// What a cell is compared as. Numbers and dates have no order among each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKind {
    /// An integer or a decimal fraction.
    Number,
    /// A date, with or without a time of day.
    Date,
}

/// A cell that has a place in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderValue {
    /// What it is.
    pub kind: OrderKind,
    /// Its place among values of its kind: billionths, of one or of a second since the Unix epoch.
    pub rank: i128,
}

/// Place of an empty cell: before everything else.
pub const RANK_OLDEST: i128 = i128::MIN;

/// Why a cell has no place in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// A date of which day, month and year cannot be told apart.
    #[error("day, month and year cannot be told apart")]
    Ambiguous,
    /// Neither a number nor a date.
    #[error("neither a number nor a date")]
    Invalid,
}

impl OrderValue {
    /// Reads a cell; `None` when it is empty.
    ///
    /// Taken are integers and decimals; ISO 8601 dates and times, with `T` or a space between them, with or without
    /// seconds, fraction and offset (`Z`, `UTC`, `+02`, `+0200`, `+02:00`); `YYYY/MM/DD`; `YYYYMMDD` and
    /// `YYYYMMDDHHMMSS`; `DD.MM.YYYY`, each of the separated ones with a time, too.
    ///
    /// # Errors
    /// When the cell is none of these.
    pub fn parse(cell: &str) -> Result<Option<OrderValue>, OrderError> {
        // A number or a date has nothing to lose by the cleaning of identifiers, which takes apostrophes off.
        let bare = bare(cell, Cleaning::Opaque);
        let text = bare.as_ref();
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(rank) = date(text)? {
            return Ok(Some(OrderValue { kind: OrderKind::Date, rank }));
        }
        let rank = number(text).ok_or(OrderError::Invalid)?;
        Ok(Some(OrderValue { kind: OrderKind::Number, rank }))
    }
}

/// An integer or a decimal fraction, as a rank.
fn number(text: &str) -> Option<i128> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let fraction = fraction.trim_end_matches('0');
    let has_fraction = !fraction.is_empty();
    let is_fine = is_digits(whole)
        && whole.trim_start_matches('0').len() <= INTEGER_DIGITS_MAX
        && (!has_fraction || is_digits(fraction) && fraction.len() <= 9)
        && !digits.ends_with('.');
    if !is_fine {
        return None;
    }
    let rank =
        whole.parse::<i128>().ok()?.checked_mul(UNIT)?.checked_add(i128::from(billionths(fraction)?))?;
    Some(if is_negative { -rank } else { rank })
}

/// A fraction of up to nine digits, in billionths.
fn billionths(fraction: &str) -> Option<i32> {
    format!("{fraction:0<9}").parse().ok()
}

/// A date as a rank; `None` for what does not look like one.
fn date(text: &str) -> Result<Option<i128>, OrderError> {
    let (day, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, ""));
    let day = day.trim_end_matches(',');
    let separator = ['-', '/', '.'].into_iter().find(|separator| day.matches(*separator).count() == 2);
    let Some(separator) = separator else { return compact(day, time) };
    let parts: Vec<&str> = day.split(separator).collect();
    if !parts.iter().all(|part| is_digits(part)) {
        return Ok(None);
    }
    let (year, month, day) = match (separator, parts.as_slice()) {
        ('-' | '/', [year, month, day]) if year.len() == 4 => (year, month, day),
        ('.', [day, month, year]) if year.len() == 4 => (year, month, day),
        _ => return Err(OrderError::Ambiguous),
    };
    if month.len() > 2 || day.len() > 2 {
        return Err(OrderError::Invalid);
    }
    let clock = if time.is_empty() { Some(Clock::default()) } else { clock(time) };
    rank(year, month, day, clock).map(Some).ok_or(OrderError::Invalid)
}

/// A date without separators. Eight or fourteen digits that are no date of our times are a number.
fn compact(day: &str, time: &str) -> Result<Option<i128>, OrderError> {
    if !is_digits(day) || !matches!(day.len(), 8 | 14) {
        return Ok(None);
    }
    let is_of_our_times = day[..4].parse().is_ok_and(|year| COMPACT_YEARS.contains(&year));
    if !is_of_our_times || (day.len() == 14 && !time.is_empty()) {
        return Ok(None);
    }
    let clock = match (&day[8..], time) {
        ("", "") => Some(Clock::default()),
        ("", time) => clock(time),
        (time, _) => clock(time),
    };
    let rank = rank(&day[..4], &day[4..6], &day[6..8], clock);
    match rank {
        None if !time.is_empty() => Err(OrderError::Invalid),
        rank => Ok(rank),
    }
}

/// Time of day and distance from UTC.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
    billionths: i32,
    offset_s: i32,
}

/// Reads `H:MM[:SS[.fraction]]` or `HHMM[SS]`, with or without an offset behind it.
fn clock(text: &str) -> Option<Clock> {
    let zone_at = text.find(['Z', 'z', 'U', '+', '-']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone_at);
    let (time, fraction) = time.trim_end().split_once(['.', ',']).unwrap_or((time.trim_end(), ""));
    let (hour, minute, second) = match time.split(':').collect::<Vec<_>>().as_slice() {
        [all] if matches!(all.len(), 4 | 6) && is_digits(all) => (&all[..2], &all[2..4], &all[4..]),
        [hour, minute] => (*hour, *minute, ""),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let is_fine = matches!(hour.len(), 1 | 2)
        && minute.len() == 2
        && matches!(second.len(), 0 | 2)
        && [hour, minute].into_iter().all(is_digits)
        && (second.is_empty() || is_digits(second))
        && (fraction.is_empty() || is_digits(fraction) && !second.is_empty());
    if !is_fine {
        return None;
    }
    // Nobody orders updates by less than a billionth of a second.
    let fraction = &fraction[..fraction.len().min(9)];
    Some(Clock {
        hour: hour.parse().ok()?,
        minute: minute.parse().ok()?,
        second: if second.is_empty() { 0 } else { second.parse().ok()? },
        billionths: billionths(fraction)?,
        offset_s: offset_s(zone.trim())?,
    })
}

/// Seconds east of UTC (RFC 3339 section 5.6, and what exports make of it).
fn offset_s(zone: &str) -> Option<i32> {
    let sign = match zone.as_bytes().first() {
        None => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return matches!(zone, "Z" | "z" | "UTC").then_some(0),
    };
    let digits = zone[1..].replacen(':', "", 1);
    if !is_digits(&digits) || !matches!(digits.len(), 2 | 4) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

fn rank(year: &str, month: &str, day: &str, clock: Option<Clock>) -> Option<i128> {
    let clock = clock?;
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    let at =
        DateTime::new(year, month, day, clock.hour, clock.minute, clock.second, clock.billionths).ok()?;
    let offset = Offset::from_seconds(clock.offset_s).ok()?;
    let at = TimeZone::fixed(offset).to_timestamp(at).ok()?;
    Some(at.as_nanosecond())
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> OrderValue {
        OrderValue::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).unwrap()
    }

    #[test]
    fn the_many_ways_to_write_one_moment() {
        let moment = value("2026-01-02T03:04:05Z");
        assert_eq!(moment, OrderValue { kind: OrderKind::Date, rank: 1_767_323_045 * UNIT });
        for text in [
            " 2026-01-02T03:04:05 ",
            "2026-01-02 03:04:05",
            "2026-01-02t03:04:05z",
            "2026-01-02 03:04:05 UTC",
            "2026-01-02T05:04:05+02:00",
            "2026-01-02 05:04:05 +0200",
            "2026-01-01T22:04:05-05",
            "2026-01-02T03:04:05.000+0000",
            "2026-01-02 03:04:05,0",
            "2026/01/02 03:04:05",
            "2026/1/2 3:04:05",
            "20260102030405",
            "20260102T030405Z",
            "02.01.2026 03:04:05",
            "2.1.2026 3:04:05",
        ] {
            assert_eq!(value(text), moment, "{text}");
        }
        assert_eq!(value("2026-01-02"), value("20260102"));
        assert_eq!(value("02.01.2026"), value("2026-01-02 00:00"));
        assert!(value("2026-01-02T03:04:05.123456789Z").rank > value("2026-01-02T03:04:05.123456788Z").rank);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        for (less, more) in [
            ("9", "10"),
            ("-10", "-9"),
            ("-0.5", "0"),
            ("1.5", "1.25000000001".get(..12).unwrap_or_default()),
            ("0.1", "0.12"),
            ("007", "8"),
            ("99999999", "100000000"),
            ("45321.25", "45321.5"),
        ] {
            let (less, more) = if less == "1.5" { (more, less) } else { (less, more) };
            assert!(value(less).rank < value(more).rank, "{less} {more}");
            assert_eq!(value(less).kind, OrderKind::Number, "{less}");
        }
        assert_eq!(value("1.50"), value("+1.5"));
        // No date of our times, and so a counter.
        assert_eq!(value("20261301").kind, OrderKind::Number);
        assert_eq!(value("89014103").kind, OrderKind::Number);
        assert_eq!(value("1767323045").kind, OrderKind::Number);
    }

    #[test]
    fn a_date_of_two_readings_is_not_guessed() {
        for text in [
            "01/02/2026",
            "31/12/2026",
            "1-2-2026",
            "01/02/26",
            "01.02.26",
            "1/2/26 10:00",
            "1/15/2026, 10:00 AM",
        ] {
            assert_eq!(OrderValue::parse(text), Err(OrderError::Ambiguous), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_said() {
        for text in [
            "yesterday",
            "2026-02-30",
            "2026-13-01",
            "2026-01-02T25:00",
            "2026-01-02 10:00 PM",
            "2026-01-02T10:00[Europe/Berlin]",
            "1,5",
            "1.",
            ".5",
            "1e9",
            "1.0000000001",
            "--1",
            "2026-W01-1",
            "20260102T99",
            "12345678901234567890123456789",
            "\u{0661}\u{0662}",
        ] {
            assert_eq!(OrderValue::parse(text), Err(OrderError::Invalid), "{text}");
        }
        assert_eq!(OrderValue::parse(" \t"), Ok(None));
    }

    proptest! {
        #[test]
        fn any_text_has_an_answer(text in ".{0,40}") {
            // Only that it comes to an end without a panic.
            prop_assert!(OrderValue::parse(&text).is_ok() || OrderValue::parse(&text).is_err());
        }

        #[test]
        fn digits_and_separators_have_an_answer(text in "[-+0-9./: TZ,]{0,32}") {
            prop_assert!(OrderValue::parse(&text).map_or(true, |value| value.is_none_or(|value| value.rank > RANK_OLDEST)));
        }

        #[test]
        fn moments_are_ordered_as_they_were_written(one in 0..4_000_000_000_i64, other in 0..4_000_000_000_i64) {
            let text = |second| jiff::Timestamp::from_second(second).unwrap().to_string();
            let (first, second) = (value(&text(one)), value(&text(other)));
            prop_assert_eq!(first.rank.cmp(&second.rank), one.cmp(&other));
        }

        #[test]
        fn integers_are_ordered_as_integers(one in any::<i64>(), other in any::<i64>()) {
            let (first, second) = (value(&one.to_string()), value(&other.to_string()));
            if first.kind == second.kind {
                prop_assert_eq!(first.rank.cmp(&second.rank), one.cmp(&other));
            }
        }
    }
}
