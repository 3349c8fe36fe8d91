//! hyper's own client and server, unmodified, over tasks: in real time, and under faults in a simulated world, where a seed is a run.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server};
use tymist::net::Addr;
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, Link, Rng, World, WorldSpec};
use tymist::tasks::{Handle, TaskListener, TaskStream, Tasks};
use tymist::tyme::{Tyme, Tymist};
use tymist::{Config, Wake};

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Answers with the body backwards, slowly where it is asked to.
async fn answer(
    handle: Handle,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let slow = request.uri().path() == "/slow";
    let body = request.into_body().collect().await?.to_bytes();
    if slow {
        handle.sleep(Duration::from_millis(300)).await;
    }
    let backwards: Bytes = body.iter().rev().copied().collect();
    Ok(Response::new(Full::new(backwards)))
}

async fn serve_one(handle: Handle, version: Version, stream: TaskStream) {
    let inner = handle.clone();
    let service = service_fn(move |request| answer(inner.clone(), request));
    // How it ends is the client's business; `Date` would be the real one.
    let _ = match version {
        Version::One => {
            let mut http = server::conn::http1::Builder::new();
            http.timer(handle.hyper_timer()).auto_date_header(false);
            http.header_read_timeout(Duration::from_secs(30));
            http.serve_connection(stream, service).await
        }
        Version::Two => {
            let mut http = server::conn::http2::Builder::new(handle.clone());
            http.timer(handle.hyper_timer()).auto_date_header(false);
            http.keep_alive_interval(Duration::from_secs(10));
            http.keep_alive_timeout(Duration::from_secs(5));
            http.serve_connection(stream, service).await
        }
    };
}

async fn serve(handle: Handle, version: Version, mut listener: TaskListener) {
    while let Ok(stream) = listener.accept().await {
        drop(handle.spawn(serve_one(handle.clone(), version, stream)));
    }
}

/// Either sender.
enum Sender {
    One(conn::http1::SendRequest<Full<Bytes>>),
    Two(conn::http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    async fn dial(handle: &Handle, version: Version, target: &Addr) -> Result<Sender, String> {
        let stream = handle.connect(target).await.map_err(|error| error.to_string())?;
        let failed = |error: hyper::Error| error.to_string();
        match version {
            Version::One => {
                let (sender, connection) = conn::http1::handshake(stream).await.map_err(failed)?;
                drop(handle.spawn(connection));
                Ok(Sender::One(sender))
            }
            Version::Two => {
                let mut http = conn::http2::Builder::new(handle.clone());
                http.timer(handle.hyper_timer());
                http.keep_alive_interval(Duration::from_secs(10));
                http.keep_alive_timeout(Duration::from_secs(5));
                // It remembers streams that it reset for a second of real time, which is another number of frames in each run.
                http.max_concurrent_reset_streams(0);
                let (sender, connection) = http.handshake(stream).await.map_err(failed)?;
                drop(handle.spawn(connection));
                Ok(Sender::Two(sender))
            }
        }
    }

    async fn ask(&mut self, path: &str, body: Bytes) -> Result<Bytes, hyper::Error> {
        let request = Request::builder().method("POST").uri(path).header("host", "far");
        let request = request.body(Full::new(body)).unwrap();
        let response = match self {
            Sender::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Sender::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        assert_eq!(response.status(), StatusCode::OK);
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

fn body(rng: &mut Rng, size: usize) -> Bytes {
    let mut body = vec![0; size];
    rng.fill(&mut body);
    body.into()
}

fn backwards(body: &Bytes) -> Bytes {
    body.iter().rev().copied().collect()
}

fn in_real_time(version: Version) {
    let mut tasks = Tasks::new(Config::new());
    let handle = tasks.handle();
    let listener = handle.listen(([127, 0, 0, 1], 0)).unwrap();
    let target = listener.local_addr().clone();
    drop(handle.spawn(serve(handle.clone(), version, listener)));
    tasks.run_until(async move {
        let mut rng = Rng::new(1);
        let mut sender = Sender::dial(&handle, version, &target).await.unwrap();
        for size in [0, 1, 100, 20_000, 3_000_000].into_iter().chain(std::iter::repeat_n(50, 50)) {
            let sent = body(&mut rng, size);
            let got = sender.ask("/", sent.clone()).await.unwrap();
            assert!(got == backwards(&sent), "{size} bytes came back wrong");
        }
        if let Sender::Two(sender) = sender {
            // Many at once on one connection.
            let many: Vec<_> = (0..40)
                .map(|number| {
                    let mut sender = Sender::Two(sender.clone());
                    let sent = body(&mut rng, 30_000 + number);
                    handle.spawn(async move {
                        let got = sender.ask("/", sent.clone()).await.unwrap();
                        assert!(got == backwards(&sent));
                    })
                })
                .collect();
            for one in many {
                one.await.unwrap();
            }
        }
    });
    assert_eq!(tasks.counters().panicked, 0);
}

#[test]
fn http_1_in_real_time() {
    in_real_time(Version::One);
}

#[test]
fn http_2_in_real_time() {
    in_real_time(Version::Two);
}

/// hyper's own time-outs pass in tyme.
#[test]
fn a_header_that_does_not_come_is_waited_for_in_tyme() {
    let mut world = World::new(1);
    let far = world.add("far", |host| {
        let tasks = Tasks::on_host(host, Config::new());
        let listener = tasks.handle().listen(([0, 0, 0, 0], 80)).unwrap();
        drop(tasks.handle().spawn(serve(tasks.handle(), Version::One, listener)));
        tasks
    });
    let target = Addr::from((world.resolve("far")[0], 80));
    let ended = Rc::new(RefCell::new(None));
    let end = Rc::clone(&ended);
    world.add("near", move |host| {
        let tasks = Tasks::on_host(host, Config::new());
        let (handle, target, end) = (tasks.handle(), target.clone(), Rc::clone(&end));
        drop(tasks.handle().spawn(async move {
            let mut stream = handle.connect(&target).await.unwrap();
            stream.write_all(b"POST / HTTP/1.1\r\nhost: fa").await.unwrap();
            while !stream.read_bytes().await.unwrap().is_empty() {}
            *end.borrow_mut() = Some(handle.tyme());
        }));
        tasks
    });
    world.run_for(Duration::from_secs(60));
    let ended = ended.take().expect("hyper gives up after 30 s") - Tyme::ZERO;
    assert!((30_000..30_100).contains(&ended.as_millis()), "after {ended:?}");
    let tasks = world.program::<Tasks>(far).unwrap();
    assert_eq!((tasks.server().len(), tasks.wake()), (0, Wake::OnIo));
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    answered: u64,
    failed: u64,
    wrong: u64,
}

async fn ask_on(
    handle: Handle,
    version: Version,
    target: Addr,
    mut rng: Rng,
    tally: Rc<RefCell<Tally>>,
) {
    loop {
        handle.sleep(Duration::from_millis(rng.below(500))).await;
        let dial = Sender::dial(&handle, version, &target);
        let Ok(Ok(mut sender)) = handle.timeout(Duration::from_secs(5), dial).await else {
            continue;
        };
        for _ in 0..rng.between(1, 30) {
            let bits = rng.between(1, 15);
            let size = usize::try_from(rng.below(1 << bits)).unwrap();
            let sent = body(&mut rng, size);
            let path = if rng.chance(0.1) { "/slow" } else { "/" };
            let asked = sender.ask(path, sent.clone());
            match handle.timeout(Duration::from_secs(5), asked).await {
                Ok(Ok(got)) if got == backwards(&sent) => tally.borrow_mut().answered += 1,
                Ok(Ok(_)) => tally.borrow_mut().wrong += 1,
                Ok(Err(_)) | Err(_) => {
                    tally.borrow_mut().failed += 1;
                    break;
                }
            }
            handle.sleep(Duration::from_millis(rng.below(50))).await;
        }
    }
}

/// Three minutes of three clients under faults.
fn simulated(version: Version, seed: u64) -> (u64, Tally) {
    let mut spec = WorldSpec::new(seed);
    spec.link = Link::new(Duration::from_millis(5));
    spec.link.jitter = Duration::from_millis(4);
    spec.link.loss = 0.01;
    let mut world = World::with(spec);
    let far = world.add("far", move |host| {
        let tasks = Tasks::on_host(host, Config::new());
        let listener = tasks.handle().listen(([0, 0, 0, 0], 80)).unwrap();
        drop(tasks.handle().spawn(serve(tasks.handle(), version, listener)));
        tasks
    });
    let target = Addr::from((world.resolve("far")[0], 80));
    let tally = Rc::new(RefCell::new(Tally::default()));
    let mut hosts = vec![far];
    for number in 0..3 {
        let name = format!("near {number}");
        let (rng, target, tally) = (world.rng(&name), target.clone(), Rc::clone(&tally));
        hosts.push(world.add(name.as_str(), move |host| {
            let tasks = Tasks::on_host(host, Config::new());
            let (rng, target, tally) = (rng.clone(), target.clone(), Rc::clone(&tally));
            drop(tasks.handle().spawn(ask_on(tasks.handle(), version, target, rng, tally)));
            tasks
        }));
    }
    world.rule(Rule::new("short", Effect::Short(100)).chance(0.2));
    world.rule(Rule::new("tiny", Effect::Short(1)).chance(0.02));
    world.rule(Rule::new("blocked", Effect::WouldBlock).chance(0.05));
    world.rule(Rule::new("reset", Effect::Reset).chance(0.001));
    for (number, host) in hosts.iter().enumerate() {
        let at = Tyme::from_secs(20 + 40 * number as u64);
        world.plan(at, Act::Partition(Cut::Isolate(*host)));
        world.plan(at + Duration::from_secs(10), Act::Heal);
    }
    world.run_until(Tyme::from_secs(180));
    world.all_fired().unwrap();
    let tally = std::mem::take(&mut *tally.borrow_mut());
    (world.hash(), tally)
}

fn a_seed_is_a_run(version: Version) {
    let (first, again, other) =
        (simulated(version, 1), simulated(version, 1), simulated(version, 2));
    assert_eq!(first, again, "{version:?}");
    assert_ne!(first.0, other.0, "another seed is another run");
    for (_, tally) in [first, other] {
        assert!(tally.answered > 300 && tally.failed > 3, "{tally:?}");
        assert_eq!(tally.wrong, 0);
    }
}

#[test]
fn http_1_under_faults_is_the_same_for_the_same_seed() {
    a_seed_is_a_run(Version::One);
}

#[test]
fn http_2_under_faults_is_the_same_for_the_same_seed() {
    a_seed_is_a_run(Version::Two);
}

/// Wound by the server itself, it went on by the clock from before between two ticks: what was begun there was an hour late.
#[test]
fn regression_the_timer_goes_by_the_clock_that_the_server_was_wound_to() {
    let (mut before, mut since) = (Tymist::new(), Tymist::new());
    before.tick_by(Duration::from_secs(3600));
    let mut tasks = Tasks::new(Config::new());
    tasks.wind(before.tymth());
    tasks.service();
    tasks.server_mut().wind(since.tymth());
    tasks.service();
    let timer = tasks.handle().hyper_timer();
    let begun = hyper::rt::Timer::now(&timer);
    since.tick_by(Duration::from_secs(5));
    assert_eq!(hyper::rt::Timer::now(&timer) - begun, Duration::from_secs(5));
}
