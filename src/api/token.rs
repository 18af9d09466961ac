//! The token: where it comes from, and the header it becomes.
//!
//! Never printed, in no error, masked in `Debug`. Not here: when it is read again (`delivery/` decides after a
//! 401), running the command (`token_command.rs`).

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::token_command;
use crate::digest::StateKey;

/// Longest token taken, in bytes. Servers stop reading headers long before.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How often a token that cannot be read in the middle of a run is asked for.
pub const REREADS_MAX: u32 = 3;

/// The moment between, in milliseconds.
pub const REREAD_PAUSE_MS: u64 = 700;

/// Why there is no token to send.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("failed to read the token file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others may read the file.
    #[error("the token file {} may be read by others (mode {mode:03o})", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The command could not be run.
    #[error("failed to run the token command")]
    Spawn {
        /// Why.
        source: std::io::Error,
    },
    /// The command failed.
    #[error("the token command failed ({status}): {stderr}")]
    Command {
        /// Its exit status, in words.
        status: String,
        /// The first line it wrote to its standard error, masked.
        stderr: String,
    },
    /// The command did not end, or did not close its output, in time.
    #[error("the token command did not end within {timeout_ms} ms")]
    Timeout {
        /// The bound, in milliseconds.
        timeout_ms: u64,
    },
    /// Nothing there.
    #[error("the token is empty")]
    Empty,
    /// More than [`TOKEN_BYTES_MAX`].
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    /// White space, control or other characters a token cannot hold.
    #[error("the token holds white space, control characters or characters outside ASCII")]
    Characters,
    /// The word `Bearer` in front.
    #[error("the token begins with the word Bearer")]
    Prefix,
}

impl TokenError {
    /// What is wrong and why, in one line.
    pub fn in_words(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// What the operator can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            TokenError::File { .. } => "token_file must name a file that this user can read",
            TokenError::Permissions { .. } => "chmod 600 the file",
            TokenError::Spawn { .. } | TokenError::Command { .. } => "run token_command by hand: sh -c '…'",
            TokenError::Timeout { .. } => {
                "token_command must print the token and end, without asking anybody"
            }
            TokenError::Empty | TokenError::TooLong | TokenError::Characters => {
                "the source must hold the token alone, on one line"
            }
            TokenError::Prefix => "leave the word out; it is added to the header",
        }
    }
}

/// Where the token comes from. Read at the start of a run, and again after a 401.
#[derive(Clone)]
pub enum TokenSource {
    /// A private file.
    File {
        /// The file.
        path: PathBuf,
        /// Whether a file that others may read is taken nevertheless.
        any_permissions: bool,
    },
    /// A shell command that prints it.
    Command(String),
    /// The file `token` in systemd's credentials directory.
    Systemd {
        /// The value of `CREDENTIALS_DIRECTORY`.
        directory: PathBuf,
    },
    /// The value of `SIMSYNC_TOKEN`.
    Env(SecretString),
    /// A token that is no secret: the sandbox's own.
    Fixed(SecretString),
}

impl TokenSource {
    /// Name of the environment variable that [`TokenSource::Env`] stands for. A token command does not inherit it.
    pub const ENV_NAME: &'static str = "SIMSYNC_TOKEN";

    /// Name of the credential in systemd's directory.
    pub const CREDENTIAL_NAME: &'static str = "token";

    /// Reads the token. One line end behind it is dropped, nothing else is forgiven. Blocks, with a command up to
    /// [`TOKEN_COMMAND_TIMEOUT_MS`](super::TOKEN_COMMAND_TIMEOUT_MS).
    ///
    /// # Errors
    ///
    /// Says what is wrong with the source or the token, never the token.
    pub fn read(&self) -> Result<SecretString, TokenError> {
        match self {
            TokenSource::File { path, any_permissions } => checked(read_file(path, !any_permissions)?),
            TokenSource::Command(command) => {
                checked(token_command::run(command, token_command::TOKEN_COMMAND_TIMEOUT_MS)?)
            }
            // The directory is private to the unit; where it grants access by ACL, the mode of the file shows the
            // ACL's mask as group bits and says nothing.
            TokenSource::Systemd { directory } => {
                checked(read_file(&directory.join(Self::CREDENTIAL_NAME), false)?)
            }
            TokenSource::Env(token) | TokenSource::Fixed(token) => {
                checked(token.expose_secret().as_bytes().to_vec())
            }
        }
    }

    /// The run's first token, read from the source.
    ///
    /// # Errors
    ///
    /// As [`TokenSource::read`].
    pub fn first(&self) -> Result<Token, TokenError> {
        Token::new(1, &self.read()?)
    }

    /// Another token in the middle of a run. A file that is being written or replaced just now, empty, gone or not
    /// yet private, is read again after a moment, [`REREADS_MAX`] times in all.
    ///
    /// # Errors
    ///
    /// As [`TokenSource::read`], of the last time.
    pub fn again(&self, generation: u64) -> Result<Token, TokenError> {
        let mut rereads = 1;
        loop {
            let read = self.read();
            match read {
                Err(TokenError::Empty | TokenError::File { .. } | TokenError::Permissions { .. })
                    if self.can_change() && rereads < REREADS_MAX =>
                {
                    rereads += 1;
                    std::thread::sleep(Duration::from_millis(REREAD_PAUSE_MS));
                }
                read => return Token::new(generation, &read?),
            }
        }
    }

    /// The source in words, without anything secret: a command may hold credentials of its own.
    pub fn describe(&self) -> String {
        match self {
            TokenSource::File { path, .. } => format!("token_file {}", path.display()),
            TokenSource::Command(_) => "token_command".to_owned(),
            TokenSource::Systemd { directory } => {
                format!("systemd credential {}", directory.join(Self::CREDENTIAL_NAME).display())
            }
            TokenSource::Env(_) => format!("environment variable {}", Self::ENV_NAME),
            TokenSource::Fixed(_) => "the sandbox's own token".to_owned(),
        }
    }

    /// Whether reading it again can yield another token: a changed environment does not reach a running process.
    pub fn can_change(&self) -> bool {
        match self {
            TokenSource::File { .. } | TokenSource::Command(_) | TokenSource::Systemd { .. } => true,
            TokenSource::Env(_) | TokenSource::Fixed(_) => false,
        }
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

fn read_file(path: &Path, must_be_private: bool) -> Result<Vec<u8>, TokenError> {
    let failed = |source| TokenError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // The open file is asked, not the path: it is the one that is read.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if must_be_private && mode & 0o077 != 0 {
        return Err(TokenError::Permissions { path: path.to_owned(), mode });
    }
    read_bounded(file).map_err(failed)
}

/// Reads at most what tells a token that is too long from one that is not.
pub(super) fn read_bounded(reader: impl Read) -> std::io::Result<Vec<u8>> {
    // Room for a line end, and one byte more to see that the bound is passed.
    let bytes_max = u64::try_from(TOKEN_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(3);
    let mut bytes = Vec::with_capacity(4096);
    reader.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn checked(bytes: Vec<u8>) -> Result<SecretString, TokenError> {
    // The buffer becomes the secret, which is wiped when dropped; the bytes of a refused one are not a token.
    let mut text = String::from_utf8(bytes).map_err(|_| TokenError::Characters)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    let token = SecretString::from(text);
    let text = token.expose_secret();
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if text.is_empty() {
        Err(TokenError::Empty)
    } else if text.len() > TOKEN_BYTES_MAX {
        Err(TokenError::TooLong)
    } else if scheme.eq_ignore_ascii_case("bearer") && !rest.is_empty() {
        Err(TokenError::Prefix)
    } else if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        // RFC 6750 section 2.1 allows still less; what a header cannot carry is refused here.
        Err(TokenError::Characters)
    } else {
        Ok(token)
    }
}

/// A token as requests carry it. Cloning shares the header's bytes.
#[derive(Clone)]
pub struct Token {
    /// How many times a token had been read before it: an answer is judged by the token that was sent.
    pub generation: u64,
    header: HeaderValue,
}

impl Token {
    const SCHEME: &'static str = "Bearer ";

    /// Makes the header, marked sensitive.
    ///
    /// # Errors
    ///
    /// [`TokenError::Characters`] where the text is no header; not for what [`TokenSource::read`] returned.
    pub fn new(generation: u64, token: &SecretString) -> Result<Token, TokenError> {
        let text = format!("{}{}", Token::SCHEME, token.expose_secret());
        let mut header = HeaderValue::try_from(text).map_err(|_| TokenError::Characters)?;
        header.set_sensitive(true);
        Ok(Token { generation, header })
    }

    /// Whether another token is the same text: one that was refused need not be tried again.
    pub fn is_same(&self, other: &Token) -> bool {
        self.header == other.header
    }

    /// When it expires, in seconds since 1970, where it is a JWT that says so. Nothing is verified.
    pub fn expires_s(&self) -> Option<i64> {
        super::expiry::expires_s(self.expose()?)
    }

    /// What tells it from another one, for the journal.
    pub fn hash(&self, state_key: &StateKey) -> u64 {
        state_key.token(self.expose().unwrap_or_default())
    }

    pub(super) fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The text, to be masked in what the server says.
    pub(super) fn expose(&self) -> Option<&str> {
        self.header.to_str().ok()?.strip_prefix(Token::SCHEME)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token(generation {})", self.generation)
    }
}

#[cfg(test)]
mod tests;
