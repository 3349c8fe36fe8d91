//! Invariants, the order of a tick, every default and why.
//!
//! For those who change this crate, and for those who want to know what they can rely on.
//!
//! # The order of a tick
//!
//! [`Server::service`](crate::Server::service) does, in this order:
//!
//! 1. **Clock.** Tyme is read once; everything below gets it as an argument. Connections whose `Closed` was taken are forgotten.
//! 2. **Flush.** What the caller queued, ended or resumed since the last tick, in the order in which the connections were first touched. Then the
//!    connections are dialled that it asked for, within a budget.
//!    What was queued at datagram endpoints goes out as well.
//! 3. **Harvest.** One system call without waiting; none where [`wait`](crate::Server::wait) has just made it, unless a deadline has come
//!    since: so may have what it waits for. Readiness sets latches, nothing else.
//! 4. **Accept** into the deques, round robin over the acceptors, within a budget.
//! 5. **Admit** from the deques, in the order of acceptance, whichever the acceptor; those with a handshake start it.
//! 6. **Coming up.** Dialled connections whose attempts have news are asked, within a budget; those that are up start their handshake, or are usable.
//! 7. **Handshakes**, a bounded step each, within a budget.
//! 8. **Turns.** Each connection in line sends what was blocked and receives, within its own budget and the tick's. Who has more
//!    to do goes to the back of the line.
//!    Then the datagram endpoints, in the same way.
//! 9. **Deadlines.** After the turns, so that what has arrived counts as activity even where its deadline falls into the same tick.
//!    One whose answer, or room, is known and whose turn did not come is not judged: it stays due, and the line moves on at once.
//! 10. **Dialling** of what has become due: the next address, the next round. It has the rest of the budget. Before either dialling the answers to look-ups are
//!     heard, and names asked for that waited, within a budget of their own.
//! 11. **Certificates** are looked at, where a reload was asked for or the time to do so has come.
//! 12. **Draining**, if it is on.
//!
//! [`Clients::service`](crate::Clients::service) does the same without 4, 5, 11 and 12. `tests/engine/tick.rs` pins it, call by call.
//!
//! A connection is released as soon as a step finds that it is over; its socket is closed then, its place is kept until `Closed` was taken.
//!
//! # Invariants
//!
//! * An [`Id`](crate::Id) never names another connection than the one it was made for.
//! * `Accepted` comes first and `Closed` last, once each, for every connection that ever was usable. What never was is told by
//!   `Refused` or `HandshakeFailed`. A dialled connection is known by its id from the start: `Connected` once each time it becomes usable, `Disconnected` once
//!   for each round that ended and is followed by another, `Closed` last and once, whether it ever was usable or not.
//! * A round begins only after the `Disconnected` of the one before was taken. So a caller that takes no events lets nothing grow, and no byte of a new
//!   connection is ever seen before the end of the old one.
//! * What is queued while a connection is not usable waits for it through all rounds; what was queued on a usable one that broke is thrown away, since
//!   a part of it may have arrived.
//! * Readiness is a latch: only `WouldBlock`, or a short read where the stream vouches for it, clears it. So no byte waits for an edge that has
//!   already been. A read must go on past a short one once the poller has seen the end coming (`Readiness::ending`), since that edge does not come again.
//! * A connection stands in each work list at most once (`queued`, `touched`). A tick costs what the lists hold.
//! * The wheel holds at most one entry per connection, never later than the connection's earliest deadline.
//! * Bytes buffered server-wide are the sum of all rx and tx queues, those of closed connections that were not told yet included.
//! * A harvest takes so many reports at once (on the operating system 1024, or 64). While it leaves some, `FirstByte` and `Idle` end nobody who may be
//!   among them. Who is reported goes to the back of the network's queue, so that lasts one round of reports, also in a crowd without end.
//! * Every loop has a budget. What a budget cut off makes [`wake`](crate::Server::wake) say `Now`.
//! * What a limit holds back (reading at the rx cap, accepting at the remoters cap, everything at the server-wide cap) does *not* make `wake` say `Now`,
//!   or the loop would spin; what lifts the limit does.
//! * Nothing that came in plain is readable once a connection has gone over to TLS, and nothing is queued while it does.
//! * Errors of calls are about one connection or address, never about the whole: `service()` cannot fail. A peer that has gone makes
//!   [`tx`](crate::Remoter::tx) on its connection say `Closed` or `Gone`: never end a loop over it.
//!
//! # Time
//!
//! Tyme is integer nanoseconds: a million ticks of 0.1 s are exactly 100,000 s. A refresh of the idle deadline stores one number; the
//! wheel finds out when it fires, and re-arms. So `Wake::At` may be early by what was refreshed meanwhile, and is never late. An exact answer would cost a walk
//! over the refreshed ones at each tick, which is what the lazy refresh is there to avoid.
//!
//! *The system's clock is read through nix on Linux*, twice a tick, as the number that it is: the standard library's `Instant` and the difference of two take
//! three times the instructions. rustix's own way would be as short, and ends in a segmentation fault under valgrind, which hides the kernel's page that it
//! goes through.
//!
//! *A wait of 100 ms or more is ended by a timer of its own among the sockets* (Linux), and given to the poller as one without an end. Else each wait sets
//! a kernel's timer up and takes it down again, a few per cent of what a message costs that comes alone (`--servers mio,mio-timed echo64` in `benches/`
//! tells how much); and the next deadline stays where it is while traffic puts it off, so the timer is set once and rings once. It costs a descriptor, and a
//! system call when a nearer deadline comes.
//!
//! # What a message costs
//!
//! System calls are most of it, and a tick makes no more of them than a loop by hand does. The rest shows where one message comes at a time and the core has
//! slept in between: by then little of the code is in any cache, and each line of it that is touched, and more so each page, is fetched anew. (A C server that
//! ran 300 more lines of code a message took 3 % longer where they lay in 5 pages, and 10 % where they lay in 43.) So:
//!
//! * Steps of a tick are `#[inline]`: they are compiled where the tick is, and lie next to it in memory, not each where its module happens to be put. What is
//!   called through a trait object stands first in its `impl`, for the same reason.
//! * The usual case is said first and the rest is a function of its own, often `#[inline(never)]`: it would only lie in between.
//! * What is mostly absent is asked with one comparison: the wheel knows until when it has nothing to do, a server whether anything but its connections wants
//!   something, the tasks whether anybody was woken.
//!
//! *A wait looks for a moment before it sleeps, where that takes less CPU time* ([`Config::spin`](crate::Config::spin)). Where a peer answers at once most
//! of what a message costs is to go to sleep and be woken: on a virtual machine a third of all its CPU time went with that
//! (`--servers tymist,tymist-asleep echo64` in `benches/`). But on a machine that wakes a thread in 3 us, looking for 40 us is a waste, and neither
//! the machine nor the peer can be known beforehand. So it is measured, by the clock that counts what matters: a hundred waits asleep, a hundred that look,
//! the thread's CPU time for each read and for each byte (who looks takes what comes in smaller pieces, so bulk needs the second). Looking must take an
//! eighth less, else noise would decide, and less than the cheaper of the last two measurements of sleeping, so that nobody makes it look by a moment of
//! dear requests. A try ends once it has taken what a hundred waits asleep would have, and the next one is twice as far off, up to 65,536 waits; a wait
//! that is not followed by another one in 300 us never looks. So it costs some thousandths where it does not pay, and is on by default. What it decides by
//! is the cost of this thread alone: where the cores are busy, the CPU time that it takes is time that others do not have. Engines ask for it and networks
//! do it (`Net::harvest_looking`, `Net::cpu_time`): a world has no CPU time, so nothing of this is in a simulated run, and middleware that knows nothing of
//! it just sleeps.
//!
//! # Defaults
//!
//! Each is documented with its cost at its field. The reasons:
//!
//! * `remoters` 65,536 and `remoters_per_ip` the same: beyond any descriptor limit people run with by default, so the operating system's limit is met first
//!   and told as `AcceptPaused`. A lower per-address default would refuse whole offices behind one address without anybody having asked for it.
//! * `accepts_per_tick` 256, `tick_bytes` and `tick_bytes_out` 4 MiB: about a millisecond each, so that a frame of 60 Hz keeps its time in a flood.
//!   Without the second, peers that open their windows at once would decide how long a tick lasts. Half of it is for those whom the last tick had none
//!   left for, so that what is newly queued, which leaves first, starves nobody.
//! * `turns_per_tick` 1024, as many as one harvest tells of: a thousand peers that say little took most of a frame of 60 Hz, whatever the limits of
//!   bytes, since a read and a write cost the same for one byte as for a thousand. `frame_loop` has 256, which halved its worst tick.
//! * A harvest of the operating system's network takes 64 reports where the last one was less than 200 us, and 8 us for each report that it took, ago. Such
//!   a loop is back at once, so it loses nothing by smaller ticks; what it reads is still in the processor's caches when it is answered, the kernel's part of
//!   it too; and its peers have something to do meanwhile. With 1024 all of a thousand connections were read, then all answered, and so were their peers: an
//!   echo to them cost 1.08 of a loop that answers each at once, and costs 1.00 to 1.02 now (benches, part `echo64`). To bound the turns of a tick instead
//!   gained little of that. It goes by the time between harvests and not by who has waited, so that a loop that waits, ticks and draws a frame gets all
//!   there is.
//! * `burst_bytes` 256 KiB: a loop that waits comes back at once, so it loses nothing by smaller ticks, and what it answers is still in the cache.
//! * `remoter_tick_bytes` 128 KiB: one full read, which then *is* the rx buffer without a copy, and comes back to be used again when it was sent on.
//!   Four reads a tick, tried first, halved the throughput of bulk streams: the rx buffer grew by copying, and left the caches.
//! * `handshakes` 16,384 and `handshakes_per_ip` 12,288: what stalls before its ClientHello costs 1.3 KiB, so many may; what does its worst costs 22 KiB, so
//!   all of them together cannot take more than 360 MiB. Beyond the limit of one address connections are refused, since in the deque they would keep others
//!   out.
//! * `refresh_handshake` off: a peer that sends a byte a second would stay for hours.
//! * `scratch` 128 KiB: one bulk stream costs a ninth less than with 64 KiB, since there are half as many ticks; messages of just 64 KiB cost as much
//!   more. With 256 KiB it is hardly less, and who waits in line behind bulk streams waits twice as long. (Medians of four to six measurements each, in
//!   turns, with the servers and the load of `benches/`, this and `remoter_tick_bytes` set alike in `tymist_echo.rs`.)
//! * `rx_bytes` 256 KiB pauses rather than closes: back pressure is what TCP is for. `tx_bytes` 1 MiB: a few round trips of a fast long link.
//! * An eighth of `buffered` is for bytes that go out alone: where unread ones could fill it all, whoever takes more only after it has answered waited for
//!   ever, and with it everybody. Half of that eighth is open to who holds nothing, 4 KiB at a time: else two hundred peers that take nothing
//!   silence all others until `write_stall` ends them.
//! * `write_stall` 30 s, `handshake` 10 s, `linger` 5 s, `drain` 30 s are finite because what they bound is otherwise held for ever by a
//!   peer that does nothing. `idle`, `first_byte` and `lifetime` are off, because silence is legitimate in many protocols; hio's servers thought they had
//!   1 s and had none.
//! * `unsent` 256 KiB: Linux reports room when a third of the send buffer is free, which it sizes at up to 4 MiB, and no deadline can tell a peer that reads
//!   32 KiB a second from a dead one by that. To try a write when the deadline has come, whatever was reported, was no way out: an acknowledgement that came
//!   late makes room, too, so that who reads nothing got up to twice its time. Bulk throughput is the same with it and without.
//! * A TLS record counts as 1 KiB against the budgets of bytes read (`Stream::overhead`): with its header, its key stream and its tag it takes about as long
//!   as to read that much plain, whatever is in it, and peers that put a byte into each made a tick open as many as `tick_bytes` has bytes,
//!   four million. What no plaintext comes of, as padding, counts by the byte. A further read of a turn counts as 1 KiB at least, since reads may be cut short
//!   by something else, as by descriptors.
//! * `no_delay` on: the engine coalesces what is queued in a tick, so Nagle's wait only adds latency.
//! * `spin` 100 us: on a virtual machine looks of 50 us found nothing and so never began to pay, since the peer sleeps, too, until the first few have found
//!   it awake.
//! * `backlog` 1024: hio's 128 overflows in a burst, and a dropped SYN costs the peer a second.
//!
//! * `connect` 10 s: three lost SYNs (after 1, 3 and 7 s) and a little. It covers a whole round, the look-up included, since that is what a user waits for.
//! * `stagger` 250 ms: RFC 8305's. `Backoff` 500 ms to 30 s, half of it jitter: a crowd that lost its server spreads over half a wait at once, and over 15 s in
//!   the end.
//! * `connects_per_tick` 256: a connect on loopback takes the kernel 20 to 40 us, more than any other call.
//! * `lookups` 64 at once, by four threads: a name whose servers are dead holds one of them up for seconds, and three go on. Connections to the same name and
//!   port share one look-up, and one that all have given up, as after the connect time-out, is passed over by the threads: the dead name costs a crowd what it
//!   costs one.
//!
//! # Closing
//!
//! One path for all reasons: mark (the phase and the reason are set), flush and linger, release. `close()` goes through all of it. Deadlines, resets and
//! aborts go straight to the release, which sends a reset if anything queued was cut off, so that the peer never takes a torso for the whole.
//! Closing a whole engine is a release of all after one try for what is queued; where nothing is cut off TLS says goodbye first, so that its peer takes the
//! whole for no torso either.
//! Unix sockets have no reset (on Linux the peer sees one only if something it sent was unread): there a torso ends like the whole, and a protocol must say
//! itself where its end is.
//! `abort_once_sent` is between the two: flush, then the reset. A [`Relay`](crate::Relay) breaks the other end like that, since an answer is worth more than
//! the speed of a reset. What the kernel still holds when the reset goes out may be lost, as it is where the two talk directly.
//! The wait for the peer's end after ours (`linger`) is there because closing a socket with unread input makes the kernel send a
//! reset, which may destroy what the peer has not read yet. A connection whose peer has ended first needs none of that.
//!
//! Where a TLS layer gives up over what the peer said, the reason is fixed, and the alert, our end and the wait for the peer's follow as in a graceful close: a
//! reset would destroy the alert. A handshake that fails that way is told when the wait is over, and counts among the unfinished ones until then. What
//! the peer or the transport ended needs none of that. An end without close_notify is `TlsTruncated` also after our own close: what is not
//! known to be whole is not called clean.
//!
//! A write that fails is followed by one more read: what the peer said before it reset may still be in the kernel's queue.
//!
//! # The seam
//!
//! *Middleware names what is below it and says what it changes.* Written out, a dozen methods stood in each of five wrappers, one forgotten was a feature lost
//! without a word (Unix sockets under TLS were), and a new method of the trait had to be added to all. So a default is that of the stream below, where there is
//! one. The price: a backend that forgets to register is told by an error and not by the compiler. `short_read_drains` alone is never taken over unasked.
//!
//! *An error that is told later keeps its number* ([`Cause`](crate::Cause)): many have no kind of their own, among them those that an operator must hear of in
//! words, such as no descriptor left. It is a number beside the kind, not a text, so that events and reasons stay small and can be compared.
//!
//! # Datagrams
//!
//! *One poller for connections and datagrams.* An [`Endpoint`](crate::Endpoint) is the socket with its queues and passes, and knows no network and no clock.
//! [`Server::bind`](crate::Server::bind) puts one into the server's tick; a [`Peer`](crate::Peer) is one with a network, a clock and a tick of its own, and
//! passes all else on (`Deref`). The other way, several engines that share one network, was weighed and left: each would harvest what is another's, so tokens
//! and readiness must be sorted by owner, no engine could sleep by its own deadlines alone, and a program that forgets to service one of them spins. In one
//! engine there is one budget, one wait, and one queue in which events of both kinds keep their order.
//!
//! *An error may be about an earlier datagram*, so a send that meets one is tried once more before its own datagram is given up, and a receive goes on with the
//! next. Each counts in the tick's budget, so a flood of reports (on Windows one for each datagram that met nobody) costs what a flood of datagrams does. What
//! only gives errors, for thousands of calls, rests.
//!
//! *No room is not always told when it ends*: not after `ENOBUFS`, and not for a Unix socket whose receiver's queue is full. There the
//! next tick tries again, and `wake` says in 1 ms. Only datagrams for the same receiver wait behind such a one, and none longer than `stall`. Where such
//! receivers use up a tick's budget, the next one begins behind them.
//!
//! *Neither queue is a promise*: a full rx queue drops and counts, for holding datagrams back would only have the kernel drop them uncounted. `take` copies
//! each datagram to its own size, since a slice of the large buffer would keep all of it alive.
//!
//! *Room is watched for only while there is none*, in UDP and Unix sockets: Linux tells of it whenever something that was sent has left or was taken, so that
//! an edge-triggered echo server was woken twice for each question (602 waits for 300 datagrams 10 ms apart, counted by `strace`; 301 since). TCP tells of it
//! only after a full buffer, and stays registered for both.
//!
//! *Datagrams are taken and sent eight at a time* on Linux: `recvmmsg` through nix, once two passes in a row have brought four (for one or two datagrams single
//! calls cost less), and `sendmmsg` through rustix, which has no `recvmmsg` (and nix's `sendmmsg` cannot tell how many were sent). Only for unconnected sockets
//! is sending batched: on a connected one an error of an earlier datagram would be lost in the middle of a batch. quinn-udp's `recvmmsg` measured 1.00 to 1.26
//! of a loop of single calls, with 32 buffers and ancillary data for each, and it forbids datagrams larger than the path takes.
//!
//! *Up to four datagrams of one length for one receiver go through the kernel as one* (`UDP_SEGMENT`). They arrive all at once: of longer ones a sender on
//! another core that waits for its answers sleeps while they are made, and both pay for waking each other, so that with sixteen under way all in one run made
//! the rate fall. Who gets them sees no difference, so nobody has to ask for it. `UDP_GRO`, the counterpart, would matter only where the sender does the same.
//! An old kernel takes no note of what it does not know, and would send them as one datagram: before 4.18 none are sent. What is refused (an interface that
//! sums nothing up, a path that carries less) goes one by one, and is tried again after a thousand sends.
//!
//! *A tick that a wait has begun takes eight datagrams* (`burst_grams`), and no more than have come by the first call that finds fewer than it has buffers for:
//! they are answered from the cache, and while the sender is still awake. Such a call is not taken for `WouldBlock`, since an error may have cut it short; so
//! the next tick asks again, and no wait sleeps before. A [`Server`](crate::Server)'s endpoints take sixteen together: its tick costs more.
//!
//! *A peer whose last tick has left something to receive does not ask the poller*, which could tell it nothing new; but only of the operating system, where
//! what comes meanwhile wakes a sleeper all the same. A simulated network tells each thing once, and takes a harvest for having been heard.
//!
//! *`SO_REUSEPORT` is never set unasked*, nor `SO_REUSEADDR` for datagrams: two programs on one port are told.
//!
//! *On Linux only joined groups are delivered* (`IP_MULTICAST_ALL` off): otherwise a group that any program on the machine has joined is.
//!
//! # Doers
//!
//! *One trait for what has turns.* A simulated host, a Doist and an adapter need the same three things of a program: its turn, when it wants the next, and what
//! it waits on. So a Doist is itself a doer and runs wherever one does. hio's `tock` and `recur` are as they were; what is new is
//! [`wake`](crate::doing::Doer::wake).
//!
//! *One trait for what a server does*, [`Service`](crate::Service): events, callbacks, filters, a tick and a wake, wherever the server has its turns. The other
//! engines have no callbacks and no filters, so a closure does for their events; a trait beside it would only spare those who want a tick the five lines of a
//! doer of their own.
//!
//! *Who has no filters says so*, since nobody can see from outside that the defaults of `incoming` and `outgoing` do nothing; then nothing is held back for
//! them.
//!
//! *In a cycle each doer without a tock has its turn*, whoever was the reason for it, since that is what doers that look at each other's state rely on. A turn
//! of an engine with nothing to do is one system call.
//!
//! *Beats that were missed are left out*, hio makes up for each: a machine that slept for an hour would owe a doer of 1 ms 3.6 million turns. The beat itself
//! stays where it was.
//!
//! *An error is a thing that happens, a panic a mistake.* The first ends one doer and is reported; after the second nobody knows what the doer left behind, so
//! all are left, in order, and it goes on to whoever runs them; in a test that is the test.
//!
//! *A crash of a simulated host leaves nobody*: no `exit` is called, as when the power goes.
//!
//! *What is waited on is a shared handle*, [`Descriptor`](crate::net::Descriptor), not a borrowed descriptor: an engine in an `Rc<RefCell<…>>` cannot lend one,
//! and whether what a loop has registered is still the same thing could not be told by its number.
//!
//! *A Doist sleeps by mio*, on a poller that its waker is on, too, and that all systems have; `poll(2)` would save one system call for each descriptor and
//! sleep. With the few engines that a program has that is less than what their turns cost.
//!
//! *tokio and async-io register a descriptor for one wait only*: their registrations are edges, or as good as that, and a turn takes only a budget's worth.
//! Keeping them would save two system calls of a wait and cost a look before each, whether something was left.
//!
//! # Unix sockets
//!
//! *The umask is not touched*: it belongs to the whole process, and other threads make files meanwhile. On Linux the permissions are put on the socket before
//! it is bound, which the kernel takes over to the file; what the umask took away is given back afterwards. Elsewhere they are put on the file between bind
//! and listen, which for datagram sockets leaves a moment in which the umask alone holds.
//!
//! *Whether a path is live is asked with a datagram socket*, whatever is there: a stream socket then answers with `EPROTOTYPE`, even before it
//! listens, and no stray connection gets into its queue. Only a refused connection means dead. Between that and the removal lies a moment in which another
//! may bind; the file is looked at again just before. Servers that race for one path need a lock of their own.
//!
//! *A datagram socket with a peer is connected before it is bound*, so that Linux refuses strangers from its first moment. Paths cannot be compared instead: a
//! file has many spellings.
//!
//! *A file is removed before its socket is closed*, and only if it still has the number that ours had: as long as the socket is open the kernel does not give
//! it away.
//!
//! *Short reads drain nothing there*, since descriptors end a read wherever the peer puts them, also where none is wanted.
//!
//! *Descriptors beside the bytes are a value, not a trait*: a stream that can pass them keeps a `net::Files` and lends it, middleware passes the loan
//! on, and what a closed connection leaves is the same type. Under TLS they go as well, beside the records: the kernel vouches for them, not TLS.
//!
//! *In a world they never leave their host*, so no link, loss or partition touches them, and nothing takes tyme; rules do, since those are about calls. What
//! only an operating system has is left out: directories, permissions, and descriptors to pass. Only a crash, or `leave_file`, leaves a file behind.
//!
//! # Tasks
//!
//! *The server is shared with the tasks by a `RefCell`, not lent for the length of a tick.* So streams can also be used between ticks and be polled by another
//! executor of the thread, and a drop is a close at once. What cannot be done while the owner has the server in hand is refused, or done in the next tick where
//! it is a drop.
//!
//! *Who wakes itself runs in the next tick, who is woken by another one in this.* So `yield_now` lets the network have its turn, and a request that goes
//! through three tasks is still answered in the tick in which it came.
//!
//! *A flush does not wait*, since what is queued leaves at the end of the tick; `drained` does. hyper flushes after each answer, and would be polled twice for
//! each.
//!
//! *A connection of a task's is half-open by default and keeps its place after its end*: a task reads when it likes, and only a drop says that it will not.
//!
//! *A panic is contained*, unless in a simulated world, where an assertion that fails unseen is worse than a run that ends.
//!
//! *No channels of our own*: those of `futures-channel` wake in the order of waiting, without chance, as a test with them under faults shows.
//!
//! # What hio gets wrong
//!
//! Each of these is a test in `tests/regressions`: timeouts that reach nobody, a refresh that extends instead, a reset between accept and service that
//! ends the loop, EPIPE that aborts the pass over all, one fast sender that fills the memory, port 0, replaced connections never closed, cut-off ones never
//! reaped, a system call per connection and tick. Those of datagrams and Unix sockets are in `tests/peer` and `tests/uds`: a port shared silently, truncation
//! unsaid, sends that raise. Those of its clients are in `tests/engine/clients.rs`: one that never comes again after it was cut off, a refusal that nobody
//! can read, a failed handshake that ends the loop, a constructor that waits for the name server.
//!
//! # Where this departs from the plan
//!
//! * **Benchmarks are a package of their own** in `benches/`, so that nobody who runs the tests builds tokio.
//! * **The passes over connections are a room, `engine/`**, below `server`: what is not about accepting is shared by clients.
//! * **`Drained` is told only where something was left after a send**, not for every reply that fits: it would double the events of a server that has no
//!   back pressure to care about.
//! * **Buffers cannot be handed in** (hio's `rxbs` and `txbs`): what a connection holds is counted, capped and given back to a pool. Bytes change hands
//!   without a copy by `take`, `unread` and `tx_bytes`.
//! * **An expired connection is released at once**, without lingering: nothing was moving on it.
//! * **A closed connection can still be looked at** until the tick after its `Closed` was taken: its unread bytes, counters and your data are what one wants
//!   to see just then.
//! * **The index by peer address is a tree of hashes**, not of addresses (16 instead of 40 bytes), and not a hash table (nobody can choose addresses that make
//!   it slow, and no seed is needed).
//! * **A single step that does input asks the network**, also right after a `wait`: a system call more, but what came between the two is there.
//! * **A peer that middleware names is counted and found by that name**, as one behind a proxy is: looked at after each step of a handshake and after each
//!   `wrap`, which are the calls that may change it, and not after each read. What it was before is kept only from a `wrap` to the next flush.
//! * **IPv6 addresses count by their /64** in `remoters_per_ip`, since that is what one user has.
//! * **A client is a `Remoter`** in an engine of its own or a server's, not a type beside it: all that holds for the one holds for the other. `Client` and
//!   `Clients` are shells.
//! * **A dialled connection keeps its place and id through all of its streams**, instead of a table from clients to connections. Its streams share one token,
//!   which the rule that readiness is only a hint allows.
//! * **Dialled connections are not in the index by peer address**: ten thousand to the same peer would all hash alike.
//! * **Names are the network's**, by `Net::lookup`, so that a simulated network can have names too; a closure of the user's can stand in its place.
//! * **`Disconnected` is told for failed rounds too**, so that there is one event to wait for, one bound for what may pile up, and one place that says when it
//!   goes on.
//! * **The connect time-out is one for the whole round**, not for each address: with side-by-side tries each but the first would get less than the one before
//!   anyway.
//! * **No `RemoterTls` type of its own**: TLS is a layer under the same `Remoter`, and [`Remoter::tls`](crate::Remoter::tls) tells what was agreed. A second
//!   name for the same type would only suggest a difference.
//! * **`Stream` has a `discard`**, since a layer that has failed can be waited with but not read from.
//! * **A reload is told by whoever serves, not by whoever asks**: the configuration is shared by handle, may be reloaded from any thread, and the server's next
//!   tick tells how it went.
//! * **Certificates are looked at once a day at least**, because their clock is not the engine's and may be set.
