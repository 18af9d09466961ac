//! The doctor's checks on this machine: configuration, token, clock, disk, lock, journal.
//!
//! Each answers with what it found and never ends the others. Not here: what needs the network (`network.rs`).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{CLOCK, CONFIG, DISK, JOURNAL, LOCK, Site, TOKEN, failed};
use crate::api::TokenSource;
use crate::cli::fatal::Fatal;
use crate::cli::parts;
use crate::digest::SubjectTag;
use crate::engine::chance::Chance;
use crate::engine::{self, clock};
use crate::exit::Exit;
use crate::journal::{self, Journal, JournalError};
use crate::report::{CheckRecord, plural, span};
use crate::settings::{Resolved, Settings};
use crate::update::FieldKind;

/// Free space below which a run may well end for lack of it: the log before it is folded, and two generations.
const FREE_BYTES_LOW: u64 = 512 << 20;

/// Free space below which none can begin.
const FREE_BYTES_MIN: u64 = 16 << 20;

/// A token that expires within this time is told of, in seconds.
const TOKEN_SOON_S: i64 = 3_600;

/// 2026-01-01: before this program was made, no clock that is right can stand.
const CLOCK_MIN_S: i64 = 1_767_225_600;

/// How far this clock and the server's may differ before it is told, in seconds.
const CLOCK_OFF_MAX_S: u64 = 60;

/// The configuration: whether it is valid, where it comes from, and what is odd about it.
pub(super) fn config(resolved: &Resolved) -> Vec<CheckRecord> {
    let file = resolved.config_file.as_ref().map_or_else(
        || "no configuration file; defaults, variables and flags are valid".to_owned(),
        |path| format!("{} is valid", path.display()),
    );
    let first = match usable(&resolved.settings) {
        Ok(()) => CheckRecord::ok(CONFIG, file),
        Err(fatal) => failed(CONFIG, &fatal),
    };
    let warnings = resolved.warnings.iter().map(|text| CheckRecord::warning(CONFIG, text, None::<String>));
    std::iter::once(first).chain(warnings).collect()
}

/// What only shows when the settings are used.
fn usable(settings: &Settings) -> Result<(), Fatal> {
    let rules = Arc::new(parts::rule_set(settings)?);
    parts::row_rules(settings)?;
    if !settings.run.sandbox {
        settings.url()?;
    }
    parts::check_client(settings, parts::endpoint(settings)?, &rules)?;
    parts::check_zone(&settings.delivery)
}

/// The token: whether it can be read, from where, and whether it says that it is over.
pub(super) fn token(source: &Result<TokenSource, Fatal>) -> CheckRecord {
    let source = match source {
        Ok(source) => source,
        Err(fatal) => return failed(TOKEN, fatal),
    };
    let token = match source.first() {
        Ok(token) => token,
        Err(error) => return failed(TOKEN, &error.into()),
    };
    let read = format!("read from {}", source.describe());
    let Some(expires_s) = token.expires_s() else {
        return CheckRecord::ok(TOKEN, format!("{read}; it does not say when it expires"));
    };
    let at = clock::rfc3339(expires_s);
    let left_s = expires_s - clock::wall_s();
    if left_s <= 0 {
        return CheckRecord::failed(
            TOKEN,
            Exit::Token,
            format!("{read}; it expired at {at}"),
            "renew the token, and check this machine's clock",
        );
    }
    if left_s < TOKEN_SOON_S {
        let hint = "a run that takes longer needs token_file or token_command, which are read again";
        return CheckRecord::warning(TOKEN, format!("{read}; it expires at {at}"), Some(hint));
    }
    CheckRecord::ok(TOKEN, format!("{read}; it expires at {at}"))
}

/// The clock: whether it can be right, and how it stands to the server's.
pub(super) fn clock(server: Option<SystemTime>) -> CheckRecord {
    clock_at(clock::wall(), server)
}

fn clock_at(now: SystemTime, server: Option<SystemTime>) -> CheckRecord {
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let now_s = i64::try_from(seconds(now)).unwrap_or(i64::MAX);
    let says = clock::rfc3339(now_s);
    let hint = "set the clock, by NTP at best; certificates, tokens, windows and --until go by it";
    if now_s < CLOCK_MIN_S {
        let says = format!("{says}, which is long past");
        return CheckRecord::failed(CLOCK, Exit::Unexpected, says, hint);
    }
    let Some(server) = server else { return CheckRecord::ok(CLOCK, says) };
    let off_s = seconds(now).abs_diff(seconds(server));
    if off_s <= CLOCK_OFF_MAX_S {
        return CheckRecord::ok(CLOCK, format!("{says}, as the server's"));
    }
    let off = span(off_s.saturating_mul(1_000));
    let is_ahead = now > server;
    let says = format!("{says}, {off} {} the server's", if is_ahead { "ahead of" } else { "behind" });
    CheckRecord::warning(CLOCK, says, Some(hint))
}

/// The disk: whether the state directory can be written to and synced, and how much room there is.
pub(super) fn disk(state: &Path) -> CheckRecord {
    let room = match journal::room(state) {
        Ok(room) => room,
        Err(error) => return failed(DISK, &error.into()),
    };
    let mib = room.free_bytes >> 20;
    let dir = state.display();
    let says = if room.exists {
        format!("{dir}: writable, {mib} MiB free")
    } else {
        format!("{dir} is made by the first run; {} is writable, {mib} MiB free", room.dir.display())
    };
    let hint = "make room, or choose another place with --state DIR";
    if room.free_bytes < FREE_BYTES_MIN {
        return CheckRecord::failed(DISK, Exit::Journal, says, hint);
    }
    if room.free_bytes < FREE_BYTES_LOW {
        return CheckRecord::warning(DISK, says, Some(hint));
    }
    CheckRecord::ok(DISK, says)
}

/// What was found of lock and journal.
pub(super) struct JournalFound {
    pub(super) records: [CheckRecord; 2],
    /// The key field kept for the target.
    pub(super) key_field: Option<FieldKind>,
}

/// Lock and journal: only opening it tells whether the lock is held, and whether the journal is whole.
pub(super) fn journal(settings: &Settings, site: &Site) -> JournalFound {
    let options = parts::journal_options(settings, &site.state);
    let run_id = clock::run_id(Chance::from_entropy().next_u64());
    let opened = Journal::open_existing(&options, &run_id, &engine::host_name(), clock::wall_s());
    let free = || CheckRecord::ok(LOCK, "free");
    let (records, key_field) = match opened {
        Err(error @ JournalError::Locked { .. }) => {
            let skipped = CheckRecord::skipped(JOURNAL, "another run is using it");
            ([failed(LOCK, &error.into()), skipped], None)
        }
        Err(error) => ([free(), failed(JOURNAL, &error.into())], None),
        Ok(None) => ([free(), CheckRecord::ok(JOURNAL, "none yet; the first run makes it")], None),
        Ok(Some(journal)) => match read(journal, &site.target) {
            Ok((record, key_field)) => ([free(), record], key_field),
            Err(error) => ([free(), failed(JOURNAL, &error.into())], None),
        },
    };
    JournalFound { records, key_field }
}

/// Reads the ledger to its end, every checksum of it.
fn read(journal: Journal, target: &str) -> Result<(CheckRecord, Option<FieldKind>), JournalError> {
    let (mut subjects, mut in_doubt, mut cleared) = (0_u64, 0_u64, 0_u64);
    let open = open_tags(&journal)?;
    let mut is_resumable = false;
    for entry in journal.ledger()? {
        let entry = entry?;
        subjects += 1;
        let (is_in_doubt, is_cleared) =
            (!entry.in_doubt.is_empty(), !entry.cleared_first().fields.is_empty());
        in_doubt += u64::from(is_in_doubt);
        cleared += u64::from(is_cleared);
        is_resumable |= (is_in_doubt || is_cleared) && open.contains(&entry.subject.tag());
    }
    let key_field = if target.is_empty() { None } else { journal.target_key(target)? };
    journal.finish()?;
    let mut says = format!("whole; the ledger knows {}", plural(subjects, "subject"));
    if let Some(key) = key_field {
        says.push_str(&format!("; the key field of this target is {key}"));
    }
    let is_well = in_doubt + cleared == 0;
    if in_doubt > 0 {
        says.push_str(&format!(
            "; runs that did not end in order left {} in doubt",
            plural(in_doubt, "subject")
        ));
    }
    if cleared > 0 {
        let subjects = plural(cleared, "subject");
        says.push_str(&format!("; {subjects} cleared to break a swap got nothing since"));
    }
    let record = if is_well {
        CheckRecord::ok(JOURNAL, says)
    } else {
        let hint = if is_resumable {
            "run the interrupted command again; it resumes"
        } else {
            "no run is left to be resumed: send rows for these subjects, or `simsync replay` the run that left them"
        };
        CheckRecord::warning(JOURNAL, says, Some(hint))
    };
    Ok((record, key_field))
}

/// The tags of subjects at targets where a batch was begun to be sent and is open: its command, run again, resumes it.
fn open_tags(journal: &Journal) -> Result<HashSet<SubjectTag>, JournalError> {
    let targets = journal.index()?.targets;
    let open = targets.iter().filter(|fact| fact.open.iter().any(|batch| batch.delivered));
    Ok(open.filter_map(|fact| Some(journal.key().subjects(&fact.target, fact.key?).tag())).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::report::CheckStatus;

    #[test]
    fn a_clock_is_held_against_the_past_and_the_server() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = at(1_800_000_000);
        for (now, server, status, says) in [
            (at(0), None, CheckStatus::Failed, "long past"),
            (now, None, CheckStatus::Ok, "2027-01-15T08:00:00Z"),
            (now, Some(at(1_800_000_060)), CheckStatus::Ok, "as the server's"),
            (now, Some(at(1_800_000_061)), CheckStatus::Warning, "behind"),
            (now, Some(at(1_799_990_000)), CheckStatus::Warning, "ahead of"),
        ] {
            let record = clock_at(now, server);
            assert_eq!(record.status, status, "{record:?}");
            assert!(record.says.contains(says), "{record:?}");
        }
    }
}
