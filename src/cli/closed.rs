//! That nothing may be sent at this time of day, and until when: told before a run waits in silence.
//!
//! Not here: the waiting itself (`deliver/hours.rs`), and how windows are written (`settings/windows.rs`).

use super::parts;
use crate::deliver::Limit;
use crate::engine::clock;
use crate::report::span;
use crate::settings::Settings;

/// What is told of a run that begins, or would begin, at this minute of the day.
fn words(opens: Option<(u16, u64)>, window: &str, stops: Option<(u64, &Limit)>) -> String {
    let opens_in_ms = opens.map_or(u64::MAX, |(_, in_ms)| in_ms);
    if let Some((_, limit)) = stops.filter(|(stops_in_ms, _)| *stops_in_ms <= opens_in_ms) {
        let first = match limit {
            Limit::Duration { length } => format!("--max-duration {length} is over"),
            Limit::Until { time } => format!("it is {time} (--until)"),
            // No moment is known for it.
            Limit::Updates { updates, .. } => format!("--max-rows {updates} is reached"),
        };
        return format!("nothing will be sent: {first} before delivery.window lets anything out");
    }
    match opens {
        Some((minute, in_ms)) => format!(
            "nothing is sent before {:02}:{:02} (delivery.window {window}), in {}",
            minute / 60,
            minute % 60,
            span(in_ms)
        ),
        None => "nothing is ever sent: delivery.window says pause for the whole day".to_owned(),
    }
}

/// That nothing may be sent for now, if so, and until when.
pub(super) fn note(settings: &Settings, stop_at: Option<&(u64, Limit)>, now_ms: u64) -> Option<String> {
    let hours = parts::hours(&settings.delivery);
    let opens = hours.opens()?;
    // Whoever cannot tell the time has been told so before.
    let minute = clock::minute_of_day(hours.time_zone.as_deref()).ok()?;
    let window = hours.at(minute).1.map_or("", |window| &window.text);
    Some(words(opens, window, stop_at.map(|(at_ms, limit)| (at_ms.saturating_sub(now_ms), limit))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_comes_first_is_told_instead_of_the_opening() {
        let until = Limit::Until { time: "05:00".to_owned() };
        let (opens, window) = (Some((605, 3_600_000)), "22:00-10:05 pause");
        let waits = "nothing is sent before 10:05 (delivery.window 22:00-10:05 pause), in 1 h";
        let ends = "nothing will be sent: it is 05:00 (--until) before delivery.window lets anything out";
        for (stops, expected) in
            [(None, waits), (Some((3_600_001, &until)), waits), (Some((3_600_000, &until)), ends)]
        {
            assert_eq!(words(opens, window, stops), expected);
        }
        assert!(words(None, window, None).starts_with("nothing is ever sent"));
        assert_eq!(words(None, window, Some((5, &until))), ends);
    }
}
