//! `doctor`: looks at everything a run needs, one check after another, and says what to do about what is wrong.
//!
//! Nothing is changed by it but by `--probe`, and no request carries the token. Not here: the checks on this machine
//! (`checks.rs`), those of the network (`network.rs`), the one row that is sent (`probe.rs`), printing (`report/`).

mod checks;
mod network;
mod probe;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use super::DoctorArgs;
use super::common::{console, report_options};
use super::fatal::Fatal;
use super::parts::{self, Destination};
use crate::api::{Endpoint, TokenSource};
use crate::exit::Exit;
use crate::report::{CheckRecord, Console, DoctorReport, Out, Paint, ReportOptions};
use crate::settings::{self, Flags, Resolved, Settings, Surroundings};

/// Names of the checks, in their order.
const CONFIG: &str = "config";
const TOKEN: &str = "token";
const DNS: &str = "dns";
const CONNECT: &str = "connect";
const CLOCK: &str = "clock";
const DISK: &str = "disk";
const LOCK: &str = "lock";
const JOURNAL: &str = "journal";
const INPUT: &str = "input";
const PROBE: &str = "probe";

/// Where a run would go, as far as the settings tell.
struct Site {
    /// As the journal names it; empty where there is no address.
    target: String,
    endpoint: Option<Endpoint>,
    /// Where the token comes from, or why there is none.
    token: Result<TokenSource, Fatal>,
    state: PathBuf,
    /// Held so that a sandbox serves for as long as it is looked at.
    _destination: Option<Destination>,
}

impl Site {
    fn of(settings: &Settings) -> Result<Site, Fatal> {
        if settings.run.sandbox {
            let destination = parts::destination(settings, false)?;
            let no_token =
                || Fatal::new(Exit::Unexpected, "the sandbox has no token", "report this as a bug");
            return Ok(Site {
                target: destination.target.clone(),
                endpoint: destination.endpoint.clone(),
                token: destination.token.clone().ok_or_else(no_token),
                state: destination.state.clone(),
                _destination: Some(destination),
            });
        }
        // What is wrong with the address is told by the check of the configuration.
        let endpoint = parts::endpoint(settings).ok().flatten();
        let named = settings.api.target.clone();
        Ok(Site {
            target: named.or_else(|| endpoint.as_ref().map(Endpoint::target)).unwrap_or_default(),
            endpoint,
            token: parts::token_source(&settings.api.token),
            state: settings.state.clone(),
            _destination: None,
        })
    }
}

/// What went wrong, as a finding: the message and its causes in one line.
fn failed(check: &'static str, fatal: &Fatal) -> CheckRecord {
    let told = &fatal.explanation;
    let parts = std::iter::once(&told.message).chain(&told.causes);
    // A configuration's message quotes lines of its file.
    let says = parts.flat_map(|part| part.lines()).map(str::trim).filter(|line| !line.is_empty());
    let says = says.collect::<Vec<_>>().join(": ");
    CheckRecord::failed(check, fatal.exit, says, told.hint.clone().unwrap_or_default())
}

/// Looks at everything, and tells it as it is found.
pub(super) fn doctor(args: &DoctorArgs, flags: &Flags, around: &Surroundings) -> Result<Exit, Fatal> {
    if args.probe.as_deref() == Some("-") {
        return Err(Fatal::new(
            Exit::Usage,
            "--probe reads its input more than once, which standard input cannot be",
            "name a file",
        ));
    }
    let common = &args.settings.common;
    let resolved = match settings::resolve(flags, around) {
        Ok(resolved) => resolved,
        Err(error) => {
            let mut report = report(&ReportOptions::of_process(), common.json, common.quiet);
            report.tell(&failed(CONFIG, &error.into()));
            let others = [TOKEN, DNS, CONNECT, CLOCK, DISK, LOCK, JOURNAL];
            for check in others.into_iter().chain(args.probe.iter().flat_map(|_| [INPUT, PROBE])) {
                report.tell(&CheckRecord::skipped(check, "without settings nobody knows where to look"));
            }
            return finish(report);
        }
    };
    let settings = &resolved.settings;
    let console = console(settings)?;
    let report = report(&report_options(settings), settings.run.json, settings.run.quiet);
    examine(&resolved, args.probe.as_deref(), &console, report)
}

fn report(options: &ReportOptions, is_json: bool, is_quiet: bool) -> DoctorReport {
    // The console's colors are those of standard error.
    let is_colored = std::io::stdout().is_terminal();
    let paint = if is_colored { Console::stderr(options).paint() } else { Paint::PLAIN };
    DoctorReport::new(Out::stdout(), paint, is_json, is_quiet)
}

fn finish(report: DoctorReport) -> Result<Exit, Fatal> {
    let (exit, problem) = report.finish();
    problem.map_or(Ok(exit), |problem| Err(problem.into()))
}

fn examine(
    resolved: &Resolved,
    probed: Option<&str>,
    console: &Console,
    mut report: DoctorReport,
) -> Result<Exit, Fatal> {
    let settings = &resolved.settings;
    for record in checks::config(resolved) {
        report.tell(&record);
    }
    let site = Site::of(settings)?;
    report.tell(&checks::token(&site.token));
    let network = network::Network::new()?;
    report.tell(&network.dns(settings, site.endpoint.as_ref()));
    let (record, server_clock) = network.connect(settings, site.endpoint.as_ref());
    report.tell(&record);
    report.tell(&checks::clock(server_clock));
    network.close();
    report.tell(&checks::disk(&site.state));
    let journal = checks::journal(settings, &site);
    for record in &journal.records {
        report.tell(record);
    }
    if let Some(input) = probed {
        let (record, row) = probe::input(settings, input, journal.key_field);
        report.tell(&record);
        let record = match row {
            Some(row) if !report.has_failed() => probe::probe(settings, input, row, console),
            Some(_) | None => CheckRecord::skipped(PROBE, "nothing was sent: something above failed"),
        };
        report.tell(&record);
    }
    finish(report)
}
