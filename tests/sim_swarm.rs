//! What the swarm's harness itself demands of a run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tymist::sim::fault::{Effect, Rule};
use tymist::sim::swarm::{Kind, Plan, Scenario, Shape, Stage, run};
use tymist::sim::{Errno, Op, Tracing};

/// Has a rule that nothing ever meets.
struct Idle {
    optional: bool,
}

impl Scenario for Idle {
    fn start(&mut self, stage: &mut Stage<'_>) {
        let rule = Rule::new("never met", Effect::Fail(Errno::Emfile)).on(&[Op::Listen]);
        stage.world.rule(if self.optional { rule.optional() } else { rule });
    }
}

#[test]
fn a_rule_that_never_fired_fails_the_run() {
    let plan = Plan::draw(1, &Shape::default());
    let failure = run(&plan, Tracing::Hash, Idle { optional: false }, |_| ()).unwrap_err();
    assert_eq!(failure.kind, Kind::Unfired);
    assert!(failure.what.contains("never met"), "{failure}");
    run(&plan, Tracing::Hash, Idle { optional: true }, |_| ()).unwrap();
}
