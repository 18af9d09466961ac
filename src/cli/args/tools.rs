//! The options of `lookup` and of the journal's tools.
//!
//! Not here: those of every other command, and how a flag becomes a setting (`args.rs`).

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::{CommonArgs, InputArgs, PlanningArgs, RowArgs, add, add_switch, one_of};
use crate::fields::{BareNumbers, Preset};
use crate::settings::Flags;
use crate::update::FieldKind;

/// Values of a subject's fields, one flag each. There is none for a password: a flag's value is seen by everybody on
/// the machine.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which subject")]
pub struct FieldArgs {
    /// MSISDN
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub number: Option<String>,
    /// Identifier from the operating system or app store
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub generic_id: Option<String>,
    /// IMEI
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub imei: Option<String>,
    /// IMSI
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub imsi: Option<String>,
    /// ICCID
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub iccid: Option<String>,
    /// Login name
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub username: Option<String>,
    /// The CRM's identifier of the user
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub user_external_id: Option<String>,
    /// Class of service
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub user_class: Option<String>,
}

impl FieldArgs {
    /// What was given for a field.
    pub fn get(&self, field: FieldKind) -> Option<&str> {
        match field {
            FieldKind::Number => self.number.as_deref(),
            FieldKind::GenericId => self.generic_id.as_deref(),
            FieldKind::Imei => self.imei.as_deref(),
            FieldKind::Imsi => self.imsi.as_deref(),
            FieldKind::Iccid => self.iccid.as_deref(),
            FieldKind::Username => self.username.as_deref(),
            FieldKind::Password => None,
            FieldKind::UserExternalId => self.user_external_id.as_deref(),
            FieldKind::UserClass => self.user_class.as_deref(),
        }
    }
}

/// Options about how a value is read.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Reading values")]
pub struct ValueArgs {
    /// Country of numbers written without one, such as GB
    #[arg(long, value_name = "CC")]
    pub default_country: Option<String>,
    /// What digits without + and without a zero in front are
    #[arg(long, value_name = "HOW", value_parser = one_of(BareNumbers::NAMES))]
    pub bare_numbers: Option<String>,
    /// Severity of a rule: off, fix, warn or error; may be repeated
    #[arg(long, value_name = "CODE=LEVEL")]
    pub severity: Vec<String>,
    /// Severities the rules start from
    #[arg(long, value_name = "PRESET", value_parser = one_of(Preset::NAMES))]
    pub preset: Option<String>,
}

impl ValueArgs {
    fn add_to(&self, flags: &mut Flags) {
        let ValueArgs { default_country, bare_numbers, severity, preset } = self;
        add(flags, "default-country", default_country.as_ref());
        add(flags, "bare-numbers", bare_numbers.as_ref());
        add(flags, "severity", severity);
        add(flags, "preset", preset.as_ref());
    }
}

/// Options that name the target.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Which target")]
pub struct TargetArgs {
    /// The whole endpoint, with its trailing slash
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// The sandbox of rehearsals instead of the API
    #[arg(long, conflicts_with = "api_url")]
    pub sandbox: bool,
}

impl TargetArgs {
    fn add_to(&self, flags: &mut Flags) {
        add(flags, "api-url", self.api_url.as_ref());
        add_switch(flags, "sandbox", self.sandbox);
    }
}

/// `lookup`.
#[derive(Debug, Clone, Default, Args)]
pub struct LookupArgs {
    /// Values of the subject.
    #[command(flatten)]
    pub fields: FieldArgs,
    /// The key field [default: the target's]
    #[arg(long, value_name = "FIELD", value_parser = one_of(FieldKind::NAMES))]
    pub key: Option<String>,
    /// About the values.
    #[command(flatten)]
    pub values: ValueArgs,
    /// About the target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl LookupArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = self.common.flags();
        add(&mut flags, "key", self.key.as_ref());
        self.values.add_to(&mut flags);
        self.target.add_to(&mut flags);
        flags
    }
}

/// `journal stats`, `verify` and `compact`.
#[derive(Debug, Clone, Default, Args)]
pub struct ToolArgs {
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `journal forget`.
#[derive(Debug, Clone, Default, Args)]
pub struct ForgetArgs {
    /// The key field's value of the subject.
    #[command(flatten)]
    pub fields: FieldArgs,
    /// Remove the runs that began before a date or moment instead: 2026-01-31, or RFC 3339
    #[arg(long, value_name = "DATE", value_parser = NonEmptyStringValueParser::new())]
    pub before: Option<String>,
    /// With --before: remove them; without it they are only counted
    #[arg(long, requires = "before")]
    pub yes: bool,
    /// With a subject: also remove rows of which nobody can tell whose they are, for their key cell cannot be read
    #[arg(long, conflicts_with = "before")]
    pub drop_unreadable: bool,
    /// About the values.
    #[command(flatten)]
    pub values: ValueArgs,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl ForgetArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = self.common.flags();
        self.values.add_to(&mut flags);
        flags
    }
}

/// `journal adopt`.
#[derive(Debug, Clone, Default, Args)]
pub struct AdoptArgs {
    /// The inputs.
    #[command(flatten)]
    pub input: InputArgs,
    /// About reading rows.
    #[command(flatten)]
    pub rows: RowArgs,
    /// About what would be sent.
    #[command(flatten)]
    pub planning: PlanningArgs,
    /// About the target.
    #[command(flatten)]
    pub target: TargetArgs,
    /// About the run.
    #[command(flatten)]
    pub common: CommonArgs,
}

impl AdoptArgs {
    /// The options given, for [`crate::settings::resolve`].
    pub fn flags(&self) -> Flags {
        let mut flags = self.common.flags();
        self.rows.add_to(&mut flags);
        self.planning.add_to(&mut flags);
        self.target.add_to(&mut flags);
        flags
    }
}
