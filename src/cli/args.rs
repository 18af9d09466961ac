//! The options of each command, as typed: raw, optional texts. Settings give them their meaning.
//!
//! A flag whose name is in the table of settings is a text here, whatever it holds there: its bounds, its default and
//! its precedence are not known on this page. Only options that are no settings have types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args};

use crate::api::{Envelope, Verify};
use crate::fields::{BareNumbers, ClearAs, Preset};
use crate::input::Format;
use crate::plan::{ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, SendMode};
use crate::report::ColorChoice;
use crate::settings::Flags;
use crate::survey::LeftKind;
use crate::update::FieldKind;

mod tools;

pub use tools::{AdoptArgs, FieldArgs, ForgetArgs, LookupArgs, TargetArgs, ToolArgs, ValueArgs};

const ABOUT_RUN: &str = "Which run, and how it speaks";
const ABOUT_ROWS: &str = "Reading rows";
const ABOUT_PLAN: &str = "What is sent";
const ABOUT_API: &str = "Sending";

/// Options of every command that has settings.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = ABOUT_RUN)]
pub struct CommonArgs {
    /// Configuration file [default: ./simsync.toml, then the user's, then /etc/simsync/config.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the journal and the runs [default: ./simsync-state]
    #[arg(long, value_name = "DIR")]
    pub state: Option<String>,
    /// Print JSON Lines on standard output
    #[arg(long)]
    pub json: bool,
    /// Print nothing on success
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More detail in the log; twice for everything
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
    /// Colors on the terminal
    #[arg(long, value_name = "WHEN", value_parser = one_of(ColorChoice::NAMES))]
    pub color: Option<String>,
}

/// Options about reading and checking rows.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = ABOUT_ROWS)]
pub struct RowArgs {
    /// The key field: whose value names the subject
    #[arg(long, value_name = "FIELD", value_parser = one_of(FieldKind::NAMES))]
    pub key: Option<String>,
    /// Read a field from a column; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<String>,
    /// Read from a column what number, imsi or iccid was before, to put SIM swaps in order; may be repeated
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub old: Vec<String>,
    /// Format of the inputs
    #[arg(long, value_name = "FORMAT", value_parser = one_of(Format::NAMES))]
    pub format: Option<String>,
    /// Encoding of the inputs, such as windows-1252; UTF-8 and marked UTF-16 need no word
    #[arg(long, value_name = "LABEL")]
    pub encoding: Option<String>,
    /// What separates CSV cells: a character, or comma, semicolon, tab, bar, space, ^A
    #[arg(long, value_name = "CHAR")]
    pub delimiter: Option<String>,
    /// Lines before the header of each CSV input
    #[arg(long, value_name = "N")]
    pub skip_rows: Option<String>,
    /// CSV inputs begin with a row; --columns names the columns
    #[arg(long)]
    pub no_header: bool,
    /// Names of the columns, for --no-header
    #[arg(long, value_name = "NAME,NAME…")]
    pub columns: Option<String>,
    /// Take the last columns for empty where a CSV row is too short
    #[arg(long)]
    pub flexible: bool,
    /// Leave out rows that do not meet a condition (= != < <= > >=); may be repeated: of several = on one column any,
    /// everything else together. Case does not matter; < and > compare numbers and dates
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub conditions: Vec<String>,
    /// Column with a date or number that says which of a subject's rows is newer; an empty cell is the oldest
    #[arg(long, value_name = "COLUMN")]
    pub order_by: Option<String>,
    /// Text of a cell that clears its field at the API; --clearable names the fields
    #[arg(long, value_name = "TEXT")]
    pub clear_token: Option<String>,
    /// Fields that may be cleared
    #[arg(long, value_name = "FIELD,FIELD…")]
    pub clearable: Option<String>,
    /// How clearing is sent
    #[arg(long, value_name = "HOW", value_parser = one_of(ClearAs::NAMES))]
    pub clear_as: Option<String>,
    /// Let a JSON null clear its field
    #[arg(long)]
    pub null_clears: bool,
    /// Country of numbers written without one, such as GB
    #[arg(long, value_name = "CC")]
    pub default_country: Option<String>,
    /// What digits without + and without a zero in front are, with --default-country too: reject takes them for that
    /// country's numbers unless they begin with its calling code, e164 for numbers that lost their +
    #[arg(long, value_name = "HOW", value_parser = one_of(BareNumbers::NAMES))]
    pub bare_numbers: Option<String>,
    /// Severity of a rule: off, fix, warn or error; may be repeated
    #[arg(long, value_name = "CODE=LEVEL")]
    pub severity: Vec<String>,
    /// Severities the rules start from
    #[arg(long, value_name = "PRESET", value_parser = one_of(Preset::NAMES))]
    pub preset: Option<String>,
    /// Make an input without rows an error
    #[arg(long)]
    pub require_rows: bool,
}

/// Options about what is sent.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = ABOUT_PLAN)]
pub struct PlanningArgs {
    /// Several rows for one subject
    #[arg(long, value_name = "POLICY", value_parser = one_of(DuplicatePolicy::NAMES))]
    pub duplicates: Option<String>,
    /// Rows whose number, IMSI or ICCID another subject claims too
    #[arg(long, value_name = "POLICY", value_parser = one_of(ConflictPolicy::NAMES))]
    pub conflicts: Option<String>,
    /// True swaps: held back, or broken by clearing a field named in --clearable first
    #[arg(long, value_name = "POLICY", value_parser = one_of(CyclePolicy::NAMES))]
    pub break_cycles: Option<String>,
    /// Updates that may or may not have been applied
    #[arg(long, value_name = "POLICY", value_parser = one_of(InDoubtPolicy::NAMES))]
    pub in_doubt: Option<String>,
    /// Fields sent of an update that changes something: all, or only those that differ
    #[arg(long, value_name = "FIELDS", value_parser = one_of(SendMode::NAMES))]
    pub send: Option<String>,
    /// Send everything, also what is unchanged
    #[arg(long)]
    pub full: bool,
    /// Send updates again that this batch saw refused
    #[arg(long)]
    pub retry_failed: bool,
    /// Make an open batch the newest of its target, instead of continuing it under an older version
    #[arg(long)]
    pub new_batch: bool,
    /// Go on where a gate of the plan would stop
    #[arg(long)]
    pub yes: bool,
}

/// Options about sending.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = ABOUT_API)]
pub struct SendingArgs {
    /// The whole endpoint, with its trailing slash
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// Send to an embedded sandbox instead of the API
    #[arg(long, conflicts_with = "api_url")]
    pub sandbox: bool,
    /// Shape of the request's body
    #[arg(long, value_name = "KIND", value_parser = one_of(Envelope::NAMES))]
    pub envelope: Option<String>,
    /// What makes an answer an acknowledgment: its echo of the values, its status member, its HTTP status
    #[arg(long, value_name = "HOW", value_parser = one_of(Verify::NAMES))]
    pub verify: Option<String>,
    /// Attempts per unit of time: 200/s, 100/m, 5000/h or unlimited [default: 50/s]
    #[arg(long, value_name = "RATE")]
    pub rate: Option<String>,
    /// Attempts that may begin at once after a silence [default: 1]
    #[arg(long, value_name = "N")]
    pub burst: Option<String>,
    /// Attempts on the wire at once, at most [default: 64]
    #[arg(long, value_name = "N")]
    pub max_in_flight: Option<String>,
    /// Attempts on the wire at once, fixed; without it, the number adapts to the server
    #[arg(long, value_name = "N")]
    pub concurrency: Option<String>,
    /// Stop in order after this long (exit 8): 90s, 30m, 4h, or none
    #[arg(long, value_name = "TIME")]
    pub max_duration: Option<String>,
    /// Stop in order at this time of day (exit 8), in delivery.time_zone, or none
    #[arg(long, value_name = "HH:MM")]
    pub until: Option<String>,
    /// Send at most so many updates in this run, as a canary (exit 8), or none
    #[arg(long, value_name = "N")]
    pub max_rows: Option<String>,
    /// Time since an update's first failure after which its next one is its last: 90s, 10m, or none
    #[arg(long, value_name = "TIME")]
    pub retry_elapsed_max: Option<String>,
    /// Failed updates above which the run stops: a count, or a share of the rows read
    #[arg(long, value_name = "N|N%")]
    pub max_errors: Option<String>,
    /// The same for updates that failed with one complaint
    #[arg(long, value_name = "N|N%")]
    pub max_errors_per_signature: Option<String>,
}

/// The inputs.
#[derive(Debug, Clone, Default, Args)]
pub struct InputArgs {
    /// Files and patterns; - for standard input
    #[arg(value_name = "INPUT", required = true, value_parser = NonEmptyStringValueParser::new())]
    pub inputs: Vec<String>,
}

/// `sync`.
#[derive(Debug, Clone, Default, Args)]
pub struct SyncArgs {
    /// Files and patterns; - for standard input. A saved plan remembers its own
    #[arg(value_name = "INPUT", required_unless_present = "plan", value_parser = NonEmptyStringValueParser::new())]
    pub inputs: Vec<String>,
    /// Carry out a plan that `simsync plan -o FILE` saved; refused (exit 4) where anything it rests on has moved
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// Options that are settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `plan`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    /// The inputs.
    #[command(flatten)]
    pub input: InputArgs,
    /// Save the plan to a private file, for `simsync sync --plan FILE`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Options that are settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `replay`.
#[derive(Debug, Clone, Default, Args)]
pub struct ReplayArgs {
    /// A run's id, as `runs` lists it, or `latest`
    #[arg(value_name = "RUN", value_parser = NonEmptyStringValueParser::new())]
    pub run: String,
    /// Only rows that failed with this complaint: its id (S1), its text, or a part of just one; may be repeated
    #[arg(long = "signature", value_name = "S", value_parser = NonEmptyStringValueParser::new())]
    pub signatures: Vec<String>,
    /// Only rows of this kind; may be repeated [default: all but conflict and rejected]
    #[arg(long = "kind", value_name = "KIND", value_parser = one_of(LeftKind::NAMES))]
    pub kinds: Vec<String>,
    /// Options that are settings.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Every option that is a setting.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingArgs {
    /// About reading rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// About what is sent.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// About sending.
    #[command(flatten)]
    pub sending: SendingArgs,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `check`.
#[derive(Debug, Clone, Default, Args)]
pub struct CheckArgs {
    /// Files and patterns; - for standard input
    #[arg(value_name = "INPUT", required_unless_present_any = ["explain", "codes"], value_parser = NonEmptyStringValueParser::new())]
    pub inputs: Vec<String>,
    /// Write a line of JSON per row, in order, to a private file; - for standard output
    #[arg(long, short, value_name = "FILE", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["explain", "codes"])]
    pub output: Option<String>,
    /// Explain a rule, a group of rules or all, and read nothing
    #[arg(long, value_name = "CODE", conflicts_with = "inputs")]
    pub explain: Option<String>,
    /// List every rule in a line, and read nothing
    #[arg(long, conflicts_with_all = ["inputs", "explain"])]
    pub codes: bool,
    /// About reading rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `runs`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunsArgs {
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `show`.
#[derive(Debug, Clone, Default, Args)]
pub struct ShowArgs {
    /// A run's id, as `runs` lists it, or `latest`
    #[arg(value_name = "RUN", value_parser = NonEmptyStringValueParser::new())]
    pub run: String,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `doctor`.
#[derive(Debug, Clone, Default, Args)]
pub struct DoctorArgs {
    /// Send the first valid row of this input, a real update kept in the journal, and find the envelope that the API
    /// understands
    #[arg(long, value_name = "FILE", value_parser = NonEmptyStringValueParser::new())]
    pub probe: Option<String>,
    /// The settings to look at.
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// `config init`.
#[derive(Debug, Clone, Args)]
pub struct ConfigInitArgs {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = crate::config::CONFIG_NAME)]
    pub file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// `sandbox`.
#[derive(Debug, Clone, Args)]
pub struct SandboxArgs {
    /// Address and port on loopback; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// File with the token to accept; without one, a token is made up and printed
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Shape of the request's body that is understood
    #[arg(long, value_name = "KIND", value_parser = envelope(), default_value = Envelope::default().name())]
    pub envelope: Envelope,
    /// Misbehavior on demand: JSON that begins with {, or a file of it
    #[arg(long, value_name = "JSON|FILE", value_parser = faults)]
    pub faults: Option<Faults>,
    /// Seed of the misbehavior; the same seed and order of requests give the same answers
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print JSON Lines on standard output
    #[arg(long)]
    pub json: bool,
}

/// Where the sandbox's faults are described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// On the command line, as JSON.
    Json(String),
    /// In a file of JSON.
    File(PathBuf),
}

fn one_of(names: &'static [&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(names)
}

/// An envelope by its name, for a flag that is no setting.
fn envelope() -> impl TypedValueParser<Value = Envelope> {
    one_of(Envelope::NAMES).try_map(|name| Envelope::from_name(&name).ok_or("it is no envelope"))
}

fn faults(text: &str) -> Result<Faults, String> {
    match text.trim_start() {
        "" => Err("it is empty".to_owned()),
        json if json.starts_with('{') => Ok(Faults::Json(text.to_owned())),
        _ => Ok(Faults::File(PathBuf::from(text))),
    }
}

/// Where the demo keeps its journal and runs, unless told otherwise.
pub(super) const DEMO_STATE: &str = "./simsync-demo";

/// `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Directory of the demo's journal and runs
    #[arg(long, value_name = "DIR", default_value = DEMO_STATE)]
    pub state: PathBuf,
    /// Rows to make up, instead of the fixtures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub rows: Option<u64>,
    /// Print JSON Lines on standard output
    #[arg(long)]
    pub json: bool,
    /// Print nothing on success
    #[arg(short, long)]
    pub quiet: bool,
}

impl CommonArgs {
    fn add_to(&self, flags: &mut Flags) {
        let CommonArgs { config, state, json, quiet, verbose, color } = self;
        if let Some(path) = config {
            flags.set_config(path.clone());
        }
        add(flags, "state", state.as_ref());
        add_switch(flags, "json", *json);
        add_switch(flags, "quiet", *quiet);
        if *verbose > 0 {
            // A third -v asks for no more than everything.
            flags.set("verbose", (*verbose).min(VERBOSE_MAX).to_string());
        }
        add(flags, "color", color.as_ref());
    }
}

/// Most detail of the log.
const VERBOSE_MAX: u8 = 2;

impl RowArgs {
    fn add_to(&self, flags: &mut Flags) {
        let RowArgs { key, map, format, default_country, severity, preset, require_rows, .. } = self;
        add(flags, "key", key.as_ref());
        add(flags, "map", map);
        add(flags, "old", &self.old);
        add(flags, "format", format.as_ref());
        self.add_text_to(flags);
        add(flags, "default-country", default_country.as_ref());
        add(flags, "bare-numbers", self.bare_numbers.as_ref());
        add(flags, "severity", severity);
        add(flags, "preset", preset.as_ref());
        add_switch(flags, "require-rows", *require_rows);
    }

    /// What says how bytes become rows, and which rows count.
    fn add_text_to(&self, flags: &mut Flags) {
        add(flags, "encoding", self.encoding.as_ref());
        add(flags, "delimiter", self.delimiter.as_ref());
        add(flags, "skip-rows", self.skip_rows.as_ref());
        add_switch(flags, "no-header", self.no_header);
        add(flags, "columns", self.columns.as_ref());
        add_switch(flags, "flexible", self.flexible);
        add(flags, "where", &self.conditions);
        add(flags, "order-by", self.order_by.as_ref());
        add(flags, "clear-token", self.clear_token.as_ref());
        add(flags, "clearable", self.clearable.as_ref());
        add(flags, "clear-as", self.clear_as.as_ref());
        add_switch(flags, "null-clears", self.null_clears);
    }
}

impl PlanningArgs {
    fn add_to(&self, flags: &mut Flags) {
        let PlanningArgs { duplicates, conflicts, break_cycles, in_doubt, .. } = self;
        let PlanningArgs { send, full, retry_failed, new_batch, yes, .. } = self;
        add(flags, "break-cycles", break_cycles.as_ref());
        add(flags, "send", send.as_ref());
        add(flags, "duplicates", duplicates.as_ref());
        add(flags, "conflicts", conflicts.as_ref());
        add(flags, "in-doubt", in_doubt.as_ref());
        add_switch(flags, "full", *full);
        add_switch(flags, "retry-failed", *retry_failed);
        add_switch(flags, "new-batch", *new_batch);
        add_switch(flags, "yes", *yes);
    }
}

impl SendingArgs {
    fn add_to(&self, flags: &mut Flags) {
        let SendingArgs { api_url, sandbox, envelope, rate, burst, max_in_flight, .. } = self;
        let SendingArgs { concurrency, max_duration, until, max_rows, max_errors, .. } = self;
        add(flags, "api-url", api_url.as_ref());
        add_switch(flags, "sandbox", *sandbox);
        add(flags, "envelope", envelope.as_ref());
        add(flags, "verify", self.verify.as_ref());
        add(flags, "rate", rate.as_ref());
        add(flags, "burst", burst.as_ref());
        add(flags, "max-in-flight", max_in_flight.as_ref());
        add(flags, "concurrency", concurrency.as_ref());
        add(flags, "max-duration", max_duration.as_ref());
        add(flags, "until", until.as_ref());
        add(flags, "max-rows", max_rows.as_ref());
        add(flags, "retry-elapsed-max", self.retry_elapsed_max.as_ref());
        add(flags, "max-errors", max_errors.as_ref());
        add(flags, "max-errors-per-signature", self.max_errors_per_signature.as_ref());
    }
}

fn add<'a>(flags: &mut Flags, flag: &'static str, texts: impl IntoIterator<Item = &'a String>) {
    for text in texts {
        flags.set(flag, text.as_str());
    }
}

fn add_switch(flags: &mut Flags, flag: &'static str, is_given: bool) {
    if is_given {
        flags.set(flag, "true");
    }
}

impl SettingArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        self.rows.add_to(&mut flags);
        self.planning.add_to(&mut flags);
        self.sending.add_to(&mut flags);
        self.common.add_to(&mut flags);
        flags
    }
}

impl CheckArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = self.common.flags();
        self.rows.add_to(&mut flags);
        flags
    }
}

impl CommonArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        self.add_to(&mut flags);
        flags
    }
}
