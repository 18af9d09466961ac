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

pub(crate) const RUNS: &str = "\
Examples:
  simsync runs
  simsync runs --json --state /var/lib/simsync";

pub(crate) const SHOW: &str = "\
Examples:
  simsync show latest
  simsync show 20260801T011500Z-4711 --json";

pub(crate) const DOCTOR: &str = "\
Examples:
  simsync doctor                         look at everything a run needs; nothing is sent but a HEAD without the token
  simsync doctor --json | jq 'select(.status == \"failed\")'
  simsync doctor --probe export.csv      send the first valid row, and find the envelope the API understands

Exit codes: 0 all is well, warnings or not; otherwise that of the first failure: 5 the API cannot be reached, 6 the input
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
