//! What an operator may set about the rules, and the rules as they are in force for a job.
//!
//! Not here: where options come from (`config.rs`, the command line), the rules themselves (`rules.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::choice::choice;
use crate::update::{FieldKind, FieldSet};

use super::clean::trim;
use super::columns;
use super::number::Country;
use super::password;
use super::rules::{RuleId, Severity, suggest};

choice! {
    /// Which column of the rule table is in force before overrides.
    #[derive(Default)]
    pub enum Preset {
        /// What the vendor's own example does, passes.
        Lenient = "lenient",
        /// Nothing but damage rejects a row.
        #[default]
        Default = "default",
        /// Doubtful values reject the row.
        Strict = "strict",
    }
}

choice! {
    /// What digits without `+` mean in `number`. One setting per job, never a guess per row.
    #[derive(Default)]
    pub enum BareNumbers {
        /// They need a default country, whose national numbers they are taken for unless they begin with its calling
        /// code.
        #[default]
        Reject = "reject",
        /// They are E.164 and a spreadsheet ate the `+`.
        E164 = "e164",
    }
}

choice! {
    /// How `number` is sent.
    #[derive(Default)]
    pub enum NumberFormat {
        /// `+` and digits.
        #[default]
        E164 = "e164",
        /// Digits alone.
        Plain = "plain",
    }
}

choice! {
    /// What becomes of IMEIs with 14 digits: the check digit was left off, or a leading zero was lost. A single
    /// row cannot tell which.
    #[derive(Default)]
    pub enum Imei14 {
        /// The row is rejected.
        #[default]
        Reject = "reject",
        /// The check digit is appended.
        Complete = "complete",
        /// A zero is put in front.
        ZeroPad = "zero-pad",
    }
}

choice! {
    /// What becomes of 16 digits in `imei`, which look like an IMEISV.
    #[derive(Default)]
    pub enum Imei16 {
        /// The row is rejected.
        #[default]
        Reject = "reject",
        /// The software version is dropped and the check digit computed.
        Convert = "convert",
    }
}

choice! {
    /// What becomes of an IMEI whose last digit is 0 and no check digit: the spare digit as the network sends it.
    #[derive(Default)]
    pub enum Spare0 {
        /// It is sent as it stands.
        #[default]
        Keep = "keep",
        /// The check digit takes its place.
        Recompute = "recompute",
    }
}

choice! {
    /// How a field is cleared at the API.
    #[derive(Default)]
    pub enum ClearAs {
        /// As an empty string.
        #[default]
        Empty = "empty",
        /// As `null`.
        Null = "null",
    }
}

/// Cells that mean "no value", beside the empty one (field-rules 4.2). `0` counts in digit fields only.
pub const NULL_MARKERS: [&str; 28] = [
    "NULL",
    "null",
    "(null)",
    "\\N",
    "N/A",
    "#N/A",
    "NA",
    "None",
    "nil",
    "-",
    "--",
    "?",
    "unknown",
    "TBD",
    "0",
    // What data frames and scripts write.
    "nan",
    "NaN",
    "NaT",
    "<NA>",
    "undefined",
    // What spreadsheets show, and people type.
    "(blank)",
    "(empty)",
    "(leer)",
    "(Leer)",
    "k.A.",
    "k. A.",
    "n.a.",
    "n/a",
];

/// Everything an operator may set about the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOptions {
    /// The severities before overrides.
    pub preset: Preset,
    /// Overrides in order, the last one wins. A group (`imei`, `x.shift`) stands for all codes under it.
    pub severities: Vec<(String, Severity)>,
    /// Country of national numbers, ISO 3166-1 alpha-2.
    pub default_country: Option<String>,
    /// Meaning of digits without `+` in `number`.
    pub bare_numbers: BareNumbers,
    /// How `number` is sent.
    pub number_format: NumberFormat,
    /// IMEIs of 14 digits.
    pub imei_14: Imei14,
    /// IMEIs of 16 digits.
    pub imei_16: Imei16,
    /// IMEIs with spare digit 0.
    pub imei_spare0: Spare0,
    /// Lowers `password.plaintext` to a warning, unless it is overridden itself.
    pub allow_plaintext_passwords: bool,
    /// Cells taken as absent, instead of [`NULL_MARKERS`]. Digit fields compare them without regard to case.
    pub null_markers: Vec<String>,
    /// Text of a cell that clears its field; `None`: no text does.
    pub clear_token: Option<String>,
    /// How clearing is sent.
    pub clear_as: ClearAs,
    /// Fields that may be cleared.
    pub clearable: FieldSet,
    /// Whether a JSON null clears its field.
    pub null_clears: bool,
    /// Values allowed in `user_class`, after mapping; empty allows all.
    pub class_allowed: Vec<String>,
    /// Values of `user_class` and what is sent for them (an empty one: nothing); applied once, not in chains.
    pub class_map: Vec<(String, String)>,
}

impl Default for RuleOptions {
    fn default() -> RuleOptions {
        RuleOptions {
            preset: Preset::default(),
            severities: Vec::new(),
            default_country: None,
            bare_numbers: BareNumbers::default(),
            number_format: NumberFormat::default(),
            imei_14: Imei14::default(),
            imei_16: Imei16::default(),
            imei_spare0: Spare0::default(),
            allow_plaintext_passwords: false,
            null_markers: NULL_MARKERS.map(str::to_owned).to_vec(),
            clear_token: None,
            clear_as: ClearAs::default(),
            clearable: FieldSet::EMPTY,
            null_clears: false,
            class_allowed: Vec::new(),
            class_map: Vec::new(),
        }
    }
}

/// Options that make no rule set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleSetError {
    /// An override names no rule.
    #[error("no rule has the code `{code}`{}", did_you_mean(.near))]
    UnknownCode {
        /// As the operator wrote it.
        code: String,
        /// Known codes near it.
        near: Vec<String>,
    },
    /// The default country is no region with telephone numbers.
    #[error("`{country}` is no ISO 3166 country code{}", did_you_mean(.near))]
    UnknownCountry {
        /// As the operator wrote it.
        country: String,
        /// Country codes near it.
        near: Vec<String>,
    },
    /// An override would lower a structural rule.
    #[error("`{code}` is always an error and cannot be set to {severity}")]
    Structural {
        /// Code of the rule.
        code: &'static str,
        /// Severity asked for.
        severity: Severity,
    },
    /// An override that would change nothing.
    #[error("`{code}` cannot be set to {severity}: it would change nothing")]
    NoEffect {
        /// Code of the rule.
        code: &'static str,
        /// Severity asked for.
        severity: Severity,
        /// What the operator can do instead.
        remedy: &'static str,
    },
}

impl RuleSetError {
    /// What the operator can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            RuleSetError::UnknownCode { .. } => "`simsync check` names the code of every rule a row breaks",
            RuleSetError::UnknownCountry { .. } => "use the two letters of ISO 3166-1, such as GB or DE",
            RuleSetError::Structural { .. } => "such a row has no certain content; correct the input instead",
            RuleSetError::NoEffect { remedy, .. } => remedy,
        }
    }
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) }
}

fn starts(markers: &[String]) -> [bool; 256] {
    let mut starts = [false; 256];
    for marker in markers {
        starts[usize::from(marker.as_bytes().first().map_or(0, u8::to_ascii_lowercase))] = true;
    }
    starts
}

/// The rules in force for a job. Built once, read by every row.
#[derive(Debug, Clone)]
pub struct RuleSet {
    severities: Vec<Severity>,
    /// Overrides that differ from the preset, for the fingerprint.
    overrides: BTreeMap<&'static str, Severity>,
    options: RuleOptions,
    pub(super) country: Option<Country>,
    class_allowed: BTreeSet<String>,
    class_map: BTreeMap<String, String>,
    null_markers: BTreeSet<String>,
    null_marker_len_max: usize,
    /// For each byte whether a marker begins with it, in either case.
    null_marker_starts: [bool; 256],
}

impl RuleSet {
    /// Resolves the options.
    ///
    /// # Errors
    /// An override of an unknown code or of a structural rule, or an unknown country.
    pub fn new(options: &RuleOptions) -> Result<RuleSet, RuleSetError> {
        let preset = |id: RuleId| match options.preset {
            Preset::Default => id.rule().severity,
            Preset::Lenient => id.rule().lenient,
            Preset::Strict => id.rule().strict,
        };
        let mut severities: Vec<Severity> = RuleId::all().map(preset).collect();
        if options.allow_plaintext_passwords {
            severities[password::PLAINTEXT.index()] = Severity::Warn;
        }
        for (code, severity) in &options.severities {
            let selected = selected(code)?;
            // Of a group, the rules that can take the level do.
            let is_any_able = selected.iter().any(|id| ineffective(*id, *severity).is_none());
            for id in selected {
                if let Some(remedy) = ineffective(id, *severity) {
                    if is_any_able {
                        continue;
                    }
                    return Err(RuleSetError::NoEffect { code: id.rule().code, severity: *severity, remedy });
                }
                if id.rule().structural && *severity != Severity::Error {
                    return Err(RuleSetError::Structural { code: id.rule().code, severity: *severity });
                }
                severities[id.index()] = *severity;
            }
        }
        let overrides = RuleId::all()
            .filter(|id| severities[id.index()] != preset(*id))
            .map(|id| (id.rule().code, severities[id.index()]))
            .collect();
        let country = match &options.default_country {
            Some(country) => Some(Country::parse(country).ok_or_else(|| RuleSetError::UnknownCountry {
                country: country.clone(),
                near: Country::near(country),
            })?),
            None => None,
        };
        // A class is compared after its cell was trimmed, and what is sent must be canonical.
        let trimmed = |class: &String| trim(class).to_owned();
        Ok(RuleSet {
            severities,
            overrides,
            country,
            class_allowed: options.class_allowed.iter().map(trimmed).collect(),
            class_map: options.class_map.iter().map(|(from, to)| (trimmed(from), trimmed(to))).collect(),
            null_markers: options.null_markers.iter().cloned().collect(),
            null_marker_starts: starts(&options.null_markers),
            null_marker_len_max: options.null_markers.iter().map(String::len).max().unwrap_or(0),
            options: options.clone(),
        })
    }

    /// The severity in force.
    pub fn severity(&self, id: RuleId) -> Severity {
        self.severities[id.index()]
    }

    /// Stable text of every option that shapes updates; it becomes part of the batch id. Equal texts shape equal
    /// updates; the order in which an operator wrote lists and overrides does not show.
    pub fn fingerprint(&self) -> String {
        let options = &self.options;
        let mut text = format!(
            "rules 1 preset={} country={} bare={} number={} imei14={} imei16={} spare0={} plaintext={}",
            options.preset.name(),
            self.country.map(Country::code).unwrap_or_default(),
            options.bare_numbers.name(),
            options.number_format.name(),
            options.imei_14.name(),
            options.imei_16.name(),
            options.imei_spare0.name(),
            options.allow_plaintext_passwords,
        );
        // Debug quotes and escapes, so that no list can read like another option.
        let lists = write!(
            text,
            " severities={:?} nulls={:?} classes={:?} class_map={:?} clear={:?} as={} clearable={:?} null_clears={}",
            self.overrides,
            self.null_markers,
            self.class_allowed,
            self.class_map,
            options.clear_token,
            options.clear_as.name(),
            options.clearable.iter().map(FieldKind::name).collect::<Vec<_>>(),
            options.null_clears,
        );
        debug_assert!(lists.is_ok(), "writing to a string does not fail");
        text
    }

    /// Whether a cleaned cell stands for "no value".
    #[inline]
    pub(super) fn is_null_marker(&self, value: &str, in_digit_field: bool) -> bool {
        // Most values are too long, and are told apart without a call.
        value.len() <= self.null_marker_len_max && self.is_short_marker(value, in_digit_field)
    }

    fn is_short_marker(&self, value: &str, in_digit_field: bool) -> bool {
        let first = value.as_bytes().first().map_or(0, u8::to_ascii_lowercase);
        if !self.null_marker_starts[usize::from(first)] {
            return false;
        }
        if in_digit_field {
            self.null_markers.iter().any(|marker| marker.eq_ignore_ascii_case(value))
        } else {
            value != "0" && self.null_markers.contains(value)
        }
    }

    /// What is sent for a class.
    pub(super) fn mapped_class(&self, value: &str) -> Option<&str> {
        self.class_map.get(value).map(String::as_str)
    }

    /// Whether the operator allows a class.
    pub(super) fn allows_class(&self, value: &str) -> bool {
        self.class_allowed.is_empty() || self.class_allowed.contains(value)
    }

    /// Whether the operator named a class in one of the lists.
    pub(super) fn names_class(&self, value: &str) -> bool {
        self.class_map.contains_key(value) || self.class_allowed.contains(value)
    }

    /// The options as given.
    pub(super) fn options(&self) -> &RuleOptions {
        &self.options
    }
}

/// What to do instead of setting a rule to a level that nobody asks for: it is about several rows at once, and which of
/// them is the wrong one nobody knows.
fn ineffective(id: RuleId, severity: Severity) -> Option<&'static str> {
    let code = id.rule().code;
    let is_alarm = columns::is_alarm(id);
    if code.starts_with("conflict.") && severity != Severity::Warn {
        Some("rows in conflict are held or sent by policy: --conflicts hold, or --conflicts send")
    } else if matches!(code, "x.imei_shared" | "x.pair" | "x.old_differs" | "x.old_invalid")
        && severity == Severity::Error
    {
        Some(
            "it is about several rows, each sound by itself: set it to warn or off, and leave rows out with --where",
        )
    } else if is_alarm && matches!(severity, Severity::Error | Severity::Fix) {
        Some("an alarm about a column rejects no row: set it to warn or off; plan.damage_max stops the run")
    } else {
        None
    }
}

/// The rules a code or a group of codes stands for.
fn selected(code: &str) -> Result<Vec<RuleId>, RuleSetError> {
    let in_group = |id: &RuleId| id.rule().code.strip_prefix(code).is_some_and(|rest| rest.starts_with('.'));
    let ids: Vec<RuleId> = match RuleId::of(code) {
        Some(id) => vec![id],
        None => RuleId::all().filter(in_group).collect(),
    };
    if ids.is_empty() {
        let near = suggest(code).into_iter().map(str::to_owned).collect();
        return Err(RuleSetError::UnknownCode { code: code.to_owned(), near });
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::RULES;

    fn with_severity(code: &str, severity: Severity) -> Result<RuleSet, RuleSetError> {
        RuleSet::new(&RuleOptions { severities: vec![(code.to_owned(), severity)], ..RuleOptions::default() })
    }

    #[test]
    fn every_rule_but_the_structural_ones_can_be_overridden() {
        for rule in RULES {
            let id = RuleId::of(rule.code).unwrap();
            for severity in Severity::ALL {
                match with_severity(rule.code, severity) {
                    Ok(rules) => {
                        assert_eq!(rules.severity(id), severity, "{}", rule.code);
                        assert!(!rule.structural || severity == Severity::Error, "{}", rule.code);
                    }
                    Err(RuleSetError::NoEffect { code, severity: refused, .. }) => {
                        assert_eq!((code, refused), (rule.code, severity));
                        assert_ne!(severity, rule.severity, "{code}");
                    }
                    Err(error) => {
                        assert_eq!(error, RuleSetError::Structural { code: rule.code, severity });
                        assert!(rule.structural && severity != Severity::Error);
                        assert!(error.to_string().contains(rule.code));
                    }
                }
            }
        }
    }

    #[test]
    fn a_group_overrides_all_of_its_codes_and_a_later_override_wins() {
        let severities = vec![("imei".to_owned(), Severity::Error), ("imei.luhn".to_owned(), Severity::Off)];
        let rules = RuleSet::new(&RuleOptions { severities, ..RuleOptions::default() }).unwrap();
        assert_eq!(rules.severity(RuleId::known("imei.test")), Severity::Error);
        assert_eq!(rules.severity(RuleId::known("imei.luhn")), Severity::Off);
        assert_eq!(rules.severity(RuleId::known("imsi.test")), Severity::Warn);
        assert!(matches!(with_severity("csv", Severity::Warn), Err(RuleSetError::Structural { .. })));
    }

    #[test]
    fn a_level_without_effect_is_refused_and_what_decides_is_named() {
        for (code, severity, says) in [
            ("conflict", Severity::Off, "--conflicts"),
            ("conflict.imsi", Severity::Error, "--conflicts"),
            ("x.imei_shared", Severity::Error, "--where"),
            ("x.pair", Severity::Error, "--where"),
            ("column.blank", Severity::Error, "plan.damage_max"),
        ] {
            let error = with_severity(code, severity).unwrap_err();
            assert!(error.remedy().contains(says), "{code}: {error}: {}", error.remedy());
        }
        for (code, severity) in
            [("conflict.number", Severity::Warn), ("x.pair", Severity::Off), ("column.blank", Severity::Off)]
        {
            assert!(with_severity(code, severity).is_ok(), "{code}");
        }
        // Of a group, the rules that can take the level do.
        let rules = with_severity("x", Severity::Error).unwrap();
        assert_eq!(rules.severity(RuleId::known("x.pair")), Severity::Warn);
        assert!(
            RuleId::all().any(|id| id.rule().code.starts_with("x.") && rules.severity(id) == Severity::Error)
        );
    }

    #[test]
    fn mistyped_options_name_what_was_meant() {
        let error = with_severity("imei.lunh", Severity::Off).unwrap_err();
        assert!(error.to_string().contains("imei.luhn"), "{error}");
        let options = RuleOptions { default_country: Some("UK".to_owned()), ..RuleOptions::default() };
        let error = RuleSet::new(&options).unwrap_err();
        assert!(error.to_string().contains("GB"), "{error}");
    }

    #[test]
    fn presets_choose_their_column_of_the_table() {
        for (preset, severity) in [
            (Preset::Lenient, Severity::Warn),
            (Preset::Default, Severity::Error),
            (Preset::Strict, Severity::Error),
        ] {
            let rules = RuleSet::new(&RuleOptions { preset, ..RuleOptions::default() }).unwrap();
            assert_eq!(rules.severity(RuleId::known("password.truncated")), severity);
        }
    }

    #[test]
    fn plaintext_passwords_are_a_warning_once_allowed_unless_overridden() {
        let mut options = RuleOptions { allow_plaintext_passwords: true, ..RuleOptions::default() };
        assert_eq!(RuleSet::new(&options).unwrap().severity(password::PLAINTEXT), Severity::Warn);
        options.severities.push(("password.plaintext".to_owned(), Severity::Error));
        assert_eq!(RuleSet::new(&options).unwrap().severity(password::PLAINTEXT), Severity::Error);
    }

    #[test]
    fn the_fingerprint_shows_every_option_that_shapes_updates_and_no_order() {
        let base = RuleOptions::default();
        let print = |options: &RuleOptions| RuleSet::new(options).unwrap().fingerprint();
        let changed = [
            RuleOptions { preset: Preset::Strict, ..base.clone() },
            RuleOptions { severities: vec![("imei.luhn".to_owned(), Severity::Error)], ..base.clone() },
            RuleOptions { default_country: Some("GB".to_owned()), ..base.clone() },
            RuleOptions { bare_numbers: BareNumbers::E164, ..base.clone() },
            RuleOptions { number_format: NumberFormat::Plain, ..base.clone() },
            RuleOptions { imei_14: Imei14::Complete, ..base.clone() },
            RuleOptions { imei_16: Imei16::Convert, ..base.clone() },
            RuleOptions { imei_spare0: Spare0::Recompute, ..base.clone() },
            RuleOptions { allow_plaintext_passwords: true, ..base.clone() },
            RuleOptions { null_markers: vec!["-".to_owned()], ..base.clone() },
            RuleOptions { class_allowed: vec!["gold".to_owned()], ..base.clone() },
            RuleOptions { class_map: vec![("1".to_owned(), "gold".to_owned())], ..base.clone() },
            RuleOptions { clear_token: Some("#CLEAR#".to_owned()), ..base.clone() },
            RuleOptions { clear_as: ClearAs::Null, ..base.clone() },
            RuleOptions { clearable: FieldSet::only(FieldKind::Imsi), ..base.clone() },
            RuleOptions { null_clears: true, ..base.clone() },
        ];
        // A new option shows here as soon as it exists: every member is named, and none may be forgotten above.
        let RuleOptions {
            preset: _,
            severities: _,
            default_country: _,
            bare_numbers: _,
            number_format: _,
            imei_14: _,
            imei_16: _,
            imei_spare0: _,
            allow_plaintext_passwords: _,
            null_markers: _,
            class_allowed: _,
            class_map: _,
            clear_token: _,
            clear_as: _,
            clearable: _,
            null_clears: _,
        } = &base;
        let prints: BTreeSet<String> = changed.iter().chain([&base]).map(&print).collect();
        assert_eq!(prints.len(), changed.len() + 1);

        let mut reordered = base.clone();
        reordered.null_markers.reverse();
        // Saying what the preset says anyway changes nothing.
        reordered.severities.push(("imei.luhn".to_owned(), Severity::Warn));
        assert_eq!(print(&reordered), print(&base));
        // The same country, written differently.
        let lower = RuleOptions { default_country: Some("gb".to_owned()), ..base };
        assert_eq!(print(&lower), print(&changed[2]));
    }
}
