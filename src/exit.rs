//! The exit codes of the program, and what each means to a scheduler.
//!
//! Not here: which error leads to which code; every error type says that itself, in its own room.

/// Exit code of a run. Small numbers, stable, part of the contract; unknown codes must be treated as failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything settled and synced, or nothing to do.
    Success = 0,
    /// Unexpected error.
    Unexpected = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Finished; some rows rejected, failed, in conflict, held, superseded or in doubt (`plan`: would be).
    RowsLeft = 3,
    /// Stopped by a gate, an error budget, or a server that refuses everything.
    Stopped = 4,
    /// The API is down, not to be reached, or keeps pushing back; run again to resume.
    Temporary = 5,
    /// Input unusable: missing, unreadable, undecodable, changed while running.
    Input = 6,
    /// Stopped at a limit that was asked for; run again to resume.
    Limit = 8,
    /// Configuration invalid.
    Config = 10,
    /// Another run holds the journal.
    Locked = 11,
    /// Token refused.
    Token = 12,
    /// Journal unusable.
    Journal = 13,
    /// Interrupted by SIGINT after a clean drain; run again to resume.
    Interrupted = 130,
    /// Interrupted by SIGTERM after a clean drain; run again to resume.
    Terminated = 143,
}

impl Exit {
    /// All codes, for the tables in help and README.
    pub const ALL: [Exit; 14] = [
        Exit::Success,
        Exit::Unexpected,
        Exit::Usage,
        Exit::RowsLeft,
        Exit::Stopped,
        Exit::Temporary,
        Exit::Input,
        Exit::Limit,
        Exit::Config,
        Exit::Locked,
        Exit::Token,
        Exit::Journal,
        Exit::Interrupted,
        Exit::Terminated,
    ];

    /// The number.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Meaning, as design and help print it.
    pub const fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "everything settled and synced, or nothing to do",
            Exit::Unexpected => "unexpected error",
            Exit::Usage => "usage",
            Exit::RowsLeft => {
                "finished; some rows rejected, failed, in conflict, held, superseded or in doubt (plan: would be)"
            }
            Exit::Stopped => "stopped by a gate, an error budget, or a server that refuses everything",
            Exit::Temporary => {
                "temporary: the API is down, not to be reached, or keeps pushing back; run again to resume"
            }
            Exit::Input => "input unusable: missing, unreadable, undecodable, changed while running",
            Exit::Limit => "stopped at a limit that was asked for; run again to resume",
            Exit::Config => "configuration invalid",
            Exit::Locked => "another run holds the journal",
            Exit::Token => "token refused",
            Exit::Journal => "journal unusable",
            Exit::Interrupted => "interrupted (SIGINT) after a clean drain; run again to resume",
            Exit::Terminated => "interrupted (SIGTERM) after a clean drain; run again to resume",
        }
    }
}
