//! What an answer says of the server's rate limit: `RateLimit` in its drafts, and the `X-RateLimit-` headers before it.
//!
//! Pure: headers and time are passed in. What cannot be read says nothing; an answer is never judged by it. Not here:
//! what follows for the pace (`delivery/quota.rs`), `Retry-After` (`answer.rs`).
//!
//! Sources: draft-ietf-httpapi-ratelimit-headers, versions 3 (`RateLimit-Limit`, `-Remaining`, `-Reset` in seconds), 7
//! (`RateLimit: limit=100, remaining=50, reset=5`) and 10 (`RateLimit: "default";r=50;t=30`); the `X-` headers as large
//! APIs send them, with a reset in seconds from now or since the Unix epoch.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::delivery::outcome::Quota;

/// A reset beyond this many seconds is a moment since the Unix epoch: September 2001.
const EPOCH_FROM_S: u64 = 1_000_000_000;

/// A reset beyond this many is one in milliseconds.
const EPOCH_FROM_MS: u64 = 100_000_000_000;

/// Reads the quota out of headers. `get` yields the first header of a lower-case name.
pub(super) fn quota<'a>(get: &dyn Fn(&str) -> Option<&'a str>, now: SystemTime) -> Option<Quota> {
    if let Some(text) = get("ratelimit") {
        let quota = structured(text);
        if quota.is_some() {
            return quota;
        }
    }
    ["ratelimit", "x-ratelimit", "x-rate-limit"].into_iter().find_map(|prefix| {
        let remaining = get(&format!("{prefix}-remaining")).and_then(number)?;
        let reset = get(&format!("{prefix}-reset")).and_then(|text| reset_ms(text, now))?;
        Some(Quota { remaining, reset_ms: reset })
    })
}

/// Both drafts of the one header. Of several policies the one with the least left per time counts.
fn structured(text: &str) -> Option<Quota> {
    // The older draft writes one quota as members of a list; the newer one a policy each, with parameters.
    let policies: Vec<Vec<&str>> = if text.contains(';') {
        text.split(',').map(|policy| policy.split(';').skip(1).collect()).collect()
    } else {
        vec![text.split(',').collect()]
    };
    let read = policies.into_iter().filter_map(|members| {
        let get = |names: [&str; 2]| {
            members.iter().find_map(|member| {
                let (name, value) = member.trim().split_once('=')?;
                names.contains(&name.trim()).then(|| number(value))?
            })
        };
        let reset_s = get(["t", "reset"])?;
        Some(Quota { remaining: get(["r", "remaining"])?, reset_ms: reset_s.saturating_mul(1_000) })
    });
    read.max_by(|one, other| {
        let (one_ms, other_ms) = (one.reset_ms.max(1), other.reset_ms.max(1));
        // Longer waits per attempt are larger: reset / remaining, compared crosswise.
        let (left, right) = (
            u128::from(one_ms) * u128::from(other.remaining),
            u128::from(other_ms) * u128::from(one.remaining),
        );
        left.cmp(&right)
    })
}

fn reset_ms(text: &str, now: SystemTime) -> Option<u64> {
    let reset = number(text)?;
    let now_ms = u64::try_from(now.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    Some(match reset {
        EPOCH_FROM_MS.. => reset.saturating_sub(now_ms),
        EPOCH_FROM_S.. => reset.saturating_mul(1_000).saturating_sub(now_ms),
        _ => reset.saturating_mul(1_000),
    })
}

/// A whole number, perhaps with a fraction (which is cut) or with a policy behind it (`100, 100;w=60`).
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    let rest = &text[digits.len()..];
    let is_number = rest.is_empty() || rest.starts_with(['.', ',', ';']);
    if is_number { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn quotas_as_servers_write_them() {
        let now = UNIX_EPOCH + Duration::from_millis(1_800_000_000_500);
        let quota_of = |headers: &[(&str, &str)]| {
            let get =
                |wanted: &str| headers.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
            quota(&get, now).map(|quota| (quota.remaining, quota.reset_ms))
        };
        for (headers, expected) in [
            (vec![("ratelimit", "\"default\";r=50;t=30")], Some((50, 30_000))),
            (vec![("ratelimit", "limit=100, remaining=50, reset=5")], Some((50, 5_000))),
            // Nine a second, or five an hour: the hour it is.
            (vec![("ratelimit", "\"second\";r=9;t=1, \"hour\";r=5;t=3600")], Some((5, 3_600_000))),
            (vec![("ratelimit", "\"a\";r=3;t=60, \"b\";r=0;t=2")], Some((0, 2_000))),
            (
                vec![
                    ("ratelimit-limit", "100, 100;w=60"),
                    ("ratelimit-remaining", "7"),
                    ("ratelimit-reset", "9"),
                ],
                Some((7, 9_000)),
            ),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000010")], Some((0, 9_500))),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000010000")], Some((0, 9_500))),
            (vec![("x-ratelimit-remaining", "4"), ("x-ratelimit-reset", "1700000000")], Some((4, 0))),
            (vec![("x-rate-limit-remaining", "4"), ("x-rate-limit-reset", "0.5")], Some((4, 0))),
            (vec![("x-ratelimit-remaining", "4")], None),
            (vec![("x-ratelimit-remaining", "-1"), ("x-ratelimit-reset", "5")], None),
            (vec![("x-ratelimit-remaining", "lots"), ("x-ratelimit-reset", "5")], None),
            (vec![("ratelimit", "\"default\";q=50;w=30")], None),
            (
                vec![("ratelimit", "garbage"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "1")],
                Some((1, 1_000)),
            ),
            (vec![], None),
        ] {
            assert_eq!(quota_of(&headers), expected, "{headers:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_makes_it_panic(text: String) {
            let get = |_: &str| Some(text.as_str());
            let _: Option<Quota> = quota(&get, UNIX_EPOCH);
        }
    }
}
