//! TLS side by side: an echo server on tymist and one on tokio-rustls (current-thread runtime, a task per connection), with the same provider,
//! certificate and client. Needs Linux.
//!
//!     cargo run --release --manifest-path benches/tls/Cargo.toml [-- ROUNDS]
//!
//! The server has one core and the load another. Rounds alternate between the servers; what is told is the median over the rounds of the server's CPU time
//! per unit, and the median of the ratios within a round, since the machine's own speed changes between rounds.

mod load;
mod servers;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

const WINDOW: Duration = Duration::from_millis(1500);
const STALLED: usize = 10_000;

/// A server in a process of its own, on the first core.
struct Server {
    child: Child,
    addr: SocketAddr,
    cert: String,
}

impl Server {
    fn start(kind: &str) -> Outcome<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(["server", kind])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let addr = lines.next().ok_or("the server said nothing")??.parse()?;
        let mut cert = String::new();
        for line in lines {
            cert.push_str(&line?);
            cert.push('\n');
            if cert.contains("END CERTIFICATE") {
                break;
            }
        }
        Ok(Server { child, addr, cert })
    }

    /// Nanoseconds that it has had a core.
    fn cpu(&self) -> Outcome<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.child.id()))?;
        Ok(text.split_whitespace().next().ok_or("no schedstat")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one measurement gave.
#[derive(Copy, Clone)]
struct Figure {
    /// Microseconds of the server's CPU per unit.
    cpu: f64,
    /// Units per second.
    rate: f64,
}

type Load = fn(&Server, Duration) -> Outcome<u64>;

fn measure(kind: &str, load: Load) -> Outcome<Figure> {
    let server = Server::start(kind)?;
    load(&server, WINDOW / 5)?; // warm up
    let (cpu, began) = (server.cpu()?, std::time::Instant::now());
    let units = load(&server, WINDOW)?.max(1);
    let secs = began.elapsed().as_secs_f64();
    let cpu = (server.cpu()? - cpu) as f64 / 1000.0;
    Ok(Figure { cpu: cpu / units as f64, rate: units as f64 / secs })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn versus(name: &str, unit: &str, rounds: usize, load: Load) -> Outcome<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who is first changes, too.
        if round % 2 == 0 {
            ours.push(measure("tymist", load)?);
            theirs.push(measure("tokio", load)?);
        } else {
            theirs.push(measure("tokio", load)?);
            ours.push(measure("tymist", load)?);
        }
    }
    for (who, figures) in [("tymist", &ours), ("tokio-rustls", &theirs)] {
        let cpu = median(figures.iter().map(|figure| figure.cpu).collect());
        let rate = median(figures.iter().map(|figure| figure.rate).collect());
        println!("{name}: {who}: {cpu:.1} µs of CPU per {unit}, {rate:.0} {unit}s/s");
    }
    let ratio = |of: fn(&Figure) -> f64| {
        median(ours.iter().zip(&theirs).map(|(ours, theirs)| of(ours) / of(theirs)).collect())
    };
    let (cpu, rate) = (ratio(|figure| figure.cpu), ratio(|figure| figure.rate));
    println!("{name}: tymist / tokio-rustls: CPU {cpu:.2}, rate {rate:.2}");
    Ok(())
}

/// Echoes of a healthy client beside stalled handshakes and without.
fn stalled(rounds: usize) -> Outcome<()> {
    let mut ratios = Vec::new();
    let mut figures = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let server = Server::start("tymist")?;
        let one = |crowd: usize| -> Outcome<f64> {
            let crowd = load::stall(&server, crowd)?;
            load::echoes(&server, WINDOW / 5)?;
            let cpu = server.cpu()?;
            let units = load::echoes(&server, WINDOW)?.max(1);
            let cpu = (server.cpu()? - cpu) as f64 / 1000.0 / units as f64;
            drop(crowd);
            Ok(cpu)
        };
        let (alone, beside) = (one(0)?, one(STALLED)?);
        ratios.push(beside / alone);
        figures.0.push(alone);
        figures.1.push(beside);
    }
    let (alone, beside) = (median(figures.0), median(figures.1));
    println!("64 B echo: {alone:.1} µs of CPU alone, {beside:.1} beside {STALLED} stalled handshakes: {:.2}", median(ratios));
    Ok(())
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, kind] = &arguments[..]
        && role == "server"
    {
        return servers::run(kind);
    }
    let rounds = arguments.first().map_or(Ok(5), |rounds| rounds.parse())?;
    // The load keeps to the second core from here on.
    if std::env::var_os("TYMIST_SEATED").is_none() {
        let status = Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe()?)
            .args(&arguments)
            .env("TYMIST_SEATED", "1")
            .status()?;
        std::process::exit(status.code().unwrap_or(1));
    }
    versus("full TLS 1.3 handshake", "handshake", rounds, load::handshakes)?;
    versus("bulk echo of 256 KiB", "message", rounds, load::bulk)?;
    versus("64 B echo", "message", rounds, load::echoes)?;
    stalled(rounds)
}
