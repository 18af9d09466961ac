//! Wrong rules, planted in the model one at a time: a campaign that agrees with any of them would not have seen the
//! product do it either.
//!
//! Not here: the right rules, which stand where each flaw is asked for.

/// A wrong rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// An older value overwrites a newer one.
    StaleWins,
    /// An update without a definite answer leaves known what was known.
    MaybeIsKnown,
    /// A row equal to any earlier one of its subject is a duplicate.
    DuplicateAnywhere,
    /// What was refused in the batch is sent again by its resume.
    RefusedAgain,
    /// `--retry-failed` is passed over.
    RetryFailedPassedOver,
    /// A later batch does not send what an earlier one saw refused.
    RefusedForEver,
    /// `--full` sends again what was acknowledged in its batch.
    FullForgets,
    /// `each` sends again what was acknowledged in its batch.
    EachForgets,
    /// `in_doubt = "hold"` sends what is in doubt.
    HoldSends,
    /// Under it, another update of a subject in doubt is sent whatever it sets.
    HoldForgetsOthers,
    /// Two subjects may have one number.
    ConflictsAreSent,
    /// Two subjects that swap a value are sent.
    SwapsAreSent,
    /// `--break-cycles clear` breaks nothing.
    RingsStayWhole,
    /// `send = "changed"` sends everything.
    ChangedIsFull,
    /// `--new-batch` continues an open batch under its old version.
    NewBatchContinues,
    /// What one target acknowledged holds at the other.
    TargetsAreOne,
    /// `adopt` leaves out what was refused.
    AdoptKeepsRefused,
    /// `adopt` holds back what is in doubt.
    AdoptHolds,
    /// `adopt` goes on with an older batch.
    AdoptContinues,
    /// `forget` removes a subject at one target only.
    ForgetsAtOneTarget,
    /// Rows of a run that was forgotten keep its version.
    ForgottenRunsAreKnown,
    /// Open batches of runs that were forgotten stay open.
    ForgottenBatchesStay,
    /// Rows that are replayed are newer than what was sent since.
    ReplayIsNewer,
    /// A replay takes all rows, whatever kinds and signatures are asked for.
    ReplayTakesAll,
    /// A saved plan is carried out whatever has moved.
    PlanGoesOn,
    /// A saved plan that was begun is not carried on.
    PlanIsBegunOnce,
    /// Old acknowledgments are never refreshed.
    NeverStale,
    /// An acknowledgment keeps the failures of older batches.
    FailuresPile,
    /// A cleared field is one that was never sent.
    ClearedIsUnsent,
    /// A row that was corrected is sent again as it was.
    CorrectionsAreUndone,
    /// A column that says which row is newer is passed over.
    AgesPassedOver,
}

impl Flaw {
    /// All of them.
    pub(crate) const ALL: [Flaw; 31] = [
        Flaw::StaleWins,
        Flaw::MaybeIsKnown,
        Flaw::DuplicateAnywhere,
        Flaw::RefusedAgain,
        Flaw::RetryFailedPassedOver,
        Flaw::RefusedForEver,
        Flaw::FullForgets,
        Flaw::EachForgets,
        Flaw::HoldSends,
        Flaw::HoldForgetsOthers,
        Flaw::ConflictsAreSent,
        Flaw::SwapsAreSent,
        Flaw::RingsStayWhole,
        Flaw::ChangedIsFull,
        Flaw::NewBatchContinues,
        Flaw::TargetsAreOne,
        Flaw::AdoptKeepsRefused,
        Flaw::AdoptHolds,
        Flaw::AdoptContinues,
        Flaw::ForgetsAtOneTarget,
        Flaw::ForgottenRunsAreKnown,
        Flaw::ForgottenBatchesStay,
        Flaw::ReplayIsNewer,
        Flaw::ReplayTakesAll,
        Flaw::PlanGoesOn,
        Flaw::PlanIsBegunOnce,
        Flaw::NeverStale,
        Flaw::FailuresPile,
        Flaw::ClearedIsUnsent,
        Flaw::CorrectionsAreUndone,
        Flaw::AgesPassedOver,
    ];

    /// The flaw of this name.
    pub(crate) fn named(name: &str) -> Option<Flaw> {
        Flaw::ALL.into_iter().find(|flaw| format!("{flaw:?}").eq_ignore_ascii_case(name))
    }
}

/// What the model goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Laws {
    pub(crate) flaw: Option<Flaw>,
}

impl Laws {
    /// Whether this flaw is planted.
    pub(crate) fn has(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }
}
