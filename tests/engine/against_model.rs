//! Random lists of operations on both ends of several connections, over a network in memory that cuts bytes at odd places. Whatever they
//! are: bytes come in order and once, events come in their order, limits hold, `wake()` is right, and nothing is left at the end.

use std::time::Duration;

use crate::model::{Op, Run};
use proptest::prelude::*;
use tymist::{Config, OverLimit, RxFull, TxFull};

const SECOND: Duration = Duration::from_secs(1);

fn op() -> impl Strategy<Value = Op> {
    let who = 0..6usize;
    let size = prop_oneof![Just(1usize), 1..40usize, 50..200usize];
    let tyme = prop_oneof![Just(1u64), 1..2_000_000_000u64];
    prop_oneof![
        6 => Just(Op::Connect),
        10 => (who.clone(), size.clone()).prop_map(|(who, size)| Op::Send(who, size)),
        10 => (who.clone(), size.clone()).prop_map(|(who, size)| Op::Receive(who, size)),
        2 => who.clone().prop_map(Op::End),
        1 => who.clone().prop_map(Op::CloseClient),
        1 => who.clone().prop_map(Op::Reset),
        10 => (who.clone(), size.clone()).prop_map(|(who, size)| Op::Tx(who, size)),
        8 => (who.clone(), size.clone()).prop_map(|(who, size)| Op::Consume(who, size)),
        1 => (who.clone(), size.clone()).prop_map(|(who, size)| Op::Unread(who, size)),
        1 => who.clone().prop_map(Op::Close),
        1 => who.clone().prop_map(Op::Abort),
        1 => who.clone().prop_map(Op::ShutdownSend),
        1 => who.clone().prop_map(Op::ShutdownReceive),
        1 => (who.clone(), tyme.clone()).prop_map(|(who, tyme)| Op::SetIdle(who, tyme)),
        1 => (who, any::<bool>()).prop_map(|(who, on)| Op::HalfOpen(who, on)),
        1 => size.prop_map(Op::Broadcast),
        24 => Just(Op::Service),
        6 => Just(Op::Wait),
        4 => Just(Op::Sends),
        4 => Just(Op::Receives),
        12 => prop_oneof![Just(1usize), Just(1000)].prop_map(Op::Events),
        3 => tyme.prop_map(Op::Advance),
        1 => Just(Op::Rewind),
        1 => Just(Op::Reopen),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let limits =
        (1..6usize, 1..4usize, 1..120usize, 1..120usize, 1..400usize, 1..60usize, 1..200usize);
    let few = 1..6usize;
    let more = (1..40usize, 1..6usize, 1..4usize, 0..3_000_000_000u64, 0..3_000_000_000u64, few);
    let flags = any::<[bool; 5]>();
    (limits, more, flags).prop_map(|(limits, more, flags)| {
        let mut config = Config::new();
        config.limits.remoters = limits.0;
        config.limits.accepts_per_tick = limits.1;
        config.limits.rx_bytes = limits.2;
        config.limits.tx_bytes = limits.3;
        config.limits.buffered = limits.4;
        config.limits.remoter_tick_bytes = limits.5;
        config.limits.tick_bytes = limits.6;
        config.limits.scratch = more.0;
        config.limits.accept_deque = more.1;
        config.limits.events = more.2 * 8;
        config.limits.turns_per_tick = more.5;
        config.timeouts.idle = Some(Duration::from_nanos(more.3));
        config.timeouts.lifetime = Some(Duration::from_nanos(more.4 * 7));
        config.timeouts.write_stall = Some(SECOND);
        config.timeouts.linger = if flags[4] { None } else { Some(SECOND) };
        config.half_open = flags[0];
        config.rx_full = if flags[1] { RxFull::Close } else { RxFull::Pause };
        config.tx_full = if flags[2] { TxFull::Close } else { TxFull::Partial };
        config.over_limit = if flags[3] { OverLimit::Wait } else { OverLimit::Refuse };
        config
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_promises_hold(
        config in config(),
        seed in any::<u64>(),
        ops in prop::collection::vec(op(), 0..160),
    ) {
        let mut run = Run::new(config, seed);
        for op in &ops {
            run.apply(op);
        }
        run.finish();
    }
}
