//! What the campaign kills: an export under a policy, with settings that fold the log and spill the survey early or late, and
//! the updates that must come of it.
//!
//! Not here: killing (`main.rs`), and what is checked afterwards (`aftermath.rs`).

use std::collections::BTreeMap;

use simsync::row::Version;

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
    pub(crate) args: Vec<&'static str>,
    /// Exit code of a run that comes to its end.
    pub(crate) code: i32,
    /// The number of the batch whose runs are killed.
    pub(crate) batch: u64,
    /// By subject, in the order in which they are sent.
    pub(crate) updates: BTreeMap<String, Vec<Update>>,
    text: String,
}

impl Plan {
    /// A plan by chance, of so many rows.
    pub(crate) fn draw(rows: u32, chance: &mut Chance) -> Plan {
        let policy = match chance.below(4) {
            0 | 1 => Policy::Fold,
            2 => Policy::Each,
            _ => Policy::Full,
        };
        let (text, code) = match policy {
            Policy::Fold | Policy::Full => (Export::new(rows).text, 3),
            Policy::Each => (rounds(rows), 0),
        };
        let mut args = vec!["export.csv"];
        match policy {
            Policy::Fold => {}
            Policy::Each => args.extend(["--duplicates", "each"]),
            Policy::Full => args.push("--full"),
        }
        let batch = if policy == Policy::Full { 2 } else { 1 };
        let (folds_often, spills) = (chance.below(2) == 0, chance.below(2) == 0);
        let updates = updates(&text, policy);
        Plan { policy, folds_often, spills, args, code, batch, updates, text }
    }

    /// Writes the files, and does what comes before the runs that are killed.
    pub(crate) fn prepare(&self, ws: &Workspace) {
        ws.write("export.csv", &self.text);
        let mut settings = String::new();
        if self.folds_often {
            settings += "[journal]\nlog_max = \"16KiB\"\n";
        }
        if self.spills {
            settings += "[plan]\nmemory_max = \"1MiB\"\n";
        }
        ws.configure(&settings);
        if self.policy == Policy::Full {
            ws.sync(&["export.csv"]).expect(3).expect_books();
        }
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

/// The updates of an export, read off its text.
fn updates(text: &str, policy: Policy) -> BTreeMap<String, Vec<Update>> {
    let mut updates: BTreeMap<String, Vec<Update>> = BTreeMap::new();
    for (ordinal, line) in (1..).zip(text.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').collect();
        if cells[1] == "12" {
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
