//! Whether the token lasts as long as the run will: a warning, never a stop. Only the server knows whether it takes a
//! token.
//!
//! Not here: when a token expires (`api/expiry.rs`), reading it again once it is refused (`delivery/`).

use std::time::Duration;

use super::parts;
use crate::api::{Token, TokenSource};
use crate::engine::clock;
use crate::settings::Settings;

/// The latest moment that can be told, in seconds since 1970: two days before the year 10000.
const LATEST_S: i64 = 253_402_207_200;

/// When a run that begins sending now will have ended, in seconds since 1970: by its rate, or earlier by a limit that
/// was asked for. `None` where nobody knows: without a rate, the server decides how long it takes.
fn ends_s(now_s: i64, sending: Option<Duration>, stops_in_ms: Option<u64>) -> Option<i64> {
    // More than a u64 of milliseconds is as good as never.
    let sending_ms = sending.map(|sending| u64::try_from(sending.as_millis()).unwrap_or(u64::MAX));
    let in_ms = sending_ms.into_iter().chain(stops_in_ms).min()?;
    Some(now_s.saturating_add_unsigned(in_ms.div_ceil(1_000)).min(LATEST_S))
}

/// What is told of a token that expires before the run ends, or has expired.
fn warning(expires_s: i64, now_s: i64, ends_s: Option<i64>, source: &TokenSource) -> Option<String> {
    let is_over = expires_s <= now_s;
    if !is_over && ends_s.is_none_or(|ends_s| expires_s > ends_s) {
        return None;
    }
    let expires = if is_over { "expired" } else { "expires" };
    let mut text = format!("the token {expires} at {}", clock::rfc3339(expires_s));
    if let Some(ends_s) = ends_s.filter(|_| !is_over) {
        text.push_str(&format!(", the run is expected to end at {}", clock::rfc3339(ends_s)));
    }
    text.push_str("; ");
    text.push_str(&if source.can_change() {
        format!("{} is read again when it is refused", source.describe())
    } else {
        format!(
            "the {} cannot be read anew during a run, which ends with 12 when it is refused: renew the token and run \
             the same command again, or set api.token_file or api.token_command",
            source.describe()
        )
    });
    Some(text)
}

/// The warning about a run's token, if there is one. `stops_in_ms` is how long the run may still last by its own
/// limits.
pub(super) fn of_run(
    settings: &Settings,
    (token, source): (&Token, &TokenSource),
    updates: u64,
    stops_in_ms: Option<u64>,
) -> Option<String> {
    let now_s = clock::wall_s();
    let hours = parts::hours(&settings.delivery);
    let minute = clock::minute_of_day(hours.time_zone.as_deref()).unwrap_or_default();
    let ends_s = ends_s(now_s, hours.duration(updates, minute), stops_in_ms);
    warning(token.expires_s()?, now_s, ends_s, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_700_000_000;

    #[test]
    fn a_run_ends_by_its_rate_or_by_its_limit() {
        for (sending_ms, stops_in_ms, expected) in [
            (Some(20_000), None, Some(20)),
            (Some(20_020), None, Some(21)),
            (Some(20_000), Some(5_000), Some(5)),
            (Some(20_000), Some(50_000), Some(20)),
            (None, Some(50_000), Some(50)),
            (None, None, None),
        ] {
            let ends = ends_s(NOW_S, sending_ms.map(Duration::from_millis), stops_in_ms);
            assert_eq!(ends, expected.map(|seconds| NOW_S + seconds), "{sending_ms:?} {stops_in_ms:?}");
        }
        assert_eq!(ends_s(NOW_S, Some(Duration::MAX), None), Some(LATEST_S));
    }

    #[test]
    fn a_token_that_lasts_is_no_news() {
        let source = TokenSource::Command("true".to_owned());
        assert_eq!(warning(NOW_S + 61, NOW_S, Some(NOW_S + 60), &source), None);
        assert_eq!(warning(NOW_S + 1, NOW_S, None, &source), None);
    }

    #[test]
    fn a_token_that_does_not_is_told_with_both_times_and_the_way_on() {
        let file = TokenSource::File { path: "token".into(), any_permissions: false };
        assert_eq!(
            warning(NOW_S + 60, NOW_S, Some(NOW_S + 60), &file).expect("told"),
            "the token expires at 2023-11-14T22:14:20Z, the run is expected to end at 2023-11-14T22:14:20Z; \
             token_file token is read again when it is refused"
        );
        assert_eq!(
            warning(NOW_S, NOW_S, None, &file).expect("told"),
            "the token expired at 2023-11-14T22:13:20Z; token_file token is read again when it is refused"
        );
        let env = TokenSource::Env("x".to_owned().into());
        let told = warning(NOW_S - 1, NOW_S, Some(NOW_S + 60), &env).expect("told");
        assert!(
            told.contains("environment variable SIMSYNC_TOKEN") && told.contains("ends with 12"),
            "{told}"
        );
    }
}
