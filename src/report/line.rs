//! Text for people while the run lasts: a status line now and then where no bar can be, and the few things that have
//! to be said at once.
//!
//! Not here: the bar (`progress.rs`), the end (`summary.rs`).

use crate::event::{Event, Stamped};
use crate::report::console::Console;
use crate::report::options::ReportOptions;
use crate::report::style::{clean, plural, span};
use crate::report::{Reporter, View};

/// Notices said at once; more of them only stand in the summary's file.
const NOTICES_MAX: u32 = 50;

/// Writes lines to standard error.
pub(super) struct Lines {
    console: Console,
    /// Milliseconds between two status lines; 0 for none.
    every_ms: u64,
    written_ms: u64,
    says_pauses: bool,
    notices: u32,
}

impl Lines {
    /// Lines as the options want them: no status lines where there is a bar.
    pub(super) fn new(console: Console, options: &ReportOptions) -> Lines {
        let every_ms = if options.has_bar() { 0 } else { options.status_every_ms };
        Lines { console, every_ms, written_ms: 0, says_pauses: options.verbose > 0, notices: 0 }
    }

    fn notice(&mut self, text: &str) {
        self.notices += 1;
        if self.notices <= NOTICES_MAX {
            self.console.line(&format!("{} {}", self.console.paint().yellow("note:"), clean(text)));
        }
    }

    fn say(&mut self, event: &Event) {
        match event {
            Event::Noticed { text } | Event::Warned { text } => self.notice(text),
            Event::DrainStarted { reason, in_flight, .. } => {
                let waiting = match *in_flight {
                    0 => String::new(),
                    some => format!(
                        "; waiting for {} on the wire (once more to stop now)",
                        plural(some, "request")
                    ),
                };
                self.console.line(&format!("stopping: {}{waiting}", clean(reason)));
            }
            Event::LaterPassStarted { about, updates } => {
                self.console.line(&format!("next pass: {about}, {}", plural(*updates, "update")));
            }
            Event::Paused { reason, for_ms } if self.says_pauses => {
                let long = for_ms.map_or_else(String::new, |for_ms| format!(" for {}", span(for_ms)));
                self.console.line(&format!("paused{long}: {reason}"));
            }
            // Gates stand in the summary, where nobody overlooks them; everything else is a number.
            Event::RunStarted(_)
            | Event::InputOpened { .. }
            | Event::Progressed { .. }
            | Event::RuleApplied { .. }
            | Event::RowRejected { .. }
            | Event::ColumnsMapped { .. }
            | Event::LinesSkipped { .. }
            | Event::ColumnAlarmed(_)
            | Event::RowFiltered { .. }
            | Event::PlanMade(_)
            | Event::GateTripped { .. }
            | Event::DeliveryStarted { .. }
            | Event::AttemptEnded { .. }
            | Event::UpdateSynced { .. }
            | Event::UpdateFailed { .. }
            | Event::UpdateDeferred { .. }
            | Event::UpdateInDoubt { .. }
            | Event::Paused { .. }
            | Event::LimitChanged { .. }
            | Event::SubjectsCleared { .. }
            | Event::SwapBroken
            | Event::RowsSetAside
            | Event::Slowed { .. }
            | Event::Resumed
            | Event::StatusAsked
            | Event::Committed { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}

impl Reporter for Lines {
    fn on_event(&mut self, stamped: &Stamped, view: &View<'_>) {
        self.say(&stamped.event);
        self.on_tick(view);
    }

    fn on_tick(&mut self, view: &View<'_>) {
        let stats = view.stats;
        if self.every_ms > 0 && stats.at_ms >= self.written_ms + self.every_ms && stats.exit_code.is_none() {
            self.written_ms = stats.at_ms;
            self.console.line(&status(view));
        }
    }
}

/// The status line, as `SIGUSR1` shows it too.
pub(super) fn status(view: &View<'_>) -> String {
    let glance = view.glance();
    format!("{} {}: {}", super::style::clock(glance.at_ms), glance.phase, glance.text())
}
