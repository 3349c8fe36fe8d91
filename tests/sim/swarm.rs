//! What the swarm's harness itself demands of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tymist::Wake;
use tymist::doing::{DoError, Doer, Recur};
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::swarm::{Kind, Moment, Plan, Shape, Stage, run};
use tymist::sim::{Act, Errno, Op, Tracing};
use tymist::tyme::Tyme;

/// A scenario with a rule that nothing ever meets.
fn never_met(optional: bool) -> impl FnMut(&mut Stage<'_>, Moment) -> Result<(), String> {
    move |stage, moment| {
        if moment == Moment::Start {
            let rule = Rule::new("never met", Effect::Fail(Errno::Emfile)).on(&[Op::Listen]);
            stage.world.rule(if optional { rule.optional() } else { rule });
        }
        Ok(())
    }
}

#[test]
fn a_rule_that_never_fired_fails_the_run() {
    let plan = Plan::draw(1, &Shape::default());
    let failure = run(&plan, Tracing::Hash, never_met(false), |_| ()).unwrap_err();
    assert_eq!(failure.kind, Kind::Unfired);
    assert!(failure.what.contains("never met"), "{failure}");
    run(&plan, Tracing::Hash, never_met(true), |_| ()).unwrap();
}

/// Counts its turns.
struct Turns(Rc<Cell<u32>>);

impl Doer for Turns {
    fn recur(&mut self, _: Tyme) -> Result<Recur, DoError> {
        self.0.set(self.0.get() + 1);
        Ok(Recur::Again)
    }

    fn wake(&self) -> Wake {
        Wake::OnIo
    }
}

#[test]
fn regression_a_pause_ends_when_all_is_healed() {
    let plan = Plan::draw(1, &Shape::default());
    let turns = Rc::new(Cell::new(0));
    let scenario = |stage: &mut Stage<'_>, moment| {
        match moment {
            Moment::Start => {
                let host = stage.world.hosts().next().unwrap();
                let turns = Rc::clone(&turns);
                stage.world.start(host, move |_| Turns(Rc::clone(&turns)));
                stage.world.act(&Act::Pause(host, Duration::MAX));
            }
            Moment::Done { .. } if turns.get() == 0 => return Err("it had no turn".into()),
            _ => {}
        }
        Ok(())
    };
    run(&plan, Tracing::Hash, scenario, |_| ()).unwrap();
    assert!(turns.get() > 0);
}
