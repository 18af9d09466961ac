//! The settings, each once: key, default, kind, flag, and what it means. Everything else that names a setting
//! (the file, the environment, `config show`, `config.example.toml`, suggestions) reads this list.
//!
//! Not here: how text becomes a value (`value.rs`), and the final types (`build.rs`).

use crate::api::{Envelope, HttpVersion, Verify};
use crate::fields::{BareNumbers, ClearAs, Imei14, Imei16, NumberFormat, Preset, Spare0};
use crate::input::{Format, TrailerCounts, UnsafeIntegers};
use crate::plan::{ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, SendMode};
use crate::report::ColorChoice;
use crate::settings::table::Setting;
use crate::settings::value::{Kind, Pairs};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

const fn count(min: u64, max: u64) -> Kind {
    Kind::Count { min, max }
}

const fn duration(min: u64, max: u64) -> Kind {
    Kind::Duration { min, max }
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes { min, max }
}

const fn new(key: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Setting {
    Setting::new(key, kind, default, doc)
}

/// Every setting, in the order it is shown; those of one section stand together.
pub static SETTINGS: &[Setting] = &[
    new("state", Kind::Path, "./simsync-state", "Directory of the journal and the runs.").flag("state"),
    new("api.url", Kind::Url, "", "The whole endpoint, with its trailing slash. There is no default.")
        .flag("api-url")
        .sample("\"https://gate.zequenze.com/api/v1/device_app_user_update/\"")
        .private(),
    new("api.target", Kind::Text, "", "Name of the target, to keep its journal when the address changes.")
        .sample("\"production\""),
    new("api.envelope", Kind::Choice(Envelope::NAMES), "data-string", "Shape of the request's body.")
        .flag("envelope"),
    new("api.token_file", Kind::Path, "", "File that holds the token; readable by its owner alone.")
        .sample("\"/etc/simsync/token\""),
    new(
        "api.token_command",
        Kind::Text,
        "",
        "Command (sh -c) that prints the token, where no file may hold it.",
    )
    .sample("\"secret-tool lookup service simsync\"")
    .private(),
    new(
        "api.timeout",
        duration(100, HOUR),
        "30s",
        "Longest time for one attempt, from connecting to the last byte.",
    ),
    new("api.connect_timeout", duration(100, HOUR), "10s", "Longest time for connecting."),
    new(
        "api.read_timeout",
        duration(100, HOUR),
        "30s",
        "Longest silence within one attempt; what drips is bounded by api.timeout alone.",
    ),
    new(
        "api.allow_plain_http",
        Kind::Bool,
        "false",
        "Lets http:// addresses beyond loopback have the token, in clear.",
    ),
    new(
        "api.verify",
        Kind::Choice(Verify::NAMES),
        "echo",
        "What makes an answer an acknowledgment: its echo of the values, its status member, or its HTTP status alone.",
    )
    .flag("verify"),
    new("api.http", Kind::Choice(HttpVersion::NAMES), "1.1", "HTTP version; auto agrees on one with the server, one connection a sending thread with 2."),
    new(
        "api.connection_age_max",
        duration(SECOND, 30 * DAY),
        "5m",
        "Age at which connections are opened anew, so that changes of DNS are followed.",
    ),
    new(
        "api.proxy",
        Kind::Text,
        "",
        "Proxy to reach the API by, as a URL; or env, for that of the environment. Without it none is used; loopback needs none.",
    )
    .sample("\"http://proxy.example:3128\"")
    .private(),
    new("api.ca_file", Kind::Path, "", "PEM file of the authorities to trust, instead of the usual ones.")
        .sample("\"/etc/simsync/ca.pem\""),
    new("api.client_certificate", Kind::Path, "", "PEM file of a client certificate and its private key; readable by its owner alone.")
        .sample("\"/etc/simsync/client.pem\""),
    new("input.format", Kind::Choice(Format::NAMES), "auto", "Format of the inputs.").flag("format"),
    new(
        "input.key",
        Kind::Field,
        "",
        "The key field: whose value names the subject. Chosen once per target.",
    )
    .flag("key")
    .sample("\"user_external_id\""),
    new(
        "input.default_country",
        Kind::Country,
        "",
        "Country of numbers written without one, ISO 3166-1 alpha-2.",
    )
    .flag("default-country")
    .sample("\"GB\""),
    new(
        "input.require_rows",
        Kind::Bool,
        "false",
        "Makes an input without rows an error instead of a warning.",
    )
    .flag("require-rows"),
    new(
        "input.encoding",
        Kind::Encoding,
        "",
        "Encoding of the inputs. UTF-8, and UTF-16 with a mark, need no word.",
    )
    .flag("encoding")
    .sample("\"windows-1252\""),
    new("input.delimiter", Kind::Delimiter, "", "What separates CSV cells, where the header does not tell.")
        .flag("delimiter")
        .sample("\";\""),
    new("input.skip_rows", count(0, 1_000_000), "0", "Lines before the header of each CSV input.")
        .flag("skip-rows"),
    new(
        "input.no_header",
        Kind::Bool,
        "false",
        "CSV inputs begin with a row; column_names names the columns.",
    )
    .flag("no-header"),
    new("input.column_names", Kind::List, "", "Names of the columns of CSV inputs without a header.")
        .flag("columns")
        .sample("[\"msisdn\", \"iccid\"]"),
    new(
        "input.flexible",
        Kind::Bool,
        "false",
        "Takes the last columns for empty where a CSV row is too short.",
    )
    .flag("flexible"),
    new(
        "input.trailer_counts",
        Kind::Choice(TrailerCounts::NAMES),
        "check",
        "Counts in trailers: held against the rows read, or ignored.",
    ),
    new(
        "input.unsafe_integers",
        Kind::Choice(UnsafeIntegers::NAMES),
        "reject",
        "JSON integers beyond 2^53-1, which their writer may have rounded.",
    ),
    new(
        "input.where",
        Kind::Texts,
        "",
        "Conditions on columns; rows that do not meet them are left out and counted as filtered.",
    )
    .flag("where")
    .sample("[\"status=Active\"]"),
    new(
        "input.order_by",
        Kind::Text,
        "",
        "Column with a date or number that says which of a subject's rows is newer, instead of their order.",
    )
    .flag("order-by")
    .sample("\"Last Modified\""),
    new("input.row_bytes_max", bytes(KIB, 64 * MIB), "1MiB", "Longest row."),
    new("input.row_lines_max", count(1, 100_000), "100", "Lines a CSV row may stretch over."),
    new("input.field_bytes_max", bytes(64, 16 * MIB), "64KiB", "Longest cell."),
    new("input.columns_max", count(1, 65_536), "1024", "Most columns."),
    new("input.json_depth_max", count(1, 1_024), "64", "Deepest nesting of a JSON row."),
    new(
        "input.expansion_max",
        count(1, 10_000),
        "250",
        "Most bytes of text that a byte of a compressed input may stand for.",
    ),
    new(
        "columns",
        Kind::Pairs(Pairs::Columns),
        "",
        "Columns by name, field = column. Passwords are read from no other column than one named here.",
    )
    .flag("map")
    .sample("number = \"Mobile Phone\""),
    new(
        "old_columns",
        Kind::Pairs(Pairs::OldColumns),
        "",
        "Columns with what number, imsi or iccid was before, never sent; names such as old_iccid are taken untold.",
    )
    .flag("old")
    .sample("iccid = \"Replaced SIM\""),
    new("rules.preset", Kind::Choice(Preset::NAMES), "default", "Severities the rules start from.")
        .flag("preset"),
    new(
        "rules.bare_numbers",
        Kind::Choice(BareNumbers::NAMES),
        "reject",
        "Digits without + and without a zero in front: of the default country, or rejected where there is none or where \
         they begin with its calling code; or (e164) read as if they began with +, whatever the default country.",
    )
    .flag("bare-numbers"),
    new(
        "rules.number_format",
        Kind::Choice(NumberFormat::NAMES),
        "e164",
        "Numbers as sent: with + or without.",
    ),
    new("rules.imei_14", Kind::Choice(Imei14::NAMES), "reject", "IMEIs of 14 digits."),
    new(
        "rules.imei_16",
        Kind::Choice(Imei16::NAMES),
        "reject",
        "IMEIs of 16 digits, with a software version.",
    ),
    new("rules.imei_spare0", Kind::Choice(Spare0::NAMES), "keep", "IMEIs that end in the spare digit 0."),
    new(
        "rules.allow_plaintext_passwords",
        Kind::Bool,
        "false",
        "Sends passwords that are no sound hash. They would be stored as they are.",
    ),
    new(
        "rules.null_markers",
        Kind::List,
        "",
        "Texts that stand for an empty cell, instead of the built-in list.",
    )
    .sample("[\"NULL\", \"N/A\"]"),
    new("rules.class_allowed", Kind::List, "", "The only classes sent, where given.")
        .sample("[\"basic\", \"premium\"]"),
    new("rules.clear_token", Kind::Text, "", "Text of a cell that clears its field at the API.")
        .flag("clear-token")
        .sample("\"#CLEAR#\""),
    new("rules.clear_as", Kind::Choice(ClearAs::NAMES), "empty", "How clearing is sent: as \"\" or as null.")
        .flag("clear-as"),
    new(
        "rules.clearable",
        Kind::Fields,
        "",
        "Fields that may be cleared; never the key, never the password.",
    )
    .flag("clearable")
    .sample("[\"imsi\", \"iccid\"]"),
    new("rules.null_clears", Kind::Bool, "false", "Lets a JSON null clear its field instead of leaving it.")
        .flag("null-clears"),
    new("rules.class_map", Kind::Pairs(Pairs::Classes), "", "Classes by their names in the export.")
        .sample("Gold = \"premium\""),
    new(
        "rules.severity",
        Kind::Pairs(Pairs::Severities),
        "",
        "Severities of single rules: off, fix, warn, error.",
    )
    .flag("severity")
    .sample("\"imei.luhn\" = \"error\""),
    new("plan.duplicates", Kind::Choice(DuplicatePolicy::NAMES), "fold", "Several rows for one subject.")
        .flag("duplicates"),
    new(
        "plan.conflicts",
        Kind::Choice(ConflictPolicy::NAMES),
        "hold",
        "Rows whose number, IMSI or ICCID another subject claims too.",
    )
    .flag("conflicts"),
    new(
        "plan.break_cycles",
        Kind::Choice(CyclePolicy::NAMES),
        "no",
        "True swaps: held back, or broken by clearing a field of rules.clearable first.",
    )
    .flag("break-cycles"),
    new(
        "plan.in_doubt",
        Kind::Choice(InDoubtPolicy::NAMES),
        "resend",
        "Updates that may or may not have been applied, and subjects of which they left fields unknown.",
    )
    .flag("in-doubt"),
    new(
        "plan.resend_after",
        duration(MINUTE, 3_650 * DAY),
        "",
        "Age after which the acknowledgment of a field is refreshed.",
    )
    .sample("\"30d\""),
    new("plan.rejected_max", Kind::Share, "30%", "Share of rejected rows above which nothing is sent."),
    new(
        "plan.rejected_rows_min",
        count(0, u64::MAX),
        "20",
        "Rejected rows below which that share is not judged.",
    ),
    new(
        "plan.clears_max",
        Kind::Share,
        "10%",
        "Share of rows that clear a field above which nothing is sent.",
    ),
    new(
        "plan.damage_max",
        Kind::Share,
        "5%",
        "Share of a column's values with spreadsheet damage above which nothing is sent.",
    ),
    new(
        "plan.alarm_rows_min",
        count(0, u64::MAX),
        "20",
        "Rows with clears or damage below which those shares are not judged.",
    ),
    new(
        "plan.changed_max",
        Kind::Share,
        "50%",
        "Share of the known subjects in an export that would change, above which nothing is sent.",
    ),
    new(
        "plan.changed_subjects_min",
        count(0, u64::MAX),
        "100",
        "Changing subjects below which that share is not judged.",
    ),
    new(
        "plan.rows_drop_max",
        Kind::Share,
        "50%",
        "How much fewer rows than usual at its target an export may have before nothing is sent.",
    ),
    new(
        "plan.blank_max",
        Kind::Share,
        "50%",
        "How much fewer of its rows than usual a column may fill before nothing is sent.",
    ),
    new(
        "plan.usual_rows_min",
        count(0, u64::MAX),
        "100",
        "Usual rows below which fewer rows and blank columns are not judged.",
    ),
    new(
        "plan.repeated_max",
        count(1, u64::MAX),
        "50",
        "Subjects that may share one value of an identifier before nothing is sent.",
    ),
    new(
        "plan.key_repeated_max",
        Kind::Share,
        "1%",
        "Share of the rows that may have one key value before nothing is sent: a placeholder makes one subject of many.",
    ),
    new(
        "plan.key_repeated_rows_min",
        count(2, u64::MAX),
        "1000",
        "Rows with one key value below which it is no placeholder; from here on it is told, whatever their share.",
    ),
    new(
        "plan.subject_rows_max",
        count(1, 1_000_000_000),
        "200000",
        "Rows of one subject that are ruled on in memory, some 100 bytes each; those of one with more are read again and again.",
    ),
    new(
        "plan.chain_rows_max",
        count(0, 100_000_000),
        "1000000",
        "Pairs of rows of which one takes what the other gives up, put in order at most; the server rules on the rest.",
    ),
    new("plan.send", Kind::Choice(SendMode::NAMES), "full", "Fields sent of an update that changes something.")
        .flag("send"),
    new("plan.samples", count(0, 1_000), "5", "Changes that a plan shows, masked."),
    new(
        "plan.memory_max",
        bytes(MIB, 1 << 40),
        "48MiB",
        "Memory for the rows of a survey, and an eighth of it for what became of failed updates; what is more goes to a \
         private file in the state directory.",
    ),
    new("plan.threads", count(0, 256), "0", "Threads that check and plan rows; 0 chooses by the machine."),
    new("delivery.rate", Kind::Rate, "50/s", "Attempts per unit of time, retries included.").flag("rate"),
    new(
        "delivery.window",
        Kind::Windows,
        "",
        "Rates by time of day, in time_zone; pause sends nothing. Outside of them delivery.rate is in force.",
    )
    .sample("[\"01:00-05:00 500/s\", \"08:00-18:00 pause\"]"),
    new("delivery.fleet", count(1, 10_000), "1", "Machines that share the rate; each takes its share of it."),
    new("delivery.burst", count(1, 100_000), "1", "Attempts that may begin at once after a silence.")
        .flag("burst"),
    new("delivery.max_in_flight", count(1, 4_096), "64", "Attempts on the wire at once, at most.")
        .flag("max-in-flight"),
    new(
        "delivery.concurrency",
        count(1, 4_096),
        "",
        "Attempts on the wire at once, fixed; unset, it adapts to the server up to max_in_flight.",
    )
    .flag("concurrency")
    .sample("16"),
    new(
        "delivery.max_duration",
        duration(SECOND, 30 * DAY),
        "",
        "Length of the run after which it stops in order (exit 8); run again, it resumes.",
    )
    .flag("max-duration")
    .sample("\"4h\""),
    new("delivery.until", Kind::TimeOfDay, "", "Time of day at which the run stops in order (exit 8).")
        .flag("until")
        .sample("\"05:00\""),
    new(
        "delivery.time_zone",
        Kind::Text,
        "",
        "Time zone of times of day, by its IANA name; unset, that of this machine.",
    )
    .sample("\"Europe/London\""),
    new(
        "delivery.max_rows",
        count(1, u64::MAX),
        "",
        "Updates sent by one run, at most, as a canary; then it stops in order (exit 8).",
    )
    .flag("max-rows")
    .sample("100"),
    new(
        "delivery.deferred_held_max",
        count(0, 10_000_000),
        "10000",
        "Updates that wait for a later pass kept in memory; a pass over more reads the inputs again.",
    ),
    new("delivery.attempts_max", count(1, 100), "8", "Attempts for one update before it is given up."),
    new(
        "delivery.retry_elapsed_max",
        duration(0, 30 * DAY),
        "",
        "Time since an update's first failure after which it is given up at the next, whatever its attempts.",
    )
    .flag("retry-elapsed-max")
    .sample("\"10m\""),
    new("delivery.backoff_initial", duration(1, HOUR), "500ms", "Longest wait before the first retry."),
    new("delivery.backoff_max", duration(1, DAY), "30s", "Longest wait before any retry."),
    new("delivery.retry_after_max", duration(0, DAY), "5m", "Longest Retry-After that is obeyed in full."),
    new("delivery.outage_max", duration(0, 30 * DAY), "15m", "Longest outage that is waited out."),
    new("delivery.breaker_failures", count(1, 100_000), "10", "Failures in a row that open the breaker."),
    new("delivery.breaker_subjects", count(1, 100_000), "5", "Subjects those failures must be spread over."),
    new(
        "delivery.refusals_in_a_row_max",
        count(0, 10_000_000),
        "100",
        "Subjects in a row refused with one complaint, none acknowledged between them, that stop the run; 0: never.",
    ),
    new(
        "delivery.max_errors",
        Kind::Budget,
        "",
        "Failed updates above which the run stops: a count, or a share of the rows read; 0: at the first.",
    )
    .flag("max-errors")
    .sample("\"2%\""),
    new(
        "delivery.max_errors_per_signature",
        Kind::Budget,
        "",
        "Updates failed with one complaint above which the run stops: a count, or a share of the rows read; 0: at the first.",
    )
    .flag("max-errors-per-signature")
    .sample("\"1%\""),
    new(
        "delivery.shutdown_grace",
        duration(0, HOUR),
        "30s",
        "Longest time for attempts on the wire after a signal.",
    ),
    new("delivery.senders", count(0, 64), "0", "Sending threads; 0 chooses by the machine."),
    new("journal.commit_rows_max", count(1, 65_536), "16384", "Most outcomes in one commit."),
    new("journal.commit_delay_max", duration(0, 10 * SECOND), "1ms", "Longest wait for a commit to fill."),
    new(
        "journal.log_max",
        bytes(KIB, 1 << 40),
        "128MiB",
        "Size of the log at which it is folded into the ledger in the middle of a run.",
    ),
    new(
        "report.status_every",
        duration(0, DAY),
        "60s",
        "Time between status lines off a terminal; 0s for none.",
    ),
    new("report.color", Kind::Choice(ColorChoice::NAMES), "auto", "Colors on the terminal.").flag("color"),
    new("run.full", Kind::Bool, "false", "Sends everything, also what is unchanged.").flag("full").of_run(),
    new("run.retry_failed", Kind::Bool, "false", "Sends updates again that this batch saw refused.")
        .flag("retry-failed")
        .of_run(),
    new("run.new_batch", Kind::Bool, "false", "Begins a new batch where an open one would be continued.")
        .flag("new-batch")
        .of_run(),
    new("run.sandbox", Kind::Bool, "false", "Sends to an embedded sandbox instead of the API.")
        .flag("sandbox")
        .of_run(),
    new("run.yes", Kind::Bool, "false", "Goes on where a gate of the plan would stop.").flag("yes").of_run(),
    new("run.json", Kind::Bool, "false", "Prints JSON Lines on standard output.").flag("json").of_run(),
    new("run.quiet", Kind::Bool, "false", "Prints nothing on success.").flag("quiet").of_run(),
    new("run.verbose", count(0, 2), "0", "Detail of the log: 1 for steps, 2 for everything.")
        .flag("verbose")
        .of_run(),
];
