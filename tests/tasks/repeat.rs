//! The same seed is the same run, to the byte; another seed is another one.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_channel::{mpsc, oneshot};
use futures_util::{SinkExt, StreamExt};
use tymist::net::Addr;
use tymist::sim::fault::{Effect, Rule};
use tymist::sim::{Act, Cut, HostSpec, Link, World, WorldSpec};
use tymist::tasks::{Handle, Tasks};
use tymist::tyme::Tyme;
use tymist::{Config, sim::Rng};

const CLIENTS: usize = 6;

/// Questions come through one bounded channel and are answered through channels of their own, so that who is woken when shows in the order of answers.
async fn serve(handle: Handle) {
    let mut listener = handle.listen(([0, 0, 0, 0], 80)).unwrap();
    let (ask, mut asked) = mpsc::channel::<(u64, oneshot::Sender<u64>)>(2);
    drop(handle.spawn(async move {
        let mut sum = 0_u64;
        while let Some((number, answer)) = asked.next().await {
            sum = sum.wrapping_mul(31).wrapping_add(number);
            let _ = answer.send(sum);
        }
    }));
    while let Ok(mut stream) = listener.accept().await {
        let mut ask = ask.clone();
        drop(handle.spawn(async move {
            let mut number = [0; 8];
            while stream.read_exact(&mut number).await.is_ok() {
                let (answer, answered) = oneshot::channel();
                ask.send((u64::from_be_bytes(number), answer)).await.unwrap();
                let sum = answered.await.unwrap();
                if stream.write_all(&sum.to_be_bytes()).await.is_err() {
                    break;
                }
            }
        }));
    }
}

async fn ask(handle: Handle, target: Addr, mut rng: Rng, answered: Rc<Cell<u64>>) {
    loop {
        handle.sleep(Duration::from_millis(rng.below(300))).await;
        let Ok(mut stream) = handle.connect(&target).await else { continue };
        for _ in 0..rng.below(20) {
            let question = rng.next_u64().to_be_bytes();
            let mut answer = [0; 8];
            let exchange = async {
                stream.write_all(&question).await?;
                stream.read_exact(&mut answer).await
            };
            match handle.timeout(Duration::from_secs(2), exchange).await {
                Ok(Ok(())) => answered.set(answered.get() + 1),
                _ => break,
            }
        }
    }
}

/// The hash of a run of five minutes under faults, and how many questions were answered.
fn live(seed: u64) -> (u64, u64) {
    let mut spec = WorldSpec::new(seed);
    let mut link = Link::new(Duration::from_millis(2));
    link.jitter = Duration::from_millis(3);
    link.loss = 0.01;
    spec.link = link;
    let mut world = World::with(spec);
    world.add(HostSpec::new("server"), |host| {
        let tasks = Tasks::on_host(host, Config::new());
        let handle = tasks.handle();
        drop(tasks.handle().spawn(serve(handle)));
        tasks
    });
    let target = Addr::from((world.resolve("server")[0], 80));
    let answered = Rc::new(Cell::new(0));
    let mut hosts = vec![world.find("server").unwrap()];
    for number in 0..CLIENTS {
        let rng = world.rng(&format!("client {number}"));
        let (target, answered) = (target.clone(), Rc::clone(&answered));
        hosts.push(world.add(format!("client {number}").as_str(), move |host| {
            let tasks = Tasks::on_host(host, Config::new());
            let main = ask(tasks.handle(), target.clone(), rng.clone(), Rc::clone(&answered));
            drop(tasks.handle().spawn(main));
            tasks
        }));
    }
    world.rule(Rule::new("short", Effect::Short(3)).chance(0.2));
    world.rule(Rule::new("blocked", Effect::WouldBlock).chance(0.05));
    world.rule(Rule::new("reset", Effect::Reset).chance(0.005));
    for minute in 1..4 {
        let at = Tyme::from_secs(60 * minute);
        let cut = Cut::Isolate(hosts[usize::try_from(minute).unwrap() - 1]);
        world.plan(at, Act::Partition(cut));
        world.plan(at + Duration::from_secs(10), Act::Heal);
    }
    world.plan(Tyme::from_secs(200), Act::Crash(hosts[0]));
    world.plan(Tyme::from_secs(210), Act::Restart(hosts[0]));
    world.run_until(Tyme::from_secs(300));
    world.all_fired().unwrap();
    (world.hash(), answered.get())
}

#[test]
fn a_seed_is_a_run() {
    let runs: Vec<(u64, u64)> = (1..=3).map(live).collect();
    for (seed, run) in (1..=3).zip(&runs) {
        assert_eq!(live(seed), *run, "seed {seed}");
        assert!(run.1 > 1000, "only {} questions were answered", run.1);
    }
    assert!(runs[0].0 != runs[1].0 && runs[1].0 != runs[2].0, "all runs are alike: {runs:?}");
}
