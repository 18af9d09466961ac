//! The job's key field: which one it is, and how it came to be that.
//!
//! Not here: where it is kept (`journal/`), and who is told (`job.rs`, `check.rs`).

use super::fatal::Fatal;
use crate::exit::Exit;
use crate::update::{FieldKind, FieldSet};

/// Key fields in the order in which one is chosen when none is given: the CRM's id first, because it alone survives
/// SIM swap, porting and a change of device.
const KEYS: [FieldKind; 4] =
    [FieldKind::UserExternalId, FieldKind::Number, FieldKind::GenericId, FieldKind::Imei];

/// Origin of a key that nobody named.
pub(super) const FROM_HEADER: &str = "chosen from the header";

/// A key field and how it came to be the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyChoice {
    pub(super) field: FieldKind,
    pub(super) origin: &'static str,
}

/// Chooses the key: as given, or as kept for the target, or the first mapped field that can be one.
pub(super) fn choose(
    given: Option<FieldKind>,
    kept: Option<FieldKind>,
    mapped: FieldSet,
) -> Result<KeyChoice, Fatal> {
    let chosen = given.or(kept).or_else(|| KEYS.into_iter().find(|kind| mapped.contains(*kind)));
    // Nothing is mapped only where there is no row at all; any key will do then.
    let Some(field) = chosen.or(mapped.is_empty().then_some(FieldKind::UserExternalId)) else {
        return Err(Fatal::new(
            Exit::Input,
            "no mapped column can name the subject: none of user_external_id, number, generic_id, imei is mapped",
            "map one with --map FIELD=COLUMN, or name another key field with --key FIELD",
        ));
    };
    if field == FieldKind::Password {
        return Err(Fatal::new(
            Exit::Config,
            "the password cannot be the key",
            "name another key field with --key",
        ));
    }
    if !mapped.is_empty() && !mapped.contains(field) {
        return Err(Fatal::new(
            Exit::Input,
            format!("the key field of this target is {field}, and no column is mapped to it"),
            format!("map it with --map {field}=COLUMN, or choose another with --key FIELD"),
        ));
    }
    let origin = if given.is_some() {
        "as given"
    } else if kept.is_some() {
        "as kept for this target"
    } else {
        FROM_HEADER
    };
    Ok(KeyChoice { field, origin })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fields: &[FieldKind]) -> FieldSet {
        fields.iter().copied().collect()
    }

    #[test]
    fn the_key_is_given_or_kept_or_the_first_that_is_mapped() {
        use FieldKind::{Iccid, Imei, Number, UserExternalId};
        let mapped = set(&[Iccid, Number, Imei]);
        let choose =
            |given, kept| choose(given, kept, mapped).map(|choice| (choice.field, choice.origin)).unwrap();
        assert_eq!(choose(Some(Iccid), Some(Imei)), (Iccid, "as given"));
        assert_eq!(choose(None, Some(Imei)), (Imei, "as kept for this target"));
        assert_eq!(choose(None, None), (Number, FROM_HEADER));
        assert_eq!(super::choose(None, None, set(&[])).unwrap().field, UserExternalId);
    }

    #[test]
    fn a_key_that_cannot_be_one_says_why() {
        use FieldKind::{Iccid, Imei, Password};
        for (given, mapped, exit) in [
            (None, set(&[Iccid]), Exit::Input),
            (Some(Imei), set(&[Iccid]), Exit::Input),
            (Some(Password), set(&[Password]), Exit::Config),
        ] {
            assert_eq!(choose(given, None, mapped).unwrap_err().exit, exit);
        }
    }
}
