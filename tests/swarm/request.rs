//! The command line of a swarm.

use tymist::sim::swarm::{Plan, Request, Shape};

use super::scene::{Bug, Scene};

const PROGRAM: &str = "my swarm --";

/// What it prints, and whether all was well.
fn live(args: &[&str], bug: Bug) -> (String, bool) {
    let mut out = Vec::new();
    let request = Request::parse(args).unwrap();
    let kept = request.live(PROGRAM, &Shape::default(), || Scene::play(bug), &mut out).unwrap();
    (String::from_utf8(out).unwrap(), kept)
}

fn hash(text: &str) -> &str {
    text.lines().find(|line| line.starts_with("hash: ")).unwrap()
}

#[test]
fn a_seed_is_a_number_or_a_git_hash_or_a_plan() {
    let (number, kept) = live(&["--seed", "66"], Bug::None);
    assert!(kept && number.starts_with("plan 66: all done"), "{number}");
    let (hexadecimal, _) = live(&["--seed=0x42"], Bug::None);
    assert_eq!(hexadecimal, number);
    let (commit, _) = live(&["--seed", "00000000000000420123456789abcdef01234567"], Bug::None);
    assert_eq!(commit, number, "the first 16 digits of a hash are the seed");
    let (plan, _) = live(&["--seed", "66 faults= safety=1000us"], Bug::None);
    assert_ne!(hash(&plan), hash(&number));
    let (some, kept) = live(&["--seeds=3", "--seed", "65"], Bug::None);
    assert!(kept && some.starts_with("3 seeds from 65 on"), "{some}");
}

#[test]
fn what_fails_is_printed_with_the_command_that_shows_it_again() {
    let (text, kept) = live(&["--seeds", "300"], Bug::DropsByte);
    assert!(!kept);
    let commands = text.lines().filter_map(|line| line.trim().strip_prefix(PROGRAM));
    let commands: Vec<&str> = commands.collect();
    let [whole, least] = commands[..] else { panic!("{text}") };
    for command in [whole, least] {
        let value = command.trim().strip_prefix("--seed ").unwrap();
        let (again, kept) = live(&["--seed", value.trim_matches('\'')], Bug::DropsByte);
        assert!(!kept && again.contains("is another than was sent"), "{again}");
        let (mended, kept) = live(&["--seed", value.trim_matches('\'')], Bug::None);
        assert!(kept, "{mended}");
    }
    let plan =
        Plan::parse(least.trim_start_matches(" --seed ").trim_matches('\''), &Shape::default());
    assert!(text.contains(&format!("    {}\n", plan.unwrap())), "{text}");
}

#[test]
fn what_happened_is_written_down_where_it_was_asked_for() {
    let folder = std::env::temp_dir().join(format!("tymist swarm {}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (trace, page, packets) = (path("trace"), path("page"), path("packets"));
    let args = ["--seed", "1", "--trace", &trace, "--timeline", &page, "--pcap", &packets];
    let (text, kept) = live(&args, Bug::None);
    assert!(kept && text.contains(" records in "), "{text}");
    let (plain, _) = live(&["--seed", "1"], Bug::None);
    assert_eq!(hash(&text), hash(&plain), "writing it down changes nothing");
    let read = |path: &str| std::fs::read(path).unwrap();
    assert!(String::from_utf8(read(&trace)).unwrap().lines().count() > 100);
    assert!(String::from_utf8(read(&page)).unwrap().contains("<svg"));
    assert_eq!(&read(&packets)[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
    std::fs::remove_dir_all(folder).unwrap();
    let request = Request::parse(["--seed", "1", "--trace", "/nowhere/at all"]).unwrap();
    let wrong =
        request.live(PROGRAM, &Shape::default(), || Scene::play(Bug::None), &mut Vec::new());
    assert!(wrong.unwrap_err().to_string().starts_with("/nowhere/at all: "));
}

#[test]
fn what_means_nothing_is_said_to() {
    let wrong = |args: &[&str]| Request::parse(args).unwrap_err().to_string();
    assert_eq!(wrong(&["--sed", "1"]), "\"--sed\" is no option");
    assert_eq!(wrong(&["17"]), "\"17\" is no option");
    assert_eq!(wrong(&["--seed"]), "--seed wants a value");
    assert_eq!(wrong(&["--seeds", "many"]), "--seeds \"many\" is no number from 1 on");
    assert_eq!(wrong(&["--seeds", "0"]), "--seeds \"0\" is no number from 1 on");
    for seed in ["lucky", "17 hosts=3", "17 faults=x", ""] {
        let request = Request::parse(["--seed", seed]).unwrap();
        let lived =
            request.live(PROGRAM, &Shape::default(), || Scene::play(Bug::None), &mut Vec::new());
        assert!(lived.unwrap_err().to_string().contains("is no part of a plan"), "{seed:?}");
    }
    let (usage, kept) = live(&["-h"], Bug::None);
    assert!(kept && usage == format!("{PROGRAM} {}\n", Request::USAGE));
}
