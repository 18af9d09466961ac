//! From settings to what each room wants to be told: rules, inputs, API, bounds.
//!
//! Not here: precedence and bounds of settings (`settings/`).

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::fatal::Fatal;
use super::learned::Learned;
use crate::api::{Client, ClientOptions, Endpoint, Envelope, Proxy, TokenSource};
use crate::deliver::{DeliverRules, Flow, Hours, Limit, Steering, Window};
use crate::delivery::DeliveryRules;
use crate::engine::clock;
use crate::engine::permits::Pace;
use crate::exit::Exit;
use crate::fields::{self, RuleSet};
use crate::input::{Bounds, InputOptions};
use crate::journal::JournalOptions;
use crate::plan::{CyclePolicy, DuplicatePolicy, Filter, GateRules};
use crate::report::SendingTime;
use crate::sandbox::{Clears as SandboxClears, Sandbox, SandboxEnvelope, SandboxOptions};
use crate::settings::{self, DeliverySettings, Rate, RateWindow, Settings, TokenChoice, WindowRate};
use crate::spill::Space;
use crate::survey::{Clears, GatherOptions, RowRules};
use crate::update::FieldKind;

/// Sending threads at most, unless set: more only compete with the one driver.
const SENDERS_MAX: usize = 4;

/// Name of the target that `--sandbox` sends to.
pub(super) const SANDBOX_TARGET: &str = "sandbox";

/// Where updates go.
pub(super) struct Destination {
    /// As the journal names it.
    pub(super) target: String,
    /// The endpoint; `None` for a plan that has none to name.
    pub(super) endpoint: Option<Endpoint>,
    /// Where the token comes from.
    pub(super) token: Option<TokenSource>,
    /// State directory of this target: the sandbox has its own.
    pub(super) state: PathBuf,
    /// The sandbox of this process, if it is the destination.
    #[expect(dead_code, reason = "held so that it serves as long as the destination is used")]
    pub(super) sandbox: Option<Sandbox>,
}

/// The state directory: the sandbox of rehearsals has one of its own.
pub(super) fn state_of(settings: &Settings) -> PathBuf {
    if settings.run.sandbox { settings.state.join(SANDBOX_TARGET) } else { settings.state.clone() }
}

/// Where updates go, by the settings. A plan needs no token and no server.
pub(super) fn destination(settings: &Settings, is_plan: bool) -> Result<Destination, Fatal> {
    if settings.run.sandbox {
        return sandbox_destination(settings, is_plan);
    }
    let endpoint = Endpoint::parse(settings.url()?, settings.api.allow_plain_http)?;
    let target = settings.api.target.clone().unwrap_or_else(|| endpoint.target());
    let token = if is_plan { None } else { Some(token_source(&settings.api.token)?) };
    Ok(Destination { target, endpoint: Some(endpoint), token, state: settings.state.clone(), sandbox: None })
}

fn sandbox_destination(settings: &Settings, is_plan: bool) -> Result<Destination, Fatal> {
    let state = state_of(settings);
    let target = SANDBOX_TARGET.to_owned();
    if is_plan {
        return Ok(Destination { target, endpoint: None, token: None, state, sandbox: None });
    }
    let envelope = sandbox_envelope(settings.api.envelope);
    let clears = SandboxClears::Both;
    start_sandbox(target, state, SandboxOptions { envelope, clears, ..SandboxOptions::default() })
}

/// The envelope as the sandbox knows it: edges never import each other.
pub(super) const fn sandbox_envelope(envelope: Envelope) -> SandboxEnvelope {
    match envelope {
        Envelope::DataString => SandboxEnvelope::DataString,
        Envelope::DataObject => SandboxEnvelope::DataObject,
        Envelope::Flat => SandboxEnvelope::Flat,
    }
}

/// A sandbox in this process as the destination.
pub(super) fn start_sandbox(
    target: String,
    state: PathBuf,
    options: SandboxOptions,
) -> Result<Destination, Fatal> {
    let token = TokenSource::Fixed(options.token.clone().into());
    let sandbox = Sandbox::start(options)
        .map_err(|error| Fatal::new(Exit::Unexpected, error.to_string(), error.remedy()))?;
    let endpoint = Endpoint::parse(&sandbox.url(), false)?;
    Ok(Destination { target, endpoint: Some(endpoint), token: Some(token), state, sandbox: Some(sandbox) })
}

/// Where the token comes from, by the settings.
pub(super) fn token_source(choice: &TokenChoice) -> Result<TokenSource, Fatal> {
    Ok(match choice {
        TokenChoice::File(path) => TokenSource::File { path: path.clone(), any_permissions: false },
        TokenChoice::Command(command) => TokenSource::Command(command.clone()),
        TokenChoice::Credential(path) => {
            TokenSource::Systemd { directory: path.parent().unwrap_or(Path::new("/")).to_owned() }
        }
        TokenChoice::Variable(token) => TokenSource::Env(token.clone()),
        TokenChoice::None => {
            return Err(Fatal::new(
                Exit::Config,
                "there is no token for the API",
                "set api.token_file or api.token_command in the configuration file, or SIMSYNC_TOKEN; or try \
                 --sandbox",
            ));
        }
    })
}

/// The rules of the fields.
pub(super) fn rule_set(settings: &Settings) -> Result<RuleSet, Fatal> {
    Ok(RuleSet::new(&settings.rules)?)
}

/// The rules of whole rows: conditions, order, clears. What does not go together is told before anything is read.
pub(super) fn row_rules(settings: &Settings) -> Result<RowRules, Fatal> {
    let (input, rules) = (&settings.input, &settings.rules);
    let filter = Filter::parse(&input.conditions)
        .map_err(|error| Fatal::new(Exit::Config, format!("--where: {error}"), error.remedy()))?;
    let order_by = input.order_by.as_deref().map(str::trim).filter(|column| !column.is_empty());
    if order_by.is_some() && settings.plan.duplicates == DuplicatePolicy::Each {
        return Err(Fatal::new(
            Exit::Config,
            "--order-by and --duplicates each do not go together: each sends the rows as they stand in the file",
            "sort the export by that column, or choose another --duplicates policy",
        ));
    }
    let is_token = rules.clear_token.as_deref().is_some_and(|token| !token.trim().is_empty());
    let breaks = settings.plan.break_cycles == CyclePolicy::Clear;
    let (problem, hint) = match (is_token || rules.null_clears, rules.clearable.is_empty()) {
        _ if rules.clearable.contains(FieldKind::Password) => (
            "rules.clearable names the password, which is never cleared",
            "leave password out of rules.clearable",
        ),
        _ if settings.input.key.is_some_and(|key| rules.clearable.contains(key)) => (
            "rules.clearable names the key, which is never cleared: it says whom a row is about",
            "leave the key out of rules.clearable, or name another field with --key",
        ),
        (true, true) => (
            "something clears a field, and no field may be cleared",
            "name the fields in rules.clearable (--clearable), or unset rules.clear_token and rules.null_clears",
        ),
        (false, true) if breaks => (
            "break_cycles = \"clear\" clears a field, and no field may be cleared",
            "name the fields in rules.clearable (--clearable imsi,iccid), or unset plan.break_cycles",
        ),
        (false, false) if !breaks => (
            "fields may be cleared, and nothing clears one",
            "set rules.clear_token (--clear-token), rules.null_clears or plan.break_cycles, or unset rules.clearable",
        ),
        (true, false) | (false, _) => {
            let order_by = order_by.map(str::to_owned);
            let (only, clears) = (settings.run.only_row, Clears::new(rules));
            return Ok(RowRules { filter, order_by, clears, chosen: None, only });
        }
    };
    Err(Fatal::new(Exit::Config, problem, hint))
}

/// What to read.
pub(super) fn input_options(
    settings: &Settings,
    rows: &RowRules,
    inputs: &[String],
    spool_dir: PathBuf,
) -> InputOptions {
    let input = &settings.input;
    let bounds = Bounds {
        record_bytes_max: input.row_bytes_max,
        field_bytes_max: input.field_bytes_max,
        columns_max: input.columns_max,
        record_lines_max: input.row_lines_max,
        json_depth_max: input.json_depth_max,
        expansion_max: input.expansion_max,
        ..Bounds::default()
    };
    InputOptions {
        inputs: inputs.to_vec(),
        format: input.format,
        columns: input.columns.clone(),
        encoding: input.encoding.clone(),
        delimiter: input.delimiter,
        skip_rows: input.skip_rows,
        column_names: input.no_header.then(|| input.column_names.clone()),
        flexible: input.flexible,
        trailer_counts: input.trailer_counts,
        unsafe_integers: input.unsafe_integers,
        watched: rows.watched(),
        old_columns: input.old_columns.clone(),
        spool_dir,
        bounds,
    }
}

/// The API's client.
pub(super) fn client_options(
    settings: &Settings,
    endpoint: Endpoint,
    rules: &Arc<RuleSet>,
) -> Result<ClientOptions, Fatal> {
    let rules = Arc::clone(rules);
    let canonical = Arc::new(move |kind, value: &str| fields::canonical(&rules, kind, value));
    let api = &settings.api;
    Ok(ClientOptions {
        connect_timeout_ms: api.connect_timeout_ms,
        read_timeout_ms: api.read_timeout_ms,
        timeout_ms: api.timeout_ms,
        in_flight: in_flight_max(&settings.delivery),
        verify: api.verify,
        http: api.http,
        connection_age_max_ms: api.connection_age_max_ms,
        proxy: api.proxy.as_deref().map_or(Ok(Proxy::None), Proxy::parse)?,
        ca_file: api.ca_file.clone(),
        client_certificate: api.client_certificate.clone(),
        ..ClientOptions::new(endpoint, canonical, clock::wall)
    })
}

/// Whether everything that a client is made from is in order: address, proxy, certificates. Connects to nobody.
pub(super) fn check_client(
    settings: &Settings,
    endpoint: Option<Endpoint>,
    rules: &Arc<RuleSet>,
) -> Result<(), Fatal> {
    if let Some(endpoint) = endpoint {
        Client::new(&client_options(settings, endpoint, rules)?)?;
    } else if let Some(proxy) = &settings.api.proxy {
        // Without an address nobody knows whether certificates matter; what is wrong by itself is told nevertheless.
        Proxy::parse(proxy)?;
    }
    Ok(())
}

/// The endpoint of the settings, if they name one.
pub(super) fn endpoint(settings: &Settings) -> Result<Option<Endpoint>, Fatal> {
    let url = settings.api.url.as_deref();
    Ok(url.map(|url| Endpoint::parse(url, settings.api.allow_plain_http)).transpose()?)
}

/// The journal.
pub(super) fn journal_options(settings: &Settings, state: &Path) -> JournalOptions {
    JournalOptions {
        state_dir: state.to_owned(),
        commit_rows_max: settings.journal.commit_rows_max,
        commit_delay_max_ms: settings.journal.commit_delay_max_ms,
        log_bytes_max: settings.journal.log_bytes_max,
    }
}

/// How a survey keeps its rows. Where there is no state directory (a plan before the first run), beyond memory they go
/// where temporary files go.
pub(super) fn gather_options(settings: &Settings, state: &Path) -> GatherOptions {
    let dir = if state.is_dir() { state.to_path_buf() } else { std::env::temp_dir() };
    GatherOptions {
        dir,
        memory_max: settings.plan.memory_max_bytes,
        subject_rows_max: settings.plan.subject_rows_max,
        chain_links_max: settings.plan.chain_rows_max,
        counts_only: false,
    }
}

/// Of the memory of a plan, which is free again once the plan is made, the share that the fates of updates may take.
const FATES_SHARE: usize = 8;

/// Where the fates of updates are kept that the row files tell: within memory, and beyond it where the survey's rows
/// go.
pub(super) fn fates_space(settings: &Settings, state: &Path) -> Space {
    let GatherOptions { dir, memory_max, .. } = gather_options(settings, state);
    Space::new(&dir, memory_max / FATES_SHARE)
}

/// Threads that check and plan rows: as set, or one per processor.
pub(super) fn plan_threads(settings: &Settings) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
    settings.plan.threads.unwrap_or_else(all)
}

/// The gates.
pub(super) fn gate_rules(settings: &Settings) -> GateRules {
    GateRules {
        rejected_share_max: settings.plan.rejected_max.fraction(),
        rejected_rows_min: settings.plan.rejected_rows_min,
        damage_share_max: settings.plan.damage_max.fraction(),
        clears_share_max: settings.plan.clears_max.fraction(),
        alarm_rows_min: settings.plan.alarm_rows_min,
        changed_share_max: settings.plan.changed_max.fraction(),
        changed_subjects_min: settings.plan.changed_subjects_min,
        rows_drop_max: settings.plan.rows_drop_max.fraction(),
        blank_share_max: settings.plan.blank_max.fraction(),
        usual_rows_min: settings.plan.usual_rows_min,
        repeated_max: settings.plan.repeated_max,
        key_repeated_max: settings.plan.key_repeated_max.fraction(),
        key_repeated_rows_min: settings.plan.key_repeated_rows_min,
    }
}

/// The bounds of delivery.
pub(super) fn deliver_rules(
    settings: &Settings,
    rows_read: u64,
    learned: &Learned,
    stop_at: Option<(u64, Limit)>,
) -> DeliverRules {
    let delivery = &settings.delivery;
    let defaults = DeliveryRules::default();
    let max_in_flight = in_flight_max(delivery);
    let scheduler = DeliveryRules {
        max_in_flight,
        adapts: delivery.concurrency.is_none(),
        settled_before: learned.settled.and_then(|limit| usize::try_from(limit).ok()),
        attempts_max: delivery.attempts_max,
        retry_elapsed_max_ms: delivery.retry_elapsed_max_ms,
        backoff_initial_ms: delivery.backoff_initial_ms,
        backoff_max_ms: delivery.backoff_max_ms,
        retry_after_max_ms: delivery.retry_after_max_ms,
        outage_max_ms: delivery.outage_max_ms,
        breaker_failures: delivery.breaker_failures,
        breaker_subjects: delivery.breaker_subjects,
        proven: learned.is_proven,
        turned_away: Arc::clone(&learned.turned_away),
        refusals_in_a_row_max: delivery.refusals_in_a_row_max,
        failures_max: delivery.max_errors.map(|budget| budget.failures_max(rows_read)),
        signature_failures_max: delivery
            .max_errors_per_signature
            .map(|budget| budget.failures_max(rows_read)),
        ready_max: defaults.ready_max.max(4 * max_in_flight),
        held_max: defaults.held_max.max(8 * max_in_flight),
        ..defaults
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    DeliverRules {
        rows_held_max: scheduler.held_max,
        is_mixed: learned.is_mixed(),
        scheduler,
        hours: hours(delivery),
        senders: delivery.senders.unwrap_or(cores.min(SENDERS_MAX)).min(max_in_flight),
        rows_folding_max: crate::plan::ROWS_HELD_MAX_DEFAULT,
        deferred_held_max: delivery.deferred_held_max,
        shutdown_grace_ms: delivery.shutdown_grace_ms,
        stop_at,
        updates_max: delivery.max_rows,
    }
}

/// When the run is to stop, on its own clock, and by which limit: the first of those that were asked for.
pub(super) fn stop_at(settings: &Settings, now_ms: u64) -> Result<Option<(u64, Limit)>, Fatal> {
    let delivery = &settings.delivery;
    let duration =
        delivery.max_duration_ms.map(|ms| (ms, Limit::Duration { length: settings::duration_text(ms) }));
    let until = delivery.until.as_ref().map(|(time, hour, minute)| {
        let zone = delivery.time_zone.as_deref();
        let for_ms = clock::until_ms(*hour, *minute, zone).map_err(|error| {
            Fatal::new(
                Exit::Config,
                format!("cannot tell when it is {time}: {error}"),
                "set delivery.time_zone to an IANA name such as Europe/London, or leave it out",
            )
        })?;
        Ok::<_, Fatal>((now_ms.saturating_add(for_ms), Limit::Until { time: time.clone() }))
    });
    Ok(duration.into_iter().chain(until.transpose()?).min_by_key(|(at_ms, _)| *at_ms))
}

/// That a run stops tomorrow and not today, where a time of day is the limit that stops it.
pub(super) fn until_note(settings: &Settings, stop_at: Option<&(u64, Limit)>) -> Option<String> {
    let (Some((_, Limit::Until { time })), Some((_, hour, minute))) = (stop_at, &settings.delivery.until)
    else {
        return None;
    };
    let zone = settings.delivery.time_zone.as_deref();
    // A run that was begun a moment ago can tell the time, or would not have begun.
    let is_tomorrow = clock::is_tomorrow(*hour, *minute, zone).unwrap_or_default();
    is_tomorrow.then(|| format!("it is past {time} already: the run stops tomorrow at {time} (--until)"))
}

/// The bounds that may change in the middle of a run.
pub(super) fn steering(settings: &Settings) -> Steering {
    let delivery = &settings.delivery;
    let max_in_flight = in_flight_max(delivery);
    Steering {
        hours: hours(delivery),
        max_in_flight,
        text: format!("rate {}, at most {max_in_flight} at once", rate_text(delivery)),
    }
}

/// The rate in words: that of the whole day, this machine's part of it, and how many windows there are.
fn rate_text(delivery: &DeliverySettings) -> String {
    let mut text = delivery.rate.to_string();
    if delivery.fleet > 1 {
        text.push_str(&format!(" shared by {}", delivery.fleet));
    }
    if !delivery.windows.is_empty() {
        let windows: Vec<String> = delivery.windows.iter().map(RateWindow::to_string).collect();
        text.push_str(&format!(" (windows: {})", windows.join(", ")));
    }
    text
}

/// How long sending takes, by the rate of every minute from now on.
pub(super) fn sending_time(delivery: &DeliverySettings) -> SendingTime {
    let hours = hours(delivery);
    SendingTime::new(move |updates| {
        let minute = clock::minute_of_day(hours.time_zone.as_deref()).unwrap_or_default();
        hours.duration(updates, minute)
    })
}

/// Attempts per second all day long, this machine's part of it.
pub(super) fn rate_per_s(delivery: &DeliverySettings) -> Option<f64> {
    let rate = delivery.rate.per_second().filter(|_| delivery.windows.is_empty())?;
    Some(rate / f64::from(delivery.fleet))
}

/// Attempts on the wire at once, at most: a fixed number is its own maximum.
fn in_flight_max(delivery: &DeliverySettings) -> usize {
    delivery.concurrency.unwrap_or(delivery.max_in_flight)
}

/// The pace by time of day. A fleet's machines each take their share of it.
pub(super) fn hours(delivery: &DeliverySettings) -> Hours {
    let flow = |rate, burst| pace(rate, burst, delivery.fleet).map_or(Flow::Unlimited, Flow::At);
    let window = |window: &RateWindow| Window {
        from_minute: window.from_minute,
        to_minute: window.to_minute,
        flow: match window.rate {
            WindowRate::Pause => Flow::Closed,
            WindowRate::At(rate) => flow(rate, window.burst.unwrap_or(delivery.burst)),
        },
        text: window.to_string(),
    };
    Hours {
        whole_day: flow(delivery.rate, delivery.burst),
        windows: delivery.windows.iter().map(window).collect(),
        time_zone: delivery.time_zone.clone(),
    }
}

fn pace(rate: Rate, burst: u32, fleet: u32) -> Option<Pace> {
    match rate {
        Rate::Unlimited => None,
        Rate::Every { count, per } => {
            Some(Pace { period: Duration::from_millis(per.ms()) * fleet / count.max(1), burst })
        }
    }
}

/// What the windows and `until` need to know before anything is sent: that there is such a time zone.
pub(super) fn check_zone(delivery: &DeliverySettings) -> Result<(), Fatal> {
    if delivery.windows.is_empty() && delivery.time_zone.is_none() {
        return Ok(());
    }
    clock::minute_of_day(delivery.time_zone.as_deref()).map(drop).map_err(|error| {
        Fatal::new(
            Exit::Config,
            format!("cannot tell what time of day it is in delivery.time_zone: {error}"),
            "set delivery.time_zone to an IANA name such as Europe/London, or leave it out",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Per;

    #[test]
    fn a_pace_is_the_rate_as_a_period() {
        let rate = Rate::Every { count: 200, per: Per::Second };
        assert_eq!(pace(rate, 3, 1), Some(Pace { period: Duration::from_millis(5), burst: 3 }));
        assert_eq!(pace(rate, 3, 4), Some(Pace { period: Duration::from_millis(20), burst: 3 }));
        assert_eq!(pace(Rate::Unlimited, 1, 4), None);
    }

    #[test]
    fn the_first_limit_that_was_asked_for_stops_the_run() {
        let dir = tempfile::tempdir().unwrap();
        let stops = |environment: &[(&str, &str)]| {
            let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            let around = settings::Surroundings::new(environment, dir.path().to_owned());
            let settings = settings::resolve(&settings::Flags::default(), &around).unwrap().settings;
            stop_at(&settings, 1_000).unwrap()
        };
        const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
        let (until, brief) = (("SIMSYNC_UNTIL", "05:00"), ("SIMSYNC_MAX_DURATION", "1s"));
        let long = ("SIMSYNC_MAX_DURATION", "48h");
        assert_eq!(stops(&[]), None);
        let (at_ms, limit) = stops(&[until]).unwrap();
        assert!((1_000..=1_000 + DAY_MS + 3_600_000).contains(&at_ms), "{at_ms}");
        assert_eq!(limit, Limit::Until { time: "05:00".into() });
        assert_eq!(stops(&[until, long]).unwrap().1, Limit::Until { time: "05:00".into() });
        let (at_ms, limit) = stops(&[until, brief]).unwrap();
        assert!(matches!(limit, Limit::Duration { .. }), "{limit:?}");
        assert_eq!(at_ms, 1_000, "from the beginning of the run");
    }
}
