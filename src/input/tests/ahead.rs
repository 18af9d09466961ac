//! Reading ahead gives what reading row by row gives: rows, places, errors, notes and counts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Rows, Scene, no_stdin, read_all, seen};
use crate::input::{AheadOptions, Inputs, Look, Pass, Pool, Row, RowError};

/// Small enough that a few lines are several stretches.
const SMALL: AheadOptions = AheadOptions { threads: 3, stretch_bytes: 120, behind_bytes: 90, bytes_min: 0 };

struct Witness;

impl Look for Witness {
    type Seen = Vec<(Result<super::Seen, RowError>, u64)>;

    fn row(&mut self, row: &Result<Row<'_>, RowError>, text_end: u64, kept: &mut Self::Seen) {
        kept.push((row.as_ref().map(seen).map_err(Clone::clone), text_end));
    }
}

/// Everything that a survey tells, with the bytes behind each row.
#[derive(Debug, PartialEq)]
struct Told {
    rows: Rows,
    bytes: Vec<u64>,
    error: Option<String>,
    counts: [u64; 3],
    notes: Vec<String>,
    hashes: usize,
}

fn row_by_row(scene: &Scene) -> Told {
    let mut inputs = scene.open().unwrap();
    let (mut rows, mut bytes, mut error) = (Vec::new(), Vec::new(), None);
    let mut reader = inputs.read(Pass::Survey);
    loop {
        match reader.next_row() {
            Ok(None) => break,
            Ok(Some(row)) => rows.push(row.map(|row| seen(&row))),
            Err(found) => {
                error = Some(found.to_string());
                break;
            }
        }
        bytes.push(reader.bytes_read());
    }
    let counts = [reader.blank_rows(), reader.footer_rows(), reader.header_rows()];
    told(&inputs, rows, bytes, error, counts)
}

/// The same, and how many stretches were taken over.
fn ahead(scene: &Scene, options: AheadOptions) -> (Told, usize) {
    let mut inputs = Inputs::open_with(&scene.options, &mut no_stdin()).unwrap();
    let (mut rows, mut bytes, mut error, mut stretches): (Rows, _, _, _) = (Vec::new(), Vec::new(), None, 0);
    let mut reader = inputs.read(Pass::Survey);
    std::thread::scope(|scope| {
        let mut pool = Pool::start(scope, options, (0..options.threads).map(|_| Witness));
        loop {
            while let Some(mut stretch) = reader.next_stretch(&mut pool) {
                stretches += 1;
                for (mut row, text_end) in stretch.seen.drain(..) {
                    match &mut row {
                        Ok(seen) => seen.place.ordinal += stretch.shift,
                        Err(error) => error.place.ordinal += stretch.shift,
                    }
                    rows.push(row);
                    bytes.push(stretch.bytes_before.map_or(0, |before| before + text_end));
                }
                pool.give_back(stretch);
            }
            match reader.next_row() {
                Ok(None) => break,
                Ok(Some(row)) => rows.push(row.map(|row| seen(&row))),
                Err(found) => {
                    error = Some(found.to_string());
                    break;
                }
            }
            bytes.push(reader.bytes_read());
        }
    });
    let counts = [reader.blank_rows(), reader.footer_rows(), reader.header_rows()];
    (told(&inputs, rows, bytes, error, counts), stretches)
}

fn told(inputs: &Inputs, rows: Rows, bytes: Vec<u64>, error: Option<String>, counts: [u64; 3]) -> Told {
    let notes = inputs.text_notes().iter().map(ToString::to_string).collect();
    Told { rows, bytes, error, counts, notes, hashes: inputs.content_hashes().len() }
}

/// Lines that a reader of records has to think about, in files that are sound otherwise.
const ODD: [&str; 31] = [
    "",
    "   ",
    ",,,",
    "-----,----,---",
    "imei,imsi,notes,iccid",
    "number,username,tier,country",
    "imsi",
    "alice,bob,carol,dora",
    "1",
    "1,2",
    "1,2,3,4,5",
    "1,2,3,4,5,6,7,8",
    "\"356868000041418\",\"234100000000001\",\"note\",\"8944\"",
    "356868000041418,234100000000001,\"a \"\"quoted\"\" note\",8944",
    "356868000041418,234100000000001,\"over",
    "two lines\",8944",
    "356868000041418,234100000000001,\"open,8944",
    "356868000041418,234100000000001,a \"stray\" quote,8944",
    "356868000041418,234100000000001,=\"0815\",8944",
    "356868000041418,\"2341\"x,n,8944",
    "356868000041418,234100000000001,caf\u{e9},8944",
    "356868000041418,234100000000001,caf\u{c3}\u{a9},8944",
    "356868000041418,234100000000001,\u{201c}x\u{201d},8944",
    "\u{201c}356868000041418\u{201d},234100000000001,x,8944",
    "356868\u{0}000041418,234100000000001,x,8944",
    "356868000041418,234100000000001,a\rb,8944",
    "Grand Total,,,300",
    "Total rows: 3",
    "TRL,000003",
    "\u{1a}",
    "\"\",\"\",\"\",\"\"",
];

fn line() -> impl Strategy<Value = String> {
    let sound = (0_u32..1_000_000, "[a-z ]{0,12}")
        .prop_map(|(n, note)| format!("356868000{n:06},23410{n:010},{note},8944110000000{n:06}"));
    prop_oneof![12 => sound, 1 => select(&ODD[..]).prop_map(str::to_owned)]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let ends = prop_oneof![8 => Just(&b"\n"[..]), 3 => Just(&b"\r\n"[..]), 1 => Just(&b"\r"[..])];
    (vec(line(), 0..120), ends, any::<bool>(), 0_usize..40).prop_map(|(lines, end, is_whole, bad)| {
        let mut bytes = b"imei,imsi,notes,iccid".to_vec();
        for (at, line) in lines.iter().enumerate() {
            bytes.extend_from_slice(end);
            bytes.extend_from_slice(line.as_bytes());
            if at == bad + 40 {
                bytes.push(0xff);
            }
        }
        if is_whole {
            bytes.extend_from_slice(end);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn stretches_are_read_as_rows_are(content in content(), stretch_bytes in 60_usize..600, behind_bytes in 1_usize..300) {
        let scene = Scene::csv(content);
        prop_assume!(scene.open().is_ok());
        let options = AheadOptions { stretch_bytes, behind_bytes, ..SMALL };
        prop_assert_eq!(ahead(&scene, options).0, row_by_row(&scene));
    }
}

fn sound(rows: usize) -> String {
    let row = |n: usize| format!("356868000{n:06},23410{n:010},\"moved, see file\",8944110000000{n:06}\n");
    std::iter::once("imei,imsi,notes,iccid\n".to_owned()).chain((0..rows).map(row)).collect()
}

#[test]
fn sound_files_are_read_ahead_but_for_their_ends() {
    let scene = Scene::new(&[("a.csv", sound(2_000)), ("b.csv", sound(10)), ("c.csv", sound(3_000))]);
    let (told, stretches) = ahead(&scene, SMALL);
    assert_eq!(told, row_by_row(&scene));
    // A stretch holds a row or two; of each file the first row and the last few are read one by one.
    assert!(stretches > 2_400, "{stretches}");
}

/// Whether a row of names begins another table hangs on the rows of names before it, which another thread reads.
#[test]
fn a_guess_that_was_wrong_is_put_right() {
    let sound = "356868000000001,234100000000001,x,8944110000000000001\n";
    let names = "alice,bob,carol,dora\n";
    for between in 1..24 {
        let (before, between) = (sound.repeat(2), sound.repeat(between));
        let text = format!("imei,imsi,notes,iccid\n{before}{names}{between}\n{names}{}", sound.repeat(40));
        let scene = Scene::csv(text);
        assert_eq!(ahead(&scene, SMALL).0, row_by_row(&scene), "{}", between.len());
    }
}

#[test]
fn blocks_and_stretches_have_borders_of_their_own() {
    let mut text = sound(60_000);
    let odd = text.len() / 2;
    let at = odd + text[odd..].find('\n').unwrap() + 1;
    text.insert_str(at, "1,2\n\n\"356868000041418\",\"234100000000001\",\"over\ntwo lines\",8944\n");
    let scene = Scene::csv(text);
    let options = AheadOptions { stretch_bytes: 100_000, behind_bytes: 10_000, ..AheadOptions::new(4) };
    let (told, stretches) = ahead(&scene, options);
    assert_eq!(told, row_by_row(&scene));
    assert!(stretches > 35, "{stretches}");
}

#[test]
fn a_later_pass_meets_what_was_surveyed_ahead() {
    let scene = Scene::csv(sound(30_000));
    let mut inputs = scene.open().unwrap();
    std::thread::scope(|scope| {
        let mut reader = inputs.read(Pass::Survey);
        let mut pool = Pool::start(scope, AheadOptions::new(2), (0..2).map(|_| Witness));
        loop {
            while reader.next_stretch(&mut pool).is_some() {}
            if reader.next_row().unwrap().is_none() {
                break;
            }
        }
    });
    assert_eq!(read_all(&mut inputs, Pass::Again).unwrap().len(), 30_000);
    assert_eq!(inputs.files()[0].rows_seen, 30_000);
}

#[test]
fn compressed_inputs_are_read_ahead_too() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, sound(40_000).as_bytes()).unwrap();
    let scene = Scene::new(&[("a.csv.gz", encoder.finish().unwrap())]);
    let (mut told, stretches) = ahead(&scene, AheadOptions { stretch_bytes: 50_000, ..AheadOptions::new(3) });
    let mut expected = row_by_row(&scene);
    // How far the file was read is not known row by row.
    (told.bytes, expected.bytes) = (Vec::new(), Vec::new());
    assert_eq!(told, expected);
    assert!(stretches > 30, "{stretches}");
}

#[test]
fn a_panic_comes_out_where_the_stretch_is_waited_for() {
    struct Clumsy;
    impl Look for Clumsy {
        type Seen = Vec<u64>;
        fn row(&mut self, _: &Result<Row<'_>, RowError>, _: u64, _: &mut Vec<u64>) {
            panic!("clumsy");
        }
    }
    let scene = Scene::csv(sound(2_000));
    let mut inputs = scene.open().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        std::thread::scope(|scope| {
            let mut reader = inputs.read(Pass::Survey);
            let mut pool = Pool::start(scope, SMALL, (0..3).map(|_| Clumsy));
            while reader.next_row().unwrap().is_some() {
                while reader.next_stretch(&mut pool).is_some() {}
            }
        });
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"clumsy"));
}
