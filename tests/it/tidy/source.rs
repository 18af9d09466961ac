//! Source text made ready for checks that work by line and name: comments and literals blanked, tests cut out.
//!
//! Not here: the rules (`checks.rs`). This is no parser; it relies on the text being formatted by rustfmt.

/// Replaces comments and the insides of literals with blanks. Lines and columns stay where they were.
pub(crate) fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => line_end(&chars, at),
            ('/', Some('*')) => comment_end(&chars, at),
            ('"', _) => string_end(&chars, at),
            ('r', Some('"' | '#')) if !is_name_char(at.checked_sub(1).map(|before| chars[before])) => {
                raw_string_end(&chars, at).unwrap_or(at + 1)
            }
            ('\'', _) => char_end(&chars, at),
            _ => at + 1,
        };
        let kept = end == at + 1;
        out.extend(chars[at..end].iter().map(|c| if kept || *c == '\n' { *c } else { ' ' }));
        at = end;
    }
    out
}

/// A byte literal's `b` is a prefix, every other name character before an `r` makes it part of a name.
fn is_name_char(c: Option<char>) -> bool {
    c.is_some_and(|c| (c.is_alphanumeric() && c != 'b') || c == '_')
}

fn line_end(chars: &[char], from: usize) -> usize {
    chars[from..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| from + length)
}

fn comment_end(chars: &[char], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

fn string_end(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// `None` when the `r` begins no raw string but a raw name such as `r#type`.
fn raw_string_end(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from + 1..].iter().take_while(|c| **c == '#').count();
    let open = from + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |at: &usize| {
        chars[*at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    let close = (open + 1..chars.len()).find(closes);
    Some(close.map_or(chars.len(), |close| close + 1 + hashes))
}

/// A lifetime ends after its quote, a character literal after its second one.
fn char_end(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => {
            let close = (from + 3..chars.len()).find(|at| chars[*at] == '\'');
            close.map_or(chars.len(), |close| close + 1)
        }
        (Some(_), Some('\'')) => from + 3,
        _ => from + 1,
    }
}

/// The text without what is compiled for tests alone. Takes blanked text; lines stay where they were.
pub(crate) fn without_tests(blanked: &str) -> String {
    let mut out = String::with_capacity(blanked.len());
    let mut lines = blanked.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            out.push('\n');
            skip_item(&mut lines, indent(line), &mut out);
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Skips one item: to its `;` if that comes on the first line, else to the closing brace of the same indentation.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, item_indent: usize, out: &mut String) {
    for line in lines {
        out.push('\n');
        let is_attribute = line.trim_start().starts_with("#[");
        let ends = line.trim_end().ends_with(';')
            || line.trim_end().ends_with("{}")
            || line.trim_start().starts_with('}');
        if !is_attribute && ends && indent(line) == item_indent {
            return;
        }
    }
}

/// Names of the modules in files of their own that are compiled for tests alone.
pub(crate) fn test_modules(blanked: &str) -> Vec<String> {
    let lines: Vec<&str> = blanked.lines().map(str::trim).collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]").filter_map(|pair| {
        let name = pair[1].split("mod ").nth(1)?.strip_suffix(';')?;
        Some(name.to_owned())
    });
    declared.collect()
}

/// Number of blanks a line begins with.
pub(crate) fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The names in a text, each with the position it begins at, and what stands right before and after it.
pub(crate) fn names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_in_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut rest = 0;
    std::iter::from_fn(move || {
        let start = rest + text[rest..].find(is_in_name)?;
        let end = text[start..].find(|c| !is_in_name(c)).map_or(text.len(), |length| start + length);
        rest = end;
        Some((start, &text[start..end]))
    })
}

/// The first names of the paths that begin with `crate::`, also of those in braces: `crate::{row, update::Fields}`.
pub(crate) fn crate_paths(blanked: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, name) in names(blanked) {
        if name != "crate" {
            continue;
        }
        let Some(rest) = blanked[at + name.len()..].strip_prefix("::") else { continue };
        let line = line_of(blanked, at);
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(group_heads(group).into_iter().map(|head| (line, head)));
        } else if let Some((0, head)) = names(rest).next() {
            found.push((line, head.to_owned()));
        }
    }
    found
}

/// The first name of each member of a group, up to its closing brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut heads) = (1_usize, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            heads.extend(names(&member).next().map(|(_, head)| head.to_owned()));
            member.clear();
        } else {
            member.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

/// Line of a position, from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}
