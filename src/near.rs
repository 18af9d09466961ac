//! Near names: what somebody probably meant who wrote a name nobody knows.
//!
//! Not here: the names themselves, and how many of them a hint lists.

/// Largest number of edits between a name and one that is still called near.
pub const EDITS_MAX: usize = 3;

/// The nearest of the names, if one is near: at most [`EDITS_MAX`] edits and at most a third of its length.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|candidate| (edits(name, candidate), candidate));
    let (edits, candidate) = near.min_by_key(|(edits, _)| *edits)?;
    (edits <= EDITS_MAX && edits * 3 <= candidate.len().max(3)).then_some(candidate)
}

/// Number of insertions, deletions, substitutions and swaps of neighboring letters that turn one text into the other,
/// without regard to case (optimal string alignment distance).
pub fn edits(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().flat_map(char::to_lowercase).collect();
    let to: Vec<char> = to.chars().flat_map(char::to_lowercase).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (i, &a) in from.iter().enumerate() {
        let mut current = vec![i + 1];
        for (j, &b) in to.iter().enumerate() {
            let mut cost = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && a == to[j - 1] && from[i - 1] == b {
                cost = cost.min(before_last[j - 1] + 1);
            }
            current.push(cost);
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_the_same_both_ways() {
        for (left, right, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "ac", 1),
            ("\u{e9}", "e", 1),
            ("kitten", "sitting", 3),
            ("imei.lunh", "IMEI.luhn", 1),
        ] {
            assert_eq!(edits(left, right), expected, "{left} {right}");
            assert_eq!(edits(right, left), expected, "{right} {left}");
        }
    }

    #[test]
    fn typing_errors_find_their_name() {
        let known = ["rate", "burst", "max_in_flight", "attempts_max"];
        for (typed, expected) in [
            ("raet", Some("rate")),
            ("bursts", Some("burst")),
            ("max_inflight", Some("max_in_flight")),
            ("Attempts_Max", Some("attempts_max")),
            ("password", None),
            ("", None),
        ] {
            assert_eq!(nearest(typed, known), expected, "{typed}");
        }
    }
}
