//! What the benches share: rounds in turn, medians, and the line that says where.
//!
//! Contestants take turns within every round, so that a machine that slows down slows all of them; figures are medians
//! over the rounds, ratios are medians of the ratios within a round. No figure is asserted anywhere.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rounds measured, unless `--rounds` says otherwise.
const ROUNDS: usize = 5;

/// Rows when cargo only wants to see that the bench runs (`cargo test --benches`).
const ROWS_SMOKE: u64 = 2_000;

/// How a bench was called.
pub(crate) struct Bench {
    name: &'static str,
    /// Rows (or records) of one round.
    pub(crate) rows: u64,
    pub(crate) rounds: usize,
    /// What the names of contestants have to hold, beside the first one's.
    pub(crate) only: Option<String>,
}

/// A contestant: its name, and what it does in one round, timing itself.
pub(crate) type Contestant<'a> = (&'static str, Box<dyn FnMut() -> Duration + 'a>);

impl Bench {
    /// Reads `--rows N`, `--rounds N` and `--only TEXT`. Without cargo's `--bench` everything is small: it is no
    /// measurement then.
    pub(crate) fn from_args(name: &'static str, rows: u64) -> Bench {
        let args: Vec<String> = std::env::args().collect();
        let number = |flag: &str| {
            let at = args.iter().position(|arg| arg == flag)?;
            args.get(at + 1)?.parse::<u64>().ok()
        };
        let is_bench = args.iter().any(|arg| arg == "--bench");
        let rows = number("--rows").unwrap_or(if is_bench { rows } else { ROWS_SMOKE });
        let rounds = number("--rounds").unwrap_or(if is_bench { ROUNDS as u64 } else { 1 });
        let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1)).cloned();
        Bench { name, rows: rows.max(1), rounds: usize::try_from(rounds).unwrap_or(ROUNDS).max(1), only }
    }

    /// A path for the bench's files, on the disk of the build.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", self.name))
    }

    /// Lets the contestants take turns, and prints medians and ratios to the first of them.
    pub(crate) fn run(&self, unit: &str, mut contestants: Vec<Contestant<'_>>) {
        self.headline();
        if let Some(only) = &self.only {
            let mut place = 0;
            contestants.retain(|(name, _)| {
                place += 1;
                place == 1 || name.contains(only.as_str())
            });
        }
        let mut seconds = vec![Vec::new(); contestants.len()];
        // The round before the first fills caches and is not counted.
        for round in 0..=self.rounds {
            for (times, (_, once)) in seconds.iter_mut().zip(&mut contestants) {
                let time = once().as_secs_f64();
                if round > 0 {
                    times.push(time);
                }
            }
        }
        for ((name, _), times) in contestants.iter().zip(&seconds) {
            let ratios: Vec<f64> = seconds[0].iter().zip(times).map(|(first, own)| first / own).collect();
            say(&format!(
                "{name:<44} {:>12} {unit}/s   {:.2} of the first   (rounds: {})",
                grouped(self.rows, median(times)),
                median(&ratios),
                times.iter().map(|time| format!("{time:.2} s")).collect::<Vec<_>>().join(", "),
            ));
        }
    }

    /// Says which machine this is, and how the bench was called.
    pub(crate) fn headline(&self) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
        let model = model.trim_start_matches([' ', '\t', ':']);
        let system = (std::env::consts::OS, std::env::consts::ARCH);
        say(&format!("machine: {cores} cores, {model}, {} {}", system.0, system.1));
        say(&format!(
            "command: cargo bench --bench {} -- --rows {} --rounds {}",
            self.name, self.rows, self.rounds
        ));
    }
}

/// Times something.
pub(crate) fn timed(once: impl FnOnce()) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a bench is about nothing but the clock")]
    let began = Instant::now();
    once();
    began.elapsed()
}

/// The middle one; of an even count, the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[half - 1], sorted[half]) } else { sorted[half] }
}

/// Prints a line of the result.
#[expect(clippy::print_stdout, reason = "a bench's result is what it prints")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// So many in so long, per second, with its thousands set apart.
fn grouped(count: u64, seconds: f64) -> String {
    let digits = format!("{:.0}", count as f64 / seconds);
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
