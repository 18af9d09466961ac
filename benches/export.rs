//! An export for the benches to work on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// An export of so many subjects with seven mapped columns and one that is not, every value valid and canonical but
/// for the number's blanks: what a CRM exports on a good day, some 140 bytes a row.
pub(crate) fn write_export(path: &Path, rows: u64) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    out.write_all(b"Record ID,Mobile Phone,IMEI,IMSI,ICCID,Login,Tier,Notes\n")?;
    for row in 0..rows {
        let (imei, iccid) =
            (with_luhn(&format!("35686800{:06}", row % 1_000_000)), 894_411_000_000_000_000 + row);
        writeln!(
            out,
            "0035g00000{row:08},+44 79{:02} {:06},{imei},23415{:010},{},subscriber.{row}@example.com,{},\"moved, see file\"",
            row / 1_000_000 % 100,
            row % 1_000_000,
            row,
            with_luhn(&iccid.to_string()),
            ["basic", "standard", "premium"][usize::try_from(row % 3).expect("less than three")],
        )?;
    }
    out.flush()
}

/// The digits with their Luhn digit (ISO/IEC 7812-1 annex B).
fn with_luhn(digits: &str) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit - b'0');
            let doubled = if index % 2 == 0 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}
