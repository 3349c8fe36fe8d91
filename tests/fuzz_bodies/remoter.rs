//! Operations on remoters and on their far ends, by the model that the random tests go by.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use tymist::{Config, OverLimit, RxFull, TxFull};

use super::model::{Op, Run};

/// More would only make inputs slow.
const MOST: usize = 300;

/// Lists of operations on both ends of a server's connections.
pub fn remoter(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok((config, seed)) = setting(&mut input) else { return };
    let mut run = Run::new(config, seed);
    for _ in 0..MOST {
        match op(&mut input) {
            Ok(op) if !input.is_empty() => run.apply(&op),
            _ => break,
        }
    }
    run.finish();
}

fn setting(input: &mut Unstructured<'_>) -> Result<(Config, u64)> {
    let seed = input.arbitrary()?;
    let flags: u8 = input.arbitrary()?;
    let flag = |bit: u8| flags & 1 << bit != 0;
    let mut config = Config::new();
    config.limits.remoters = input.int_in_range(1..=5)?;
    config.limits.accepts_per_tick = input.int_in_range(1..=3)?;
    config.limits.rx_bytes = input.int_in_range(1..=120)?;
    config.limits.tx_bytes = input.int_in_range(1..=120)?;
    config.limits.buffered = input.int_in_range(1..=400)?;
    config.limits.remoter_tick_bytes = input.int_in_range(1..=60)?;
    config.limits.tick_bytes = input.int_in_range(1..=200)?;
    config.limits.scratch = input.int_in_range(1..=40)?;
    config.limits.accept_deque = input.int_in_range(1..=5)?;
    config.limits.events = input.int_in_range(1..=3)? * 8;
    let second = Duration::from_secs(1);
    config.timeouts.idle = Some(second * input.int_in_range(0..=3)?);
    config.timeouts.lifetime = Some(second * input.int_in_range(0..=20)?);
    config.timeouts.write_stall = Some(second);
    config.timeouts.linger = flag(0).then_some(second);
    config.half_open = flag(1);
    config.rx_full = if flag(2) { RxFull::Close } else { RxFull::Pause };
    config.tx_full = if flag(3) { TxFull::Close } else { TxFull::Partial };
    config.over_limit = if flag(4) { OverLimit::Wait } else { OverLimit::Refuse };
    Ok((config, seed))
}

fn op(input: &mut Unstructured<'_>) -> Result<Op> {
    let kind: u8 = input.arbitrary()?;
    let who = input.int_in_range(0..=5)?;
    Ok(match kind % 32 {
        0..2 => Op::Connect,
        2..5 => Op::Send(who, input.int_in_range(1..=200)?),
        5..8 => Op::Receive(who, input.int_in_range(1..=200)?),
        8..11 => Op::Tx(who, input.int_in_range(1..=200)?),
        11..13 => Op::Consume(who, input.int_in_range(1..=200)?),
        13 => Op::Unread(who, input.int_in_range(1..=200)?),
        14 => Op::End(who),
        15 => Op::CloseClient(who),
        16 => Op::Reset(who),
        17 => Op::Close(who),
        18 => Op::Abort(who),
        19 => Op::ShutdownSend(who),
        20 => Op::ShutdownReceive(who),
        21 => Op::SetIdle(who, u64::from(input.arbitrary::<u32>()?)),
        22 => Op::HalfOpen(who, input.arbitrary()?),
        23 => Op::Broadcast(input.int_in_range(1..=200)?),
        24 => Op::Wait,
        25 => Op::Sends,
        26 => Op::Receives,
        27 => Op::Events(input.int_in_range(1..=20)?),
        28 => Op::Advance(u64::from(input.arbitrary::<u32>()?)),
        29 if who == 0 => Op::Rewind,
        29 if who == 1 => Op::Reopen,
        _ => Op::Service,
    })
}
