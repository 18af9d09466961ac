//! From the table's values to the final types: one line for each setting.
//!
//! The table bounds every value, so nothing can fail here; that each key is of the kind its line expects is held by
//! every test that makes settings, since defaults pass through the same lines.

use std::path::PathBuf;

use crate::api::{Envelope, HttpVersion, Verify};
use crate::fields::{
    BareNumbers, ClearAs, Imei14, Imei16, NumberFormat, Preset, RuleOptions, Severity, Spare0,
};
use crate::input::{Format, TrailerCounts, UnsafeIntegers};
use crate::plan::{ConflictPolicy, CyclePolicy, DuplicatePolicy, InDoubtPolicy, SendMode};
use crate::report::ColorChoice;
use crate::settings::resolve::Values;
use crate::settings::units::{self, ErrorBudget, Rate, Share};
use crate::settings::value::Value;
use crate::settings::windows::RateWindow;
use crate::settings::{
    ApiSettings, DeliverySettings, InputSettings, JournalSettings, PlanSettings, ReportSettings, RunSettings,
    Settings, TokenChoice,
};
use crate::update::{FieldKind, FieldSet};

/// The final settings.
pub(crate) fn settings(values: &Values, token: TokenChoice) -> Settings {
    let v = Reader { values };
    Settings {
        state: PathBuf::from(v.text("state").expect("the table has a default for it")),
        api: ApiSettings {
            url: v.text("api.url"),
            target: v.text("api.target"),
            envelope: v.choice("api.envelope", Envelope::from_name),
            token,
            timeout_ms: v.number("api.timeout"),
            connect_timeout_ms: v.number("api.connect_timeout"),
            read_timeout_ms: v.number("api.read_timeout"),
            allow_plain_http: v.is_on("api.allow_plain_http"),
            verify: v.choice("api.verify", Verify::from_name),
            http: v.choice("api.http", HttpVersion::from_name),
            connection_age_max_ms: v.number("api.connection_age_max"),
            proxy: v.text("api.proxy"),
            ca_file: v.text("api.ca_file").map(PathBuf::from),
            client_certificate: v.text("api.client_certificate").map(PathBuf::from),
        },
        input: v.input(),
        rules: v.rules(),
        plan: v.plan(),
        delivery: v.delivery(),
        journal: JournalSettings {
            commit_rows_max: v.number("journal.commit_rows_max"),
            commit_delay_max_ms: v.number("journal.commit_delay_max"),
            log_bytes_max: v.number("journal.log_max"),
        },
        report: ReportSettings {
            status_every_ms: v.number("report.status_every"),
            color: v.choice("report.color", ColorChoice::from_name),
        },
        run: RunSettings {
            full: v.is_on("run.full"),
            retry_failed: v.is_on("run.retry_failed"),
            new_batch: v.is_on("run.new_batch"),
            // A command of its own, which says so after the settings are made.
            adopt: false,
            sandbox: v.is_on("run.sandbox"),
            yes: v.is_on("run.yes"),
            json: v.is_on("run.json"),
            quiet: v.is_on("run.quiet"),
            verbose: v.number("run.verbose"),
            only_row: None,
        },
    }
}

/// Takes values out of the table in the type that a line asks for.
struct Reader<'a> {
    values: &'a Values,
}

impl Reader<'_> {
    fn input(&self) -> InputSettings {
        let columns = |key: &'static str| {
            let columns = FieldKind::ALL.into_iter().filter_map(move |kind| {
                let mut pairs = self.values.pairs(key);
                let named = pairs.find(|(name, _, _)| *name == kind.name());
                named.map(|(_, column, _)| (kind, column.to_owned()))
            });
            columns.collect()
        };
        InputSettings {
            format: self.choice("input.format", Format::from_name),
            key: self.field("input.key"),
            require_rows: self.is_on("input.require_rows"),
            columns: columns("columns"),
            old_columns: columns("old_columns"),
            encoding: self.text("input.encoding"),
            delimiter: self
                .text("input.delimiter")
                .map(|text| units::delimiter(&text).expect("the table takes no other delimiters")),
            skip_rows: self.number("input.skip_rows"),
            no_header: self.is_on("input.no_header"),
            column_names: self.list("input.column_names").unwrap_or_default(),
            flexible: self.is_on("input.flexible"),
            trailer_counts: self.choice("input.trailer_counts", TrailerCounts::from_name),
            unsafe_integers: self.choice("input.unsafe_integers", UnsafeIntegers::from_name),
            conditions: self.list("input.where").unwrap_or_default(),
            order_by: self.text("input.order_by"),
            row_bytes_max: self.number("input.row_bytes_max"),
            row_lines_max: self.number("input.row_lines_max"),
            field_bytes_max: self.number("input.field_bytes_max"),
            columns_max: self.number("input.columns_max"),
            json_depth_max: self.number("input.json_depth_max"),
            expansion_max: self.number("input.expansion_max"),
        }
    }

    fn rules(&self) -> RuleOptions {
        let pairs = |key| self.values.pairs(key).map(|(name, text, _)| (name.to_owned(), text.to_owned()));
        let severity = |(code, name): (String, String)| {
            (code, Severity::from_name(&name).expect("the table takes no other severities"))
        };
        RuleOptions {
            preset: self.choice("rules.preset", Preset::from_name),
            bare_numbers: self.choice("rules.bare_numbers", BareNumbers::from_name),
            number_format: self.choice("rules.number_format", NumberFormat::from_name),
            imei_14: self.choice("rules.imei_14", Imei14::from_name),
            imei_16: self.choice("rules.imei_16", Imei16::from_name),
            imei_spare0: self.choice("rules.imei_spare0", Spare0::from_name),
            allow_plaintext_passwords: self.is_on("rules.allow_plaintext_passwords"),
            default_country: self.text("input.default_country"),
            null_markers: self.list("rules.null_markers").unwrap_or(RuleOptions::default().null_markers),
            class_allowed: self.list("rules.class_allowed").unwrap_or_default(),
            class_map: pairs("rules.class_map").collect(),
            clear_token: self.text("rules.clear_token"),
            clear_as: self.choice("rules.clear_as", ClearAs::from_name),
            clearable: self.fields("rules.clearable"),
            null_clears: self.is_on("rules.null_clears"),
            severities: pairs("rules.severity").map(severity).collect(),
        }
    }

    fn plan(&self) -> PlanSettings {
        PlanSettings {
            duplicates: self.choice("plan.duplicates", DuplicatePolicy::from_name),
            conflicts: self.choice("plan.conflicts", ConflictPolicy::from_name),
            break_cycles: self.choice("plan.break_cycles", CyclePolicy::from_name),
            in_doubt: self.choice("plan.in_doubt", InDoubtPolicy::from_name),
            resend_after_ms: self.number_if_set("plan.resend_after"),
            rejected_max: self.share("plan.rejected_max"),
            rejected_rows_min: self.number("plan.rejected_rows_min"),
            clears_max: self.share("plan.clears_max"),
            damage_max: self.share("plan.damage_max"),
            alarm_rows_min: self.number("plan.alarm_rows_min"),
            changed_max: self.share("plan.changed_max"),
            changed_subjects_min: self.number("plan.changed_subjects_min"),
            rows_drop_max: self.share("plan.rows_drop_max"),
            blank_max: self.share("plan.blank_max"),
            usual_rows_min: self.number("plan.usual_rows_min"),
            repeated_max: self.number("plan.repeated_max"),
            key_repeated_max: self.share("plan.key_repeated_max"),
            key_repeated_rows_min: self.number("plan.key_repeated_rows_min"),
            subject_rows_max: self.number("plan.subject_rows_max"),
            chain_rows_max: self.number("plan.chain_rows_max"),
            send: self.choice("plan.send", SendMode::from_name),
            samples: self.number("plan.samples"),
            memory_max_bytes: self.number("plan.memory_max"),
            threads: Some(self.number("plan.threads")).filter(|threads: &usize| *threads != 0),
        }
    }

    fn delivery(&self) -> DeliverySettings {
        DeliverySettings {
            rate: self.rate("delivery.rate"),
            windows: self.windows("delivery.window"),
            fleet: self.number("delivery.fleet"),
            burst: self.number("delivery.burst"),
            max_in_flight: self.number("delivery.max_in_flight"),
            concurrency: self.number_if_set("delivery.concurrency"),
            max_duration_ms: self.number_if_set("delivery.max_duration"),
            until: self.text("delivery.until").map(|text| {
                let (hour, minute) = units::time_of_day(&text).expect("the table takes no other times");
                (text, hour, minute)
            }),
            time_zone: self.text("delivery.time_zone"),
            max_rows: self.number_if_set("delivery.max_rows"),
            deferred_held_max: self.number("delivery.deferred_held_max"),
            attempts_max: self.number("delivery.attempts_max"),
            retry_elapsed_max_ms: self.number_if_set("delivery.retry_elapsed_max"),
            backoff_initial_ms: self.number("delivery.backoff_initial"),
            backoff_max_ms: self.number("delivery.backoff_max"),
            retry_after_max_ms: self.number("delivery.retry_after_max"),
            outage_max_ms: self.number("delivery.outage_max"),
            breaker_failures: self.number("delivery.breaker_failures"),
            breaker_subjects: self.number("delivery.breaker_subjects"),
            refusals_in_a_row_max: self.number("delivery.refusals_in_a_row_max"),
            max_errors: self.budget("delivery.max_errors"),
            max_errors_per_signature: self.budget("delivery.max_errors_per_signature"),
            shutdown_grace_ms: self.number("delivery.shutdown_grace"),
            senders: Some(self.number("delivery.senders")).filter(|senders: &usize| *senders != 0),
        }
    }

    fn windows(&self, key: &str) -> Vec<RateWindow> {
        let read = |text: &String| RateWindow::parse(text).expect("the table takes no other windows");
        self.list(key).unwrap_or_default().iter().map(read).collect()
    }

    fn value(&self, key: &str) -> &Value {
        &self.values.get(key).0
    }

    fn text(&self, key: &str) -> Option<String> {
        let Value::Text(text) = self.value(key) else { return self.unset(key) };
        Some(text.clone())
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        let Value::List(items) = self.value(key) else { return self.unset(key) };
        Some(items.clone())
    }

    fn field(&self, key: &str) -> Option<FieldKind> {
        let Value::Field(kind) = self.value(key) else { return self.unset(key) };
        Some(*kind)
    }

    fn fields(&self, key: &str) -> FieldSet {
        let names = self.list(key).unwrap_or_default();
        let kind = |name: &String| FieldKind::from_name(name).expect("the table takes no other fields");
        names.iter().map(kind).collect()
    }

    fn budget(&self, key: &str) -> Option<ErrorBudget> {
        let Value::Budget(budget) = self.value(key) else { return self.unset(key) };
        Some(*budget)
    }

    fn number_if_set<N: TryFrom<u64>>(&self, key: &str) -> Option<N> {
        let (Value::Count(number) | Value::Duration(number) | Value::Bytes(number)) = self.value(key) else {
            return self.unset(key);
        };
        Some(N::try_from(*number).unwrap_or_else(|_| panic!("{key}: the table bounds it for its type")))
    }

    fn number<N: TryFrom<u64>>(&self, key: &str) -> N {
        self.number_if_set(key).unwrap_or_else(|| panic!("{key}: the table has a default for it"))
    }

    fn choice<C>(&self, key: &str, from_name: fn(&str) -> Option<C>) -> C {
        let Value::Choice(name) = self.value(key) else { panic!("{key} is no choice in the table") };
        from_name(name).unwrap_or_else(|| panic!("{key}: the table has the names of another choice"))
    }

    fn is_on(&self, key: &str) -> bool {
        let Value::Bool(is_on) = self.value(key) else { panic!("{key} is no truth in the table") };
        *is_on
    }

    fn rate(&self, key: &str) -> Rate {
        let Value::Rate(rate) = self.value(key) else { panic!("{key} is no rate in the table") };
        *rate
    }

    fn share(&self, key: &str) -> Share {
        let Value::Share(share) = self.value(key) else { panic!("{key} is no share in the table") };
        *share
    }

    /// What is not of the kind a line asks for may only be unset.
    fn unset<T>(&self, key: &str) -> Option<T> {
        assert!(*self.value(key) == Value::Unset, "{key} is of another kind in the table");
        None
    }
}
