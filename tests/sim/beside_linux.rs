//! The same calls on a simulated host and on the Linux that the test runs on: each is answered alike, and the same is reported ready.

use crate::sim_util::lab::{Call, Kinds, Lab, draw};
use crate::sim_util::*;
use tymist::net::Net;
use tymist::net::os::OsNet;
use tymist::sim::{HostSpec, Rng, World};

struct Both {
    world: World,
    sim: Lab,
    os: Lab,
    _dir: tempfile::TempDir,
    log: Vec<String>,
}

impl Both {
    fn new(seed: u64, kinds: Kinds) -> Self {
        let mut world = World::new(seed);
        let host = world.add_host(HostSpec::new("host"));
        let dir = tempfile::tempdir().unwrap();
        let sim = Lab::new(world.host(host).net(), "/lab", kinds, false);
        let os = Lab::new(Box::new(OsNet::new()), dir.path(), kinds, true);
        Both { world, sim, os, _dir: dir, log: Vec::new() }
    }

    fn step(&mut self, call: &Call) -> (String, String) {
        let sim = self.sim.call(call);
        self.world.run_for(millis(100));
        self.sim.harvest(false);
        let mut os = self.os.call(call);
        self.os.harvest(false);
        // The system takes its time, which is short.
        for _ in 0..3 {
            let behind = os == "EAGAIN" && sim != os;
            if !behind && self.os.known == self.sim.known {
                break;
            }
            self.os.harvest(true);
            if behind {
                os = self.os.call(call);
            }
        }
        (sim, os)
    }

    fn live(&mut self, seed: u64, calls: usize) -> Result<(), String> {
        let mut dice = Rng::stream(seed, "calls");
        for _ in 0..calls {
            let call = draw(&self.sim, &mut dice);
            self.log.push(format!("{call:?}"));
            let (sim, os) = self.step(&call);
            self.log.push(format!("    {sim}"));
            if sim == os && shares(&call) && sim.starts_with("thing") {
                // Who of those that share a port is chosen, is the kernel's own affair.
                self.step(&Call::Drop(self.sim.things.len() - 1));
            }
            if sim != os {
                return Err(format!("{call:?}: {sim}, and of the system {os}"));
            }
            for (at, (sim, os)) in self.sim.known.iter().zip(&self.os.known).enumerate() {
                if sim != os {
                    return Err(format!(
                        "{call:?}: of thing {at} {sim:?}, and of the system {os:?}"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn shares(call: &Call) -> bool {
    match call {
        Call::Listen(place) | Call::Bind { place, .. } => {
            place.reuse_port && place.port_of.is_some()
        }
        _ => false,
    }
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("TYMIST_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("TYMIST_SEEDS").unwrap_or(100)).collect(),
    }
}

#[test]
fn random_calls_are_answered_as_linux_answers_them() {
    // Not every machine has IPv6.
    let v6 = OsNet::new().bind(&"[::1]:0".parse().unwrap()).is_ok();
    for seed in seeds() {
        // With one family more of the calls meet.
        let kinds = Kinds { v6: v6 && seed % 4 != 0, ..Kinds::ALL };
        // A port that was let go may be somebody else's on a machine that others use: what is wrong is wrong each time.
        let failures: Vec<String> = (0..3)
            .map_while(|_| {
                let mut both = Both::new(seed, kinds);
                both.live(seed, 300).err().map(|what| format!("{}\n{what}", both.log.join("\n")))
            })
            .collect();
        assert!(failures.len() < 3, "seed {seed}: {}", failures[2]);
    }
}
