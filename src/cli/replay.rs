//! `replay`: sends again what a run left failed or in doubt, from that run's own row files.
//!
//! The rows keep their old versions, so that nothing newer is overwritten; everything else is `sync`. Not here: the job
//! (`job.rs`), which rows a choice keeps (`survey/chosen.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::Path;

use super::ReplayArgs;
use super::common::{console, report_options};
use super::fatal::Fatal;
use super::parts;
use super::plan_file::Task;
use super::start::{
    Lifted, Replay, Work, command_line, first_line, options_text, readdressed, run_job, without_budgets,
    without_limits,
};
use crate::engine::chance::Chance;
use crate::engine::clock::{self, Clock};
use crate::event::{Event, RunFacts};
use crate::exit::Exit;
use crate::input::{Inputs, Pass};
use crate::report::{self, FoundRun, NextCommands, Out, ReportOptions, Reporters, RowFileKind, plural};
use crate::settings::{self, Flags, Settings, Surroundings};
use crate::survey::{CHOSEN_COLUMNS, Chosen, Emitter, LeftKind};

/// Different complaints that are told apart while the files are looked through; a run has a few.
const SIGNATURES_MAX: usize = 10_000;

/// Complaints listed where a text fits several or none.
const LISTED_MAX: usize = 5;

/// What is replayed unless kinds are named: what failed, and what is in doubt.
const KINDS: [LeftKind; 6] = [
    LeftKind::Refused,
    LeftKind::Exhausted,
    LeftKind::EchoMismatch,
    LeftKind::Deferred,
    LeftKind::InDoubt,
    LeftKind::Held,
];

/// Rows of the files by kind and signature.
type Tally = BTreeMap<(LeftKind, String), u64>;

/// `simsync replay RUN`.
pub(super) fn replay(
    args: &ReplayArgs,
    flags: &Flags,
    around: &Surroundings,
    typed: &[OsString],
) -> Result<Exit, Fatal> {
    let resolved = settings::resolve(flags, around)?;
    let settings = &resolved.settings;
    let console = console(settings)?;
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    let destination = parts::destination(settings, false)?;
    refuse_file(&args.run)?;
    let run = report::find_run(&destination.state, &args.run)?;
    check(&run, &destination.target)?;
    let kinds = kinds(args)?;
    let files = files(&run, &kinds)?;
    let inputs: Vec<String> = files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let is_choosing = !(args.kinds.is_empty() && args.signatures.is_empty());
    let mut chosen = None;
    let mut is_empty = inputs.is_empty();
    if is_choosing && !is_empty {
        let tally = tally(settings, &inputs)?;
        let choice = choose(args, &run, kinds, &tally)?;
        let signature = |key: &(LeftKind, String)| choice.keeps(key.0.name(), &key.1);
        is_empty = !tally.keys().any(signature);
        chosen = Some(choice);
    }
    if is_empty {
        let what = if is_choosing { "nothing of that kind" } else { "nothing failed and nothing in doubt" };
        let text = format!("run {} left {what}: there is nothing to replay", run.summary.run_id);
        return nothing(settings, console, &destination.target, text);
    }
    let notes = notes(&run, &files);
    let commands = next_commands(typed, args, &run.summary.run_id, Lifted::of(flags, around));
    let reload = || {
        let again = settings::resolve(flags, around).map_err(|error| first_line(&error.to_string()))?;
        Ok(parts::steering(&again.settings))
    };
    let work = Work { inputs: &inputs, task: Task::SYNC, replay: Some(Replay { chosen, notes }), commands };
    run_job(settings, destination, work, console, Box::new(reload))
}

/// Says how a row file is fed back, where one is named instead of its run.
fn refuse_file(run: &str) -> Result<(), Fatal> {
    if !Path::new(run).is_file() {
        return Ok(());
    }
    let file = report::shell_quote(Path::new(run));
    Err(Fatal::new(
        Exit::Usage,
        format!("{run} is a file, and a replay takes a run"),
        format!(
            "feed it back with `simsync sync {file}`; `--where _reason=refused` takes the rows of one kind"
        ),
    ))
}

/// Whether the run can be replayed here at all.
fn check(run: &FoundRun, target: &str) -> Result<(), Fatal> {
    let (id, sent_to) = (&run.summary.run_id, &run.summary.target);
    if !run.has_ended {
        return Err(Fatal::new(
            Exit::Usage,
            format!(
                "run {id} has no end: it still runs, or it was killed, and its row files were never written"
            ),
            "run its own command again: that resumes it and lists what is left; then replay that run",
        ));
    }
    if sent_to != target {
        return Err(Fatal::new(
            Exit::Usage,
            format!("run {id} sent to {sent_to}, and this would send to {target}"),
            "give the run's own target with --api-url (or api.target), or its configuration with --config",
        ));
    }
    Ok(())
}

/// The kinds asked for.
fn kinds(args: &ReplayArgs) -> Result<BTreeSet<LeftKind>, Fatal> {
    let named: Option<BTreeSet<LeftKind>> = args.kinds.iter().map(|name| LeftKind::from_name(name)).collect();
    let named = named.ok_or_else(|| {
        Fatal::new(
            Exit::Usage,
            "there is no such kind",
            format!("name one of {}", LeftKind::NAMES.join(", ")),
        )
    })?;
    if !named.is_empty() {
        return Ok(named);
    }
    // Only what was sent has a complaint.
    let has_signature = |kind: &LeftKind| args.signatures.is_empty() || file_of(*kind) == RowFileKind::Failed;
    Ok(KINDS.into_iter().filter(has_signature).collect())
}

/// The row file that rows of a kind stand in.
fn file_of(kind: LeftKind) -> RowFileKind {
    match kind {
        LeftKind::Refused | LeftKind::Exhausted | LeftKind::EchoMismatch | LeftKind::Deferred => {
            RowFileKind::Failed
        }
        LeftKind::InDoubt | LeftKind::Held => RowFileKind::InDoubt,
        LeftKind::Conflict => RowFileKind::Conflict,
        LeftKind::Rejected => RowFileKind::Rejected,
    }
}

/// The run's row files of these kinds. Where they stand now counts, since a state directory may have moved.
fn files(run: &FoundRun, kinds: &BTreeSet<LeftKind>) -> Result<Vec<std::path::PathBuf>, Fatal> {
    let wanted: Vec<RowFileKind> = kinds.iter().map(|kind| file_of(*kind)).collect();
    let mut paths = Vec::new();
    for kind in RowFileKind::ALL.into_iter().filter(|kind| wanted.contains(kind)) {
        let path = run.dir.join(kind.file_name());
        let is_named = run.summary.files.iter().any(|file| file.name == kind.file_name());
        if is_named && !path.is_file() {
            return Err(Fatal::new(
                Exit::Input,
                format!("{} of run {} is gone: {}", kind.file_name(), run.summary.run_id, path.display()),
                "sync the export again: a new batch sends once more whatever was not acknowledged",
            ));
        }
        if is_named {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Looks the files through for kinds and signatures.
fn tally(settings: &Settings, inputs: &[String]) -> Result<Tally, Fatal> {
    let mut options =
        parts::input_options(settings, &parts::row_rules(settings)?, inputs, std::env::temp_dir());
    options.watched = CHOSEN_COLUMNS.map(str::to_owned).to_vec();
    let mut inputs = Inputs::open(&options)?;
    let mut reader = inputs.read(Pass::Survey);
    let mut tally = Tally::new();
    while let Some(row) = reader.next_row()? {
        let Ok(row) = row else { continue };
        let Some(kind) = LeftKind::of(row.watched(0).unwrap_or_default()) else { continue };
        let signature = row.watched(1).unwrap_or_default().trim();
        if let Some(count) = tally.get_mut(&(kind, signature.to_owned())) {
            *count += 1;
        } else if tally.len() < SIGNATURES_MAX {
            tally.insert((kind, signature.to_owned()), 1);
        }
    }
    Ok(tally)
}

/// The choice that the command line makes among what the files hold.
fn choose(
    args: &ReplayArgs,
    run: &FoundRun,
    kinds: BTreeSet<LeftKind>,
    tally: &Tally,
) -> Result<Chosen, Fatal> {
    if args.signatures.is_empty() {
        return Ok(Chosen { kinds, signatures: None });
    }
    let known: BTreeSet<&str> =
        tally.keys().filter(|(kind, _)| kinds.contains(kind)).map(|(_, text)| text.as_str()).collect();
    let known: BTreeSet<&str> = known.into_iter().filter(|text| !text.is_empty()).collect();
    let found = args.signatures.iter().map(|text| signature(text, run, &known));
    Ok(Chosen { kinds, signatures: Some(found.collect::<Result<_, _>>()?) })
}

/// The one signature that a text stands for: its id in the run's summary, its text, or a part of just one.
fn signature(text: &str, run: &FoundRun, known: &BTreeSet<&str>) -> Result<String, Fatal> {
    let by_id = || {
        let nth: usize = text.strip_prefix(['S', 's'])?.parse().ok()?;
        run.summary.signatures.get(nth.checked_sub(1)?).map(|complaint| complaint.signature.as_str())
    };
    let exact = by_id().into_iter().chain([text.trim()]).find_map(|text| known.get(text));
    if let Some(exact) = exact {
        return Ok((*exact).to_owned());
    }
    let part = text.trim().to_lowercase();
    let holds = |known: &&&str| !part.is_empty() && known.to_lowercase().contains(&part);
    let fits: Vec<&str> = known.iter().filter(holds).copied().collect();
    let id = &run.summary.run_id;
    let (message, list) = match fits.as_slice() {
        [only] => return Ok((*only).to_owned()),
        [] => (
            format!("no row that run {id} left has a signature like `{text}`"),
            known.iter().copied().collect(),
        ),
        _ => (format!("`{text}` is part of {} signatures of run {id}", fits.len()), fits),
    };
    let listed: Vec<String> = list.iter().take(LISTED_MAX).map(|text| format!("`{text}`")).collect();
    let hint = if listed.is_empty() {
        "leave --signature out: what is left has none".to_owned()
    } else {
        format!("give more of one of {}, or its id (S1, S2, …) as `simsync show` tells", listed.join(", "))
    };
    Err(Fatal::new(Exit::Usage, message, hint))
}

/// What is told before anything is read.
fn notes(run: &FoundRun, files: &[std::path::PathBuf]) -> Vec<String> {
    let (id, summary) = (&run.summary.run_id, &run.summary);
    let names: Vec<String> = files
        .iter()
        .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    let mut notes = vec![format!("replaying run {id}: {}", names.join(", "))];
    if summary.rows.pending > 0 {
        notes.push(format!(
            "run {id} did not come to its end: {} are pending there, and only its own command, run again, sends them",
            plural(summary.rows.pending, "row")
        ));
    }
    notes
}

/// Nothing to do is a success that is told like one.
fn nothing(settings: &Settings, console: report::Console, target: &str, text: String) -> Result<Exit, Fatal> {
    let options = ReportOptions { run_dir: None, ..report_options(settings) };
    let mut reporters = Reporters::on(options, console, Out::stdout())?;
    let mut emitter = Emitter::new(Clock::start(), &mut reporters);
    emitter.emit(Event::RunStarted(RunFacts {
        run_id: clock::run_id(Chance::from_entropy().next_u64()),
        command: "replay",
        target: target.to_owned(),
        started_at: clock::wall_rfc3339(),
        tool_version: env!("CARGO_PKG_VERSION"),
    }));
    emitter.emit(Event::Noticed { text });
    emitter.emit(Event::RunEnded { exit_code: Exit::Success.code(), stopped: None });
    reporters.finish().problem.map_or(Ok(Exit::Success), |problem| Err(problem.into()))
}

/// Commands for hints. Row files of the replay are fed to `sync` or replayed themselves, without the choice that was
/// made here.
fn next_commands(typed: &[OsString], args: &ReplayArgs, run_id: &str, lifted: Lifted) -> NextCommands {
    let words: Vec<String> = typed.iter().skip(2).map(|arg| arg.to_string_lossy().into_owned()).collect();
    // By the time somebody runs it again, the replay itself is the latest run.
    let at_run = words.iter().position(|word| *word == args.run);
    let again = words.iter().enumerate().map(|(at, word)| if Some(at) == at_run { run_id } else { word });
    let again: Vec<&str> = ["replay"].into_iter().chain(again).collect();
    let owned = || again.iter().map(|word| (*word).to_owned()).collect();
    let unlimited = [without_limits(owned()), lifted.limits].concat();
    let unbudgeted = [without_budgets(owned()), lifted.budgets].concat();
    let readdressed = readdressed(owned());
    let mut options = Vec::new();
    let mut rest = words.iter().enumerate();
    while let Some((at, word)) = rest.next() {
        let is_choice = word == "--kind" || word == "--signature";
        let is_choice_whole = word.starts_with("--kind=") || word.starts_with("--signature=");
        if is_choice {
            rest.next();
        } else if !is_choice_whole && Some(at) != at_run {
            options.push(word.as_str());
        }
    }
    let options = options_text(options);
    NextCommands {
        again: command_line(again),
        readdressed: command_line(readdressed.iter().map(String::as_str)),
        unlimited: command_line(unlimited.iter().map(String::as_str)),
        unbudgeted: command_line(unbudgeted.iter().map(String::as_str)),
        probe: String::new(),
        without_inputs: format!("simsync sync{options}"),
        options,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Complaint, Summary};

    const ID: &str = "20260801T011500Z-4711";

    fn run(signatures: &[&str]) -> FoundRun {
        let complaint = |text: &&str| Complaint { signature: (*text).to_owned(), ..Complaint::default() };
        let summary = Summary {
            run_id: ID.into(),
            signatures: signatures.iter().map(complaint).collect(),
            ..Summary::default()
        };
        FoundRun { dir: "runs".into(), summary, has_ended: true }
    }

    #[test]
    fn a_signature_is_found_by_id_text_or_a_part_of_just_one() {
        let texts = ["422 imsi is no imsi", "404 no such user", "422 imsi is", "S3"];
        let (run, known) = (run(&texts), texts.into_iter().collect());
        for (typed, found) in [
            ("S1", Some("422 imsi is no imsi")),
            ("s2", Some("404 no such user")),
            ("S3", Some("422 imsi is")),
            ("S4", Some("S3")),
            ("S5", None),
            ("S0", None),
            // Its text is a part of another one as well.
            (" 422 imsi is ", Some("422 imsi is")),
            ("NO SUCH", Some("404 no such user")),
            ("422", None),
            (" ", None),
        ] {
            assert_eq!(signature(typed, &run, &known).ok().as_deref(), found, "{typed}");
        }
        let ambiguous = signature("422", &run, &known).unwrap_err();
        assert_eq!(ambiguous.exit, Exit::Usage);
        assert!(ambiguous.explanation.hint.unwrap().contains("`422 imsi is no imsi`"));
    }

    #[test]
    fn an_id_of_a_complaint_that_left_no_row_is_no_other_ones() {
        let run = run(&["422 a", "422 b"]);
        // The rows of the first were sent meanwhile by hand: its file has the second only.
        assert!(signature("S1", &run, &BTreeSet::from(["422 b"])).is_err());
    }

    #[test]
    fn hints_name_the_run_and_drop_the_choice() {
        let typed = ["simsync", "replay", "--kind", "refused", "latest", "--signature=S1", "--rate", "9/s"];
        let typed: Vec<OsString> = typed.map(OsString::from).into();
        let args = ReplayArgs { run: "latest".into(), ..ReplayArgs::default() };
        let limits = vec!["--max-rows".into(), "none".into()];
        let next = next_commands(&typed, &args, ID, Lifted { limits, ..Lifted::default() });
        assert_eq!(next.again, format!("simsync replay --kind refused {ID} --signature=S1 --rate 9/s"));
        assert_eq!(next.unlimited, format!("{} --max-rows none", next.again));
        assert_eq!(next.without_inputs, "simsync sync --rate 9/s");
        assert_eq!(next.options, " --rate 9/s");
    }

    #[test]
    fn every_kind_has_its_file_and_only_what_was_left_is_replayed_unasked() {
        for kind in LeftKind::ALL {
            let is_asked_for = matches!(file_of(kind), RowFileKind::Conflict | RowFileKind::Rejected);
            assert_eq!(KINDS.contains(&kind), !is_asked_for, "{}", kind.name());
        }
    }
}
