//! The model: one batch's job of one TEE type, two provers with a key each, and people.
//!
//! It states what README and documents promise, as briefly as possible; how the database does it does not matter here.
//! Time is counted in leases.

use std::fmt;

use stateright::{Model, Property};

/// These bounds decide how many states and steps are checked.
const MOST_ATTEMPTS: u8 = 3;
const MOST_FAILURES: u8 = 2;
const MOST_IN_A_ROW: u8 = 3;
const PAUSING_FAILURES: u8 = 3;

/// The rules of a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) required_proofs: u8,
    pub(super) max_attempts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Who {
    A,
    B,
}

impl Who {
    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Status {
    Ready,
    Picked { by: Who, expired: bool },
    Generated,
    Failed,
    Ignored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Standing {
    InForce,
    Suspended,
    Revoked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Root {
    Right,
    Wrong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Prover {
    /// It was given a lease, current or not, and has not heard that it has ended.
    pub(super) has_lease: bool,
    /// For how many leases' time it leaves the job to others.
    pub(super) rest: u8,
    /// How often it failed the job.
    pub(super) failures: u8,
    pub(super) failures_in_a_row: u8,
    pub(super) paused: bool,
    /// It asked for work.
    pub(super) active: bool,
    pub(super) key: Standing,
    /// What its key proved.
    pub(super) proof: Option<Root>,
    /// One of its proofs contradicts another one.
    pub(super) disagrees: bool,
}

/// The state of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Life {
    pub(super) status: Status,
    pub(super) attempts: u8,
    pub(super) provers: [Prover; 2],
    /// A person gave the job up.
    by_hand: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Action {
    Claim(Who),
    Renew(Who),
    Fail(Who),
    GiveBack(Who),
    Submit {
        who: Who,
        root: Root,
        with_lease: bool,
    },
    Suspend(Who),
    Resume(Who),
    Revoke(Who),
    Retry,
    Ignore,
    Requeue,
    /// As long as a lease.
    TimePasses,
}

/// The answer to the actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Answer {
    Done,
    NoWork,
    StaleLease,
    RevokedKey,
    SuspendedKey,
    DisagreeingRoot,
    NotWhen,
}

impl Life {
    const NEW: Self = Self {
        status: Status::Ready,
        attempts: 0,
        provers: [Prover {
            has_lease: false,
            rest: 0,
            failures: 0,
            failures_in_a_row: 0,
            paused: false,
            active: false,
            key: Standing::InForce,
            proof: None,
            disagrees: false,
        }; 2],
        by_hand: false,
    };

    pub(super) fn prover(&self, who: Who) -> &Prover {
        &self.provers[who as usize]
    }

    fn prover_mut(&mut self, who: Who) -> &mut Prover {
        &mut self.provers[who as usize]
    }

    pub(super) fn has_current_lease(&self, who: Who) -> bool {
        matches!(self.status, Status::Picked { by, .. } if by == who)
    }

    /// Proofs that count, whatever their root.
    fn counted(&self) -> u8 {
        self.provers.iter().filter(|prover| prover.proof.is_some() && prover.key != Standing::Revoked).count() as u8
    }

    fn is_claimable_by(&self, who: Who) -> bool {
        let prover = self.prover(who);
        let is_free = match self.status {
            Status::Ready | Status::Failed | Status::Picked { expired: true, .. } => true,
            Status::Picked { expired: false, .. } | Status::Generated | Status::Ignored => false,
        };
        is_free && prover.rest == 0 && !prover.paused
    }

    /// The job is hopeless if as many provers failed it as there are attempts, or if it is worn out and every prover
    /// has failed it.
    fn is_hopeless(&self, rules: Rules, is_worn_out: bool) -> bool {
        let failed = self.provers.iter().filter(|prover| prover.failures > 0).count() as u8;
        let is_tried_by_all = self.provers.iter().all(|prover| prover.failures > 0 || !prover.active);
        failed >= rules.max_attempts || (is_worn_out && is_tried_by_all)
    }

    /// Any failure. A prover that never asked for work is not known.
    fn note_failure(&mut self, who: Who) {
        let prover = self.prover_mut(who);
        if prover.active {
            prover.failures_in_a_row += 1;
            prover.paused |= prover.failures_in_a_row >= PAUSING_FAILURES;
        }
    }

    /// A failure at the job, after which the prover rests this long the first time.
    fn fail(&mut self, who: Who, rest: u8) {
        let prover = self.prover_mut(who);
        prover.failures += 1;
        prover.rest = rest << (prover.failures - 1);
        if prover.failures > 1 {
            return;
        }
        let other = self.prover_mut(who.other());
        if other.failures == 0 {
            return self.note_failure(who);
        }
        // The batch is bad, not the provers.
        if other.failures_in_a_row > 0 {
            (other.failures_in_a_row, other.paused) = (other.failures_in_a_row - 1, false);
        }
    }

    fn fail_lease(&mut self, rules: Rules, who: Who) {
        self.fail(who, 1);
        let is_worn_out = self.attempts >= rules.max_attempts;
        self.status = if self.is_hopeless(rules, is_worn_out) { Status::Ignored } else { Status::Failed };
    }

    /// All attempts are available again.
    fn start_anew(&mut self) {
        (self.status, self.attempts) = (Status::Ready, 0);
        self.forget_failures();
    }

    fn forget_failures(&mut self) {
        for prover in &mut self.provers {
            (prover.failures, prover.rest) = (0, 0);
        }
    }

    fn claim(&mut self, rules: Rules, who: Who) -> Answer {
        self.prover_mut(who).active = true;
        if !self.is_claimable_by(who) {
            return Answer::NoWork;
        }
        self.attempts += 1;
        let before = std::mem::replace(&mut self.status, Status::Picked { by: who, expired: false });
        if let Status::Picked { by: gone, .. } = before {
            // It may have been restarted and may come back.
            self.fail(gone, 0);
            if self.is_hopeless(rules, self.attempts > rules.max_attempts) {
                (self.status, self.attempts) = (Status::Ignored, self.attempts - 1);
                return Answer::NoWork;
            }
        }
        self.prover_mut(who).has_lease = true;
        Answer::Done
    }

    fn submit(&mut self, rules: Rules, who: Who, root: Root, with_lease: bool) -> Answer {
        let has_current = with_lease && self.has_current_lease(who);
        let prover = *self.prover(who);
        let suffices = |life: &Self| rules.required_proofs <= 1 || life.counted() >= rules.required_proofs;
        if prover.key == Standing::Revoked {
            if !with_lease {
                self.note_failure(who);
            }
            return Answer::RevokedKey;
        }
        if prover.proof == Some(root) {
            if has_current || !with_lease {
                if suffices(self) {
                    self.status = Status::Generated;
                } else if has_current {
                    (self.status, self.attempts) = (Status::Ready, self.attempts - 1);
                    self.prover_mut(who).rest = 1;
                }
            }
            return Answer::Done;
        }
        if prover.key == Standing::Suspended {
            return Answer::SuspendedKey;
        }
        let other = match root {
            Root::Right => Root::Wrong,
            Root::Wrong => Root::Right,
        };
        if self.provers.iter().any(|prover| prover.proof == Some(other) && prover.key != Standing::Revoked) {
            self.prover_mut(who).disagrees = true;
            if has_current {
                self.fail_lease(rules, who);
            } else if !with_lease {
                self.note_failure(who);
            }
            return Answer::DisagreeingRoot;
        }
        let prover = self.prover_mut(who);
        (prover.proof, prover.failures_in_a_row, prover.paused) = (Some(root), 0, false);
        if suffices(self) {
            self.status = Status::Generated;
        } else if self.status != Status::Generated {
            self.start_anew();
        }
        Answer::Done
    }

    fn revoke(&mut self, rules: Rules, who: Who) {
        let prover = self.prover_mut(who);
        prover.key = Standing::Revoked;
        let touched = prover.proof.is_some() || prover.disagrees;
        let is_over = matches!(self.status, Status::Generated | Status::Failed | Status::Ignored);
        if touched && is_over && self.counted() < rules.required_proofs {
            self.start_anew();
        }
    }
}

impl Rules {
    /// The new state, and the answer.
    pub(super) fn step(self, mut life: Life, action: Action) -> (Life, Answer) {
        let under_lease =
            |life: &Life, who| if life.has_current_lease(who) { Answer::Done } else { Answer::StaleLease };
        let answer = match action {
            Action::Claim(who) => life.claim(self, who),
            Action::Renew(who) => {
                let answer = under_lease(&life, who);
                if answer == Answer::Done {
                    life.status = Status::Picked { by: who, expired: false };
                }
                answer
            }
            Action::Fail(who) => {
                let answer = under_lease(&life, who);
                if answer == Answer::Done {
                    life.fail_lease(self, who);
                }
                answer
            }
            Action::GiveBack(who) => {
                let answer = under_lease(&life, who);
                if answer == Answer::Done {
                    (life.status, life.attempts) = (Status::Ready, life.attempts - 1);
                }
                answer
            }
            Action::Submit { who, root, with_lease } => life.submit(self, who, root, with_lease),
            Action::Suspend(who) => {
                life.prover_mut(who).key = Standing::Suspended;
                Answer::Done
            }
            Action::Resume(who) => {
                life.prover_mut(who).key = Standing::InForce;
                Answer::Done
            }
            Action::Revoke(who) => {
                life.revoke(self, who);
                Answer::Done
            }
            Action::Retry if matches!(life.status, Status::Failed | Status::Ignored) => {
                life.start_anew();
                Answer::Done
            }
            Action::Ignore if life.status != Status::Generated => {
                life.forget_failures();
                (life.status, life.by_hand) = (Status::Ignored, true);
                Answer::Done
            }
            Action::Retry | Action::Ignore => Answer::NotWhen,
            Action::Requeue => {
                life.start_anew();
                Answer::Done
            }
            Action::TimePasses => {
                if let Status::Picked { expired, .. } = &mut life.status {
                    *expired = true;
                }
                for prover in &mut life.provers {
                    (prover.rest, prover.paused) = (prover.rest.saturating_sub(1), false);
                }
                Answer::Done
            }
        };
        if answer == Answer::StaleLease {
            let (Action::Renew(who) | Action::Fail(who) | Action::GiveBack(who)) = action else { unreachable!() };
            life.prover_mut(who).has_lease = false;
        }
        life.by_hand &= life.status == Status::Ignored;
        (life, answer)
    }

    /// The initial state.
    pub(super) fn first(self) -> Life {
        Life::NEW
    }

    fn suffice(self, life: &Life) -> bool {
        life.counted() >= self.required_proofs
    }
}

impl Model for Rules {
    type State = Life;
    type Action = Action;

    fn init_states(&self) -> Vec<Life> {
        vec![Life::NEW]
    }

    fn actions(&self, life: &Life, actions: &mut Vec<Action>) {
        for who in [Who::A, Who::B] {
            let prover = life.prover(who);
            actions.push(Action::Claim(who));
            actions.push(Action::Submit { who, root: Root::Right, with_lease: false });
            if prover.has_lease {
                actions.extend([Action::Renew(who), Action::Fail(who), Action::GiveBack(who)]);
                actions.push(Action::Submit { who, root: Root::Right, with_lease: true });
            }
            match prover.key {
                // One prover's key can be suspended, and the other's revoked. With both for each there would be several
                // times as many states, without any use.
                Standing::InForce if who == Who::A => actions.push(Action::Suspend(who)),
                Standing::InForce => actions.push(Action::Revoke(who)),
                Standing::Suspended => actions.push(Action::Resume(who)),
                Standing::Revoked => {}
            }
        }
        // One prover is a forger.
        actions.push(Action::Submit { who: Who::B, root: Root::Wrong, with_lease: false });
        if life.prover(Who::B).has_lease {
            actions.push(Action::Submit { who: Who::B, root: Root::Wrong, with_lease: true });
        }
        actions.extend([Action::Retry, Action::Ignore, Action::Requeue, Action::TimePasses]);
    }

    fn next_state(&self, life: &Life, action: Action) -> Option<Life> {
        Some(self.step(*life, action).0)
    }

    fn within_boundary(&self, life: &Life) -> bool {
        let is_within = |prover: &Prover| prover.failures <= MOST_FAILURES && prover.failures_in_a_row <= MOST_IN_A_ROW;
        life.attempts <= MOST_ATTEMPTS && life.provers.iter().all(is_within)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "a batch is proven exactly when enough keys in force say so",
                |rules: &Self, life: &Life| life.status != Status::Generated || rules.suffice(life),
            ),
            Property::always("nobody's proofs that count contradict each other", |_, life: &Life| {
                let says = |root| {
                    let mut provers = life.provers.iter();
                    provers.any(|prover| prover.proof == Some(root) && prover.key != Standing::Revoked)
                };
                !(says(Root::Right) && says(Root::Wrong))
            }),
            Property::always(
                "a job is given up by a person, or when its attempts are used up",
                |rules: &Self, life: &Life| {
                    life.status != Status::Ignored || life.by_hand || life.attempts >= rules.max_attempts
                },
            ),
            Property::always("whoever has the batch holds its lease", |_, life: &Life| match life.status {
                Status::Picked { by, .. } => life.prover(by).has_lease,
                _ => true,
            }),
            Property::always("a job that waits can be claimed once provers have rested", |_, life: &Life| {
                let waits = !matches!(life.status, Status::Generated | Status::Ignored);
                let mut later = *life;
                for _ in 0..1 << MOST_FAILURES {
                    later = Rules { required_proofs: 1, max_attempts: 1 }.step(later, Action::TimePasses).0;
                }
                !waits || (later.is_claimable_by(Who::A) && later.is_claimable_by(Who::B))
            }),
            Property::sometimes("it is proven", |_, life: &Life| life.status == Status::Generated),
            Property::sometimes("it is given up", |_, life: &Life| life.status == Status::Ignored && !life.by_hand),
            Property::sometimes(
                "the honest proof comes too late, and counts once the forger's does not",
                |_, life: &Life| {
                    let [honest, forger] = &life.provers;
                    honest.disagrees && honest.proof == Some(Root::Right) && forger.key == Standing::Revoked
                },
            ),
        ]
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {} attempts; {:?}", self.status, self.attempts, self.provers)
    }
}
