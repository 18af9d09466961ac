//! Signals, told to whoever drives the run: SIGINT and SIGTERM, which ask it to stop, SIGUSR1 and SIGHUP, which ask for
//! something else.
//!
//! Not here: what they mean; the first of those that stop drains, the second stops now, and that is the driver's to do.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks the run to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Stop {
    /// The exit code that stands for it: 128 and the signal's number.
    pub const fn exit_code(self) -> i32 {
        match self {
            Stop::Interrupt => 130,
            Stop::Terminate => 143,
        }
    }
}

/// A signal that does not stop the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// SIGUSR1: a status line.
    Status,
    /// SIGHUP: the configuration is to be read again.
    Reload,
}

/// Signals after which the process ends at once, whoever listens: somebody is losing patience.
const SIGNALS_MAX: u32 = 4;

type Hook = Box<dyn Fn(Stop) + Send>;

type AskHook = Box<dyn Fn(Ask) + Send>;

/// The signals of this process, from the moment it listens to its end. Whoever works through rows asks now and then
/// whether one [was seen](Signals::seen); the driver is told by its hook.
#[derive(Clone, Default)]
pub struct Signals {
    shared: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    first: Option<Stop>,
    count: u32,
    hook: Option<Hook>,
    ask_hook: Option<AskHook>,
}

impl Signals {
    /// Listens for all of them, on a thread of its own.
    ///
    /// # Errors
    /// When the thread, its runtime or the handlers cannot be made.
    pub fn listen() -> io::Result<Signals> {
        let signals = Signals::default();
        let theirs = signals.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupts, mut terminations, mut statuses, mut reloads) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::user_defined1())?,
                hangups()?,
            )
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async move {
                loop {
                    tokio::select! {
                        _ = interrupts.recv() => theirs.take(Stop::Interrupt),
                        _ = terminations.recv() => theirs.take(Stop::Terminate),
                        _ = statuses.recv() => theirs.ask(Ask::Status),
                        _ = next(&mut reloads) => theirs.ask(Ask::Reload),
                    }
                }
            });
        })?;
        Ok(signals)
    }

    /// The first signal, if there was one.
    pub fn seen(&self) -> Option<Stop> {
        self.lock().first
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.lock().count
    }

    /// Tells every signal from now on to `hook`, and those that came before it at once.
    pub fn tell(&self, hook: impl Fn(Stop) + Send + 'static) {
        let mut seen = self.lock();
        if let Some(stop) = seen.first {
            hook(stop);
        }
        seen.hook = Some(Box::new(hook));
    }

    /// Tells everything asked for from now on to `hook`; what was asked before nobody could have answered.
    pub fn tell_asks(&self, hook: impl Fn(Ask) + Send + 'static) {
        self.lock().ask_hook = Some(Box::new(hook));
    }

    fn ask(&self, ask: Ask) {
        if let Some(hook) = &self.lock().ask_hook {
            hook(ask);
        }
    }

    fn take(&self, stop: Stop) {
        let mut seen = self.lock();
        seen.first.get_or_insert(stop);
        seen.count += 1;
        if seen.count >= SIGNALS_MAX {
            end(stop);
        }
        if let Some(hook) = &seen.hook {
            hook(stop);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps SIGUSR1 and SIGHUP from ending the process before anybody listens: what is asked for then is not answered. The
/// handlers stay until the process ends.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn outlive_asks() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::user_defined1()).map(drop)?;
    hangups().map(drop)
}

/// SIGHUP, unless whoever started the process has it ignored (`nohup`): then it stays so.
fn hangups() -> io::Result<Option<Signal>> {
    if is_hangup_ignored() { Ok(None) } else { signal(SignalKind::hangup()).map(Some) }
}

/// As Linux tells it (proc(5), `SigIgn`); where nobody does, it is not.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
    mask & 1 << (rustix::process::Signal::HUP.as_raw() - 1) != 0
}

/// The next of them; never, where they are ignored.
async fn next(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => signals.recv().await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) fail like one on a full disk. Left alone, SIGXFSZ ends
/// the process without a word (POSIX.1-2017, XSH 2.4.3). The handler stays until the process ends.
///
/// # Errors
/// When the handler cannot be installed.
pub fn let_large_writes_fail() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _inside = runtime.enter();
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signals").field("seen", &self.seen()).finish()
    }
}

/// Ends the process. It is as safe as a kill: what is durable stays, what is open is in doubt.
#[expect(clippy::disallowed_methods, reason = "nobody who asks four times wants to wait for a return")]
fn end(stop: Stop) -> ! {
    std::process::exit(stop.exit_code())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_signal_before_the_hook_is_told_to_it() {
        let signals = Signals::default();
        signals.take(Stop::Terminate);
        assert_eq!((signals.seen(), signals.count()), (Some(Stop::Terminate), 1));
        let (told, heard) = mpsc::channel();
        signals.tell(move |stop| told.send(stop).unwrap());
        signals.take(Stop::Interrupt);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Stop::Terminate, Stop::Interrupt]);
    }

    #[test]
    fn asking_for_something_else_stops_nothing() {
        let signals = Signals::default();
        signals.ask(Ask::Reload);
        let (told, heard) = mpsc::channel();
        signals.tell_asks(move |ask| told.send(ask).unwrap());
        signals.ask(Ask::Status);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [Ask::Status]);
        assert_eq!((signals.seen(), signals.count()), (None, 0));
    }
}
