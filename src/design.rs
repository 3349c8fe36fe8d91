//! Invariants, the order of a tick, every default and why.
//!
//! For those who change this crate, and for those who want to know what they can rely on.
//!
//! # The order of a tick
//!
//! [`Server::service`](crate::Server::service) does, in this order:
//!
//! 1. **Clock.** Tyme is read once; everything below gets it as an argument. Connections whose `Closed` was taken are forgotten.
//! 2. **Flush.** What the caller queued, ended or resumed since the last tick, in the order in which the connections were first touched.
//! 3. **Harvest.** One system call without waiting; none where [`wait`](crate::Server::wait) has just made it. Readiness sets latches, nothing else.
//! 4. **Accept** into the deques, round robin over the acceptors, within a budget.
//! 5. **Admit** from the deques, in order; those with a handshake start it.
//! 6. **Handshakes**, a bounded step each, within a budget.
//! 7. **Turns.** Each connection in line sends what was blocked and receives, within its own budget and the tick's. Who has more
//!    to do goes to the back of the line.
//! 8. **Deadlines.** After the turns, so that what has arrived counts as activity even where its deadline falls into the same tick.
//! 9. **Draining**, if it is on.
//!
//! A connection is released as soon as a step finds that it is over; its socket is closed then, its place is kept until `Closed` was taken.
//!
//! # Invariants
//!
//! * An [`Id`](crate::Id) never names another connection than the one it was made for.
//! * `Accepted` comes first and `Closed` last, once each, for every connection that ever was usable. What never was is told by
//!   `Refused` or `HandshakeFailed`.
//! * Readiness is a latch: only `WouldBlock`, or a short read where the stream vouches for it, clears it. So no byte waits for an edge that has
//!   already been. A read must go on past a short one once the poller has seen the end coming (`Readiness::ending`), since that edge does not come again.
//! * A connection stands in each work list at most once (`queued`, `touched`). A tick costs what the lists hold.
//! * The wheel holds at most one entry per connection, never later than the connection's earliest deadline.
//! * Bytes buffered server-wide are the sum of all rx and tx queues, those of closed connections that were not told yet included.
//! * Every loop has a budget. What a budget cut off makes [`wake`](crate::Server::wake) say `Now`.
//! * What a limit holds back (reading at the rx cap, accepting at the remoters cap, everything at the server-wide cap) does *not* make `wake` say `Now`,
//!   or the loop would spin; what lifts the limit does.
//! * Nothing a peer does makes a call fail. Errors of calls are the caller's.
//!
//! # Time
//!
//! Tyme is integer nanoseconds: a million ticks of 0.1 s are exactly 100,000 s. A refresh of the idle deadline stores one number; the
//! wheel finds out when it fires, and re-arms. So `Wake::At` may be early by what was refreshed meanwhile, and is never late. An exact answer would cost a walk
//! over the refreshed ones at each tick, which is what the lazy refresh is there to avoid.
//!
//! # Defaults
//!
//! Each is documented with its cost at its field. The reasons:
//!
//! * `remoters` 65,536 and `remoters_per_ip` the same: beyond any descriptor limit people run with by default, so the operating system's limit is met first
//!   and told as `AcceptPaused`. A lower per-address default would refuse whole offices behind one address without anybody having asked for it.
//! * `accepts_per_tick` 256, `tick_bytes` 4 MiB: about a millisecond each, so that a frame of 60 Hz keeps its time in a flood.
//! * `remoter_tick_bytes` 256 KiB: four full reads. One connection cannot have the tick to itself, and a loop at 60 Hz still moves 15 MB/s on each.
//! * `scratch` 64 KiB: measured best for large messages, no difference for small ones.
//! * `rx_bytes` 256 KiB pauses rather than closes: back pressure is what TCP is for. `tx_bytes` 1 MiB: a few round trips of a fast long link.
//! * An eighth of `buffered` is for bytes that go out alone: where unread ones could fill it all, whoever takes more only after it has answered waited for
//!   ever, and with it everybody.
//! * `write_stall` 30 s, `handshake` 10 s, `linger` 5 s, `drain` 30 s are finite because what they bound is otherwise held for ever by a
//!   peer that does nothing. `idle`, `first_byte` and `lifetime` are off, because silence is legitimate in many protocols; hio's servers thought they had
//!   1 s and had none.
//! * `no_delay` on: the engine coalesces what is queued in a tick, so Nagle's wait only adds latency.
//! * `backlog` 1024: hio's 128 overflows in a burst, and a dropped SYN costs the peer a second.
//!
//! # Closing
//!
//! One path for all reasons: mark (the phase and the reason are set), flush and linger, release. `close()` goes through all of it. Deadlines, resets and
//! aborts go straight to the release, which sends a reset if anything queued was cut off, so that the peer never takes a torso for the whole.
//! The wait for the peer's end after ours (`linger`) is there because closing a socket with unread input makes the kernel send a
//! reset, which may destroy what the peer has not read yet. A connection whose peer has ended first needs none of that.
//!
//! A write that fails is followed by one more read: what the peer said before it reset may still be in the kernel's queue.
//!
//! # What hio gets wrong
//!
//! Each of these is a test in `tests/regressions.rs`: timeouts that reach nobody, a refresh that extends instead, a reset between accept and service that
//! ends the loop, EPIPE that aborts the pass over all, one fast sender that fills the memory, port 0, replaced connections never closed, cut-off ones never
//! reaped, a system call per connection and tick.
//!
//! # Where this departs from the plan
//!
//! * **Benchmarks are a package of their own** in `benches/`, so that nobody who runs the tests builds tokio.
//! * **The passes over connections are a room, `engine/`**, below `server`: what is not about accepting is shared by clients.
//! * **`Drained` is told only where something was left after a send**, not for every reply that fits: it would double the events of a server that has no
//!   back pressure to care about.
//! * **An expired connection is released at once**, without lingering: nothing was moving on it.
//! * **A closed connection can still be looked at** until the tick after its `Closed` was taken: its unread bytes, counters and your data are what one wants
//!   to see just then.
//! * **The index by peer address is a tree of hashes**, not of addresses (16 instead of 40 bytes), and not a hash table (nobody can choose addresses that make
//!   it slow, and no seed is needed).
//! * **IPv6 addresses count by their /64** in `remoters_per_ip`, since that is what one user has.
//! * **No `RemoterTls` type of its own** will be needed: TLS is a layer under the same `Remoter`.
