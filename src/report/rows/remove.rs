//! Rows taken out of a row file of an earlier run, for a data-protection request. What stays keeps its bytes cell by
//! cell.
//!
//! Not here: which rows these are (`cli/journal/forget.rs`).

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::Path;

use crate::report::error::ReportError;
use crate::report::run_dir::sync_dir;

use super::BUFFER_BYTES;

/// Decides on a row, by the names of the columns and its cells.
pub(crate) type IsRemoved<'a> = &'a mut dyn FnMut(&[String], &[String]) -> bool;

/// Writes a file of a run anew without certain rows; without any row left its header stays. Returns how many rows were
/// removed; when there are none, the file is not touched. The new file takes the old one's place as a whole.
///
/// # Errors
/// When the file cannot be read or the new one cannot be written; then the old one stands.
pub fn remove_rows(path: &Path, is_removed: IsRemoved<'_>) -> Result<u64, ReportError> {
    let failed = |source| ReportError::Write { what: "a row file", path: path.into(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut copy = || {
        // 0600 from the beginning, and the name given later keeps that.
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".tmp").tempfile_in(dir)?;
        let mut writer = csv::WriterBuilder::new()
            .flexible(true)
            .from_writer(BufWriter::with_capacity(BUFFER_BYTES, file));
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(BufReader::with_capacity(BUFFER_BYTES, File::open(path)?));
        let header = reader.byte_headers()?.clone();
        let columns = texts(&header);
        writer.write_byte_record(&header)?;
        let mut removed = 0_u64;
        for record in reader.byte_records() {
            let record = record?;
            if is_removed(&columns, &texts(&record)) {
                removed += 1;
            } else {
                writer.write_byte_record(&record)?;
            }
        }
        if removed == 0 {
            return Ok(0);
        }
        // Where nothing is left its header stays: the run's summary names the file, and a replay looks for it.
        let buffered = writer.into_inner().map_err(|error| io::Error::from(error.error().kind()))?;
        let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_dir(dir)?;
        Ok(removed)
    };
    copy().map_err(failed)
}

/// Cells as text; what is no UTF-8 was written by somebody else and is only compared.
fn texts(record: &csv::ByteRecord) -> Vec<String> {
    record.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(text: &str, wanted: &str) -> (u64, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failed.csv");
        std::fs::write(&path, text).unwrap();
        let count = remove_rows(&path, &mut |_, cells| cells.iter().any(|cell| cell == wanted)).unwrap();
        let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert!(left.len() <= 1, "no temporary file stays");
        (count, std::fs::read_to_string(path).ok())
    }

    #[test]
    fn what_stays_is_as_it_was() {
        let text = "id,note,_run\n1,\"a, \"\"b\"\"\nc\",r\n2,,r\n3,é,r\n";
        let (count, left) = removed(text, "2");
        assert_eq!((count, left.as_deref()), (1, Some("id,note,_run\n1,\"a, \"\"b\"\"\nc\",r\n3,é,r\n")));
        assert_eq!(removed(text, "4"), (0, Some(text.to_owned())));
    }

    #[test]
    fn of_a_file_without_rows_the_header_stays() {
        assert_eq!(removed("id\n1\n1\n", "1"), (2, Some("id\n".to_owned())));
    }
}
