//! The tidy test: the rules of the house that the compiler does not hold, over every source file there is.
//!
//! Not here: style that rustfmt and clippy hold already.

mod checks;
mod source;
mod tests;

use std::path::Path;

use checks::{Complaint, Source};

/// The source files of a directory of the crate, by their paths below it, in order.
fn sources(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let mut found = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(dir) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push(Source::new(&below, &std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    checks::mark_tests(&mut found);
    found
}

fn assert_none(dir: &str, check: fn(&Source) -> Vec<Complaint>) {
    let sources = sources(dir);
    assert!(dir != "src" || !sources.is_empty(), "the check found nothing to check");
    let complaints: Vec<String> = sources
        .iter()
        .flat_map(check)
        .map(|complaint| format!("{dir}/{}:{}: {}", complaint.path, complaint.line, complaint.text))
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn imports_only_go_down() {
    assert_none("src", checks::layers);
    assert_none("src", checks::supers);
}

#[test]
fn third_party_crates_stay_behind_their_doors() {
    assert_none("src", checks::doors);
    let manifest = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let complaints = checks::dependencies(&manifest);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn pure_code_touches_nothing() {
    assert_none("src", checks::purity);
}

#[test]
fn files_and_functions_can_be_read_at_once() {
    for dir in ["src", "tests", "benches", "fuzz/src", "fuzz/targets"] {
        assert_none(dir, checks::sizes);
    }
}

#[test]
fn files_open_with_what_they_are_and_leave_nothing_over() {
    for dir in ["src", "tests", "benches", "fuzz/src", "fuzz/targets"] {
        assert_none(dir, checks::header);
        assert_none(dir, checks::leftovers);
    }
}

#[test]
fn every_fixture_is_told_about() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let Ok(entries) = std::fs::read_dir(&dir) else { return };
    let names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let readme = std::fs::read_to_string(dir.join("README.md")).unwrap_or_default();
    let complaints = checks::fixtures(&readme, &names);
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
