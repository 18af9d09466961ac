//! From names as given to open handles: patterns, standard input, and files that can be read only once.
//!
//! Everything is found and opened before anything is read, so that a slip in the last name costs nothing. What can
//! be read only once (standard input, a pipe) is copied to a nameless private file first. Not here: what the bytes
//! mean.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::blocks::Source;
use super::error::SourceError;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// A found input.
enum Found {
    File {
        name: String,
        file: File,
        bytes: u64,
    },
    /// A pipe or another input that ends when it is read.
    Once {
        name: String,
        file: File,
    },
    Stdin,
}

/// Opens all inputs in their order; a pattern stands for its files in the order of their names.
pub(super) fn open_all(
    inputs: &[String],
    spool_dir: &Path,
    files_max: usize,
    stdin: &mut dyn Read,
) -> Result<Vec<Source>, SourceError> {
    let mut names = Vec::new();
    for input in inputs {
        expand(input, &mut names)?;
    }
    if names.len() > files_max {
        return Err(SourceError::TooManyFiles { files: names.len(), files_max });
    }
    if names.iter().filter(|name| *name == STDIN).count() > 1 {
        return Err(SourceError::StdinTwice);
    }
    let found = names.into_iter().map(find).collect::<Result<Vec<_>, _>>()?;
    found
        .into_iter()
        .map(|found| match found {
            Found::File { name, file, bytes } => Ok(Source::new(name, file, bytes)),
            Found::Once { name, mut file } => spool(name, &mut file, spool_dir),
            Found::Stdin => spool(STDIN.to_owned(), stdin, spool_dir),
        })
        .collect()
}

fn expand(input: &str, names: &mut Vec<String>) -> Result<(), SourceError> {
    // A file may have a bracket in its name; what exists as written is meant as written.
    let is_pattern = input.contains(['*', '?', '[']) && fs::symlink_metadata(input).is_err();
    if !is_pattern {
        names.push(input.to_owned());
        return Ok(());
    }
    let paths =
        glob::glob(input).map_err(|source| SourceError::BadPattern { pattern: input.to_owned(), source })?;
    let before = names.len();
    for path in paths {
        let path = path.map_err(|error| SourceError::Unreadable {
            file: error.path().display().to_string(),
            source: error.into(),
        })?;
        if !path.is_dir() {
            names.push(path.into_os_string().into_string().map_err(|name| SourceError::Unreadable {
                file: name.display().to_string(),
                source: io::Error::new(io::ErrorKind::InvalidFilename, "the name is not UTF-8"),
            })?);
        }
    }
    if names.len() == before {
        return Err(SourceError::NoMatch { pattern: input.to_owned() });
    }
    Ok(())
}

fn find(name: String) -> Result<Found, SourceError> {
    if name == STDIN {
        return Ok(Found::Stdin);
    }
    let failed = |source: io::Error, name: String| match source.kind() == io::ErrorKind::NotFound {
        true => SourceError::Missing { file: name },
        false => SourceError::Unreadable { file: name, source },
    };
    let file = match File::open(&name) {
        Ok(file) => file,
        Err(error) => return Err(failed(error, name)),
    };
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(SourceError::Directory { file: name }),
        Ok(metadata) if metadata.is_file() => Ok(Found::File { name, file, bytes: metadata.len() }),
        Ok(_) => Ok(Found::Once { name, file }),
        Err(error) => Err(failed(error, name)),
    }
}

/// Copies to a private file, from which nothing stays behind however the run ends.
fn spool(name: String, from: &mut dyn Read, spool_dir: &Path) -> Result<Source, SourceError> {
    let copied = nameless_file(spool_dir).and_then(|mut file| {
        let bytes = io::copy(from, &mut file)?;
        Ok((file, bytes))
    });
    match copied {
        Ok((file, bytes)) => Ok(Source::new(name, file, bytes)),
        Err(source) => {
            Err(SourceError::Spool { file: name, spool_dir: spool_dir.display().to_string(), source })
        }
    }
}

/// A file of mode 0600 whose name is gone before anything is written to it. (tempfile's own nameless files have the
/// mode that the umask leaves; its named ones are 0600.)
fn nameless_file(dir: &Path) -> io::Result<File> {
    let (file, path) = tempfile::NamedTempFile::new_in(dir)?.into_parts();
    path.close()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_spool_is_private_and_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let metadata = nameless_file(dir.path()).unwrap().metadata().unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.nlink()), (0o600, 0));
    }
}
