//! The README is held to the code: its tables, its names of settings and flags, and every command line in it.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::CommandFactory as _;
use serde_json::Value;
use simsync::cli::{self, Cli};
use simsync::exit::Exit;
use simsync::plan::{DuplicatePolicy, GATE_NAMES, Ruling};
use simsync::report::{OWN_COLUMNS, RowFileKind, STATUS_FILE, SUMMARY_FILE};
use simsync::sandbox::Faults;
use simsync::settings::{self, SETTINGS, Setting};

const README: &str = include_str!("../../README.md");

/// The lines of the section under a heading, without those of its subsections.
fn section(heading: &str) -> Vec<&'static str> {
    let mut lines = README.lines().skip_while(|line| *line != heading);
    assert_eq!(lines.next(), Some(heading), "the README has the section");
    // A comment in a shell block begins like a heading and never stands at the beginning of its line.
    lines.take_while(|line| !line.starts_with('#')).collect()
}

/// The cells of a table's rows, without its head.
fn table(lines: &[&'static str]) -> Vec<Vec<&'static str>> {
    let rows = lines.iter().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The texts between backticks of a stretch of text.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The texts between backticks of the whole README, outside its blocks.
fn all_spans() -> Vec<&'static str> {
    README.split("```").step_by(2).flat_map(spans).collect()
}

/// The lines of all blocks.
fn block_lines() -> Vec<&'static str> {
    README.split("```").skip(1).step_by(2).flat_map(|block| block.lines().skip(1)).collect()
}

/// The words of a shell line from the first `simsync` on, without comment, redirection and what follows a pipe.
fn simsync_words(line: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.split(" #").next()?.chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, None | Some(_)) => words.last_mut().unwrap().push(c),
        }
    }
    assert_eq!(quote, None, "{line}: its quotes are closed");
    let mut words = words.into_iter().filter(|word| !word.is_empty()).skip_while(|word| word != "simsync");
    words.next()?;
    Some(words.take_while(|word| word != "|" && word != "&").collect())
}

#[test]
fn the_two_commands_that_do_all_set_up_stand_first() {
    let first: Vec<&str> =
        block_lines().into_iter().take(2).map(|line| line.split('#').next().unwrap().trim()).collect();
    assert_eq!(first, ["cargo run --release -- demo", "cargo test"]);
    let gate = include_str!("../../.ci/run");
    assert!(gate.contains("\ncargo test"), "the gate runs the README's test command");
}

#[test]
fn every_command_line_is_one() {
    let lines = block_lines();
    let inline = all_spans().into_iter().filter(|span| span.contains("simsync ") && !span.starts_with('<'));
    let mut commands = BTreeSet::new();
    for line in lines.into_iter().chain(inline) {
        let Some(words) = simsync_words(line) else { continue };
        let args = std::iter::once("simsync".to_owned()).chain(words.clone()).map(OsString::from);
        match cli::parse(args) {
            Ok(parsed) => commands.insert(parsed.command.name()),
            Err(error) => panic!("{line}\n{error}"),
        };
    }
    let all = [
        "check", "config", "doctor", "journal", "lookup", "plan", "replay", "runs", "sandbox", "show", "sync",
    ];
    assert_eq!(commands.into_iter().collect::<Vec<_>>(), all, "the README shows every command but the demo");
}

#[test]
fn the_exit_codes_are_those_of_the_program() {
    let rows = table(&section("## Exit codes"));
    let told: Vec<(String, &str)> = rows.iter().map(|row| (row[0].to_owned(), row[1])).collect();
    let meant: Vec<(String, &str)> =
        Exit::ALL.iter().map(|exit| (exit.code().to_string(), exit.meaning())).collect();
    assert_eq!(told, meant);
}

#[test]
fn the_settings_told_exist_with_flag_and_default() {
    for row in table(&section("## Settings")) {
        let key = row[0].trim_matches('`');
        let setting = settings::by_key(key).unwrap_or_else(|| panic!("there is no setting {key}"));
        let flag = setting.flag.map(|flag| format!("`--{flag}`")).unwrap_or_default();
        assert_eq!(row[1], flag, "{key}");
        let default =
            if setting.default.is_empty() { "none".to_owned() } else { format!("`{}`", setting.default) };
        // A table of names and texts has no default of its own to tell.
        assert!(setting.is_pairs() || row[2].starts_with(&default), "{key}: {} is not {default}", row[2]);
    }
}

#[test]
fn the_gates_told_are_all_there_are() {
    let told = table(&section("### Gates"));
    for row in &told {
        let key = row[0].trim_matches('`');
        let setting = settings::by_key(key).unwrap_or_else(|| panic!("there is no setting {key}"));
        assert_eq!(row[1], format!("`{}`", setting.default), "{key}");
        // Where a gate is not asked stands with its default.
        let below: Vec<&str> = spans(row[3]).filter(|span| span.starts_with("plan.")).collect();
        for key in below {
            let setting = settings::by_key(key).unwrap();
            assert!(row[3].contains(&format!("`{key}`: {} ", setting.default)), "{key}: {}", row[3]);
        }
    }
    let names: Vec<&str> =
        told.iter().map(|row| row[0].trim_matches('`').strip_prefix("plan.").unwrap()).collect();
    assert_eq!(names, GATE_NAMES);
}

#[test]
fn settings_named_anywhere_exist() {
    let sections: BTreeSet<&str> =
        SETTINGS.iter().map(Setting::section).filter(|section| !section.is_empty()).collect();
    let mut found = 0;
    // Two files of the journal are called like settings.
    let files = ["journal.key", "journal.watermark"];
    for span in all_spans().into_iter().filter(|span| !files.contains(span)) {
        let name = span.split(" = ").next().unwrap();
        let known = match name.rsplit_once('.') {
            Some((section, _)) if sections.contains(section) => settings::by_key(name).is_some(),
            None if span.contains(" = ") && !name.contains(' ') => {
                SETTINGS.iter().any(|setting| setting.name() == name)
            }
            None if span.starts_with('[') => {
                let name = span.trim_matches(['[', ']']);
                sections.contains(name) || settings::by_key(name).is_some_and(Setting::is_pairs)
            }
            Some(_) | None => continue,
        };
        assert!(known, "`{span}` names a setting");
        found += 1;
    }
    assert!(found > 10, "the README names settings");
}

#[test]
fn flags_named_anywhere_exist() {
    let mut flags = BTreeSet::from(["help".to_owned()]);
    let mut commands = vec![Cli::command()];
    while let Some(command) = commands.pop() {
        flags.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
        commands.extend(command.get_subcommands().cloned());
    }
    let named =
        all_spans().into_iter().filter(|span| !span.starts_with("cargo")).flat_map(str::split_whitespace);
    for flag in named.filter_map(|word| word.strip_prefix("--")) {
        assert!(flags.contains(flag), "there is no flag --{flag}");
    }
}

#[test]
fn dispositions_policies_and_files_are_all_told() {
    let names = |heading: &str, which: usize| -> BTreeSet<&str> {
        let lines = section(heading);
        let mut tables = lines.split(|line| !line.starts_with('|')).filter(|lines| !lines.is_empty());
        table(tables.nth(which).unwrap()).iter().filter_map(|row| spans(row[0]).next()).collect()
    };
    let mut rulings: BTreeSet<&str> = Ruling::ALL.iter().map(|ruling| ruling.name()).collect();
    // An update refused before is booked as failed: a fate of `send`, no disposition of its own.
    rulings.remove("failed");
    assert_eq!(names("## What becomes of a row", 0), rulings);
    assert_eq!(names("## What becomes of a row", 1), DuplicatePolicy::ALL.map(|policy| policy.name()).into());
    let mut files: BTreeSet<&str> = RowFileKind::ALL.iter().map(|kind| kind.file_name()).collect();
    files.extend([SUMMARY_FILE, STATUS_FILE]);
    assert_eq!(names("## Files of a run", 0), files);
    assert!(all_spans().concat().contains(&OWN_COLUMNS.join(",")), "the row files' own columns");
}

#[test]
fn faults_are_all_told_and_the_examples_are_taken() {
    let told: BTreeSet<String> =
        table(&section("## The sandbox")).iter().flat_map(|row| spans(row[1])).map(str::to_owned).collect();
    let all = serde_json::to_value(Faults::default()).unwrap();
    let mut names: BTreeSet<String> = all.as_object().unwrap().keys().cloned().collect();
    names.extend(all["shares"].as_object().unwrap().keys().cloned());
    assert_eq!(told, names);
    let examples: Vec<&str> = block_lines()
        .into_iter()
        .filter_map(|line| line.split_once("-d '"))
        .map(|(_, json)| json.split('\'').next().unwrap())
        .collect();
    assert_eq!(examples.len(), 3);
    for json in examples {
        let value: Value = serde_json::from_str(json).unwrap();
        serde_json::from_value::<Faults>(value).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
}

#[test]
fn files_linked_to_are_there() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let links: Vec<&str> = README.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!links.is_empty());
    for link in links {
        assert!(root.join(link).exists(), "{link}");
    }
}

/// The names of all functions below a directory.
fn functions(dir: &std::path::Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let names =
                text.split("#[test]").skip(1).filter_map(|rest| rest.split("fn ").nth(1)?.split('(').next());
            found.extend(names.map(str::to_owned));
        }
    }
}

#[test]
fn what_is_said_of_servers_names_its_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    functions(&root.join("src"), &mut tests);
    functions(&root.join("tests/it"), &mut tests);
    let rows = table(&section("## What the server does, what simsync does"));
    assert!(rows.len() > 20, "{}", rows.len());
    for row in rows {
        let test = row[2].trim_matches('`');
        assert!(tests.contains(test), "there is no test {test}");
    }
}

#[test]
fn no_merge_is_half_done() {
    for mark in ["<<<<<<< ", ">>>>>>> ", "======="] {
        assert!(!README.lines().any(|line| line.starts_with(mark)), "{mark}");
    }
}
