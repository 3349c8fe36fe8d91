//! The command line of a swarm.

use std::io::Write;
use std::path::Path;

use tymist::sim::swarm::{Moment, Plan, Report, Request, Role, Shape, Stage, run, sweep};
use tymist::sim::{Act, Tracing};
use tymist::tyme::Tyme;

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
    let folder = tempfile::Builder::new().prefix("with blanks ").tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
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

/// Fails wherever there are two clients, after something has happened.
fn two_are_too_many(stage: &mut Stage<'_>, moment: Moment) -> Result<(), String> {
    let clients = stage.clients();
    match moment {
        Moment::Start => stage.world.act(&Act::Crash(clients[0])),
        Moment::Heal if clients.len() > 1 => return Err("two of them".into()),
        _ => {}
    }
    Ok(())
}

/// What a file that was asked for must hold of a plan's run, and what is said of it.
fn written(option: &str, plan: &Plan, file: &Path) -> (Vec<u8>, String) {
    let (mut content, mut said) = (Vec::new(), format!("timeline: {}\n", file.display()));
    let _ = run(plan, Tracing::Full, two_are_too_many, |world| {
        let trace = world.trace();
        match option {
            "--trace" => {
                trace.records().for_each(|record| writeln!(content, "{record}").unwrap());
                said = format!("trace: {} records in {}\n", trace.len(), file.display());
            }
            "--pcap" => {
                trace.write_pcapng(&mut content).unwrap();
                said = format!("packets: {}\n", file.display());
            }
            _ => trace.write_timeline(&mut content, Tyme::ZERO, 20_000).unwrap(),
        }
    });
    (content, said)
}

/// What is said of one that went well, lived alone or as one of some.
fn kept(seed: u64, alone: bool) -> String {
    let plan = Plan::draw(seed, &Shape::default());
    let report = run(&plan, Tracing::Hash, two_are_too_many, |_| ()).unwrap();
    let Report { hash, steps, done, stats, .. } = report;
    if alone {
        return format!(
            "plan {seed}: all done at {done}, {steps} steps, {stats:?}\nhash: {hash:016x}\n"
        );
    }
    format!(
        "1 seeds from {seed} on kept their promises: {steps} steps,\n\
         0 connections, 0 bytes, 0 datagrams, 0 calls that failed by rule\n"
    )
}

/// With each of the files that may be asked for alone: what is told, and what is in them.
#[test]
fn what_was_lived_alone_or_failed_is_told_and_written_down() {
    let folder = tempfile::Builder::new().prefix("with blanks ").tempdir().unwrap();
    let file = folder.path().join("file");
    let shape = Shape::default();
    let clients = |seed: &u64| Plan::draw(*seed, &shape).kept(Role::Client).len();
    let fine = (0..1000).find(|seed| clients(seed) == 1).unwrap();
    let fails = (fine..1000).find(|seed| clients(seed) > 1).unwrap();
    let found = sweep([fails], &shape, || two_are_too_many).unwrap_err();
    let [whole, least] = [&found.plan, &found.reduced.plan].map(|plan| plan.command(PROGRAM));
    let found_told =
        format!("{found}the whole run again:\n    {whole}\nthe least of it:\n    {least}\n");
    for (seeds, seed, lived) in [
        (None, fine, Some(Plan::draw(fine, &shape))),
        (None, fails, Some(found.plan.clone())),
        (Some(fails + 1 - fine), fine, Some(found.reduced.plan.clone())),
        (Some(1), fine, None),
    ] {
        for option in [None, Some("--trace"), Some("--pcap"), Some("--timeline")] {
            let mut args = vec![format!("--seed={seed}")];
            args.extend(seeds.map(|count| format!("--seeds={count}")));
            args.extend(option.map(|option| format!("{option}={}", file.display())));
            let mut out = Vec::new();
            let request = Request::parse(&args).unwrap();
            let well = request.live(PROGRAM, &shape, || two_are_too_many, &mut out).unwrap();
            assert_eq!(well, seed == fine && seeds.is_none_or(|seeds| seeds == 1), "{args:?}");
            let mut said = String::new();
            if let (Some(lived), Some(option)) = (&lived, option) {
                let wanted = written(option, lived, &file);
                assert!(!wanted.0.is_empty() && std::fs::read(&file).unwrap() == wanted.0);
                std::fs::remove_file(&file).unwrap();
                said = wanted.1;
            }
            assert!(!file.exists(), "{args:?}");
            let told = match (seeds, well) {
                (None, true) => said + &kept(fine, true),
                (None, false) => said + &found_told,
                (_, false) => found_told.clone() + &said,
                (_, true) => kept(fine, false),
            };
            assert_eq!(String::from_utf8(out).unwrap(), told, "{args:?}");
        }
    }
}

/// Where a file could not be written nobody heard that the plan had failed.
#[test]
fn regression_a_failure_is_told_where_its_file_cannot_be_written() {
    let shape = Shape::default();
    let clients = |seed: &u64| Plan::draw(*seed, &shape).kept(Role::Client).len();
    let fails = (0..1000).find(|seed| clients(seed) > 1).unwrap();
    for seeds in [None, Some("--seeds=1")] {
        let seed = format!("--seed={fails}");
        let args = [&seed, "--trace=/nowhere/at all"].into_iter().chain(seeds);
        let request = Request::parse(args).unwrap();
        let mut out = Vec::new();
        let wrong = request.live(PROGRAM, &shape, || two_are_too_many, &mut out).unwrap_err();
        assert!(wrong.to_string().starts_with("/nowhere/at all: "));
        let out = String::from_utf8(out).unwrap();
        assert!(
            out.contains("two of them") && out.contains("the least of it:"),
            "{seeds:?}: {out}"
        );
    }
}

/// What is no UTF-8 was replaced behind an equals sign, and another file was written.
#[cfg(unix)]
#[test]
fn regression_a_file_that_is_no_utf_8_is_not_another_one() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let name = OsStr::from_bytes(b"of\xff=1");
    let request = Request::parse([OsStr::new("--trace"), name]).unwrap();
    assert_eq!(request.trace.as_deref(), Some(Path::new(name)));
    let wrong = Request::parse([OsStr::from_bytes(b"--trace=of\xff=1")]).unwrap_err();
    assert!(wrong.to_string().starts_with("the value of --trace is not UTF-8"), "{wrong}");
}

type Change = fn(&mut Request, String);

#[test]
fn a_command_line_is_read_as_it_is_meant() {
    let parse = |args: &[&str]| Request::parse(args).unwrap();
    let request = |change: &dyn Fn(&mut Request)| {
        let mut request = Request::default();
        change(&mut request);
        request
    };
    assert_eq!(parse(&[]), Request::default());
    let options: [(&str, Change); 4] = [
        ("--seed", |it, text| it.seed = Some(text)),
        ("--trace", |it, text| it.trace = Some(text.into())),
        ("--pcap", |it, text| it.pcap = Some(text.into())),
        ("--timeline", |it, text| it.timeline = Some(text.into())),
    ];
    for (name, change) in options {
        let wanted = request(&|it| change(it, "17 clients=2".into()));
        assert_eq!(parse(&[name, "17 clients=2"]), wanted);
        assert_eq!(parse(&[&format!("{name}=17 clients=2")]), wanted);
    }
    assert_eq!(parse(&["--seeds", "1"]), request(&|it| it.seeds = Some(1)));
    for help in ["--help", "-h"] {
        assert_eq!(
            parse(&[help, "--seeds=7"]),
            request(&|it| (it.help, it.seeds) = (true, Some(7)))
        );
    }
    let most = request(&|it| (it.seed, it.seeds) = (Some("second".into()), Some(2)));
    assert_eq!(parse(&["--seed=first", "--seeds", "2", "--seed", "second"]), most);
}
