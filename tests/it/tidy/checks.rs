//! The rules, each a function from a file's text to its complaints; and the tables they read.
//!
//! Not here: which files there are (`mod.rs`).

use super::source::{blanked, crate_paths, indent, line_of, names, test_modules, without_tests};

/// Longest file, in lines.
const FILE_LINES_MAX: usize = 600;

/// Longest function, in lines from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;

/// What a room may know of others. Data flows down this list; nothing imports upward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// The entry, which may know every room.
    Entry,
    /// The front door: as typed ─▶ as meant.
    Front,
    /// The wiring of the two passes.
    Wiring,
    /// What touches the outside. Edges never know each other.
    Edge,
    /// What decides. Knows no edge, clock, random source or logger.
    Pure,
    /// Types everyone may know.
    Fact,
}

/// Every room and its layer, in reading order. A room that is not built yet costs nothing here.
const ROOMS: &[(&str, Layer)] = &[
    ("main", Layer::Entry),
    ("lib", Layer::Entry),
    ("cli", Layer::Front),
    ("settings", Layer::Front),
    ("config", Layer::Front),
    ("survey", Layer::Wiring),
    ("deliver", Layer::Wiring),
    ("engine", Layer::Edge),
    ("input", Layer::Edge),
    ("spill", Layer::Edge),
    ("journal", Layer::Edge),
    ("api", Layer::Edge),
    ("report", Layer::Edge),
    ("sandbox", Layer::Edge),
    ("plan", Layer::Pure),
    ("delivery", Layer::Pure),
    ("fields", Layer::Pure),
    ("row", Layer::Fact),
    ("update", Layer::Fact),
    ("digest", Layer::Fact),
    ("ledger", Layer::Fact),
    ("event", Layer::Fact),
    ("stats", Layer::Fact),
    ("exit", Layer::Fact),
    ("choice", Layer::Fact),
    ("near", Layer::Fact),
    ("count", Layer::Fact),
];

/// Every third-party crate and its doors: the files or rooms that may name it.
pub(crate) const DOORS: &[(&str, &[&str])] = &[
    ("axum", &["sandbox"]),
    ("backoff", &["delivery/retry.rs"]),
    ("base64", &["api"]),
    ("blake3", &["digest.rs"]),
    ("siphasher", &["digest.rs"]),
    ("clap", &["cli"]),
    ("csv", &["input/csv.rs", "report/rows.rs"]),
    ("encoding_rs", &["input/encoding.rs"]),
    ("flate2", &["input/expand.rs"]),
    ("glob", &["input"]),
    ("governor", &["engine/permits.rs"]),
    ("grenad", &["journal"]),
    ("h2", &["api"]),
    ("httpdate", &["api", "sandbox"]),
    ("humantime", &["settings/units.rs"]),
    ("indicatif", &["report/progress.rs"]),
    ("jiff", &["report", "engine/clock.rs", "plan/order.rs", "sandbox"]),
    ("memchr", &["input"]),
    ("reqwest", &["api"]),
    ("rlibphonenumber", &["fields/number.rs"]),
    ("rustix", &["main.rs", "engine", "journal", "spill"]),
    ("rustls", &["api"]),
    ("secrecy", &["main.rs", "settings", "survey", "deliver", "engine", "api", "sandbox"]),
    ("sled", &["journal"]),
    ("tempfile", &["config.rs", "input", "spill", "journal", "report"]),
    ("toml", &["config.rs"]),
    ("tracing_subscriber", &["report"]),
    ("zstd", &["input/expand.rs"]),
];

/// Crates without a door: vocabulary, not behavior. Pure code is still kept from some of them.
const EXEMPT: &[&str] = &["serde", "serde_json", "tokio", "tracing", "thiserror"];

/// What pure code and facts must not name: edges of the machine, clocks, random sources, loggers.
const IMPURE: &[&str] = &[
    "tokio::",
    "tracing::",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "println!",
    "eprintln!",
];

/// One broken rule, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// A source file: its path below `src/` or the like, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: String,
    text: String,
    blanked: String,
    /// Without what is compiled for tests alone; empty for a file of tests.
    shipped: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Source {
        let blanked = blanked(text);
        let shipped = without_tests(&blanked);
        Source { path: path.to_owned(), text: text.to_owned(), blanked, shipped }
    }

    fn complaint(&self, line: usize, text: String) -> Complaint {
        Complaint { path: self.path.clone(), line, text }
    }

    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The directory its submodules lie in: `api` of `api/mod.rs`, `config` of `config.rs`.
    fn submodules_dir(&self) -> &str {
        let stem = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        stem.strip_suffix("/mod").unwrap_or(stem)
    }
}

/// Marks the files, and everything below them, that another file declares for tests alone.
pub(crate) fn mark_tests(sources: &mut [Source]) {
    let declared = sources.iter().flat_map(|source| {
        let dir = source.submodules_dir().to_owned();
        test_modules(&source.blanked).into_iter().map(move |name| format!("{dir}/{name}"))
    });
    let declared: Vec<String> = declared.collect();
    for source in sources {
        let is_below = |module: &String| {
            source
                .path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if declared.iter().any(is_below) {
            source.shipped.clear();
        }
    }
}

fn layer_of(room: &str) -> Option<Layer> {
    ROOMS.iter().find(|(name, _)| *name == room).map(|(_, layer)| *layer)
}

/// Whether a room may import another.
fn may_import(from: &str, to: &str) -> bool {
    let place = |room| ROOMS.iter().position(|(name, _)| *name == room);
    let (Some(from_layer), Some(to_layer)) = (layer_of(from), layer_of(to)) else { return false };
    match (from_layer, to_layer) {
        (Layer::Entry, _) => true,
        (Layer::Edge, Layer::Edge) => from == to,
        // The front door has an order of its own: what was typed knows what is meant, which knows the file.
        (Layer::Front, Layer::Front) => place(from) <= place(to),
        (from, to) => from <= to,
    }
}

/// Every room is known, and imports only go down.
pub(crate) fn layers(source: &Source) -> Vec<Complaint> {
    let room = source.room();
    if layer_of(room).is_none() {
        return vec![source.complaint(1, format!("`{room}` is no room: give it a layer in ROOMS"))];
    }
    let heads = crate_paths(&source.blanked);
    let wrong =
        heads.into_iter().filter(|(_, head)| head.starts_with(char::is_lowercase) && !may_import(room, head));
    wrong.map(|(line, head)| source.complaint(line, format!("`{room}` may not import `{head}`"))).collect()
}

/// `super` does not climb out of its room: it would pass by the check of layers.
pub(crate) fn supers(source: &Source) -> Vec<Complaint> {
    let file_depth = source.submodules_dir().split('/').count();
    let mut inline: Vec<usize> = Vec::new();
    let mut complaints = Vec::new();
    for (number, line) in source.blanked.lines().enumerate() {
        if inline.last() == Some(&indent(line)) && line.trim_start().starts_with('}') {
            inline.pop();
        }
        let climbs = line.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
        let climbs = climbs.map(|path| path.matches("super::").count()).max().unwrap_or(0);
        if climbs >= file_depth + inline.len() && climbs > 0 {
            complaints.push(
                source.complaint(number + 1, "`super` climbs out of its room: write `crate::`".to_owned()),
            );
        }
        let is_mod = line.trim_end().ends_with('{')
            && line.trim_start().trim_start_matches("pub ").starts_with("mod ");
        if is_mod {
            inline.push(indent(line));
        }
    }
    complaints
}

/// A third-party crate is named only behind its doors. Tests may use what they like.
pub(crate) fn doors(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, homes) in DOORS {
        if homes.iter().any(|home| is_home(&source.path, home)) || has_own_module(&source.shipped, name) {
            continue;
        }
        for (at, found) in names(&source.shipped) {
            if found == *name && is_crate_name(&source.shipped, at, name.len()) {
                let line = line_of(&source.shipped, at);
                complaints
                    .push(source.complaint(line, format!("`{name}` has its doors in {}", homes.join(", "))));
            }
        }
    }
    complaints
}

/// Whether a file is a door, or a module of it: `delivery/retry.rs`, `sandbox` with all its files.
fn is_home(path: &str, home: &str) -> bool {
    let stem = home.strip_suffix(".rs").unwrap_or(home);
    path.strip_prefix(stem).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether the name at a position is the root of a path: `csv::Reader`, `::csv::Reader`, `use csv;`.
fn is_crate_name(text: &str, at: usize, length: usize) -> bool {
    let (before, after) = (&text[..at], &text[at + length..]);
    let is_rooted = match before.strip_suffix("::") {
        Some(rest) => !rest.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>'),
        None => !before.ends_with('.'),
    };
    let is_used = before.trim_end().ends_with("use") && (after.starts_with(';') || after.starts_with(" as "));
    is_rooted && (after.starts_with("::") || is_used)
}

/// Whether the file has a module of the crate's name in scope, declared or imported.
fn has_own_module(text: &str, name: &str) -> bool {
    let is_module = |line: &str| {
        let line = line.trim();
        line.ends_with(&format!("mod {name};"))
            || (line.contains("use ") && line.ends_with(&format!("::{name};")))
    };
    text.lines().any(is_module)
}

/// Every dependency of the manifest has doors or is exempt, and no door is for a dependency that is gone.
pub(crate) fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    let listed =
        section.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    let listed: Vec<String> = listed.map(|(name, _)| name.trim().replace('-', "_")).collect();
    let is_known =
        |name: &String| EXEMPT.contains(&name.as_str()) || DOORS.iter().any(|(door, _)| door == name);
    let without =
        listed.iter().filter(|name| !is_known(name)).map(|name| format!("`{name}` has no door in DOORS"));
    let gone = DOORS.iter().map(|(door, _)| *door).chain(EXEMPT.iter().copied());
    let gone = gone.filter(|door| !listed.iter().any(|name| name == door));
    without.chain(gone.map(|door| format!("`{door}` is no dependency any more"))).collect()
}

/// Pure code and facts name nothing that touches the machine.
pub(crate) fn purity(source: &Source) -> Vec<Complaint> {
    if !matches!(layer_of(source.room()), Some(Layer::Pure | Layer::Fact)) {
        return Vec::new();
    }
    let lines = source.shipped.lines().enumerate();
    let found = lines.flat_map(|(number, line)| {
        let named = IMPURE.iter().filter(move |word| has_word(line, word));
        named.map(move |word| (number + 1, *word))
    });
    found.map(|(line, word)| source.complaint(line, format!("pure code may not name `{word}`"))).collect()
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_joined = |c: char| c.is_alphanumeric() || c == '_';
        let after = &line[at + word.len()..];
        !line[..at].ends_with(is_joined) && (!word.ends_with(is_joined) || !after.starts_with(is_joined))
    })
}

/// Files and functions stay of a size that can be read at once.
pub(crate) fn sizes(source: &Source) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let lines: Vec<&str> = source.blanked.lines().collect();
    if lines.len() > FILE_LINES_MAX {
        let text = format!("{} lines, more than {FILE_LINES_MAX}", lines.len());
        complaints.push(source.complaint(lines.len(), text));
    }
    for (number, line) in lines.iter().enumerate() {
        if !begins_function(line) || line.trim_end().ends_with(['}', ';']) {
            continue;
        }
        // Formatted code closes a function at its own indentation; one without a body ends at `;` before that.
        let closes = |line: &&str| {
            indent(line) == indent(lines[number])
                && line.trim_start().starts_with(['}', ')'])
                && line.trim_end().ends_with(['}', ';'])
        };
        let Some(length) = lines[number + 1..].iter().position(closes) else { continue };
        let length = length + 2;
        if length > FUNCTION_LINES_MAX {
            let text = format!("a function of {length} lines, more than {FUNCTION_LINES_MAX}");
            complaints.push(source.complaint(number + 1, text));
        }
    }
    complaints
}

fn begins_function(line: &str) -> bool {
    let mut words = line.trim_start();
    loop {
        if words.starts_with("fn ") {
            return true;
        }
        let qualifier =
            ["pub", "const", "async", "unsafe", "extern"].iter().find_map(|word| words.strip_prefix(word));
        let Some(rest) = qualifier else { return false };
        let rest =
            if rest.starts_with('(') { rest.split_once(')').map_or("", |(_, rest)| rest) } else { rest };
        let Some(rest) = rest.strip_prefix(' ') else { return false };
        words = rest.trim_start();
    }
}

/// A file opens with what it is.
pub(crate) fn header(source: &Source) -> Vec<Complaint> {
    if source.text.starts_with("//! ") {
        return Vec::new();
    }
    vec![source.complaint(1, "it does not open with `//!`: what it is, and what it is not".to_owned())]
}

/// Nothing is left for later where only the next reader would find it.
pub(crate) fn leftovers(source: &Source) -> Vec<Complaint> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    // Spelled apart, so that this file does not complain about itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut complaints = Vec::new();
    for (number, (blanked, text)) in source.blanked.lines().zip(source.text.lines()).enumerate() {
        let found = macros
            .iter()
            .filter(|word| has_word(blanked, word))
            .chain(marks.iter().filter(|word| has_word(text, word)));
        complaints.extend(found.map(|word| source.complaint(number + 1, format!("`{word}` is left over"))));
    }
    complaints
}

/// Every fixture is told about.
pub(crate) fn fixtures(readme: &str, names: &[String]) -> Vec<String> {
    let untold = names.iter().filter(|name| *name != "README.md" && !readme.contains(&format!("`{name}`")));
    untold.map(|name| format!("fixtures/README.md does not name `{name}`")).collect()
}
