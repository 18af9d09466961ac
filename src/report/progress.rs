//! The progress bar on a terminal. The only door of indicatif.
//!
//! Not here: what it says (`glance.rs`), status lines off a terminal (`line.rs`).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::event::Stamped;
use crate::report::{Reporter, View};

/// Draws per second at most.
const DRAWS_PER_S: u8 = 8;

/// Between two redraws while no event comes: the clock goes on, so that a pause does not look like a hang.
const TICK: Duration = Duration::from_millis(500);

/// Milliseconds of the run between two changes of the text.
const TEXT_EVERY_MS: u64 = 125;

/// The place of the bar on a terminal, shared with everybody who writes to it, so that nobody clobbers the bar.
#[derive(Clone, Default)]
pub(super) struct BarSlot(Arc<Mutex<Option<ProgressBar>>>);

impl BarSlot {
    /// Runs `write` with the bar out of the way, if there is one.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        // Cloned, so that the lock is not held while writing: the writer may block, and the bar draws by itself.
        let bar = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn put(&self, bar: Option<ProgressBar>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }
}

impl fmt::Debug for BarSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarSlot").finish_non_exhaustive()
    }
}

/// The bar: phase, how far, and the figures of the moment.
pub(super) struct Progress {
    bar: ProgressBar,
    slot: BarSlot,
    drawn_ms: Option<u64>,
    phase: &'static str,
}

impl Progress {
    /// A bar on standard error.
    pub(super) fn on_stderr(slot: BarSlot, color: bool) -> Progress {
        Progress::new(ProgressDrawTarget::stderr_with_hz(DRAWS_PER_S), slot, color)
    }

    fn new(target: ProgressDrawTarget, slot: BarSlot, color: bool) -> Progress {
        // Nothing of nothing would be drawn as everything.
        let bar = ProgressBar::with_draw_target(Some(1), target);
        bar.set_prefix("start");
        let template = if color {
            "{prefix:.bold} {elapsed_precise} [{bar:24.green}] {wide_msg}"
        } else {
            "{prefix} {elapsed_precise} [{bar:24}] {wide_msg}"
        };
        // A template that does not parse would be a defect of this line, found by its test; the default does then.
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.enable_steady_tick(TICK);
        slot.put(Some(bar.clone()));
        Progress { bar, slot, drawn_ms: None, phase: "" }
    }

    fn draw(&mut self, view: &View<'_>) {
        let glance = view.glance();
        let (done, of) = glance.position();
        self.bar.set_length(of.max(1));
        self.bar.set_position(done);
        if self.phase != glance.phase {
            self.phase = glance.phase;
            self.bar.set_prefix(glance.phase);
        }
        self.bar.set_message(glance.text());
        self.drawn_ms = Some(view.stats.at_ms);
    }
}

impl Reporter for Progress {
    fn on_event(&mut self, _: &Stamped, view: &View<'_>) {
        self.on_tick(view);
    }

    fn on_tick(&mut self, view: &View<'_>) {
        let is_due = self.drawn_ms.is_none_or(|drawn_ms| view.stats.at_ms >= drawn_ms + TEXT_EVERY_MS);
        if is_due || self.phase != view.stats.phase {
            self.draw(view);
        }
    }

    fn on_end(&mut self, _: &super::Summary) {
        self.slot.put(None);
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.slot.put(None);
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use indicatif::TermLike;

    use super::*;
    use crate::event::Event;
    use crate::report::build::Notes;
    use crate::report::console::Console;
    use crate::report::glance::Recent;
    use crate::report::options::ReportOptions;
    use crate::report::out::Out;
    use crate::stats::Stats;

    /// A terminal that remembers what happened on it, in order.
    #[derive(Debug, Clone, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl Terminal {
        fn note(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.note(text)
        }
        fn clear_line(&self) -> io::Result<()> {
            self.note("<clear>")
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn bar(terminal: &Terminal, slot: &BarSlot) -> Progress {
        Progress::new(ProgressDrawTarget::term_like(Box::new(terminal.clone())), slot.clone(), false)
    }

    #[test]
    fn the_bar_shows_phase_and_figures() {
        let terminal = Terminal::default();
        let mut progress = bar(&terminal, &BarSlot::default());
        let mut stats = Stats::default();
        let event =
            Stamped { at_ms: 1_000, event: Event::Progressed { rows: 10, bytes: 50, bytes_total: 100 } };
        stats.apply(&event);
        stats.phase = "survey";
        let (recent, notes) = (Recent::default(), Notes::default());
        progress.on_event(&event, &View { stats: &stats, recent: &recent, notes: &notes });
        progress.bar.force_draw();
        let seen = terminal.0.lock().unwrap().clone();
        assert!(seen.contains("survey"), "{seen}");
        assert!(seen.contains("[============"), "{seen}");
        assert!(seen.contains("10 rows · 50 % · 10.0/s"), "{seen}");
    }

    impl io::Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.note(std::str::from_utf8(bytes).unwrap())?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_steps_aside_for_lines_and_logs() {
        let terminal = Terminal::default();
        let console = Console::on(Out::to(Box::new(terminal.clone())), &ReportOptions::default());
        let progress = bar(&terminal, &console.bar());
        progress.bar.set_message("figures");
        let mut log = console.log_writer();
        for way in ["a line", "a record"] {
            progress.bar.force_draw();
            terminal.note("|").unwrap();
            if way == "a line" {
                console.line(way);
            } else {
                io::Write::write_all(&mut log, way.as_bytes()).unwrap();
            }
            let seen = terminal.0.lock().unwrap().clone();
            let (before, after) = seen.split_once(way).unwrap();
            let cleared = before.rsplit_once('|').unwrap().1;
            assert!(cleared.contains("<clear>"), "cleared before: {seen}");
            assert!(after.contains("figures"), "drawn again after: {seen}");
        }
        drop(progress);
        terminal.0.lock().unwrap().clear();
        console.line("later");
        assert_eq!(*terminal.0.lock().unwrap(), "later\n", "no bar is left");
    }
}
