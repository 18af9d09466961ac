//! Records instead of requests: `journal adopt`, the job with survey, plan and gates as `sync` has them; and what
//! every job confirms of rows that change nothing.
//!
//! Not here: the job's other steps (`job.rs`), the recording (`deliver/adopt.rs`, `deliver/confirm.rs`).

use std::ffi::OsString;

use super::common::console;
use super::fatal::Fatal;
use super::job::{Job, Surveyed};
use super::parts;
use super::plan_file::Task;
use super::start::{Lifted, Work, next_commands, run_job};
use crate::deliver::{self, Adoption, Confirmation, Delivered, Stopped};
use crate::engine::clock;
use crate::event::Event;
use crate::exit::Exit;
use crate::journal::Journal;
use crate::plan::InDoubtPolicy;
use crate::report::NextCommands;
use crate::settings::{self, Flags, Surroundings};
use crate::survey::{Emitter, Judge};

/// Runs the command. `args` are as typed, to be named in hints.
pub(super) fn adopt(
    flags: &Flags,
    around: &Surroundings,
    inputs: &[String],
    args: &[OsString],
) -> Result<Exit, Fatal> {
    let resolved = settings::resolve(flags, around)?;
    let mut settings = resolved.settings;
    settings.run.adopt = true;
    // What is said to be applied is what stands at the API now: nothing of the journal is newer.
    settings.run.new_batch = true;
    // What was refused, or is in doubt, is said to be applied as well.
    settings.run.retry_failed = true;
    settings.plan.in_doubt = InDoubtPolicy::Resend;
    let console = console(&settings)?;
    for warning in &resolved.warnings {
        tracing::warn!("{warning}");
    }
    // As for a plan: no token, and no sandbox to send to.
    let destination = parts::destination(&settings, true)?;
    // The run itself is begun again as it was; what it left out was never applied, and must be sent.
    let adopting = next_commands(args, inputs, &Task::SYNC, Lifted::default());
    let sending = next_commands(&sending_args(args), inputs, &Task::SYNC, Lifted::default());
    let commands = NextCommands { again: adopting.again, unlimited: adopting.unlimited, ..sending };
    let work = Work { inputs, task: Task::SYNC, replay: None, commands };
    let reload = || Err("nothing is sent".to_owned());
    run_job(&settings, destination, work, console, Box::new(reload))
}

/// The words of the command with `sync` for `journal adopt`.
fn sending_args(args: &[OsString]) -> Vec<OsString> {
    let mut words = args.to_vec();
    if let Some(at) = words.windows(2).position(|two| two[0] == "journal" && two[1] == "adopt") {
        words.splice(at..at + 2, [OsString::from("sync")]);
    }
    words
}

impl Job<'_> {
    /// Records what the export says again of subjects whose updates have failed since; why the run stops there, if it
    /// does.
    pub(super) fn confirm(
        &mut self,
        surveyed: &Surveyed,
        judge: &Judge<'_>,
        journal: &Journal,
    ) -> Option<Stopped> {
        deliver::confirm(Confirmation {
            inputs: &mut self.inputs,
            judge: judge.again(),
            plan: &surveyed.plan,
            batch: surveyed.batch.seq,
            writer: journal.writer(),
            signals: self.signals.clone(),
        })
    }

    /// Records what the plan would send.
    pub(super) fn adopt(
        &mut self,
        surveyed: &Surveyed,
        judge: &Judge<'_>,
        journal: &Journal,
        emitter: &mut Emitter<'_>,
    ) -> Delivered {
        let adoption = Adoption {
            inputs: &mut self.inputs,
            judge: judge.again(),
            plan: &surveyed.plan,
            batch: surveyed.batch.seq,
            writer: journal.writer(),
            rows_folding_max: crate::plan::ROWS_HELD_MAX_DEFAULT,
            signals: self.signals.clone(),
            now_s: clock::wall_s,
        };
        let delivered = deliver::adopt(adoption, emitter);
        let text = "nothing was sent: what the plan would have sent is recorded as acknowledged".to_owned();
        emitter.emit(Event::Noticed { text });
        delivered
    }
}
