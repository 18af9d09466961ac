//! What the campaign kills: an export under a policy, with settings that fold the log and spill the survey early or
//! late, and the updates that must come of it.
//!
//! Not here: killing (`main.rs`), and what is checked afterwards (`aftermath.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use simsync::row::Version;
use simsync::sandbox::{Faults, Uniqueness};

use crate::Chance;
use crate::support::{Workspace, imei};
use crate::witness::{Export, number};

/// Rows of each subject under `each`.
const ROUNDS: u32 = 20;

/// How an export is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Policy {
    /// Rows of a subject fold.
    Fold,
    /// Every row is sent.
    Each,
    /// Everything was acknowledged before, and is sent again.
    Full,
    /// A saved plan is carried out.
    Saved,
    /// Everything was refused before, and is replayed.
    Replay,
    /// Subjects take each other's numbers, release before assign; true swaps among them are held back.
    Chains,
    /// An export is recorded as applied, and nothing is sent.
    Adopt,
}

/// An update that must be sent.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    /// Ordinal of the row that carries it.
    pub(crate) ordinal: u64,
    /// What tells it from the others of its subject on the wire.
    pub(crate) class: String,
}

/// An export and what must come of it.
pub(crate) struct Plan {
    pub(crate) policy: Policy,
    /// Whether the log is folded again and again in the middle of a run.
    pub(crate) folds_often: bool,
    /// Whether the survey has next to no memory.
    pub(crate) spills: bool,
    /// The command that is killed, and run again.
    pub(crate) args: Vec<String>,
    /// Exit code of a run that comes to its end.
    pub(crate) code: i32,
    /// The number of the batch whose rows are sent by the runs that are killed.
    pub(crate) batch: u64,
    /// By subject, in the order in which they are sent.
    pub(crate) updates: BTreeMap<String, Vec<Update>>,
    /// Every subject of the export, also those of which nothing is sent.
    pub(crate) subjects: BTreeSet<String>,
    text: String,
    /// The export of before, if there was one.
    before: Option<String>,
}

impl Plan {
    /// A plan by chance, of so many rows.
    pub(crate) fn draw(rows: u32, chance: &mut Chance) -> Plan {
        let policy = match chance.below(9) {
            0 | 1 => Policy::Fold,
            2 => Policy::Each,
            3 => Policy::Full,
            4 => Policy::Saved,
            5 => Policy::Replay,
            6 | 7 => Policy::Chains,
            _ => Policy::Adopt,
        };
        let (text, code) = match policy {
            Policy::Fold | Policy::Full | Policy::Saved | Policy::Adopt => (Export::new(rows).text, 3),
            // The rejected rows are not replayed.
            Policy::Replay => (Export::new(rows).text, 0),
            Policy::Each => (rounds(rows), 0),
            Policy::Chains => (chains(rows), 3),
        };
        let words: &[&str] = match policy {
            Policy::Fold => &["sync", "export.csv"],
            // Most of the known subjects change.
            Policy::Chains => &["sync", "export.csv", "--yes"],
            Policy::Each => &["sync", "export.csv", "--duplicates", "each"],
            Policy::Full => &["sync", "export.csv", "--full"],
            Policy::Saved => &["sync", "--plan", "plan.json"],
            Policy::Adopt => &["journal", "adopt", "export.csv"],
            // The run is named once it has been.
            Policy::Replay => &["replay"],
        };
        let args = words.iter().map(|word| (*word).to_owned()).collect();
        let batch = match policy {
            Policy::Fold | Policy::Each | Policy::Saved | Policy::Adopt => 1,
            Policy::Full | Policy::Replay | Policy::Chains => 2,
        };
        let before = match policy {
            Policy::Fold | Policy::Each | Policy::Saved | Policy::Adopt => None,
            Policy::Full => Some(text.clone()),
            Policy::Replay => Some("crm id,mobile,imei,tier\nC-000000,,,gold\n".to_owned()),
            Policy::Chains => Some(holders(rows)),
        };
        let (folds_often, spills) = (chance.below(2) == 0, chance.below(2) == 0);
        let updates = updates(&text, policy);
        let subjects =
            text.lines().skip(1).filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect();
        Plan { policy, folds_often, spills, args, code, batch, updates, subjects, text, before }
    }

    /// Writes the files, and does what comes before the runs that are killed.
    pub(crate) fn prepare(&mut self, ws: &Workspace) {
        ws.write("export.csv", &self.text);
        let mut settings = String::new();
        if self.folds_often {
            settings += "[journal]\nlog_max = \"16KiB\"\n";
        }
        if self.spills {
            settings += "[plan]\nmemory_max = \"1MiB\"\n";
        }
        if self.policy == Policy::Replay {
            // All that is to be replayed is refused first, with one complaint.
            settings += "[delivery]\nrefusals_in_a_row_max = 0\n";
        }
        ws.configure(&settings);
        if let Some(before) = &self.before {
            ws.write("before.csv", before);
            let code = if self.policy == Policy::Full { 3 } else { 0 };
            ws.sync(&["before.csv"]).expect(code).expect_books();
        }
        if self.policy == Policy::Saved {
            ws.run(&["plan", "-o", "plan.json", "--api-url", &ws.sandbox.url(), "export.csv"]).expect(3);
        }
        if self.policy == Policy::Replay {
            let refused = ["basic", "premium"].map(str::to_owned).into();
            ws.fault(Faults { refused_values: refused, ..Faults::default() });
            let run = ws.sync(&["export.csv"]).expect(3).expect_books();
            assert_eq!(run.rows("synced"), 0);
            self.args.push(run.summary()["run_id"].as_str().unwrap().to_owned());
        }
    }

    /// What the server does wrong meanwhile.
    pub(crate) fn faults(&self, chance: &mut Chance) -> Faults {
        let uniqueness =
            if self.policy == Policy::Chains { Uniqueness::Refuse409 } else { Uniqueness::default() };
        let (latency_ms, latency_jitter_ms) = (chance.below(12), chance.below(12));
        Faults { latency_ms, latency_jitter_ms, uniqueness, ..Faults::default() }
    }

    /// The command.
    pub(crate) fn command(&self, ws: &Workspace) -> Command {
        let url = ws.sandbox.url();
        let mut args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        args.extend(["--api-url", &url, "--json"]);
        if self.policy != Policy::Adopt {
            args.extend(["--rate", "unlimited"]);
        }
        ws.command(&args)
    }

    /// Updates in all.
    pub(crate) fn total(&self) -> usize {
        self.updates.values().map(Vec::len).sum()
    }

    /// The version of an update.
    pub(crate) fn version(&self, update: &Update) -> Version {
        Version { batch: self.batch, ordinal: update.ordinal }
    }

    /// In a few words.
    pub(crate) fn name(&self) -> String {
        let mut name = format!("{:?}", self.policy).to_lowercase();
        name += if self.folds_often { ", log_max 16KiB" } else { "" };
        name += if self.spills { ", memory_max 1MiB" } else { "" };
        name
    }
}

/// An export in which every subject has a row in each round.
fn rounds(rows: u32) -> String {
    let mut text = String::from("crm id,mobile,imei,tier\n");
    for round in 0..ROUNDS {
        for serial in 0..rows.div_ceil(ROUNDS) {
            text += &format!("C-{serial:06},{},{},t{round}\n", number(serial), imei(serial));
        }
    }
    text
}

/// Subjects of a chain, of which each takes the number of the next.
const CHAIN: u32 = 5;

/// Of so many chains one is a ring.
const RING_EVERY: u32 = 10;

/// What the rows of a ring say of themselves.
const RING: &str = "ring";

/// An export by which every subject has its own number.
fn holders(rows: u32) -> String {
    let row = |serial| format!("C-{serial:06},{},{},basic\n", number(serial), imei(serial));
    let rows: String = (0..rows).map(row).collect();
    format!("crm id,mobile,imei,tier\n{rows}")
}

/// The next export: in every chain a subject has the number of the one behind it, and the last one a new number; in a
/// ring that of the first.
fn chains(rows: u32) -> String {
    let row = |serial: u32| {
        let (chain, at) = (serial / CHAIN, serial % CHAIN);
        let is_last = at == CHAIN - 1 || serial == rows - 1;
        let is_ring = chain % RING_EVERY == RING_EVERY - 1 && (chain + 1) * CHAIN <= rows;
        let taken = match (is_last, is_ring) {
            (false, _) => number(serial + 1),
            (true, true) => number(chain * CHAIN),
            (true, false) => number(1_000_000 + serial),
        };
        let class = if is_ring { RING } else { "gold" };
        format!("C-{serial:06},{taken},{},{class}\n", imei(serial))
    };
    let rows: String = (0..rows).map(row).collect();
    format!("crm id,mobile,imei,tier\n{rows}")
}

/// The updates of an export, read off its text.
fn updates(text: &str, policy: Policy) -> BTreeMap<String, Vec<Update>> {
    let mut updates: BTreeMap<String, Vec<Update>> = BTreeMap::new();
    for (ordinal, line) in (1..).zip(text.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] == "12" || cells[3] == RING {
            continue;
        }
        let of = updates.entry(cells[0].to_owned()).or_default();
        if policy != Policy::Each {
            of.clear();
        }
        of.push(Update { ordinal, class: cells[3].to_owned() });
    }
    updates
}
