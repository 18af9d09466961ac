//! What can be wrong with settings, each with its origin and a remedy.
//!
//! Not here: what can be wrong with the file's bytes or TOML (`config.rs`).

use crate::config::{Excerpt, FileError};
use crate::exit::Exit;
use crate::settings::Origin;
use crate::settings::table::{self, Setting};

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A value is wrong.
    #[error("{origin}: {key}{complaint}{}", marked(excerpt.as_deref()))]
    Value {
        /// Who set it.
        origin: Origin,
        /// The setting and a colon, where the origin does not name it.
        key: String,
        /// What is wrong with it.
        complaint: String,
        /// What would be right.
        expects: String,
        /// The line, when it stands in the file.
        excerpt: Option<Box<Excerpt>>,
    },
    /// The file has a key that is no setting.
    #[error("{origin}: `{key}` is no setting{}", marked(Some(excerpt)))]
    UnknownKey {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What to write instead.
        remedy: String,
        /// The line.
        excerpt: Box<Excerpt>,
    },
    /// Two settings do not go together.
    #[error("{first} ({first_origin}) is more than {second} ({second_origin})")]
    Relation {
        /// The one that may not be more.
        first: &'static str,
        /// Who set it.
        first_origin: Origin,
        /// The other.
        second: &'static str,
        /// Who set it.
        second_origin: Origin,
    },
    /// A setting that means nothing without another.
    #[error("{present} ({origin}) is set without {absent}")]
    Alone {
        /// The one that is set.
        present: &'static str,
        /// Who set it.
        origin: Origin,
        /// The one it needs.
        absent: &'static str,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotUtf8 {
        /// What it is.
        what: String,
    },
    /// A command that sends has no address to send to.
    #[error("no API address is set")]
    NoUrl,
}

fn marked(excerpt: Option<&Excerpt>) -> String {
    excerpt.map_or_else(String::new, |excerpt| format!("\n{excerpt}"))
}

impl ConfigError {
    pub(crate) fn value(origin: Origin, setting: &Setting, complaint: String) -> ConfigError {
        let key = match &origin {
            Origin::Flag(_) | Origin::Variable(_) => String::new(),
            Origin::File { .. } | Origin::Default => format!("{}: ", setting.key),
        };
        ConfigError::Value { origin, key, complaint, expects: setting.expects(), excerpt: None }
    }

    /// The same error with the line it stands in.
    pub(crate) fn at(mut self, at: Excerpt) -> ConfigError {
        if let ConfigError::Value { excerpt, .. } = &mut self {
            *excerpt = Some(Box::new(at));
        }
        self
    }

    pub(crate) fn unknown_key(key: &str, origin: Origin, excerpt: Excerpt) -> ConfigError {
        let name = key.rsplit('.').next().unwrap_or(key);
        let remedy = if let Some(setting) = table::by_key(key)
            && let Some(flag) = setting.flag
        {
            format!("give it for one run: --{flag}, or {}", setting.variable())
        } else if table::is_section(key) {
            format!("it is a section: write [{key}], and its settings in the lines below")
        } else if name.contains("token") && table::near_key(key).is_none() || name == "token" {
            "the token has no place in this file: name a file that holds it with api.token_file".to_owned()
        } else if let Some(near) = table::near_key(key) {
            format!("did you mean `{near}`?")
        } else {
            "`simsync config show` lists every setting".to_owned()
        };
        ConfigError::UnknownKey { origin, key: key.to_owned(), remedy, excerpt: Box::new(excerpt) }
    }

    /// What the operator can do about it.
    pub fn remedy(&self) -> String {
        match self {
            ConfigError::File(error) => error.remedy(),
            ConfigError::Value { expects, .. } => format!("expected {expects}"),
            ConfigError::UnknownKey { remedy, .. } => remedy.clone(),
            ConfigError::Relation { first, second, .. } => format!("lower {first} or raise {second}"),
            ConfigError::Alone { present, absent, .. } => {
                format!("set {absent} as well, or leave out {present}")
            }
            ConfigError::NotUtf8 { .. } => "write it in UTF-8".to_owned(),
            ConfigError::NoUrl => {
                "set api.url in the configuration file, SIMSYNC_API_URL or --api-url; or try --sandbox"
                    .to_owned()
            }
        }
    }

    /// Exit code: a wrong flag is usage, everything else is configuration.
    pub fn exit(&self) -> Exit {
        match self {
            ConfigError::Value { origin: Origin::Flag(_), .. } => Exit::Usage,
            ConfigError::Value {
                origin: Origin::Variable(_) | Origin::File { .. } | Origin::Default,
                ..
            }
            | ConfigError::File(_)
            | ConfigError::UnknownKey { .. }
            | ConfigError::Relation { .. }
            | ConfigError::Alone { .. }
            | ConfigError::NotUtf8 { .. }
            | ConfigError::NoUrl => Exit::Config,
        }
    }
}
