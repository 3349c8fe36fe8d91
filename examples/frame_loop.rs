//! A game's loop at a fixed rate: each frame is one step of a simulation and one tick of the network, and no peer, however
//! many or fast, makes a frame late. What peers send is echoed.
//!
//!     cargo run --release --example frame_loop -- --port 7002 --frames 600

mod common;

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{Args, Result, say};
use tymist::tyme::Tymist;
use tymist::{Config, Event, Server};

const USAGE: &str = "usage: frame_loop [--host NAME] [--port N] [--hz N] [--frames N] [--idle-timeout SECS] \
                     [--max-remoters N]";

/// How long connections may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(1);

struct Options {
    bind: common::Bind,
    config: Config,
    hz: u32,
    frames: u64,
}

fn options() -> Result<Options> {
    let mut config = Config::new();
    // A frame of 60 Hz has 16.7 ms. These budgets leave the game more than half of it in a flood of connections, of many small messages, or of large ones.
    config.limits.accepts_per_tick = 64;
    config.limits.turns_per_tick = 256;
    config.limits.tick_bytes = 1 << 20;
    config.limits.remoter_tick_bytes = 64 << 10;
    let mut options = Options { bind: common::Bind::default(), config, hz: 60, frames: u64::MAX };
    let mut args = Args::new(USAGE);
    while let Some(option) = args.next()? {
        match &*option {
            "host" => options.bind.host = args.text()?,
            "port" => options.bind.port = args.port()?,
            "hz" => options.hz = args.number(1..=1_000_000)?,
            "frames" => options.frames = args.value()?,
            "idle-timeout" => options.config.timeouts.idle = args.secs_or_none()?,
            "max-remoters" => options.config.limits.remoters = args.count()?,
            _ => return Err(args.unknown()),
        }
    }
    Ok(options)
}

/// Stands for the game: a grid in which each cell moves towards its neighbours.
struct World(Vec<f32>);

impl World {
    fn step(&mut self) {
        let old = self.0.clone();
        let len = old.len();
        for (at, cell) in self.0.iter_mut().enumerate() {
            *cell = (old[at] + old[(at + 1) % len] + old[(at + len - 1) % len]) / 3.0;
        }
    }
}

#[derive(Default)]
struct Report {
    frames: u64,
    late: u64,
    worst_tick: Duration,
    worst_frame: Duration,
}

fn main() -> ExitCode {
    common::run(program)
}

fn program() -> Result<()> {
    let Options { bind, config, hz, frames } = options()?;
    let frame = Duration::from_secs(1) / hz;
    let mut tymist = Tymist::new().with_tock(frame);
    let mut server = Server::new(config);
    server.wind(tymist.tymth());
    #[cfg(unix)]
    reserve_descriptors(server.config().limits.remoters);
    let acceptor = bind.listen(&mut server)?;
    let stop = common::stop_on_signal(server.waker()?)?;
    common::announce(&server, acceptor)?;

    let mut world = World((0..20_000_u16).map(f32::from).collect());
    let mut report = Report::default();
    let mut next = clock();
    let (mut ending, mut told) = (common::Ending::new(DRAIN), None);
    let mut going = true;
    while going && report.frames < frames {
        let begin = clock();
        world.step();
        let tick = clock();
        tymist.tick();
        server.service();
        going = answer(&mut server);
        server.service_sends();
        if stop.load(Ordering::Acquire) && going {
            ending.turn(&mut server, tymist.tyme());
            // Where frames are late, tyme is too: a second of it could be minutes.
            going = begin - *told.get_or_insert(begin) < DRAIN;
        }
        let end = clock();

        report.frames += 1;
        report.worst_tick = report.worst_tick.max(end - tick);
        report.worst_frame = report.worst_frame.max(end - begin);
        next += frame;
        if end > next {
            report.late += 1;
            next = end; // Do not run after lost time.
        }
        pause(next.saturating_duration_since(end));
    }
    say(format_args!(
        "{} frames of {frame:?}, {} late, worst tick {:?}, worst frame {:?}, {} bytes in",
        report.frames,
        report.late,
        report.worst_tick,
        report.worst_frame,
        server.counters().bytes_in
    ));
    server.close();
    Ok(())
}

/// Echoes; returns false once the server has drained.
fn answer(server: &mut Server) -> bool {
    while let Some(event) = server.poll_event() {
        match event {
            Event::Received(id) | Event::Drained(id) => {
                let Some(remoter) = server.remoter_mut(id) else { continue };
                let mut data = remoter.take();
                // An error says that the connection is closing: nobody is left to answer.
                let _ = remoter.tx_bytes(&mut data);
                remoter.unread(data);
            }
            Event::DrainEnded { .. } => return false,
            _ => {}
        }
    }
    true
}

/// Linux doubles a process's table of descriptors at 256, 512, … of them. Where the process has more than one thread that takes it some 10 ms, in the middle
/// of a frame; so it is done before the first.
#[cfg(unix)]
fn reserve_descriptors(wanted: usize) {
    let mut most = i32::try_from(wanted).unwrap_or(i32::MAX);
    // As many as the process may have, or nearly.
    while most > 64 && rustix::io::fcntl_dupfd_cloexec(std::io::stdout(), most).is_err() {
        most = most / 4 * 3;
    }
}

#[expect(clippy::disallowed_methods, reason = "a program may look at its own clock")]
fn clock() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a frame loop sleeps until its next frame")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
