//! Tests of the checks themselves on small bad texts: a check that finds nothing anywhere proves nothing.

use super::checks::{self, Complaint, Source, mark_tests};
use super::source::{blanked, crate_paths, without_tests};

fn complaints(check: fn(&Source) -> Vec<Complaint>, path: &str, text: &str) -> Vec<(usize, String)> {
    check(&Source::new(path, text)).into_iter().map(|complaint| (complaint.line, complaint.text)).collect()
}

fn lines(check: fn(&Source) -> Vec<Complaint>, path: &str, text: &str) -> Vec<usize> {
    complaints(check, path, text).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn comments_and_literals_are_blanked_and_nothing_else() {
    for (text, expected) in [
        ("a // b\nc", "a     \nc"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"x("a\"b", 1)"#, "x(      , 1)"),
        ("r#\"a\"b\"# c", "         c"),
        ("br\"a\" c", "b     c"),
        ("for r in x", "for r in x"),
        ("r#type", "r#type"),
        ("'a' '\\'' 'static x", "         'static x"),
        ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
        ("\"é\" é", "    é"),
    ] {
        assert_eq!(blanked(text), expected, "{text}");
    }
}

#[test]
fn tests_are_cut_out_and_lines_stay() {
    let text = "a\n#[cfg(test)]\nmod tests {\n    b\n}\nc\n#[cfg(test)]\nmod far;\nd\n";
    assert_eq!(without_tests(text), "a\n\n\n\n\nc\n\n\nd\n");
}

#[test]
fn paths_are_found_alone_and_in_groups() {
    let found = crate_paths(
        "use crate::row::Place;\nuse crate::{\n    update::{A, B},\n    digest,\n};\nx(crate::api::f)",
    );
    let expected =
        [(1, "row"), (2, "update"), (2, "digest"), (6, "api")].map(|(line, name)| (line, name.to_owned()));
    assert_eq!(found, expected);
    assert!(crate_paths("pub(crate) fn f() {}").is_empty());
}

#[test]
fn imports_that_go_up_or_sideways_are_found() {
    for (path, import, is_right) in [
        ("api/mod.rs", "journal", false),
        ("api/mod.rs", "api", true),
        ("api/answer.rs", "delivery", true),
        ("plan/mod.rs", "input", false),
        ("plan/mod.rs", "fields", true),
        ("row.rs", "update", true),
        ("row.rs", "plan", false),
        ("survey.rs", "engine", true),
        ("survey.rs", "settings", false),
        ("settings/mod.rs", "config", true),
        ("settings/mod.rs", "cli", false),
        ("config.rs", "settings", false),
        ("cli/mod.rs", "settings", true),
        ("main.rs", "cli", true),
        ("row.rs", "nowhere", false),
    ] {
        let found = complaints(checks::layers, path, &format!("//! x\nuse crate::{import}::Thing;\n"));
        assert_eq!(found.is_empty(), is_right, "{path} imports {import}: {found:?}");
    }
    assert_eq!(lines(checks::layers, "attic.rs", "//! x\n"), [1], "a room without a layer");
    assert_eq!(lines(checks::layers, "row.rs", "//! x\nfn f() { crate::plan::g(); }\n"), [2]);
    assert!(
        lines(checks::layers, "row.rs", "//! crate::plan\nconst S: &str = \"crate::plan\";\n").is_empty()
    );
}

#[test]
fn super_that_climbs_out_of_its_room_is_found() {
    for (path, text, expected) in [
        ("row.rs", "use super::plan;\n", &[1][..]),
        ("row.rs", "mod tests {\n    use super::*;\n}\n", &[]),
        ("row.rs", "mod tests {\n    use super::super::plan;\n}\n", &[2]),
        ("api/mod.rs", "use super::journal;\n", &[1]),
        ("api/answer.rs", "use super::envelope;\n", &[]),
        ("api/answer.rs", "use super::super::journal;\n", &[1]),
    ] {
        assert_eq!(lines(checks::supers, path, text), expected, "{path}: {text}");
    }
}

#[test]
fn crates_beyond_their_doors_are_found() {
    for (path, text, expected) in [
        ("plan/mod.rs", "use sled::Db;\n", &[1][..]),
        ("journal/store.rs", "use sled::Db;\n", &[]),
        ("plan/mod.rs", "fn f(db: &::sled::Db) {}\n", &[1]),
        ("plan/mod.rs", "use blake3;\n", &[1]),
        ("plan/mod.rs", "use crate::journal::sled::x;\n", &[]),
        ("digest.rs", "blake3::hash(b)\n", &[]),
        ("config/tests.rs", "toml::from_str(x)\n", &[]),
        ("input/ndjson.rs", "csv::Reader::new(x)\n", &[1]),
        ("input/mod.rs", "mod csv;\nuse csv::Splitter;\n", &[]),
        ("delivery/mod.rs", "let backoff = 3;\nbackoff.max(1);\n", &[]),
        ("plan/mod.rs", "#[cfg(test)]\nmod tests {\n    use csv::Writer;\n}\n", &[]),
    ] {
        assert_eq!(lines(checks::doors, path, text), expected, "{path}: {text}");
    }
}

#[test]
fn files_declared_for_tests_alone_are_tests() {
    let mut sources = vec![
        Source::new("plan/mod.rs", "#[cfg(test)]\nmod model;\nmod fold;\n"),
        Source::new("plan/model.rs", "use csv::Writer;\n"),
        Source::new("plan/model/deep.rs", "use csv::Writer;\n"),
        Source::new("plan/fold.rs", "use csv::Writer;\n"),
    ];
    mark_tests(&mut sources);
    let counts: Vec<usize> = sources.iter().map(|source| checks::doors(source).len()).collect();
    assert_eq!(counts, [0, 0, 0, 1]);
}

#[test]
fn dependencies_and_doors_are_held_against_each_other() {
    let listed = |name: &str| format!("{} = \"1\" # why\n", name.replace('_', "-"));
    let exempt = ["serde", "serde_json", "tokio", "tracing", "thiserror"];
    let all: String = checks::DOORS.iter().map(|(name, _)| *name).chain(exempt).map(listed).collect();
    let manifest = |lines: &str| {
        format!("[package]\nname = \"x\"\n\n[dependencies]\n{lines}\n[dev-dependencies]\ninsta = \"1\"\n")
    };
    assert!(checks::dependencies(&manifest(&all)).is_empty());
    assert_eq!(
        checks::dependencies(&manifest(&(all.clone() + "left-pad = \"1\"\n"))),
        ["`left_pad` has no door in DOORS"]
    );
    let without = all.replace("sled = \"1\" # why\n", "");
    assert_eq!(checks::dependencies(&manifest(&without)), ["`sled` is no dependency any more"]);
}

#[test]
fn impure_names_in_pure_code_are_found() {
    for (path, text, expected) in [
        ("plan/mod.rs", "use std::fs::File;\n", &[1][..]),
        ("delivery/mod.rs", "let now = std::time::Instant::now();\n", &[1]),
        ("row.rs", "tracing::warn!(x);\n", &[1]),
        ("plan/mod.rs", "let is_instantaneous = Instantly::new();\n", &[]),
        ("plan/mod.rs", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", &[]),
        ("api/mod.rs", "use std::fs::File;\n", &[]),
    ] {
        assert_eq!(lines(checks::purity, path, text), expected, "{path}: {text}");
    }
}

#[test]
fn long_files_and_functions_are_found() {
    let body = |lines: usize| "    x();\n".repeat(lines);
    for (text, expected) in [
        (format!("fn f() {{\n{}}}\n", body(68)), &[][..]),
        (format!("fn f() {{\n{}}}\n", body(69)), &[1]),
        (format!("\npub(crate) async fn f(\n    a: A,\n) -> B {{\n{}}}\n", body(67)), &[2]),
        (format!("impl X {{\n    pub const fn f() {{\n{}    }}\n}}\n", body(69)), &[2]),
        (format!("trait T {{\n    fn f(\n        a: A,\n    );\n{}}}\n", body(80)), &[]),
        (format!("fn f() {{}}\n{}}}\n", body(80)), &[]),
        (format!("impl X {{\n{}}}\n", body(80)), &[]),
        ("x();\n".repeat(601), &[601]),
        ("x();\n".repeat(600), &[]),
    ] {
        assert_eq!(lines(checks::sizes, "row.rs", &text), expected, "{}", &text[..40]);
    }
}

#[test]
fn missing_headers_and_leftovers_are_found() {
    assert!(lines(checks::header, "row.rs", "//! What it is.\n").is_empty());
    assert_eq!(lines(checks::header, "row.rs", "// What it is.\n"), [1]);
    assert_eq!(lines(checks::header, "row.rs", ""), [1]);
    let mark = concat!("// FIX", "ME\n");
    assert_eq!(lines(checks::leftovers, "row.rs", mark), [1]);
    assert_eq!(lines(checks::leftovers, "row.rs", "fn f() {\n    todo!()\n}\n"), [2]);
    assert!(lines(checks::leftovers, "row.rs", "let s = \"todo!\";\n").is_empty());
}

#[test]
fn fixtures_nobody_tells_about_are_found() {
    let names = ["a.csv", "b.csv", "README.md"].map(str::to_owned);
    assert_eq!(
        checks::fixtures("- `a.csv`: shows a\n", &names),
        ["fixtures/README.md does not name `b.csv`"]
    );
}
