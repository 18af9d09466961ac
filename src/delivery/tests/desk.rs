//! The desk that tests of the scheduler sit at: a scheduler with a clock of its own, what is asked of it, and everything
//! it ever said.
//!
//! Not here: the rules that are held by it.

use super::*;

/// A scheduler with a clock of its own, and everything it ever said.
pub(super) struct Desk {
    pub(super) scheduler: Scheduler,
    pub(super) now_ms: u64,
    pub(super) generation: u64,
    pub(super) verdicts: Vec<(UpdateId, Verdict)>,
    pub(super) actions: Vec<Action>,
    pub(super) wakes: u32,
}

impl Desk {
    pub(super) fn new(rules: DeliveryRules) -> Desk {
        let scheduler = Scheduler::new(rules, 0);
        Desk { scheduler, now_ms: 0, generation: 0, verdicts: Vec::new(), actions: Vec::new(), wakes: 0 }
    }

    /// A desk whose server has answered well once.
    pub(super) fn warm(rules: DeliveryRules) -> Desk {
        let mut desk = Desk::new(rules);
        desk.offer(1_000_000, 1_000_000);
        desk.send(1_000_000);
        desk.answer(1_000_000, Outcome::Acknowledged);
        desk.verdicts.clear();
        desk.actions.clear();
        desk
    }

    pub(super) fn offer(&mut self, id: UpdateId, subject_number: u64) {
        self.scheduler.offer(Offer { id, subject: subject(subject_number), chronic: false });
    }

    pub(super) fn offer_chronic(&mut self, id: UpdateId) {
        self.scheduler.offer(Offer { id, subject: subject(id), chronic: true });
    }

    /// Everything the scheduler gives out now.
    pub(super) fn send_all(&mut self) -> Vec<UpdateId> {
        let promised = self.scheduler.sendable(self.now_ms);
        let sent: Vec<UpdateId> =
            std::iter::from_fn(|| self.scheduler.next(self.now_ms)).map(|attempt| attempt.id).collect();
        assert_eq!(sent.len(), promised, "sendable() foretells next()");
        sent
    }

    pub(super) fn send(&mut self, id: UpdateId) -> Attempt {
        let attempt = self.scheduler.next(self.now_ms).expect("something to send");
        assert_eq!(attempt.id, id);
        attempt
    }

    pub(super) fn answer(&mut self, id: UpdateId, outcome: Outcome) {
        self.answer_under(self.generation, id, outcome);
    }

    /// A failure under a status of its own.
    pub(super) fn answer_with(&mut self, id: UpdateId, outcome: Outcome, status: Option<u16>) {
        let seen = Seen { status, outcome, quota: None, token_generation: self.generation };
        let decision = self.scheduler.on_outcome(id, seen, self.now_ms, 1.0);
        self.hear(decision);
    }

    pub(super) fn answer_under(&mut self, generation: u64, id: UpdateId, outcome: Outcome) {
        let seen = Seen { status: status(&outcome), outcome, quota: None, token_generation: generation };
        let decision = self.scheduler.on_outcome(id, seen, self.now_ms, 1.0);
        self.hear(decision);
    }

    pub(super) fn hear(&mut self, decision: Decision) {
        self.verdicts.extend(decision.verdicts);
        self.actions.extend(decision.actions);
    }

    /// Lets time pass to the next moment the scheduler waits for.
    pub(super) fn wake(&mut self) {
        self.wakes += 1;
        assert!(self.wakes < 10_000, "this goes on for ever");
        self.now_ms = self.scheduler.wake_at(self.now_ms).expect("something to wait for").max(self.now_ms);
        self.tick();
    }

    /// Nothing more comes.
    pub(super) fn end_of_input(&mut self) {
        let decision = self.scheduler.end_of_input();
        self.hear(decision);
    }

    pub(super) fn tick(&mut self) {
        let decision = self.scheduler.on_tick(self.now_ms);
        self.hear(decision);
    }

    /// The latest verdict of an update.
    pub(super) fn verdict(&self, id: UpdateId) -> Option<&Verdict> {
        self.verdicts.iter().rev().find(|(of, _)| *of == id).map(|(_, verdict)| verdict)
    }

    pub(super) fn failure(&self, id: UpdateId) -> &Failure {
        match self.verdict(id) {
            Some(Verdict::Failed(failure) | Verdict::Deferred(failure)) => failure,
            other => panic!("update {id} has no failure but {other:?}"),
        }
    }

    pub(super) fn stops(&self) -> Vec<&StopCause> {
        let causes = self.actions.iter().map(|action| match action {
            Action::Stop(cause) => Some(cause),
            Action::RereadToken
            | Action::QuietStarted { .. }
            | Action::QuietEnded
            | Action::BreakerOpened
            | Action::BreakerClosed
            | Action::NobodyPasses
            | Action::GuardReleased => None,
        });
        causes.flatten().collect()
    }

    /// What somebody who was asked for the token answers.
    pub(super) fn reread(&mut self, generation: u64, changed: bool) {
        if changed {
            self.generation = generation;
        }
        let decision = self.scheduler.on_token(Ok(TokenRead { generation, changed }), self.now_ms);
        self.hear(decision);
    }

    /// How often the token was asked for.
    pub(super) fn rereads(&self) -> usize {
        self.actions.iter().filter(|action| **action == Action::RereadToken).count()
    }

    /// What has failed so far, in that order.
    pub(super) fn failed_ones(&self) -> Vec<UpdateId> {
        let failed = self.verdicts.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Failed(_)));
        failed.map(|(id, _)| *id).collect()
    }
}
