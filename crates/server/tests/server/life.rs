//! The job's life: a model of claims, leases, failures, proofs, revocations and suspensions, which is checked in all
//! states that it can reach within small bounds; and traces of it on real servers.

mod model;
mod replay;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::Entry};

use stateright::{Checker, Model};

use self::{
    model::{Action, Answer, Life, Rules, Status},
    replay::Pair,
};

const RULES: [Rules; 2] =
    [Rules { required_proofs: 1, max_attempts: 2 }, Rules { required_proofs: 2, max_attempts: 2 }];

/// How many traces are replayed of each model.
const MOST_TRACES: usize = 600;

/// The parts of a step that matter: what is done, the states of the job and of the actor before it, the state of the
/// job after it, and the answer. Each one that can be reached is on a trace.
type Transition = (String, String, String, String, Answer);

#[test]
fn in_every_state_that_the_model_comes_to_its_promises_hold() {
    for rules in RULES {
        let checker = rules.checker().threads(2).spawn_bfs().join();
        println!("{rules:?}: {} states, {} of them different", checker.state_count(), checker.unique_state_count());
        checker.assert_properties();
    }
}

#[tokio::test]
async fn two_servers_do_what_the_model_says_on_every_kind_of_step() {
    for rules in RULES {
        let (transitions, traces) = traces(rules);
        assert!(traces.len() <= MOST_TRACES, "{} traces", traces.len());
        let mut pair = Pair::start(rules).await;
        for trace in &traces {
            pair.replay(rules, trace).await;
        }
        println!("{rules:?}: {transitions} kinds of steps in {} traces of {} steps", traces.len(), pair.steps);
    }
}

/// Shortest traces to each kind of step; those that are the beginning of another are left out. Also returns how many
/// kinds there are.
fn traces(rules: Rules) -> (usize, Vec<Vec<Action>>) {
    let first = rules.first();
    // How each state was reached.
    let mut came: HashMap<Life, Option<(Life, Action)>> = [(first, None)].into();
    let mut found: BTreeMap<Transition, Vec<Action>> = BTreeMap::new();
    let mut ahead: VecDeque<_> = [first].into();
    while let Some(life) = ahead.pop_front() {
        let mut actions = vec![];
        rules.actions(&life, &mut actions);
        for action in actions {
            let (next, answer) = rules.step(life, action);
            if !rules.within_boundary(&next) {
                continue;
            }
            found.entry(transition(&life, action, &next, answer)).or_insert_with(|| way(&came, life, action));
            if let Entry::Vacant(place) = came.entry(next) {
                place.insert(Some((life, action)));
                ahead.push_back(next);
            }
        }
    }
    let ways: BTreeSet<_> = found.values().collect();
    let is_beginning = |way: &[Action]| {
        // Traces that begin with it come directly after it.
        ways.range::<Vec<Action>, _>(&way.to_vec()..).nth(1).is_some_and(|next| next.starts_with(way))
    };
    (found.len(), ways.iter().filter(|way| !is_beginning(way)).map(|way| (*way).clone()).collect())
}

fn way(came: &HashMap<Life, Option<(Life, Action)>>, mut life: Life, last: Action) -> Vec<Action> {
    let mut way = vec![last];
    while let Some((before, action)) = came[&life] {
        way.push(action);
        life = before;
    }
    way.reverse();
    way
}

fn transition(life: &Life, action: Action, next: &Life, answer: Answer) -> Transition {
    let (kind, who) = match action {
        Action::Claim(who) => ("claim".to_owned(), Some(who)),
        Action::Renew(who) => ("renew".to_owned(), Some(who)),
        Action::Fail(who) => ("fail".to_owned(), Some(who)),
        Action::GiveBack(who) => ("give back".to_owned(), Some(who)),
        Action::Submit { who, root, with_lease } => (format!("submit {root:?} {with_lease}"), Some(who)),
        Action::Suspend(who) => ("suspend".to_owned(), Some(who)),
        Action::Resume(who) => ("resume".to_owned(), Some(who)),
        Action::Revoke(who) => ("revoke".to_owned(), Some(who)),
        Action::Retry | Action::Ignore | Action::Requeue | Action::TimePasses => (format!("{action:?}"), None),
    };
    let status = |life: &Life| match life.status {
        Status::Picked { by, expired } => format!("picked by {:?}, {expired}", who.map(|who| who == by)),
        status => format!("{status:?}"),
    };
    let stands = who.map(|who| life.prover(who)).map_or_else(String::new, |prover| match action {
        Action::Claim(_) => format!("{} {}", prover.rest > 0, prover.paused),
        Action::Submit { .. } => format!("{:?} {:?}", prover.key, prover.proof),
        Action::Revoke(_) => format!("{} {}", prover.proof.is_some(), prover.disagrees),
        _ => String::new(),
    });
    (kind, status(life), stands, status(next), answer)
}
