//! Settings: as typed ─▶ as meant. One final, validated, bounded [`Settings`], made by [`resolve`] from flags,
//! environment, configuration file and defaults, in this precedence; each value remembers its origin.
//!
//! One table, [`SETTINGS`], drives it: a setting is named there once, and the file's keys, the variables, the
//! suggestions, `config show` and `config.example.toml` are read from it. To add a setting: a line in `entries.rs`, a
//! field here and its line in `build.rs` (and a flag in `cli/args.rs`, if it has one); the tests say what is missing.
//!
//! Not here: the command line (`cli/`), the file's syntax (`config.rs`), and what the settings do. Settings never
//! hold the token, only the [`TokenChoice`] of where it is read from.

mod build;
mod entries;
mod error;
mod resolve;
mod show;
mod surroundings;
mod table;
mod units;
mod value;
mod windows;

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;

use crate::api::{Envelope, HttpVersion, Verify};
use crate::fields::RuleOptions;
use crate::input::{Format, TrailerCounts, UnsafeIntegers};
use crate::plan::{ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, SendMode};
use crate::report::ColorChoice;
use crate::update::FieldKind;

pub use entries::SETTINGS;
pub use error::ConfigError;
pub use resolve::resolve;
pub use show::{checked, example, show};
pub use surroundings::Surroundings;
pub use table::{ENV_CONFIG, ENV_PREFIX, ENV_TOKEN, NONE, Setting, by_flag, by_key};
pub use units::{ErrorBudget, Per, Rate, Share, duration_text};
pub use value::{Kind, Pairs};
pub use windows::{RateWindow, WindowRate};

/// Flags as typed: the long names of the table and their texts.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    given: Vec<(&'static str, String)>,
    config: Option<PathBuf>,
}

impl Flags {
    /// Names the configuration file.
    pub fn set_config(&mut self, path: PathBuf) {
        self.config = Some(path);
    }

    /// Sets a flag by its long name, which must be in the table; tables of names and texts may be set many times.
    pub fn set(&mut self, flag: &'static str, text: impl Into<String>) {
        assert!(by_flag(flag).is_some(), "--{flag} is in the table of settings");
        self.given.push((flag, text.into()));
    }

    /// The same without these, by their long names.
    #[must_use]
    pub fn without(&self, flags: &[&str]) -> Flags {
        let given = self.given.iter().filter(|(flag, _)| !flags.contains(flag)).cloned().collect();
        Flags { given, config: self.config.clone() }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, by its long name.
    Flag(&'static str),
    /// A variable, by its name.
    Variable(String),
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(flag) => write!(f, "--{flag}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// The settings, and how they came about.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// What the operator should read once: variables that mean nothing, a token source passed over.
    pub warnings: Vec<String>,
    /// The configuration file that was read, if any.
    pub config_file: Option<PathBuf>,
    values: resolve::Values,
}

impl Resolved {
    /// Where a setting's value came from; `None` for a key that is no single setting.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let setting = by_key(key).filter(|setting| !setting.is_pairs())?;
        Some(&self.values.get(setting.key).1)
    }
}

/// Every setting, final: defaults filled in, bounds held, units in the names.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of the journal and the runs.
    pub state: PathBuf,
    /// The API.
    pub api: ApiSettings,
    /// The inputs.
    pub input: InputSettings,
    /// `[rules]` and the default country. Null markers nobody set are the built-in ones; codes and country are not
    /// checked here.
    pub rules: RuleOptions,
    /// The plan.
    pub plan: PlanSettings,
    /// Delivery.
    pub delivery: DeliverySettings,
    /// The journal.
    pub journal: JournalSettings,
    /// The reports.
    pub report: ReportSettings,
    /// This run alone.
    pub run: RunSettings,
}

/// Where the token is read from.
#[derive(Clone)]
pub enum TokenChoice {
    /// A file.
    File(PathBuf),
    /// What a command prints, run by `sh -c`.
    Command(String),
    /// systemd's credential: `$CREDENTIALS_DIRECTORY/token`.
    Credential(PathBuf),
    /// The variable `SIMSYNC_TOKEN`, with its value.
    Variable(SecretString),
    /// Nobody said.
    None,
}

impl TokenChoice {
    /// In words, without the token and without a command's arguments, which may carry another credential.
    pub fn describe(&self) -> String {
        match self {
            TokenChoice::File(path) => format!("file {}", path.display()),
            TokenChoice::Command(command) => format!("command {}", show::masked_command(command)),
            TokenChoice::Credential(path) => format!("credential {}", path.display()),
            TokenChoice::Variable(_) => format!("variable {ENV_TOKEN}"),
            TokenChoice::None => "nowhere".to_owned(),
        }
    }
}

impl fmt::Debug for TokenChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// `[api]`
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// The whole endpoint. [`Settings::url`] asks for it where there must be one.
    pub url: Option<String>,
    /// Name of the target, instead of the address.
    pub target: Option<String>,
    /// Shape of the request's body.
    pub envelope: Envelope,
    /// Where the token is read from.
    pub token: TokenChoice,
    /// Longest time for one attempt.
    pub timeout_ms: u64,
    /// Longest time for connecting; not more than `timeout_ms`.
    pub connect_timeout_ms: u64,
    /// Longest silence within one attempt; not more than `timeout_ms`.
    pub read_timeout_ms: u64,
    /// Whether the token may go out in clear beyond loopback.
    pub allow_plain_http: bool,
    /// What makes an answer an acknowledgment.
    pub verify: Verify,
    /// HTTP version.
    pub http: HttpVersion,
    /// Age at which connections are opened anew.
    pub connection_age_max_ms: u64,
    /// Proxy: a URL, or `env`; `None` for none.
    pub proxy: Option<String>,
    /// PEM file of the authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// PEM file of a client certificate and its key.
    pub client_certificate: Option<PathBuf>,
}

/// `[input]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSettings {
    /// Format of the inputs.
    pub format: Format,
    /// The key field, where given.
    pub key: Option<FieldKind>,
    /// Whether an input without rows is an error.
    pub require_rows: bool,
    /// Columns by name, in wire order of their fields.
    pub columns: Vec<(FieldKind, String)>,
    /// Columns with what a field was before, by name.
    pub old_columns: Vec<(FieldKind, String)>,
    /// Encoding, by a label, where given.
    pub encoding: Option<String>,
    /// What separates CSV cells, where given.
    pub delimiter: Option<u8>,
    /// Lines before the header of a CSV input.
    pub skip_rows: u64,
    /// Whether CSV inputs have no header.
    pub no_header: bool,
    /// Names of the columns of CSV inputs without a header.
    pub column_names: Vec<String>,
    /// Whether a CSV row may lack its last cells.
    pub flexible: bool,
    /// What counts in trailers are for.
    pub trailer_counts: TrailerCounts,
    /// JSON integers that may have been rounded.
    pub unsafe_integers: UnsafeIntegers,
    /// Conditions on columns, as written.
    pub conditions: Vec<String>,
    /// Column that orders a subject's rows, where given.
    pub order_by: Option<String>,
    /// Longest row.
    pub row_bytes_max: usize,
    /// Most lines of a CSV row.
    pub row_lines_max: u64,
    /// Longest cell; not more than `row_bytes_max`.
    pub field_bytes_max: usize,
    /// Most columns.
    pub columns_max: usize,
    /// Deepest nesting of a JSON row.
    pub json_depth_max: usize,
    /// Most bytes of text that a byte of a compressed input may stand for.
    pub expansion_max: u64,
}

/// `[plan]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanSettings {
    /// Several rows for one subject.
    pub duplicates: DuplicatePolicy,
    /// Rows that claim what another subject claims.
    pub conflicts: ConflictPolicy,
    /// True swaps.
    pub break_cycles: CyclePolicy,
    /// Updates that may have been applied.
    pub in_doubt: InDoubtPolicy,
    /// Age after which an acknowledgment is refreshed.
    pub resend_after_ms: Option<u64>,
    /// Share of rejected rows above which nothing is sent.
    pub rejected_max: Share,
    /// Rejected rows below which that share is not judged.
    pub rejected_rows_min: u64,
    /// Share of rows that clear a field above which nothing is sent.
    pub clears_max: Share,
    /// Share of a column's values with spreadsheet damage above which nothing is sent.
    pub damage_max: Share,
    /// Rows with clears or damage below which those shares are not judged.
    pub alarm_rows_min: u64,
    /// Share of known subjects that would change, above which nothing is sent.
    pub changed_max: Share,
    /// Changing subjects below which that share is not judged.
    pub changed_subjects_min: u64,
    /// How much fewer rows than usual an export may have.
    pub rows_drop_max: Share,
    /// How much fewer of its rows than usual a column may fill.
    pub blank_max: Share,
    /// Usual rows below which neither is judged.
    pub usual_rows_min: u64,
    /// Subjects that may share one value of an identifier.
    pub repeated_max: u64,
    /// Share of the rows that may have one key value before the plan's gate stops the run.
    pub key_repeated_max: Share,
    /// Rows with one key value below which it is no placeholder.
    pub key_repeated_rows_min: u64,
    /// Rows of one subject that are ruled on in memory.
    pub subject_rows_max: u64,
    /// Pairs of rows of which one takes what the other gives up, that are put in order.
    pub chain_rows_max: usize,
    /// Fields sent of an update.
    pub send: SendMode,
    /// Changes that a plan shows.
    pub samples: usize,
    /// Memory for the rows of a survey.
    pub memory_max_bytes: usize,
    /// Threads that check and plan rows; `None` chooses by the machine.
    pub threads: Option<usize>,
}

/// `[delivery]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliverySettings {
    /// Attempts per unit of time.
    pub rate: Rate,
    /// Rates by time of day, beside `rate`; no two at once.
    pub windows: Vec<RateWindow>,
    /// Machines that share the rate.
    pub fleet: u32,
    /// Attempts that may begin at once.
    pub burst: u32,
    /// Attempts on the wire at once, at most.
    pub max_in_flight: usize,
    /// Attempts on the wire at once, fixed, whatever `max_in_flight` says; `None` adapts.
    pub concurrency: Option<usize>,
    /// Length of the run after which it stops; `None` for none.
    pub max_duration_ms: Option<u64>,
    /// Time of day at which the run stops: as written, hour, minute.
    pub until: Option<(String, i8, i8)>,
    /// IANA name of the time zone of times of day; `None` for that of this machine.
    pub time_zone: Option<String>,
    /// Updates sent by one run, at most.
    pub max_rows: Option<u64>,
    /// Updates that wait for a later pass and are kept in memory with what they send, at most; a pass over more of
    /// them reads the inputs again.
    pub deferred_held_max: usize,
    /// Attempts for one update.
    pub attempts_max: u32,
    /// Time since an update's first failure after which it is given up at the next; `None` for never.
    pub retry_elapsed_max_ms: Option<u64>,
    /// Longest wait before the first retry; not more than `backoff_max_ms`.
    pub backoff_initial_ms: u64,
    /// Longest wait before any retry.
    pub backoff_max_ms: u64,
    /// Longest `Retry-After` that is obeyed in full.
    pub retry_after_max_ms: u64,
    /// Longest outage that is waited out.
    pub outage_max_ms: u64,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// Subjects those failures must be spread over.
    pub breaker_subjects: u32,
    /// Subjects in a row refused with one complaint, none acknowledged between them, that stop the run; 0 for never.
    pub refusals_in_a_row_max: u32,
    /// Failed updates above which the run stops; `None` for never.
    pub max_errors: Option<ErrorBudget>,
    /// Updates failed with one complaint above which the run stops; `None` for never.
    pub max_errors_per_signature: Option<ErrorBudget>,
    /// Longest time for attempts on the wire after a signal.
    pub shutdown_grace_ms: u64,
    /// Sending threads; `None` chooses by the machine.
    pub senders: Option<usize>,
}

/// `[journal]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalSettings {
    /// Most outcomes in one commit.
    pub commit_rows_max: usize,
    /// Longest wait for a commit to fill.
    pub commit_delay_max_ms: u64,
    /// Size of the log at which it is folded in the middle of a run.
    pub log_bytes_max: u64,
}

/// `[report]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportSettings {
    /// Time between status lines off a terminal; 0 for none.
    pub status_every_ms: u64,
    /// Colors.
    pub color: ColorChoice,
}

/// What belongs to one run and has no place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunSettings {
    /// `--full`
    pub full: bool,
    /// `--retry-failed`
    pub retry_failed: bool,
    /// `--new-batch`
    pub new_batch: bool,
    /// `journal adopt`: record what the plan would send, and send nothing.
    pub adopt: bool,
    /// `--sandbox`
    pub sandbox: bool,
    /// `--yes`
    pub yes: bool,
    /// `--json`
    pub json: bool,
    /// `--quiet`
    pub quiet: bool,
    /// `--verbose`, how often: 0 to 2.
    pub verbose: u8,
    /// The one row to look at, by its ordinal; all others are filtered. Nobody can set it: the doctor's probe does.
    pub only_row: Option<u64>,
}

/// The defaults, as if nobody had set anything anywhere.
impl Default for Settings {
    fn default() -> Settings {
        build::settings(&resolve::Values::defaults(), TokenChoice::None)
    }
}

impl Settings {
    /// The address of the API, for commands that send.
    ///
    /// # Errors
    /// [`ConfigError::NoUrl`] when none is set.
    pub fn url(&self) -> Result<&str, ConfigError> {
        self.api.url.as_deref().ok_or(ConfigError::NoUrl)
    }

    /// Refuses settings that do not go together.
    fn check(&self, values: &resolve::Values) -> Result<(), ConfigError> {
        let (api, input, delivery) = (&self.api, &self.input, &self.delivery);
        let are_right = [
            api.connect_timeout_ms <= api.timeout_ms,
            api.read_timeout_ms <= api.timeout_ms,
            input.field_bytes_max <= input.row_bytes_max,
            delivery.backoff_initial_ms <= delivery.backoff_max_ms,
        ];
        for ((first, second), is_right) in resolve::BOUNDED.into_iter().zip(are_right) {
            if !is_right {
                let origin = |key: &str| values.get(key).1.clone();
                let (first_origin, second_origin) = (origin(first), origin(second));
                return Err(ConfigError::Relation { first, first_origin, second, second_origin });
            }
        }
        let (header, names) = ("input.no_header", "input.column_names");
        let alone = |present: &'static str, absent| {
            Err(ConfigError::Alone { present, origin: values.get(present).1.clone(), absent })
        };
        match (input.no_header, input.column_names.is_empty()) {
            (true, true) => alone(header, names),
            (false, false) => alone(names, header),
            (true, false) | (false, true) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
