//! A tick in which nothing happens, among no connections and among many: its time, and its system calls.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::BufRead as _;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{Pid, getppid};

use crate::cases::CROWD;
use crate::load::{Load, Mode};
use crate::machine::{Seat, await_quiet, own_cpu_time, take_seat};
use crate::process::{Helper, read_figures};
use crate::report::{Goal, Report};
use crate::rounds::median;
use crate::servers::mio_echo::MioEcho;
use crate::servers::tymist_echo::{TymistEcho, config};
use crate::servers::{Kind, announce};
use crate::{Options, Outcome};

/// Ticks that are timed, and ticks whose system calls are counted.
const TIMED: u32 = 100_000;
const COUNTED: u32 = 1000;

/// How long a wait between ticks may last before the measurement, so that whoever tells it to begin gets the core.
const MOMENT: Duration = Duration::from_millis(1);

/// A server that can be asked for one tick.
trait Ticks {
    fn port(&self) -> Outcome<u16>;
    /// One tick that does not wait; returns whether anything happened.
    fn tick(&mut self) -> Outcome<bool>;
    /// One tick that waits a moment first.
    fn serve(&mut self) -> Outcome<()>;
}

impl Ticks for MioEcho {
    fn port(&self) -> Outcome<u16> {
        self.port()
    }

    fn tick(&mut self) -> Outcome<bool> {
        Ok(self.turn(Some(Duration::ZERO))? > 0)
    }

    fn serve(&mut self) -> Outcome<()> {
        self.turn(Some(MOMENT)).map(drop)
    }
}

impl Ticks for TymistEcho {
    fn port(&self) -> Outcome<u16> {
        self.port()
    }

    fn tick(&mut self) -> Outcome<bool> {
        self.turn()
    }

    fn serve(&mut self) -> Outcome<()> {
        self.wait(MOMENT);
        self.turn().map(drop)
    }
}

/// Runs the part. Tokio has no tick; mio's poll that waits for nothing is what one system call costs.
pub fn run(options: &Options, report: &mut Report) -> Outcome<()> {
    let kinds = options.servers.iter().filter(|kind| matches!(kind, Kind::Mio | Kind::Tymist));
    for &kind in kinds {
        for idle in [0, CROWD] {
            let mut times = Vec::new();
            let mut calls = BTreeMap::new();
            let mut patience = Duration::from_secs(20);
            for _ in 0..options.rounds {
                await_quiet(&mut patience);
                let (time, counted) = measure(kind, idle)?;
                times.push(time);
                calls = counted;
            }
            let goal = |goal| (kind == Kind::Tymist).then_some(goal);
            let case = format!("idle tick, {kind}, {idle} conn.");
            report.figure(&case, "CPU/tick", median(&mut times), " µs", goal(Goal::Below(2.0)));
            let total = calls.values().sum::<u32>();
            let per_tick = f64::from(total) / f64::from(COUNTED);
            report.figure(&case, "system calls/tick", per_tick, "", goal(Goal::AtMost(1.0)));
            println!("    {total} calls in {COUNTED} ticks, by number: {calls:?}");
        }
    }
    Ok(())
}

/// Microseconds per tick, and how often each system call was made.
fn measure(kind: Kind, idle: usize) -> Outcome<(f64, BTreeMap<u64, u32>)> {
    let mut ticker = Helper::start(&["tick".into(), kind.to_string()])?;
    let port = ticker.line()?.parse()?;
    let crowd = Load { mode: Mode::Hold, idle, ..Load::echo(0, 64, 1, Duration::ZERO) };
    let mut crowd = crowd.start(port, ticker.pid())?;
    crowd.line()?;
    ticker.tell("time")?;
    let figures = read_figures(&ticker.line()?)?;
    let time = *figures.get("tick").ok_or("no tick")?;
    let calls = count_calls(&mut ticker)?;
    crowd.finish()?;
    Ok((time / 1e3, calls))
}

/// Counts the calls that the ticker makes between two calls of `getppid`, by tracing it.
fn count_calls(ticker: &mut Helper) -> Outcome<BTreeMap<u64, u32>> {
    let pid = Pid::from_raw(ticker.pid().try_into()?);
    ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD)?;
    ptrace::interrupt(pid)?;
    waitpid(pid, None)?;
    ptrace::syscall(pid, None)?;
    ticker.tell("count")?;
    let marker = libc::SYS_getppid as u64;
    let mut stops = BTreeMap::new();
    let mut markers = 0;
    // Each call stops the process twice, on its way in and on its way out.
    while markers < 4 {
        match waitpid(pid, None)? {
            WaitStatus::PtraceSyscall(_) => {
                let number = system_call(pid)?;
                if number == marker {
                    markers += 1;
                } else if markers == 2 {
                    *stops.entry(number).or_default() += 1;
                }
                if markers < 4 {
                    ptrace::syscall(pid, None)?;
                }
            }
            WaitStatus::Stopped(_, signal) => ptrace::syscall(pid, signal)?,
            WaitStatus::PtraceEvent(..) => ptrace::syscall(pid, None)?,
            other => return Err(format!("the ticker ended: {other:?}").into()),
        }
    }
    ptrace::detach(pid, None)?;
    Ok(stops.into_iter().map(|(number, count): (u64, u32)| (number, count / 2)).collect())
}

/// Number of the system call that a stopped process is in.
#[cfg(target_arch = "x86_64")]
fn system_call(pid: Pid) -> Outcome<u64> {
    Ok(ptrace::getregs(pid)?.orig_rax)
}

/// Number of the system call that a stopped process is in.
#[cfg(target_arch = "aarch64")]
fn system_call(pid: Pid) -> Outcome<u64> {
    Ok(ptrace::getregs(pid)?.regs[8])
}

/// The ticking process: `tick KIND`.
pub fn tick_main(arguments: &[OsString]) -> Outcome<()> {
    let kind: Kind = arguments.first().and_then(|name| name.to_str()).unwrap_or("").parse()?;
    take_seat(Seat::Server)?;
    set_pdeathsig(Signal::SIGKILL)?;
    let mut server: Box<dyn Ticks> = match kind {
        Kind::Mio | Kind::MioAgain | Kind::MioTimed => Box::new(MioEcho::new()?),
        Kind::Tymist => Box::new(TymistEcho::new(config())?),
        other => return Err(format!("no idle ticks of {other}").into()),
    };
    announce(server.port()?);
    serve_until_told(server.as_mut())?;
    // The first ticks settle what the crowd left behind.
    for _ in 0..COUNTED {
        server.tick()?;
    }
    let start = own_cpu_time()?;
    for _ in 0..TIMED {
        if server.tick()? {
            return Err("something happened in an idle tick".into());
        }
    }
    let spent = own_cpu_time()? - start;
    announce(format_args!("tick={}", spent.as_nanos() as f64 / f64::from(TIMED)));
    await_line()?;
    getppid();
    for _ in 0..COUNTED {
        if server.tick()? {
            return Err("something happened in an idle tick".into());
        }
    }
    getppid();
    await_line()
}

fn await_line() -> Outcome<()> {
    std::io::stdin().lock().read_line(&mut String::new())?;
    Ok(())
}

/// Ticks until a line comes in on standard input.
fn serve_until_told(server: &mut dyn Ticks) -> Outcome<()> {
    let told = std::thread::spawn(|| await_line().is_ok());
    while !told.is_finished() {
        server.serve()?;
    }
    // Whatever it read: the thread is gone, and the process has one thread again.
    let _ = told.join();
    Ok(())
}
