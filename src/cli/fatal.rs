//! What ends a command before its end: message, cause, hint and exit code, from every room's own error.
//!
//! Not here: how it is printed (`report/`), and what stops a delivery that had begun (`deliver::Stopped`).

use std::error::Error;
use std::io;

use crate::api::{ApiError, TokenError};
use crate::deliver::{DeliverError, RowsError, Stopped};
use crate::engine::clock;
use crate::event::Event;
use crate::exit::Exit;
use crate::fields::RuleSetError;
use crate::input::SourceError;
use crate::journal::{JournalError, JournalErrorKind};
use crate::plan::BesideError;
use crate::report::{Explanation, FileRecord, ReportError, with_paths};
use crate::settings::ConfigError;
use crate::survey::{Emitter, FinishError, GatherError, SurveyError};

/// Why a command ends.
#[derive(Debug)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// Message, causes and hint.
    pub explanation: Explanation,
}

/// A message that no room's error carries.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message(String);

impl Fatal {
    /// One with no cause behind it.
    pub fn new(exit: Exit, message: impl Into<String>, hint: impl Into<String>) -> Fatal {
        Fatal::of(exit, &Message(message.into()), hint)
    }

    /// With more to its hint.
    pub(super) fn adding(mut self, more: Option<String>) -> Fatal {
        if let Some(more) = more {
            let hint = self.explanation.hint.take().map_or_else(String::new, |hint| hint + "; ");
            self.explanation.hint = Some(hint + &more);
        }
        self
    }

    /// With the paths of the run's files that its hint names.
    pub(super) fn name_files(&mut self, files: &[FileRecord]) {
        let hint = &mut self.explanation.hint;
        *hint = hint.take().map(|hint| with_paths(&hint, files));
    }

    fn of(exit: Exit, error: &(dyn Error + 'static), hint: impl Into<String>) -> Fatal {
        Fatal { exit, explanation: Explanation::of(error, exit, Some(hint.into())) }
    }
}

/// What stopped the run is what the operator has to know first; that there are no row files is only noticed, because
/// the next run lists the rows again.
pub(super) fn first_told(stop: Fatal, written: Result<(), Fatal>, emitter: &mut Emitter<'_>) -> Fatal {
    if let Err(fatal) = written {
        emitter.emit(Event::Noticed { text: format!("no row files: {}", fatal.explanation.message) });
    }
    stop
}

impl From<ConfigError> for Fatal {
    fn from(error: ConfigError) -> Fatal {
        Fatal::of(error.exit(), &error, error.remedy())
    }
}

impl From<RuleSetError> for Fatal {
    fn from(error: RuleSetError) -> Fatal {
        Fatal::of(Exit::Config, &error, error.remedy())
    }
}

impl From<SourceError> for Fatal {
    fn from(error: SourceError) -> Fatal {
        Fatal::of(Exit::Input, &error, error.remedy())
    }
}

impl From<SurveyError> for Fatal {
    fn from(error: SurveyError) -> Fatal {
        match error {
            SurveyError::Source(error) => error.into(),
            SurveyError::Stopped(stop) => Fatal::from(&Stopped::Signal(stop)),
            SurveyError::Gather(error) => error.into(),
        }
    }
}

impl From<BesideError> for Fatal {
    fn from(error: BesideError) -> Fatal {
        Fatal::of(Exit::Unexpected, &error, "look at the disk of the state directory, and run again")
    }
}

impl From<GatherError> for Fatal {
    fn from(error: GatherError) -> Fatal {
        Fatal::of(error.exit(), &error, error.remedy())
    }
}

impl<E: Into<Fatal>> From<FinishError<E>> for Fatal {
    fn from(error: FinishError<E>) -> Fatal {
        match error {
            FinishError::Gather(error) => error.into(),
            FinishError::Ledger(error) => error.into(),
        }
    }
}

impl From<std::convert::Infallible> for Fatal {
    fn from(never: std::convert::Infallible) -> Fatal {
        match never {}
    }
}

impl From<JournalError> for Fatal {
    fn from(error: JournalError) -> Fatal {
        let exit = match error.kind() {
            JournalErrorKind::Locked => Exit::Locked,
            JournalErrorKind::Unusable | JournalErrorKind::Io => Exit::Journal,
            JournalErrorKind::Internal => Exit::Unexpected,
        };
        if let JournalError::Locked { holder: Some(holder) } = &error {
            let since = clock::rfc3339(holder.since_s);
            let (pid, host, run) = (holder.pid, &holder.host, &holder.run_id);
            let message =
                format!("another run holds the journal: process {pid} on {host}, run {run}, since {since}");
            return Fatal::new(exit, message, error.remedy());
        }
        Fatal::of(exit, &error, error.remedy())
    }
}

impl From<TokenError> for Fatal {
    fn from(error: TokenError) -> Fatal {
        Fatal::of(Exit::Config, &error, error.remedy())
    }
}

impl From<ApiError> for Fatal {
    fn from(error: ApiError) -> Fatal {
        Fatal::of(Exit::Config, &error, error.remedy())
    }
}

impl From<ReportError> for Fatal {
    fn from(error: ReportError) -> Fatal {
        Fatal::of(error.exit(), &error, error.remedy())
    }
}

impl From<RowsError> for Fatal {
    fn from(error: RowsError) -> Fatal {
        match error {
            RowsError::Source(error) => error.into(),
            RowsError::Report(error) => error.into(),
            RowsError::Plan(error) => error.into(),
            RowsError::Fates(ref fates) => {
                let remedy = format!(
                    "{}; then run the same command again: nothing is lost, for what was sent is in the journal, and what \
                     failed is listed again",
                    fates.remedy()
                );
                Fatal::of(Exit::Unexpected, &error, remedy)
            }
            RowsError::Stopped(stopped) => Fatal::from(&stopped),
        }
    }
}

impl From<DeliverError> for Fatal {
    fn from(error: DeliverError) -> Fatal {
        match error {
            DeliverError::Api(error) => error.into(),
            DeliverError::Thread(error) => Fatal::of(
                Exit::Unexpected,
                &error,
                "raise the limits of processes and open files for this user",
            ),
        }
    }
}

impl From<&Stopped> for Fatal {
    fn from(stopped: &Stopped) -> Fatal {
        Fatal::new(stopped.exit(), stopped.to_string(), stopped.remedy())
    }
}

impl From<io::Error> for Fatal {
    fn from(error: io::Error) -> Fatal {
        Fatal::of(Exit::Unexpected, &error, "look at the message above; nothing was sent because of it")
    }
}
