use super::*;
use crate::random::SplitMix;

/// A machine and a peer, by what they take, in microseconds.
#[derive(Copy, Clone)]
struct Pace {
    /// From wait to wait where it sleeps, and the CPU time of that.
    asleep: u64,
    asleep_cpu: u64,
    /// From wait to wait where it looks, all of it CPU time.
    looking: u64,
    /// Bytes that come in at once where it looks; asleep, it is 64.
    bytes: u64,
}

/// An engine with that peer.
struct Run {
    spin: Spin,
    most: Duration,
    now: Tyme,
    cpu: Duration,
    work: Work,
    looks: u64,
    measured: u64,
}

const MOST: Duration = Duration::from_micros(100);

impl Run {
    fn new(most: Duration) -> Self {
        Run {
            spin: Spin::new(),
            most,
            now: Tyme::from_secs(1),
            cpu: Duration::ZERO,
            work: Work::default(),
            looks: 0,
            measured: 0,
        }
    }

    /// So many waits; the CPU time that they took in terms of that of sleeping in each, for each byte.
    fn waits(&mut self, count: u64, pace: Pace) -> f64 {
        let (cpu, bytes) = (self.cpu, self.work.bytes);
        for _ in 0..count {
            let sample = Sample::new(self.cpu, self.work);
            let looks = self.spin.begin(self.now, self.most, || {
                self.measured += 1;
                Some(sample)
            });
            self.looks += u64::from(looks);
            let most = u64::try_from(self.most.as_micros()).unwrap();
            let (time, cpu, bytes) = match looks {
                true if pace.looking <= most => (pace.looking, pace.looking, pace.bytes),
                true => (pace.looking, most + pace.asleep_cpu, 64),
                false => (pace.asleep, pace.asleep_cpu, 64),
            };
            self.now += Duration::from_micros(time);
            self.cpu += Duration::from_micros(cpu);
            self.work = Work { calls: self.work.calls + 1, bytes: self.work.bytes + bytes };
        }
        let per_byte =
            (self.cpu - cpu).as_nanos() as f64 / 1000.0 / (self.work.bytes - bytes) as f64;
        per_byte / (pace.asleep_cpu as f64 / 64.0)
    }
}

/// A virtual machine, whose threads are woken slowly, and a peer that answers at once.
const AT_ONCE: Pace = Pace { asleep: 90, asleep_cpu: 40, looking: 27, bytes: 64 };

#[test]
fn who_is_answered_at_once_looks() {
    let mut run = Run::new(MOST);
    let cost = run.waits(100_000, AT_ONCE);
    assert!(run.looks > 97_000, "{} looks", run.looks);
    assert!(cost < 0.69, "{cost} of what sleeping takes"); // Looking takes 0.675.
    assert!(run.measured < 1000, "{} measured", run.measured);
}

#[test]
fn where_sleeping_takes_less_next_to_nobody_looks() {
    // A machine that wakes its threads fast, and a peer that takes its time.
    let mut run = Run::new(MOST);
    let pace = Pace { asleep: 45, asleep_cpu: 5, looking: 40, bytes: 64 };
    let cost = run.waits(200_000, pace);
    assert!(run.looks < 1100, "{} looks", run.looks);
    assert!(cost < 1.05, "{cost} of what sleeping takes");
    let cost = run.waits(1_000_000, pace);
    assert!(cost < 1.02, "{cost} of what sleeping takes, later");
}

#[test]
fn what_comes_later_than_a_look_lasts_is_slept_for() {
    let mut run = Run::new(MOST);
    let cost = run.waits(200_000, Pace { asleep: 200, asleep_cpu: 40, looking: 150, bytes: 64 });
    assert!(cost < 1.002, "{cost} of what sleeping takes");
    assert!(run.looks < 60, "{} looks", run.looks);
}

#[test]
fn a_wait_that_is_not_soon_followed_by_another_never_looks() {
    for asleep in [301, 1_000, 1_000_000] {
        let mut run = Run::new(MOST);
        run.waits(10_000, Pace { asleep, ..AT_ONCE });
        assert_eq!((run.looks, run.measured), (0, 0), "{asleep} us");
    }
}

#[test]
fn it_counts_what_a_byte_costs_too() {
    // Asleep, 64 bytes have come by the time it is awake; who looks takes them one by one.
    let mut run = Run::new(MOST);
    let pace = Pace { asleep: 30, asleep_cpu: 20, looking: 2, bytes: 1 };
    let cost = run.waits(1_000_000, pace);
    assert!(run.looks < 3000, "{} looks", run.looks);
    assert!(cost < 1.02, "{cost} of what sleeping takes");
}

#[test]
fn it_learns_anew_where_the_pace_changes() {
    let slow = Pace { asleep: 45, asleep_cpu: 5, looking: 40, bytes: 64 };
    let mut run = Run::new(MOST);
    run.waits(10_000, AT_ONCE);
    let looked = run.looks;
    run.waits(10_000, slow);
    let in_vain = run.looks - looked;
    assert!(in_vain < 2000, "{in_vain} looks where they are dear");
    let looked = run.looks;
    run.waits(100_000, AT_ONCE);
    assert!(run.looks - looked > 60_000, "{} looks once they pay again", run.looks - looked);
}

/// So many answers at once, then a pause, and so on; the looks of 100,000 waits.
fn bursts(of: u64) -> u64 {
    let mut run = Run::new(MOST);
    run.waits(10_000, AT_ONCE);
    let looked = run.looks;
    for _ in 0..100_000 / of {
        run.waits(of - 1, AT_ONCE);
        run.waits(1, Pace { asleep: 1_000, asleep_cpu: 40, looking: 1_000, bytes: 64 });
    }
    run.looks - looked
}

#[test]
fn a_pause_now_and_then_is_no_reason_to_stop() {
    // Eight of each hundred sleep, after the pause.
    let looks = bursts(100);
    assert!((85_000..93_000).contains(&looks), "{looks} looks");
}

#[test]
fn where_pauses_cost_as_much_as_is_won_nobody_looks() {
    let looks = bursts(20);
    assert!(looks < 2_000, "{looks} looks");
}

#[test]
fn chance_makes_next_to_nobody_look() {
    // As dear as sleeping, give or take three tenths.
    let mut run = Run::new(MOST);
    let mut chance = SplitMix::new(7);
    for _ in 0..10_000 {
        let looking = 70 + chance.up_to(60);
        run.waits(100, Pace { asleep: 150, asleep_cpu: 100, looking, bytes: 64 });
    }
    assert!(run.looks < 2500, "{} looks in a million waits", run.looks);
}

#[test]
fn nobody_looks_where_it_is_off_or_cannot_be_measured() {
    let mut run = Run::new(Duration::ZERO);
    run.waits(10_000, AT_ONCE);
    assert_eq!((run.looks, run.measured), (0, 0));

    let mut spin = Spin::new();
    let mut asked = 0;
    for at in 0..200_000 {
        let looks = spin.begin(Tyme::from_nanos(at * 30_000), MOST, || {
            asked += 1;
            None
        });
        assert!(!looks);
    }
    assert!((1..10).contains(&asked), "asked {asked} times");
}

#[test]
fn clocks_that_stand_still_or_go_back_do_no_harm() {
    let mut spin = Spin::new();
    let mut looks = 0_u32;
    for at in 0..1_000_000_u64 {
        // A thread that was changed has a clock of its own; nothing is ever received.
        let cpu = Duration::from_micros(if at % 3 == 0 { 5 } else { at % 1000 });
        let sample = Sample::new(cpu, Work::default());
        looks += u32::from(spin.begin(Tyme::ZERO, MOST, || Some(sample)));
    }
    assert!(looks < 5000, "{looks} looks");
}
