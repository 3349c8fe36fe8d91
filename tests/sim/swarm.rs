//! What the swarm's harness itself demands of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tymist::sim::fault::{Effect, Rule};
use tymist::sim::swarm::{Kind, Moment, Plan, Shape, Stage, run};
use tymist::sim::{Errno, Op, Tracing};

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
