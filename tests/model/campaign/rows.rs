//! Rows of the exports: what they say, how they are written, and how our own row files are read back.
//!
//! Every value is written in its canonical form, so that the model needs no rules of fields. Not here: what becomes of
//! rows (`rulings.rs`).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use simsync::update::FieldKind;

/// The text of a cell that clears its field.
pub(crate) const CLEAR: &str = "#CLEAR#";

/// A class that the sandbox can be told to refuse.
pub(crate) const POISON: &str = "poison";

/// What it is mostly corrected to, which may be refused, too.
pub(crate) const REMEDY: &str = "premium";

/// What stands in the number of a row that cannot be sent.
const BROKEN: &str = "12";

/// The fields that exports have here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Number,
    Imsi,
    Login,
    Key,
    Class,
}

impl Field {
    /// Everything but the key.
    pub(crate) const VALUES: [Field; 4] = [Field::Number, Field::Imsi, Field::Login, Field::Class];

    /// Fields of which one value belongs to one subject.
    pub(crate) const UNIQUE: [Field; 2] = [Field::Number, Field::Imsi];

    /// The product's word for it.
    pub(crate) fn kind(self) -> FieldKind {
        match self {
            Field::Number => FieldKind::Number,
            Field::Imsi => FieldKind::Imsi,
            Field::Login => FieldKind::Username,
            Field::Key => FieldKind::UserExternalId,
            Field::Class => FieldKind::UserClass,
        }
    }

    const fn column(self) -> &'static str {
        match self {
            Field::Number => "mobile",
            Field::Imsi => "imsi",
            Field::Login => "login",
            Field::Key => "crm id",
            Field::Class => "tier",
        }
    }

    /// Whether the exports' configuration lets it be cleared.
    pub(crate) fn is_clearable(self) -> bool {
        matches!(self, Field::Imsi | Field::Class)
    }
}

/// Values by field; empty for a field that is cleared.
pub(crate) type Cells = BTreeMap<Field, String>;

/// The place in an earlier run that a row fed back claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) run: String,
    pub(crate) row: u64,
}

/// A row of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) subject: String,
    /// What it sets, without the key.
    pub(crate) cells: Cells,
    /// Whether its number is none, so that it is rejected.
    pub(crate) is_broken: bool,
    /// What the column of an export that has one says of its age; an empty cell is the oldest.
    pub(crate) rank: Option<u64>,
    pub(crate) origin: Option<Origin>,
}

/// Name of the column that says which of a subject's rows is newer.
pub(crate) const RANK_COLUMN: &str = "changed";

/// Whether an export has that column.
pub(crate) fn is_ranked(rows: &[Row]) -> bool {
    rows.iter().any(|row| row.rank.is_some())
}

/// The key of a subject.
pub(crate) fn key(serial: u64) -> String {
    format!("C-{serial:02}")
}

/// The text of an export.
pub(crate) fn text_of(rows: &[Row]) -> String {
    let (is_ranked, is_fed_back) = (is_ranked(rows), rows.iter().any(|row| row.origin.is_some()));
    let mut text = String::from("crm id,mobile,imsi,login,tier");
    if is_ranked {
        write!(text, ",{RANK_COLUMN}").unwrap();
    }
    text += if is_fed_back { ",_run,_row\n" } else { "\n" };
    for row in rows {
        text += &row.subject;
        for field in Field::VALUES {
            let cell = row.cells.get(&field).map_or("", |value| if value.is_empty() { CLEAR } else { value });
            text.push(',');
            text += if row.is_broken && field == Field::Number { BROKEN } else { cell };
        }
        if is_ranked {
            write!(text, ",{}", row.rank.map_or(String::new(), |rank| rank.to_string())).unwrap();
        }
        if is_fed_back {
            let origin = row.origin.as_ref();
            write!(text, ",{},", origin.map_or("", |origin| &origin.run)).unwrap();
            text += &origin.map_or(String::new(), |origin| origin.row.to_string());
        }
        text.push('\n');
    }
    text
}

/// A line of a row file of ours.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) row: Row,
    /// The input it is from, as that was given.
    pub(crate) file: String,
    /// Line in it, which tells the row's ordinal.
    pub(crate) line: u64,
    /// Why it is listed.
    pub(crate) reason: String,
    /// The server's complaint.
    pub(crate) signature: String,
}

/// The rows of a row file.
pub(crate) fn parse_row_file(text: &str) -> Result<Vec<Listed>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut listed = Vec::new();
    for record in reader.deserialize::<BTreeMap<String, String>>() {
        let record = record.map_err(|error| format!("a row file that is none: {error}"))?;
        let cell = |name: &str| record.get(name).cloned().unwrap_or_default();
        let number = |name: &str| cell(name).parse::<u64>().map_err(|error| format!("{name}: {error}"));
        let mut cells = Cells::new();
        for field in Field::VALUES {
            let value = cell(field.column());
            if !value.is_empty() {
                cells.insert(field, if value == CLEAR { String::new() } else { value });
            }
        }
        let is_broken = cells.get(&Field::Number).is_some_and(|value| value == BROKEN);
        if is_broken {
            cells.remove(&Field::Number);
        }
        let origin = Some(Origin { run: cell("_run"), row: number("_row")? });
        let rank = Some(cell(RANK_COLUMN)).filter(|text| !text.is_empty()).map(|_| number(RANK_COLUMN));
        let (subject, rank) = (cell(Field::Key.column()), rank.transpose()?);
        let row = Row { subject, cells, is_broken, rank, origin };
        let (file, reason, signature) = (cell("_file"), cell("_reason"), cell("_signature"));
        listed.push(Listed { row, file, line: number("_line")?, reason, signature });
    }
    Ok(listed)
}
