//! Counts in words: with their noun in the right number, and their thousands set apart.
//!
//! Not here: durations, rates and shares (`report/style.rs`).

/// A count with its noun: `1 row`, `2 rows`, `12,034 retries`.
pub fn plural(count: u64, noun: &str) -> String {
    let mut text = thousands(count);
    text.push(' ');
    if count == 1 {
        text.push_str(noun);
        return text;
    }
    let stem = noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u']));
    match stem {
        Some(stem) => text.extend([stem, "ies"]),
        None if noun.ends_with("ch") => text.extend([noun, "es"]),
        None => text.extend([noun, "s"]),
    }
    text
}

/// The same of what is counted in memory.
pub fn plural_len(count: usize, noun: &str) -> String {
    plural(count as u64, noun)
}

/// A count with its thousands set apart: `12,034`.
pub fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_noun_is_in_the_number_of_its_count() {
        for (count, noun, expected) in [
            (0, "row", "0 rows"),
            (1, "row", "1 row"),
            (2, "row", "2 rows"),
            (1, "retry", "1 retry"),
            (12_034, "retry", "12,034 retries"),
            (3, "day", "3 days"),
            (2, "open batch", "2 open batches"),
            (1_234_567, "cell", "1,234,567 cells"),
        ] {
            assert_eq!(plural(count, noun), expected);
        }
        assert_eq!(thousands(999), "999");
    }
}
