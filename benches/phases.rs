//! Where the time of a commit goes: the journal tells when each phase is over, and this listens. Beside it, what the
//! disk itself takes for the same writes.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::rounds::{say, timed};

/// What the journal calls these events.
const TARGET: &str = "simsync::journal::commit";

/// Commits of the disk's own figure, and bytes of each: as many as a commit at the pace has.
const FLOOR_COMMITS: u64 = 300;
const FLOOR_BYTES: usize = 96 * 1024;

/// Time between two of them.
const FLOOR_EVERY: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Phases {
    last: Option<Instant>,
    begun: Option<Instant>,
    /// Milliseconds of each phase of each commit, and of the whole.
    ms: BTreeMap<&'static str, Vec<f64>>,
}

static PHASES: Mutex<Phases> = Mutex::new(Phases { last: None, begun: None, ms: BTreeMap::new() });

/// Names of phases in their order; the first begins a commit.
const NAMES: [&str; 6] = ["begin", "pack", "write", "flush", "sync", "watermark"];

/// Listens from now on.
pub(crate) fn listen() {
    tracing::subscriber::set_global_default(Listener).expect("nobody listens yet");
}

/// Forgets what was heard.
pub(crate) fn forget() {
    *PHASES.lock().unwrap_or_else(PoisonError::into_inner) = Phases::default();
}

/// Says what was heard.
pub(crate) fn phases_said() {
    let phases = PHASES.lock().unwrap_or_else(PoisonError::into_inner);
    for name in NAMES.iter().skip(1).chain(&["whole"]) {
        if let Some(ms) = phases.ms.get(name) {
            say(&format!("  a commit, {name:<10} {}", percentiles(ms.clone())));
        }
    }
}

/// Median, 99th percentile and worst.
pub(crate) fn percentiles(mut ms: Vec<f64>) -> String {
    ms.sort_by(f64::total_cmp);
    let at = |share: usize| ms.get((ms.len() * share / 100).min(ms.len().saturating_sub(1))).copied();
    let [median, most, worst] = [50, 99, 100].map(|share| at(share).unwrap_or(f64::NAN));
    format!("median {median:.2} ms, 99th percentile {most:.2} ms, worst {worst:.2} ms of {}", ms.len())
}

/// What a commit takes at least: as many bytes appended and synced, then a slot of a second file written and synced.
pub(crate) fn floor(path: &Path) {
    let (log, slots) = (path.with_extension("log"), path.with_extension("slots"));
    let files = [&log, &slots].map(|path| File::create(path).expect("the build's directory can be written"));
    let bytes = vec![7; FLOOR_BYTES];
    let mut ms = Vec::new();
    for commit in 0..FLOOR_COMMITS {
        let time = timed(|| {
            files[0].write_all_at(&bytes, commit * FLOOR_BYTES as u64).expect("the disk has room");
            files[0].sync_data().expect("the disk can sync");
            files[1].write_all_at(&bytes[..128], commit % 2 * 4096).expect("the disk has room");
            files[1].sync_data().expect("the disk can sync");
        });
        ms.push(time.as_secs_f64() * 1e3);
        std::thread::sleep(FLOOR_EVERY.saturating_sub(time));
    }
    say(&format!("  the disk alone, two files synced  {}", percentiles(ms)));
    for path in [log, slots] {
        std::fs::remove_file(path).expect("it was written above");
    }
}

struct Listener;

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Heard);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Heard;

impl Visit for Heard {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() != "phase" {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a bench is about nothing but the clock")]
        let now = Instant::now();
        let mut phases = PHASES.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(name) = NAMES.into_iter().find(|name| *name == value) else { return };
        if name == NAMES[0] {
            phases.begun = Some(now);
        } else if let Some(last) = phases.last {
            phases.ms.entry(name).or_default().push((now - last).as_secs_f64() * 1e3);
        }
        if let Some(begun) = phases.begun.filter(|_| name == NAMES[NAMES.len() - 1]) {
            phases.ms.entry("whole").or_default().push((now - begun).as_secs_f64() * 1e3);
        }
        phases.last = Some(now);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}
