//! Tests of the command line against the table of settings, and of its messages. Not here: what options mean.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::exit::Exit;
use crate::settings::{Kind, Pairs, SETTINGS, Surroundings, resolve};

fn parsed(line: &[&str]) -> Result<Cli, UsageError> {
    parse(["simsync"].iter().chain(line).map(OsString::from))
}

fn usage(line: &[&str]) -> String {
    let error = parsed(line).expect_err("the line is wrong");
    assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line:?}");
    error.render().to_string()
}

fn help(line: &[&str]) -> String {
    let error = parsed(line).expect_err("help is an error to clap");
    assert_eq!(error.exit_code(), 0, "{line:?}");
    error.render().to_string()
}

fn long_names(command: &str) -> BTreeSet<String> {
    let all = Cli::command();
    let command = all.find_subcommand(command).expect("there is such a command");
    command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
}

#[test]
fn clap_finds_no_fault_with_the_commands() {
    Cli::command().debug_assert();
}

#[test]
fn sync_has_a_flag_for_every_setting_that_names_one_and_no_other() {
    let table: BTreeSet<String> =
        SETTINGS.iter().filter_map(|setting| setting.flag.map(str::to_owned)).collect();
    let mut typed = long_names("sync");
    assert!(typed.remove("config"));
    typed.remove("help");
    assert!(typed.remove("plan"));
    assert_eq!(typed, table);
    let mut planned = long_names("plan");
    planned.remove("help");
    assert!(planned.remove("config") && planned.remove("output"));
    assert_eq!(planned, table);
    let mut replay = long_names("replay");
    assert!(replay.remove("kind") && replay.remove("signature"));
    let mut sync = long_names("sync");
    assert!(sync.remove("plan"));
    assert_eq!(replay, sync);
}

#[test]
fn choices_on_the_command_line_are_those_of_the_table() {
    let all = Cli::command();
    let sync = all.find_subcommand("sync").expect("there is sync");
    for setting in SETTINGS {
        let (Kind::Choice(names), Some(flag)) = (setting.kind, setting.flag) else { continue };
        let arg = sync.get_arguments().find(|arg| arg.get_long() == Some(flag)).expect("its flag is there");
        let typed: Vec<String> =
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        assert_eq!(typed, names, "--{flag}");
    }
}

#[test]
fn defaults_in_help_are_those_of_the_table() {
    let all = Cli::command();
    let sync = all.find_subcommand("sync").expect("there is sync");
    let mut seen = 0;
    for arg in sync.get_arguments() {
        let text = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let Some((_, default)) = text.split_once("[default: ") else { continue };
        let Some(setting) = arg.get_long().and_then(crate::settings::by_flag) else { continue };
        assert_eq!(default.trim_end_matches(']'), setting.default, "--{:?}", arg.get_long());
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// Every flag must reach its setting: one forgotten on the way would be taken and do nothing.
#[test]
fn every_flag_reaches_its_setting() {
    for setting in SETTINGS {
        let Some(flag) = setting.flag else { continue };
        let (value, is_switch) = match setting.kind {
            Kind::Bool => ("true", true),
            Kind::Choice(names) => (*names.last().expect("a choice has names"), false),
            Kind::Field => ("imei", false),
            Kind::Country => ("GB", false),
            Kind::Rate => ("7/h", false),
            Kind::Windows => ("01:00-05:00 7/h", false),
            Kind::Pairs(_) if flag == "map" => ("imei=Gadget", false),
            Kind::Pairs(Pairs::OldColumns) => ("imsi=Old", false),
            Kind::Pairs(_) => ("imei.luhn=off", false),
            Kind::Url => ("https://api.example.net/", false),
            Kind::Count { .. } if flag == "verbose" => ("1", true),
            Kind::Count { .. } | Kind::Budget => ("7", false),
            Kind::Path | Kind::Text => ("elsewhere", false),
            Kind::Encoding => ("windows-1252", false),
            Kind::TimeOfDay => ("05:00", false),
            Kind::Duration { .. } => ("7m", false),
            Kind::Delimiter => (";", false),
            Kind::List => ("one,two", false),
            Kind::Texts => ("status=Active", false),
            Kind::Fields => ("imsi,iccid", false),
            Kind::Bytes { .. } | Kind::Share => {
                panic!("{flag}: give it a sample")
            }
        };
        let flag = format!("--{flag}");
        let mut line = vec!["sync", "in.csv", flag.as_str()];
        if !is_switch {
            line.push(value);
        }
        // Two flags mean nothing without each other.
        match flag.as_str() {
            "--no-header" => line.extend(["--columns", "imsi"]),
            "--columns" => line.push("--no-header"),
            _ => {}
        }
        let cli = parsed(&line).unwrap_or_else(|error| panic!("{error}"));
        let around =
            Surroundings::new([], "/nowhere".into()).with_system_config("/nowhere/config.toml".into());
        let resolved =
            resolve(&cli.command.flags().expect("sync has settings"), &around).expect("the value is right");
        if setting.is_pairs() {
            let shown = crate::settings::show(&resolved, false);
            assert!(shown.contains(&format!("# flag {flag}")), "{flag}: {shown}");
        } else {
            assert_eq!(resolved.origin(setting.key).map(ToString::to_string), Some(flag), "{}", setting.key);
        }
    }
}

#[test]
fn each_command_takes_what_it_should() {
    for line in [
        "sync a.csv b.csv",
        "sync -",
        "sync -q a.csv",
        "sync -vv a.csv",
        "plan --sandbox a.csv",
        "check a.csv --severity a=off --severity b=warn",
        "check --explain imei.luhn",
        "runs --json",
        "show latest",
        "config init",
        "config init --force x.toml",
        "config show --rate 5/s --json",
        "config check --config x.toml",
        "sandbox --listen 127.0.0.1:0 --seed 7",
        "demo --rows 10",
    ] {
        let line: Vec<&str> = line.split(' ').collect();
        assert!(parsed(&line).is_ok(), "{line:?}");
    }
    for line in [
        "sync",
        "check",
        "check a.csv --explain imei.luhn",
        "show",
        "config",
        "syn a.csv",
        "sync -q -v a.csv",
        "sync --sandbox --api-url https://x/ a.csv",
        "sync --rate 1/s --rate 2/s a.csv",
        "sync --duplicates flod a.csv",
        "sandbox --listen here",
        "demo --rows 0",
        "check --rate 5/s a.csv",
    ] {
        let line: Vec<&str> = line.split(' ').collect();
        usage(&line);
    }
}

#[test]
fn faults_are_json_or_a_file() {
    for (text, expected) in [
        (" {\"a\":1}", Faults::Json(" {\"a\":1}".to_owned())),
        ("f.json", Faults::File(Path::new("f.json").into())),
    ] {
        let Command::Sandbox(args) = parsed(&["sandbox", "--faults", text]).unwrap().command else {
            panic!()
        };
        assert_eq!(args.faults, Some(expected));
    }
}

#[test]
fn a_token_on_the_command_line_is_refused_and_not_repeated() {
    for line in [
        &["sync", "a.csv", "--token", "c4n4ry"][..],
        &["sync", "a.csv", "--token=c4n4ry"],
        &["sync", "a.csv", "--api-token=c4n4ry"],
        &["plan", "--password=c4n4ry", "a.csv"],
    ] {
        let text = usage(line);
        assert!(!text.contains("c4n4ry"), "{text}");
    }
    assert!(usage(&["sync", "a.csv", "--token", "x"]).contains("api.token_file"));
}

#[test]
fn a_misspelled_flag_or_command_hears_the_near_one() {
    assert!(usage(&["sync", "--max-inflight", "3", "a.csv"]).contains("--max-in-flight"));
    assert!(usage(&["snyc", "a.csv"]).contains("sync"));
    assert!(usage(&["sync", "--duplicates", "flod", "a.csv"]).contains("fold"));
}

#[test]
fn help_of_every_command_has_examples_and_sync_has_the_exit_codes() {
    for command in ["sync", "plan", "check", "runs", "show", "config", "sandbox", "demo"] {
        let text = help(&[command, "--help"]);
        assert!(
            text.contains("Examples:") && text.contains(&format!("simsync {command}")),
            "{command}: {text}"
        );
    }
    let text = help(&["sync", "--help"]);
    for exit in Exit::ALL {
        assert!(
            text.contains(&format!(
                "{:>3}  {}",
                exit.code(),
                &exit.meaning()[..20.min(exit.meaning().len())]
            )),
            "{exit:?}"
        );
    }
    assert!(help(&["--help"]).contains("Examples:"));
    assert!(help(&["--version"]).starts_with("simsync "));
}
