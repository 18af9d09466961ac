//! What is read is what was written, or an error.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::*;

const OWNER: PagesOwner = PagesOwner { identity: 5, generation: 9 };

fn write(path: &Path, content: &[u8]) -> u64 {
    let mut writer = PageWriter::new(File::create(path).unwrap(), OWNER, WritePace::Alone).unwrap();
    writer.write_all(content).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes, fs::metadata(path).unwrap().len());
    bytes
}

fn read(path: &Path, owner: PagesOwner, bytes: u64) -> Result<Vec<u8>, PagesFault> {
    let mut reader = PageReader::open(File::open(path).unwrap(), owner, bytes)?;
    let mut content = Vec::new();
    reader.read_to_end(&mut content).map_err(PagesFault::Io)?;
    Ok(content)
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251).to_le_bytes()[0]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_stretch_comes_back(len in 1_usize..80_000, at in any::<prop::sample::Index>(), from_end in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pages");
        let content = content(len);
        let bytes = write(&path, &content);
        let mut reader = PageReader::open(File::open(&path).unwrap(), OWNER, bytes).unwrap();
        let at = at.index(len);
        let seek = if from_end {
            SeekFrom::End(-i64::try_from(len - at).unwrap())
        } else {
            SeekFrom::Start(at as u64)
        };
        prop_assert_eq!(reader.seek(seek).unwrap(), at as u64);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        prop_assert_eq!(&rest, &content[at..]);
    }
}

#[test]
fn lengths_around_a_page_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages");
    let borders = [1, 2, 16, 17, 33].map(|pages| pages * CONTENT_BYTES);
    for len in borders.into_iter().flat_map(|border| [border - 1, border, border + 1]).chain([0, 1]) {
        let bytes = write(&path, &content(len));
        assert_eq!(read(&path, OWNER, bytes).unwrap(), content(len), "{len}");
    }
}

#[test]
fn every_damaged_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages");
    let bytes = write(&path, &content(CONTENT_BYTES + 100));
    let sound = fs::read(&path).unwrap();
    // Every byte of header and last page, and a sample of the first page.
    let places = (0..HEADER_BYTES)
        .chain((HEADER_BYTES..sound.len()).step_by(97))
        .chain(sound.len() - 108..sound.len());
    for place in places {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        assert!(read(&path, OWNER, bytes).is_err(), "byte {place}");
    }
    for len in [0, HEADER_BYTES, HEADER_BYTES + PAGE_BYTES, sound.len() - 1] {
        fs::write(&path, &sound[..len]).unwrap();
        assert!(read(&path, OWNER, bytes).is_err(), "length {len}");
    }
}

#[test]
fn swapped_pages_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages");
    let bytes = write(&path, &content(2 * CONTENT_BYTES));
    let mut swapped = fs::read(&path).unwrap();
    let (first, second) = swapped[HEADER_BYTES..].split_at_mut(PAGE_BYTES);
    first.swap_with_slice(second);
    fs::write(&path, swapped).unwrap();
    assert!(read(&path, OWNER, bytes).is_err());
}

#[test]
fn the_file_of_another_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pages");
    let bytes = write(&path, &content(10));
    assert!(read(&path, PagesOwner { identity: 6, ..OWNER }, bytes).is_err());
    assert!(read(&path, PagesOwner { generation: 8, ..OWNER }, bytes).is_err());
}

#[test]
fn an_unknown_version_is_named() {
    let mut bytes = header(OWNER);
    bytes.truncate(HEADER_BYTES - 8);
    bytes[7] = 2;
    seal(&mut bytes);
    let expected = "ledger file, format version 2".to_owned();
    assert_eq!(read_header(&bytes), Err(CodecError::Unknown(expected)));
}
