//! What surrounds a run and may set something: the environment's variables, the working directory, and the places
//! where a configuration file is looked for. Passed in, so that a test meets no variable or file it did not make.
//!
//! Not here: what a variable's text means.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config::{CONFIG_NAME, CONFIG_SYSTEM, ConfigFile, FileError};
use crate::settings::TokenChoice;
use crate::settings::entries::SETTINGS;
use crate::settings::error::ConfigError;
use crate::settings::resolve::Values;
use crate::settings::table::{self, ENV_CONFIG, ENV_PREFIX, ENV_TOKEN, Setting};
use crate::settings::value::Value;

/// Name of the token in systemd's credentials directory.
const CREDENTIAL_NAME: &str = "token";

/// The variables, the working directory, and the machine's configuration file.
#[derive(Clone)]
pub struct Surroundings {
    variables: BTreeMap<String, OsString>,
    /// Taken out of the variables at once, so that no list of them can show it.
    token: Option<Result<SecretString, ()>>,
    cwd: PathBuf,
    system_config: PathBuf,
}

/// The token's source, and a word when a second source was passed over.
pub(crate) struct TokenFound {
    pub(crate) choice: TokenChoice,
    pub(crate) warning: Option<String>,
}

/// Shows names of variables only: their values are whatever the machine has.
impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.variables.keys().collect();
        f.debug_struct("Surroundings")
            .field("variables", &names)
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Takes the environment's variables and the working directory; variables that are empty count as not set.
    pub fn new(variables: impl IntoIterator<Item = (OsString, OsString)>, cwd: PathBuf) -> Surroundings {
        let readable =
            variables.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        let mut variables: BTreeMap<String, OsString> =
            readable.filter(|(_, value)| !value.is_empty()).collect();
        let token = variables.remove(ENV_TOKEN);
        let token = token.map(|token| token.into_string().map(SecretString::from).map_err(drop));
        Surroundings { variables, token, cwd, system_config: PathBuf::from(CONFIG_SYSTEM) }
    }

    /// The same with another place for the machine's configuration file.
    #[must_use]
    pub fn with_system_config(self, path: PathBuf) -> Surroundings {
        Surroundings { system_config: path, ..self }
    }

    /// The working directory.
    pub(crate) fn cwd(&self) -> &Path {
        &self.cwd
    }

    /// The text of a variable of ours.
    pub(crate) fn variable(&self, name: &str) -> Result<Option<&str>, ConfigError> {
        let not_utf8 = || ConfigError::NotUtf8 { what: format!("the value of {name}") };
        self.variables.get(name).map(|value| value.to_str().ok_or_else(not_utf8)).transpose()
    }

    /// The configuration file: the one named, which must be there, or the first that is.
    pub(crate) fn config_file(&self, flag: Option<&Path>) -> Result<Option<ConfigFile>, FileError> {
        let variable = self.variables.get(ENV_CONFIG).map(Path::new);
        let named = flag.map(|path| (path, "--config")).or_else(|| variable.map(|path| (path, ENV_CONFIG)));
        if let Some((path, named_by)) = named {
            let missing = || FileError::Missing { path: path.to_owned(), named_by };
            return ConfigFile::read(path)?.ok_or_else(missing).map(Some);
        }
        for path in self.config_places() {
            if let Some(file) = ConfigFile::read(&path)? {
                return Ok(Some(file));
            }
        }
        Ok(None)
    }

    /// Where a file is looked for that was not named, in this order. Without `XDG_CONFIG_HOME` its default is meant
    /// (XDG base directory specification).
    fn config_places(&self) -> impl Iterator<Item = PathBuf> {
        let home = || self.variables.get("HOME").map(|home| Path::new(home).join(".config"));
        let user = self.variables.get("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
        let user =
            user.filter(|path| path.is_absolute()).map(|path| path.join("simsync").join("config.toml"));
        [Some(self.cwd.join(CONFIG_NAME)), user, Some(self.system_config.clone())].into_iter().flatten()
    }

    /// A warning for each variable of ours that nobody reads.
    pub(crate) fn unknown_variables(&self) -> Vec<String> {
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let ours = self.variables.keys().filter(|name| name.starts_with(ENV_PREFIX) && *name != ENV_CONFIG);
        let unknown = ours.filter(|name| !known.contains(name));
        let warn = |name: &String| match table::near_variable(name) {
            Some(near) => format!("the variable {name} means nothing; did you mean {near}?"),
            None => format!("the variable {name} means nothing"),
        };
        unknown.map(warn).collect()
    }

    /// Which source of the token is used: file, command, systemd's credential, variable; the first there is.
    pub(crate) fn token(&self, values: &Values) -> Result<TokenFound, ConfigError> {
        let text = |key: &str| match values.get(key) {
            (Value::Text(text), _) => Some(text.clone()),
            (_, _) => None,
        };
        let file = text("api.token_file").map(|path| TokenChoice::File(PathBuf::from(path)));
        let command = text("api.token_command").map(TokenChoice::Command);
        let credential =
            self.variables.get("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join(CREDENTIAL_NAME));
        let credential = credential.filter(|path| path.is_file()).map(TokenChoice::Credential);
        let variable = match &self.token {
            Some(Ok(token)) => Some(TokenChoice::Variable(token.clone())),
            Some(Err(())) => return Err(ConfigError::NotUtf8 { what: format!("the value of {ENV_TOKEN}") }),
            None => None,
        };
        let mut found = [file, command, credential, variable].into_iter().flatten();
        let choice = found.next().unwrap_or(TokenChoice::None);
        let warning = found.next().map(|other| {
            format!(
                "the token is read from the {}; the {} is passed over",
                choice.describe(),
                other.describe()
            )
        });
        Ok(TokenFound { choice, warning })
    }
}
