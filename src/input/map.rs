//! Which column stands for which field.
//!
//! Pure. Columns the operator mapped by name come first, and take their column away from the synonyms; synonyms
//! serve the other fields; two candidates for one field are a question to the operator and never a guess. Not here:
//! the known names (`names.rs`), reading headers (`csv.rs`) or members (`ndjson.rs`).

use super::UnsafeIntegers;
use super::names::{is_header_like, is_reserved, normalize, synonym};
use super::pointer::Pointer;
use crate::update::{FIELD_COUNT, FieldKind, FieldSet};

/// How a column came to stand for its field. The order is that of strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MappedBy {
    /// By a known name.
    Synonym,
    /// By the operator, as the member at which a path into nested JSON begins.
    Path,
    /// By the operator, who wrote the name a little differently than the input does.
    NameAlike,
    /// By the operator, in the input's own letters.
    Name,
}

/// What the operator said about columns, and about numbers in them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    explicit: Vec<Explicit>,
    fields: FieldSet,
    /// JSON integers that may have been rounded.
    pub(super) unsafe_integers: UnsafeIntegers,
    /// Columns that are watched for rules of whole rows; those of old values stand behind them.
    pub(super) watched_count: usize,
}

#[derive(Debug)]
struct Explicit {
    field: FieldKind,
    name: String,
    normal: String,
    /// The path that the name is where no column has it as its name.
    pointer: Option<Pointer>,
}

impl Explicit {
    /// Whether a normalised column name is the one meant; a name of punctuation only is like no other, and a JSON
    /// pointer like no name.
    fn is_like(&self, normal: &str) -> bool {
        let is_pointer = self.pointer.as_ref().is_some_and(|pointer| pointer.is_slashed);
        !normal.is_empty() && !is_pointer && self.normal == normal
    }

    fn begins_at(&self, name: &str) -> bool {
        self.pointer.as_ref().is_some_and(|pointer| pointer.head == name)
    }
}

/// A field that a column stands for, or would if there is no stronger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) field: FieldKind,
    pub(super) by: MappedBy,
    /// Which of the operator's paths, when it is one.
    pub(super) path: Option<usize>,
}

/// What a column name says by itself. The same name says the same in every row and in every pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Our own column of row files, by its name.
    Reserved,
    /// The fields it stands for; usually one, several when the operator mapped them so, none when unknown.
    Fields(Vec<Claim>),
}

impl Rules {
    pub(super) fn new(columns: &[(FieldKind, String)]) -> Rules {
        let explicit = columns.iter().map(|(field, name)| Explicit {
            field: *field,
            name: name.trim().to_owned(),
            normal: normalize(name),
            pointer: Pointer::parse(name.trim()),
        });
        Rules {
            explicit: explicit.collect(),
            fields: columns.iter().map(|(field, _)| *field).collect(),
            unsafe_integers: UnsafeIntegers::default(),
            watched_count: 0,
        }
    }

    /// A path and its name, by the number that a [`Claim`] has of it.
    pub(super) fn path(&self, path: usize) -> Option<(&Pointer, &str)> {
        let explicit = self.explicit.get(path)?;
        Some((explicit.pointer.as_ref()?, &explicit.name))
    }

    /// The columns mapped by name, as (field, name).
    pub(super) fn explicit(&self) -> impl Iterator<Item = (FieldKind, &str)> {
        self.explicit.iter().map(|explicit| (explicit.field, explicit.name.as_str()))
    }

    /// What a column name says.
    pub(super) fn meaning(&self, name: &str) -> Meaning {
        if is_reserved(name) {
            return Meaning::Reserved;
        }
        let claims = |by, fits: &dyn Fn(&Explicit) -> bool| -> Vec<Claim> {
            let fitting = self.explicit.iter().enumerate().filter(|(_, explicit)| fits(explicit));
            fitting
                .map(|(at, explicit)| Claim {
                    field: explicit.field,
                    by,
                    path: (by == MappedBy::Path).then_some(at),
                })
                .collect()
        };
        let normal = normalize(name);
        let mut told = claims(MappedBy::Name, &|explicit| explicit.name == name);
        if told.is_empty() {
            told = claims(MappedBy::NameAlike, &|explicit| explicit.is_like(&normal));
        }
        // A name may be a field's own column and the beginning of other fields' paths.
        told.extend(claims(MappedBy::Path, &|explicit| explicit.begins_at(name)));
        if !told.is_empty() {
            return Meaning::Fields(told);
        }
        // A field with a column mapped by name takes no other column, even where that one is missing.
        let known = synonym(&normal).filter(|field| !self.fields.contains(*field));
        let claim = known.map(|field| Claim { field, by: MappedBy::Synonym, path: None });
        Meaning::Fields(claim.into_iter().collect())
    }

    /// Whether a column of this name tells that its line is a header.
    pub(super) fn is_header_like(&self, name: &str) -> bool {
        let normal = normalize(name);
        let is_meant = |explicit: &Explicit| {
            explicit.name == name || explicit.is_like(&normal) || explicit.begins_at(name)
        };
        is_header_like(name) || self.explicit.iter().any(is_meant)
    }

    /// The columns mapped by name that are not among `names`, as (field, name). Our own columns cannot be mapped. Of a
    /// path, whose number `leads` is asked with, its first member must be there, and it must lead somewhere.
    pub(super) fn missing(&self, names: &[&str], leads: &dyn Fn(usize) -> bool) -> Vec<(FieldKind, &str)> {
        let present = |(at, explicit): &(usize, &Explicit)| {
            let mut names = names.iter().filter(|name| !is_reserved(name));
            names.any(|name| {
                explicit.name == *name
                    || explicit.is_like(&normalize(name))
                    || (explicit.begins_at(name) && leads(*at))
            })
        };
        let missing = self.explicit.iter().enumerate().filter(|explicit| !present(explicit));
        missing.map(|(_, explicit)| (explicit.field, explicit.name.as_str())).collect()
    }
}

/// Several columns that stand for one field equally well, as indexes into the names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ambiguity {
    pub(super) field: FieldKind,
    pub(super) columns: Vec<usize>,
}

/// The column of each field.
pub(super) type FieldColumns = [Option<(usize, MappedBy)>; FIELD_COUNT];

/// Decides for a whole header: the strongest claim on each field wins, and must be the only one of its strength.
pub(super) fn decide(meanings: &[Meaning]) -> Result<FieldColumns, Ambiguity> {
    let mut decided: FieldColumns = [None; FIELD_COUNT];
    for field in FieldKind::ALL {
        let mut strongest: Option<MappedBy> = None;
        let mut columns = Vec::new();
        for (column, by) in claims_on(field, meanings) {
            if strongest < Some(by) {
                columns.clear();
                strongest = Some(by);
            }
            if strongest == Some(by) {
                columns.push(column);
            }
        }
        match (columns.as_slice(), strongest) {
            ([column], Some(by)) => decided[field.index()] = Some((*column, by)),
            ([], _) | (_, None) => {}
            _ => return Err(Ambiguity { field, columns }),
        }
    }
    Ok(decided)
}

fn claims_on(field: FieldKind, meanings: &[Meaning]) -> impl Iterator<Item = (usize, MappedBy)> {
    let columns = meanings.iter().enumerate();
    columns.filter_map(move |(column, meaning)| Some((column, claim_on(field, meaning)?.by)))
}

/// How a column of this meaning stands for the field, if it does: the strongest claim of it.
pub(super) fn claim_on(field: FieldKind, meaning: &Meaning) -> Option<Claim> {
    match meaning {
        Meaning::Reserved => None,
        Meaning::Fields(claims) => {
            claims.iter().filter(|claim| claim.field == field).max_by_key(|claim| claim.by).copied()
        }
    }
}

/// How far a path was followed in an input.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Trail {
    /// It met a member with something in it.
    pub(super) tried: bool,
    /// It led to a value at least once.
    pub(super) led: bool,
}

impl Trail {
    /// Whether nothing speaks against the path: it may lead somewhere yet where it met nothing at all.
    pub(super) fn leads(self) -> bool {
        self.led || !self.tried
    }
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy as _;

    use super::*;
    use FieldKind::{Iccid, Number, Password, Username};

    fn header(explicit: &[(FieldKind, &str)], names: &[&str]) -> Result<Vec<(FieldKind, usize)>, Ambiguity> {
        let columns: Vec<_> = explicit.iter().map(|(field, name)| (*field, (*name).to_owned())).collect();
        let rules = Rules::new(&columns);
        let meanings: Vec<_> = names.iter().map(|name| rules.meaning(name)).collect();
        let decided = decide(&meanings)?;
        Ok(FieldKind::ALL
            .into_iter()
            .filter_map(|field| decided[field.index()].map(|(column, _)| (field, column)))
            .collect())
    }

    #[test]
    fn headers_map_as_the_operator_and_the_synonyms_say() {
        type Case<'c> = (&'c [(FieldKind, &'c str)], &'c [&'c str], &'c [(FieldKind, usize)]);
        let cases: &[Case<'_>] = &[
            (&[], &["MobilePhone", "SIM Card", "notes"], &[(Number, 0), (Iccid, 1)]),
            (&[(Number, "Phone")], &["Phone", "Mobile"], &[(Number, 0)]),
            (&[(Number, "phone")], &["PHONE", "Mobile"], &[(Number, 0)]),
            // The exact text wins over a likeness.
            (&[(Number, "phone")], &["PHONE", "phone"], &[(Number, 1)]),
            // A column mapped by name is not free for the synonyms any more.
            (&[(Username, "Phone")], &["Phone", "sim"], &[(Iccid, 1), (Username, 0)]),
            (&[(Username, "Phone"), (Number, "Phone")], &["Phone"], &[(Number, 0), (Username, 0)]),
            // A field mapped by name takes no synonym where the name is missing.
            (&[(Number, "Handset")], &["Mobile", "sim"], &[(Iccid, 1)]),
            (&[], &["password", "login"], &[(Username, 1)]),
            (&[(Password, "Password")], &["password"], &[(Password, 0)]),
            (&[], &["user id", "id", "old_imsi", "new_imsi", "status", "isDeleted", "_run", "_row"], &[]),
        ];
        for (explicit, names, expected) in cases {
            assert_eq!(header(explicit, names).as_deref(), Ok(*expected), "{explicit:?} {names:?}");
        }
    }

    #[test]
    fn paths_map_below_a_column_unless_it_has_that_name() {
        type Case<'c> = (&'c [(FieldKind, &'c str)], &'c [&'c str], &'c [(FieldKind, usize)]);
        let cases: &[Case<'_>] = &[
            (&[(Number, "/contact/phone")], &["contact", "sim"], &[(Number, 0), (Iccid, 1)]),
            (&[(Number, "contact.phone")], &["contact"], &[(Number, 0)]),
            // The literal name wins, and a name that is alike to a dotted one.
            (&[(Number, "/contact/phone")], &["contact", "/contact/phone"], &[(Number, 1)]),
            (&[(Number, "contact.phone")], &["contact", "contact.phone"], &[(Number, 1)]),
            (&[(Number, "contact.phone")], &["contact", "Contact Phone"], &[(Number, 1)]),
            // A pointer is alike to no name.
            (&[(Number, "/contact/phone")], &["contact", "contactphone"], &[(Number, 0)]),
            // One column may be where several paths begin; it is not free for the synonyms.
            (&[(Iccid, "/phone/sim"), (Username, "/phone/user")], &["phone"], &[(Iccid, 0), (Username, 0)]),
            (&[(Number, "/phone")], &["phone", "mobile"], &[(Number, 0)]),
            // The names are compared letter by letter.
            (&[(Number, "/Contact/phone")], &["contact"], &[]),
        ];
        for (explicit, names, expected) in cases {
            assert_eq!(header(explicit, names).as_deref(), Ok(*expected), "{explicit:?} {names:?}");
        }
    }

    proptest::proptest! {
        /// Which column stands for which field does not hang on the order of the columns.
        #[test]
        fn the_order_of_columns_decides_nothing(
            names in proptest::sample::subsequence(NAMES.to_vec(), 0..NAMES.len()).prop_shuffle(),
            mapped in proptest::option::of(proptest::sample::select(NAMES.to_vec())),
        ) {
            let explicit: Vec<_> = mapped.map(|name| (Number, name)).into_iter().collect();
            let by_name = |names: &[&str]| {
                let decided = header(&explicit, names);
                let named = |columns: Vec<(FieldKind, usize)>| -> Vec<(FieldKind, String)> {
                    columns.into_iter().map(|(field, column)| (field, names[column].to_owned())).collect()
                };
                decided.map(named).map_err(|ambiguity| ambiguity.field)
            };
            let mut sorted = names.clone();
            sorted.sort_unstable();
            proptest::prop_assert_eq!(by_name(&names), by_name(&sorted));
        }
    }

    const NAMES: [&str; 12] = [
        "phone",
        "Mobile",
        "sim",
        "ICCID__c",
        "imei",
        "login",
        "contact",
        "/contact/phone",
        "contact.phone",
        "x",
        "tier",
        "new_iccid",
    ];

    #[test]
    fn two_candidates_are_a_question() {
        for (explicit, names, columns) in [
            (&[][..], &["Phone", "sim", "Mobile"][..], [0, 2]),
            (&[], &["msisdn", "msisdn"], [0, 1]),
            (&[(Number, "tel no")], &["Tel No", "TEL-NO"], [0, 1]),
            (&[(Number, "a"), (Number, "b")], &["a", "b"], [0, 1]),
        ] {
            let expected = Ambiguity { field: Number, columns: columns.to_vec() };
            assert_eq!(header(explicit, names), Err(expected), "{names:?}");
        }
    }

    #[test]
    fn a_name_that_is_nowhere_is_missing() {
        let rules = Rules::new(&[(Number, "Handset".into()), (Iccid, "sim".into())]);
        assert_eq!(rules.missing(&["SIM", "x"], &|_| true), [(Number, "Handset")]);
    }
}
