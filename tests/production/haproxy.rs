//! The load balancer's settings in the guide are ones that it takes.

use std::process::Command;

use crate::Dir;

/// The block of this kind in the guide's chapter, without the marks of a comment.
fn block(kind: &str) -> String {
    let chapter = include_str!("../../src/guide/production.rs");
    let begin = format!("//! ```{kind}\n");
    let (_, rest) = chapter.split_once(begin.as_str()).expect("no such block");
    let (block, _) = rest.split_once("//! ```\n").expect("no end of it");
    let lines =
        block.lines().map(|line| line.trim_start_matches("//!").strip_prefix(' ').unwrap_or(""));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn haproxy_takes_the_settings_in_the_guide() {
    let settings = block("haproxy");
    assert!(settings.contains("\nbackend machines\n    balance leastconn\n"), "{settings}");
    if Command::new("haproxy").arg("-v").output().is_err() {
        assert!(std::env::var_os("TYMIST_HAPROXY").is_none(), "no haproxy here");
        println!("passed over: haproxy is not at hand");
        return;
    }
    let dir = Dir::new();
    for (settings, taken) in
        [(settings.clone(), true), (settings.replace("leastconn", "fewest"), false)]
    {
        let path = dir.path("haproxy.cfg");
        std::fs::write(&path, settings).unwrap();
        let said = Command::new("haproxy").arg("-c").arg("-f").arg(&path).output().unwrap();
        assert_eq!(said.status.success(), taken, "{}", String::from_utf8_lossy(&said.stderr));
    }
}
