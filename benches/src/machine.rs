//! The machine under the measurement: cores, clocks, network namespace, and whether somebody else was busy on it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

use crate::Outcome;

const INSIDE: &str = "VERSUS_INSIDE";

/// Runs this program again in a network namespace of its own, where no other traffic is and congestion control is plain;
/// comes back, and stays here, where that is not permitted.
pub fn enter_namespace(arguments: &[OsString]) -> Outcome<()> {
    if std::env::var_os(INSIDE).is_some() {
        settle_namespace();
        return Ok(());
    }
    for flags in [["-n"].as_slice(), ["-r", "-n"].as_slice()] {
        let mut trial = Command::new("unshare");
        trial.args(flags).args(["ip", "link", "set", "lo", "up"]);
        trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if trial.status().is_ok_and(|status| status.success()) {
            let failure = Command::new("unshare")
                .args(flags)
                .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
                .arg(std::env::current_exe()?)
                .args(arguments)
                .env(INSIDE, "1")
                .exec();
            return Err(failure.into());
        }
    }
    println!("(no network namespace of our own: not permitted; measuring in this one)");
    Ok(())
}

/// Sets what matters to loopback; only ever called in a namespace that ends with us.
fn settle_namespace() {
    let settings = [
        ("net/ipv4/tcp_congestion_control", "cubic"),
        ("net/ipv4/tcp_congestion_control", "reno"),
        ("net/core/somaxconn", "65535"),
        ("net/ipv4/tcp_max_syn_backlog", "65535"),
        ("net/ipv4/ip_local_port_range", "1024 65535"),
    ];
    for (name, value) in settings {
        // A kernel without the setting keeps its own; `describe` prints what is in force.
        let _ = fs::write(format!("/proc/sys/{name}"), value);
    }
}

/// One line on what is measured on.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or_else(String::new, |rest| rest.trim_start_matches(['\t', ' ', ':']).to_owned());
    format!(
        "Linux {}, {} cores ({model}), {} congestion control, {}",
        read("/proc/sys/kernel/osrelease"),
        cores().len(),
        read("/proc/sys/net/ipv4/tcp_congestion_control"),
        if std::env::var_os(INSIDE).is_some() {
            "own network namespace"
        } else {
            "shared network namespace"
        },
    )
}

/// Who runs where: the server has a core to itself.
#[derive(Copy, Clone, Debug)]
pub enum Seat {
    Server,
    Load,
}

fn cores() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&core| set.is_set(core).unwrap_or(false)).collect()
}

/// Ties this process to its core, and lifts its descriptor limit to what is permitted.
pub fn take_seat(seat: Seat) -> Outcome<()> {
    let cores = cores();
    // Interrupts mostly go to the first core: the server gets the last.
    if let ([first, .., _] | [first], Some(last)) = (cores.as_slice(), cores.last()) {
        let mut set = CpuSet::new();
        set.set(match seat {
            Seat::Server => *last,
            Seat::Load => *first,
        })?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(())
}

fn time_of(clock: ClockId) -> Outcome<Duration> {
    Ok(clock_gettime(clock)?.into())
}

/// CPU time, user and system, that a process has used.
pub fn cpu_time(pid: u32) -> Outcome<Duration> {
    time_of(clock_getcpuclockid(Pid::from_raw(pid.try_into()?))?)
}

/// CPU time that this process has used.
pub fn own_cpu_time() -> Outcome<Duration> {
    time_of(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

/// Time that the process's threads were ready to run and others had the core.
fn waited(pid: u32) -> Outcome<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let line = fs::read_to_string(task?.path().join("schedstat"))?;
        nanoseconds += line.split(' ').nth(1).ok_or("no schedstat")?.trim().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// A time of a process and all its children, as of a server that forks.
fn of_family(pid: u32, time: fn(u32) -> Outcome<Duration>) -> Outcome<Duration> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let mut sum = time(pid)?;
    for child in children.unwrap_or_default().split_whitespace() {
        sum += of_family(child.parse()?, time)?;
    }
    Ok(sum)
}

/// Time in use and time stolen by the host, all cores together.
fn machine_time() -> Outcome<(Duration, Duration)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().ok_or("empty /proc/stat")?;
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _idle, _io, irq, softirq, steal, ..] = ticks[..] else {
        return Err("short /proc/stat".into());
    };
    // USER_HZ is 100 on every architecture that matters.
    let time = |ticks: u64| Duration::from_millis(ticks * 10);
    Ok((time(user + nice + system + irq + softirq), time(steal)))
}

/// The clocks at one end of a measurement, seen from the load generator.
#[derive(Debug)]
pub struct Clocks {
    at: Instant,
    server: Duration,
    own: Duration,
    waited: Duration,
    busy: Duration,
    stolen: Duration,
}

impl Clocks {
    /// Reads them all.
    pub fn read(server: u32) -> Outcome<Self> {
        let (busy, stolen) = machine_time()?;
        Ok(Clocks {
            waited: of_family(server, waited)? + waited(std::process::id())?,
            busy,
            stolen,
            own: own_cpu_time()?,
            server: of_family(server, cpu_time)?,
            at: Instant::now(),
        })
    }

    /// What went by since `start`.
    pub fn since(&self, start: &Clocks) -> Span {
        let wall = self.at - start.at;
        let server = self.server - start.server;
        let own = self.own - start.own;
        let others = (self.busy - start.busy).saturating_sub(server + own);
        Span {
            wall,
            server,
            own,
            others: others.div_duration_f64(wall),
            stolen: (self.stolen - start.stolen).div_duration_f64(wall),
            waited: (self.waited - start.waited).div_duration_f64(wall),
        }
    }
}

/// What went by between two readings.
#[derive(Copy, Clone, Debug)]
pub struct Span {
    pub wall: Duration,
    /// CPU time of the server.
    pub server: Duration,
    /// CPU time of the load generator.
    pub own: Duration,
    /// Cores that others used, on average.
    pub others: f64,
    /// Cores that the host took away.
    pub stolen: f64,
    /// Part of the time that the server or we stood in line for a core.
    pub waited: f64,
}

/// Waits until nobody else has been busy for a moment; gives up after `patience`, from which it takes what it waited in vain.
pub fn await_quiet(patience: &mut Duration) {
    const LOOK: Duration = Duration::from_millis(250);
    while *patience >= LOOK {
        let Ok(before) = machine_time() else { return };
        std::thread::sleep(LOOK);
        let Ok(after) = machine_time() else { return };
        if after.0 - before.0 + after.1 - before.1 < LOOK / 10 {
            return;
        }
        *patience -= LOOK;
    }
}
