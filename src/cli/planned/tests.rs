//! Every setting is part of what a saved plan rests on, or deliberately is not: a new one has to be put on the list.

use std::fs;
use std::path::Path;

use super::*;
use crate::input::Inputs;
use crate::settings::{self, Flags, SETTINGS, Surroundings};

/// What a setting is to a saved plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It shapes updates, rulings or verdicts: moved, the plan is refused.
    Basis,
    /// Where the state is: the journal has an identity of its own, wherever it lies.
    State,
    /// It decides whether the run goes on, and is asked anew each time: what it stops is not sent.
    Stop,
    /// It decides when and how requests travel, not what they say or what their answers mean.
    Way,
    /// It decides what is told, kept or used up on this machine.
    Machine,
}

use Part::{Basis as Moves, Machine, State, Stop, Way};

/// Every setting, another value than its default as TOML (or as a flag's text, of one run's settings), and what it is.
const PARTS: &[(&str, &str, Part)] = &[
    ("state", "\"elsewhere\"", State),
    ("api.url", "\"https://b.example/u/\"", Moves),
    ("api.target", "\"staging\"", Moves),
    ("api.envelope", "\"flat\"", Moves),
    ("api.token_file", "\"token\"", Way),
    ("api.token_command", "\"true\"", Way),
    ("api.timeout", "\"20s\"", Way),
    ("api.connect_timeout", "\"5s\"", Way),
    ("api.read_timeout", "\"5s\"", Way),
    ("api.allow_plain_http", "true", Way),
    ("api.verify", "\"none\"", Moves),
    ("api.http", "\"auto\"", Way),
    ("api.connection_age_max", "\"1m\"", Way),
    ("api.proxy", "\"http://proxy.example:3128\"", Way),
    ("api.ca_file", "\"ca.pem\"", Way),
    ("api.client_certificate", "\"client.pem\"", Way),
    ("input.format", "\"ndjson\"", Moves),
    ("input.key", "\"number\"", Moves),
    ("input.default_country", "\"GB\"", Moves),
    ("input.require_rows", "true", Stop),
    ("input.encoding", "\"windows-1252\"", Moves),
    ("input.delimiter", "\";\"", Moves),
    ("input.skip_rows", "1", Moves),
    ("input.no_header", "true\ncolumn_names = [\"a\", \"b\", \"c\", \"d\"]", Moves),
    ("input.column_names", "[\"a\", \"b\", \"c\", \"d\"]\nno_header = true", Moves),
    ("input.flexible", "true", Moves),
    ("input.trailer_counts", "\"ignore\"", Stop),
    ("input.unsafe_integers", "\"accept\"", Moves),
    ("input.where", "[\"tier=basic\"]", Moves),
    ("input.order_by", "\"tier\"", Moves),
    ("input.row_bytes_max", "\"2MiB\"", Moves),
    ("input.row_lines_max", "7", Moves),
    ("input.field_bytes_max", "\"32KiB\"", Moves),
    ("input.columns_max", "7", Moves),
    ("input.json_depth_max", "7", Moves),
    ("input.expansion_max", "7", Stop),
    ("columns", "user_class = \"mobile\"", Moves),
    ("old_columns", "iccid = \"tier\"", Moves),
    ("rules.preset", "\"strict\"", Moves),
    ("rules.bare_numbers", "\"e164\"", Moves),
    ("rules.number_format", "\"plain\"", Moves),
    ("rules.imei_14", "\"complete\"", Moves),
    ("rules.imei_16", "\"convert\"", Moves),
    ("rules.imei_spare0", "\"recompute\"", Moves),
    ("rules.allow_plaintext_passwords", "true", Moves),
    ("rules.null_markers", "[\"nix\"]", Moves),
    ("rules.class_allowed", "[\"basic\"]", Moves),
    ("rules.clear_token", "\"#\"\nclearable = [\"imsi\"]", Moves),
    ("rules.clear_as", "\"null\"", Moves),
    ("rules.clearable", "[\"imsi\"]\nnull_clears = true", Moves),
    ("rules.null_clears", "true\nclearable = [\"imsi\"]", Moves),
    ("rules.class_map", "Gold = \"premium\"", Moves),
    ("rules.severity", "\"imei.luhn\" = \"error\"", Moves),
    ("plan.duplicates", "\"last\"", Moves),
    ("plan.conflicts", "\"send\"", Moves),
    ("plan.break_cycles", "\"clear\"", Moves),
    ("plan.in_doubt", "\"hold\"", Moves),
    ("plan.resend_after", "\"30d\"", Moves),
    ("plan.rejected_max", "\"1%\"", Stop),
    ("plan.rejected_rows_min", "1", Stop),
    ("plan.clears_max", "\"1%\"", Stop),
    ("plan.damage_max", "\"1%\"", Stop),
    ("plan.alarm_rows_min", "1", Stop),
    ("plan.changed_max", "\"1%\"", Stop),
    ("plan.changed_subjects_min", "1", Stop),
    ("plan.rows_drop_max", "\"1%\"", Stop),
    ("plan.blank_max", "\"1%\"", Stop),
    ("plan.usual_rows_min", "1", Stop),
    ("plan.repeated_max", "7", Stop),
    ("plan.key_repeated_max", "\"2%\"", Stop),
    ("plan.key_repeated_rows_min", "7", Stop),
    ("plan.subject_rows_max", "7", Machine),
    ("plan.chain_rows_max", "7", Moves),
    ("plan.send", "\"changed\"", Moves),
    ("plan.samples", "7", Machine),
    ("plan.memory_max", "\"64MiB\"", Machine),
    ("plan.threads", "7", Machine),
    ("delivery.rate", "\"7/s\"", Way),
    ("delivery.window", "[\"01:00-05:00 500/s\"]", Way),
    ("delivery.fleet", "7", Way),
    ("delivery.burst", "7", Way),
    ("delivery.max_in_flight", "7", Way),
    ("delivery.concurrency", "7", Way),
    ("delivery.max_duration", "\"4h\"", Stop),
    ("delivery.until", "\"05:00\"", Stop),
    ("delivery.time_zone", "\"Europe/London\"", Way),
    ("delivery.max_rows", "7", Stop),
    ("delivery.deferred_held_max", "7", Machine),
    // How long a row is tried. A row out of attempts is unknown whatever its verdict, and goes on in the next run.
    ("delivery.attempts_max", "7", Way),
    ("delivery.retry_elapsed_max", "\"10m\"", Way),
    ("delivery.backoff_initial", "\"1s\"", Way),
    ("delivery.backoff_max", "\"1m\"", Way),
    ("delivery.retry_after_max", "\"1m\"", Way),
    ("delivery.outage_max", "\"1m\"", Stop),
    ("delivery.breaker_failures", "7", Way),
    ("delivery.breaker_subjects", "7", Way),
    ("delivery.refusals_in_a_row_max", "7", Stop),
    ("delivery.max_errors", "7", Stop),
    ("delivery.max_errors_per_signature", "7", Stop),
    ("delivery.shutdown_grace", "\"7s\"", Stop),
    ("delivery.senders", "7", Machine),
    ("journal.commit_rows_max", "7", Machine),
    ("journal.commit_delay_max", "\"7ms\"", Machine),
    ("journal.log_max", "\"7MiB\"", Machine),
    ("report.status_every", "\"7s\"", Machine),
    ("report.color", "\"never\"", Machine),
    ("run.full", "true", Moves),
    ("run.retry_failed", "true", Moves),
    ("run.new_batch", "true", Moves),
    // It has a target and a state of its own.
    ("run.sandbox", "true", Moves),
    ("run.yes", "true", Stop),
    ("run.json", "true", Machine),
    ("run.quiet", "true", Machine),
    ("run.verbose", "1", Machine),
];

/// The inputs whose reading is looked at.
const INPUTS: [(&str, &str); 2] = [
    ("a.csv", "crm id,mobile,iccid,tier\nC-1,+447911123456,,basic\n"),
    ("b.ndjson", "{\"crm id\":\"C-1\",\"mobile\":\"+447911123456\",\"tier\":\"basic\"}\n"),
];

/// What must be set for a setting to be more than its default.
fn needs(key: &str) -> &str {
    if key == "plan.break_cycles" {
        "[rules]\nclear_token = \"CLEAR\"\nclearable = [\"iccid\"]\n"
    } else {
        ""
    }
}

/// Settings where one has this value, none if there is no value; all others are the defaults, but for what it needs.
fn with(dir: &Path, key: &str, value: &str) -> Settings {
    let mut flags = Flags::default();
    let mut toml = String::from("[api]\nurl = \"https://a.example/u/\"\n");
    toml.push_str(needs(key));
    let setting = SETTINGS.iter().find(|setting| setting.key == key);
    match setting {
        Some(_) if value.is_empty() => {}
        Some(setting) if setting.is_of_run => flags.set(setting.flag.unwrap(), value),
        Some(setting) if setting.is_pairs() => toml.push_str(&format!("[{key}]\n{value}\n")),
        Some(setting) if key == "api.url" => toml = format!("[api]\n{} = {value}\n", setting.name()),
        Some(setting) if setting.section() == "api" => {
            toml.push_str(&format!("{} = {value}\n", setting.name()))
        }
        Some(setting) if setting.section().is_empty() => {
            toml.insert_str(0, &format!("{} = {value}\n", setting.name()));
        }
        Some(setting) => toml.push_str(&format!("[{}]\n{} = {value}\n", setting.section(), setting.name())),
        None => assert!(key.is_empty(), "there is no setting {key}"),
    }
    fs::write(dir.join("simsync.toml"), toml).unwrap();
    let around = Surroundings::new([], dir.to_owned()).with_system_config(dir.join("none.toml"));
    settings::resolve(&flags, &around).unwrap_or_else(|error| panic!("{key} = {value}: {error}")).settings
}

/// Everything a plan made under these settings rests on, as far as settings are in it.
fn basis(dir: &Path, settings: &Settings) -> Vec<String> {
    let row_rules =
        parts::row_rules(settings).unwrap_or_else(|fatal| panic!("{}", fatal.explanation.message));
    let rules = parts::rule_set(settings).unwrap_or_else(|fatal| panic!("{}", fatal.explanation.message));
    let target = parts::destination(settings, true).map(|destination| destination.target).ok();
    let mut texts = vec![
        format!("{:?}", plan_settings(settings)),
        format!("{target:?} {:?} {:?}", settings.input.key, settings.input.old_columns),
        rules.fingerprint(),
        row_rules.shaping(),
    ];
    for (name, _) in INPUTS {
        let input = dir.join(name).to_string_lossy().into_owned();
        let options = parts::input_options(settings, &row_rules, &[input], dir.to_owned());
        // What cannot be opened so is not read so, either.
        texts
            .push(Inputs::open(&options).map_or_else(|_| "unreadable".to_owned(), |inputs| inputs.shaping()));
    }
    texts
}

#[test]
fn every_setting_is_decided_on() {
    let keys: Vec<&str> = SETTINGS.iter().map(|setting| setting.key).collect();
    let decided: Vec<&str> = PARTS.iter().map(|(key, ..)| *key).collect();
    assert_eq!(decided, keys, "decide what a new setting is to a saved plan");
}

#[test]
fn what_a_plan_rests_on_moves_with_its_settings_and_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in INPUTS {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let before = basis(dir.path(), &with(dir.path(), "", ""));
    assert!(before.iter().all(|text| text != "unreadable"), "{before:?}");
    let is_otherwise = |(key, value, part): &&(&str, &str, Part)| {
        let [before, now] = ["", *value].map(|value| basis(dir.path(), &with(dir.path(), key, value)));
        (now != before) != (*part == Moves)
    };
    let otherwise: Vec<_> = PARTS.iter().filter(is_otherwise).collect();
    assert!(otherwise.is_empty(), "{otherwise:?}");
}
