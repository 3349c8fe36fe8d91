//! As systemd does it: sockets from the third descriptor on, and datagrams about how things are.

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tymist::net::Addr;
use tymist::run::systemd::{Notify, sockets};
use tymist::run::{Manager, Seat, Stopper};
use tymist::tyme::Tyme;
use tymist::{Config, Service, Session, Wake};

use crate::{Answers, Dir, LONG, REQUEST, ask, child, connect};

const PLAN: &str = "TYMIST_TEST_SYSTEMD";

/// Requests that are orders.
const STOP: u64 = u64::MAX;
const RELOAD: u64 = u64::MAX - 1;
const HANG: u64 = u64::MAX - 2;

struct Obeys {
    answers: Answers,
    stopper: Stopper,
    notify: Notify,
}

impl Service for Obeys {
    fn received(&mut self, session: &mut Session<'_>) {
        let order = session.rx().first_chunk::<REQUEST>().map(|it| u64::from_be_bytes(*it));
        match order {
            Some(STOP) => self.stopper.stop(Some(Duration::ZERO)),
            Some(RELOAD) => {
                self.notify.reloading().unwrap();
                self.notify.ready().unwrap();
            }
            Some(HANG) => loop {
                std::thread::park();
            },
            _ => {}
        }
        self.answers.received(session);
    }
}

/// The program that systemd starts. Sockets for two addresses, which the variable tells, are there.
#[test]
fn a_program_that_systemd_starts() {
    let Ok(plan) = std::env::var(PLAN) else { return };
    if plan == "ticks" {
        return ticks();
    }
    let (tcp, path) = plan.split_once(' ').unwrap();
    let mut inherited = sockets().unwrap();
    assert_eq!(inherited.len(), 2);
    assert_eq!(sockets().unwrap().len(), 0, "nobody takes them twice");
    let notify = Notify::from_env();
    let service = notify.clone();
    let mut manager = Manager::new(Config::new(), move |_, seat: Seat| {
        let notify = service.clone();
        Ok(Obeys { answers: Answers, stopper: seat.stopper, notify })
    });
    manager.threads(2).listen(tcp.parse::<Addr>().unwrap()).listen(Path::new(path));
    manager.inherit(&mut inherited).notify(notify.clone());
    assert!(inherited.is_empty());
    manager.start().unwrap();
    // Lost where the service manager is not reading.
    if let Err(error) = notify.status("serving\nmore") {
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
    manager.wait(None).unwrap();
    drop(manager);
    assert!(Path::new(path).exists(), "the file is the service manager's");
}

/// A plain loop: how often it is fed, by a clock of its own.
fn ticks() {
    let notify = Notify::from_env();
    let mut watchdog = notify.watchdog().unwrap();
    let second = Duration::from_secs(1);
    let begin = Tyme::ZERO + 7 * second;
    let mut due = begin;
    for _ in 0..3 {
        for early in [Duration::from_nanos(1), Duration::from_millis(600)] {
            if due > begin {
                assert_eq!(watchdog.tick(Tyme::ZERO + ((due - Tyme::ZERO) - early)), Wake::At(due));
            }
        }
        let next = due + second;
        assert_eq!(watchdog.tick(due), Wake::At(next));
        due = next;
    }
    notify.succeeded().unwrap();
    notify.stopping().unwrap();
}

/// A service manager of our own.
struct Systemd {
    words: UnixDatagram,
    _dir: Dir,
    child: Child,
}

impl Systemd {
    fn start(dir: Dir, plan: &str, watchdog: &str, stdio: [Stdio; 2]) -> Systemd {
        let socket = dir.path("notify");
        let words = UnixDatagram::bind(&socket).unwrap();
        Systemd::hearing(words, socket.into_os_string(), dir, plan, watchdog, stdio)
    }

    /// The same at this socket, which has this name.
    fn hearing(
        words: UnixDatagram,
        name: OsString,
        dir: Dir,
        plan: &str,
        watchdog: &str,
        stdio: [Stdio; 2],
    ) -> Systemd {
        words.set_read_timeout(Some(LONG)).unwrap();
        let told = [
            (PLAN, plan.into()),
            ("NOTIFY_SOCKET", name),
            ("WATCHDOG_USEC", OsString::from(watchdog)),
        ];
        let program = child("systemd::a_program_that_systemd_starts", &told);
        // The shell puts the sockets where they belong, and becomes the program, which is thus the process that it names.
        let mut command = Command::new("sh");
        command.arg("-c").arg(
            "LISTEN_FDS=2 LISTEN_PID=$$ WATCHDOG_PID=$$ exec \"$0\" \"$@\" 3<&0 4<&1 0</dev/null 1>&2",
        );
        command.arg(program.get_program()).args(program.get_args());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let [stdin, stdout] = stdio;
        let child = command.stdin(stdin).stdout(stdout).spawn().unwrap();
        Systemd { words, _dir: dir, child }
    }

    /// The next datagram, whatever it is.
    fn hears(&self) -> std::io::Result<String> {
        let mut buf = [0; 256];
        let len = self.words.recv(&mut buf)?;
        Ok(String::from_utf8(buf[..len].to_vec()).unwrap())
    }

    /// The next one that is not about the watchdog.
    #[track_caller]
    fn is_told(&self) -> String {
        loop {
            let word = self.hears().unwrap();
            if word != "WATCHDOG=1\n" {
                return word;
            }
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with_sockets(watchdog: &str) -> (Systemd, SocketAddr, std::path::PathBuf) {
    with_sockets_after(watchdog, |_| ())
}

/// The same, once this was done to the socket for its words.
fn with_sockets_after(
    watchdog: &str,
    before: impl FnOnce(&UnixDatagram),
) -> (Systemd, SocketAddr, std::path::PathBuf) {
    let dir = Dir::new();
    let socket = dir.path("notify");
    let words = UnixDatagram::bind(&socket).unwrap();
    before(&words);
    let (tcp, path) = (TcpListener::bind("127.0.0.1:0").unwrap(), dir.path("service"));
    let unix = UnixListener::bind(&path).unwrap();
    let addr = tcp.local_addr().unwrap();
    let plan = format!("{addr} {}", path.display());
    let stdio = [
        Stdio::from(std::os::fd::OwnedFd::from(tcp)),
        Stdio::from(std::os::fd::OwnedFd::from(unix)),
    ];
    let systemd = Systemd::hearing(words, socket.into_os_string(), dir, &plan, watchdog, stdio);
    (systemd, addr, path)
}

/// Others say so much that nothing more fits until somebody reads.
fn fill(words: &UnixDatagram) {
    let at = words.local_addr().unwrap();
    loop {
        // Another one each time: none meets a limit of its own.
        let other = UnixDatagram::unbound().unwrap();
        other.set_nonblocking(true).unwrap();
        if other.send_to_addr(b"STATUS=of others", &at).is_err() {
            return;
        }
    }
}

#[test]
fn regression_a_service_manager_that_does_not_read_holds_nothing_up() {
    for watchdog in ["200000", "0"] {
        let (mut systemd, addr, _) = with_sockets_after(watchdog, fill);
        // It serves although nobody hears that it does, or that it lives.
        let mut client = connect(addr).unwrap();
        for number in 0..100 {
            ask(&mut client, number).unwrap();
        }
        // And says so once it can.
        while systemd.hears().unwrap() != "READY=1\n" {}
        fill(&systemd.words);
        client.write_all(&STOP.to_be_bytes()).unwrap();
        if let Err(error) = client.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it does not stop");
        }
        assert!(systemd.child.wait().unwrap().success());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn regression_the_service_manager_may_have_an_abstract_name() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("tymist-notify-{}", std::process::id());
    let words = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let (told, null) = (format!("@{name}").into(), [Stdio::null(), Stdio::null()]);
    let systemd = Systemd::hearing(words, told, Dir::new(), "ticks", "4000000", null);
    assert_eq!(systemd.hears().unwrap(), "WATCHDOG=1\n");
}

#[test]
fn it_serves_on_the_sockets_it_is_given_and_says_how_things_are() {
    let (mut systemd, addr, path) = with_sockets("200000");
    // Who comes early waits in the socket.
    let mut client = connect(addr).unwrap();
    assert_eq!(systemd.is_told(), "READY=1\n");
    assert_eq!(systemd.is_told(), "STATUS=serving\n");
    assert_eq!(ask(&mut client, 1).unwrap(), systemd.child.id());
    ask(&mut UnixStream::connect(&path).unwrap(), 2).unwrap();
    for _ in 0..3 {
        while systemd.hears().unwrap() != "WATCHDOG=1\n" {}
    }
    ask(&mut client, RELOAD).unwrap();
    let reloading = systemd.is_told();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("no time");
    assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(systemd.is_told(), "READY=1\n");
    client.write_all(&STOP.to_be_bytes()).unwrap();
    assert_eq!(systemd.is_told(), "STOPPING=1\n");
    assert!(systemd.child.wait().unwrap().success());
}

#[test]
fn one_engine_that_hangs_is_enough_to_starve_the_watchdog() {
    let (systemd, addr, _) = with_sockets("100000");
    while systemd.hears().unwrap() != "WATCHDOG=1\n" {}
    connect(addr).unwrap().write_all(&HANG.to_be_bytes()).unwrap();
    // Three times the time that is allowed is long enough; before that, what was under way.
    systemd.words.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut last_words = 0;
    let silence = loop {
        match systemd.hears() {
            Ok(_) => last_words += 1,
            Err(error) => break error,
        }
        assert!(last_words < 100, "it is fed all the same");
    };
    assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
}

#[test]
fn a_loop_feeds_it_four_times_in_the_time_allowed() {
    let null = [Stdio::null(), Stdio::null()];
    let mut systemd = Systemd::start(Dir::new(), "ticks", "4000000", null);
    for _ in 0..3 {
        assert_eq!(systemd.hears().unwrap(), "WATCHDOG=1\n");
    }
    assert_eq!(systemd.hears().unwrap(), format!("MAINPID={}\nREADY=1\n", systemd.child.id()));
    assert_eq!(systemd.hears().unwrap(), "STOPPING=1\n");
    assert!(systemd.child.wait().unwrap().success());
}

const TAKEOVER: &str = "TYMIST_TEST_TAKEOVER";

/// What systemd starts, and what that starts in its place; ends when its standard input does, or when it is replaced.
#[test]
fn a_program_that_succeeds_another() {
    let Some(folder) = std::env::var_os(TAKEOVER).map(std::path::PathBuf::from) else { return };
    let mut inherited = tymist::run::Inherited::take_over(folder.join("offer")).unwrap();
    let mut manager = crate::answers(2);
    manager.listen(([127, 0, 0, 1], 0)).inherit(&mut inherited).notify(Notify::from_env());
    manager.start().unwrap();
    println!("started");
    println!("listens {}", manager.addrs()[0]);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    inherited.confirm().unwrap();
    manager.offer(folder.join("offer")).unwrap();
    println!("up {}", std::process::id());
    let stopper = manager.stopper();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        stopper.stop(None);
        println!("told to stop");
    });
    manager.wait(None).unwrap();
}

/// What happens around one that is succeeded: a place for the offer, and what systemd hears.
struct Succession {
    dir: Dir,
    words: UnixDatagram,
}

impl Succession {
    fn new() -> Succession {
        let dir = Dir::new();
        let words = UnixDatagram::bind(dir.path("notify")).unwrap();
        words.set_read_timeout(Some(LONG)).unwrap();
        Succession { dir, words }
    }

    fn hears(&self) -> std::io::Result<String> {
        let mut buf = [0; 256];
        let len = self.words.recv(&mut buf)?;
        Ok(String::from_utf8(buf[..len].to_vec()).unwrap())
    }

    fn begin(&self, watchdog: &[(&str, OsString)]) -> crate::Program {
        let socket = self.dir.path("notify");
        let told = [(TAKEOVER, self.dir.0.path().into()), ("NOTIFY_SOCKET", socket.into())];
        let mut command = child("systemd::a_program_that_succeeds_another", &told);
        command.envs(watchdog.iter().map(|(name, value)| (*name, value)));
        let mut program = crate::Program::start(command);
        program.says("started");
        program
    }
}

/// Lets it confirm; what number it has.
fn go_on(program: &mut crate::Program) -> String {
    program.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    program.says("up ")
}

#[test]
fn regression_a_successor_is_ready_once_it_has_confirmed_and_feeds_the_watchdog() {
    let around = Succession::new();
    let hears = || around.hears().unwrap();
    let mut first = around.begin(&[]);
    assert_eq!(hears(), "READY=1\n");
    go_on(&mut first);
    // Its child has the words that were meant for it. Until it confirms it says nothing but that it lives.
    let other = std::process::id().to_string();
    let mut next =
        around.begin(&[("WATCHDOG_USEC", "200000".into()), ("WATCHDOG_PID", other.into())]);
    for _ in 0..3 {
        assert_eq!(hears(), "WATCHDOG=1\n", "and it feeds the watchdog of the one before");
    }
    let process = go_on(&mut next);
    let said = std::iter::repeat_with(hears).find(|word| word != "WATCHDOG=1\n");
    assert_eq!(said.unwrap(), format!("MAINPID={process}\nREADY=1\n"));
    first.ends();
    drop(next.child.stdin.take());
    next.ends();
}

/// It is the service that would be stopping for systemd, and that goes on in the successor.
#[test]
fn regression_who_has_handed_over_does_not_say_that_the_service_stops() {
    let around = Succession::new();
    let mut first = around.begin(&[]);
    let addr = first.says("listens ").parse().unwrap();
    go_on(&mut first);
    let mut client = connect(addr).unwrap();
    ask(&mut client, 1).unwrap();
    let mut next = around.begin(&[]);
    let process = go_on(&mut next);
    // Who stays keeps the old one from ending by itself, so that it is told to.
    drop(first.child.stdin.take());
    first.says("told to stop");
    drop(client);
    first.ends();
    around.words.set_nonblocking(true).unwrap();
    let said: Vec<String> = std::iter::from_fn(|| around.hears().ok()).collect();
    assert_eq!(said, ["READY=1\n".to_owned(), format!("MAINPID={process}\nREADY=1\n")]);
    drop(next.child.stdin.take());
    next.ends();
}
