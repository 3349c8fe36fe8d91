//! A program that is replaced under load, by real processes: not one request is lost.

use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tymist::run::Inherited;

use crate::{Dir, Program, answers, ask, child, connect};

const FOLDER: &str = "TYMIST_TEST_REPLACED";

/// The program: takes over what there is to take over, serves, and is replaced; or ends when its standard input does.
#[test]
fn a_program_that_can_be_replaced() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let mut inherited = Inherited::take_over(folder.join("offer")).unwrap();
    let mut manager = answers(2);
    manager.listen(([127, 0, 0, 1], 0)).listen(folder.join("service"));
    manager.inherit(&mut inherited);
    assert!(inherited.is_empty());
    manager.start().unwrap();
    inherited.confirm().unwrap();
    manager.offer(folder.join("offer")).unwrap();
    println!("up {} {}", manager.addrs()[0], std::process::id());
    let stopper = manager.stopper();
    std::thread::spawn(move || {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
        stopper.stop(None);
    });
    assert!(manager.wait(None).unwrap());
    println!("accepted {}", manager.counters().accepted);
}

fn start(folder: &Path) -> (Program, SocketAddr, u32) {
    let test = "replaced::a_program_that_can_be_replaced";
    let mut program = Program::start(child(test, &[(FOLDER, folder.into())]));
    let said = program.says("up ");
    let (addr, process) = said.split_once(' ').unwrap();
    (program, addr.parse().unwrap(), process.parse().unwrap())
}

/// What the askers have counted.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    sent: AtomicU64,
    answered: AtomicU64,
    wrong: Mutex<Vec<String>>,
    /// Those answered by the process of this number, when it was last asked for.
    by_newest: AtomicU64,
    newest: AtomicU64,
}

impl Load {
    /// One connection for each request, as long as nobody says stop.
    fn ask_on(&self, addr: SocketAddr, path: Option<&Path>) {
        while !self.stop.load(Ordering::Relaxed) {
            let number = self.sent.fetch_add(1, Ordering::Relaxed);
            let answer = match path {
                Some(path) => UnixStream::connect(path).and_then(|mut it| ask(&mut it, number)),
                None => connect(addr).and_then(|mut it| ask(&mut it, number)),
            };
            match answer {
                Ok(process) => {
                    self.answered.fetch_add(1, Ordering::Relaxed);
                    if u64::from(process) == self.newest.load(Ordering::Relaxed) {
                        self.by_newest.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) => self.wrong.lock().unwrap().push(format!("{number}: {error}")),
            }
        }
    }

    /// Waits until this process has answered so many.
    fn until_answered_by(&self, process: u32, count: u64) {
        self.newest.store(process.into(), Ordering::Relaxed);
        self.by_newest.store(0, Ordering::Relaxed);
        while self.by_newest.load(Ordering::Relaxed) < count {
            assert!(self.wrong.lock().unwrap().is_empty(), "{:?}", self.wrong.lock().unwrap());
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_program_is_replaced_under_load_and_not_one_request_is_lost() {
    let dir = Dir::new();
    let (mut program, addr, mut process) = start(dir.0.path());
    let service = dir.path("service");
    let load = Load::default();
    let mut accepted = 0;
    std::thread::scope(|scope| {
        for asker in 0..4 {
            let (load, path) = (&load, (asker == 3).then_some(service.as_path()));
            scope.spawn(move || load.ask_on(addr, path));
        }
        // However this ends, the askers end with it.
        let _stop = Stop(&load.stop);
        for _ in 0..3 {
            load.until_answered_by(process, 300);
            let mut old_friend = connect(addr).unwrap();
            // Whichever it is: it began with this one, and this one goes on with it.
            let friend = ask(&mut old_friend, 1).unwrap();
            let (next, next_addr, next_process) = start(dir.0.path());
            assert_eq!(next_addr, addr, "the same socket");
            assert_eq!(ask(&mut old_friend, 2).unwrap(), friend);
            drop(old_friend);
            let mut old = std::mem::replace(&mut program, next);
            accepted += old.says("accepted ").parse::<u64>().unwrap();
            old.ends();
            assert_ne!(std::mem::replace(&mut process, next_process), process);
            assert!(service.exists(), "the file of the socket went with the old process");
        }
        load.until_answered_by(process, 300);
    });
    assert_eq!(*load.wrong.lock().unwrap(), Vec::<String>::new());
    let (sent, answered) = (load.sent.into_inner(), load.answered.into_inner());
    assert_eq!(sent, answered);
    drop(program.child.stdin.take());
    accepted += program.says("accepted ").parse::<u64>().unwrap();
    program.ends();
    assert_eq!(accepted, sent + 3, "and those three friends");
    assert!(!service.exists() && !dir.path("offer").exists(), "the last one cleans up");
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
