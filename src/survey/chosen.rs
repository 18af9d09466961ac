//! Which rows of a run's row files are taken by a replay: by what the file says became of them.
//!
//! Not here: the files (`report/rows.rs`), finding a run and its signatures (`cli/replay.rs`).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::choice::choice;

/// Columns of a row file that are asked, in the order of [`Chosen::keeps`].
pub const CHOSEN_COLUMNS: [&str; 2] = ["_reason", "_signature"];

choice! {
    /// Why a run left a row.
    #[derive(Hash, PartialOrd, Ord)]
    pub enum LeftKind {
        /// Definitely refused.
        Refused = "refused",
        /// Out of attempts.
        Exhausted = "exhausted",
        /// Acknowledged with another value than the one sent.
        EchoMismatch = "echo-mismatch",
        /// Refused for a conflict that no later pass resolved.
        Deferred = "deferred",
        /// May or may not have been applied.
        InDoubt = "in-doubt",
        /// Kept back while its subject is in doubt.
        Held = "held",
        /// Another subject claims the same identifier.
        Conflict = "conflict",
        /// Rejected by a rule.
        Rejected = "rejected",
    }
}

impl LeftKind {
    /// The kind that a `_reason` stands for; `None` for a row that nobody has to send again, or no reason at all.
    pub fn of(reason: &str) -> Option<LeftKind> {
        let reason = reason.trim();
        let group = reason.split('.').next().unwrap_or_default();
        match LeftKind::from_name(reason) {
            Some(kind) => Some(kind),
            None if group == LeftKind::Conflict.name() => Some(LeftKind::Conflict),
            // The row's own update is pending; what was done for it before is not undone.
            None if reason == SWAP_CLEARED => Some(LeftKind::InDoubt),
            None if group.is_empty() || group == SUPERSEDED => None,
            // Any other reason is the code of a rule.
            None => Some(LeftKind::Rejected),
        }
    }
}

/// The reason of a row whose subject was cleared to break a swap, and has no update since.
pub const SWAP_CLEARED: &str = "swap.cleared";

/// What the reasons of superseded rows are or begin with.
pub const SUPERSEDED: &str = "superseded";

/// Which rows are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// Their kinds.
    pub kinds: BTreeSet<LeftKind>,
    /// Their signatures; `None` for any.
    pub signatures: Option<BTreeSet<String>>,
}

impl Chosen {
    /// Whether a row with these cells is taken.
    pub fn keeps(&self, reason: &str, signature: &str) -> bool {
        LeftKind::of(reason).is_some_and(|kind| self.kinds.contains(&kind))
            && self.signatures.as_ref().is_none_or(|signatures| signatures.contains(signature.trim()))
    }

    /// The same as a text that is equal when the choice is; part of the batch id.
    pub fn shaping(&self) -> String {
        let mut text = String::new();
        for kind in &self.kinds {
            // Writing to a string cannot fail.
            writeln!(text, "kind {}", kind.name()).unwrap_or_default();
        }
        for signature in self.signatures.iter().flatten() {
            writeln!(text, "signature {signature:?}").unwrap_or_default();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(kinds: &[LeftKind], signatures: Option<&[&str]>) -> Chosen {
        let signatures = signatures.map(|texts| texts.iter().map(|text| (*text).to_owned()).collect());
        Chosen { kinds: kinds.iter().copied().collect(), signatures }
    }

    #[test]
    fn a_reason_has_its_kind() {
        for (reason, kind) in [
            ("refused", Some(LeftKind::Refused)),
            (" exhausted ", Some(LeftKind::Exhausted)),
            ("in-doubt", Some(LeftKind::InDoubt)),
            ("conflict", Some(LeftKind::Conflict)),
            ("conflict.imsi", Some(LeftKind::Conflict)),
            ("imei.luhn", Some(LeftKind::Rejected)),
            ("duplicate.rejected", Some(LeftKind::Rejected)),
            ("swap.cleared", Some(LeftKind::InDoubt)),
            ("superseded", None),
            ("superseded.last", None),
            ("", None),
        ] {
            assert_eq!(LeftKind::of(reason), kind, "{reason}");
        }
    }

    #[test]
    fn kind_and_signature_are_met_together() {
        let both = chosen(&[LeftKind::Refused, LeftKind::InDoubt], Some(&["422 no"]));
        assert!(both.keeps("refused", "422 no"));
        assert!(!both.keeps("refused", "422 no more"));
        assert!(!both.keeps("exhausted", "422 no"));
        assert!(!both.keeps("in-doubt", ""));
        assert!(chosen(&[LeftKind::InDoubt], None).keeps("in-doubt", ""));
    }

    #[test]
    fn another_choice_is_another_batch() {
        let texts: BTreeSet<String> = [
            chosen(&[LeftKind::Refused], None),
            chosen(&[LeftKind::Refused, LeftKind::Held], None),
            chosen(&[LeftKind::Refused], Some(&["a"])),
            chosen(&[LeftKind::Refused], Some(&["a", "b"])),
        ]
        .iter()
        .map(Chosen::shaping)
        .collect();
        assert_eq!(texts.len(), 4);
    }
}
