//! The long texts of help: examples for each command, and the table of exit codes.
//!
//! Not here: one-line helps; those stand beside their options in `args.rs`.

use std::fmt::Write as _;

use crate::exit::Exit;

pub(crate) const TOP: &str = "\
Examples:
  simsync demo                           the main job against an embedded API, in under a minute
  simsync config init                    write ./simsync.toml to start from
  simsync check export.csv               validate an export
  simsync plan export.csv                what would change; sends nothing
  simsync sync export.csv                send it; run it again to resume

Settings: flag > environment (SIMSYNC_...) > configuration file > default; `simsync config show` tells which.
Empty variables count as not set. Exit codes: see `simsync sync --help`.";

pub(crate) const PLAN: &str = "\
Examples:
  simsync plan export.csv                counts, changes, conflicts, gates and finishing time
  simsync plan --json export.csv | tail -n 1  the summary for a program
  simsync plan export.csv -o tonight.json  save it; `simsync sync --plan tonight.json` carries out this and nothing else

No request is sent and no journal is made. Exit codes are those of `simsync sync --help`: 3 tells that some rows
would be rejected, in conflict or held.";

pub(crate) const CHECK: &str = "\
Examples:
  simsync check export.csv               reasons, counts and first lines of what is wrong
  simsync check --severity imei.luhn=error export.csv
  simsync check export.csv --output verdicts.ndjson  a line of JSON per row, with every cell, in a private file
  simsync check export.csv -o - -q | jq -c 'select(.verdict == \"rejected\")'
  simsync check --codes                  every rule in a line
  simsync check --explain imei.luhn      what a rule means, where it comes from, and how to change it

Exit codes: 0 no row is rejected, 3 some rows are rejected, 6 the input is unusable; all others as in
`simsync sync --help`.";

pub(crate) const REPLAY: &str = "\
Examples:
  simsync replay latest                  what the newest run left failed or in doubt
  simsync replay latest --signature S1   of it, what failed with the first complaint of its summary
  simsync replay 20260801T011500Z-4711 --kind exhausted --kind in-doubt
  simsync replay latest --kind conflict --conflicts send

The rows are read from the run's own failed.csv and in_doubt.csv, corrected there or not, and keep their versions: what
was acknowledged since is not overwritten, and rows that say nothing else are listed in superseded.csv. Give the options
of the run again (--map, --duplicates, ...). Exit codes are those of `simsync sync --help`; a run that left nothing: 0.";

pub(crate) const RUNS: &str = "\
Examples:
  simsync runs
  simsync runs --json --state /var/lib/simsync";

pub(crate) const SHOW: &str = "\
Examples:
  simsync show latest
  simsync show 20260801T011500Z-4711 --json";

pub(crate) const LOOKUP: &str = "\
Examples:
  simsync lookup --number +447700900123  what was last acknowledged, field by field
  simsync lookup --number +447700900123 --imsi 234150000000001  and whether that is the value acknowledged
  simsync lookup --imsi 234150000000001 --json  by a field that is not the key: reads the whole ledger

The journal keeps keyed hashes, no values: it can tell whether a value given is the one acknowledged, and never shows
one. It works while a run is on, from the ledger's last fold, and says as of when.
Exit codes: 0 also when nothing is known of the subject (`found` says which), 2 without a journal or a valid value,
13 when the journal is damaged; all others as in `simsync sync --help`.";

pub(crate) const JOURNAL: &str = "\
Examples:
  simsync journal stats                  what it holds, and how much space it takes
  simsync journal verify                 reads everything; exit 13 and what is lost when something is wrong
  simsync journal compact                gives space back
  simsync journal forget --number +447700900123  removes a subject everywhere (a data-protection request)
  simsync journal forget --before 2026-01-01 --yes  removes old runs
  simsync journal adopt export.csv       records an export as applied without sending it

Exit codes: 2 when there is no journal, 11 while a run holds it, 13 when it is damaged.";

pub(crate) const FORGET: &str = "\
Examples:
  simsync journal forget --number +447700900123
  simsync journal forget --before 2026-01-01        counts what would go, exit 4
  simsync journal forget --before 2026-01-01 --yes

A subject is named by its key field. Its ledger entry, its log records and its rows in the row files of all runs are
removed at every target of the journal, and the store is written anew: afterwards its bytes are in no file of the state
directory. Copies elsewhere (backups, exports) are the operator's. Killed on the way, the same command completes it.
--before removes runs' directories and records, but those of a target's newest batch, open and begun to be sent; the
ledger stays.";

pub(crate) const ADOPT: &str = "\
Examples:
  simsync journal adopt export.csv       for what another tool has sent
  simsync journal adopt last.csv --state new-state  instead of a lost or damaged journal

Name the last export that was wholly applied, never one that was still under way: what it had not sent would be taken
as sent.

Survey, plan and gates are those of sync. Every update that the plan would send is recorded as acknowledged; no request
is made and no token is needed. A sync of the same file sends nothing then. Exit codes as in `simsync sync --help`.";

pub(crate) const DOCTOR: &str = "\
Examples:
  simsync doctor                         look at everything a run needs; nothing is sent but a HEAD without the token
  simsync doctor --json | jq 'select(.status == \"failed\")'
  simsync doctor --probe export.csv      send the first valid row, and find the envelope the API understands

Exit codes: 0 all is well, warnings or not; otherwise that of the gravest failure: 5 the API cannot be reached, 6 the input
is unusable, 10 the configuration or the token's source, 11 another run holds the journal, 12 the token is refused, 13
the state directory or the journal, 4 the API refuses the probe.";

pub(crate) const CONFIG: &str = "\
Examples:
  simsync config init                    write ./simsync.toml, every setting with its default
  simsync config check --config /etc/simsync/config.toml
  simsync config show --json | jq '.settings[] | select(.origin.kind != \"default\")'";

pub(crate) const SANDBOX: &str = "\
Examples:
  simsync sandbox                        prints its address and token; serves until interrupted
  simsync sandbox --listen 127.0.0.1:8080 --faults '{\"latency_ms\": 200}'
  simsync sync --sandbox export.csv      a sandbox for one run alone";

pub(crate) const DEMO: &str = "\
Examples:
  simsync demo
  simsync demo --rows 5000 --state /tmp/simsync-demo

Rejected and failed rows are part of the show: exit code 0. All others as in `simsync sync --help`.";

const SYNC: &str = "\
Examples:
  simsync sync export.csv                survey, gates, deliver
  simsync sync export.csv                the same again resumes what was interrupted
  simsync sync -q --require-rows '/srv/crm/*.csv'  for cron: silent on success
  simsync sync --rate 100/m --map number='Mobile Phone' export.csv
  zcat export.csv.gz | simsync sync --format csv -

The token comes from api.token_file, api.token_command, $CREDENTIALS_DIRECTORY/token or SIMSYNC_TOKEN.
";

/// What follows the options of `sync --help`: examples and exit codes.
pub(crate) fn sync() -> String {
    let mut out = format!("{SYNC}\nExit codes (treat an unknown one as a failure):\n");
    for exit in Exit::ALL {
        writeln!(out, "  {:>3}  {}", exit.code(), exit.meaning()).expect("a String takes every text");
    }
    out.push_str("When several apply, the one that stopped the run wins over 3.");
    out
}
