//! Against OpenSSL and curl. Both must be installed.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rcgen::KeyPair;
use tymist::net::tls::rustls::CipherSuite;
use tymist::net::tls::{
    ClientAuth, HandshakeFailure as Failure, ServerTlsConfig, TlsFailure, TlsVersion, Unread,
};
use tymist::{CloseReason, Event};

use super::rig::TlsRig;
use crate::tls_support::EPOCH;
use crate::tls_support::pki::{self, Authority, self_signed};
use crate::util::ROUNDS;

/// Valid by the clock of the rig and by that of the machine.
fn server() -> pki::Ask {
    pki::Ask { not_after: 4_000_000_000, ..pki::server() }
}

struct Real {
    rig: TlsRig,
    dir: tempfile::TempDir,
    /// Connections that have answered; each answers its first line once.
    answered: Vec<tymist::Id>,
}

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn say(&mut self, text: &str) {
        self.0.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }
}

impl Real {
    fn new(tls: impl FnOnce(&Authority, ServerTlsConfig) -> ServerTlsConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let rig = TlsRig::with(
            |_| {},
            |authority, mut config| {
                config.identities = vec![authority.issue(&server()).identity()];
                tls(authority, config)
            },
        );
        fs::write(dir.path().join("ca.pem"), rig.authority.cert.pem()).unwrap();
        Real { rig, dir, answered: Vec::new() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn spawn(&self, program: &str, args: &[&str]) -> Process {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process(command.spawn().unwrap_or_else(|error| panic!("{program}: {error}")))
    }

    fn s_client(&self, addr: SocketAddr, args: &[&str]) -> Process {
        let (at, ca) = (addr.to_string(), self.path("ca.pem"));
        let fixed = ["s_client", "-connect", &at, "-CAfile", &ca, "-verify_return_error"];
        self.spawn("openssl", &[&fixed[..], args].concat())
    }

    /// A tick, with an echo.
    fn tick(&mut self) {
        for event in self.rig.tick() {
            if let Event::Received(id) | Event::Drained(id) = event {
                self.rig.echo(id);
            }
            if let Event::Accepted(id) = event {
                self.answered.push(id);
            }
        }
    }

    #[track_caller]
    fn until(&mut self, mut done: impl FnMut(&mut TlsRig) -> bool) {
        for _ in 0..ROUNDS {
            if done(&mut self.rig) {
                return;
            }
            self.tick();
        }
        panic!("did not get there; events: {:?}", self.rig.log);
    }

    /// Waits for the end of a process: whether it was content, and what it printed.
    #[track_caller]
    fn finish(&mut self, mut process: Process) -> (bool, String) {
        drop(process.0.stdin.take());
        let mut status = None;
        self.until(|_| {
            status = process.0.try_wait().unwrap();
            status.is_some()
        });
        let mut text = String::new();
        let (mut out, mut err) =
            (process.0.stdout.take().unwrap(), process.0.stderr.take().unwrap());
        std::io::Read::read_to_string(&mut out, &mut text).unwrap();
        std::io::Read::read_to_string(&mut err, &mut text).unwrap();
        (status.unwrap().success(), text)
    }

    #[track_caller]
    fn reason(&mut self) -> CloseReason {
        let mut reason = None;
        self.until(|rig| {
            reason = rig.log.iter().find_map(|event| match event {
                Event::HandshakeFailed { reason, .. } | Event::Closed(_, reason) => Some(*reason),
                _ => None,
            });
            reason.is_some()
        });
        self.rig.log.clear();
        reason.unwrap()
    }

    /// A certificate of OpenSSL's liking: it does not read Ed25519 keys as rcgen writes them.
    fn files(&self, issued: &pki::Issued) -> (String, String) {
        fs::write(self.dir.path().join("client.pem"), &issued.cert).unwrap();
        fs::write(self.dir.path().join("client.key"), &issued.key).unwrap();
        (self.path("client.pem"), self.path("client.key"))
    }
}

#[test]
fn s_client_talks_verifies_and_ends_cleanly_in_both_versions() {
    for version in ["-tls1_3", "-tls1_2"] {
        let mut real = Real::new(|_, tls| tls.with_alpn(["echo"]));
        let addr = real.rig.addr;
        let args = [
            version,
            "-servername",
            "server.test",
            "-verify_hostname",
            "server.test",
            "-alpn",
            "echo",
        ];
        let mut process = real.s_client(addr, &args);
        process.say("are you there?\n");
        real.until(|rig| rig.server.counters().bytes_out >= 15);
        let told = real.rig.server.remoters().next().unwrap().tls().unwrap();
        assert_eq!((told.alpn(), told.server_name()), (Some(&b"echo"[..]), Some("server.test")));
        let (content, text) = real.finish(process);
        assert!(content && text.contains("Verify return code: 0 (ok)"), "{text}");
        assert!(text.contains("are you there?"), "{text}");
        assert_eq!(real.reason(), CloseReason::Eof, "it sends a close_notify");
    }
}

#[test]
fn s_client_sees_a_clean_end_of_ours_and_the_server_a_cut_of_its_own() {
    let mut real = Real::new(|_, tls| tls);
    let addr = real.rig.addr;
    let mut process = real.s_client(addr, &["-tls1_3"]);
    real.until(|rig| rig.server.len() == 1);
    real.rig.server.close_remoters();
    // By our end, not by that of its input, which `finish` closes.
    real.until(|_| process.0.try_wait().unwrap().is_some());
    let (_, text) = real.finish(process);
    assert!(text.contains("closed") && !text.contains("unexpected eof"), "{text}");
    real.reason();
    // Killed, it says nothing, and its kernel ends the stream.
    let process = real.s_client(addr, &["-tls1_3"]);
    real.until(|rig| rig.server.len() == 1);
    drop(process);
    // If it had not read its tickets yet, its kernel resets.
    let reason = real.reason();
    assert!(matches!(reason, CloseReason::TlsTruncated | CloseReason::Reset), "{reason}");
}

#[test]
fn s_client_with_certificates_good_and_bad() {
    let mut real = Real::new(|authority, tls| {
        let trust = authority.trust().with_lists(authority.revoke(&[66]));
        tls.with_client_auth(ClientAuth::Required(trust))
    });
    let addr = real.rig.addr;
    let key = || KeyPair::generate().unwrap();
    let ask = |change: fn(&mut pki::Ask)| {
        let mut ask = pki::client();
        change(&mut ask);
        ask
    };
    let authority = Authority::new("another authority");
    let own = &real.rig.authority;
    let cases = [
        (
            own.issue_for(&ask(|ask| ask.not_after = EPOCH - 1), key()),
            Failure::CertExpired,
            "expired",
        ),
        (own.issue_for(&ask(|ask| ask.serial = 66), key()), Failure::CertRevoked, "revoked"),
        (
            own.issue_for(&ask(|ask| ask.purpose = pki::server().purpose), key()),
            Failure::CertWrongPurpose,
            "alert",
        ),
        (authority.issue_for(&pki::client(), key()), Failure::CertUnknownIssuer, "unknown ca"),
    ];
    let good = own.issue_for(&pki::client(), key());
    for version in ["-tls1_3", "-tls1_2"] {
        for (issued, expected, told) in &cases {
            let (cert, key) = real.files(issued);
            // Something to say keeps it reading, and so it sees the alert.
            let mut process = real.s_client(addr, &[version, "-cert", &cert, "-key", &key]);
            let _ = process.0.stdin.as_mut().unwrap().write_all(b"hello\n");
            assert_eq!(real.reason(), CloseReason::Handshake(*expected), "{version}");
            let (_, text) = real.finish(process);
            assert!(text.contains(told), "{expected}: {text}");
        }
        let process = real.s_client(addr, &[version]);
        assert_eq!(real.reason(), CloseReason::Handshake(Failure::CertRequired));
        let (_, text) = real.finish(process);
        assert!(text.contains("alert"), "{text}");
        let (cert, key) = real.files(&good);
        let mut process = real.s_client(addr, &[version, "-cert", &cert, "-key", &key]);
        process.say("hello\n");
        real.until(|rig| rig.server.counters().bytes_out > 0 && rig.server.len() == 1);
        let told = real.rig.server.remoters().next().unwrap().tls().unwrap();
        assert_eq!(told.peer_identity().unwrap().dns_names, ["client.test"]);
        let (content, text) = real.finish(process);
        assert!(content, "{text}");
        assert_eq!(real.reason(), CloseReason::Eof);
    }
}

#[test]
fn s_client_is_told_that_nothing_is_in_common() {
    let mut real = Real::new(|authority, mut tls| {
        tls.identities = vec![authority.issue(&server()).identity().for_names(["server.test"])];
        tls.with_versions([TlsVersion::Tls13]).with_alpn(["echo"])
    });
    let addr = real.rig.addr;
    let cases: [(&[&str], Failure, &str); 4] = [
        (&["-servername", "server.test", "-tls1_2"], Failure::NoCommonVersion, "protocol version"),
        (
            &["-servername", "server.test", "-alpn", "other"],
            Failure::NoCommonAlpn,
            "no application protocol",
        ),
        (&["-servername", "third.test"], Failure::UnknownName, "unrecognized name"),
        (
            &["-servername", "server.test", "-groups", "P-521"],
            Failure::NoCommonGroup,
            "handshake failure",
        ),
    ];
    for (args, expected, told) in cases {
        let process = real.s_client(addr, args);
        assert_eq!(real.reason(), CloseReason::Handshake(expected), "{args:?}");
        let (content, text) = real.finish(process);
        assert!(!content && text.contains(told), "{args:?}: {text}");
    }
    let mut real = Real::new(|_, mut tls| {
        tls.common.suites = Some(vec![CipherSuite::TLS13_AES_128_GCM_SHA256]);
        tls
    });
    let addr = real.rig.addr;
    let process =
        real.s_client(addr, &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"]);
    assert_eq!(real.reason(), CloseReason::Handshake(Failure::NoCommonSuite));
    assert!(real.finish(process).1.contains("handshake failure"));
}

#[test]
fn s_client_refuses_a_self_signed_server_and_a_wrong_name() {
    let mut real = Real::new(|_, mut tls| {
        tls.identities = vec![self_signed(&server()).identity()];
        tls
    });
    let addr = real.rig.addr;
    let process = real.s_client(addr, &[]);
    assert!(matches!(real.reason(), CloseReason::Handshake(Failure::PeerAlert(_))));
    assert!(!real.finish(process).0);
    let mut real = Real::new(|_, tls| tls);
    let addr = real.rig.addr;
    let process = real.s_client(addr, &["-verify_hostname", "other.test"]);
    assert!(matches!(real.reason(), CloseReason::Handshake(Failure::PeerAlert(_))));
    assert!(!real.finish(process).0);
}

#[test]
fn s_client_cannot_renegotiate() {
    let mut real = Real::new(|_, tls| tls);
    let addr = real.rig.addr;
    let mut process = real.s_client(addr, &["-tls1_2"]);
    process.say("first\n");
    real.until(|rig| rig.server.counters().bytes_out >= 6);
    process.say("R\n");
    // It is told no by a warning, or the connection ends; it never succeeds.
    let (_, text) = real.finish(process);
    assert!(text.contains("no renegotiation") || text.contains("alert"), "{text}");
    let reason = real.reason();
    assert!(
        matches!(
            reason,
            CloseReason::Tls(TlsFailure::PeerAlert(_) | TlsFailure::Misbehaved)
                | CloseReason::Eof
                | CloseReason::TlsTruncated
        ),
        "{reason}"
    );
}

#[test]
fn s_client_starts_tls_on_a_plain_connection() {
    let mut real = Real::new(|_, tls| tls);
    let plain = real.rig.plain;
    let mut process = real
        .s_client(plain, &["-starttls", "smtp", "-name", "test", "-verify_hostname", "localhost"]);
    let tls = real.rig.tls.clone();
    let mut greeted = false;
    for _ in 0..ROUNDS {
        for event in real.rig.tick() {
            match event {
                Event::Accepted(id) => {
                    greeted = true;
                    real.rig.server.tx(id, b"220 here\r\n").unwrap();
                }
                Event::Received(id) => {
                    let remoter = real.rig.server.remoter_mut(id).unwrap();
                    let line = remoter.take();
                    if line.starts_with(b"EHLO") {
                        remoter.tx(b"250-here\r\n250 STARTTLS\r\n").unwrap();
                    } else if line.starts_with(b"STARTTLS") {
                        remoter.tx(b"220 go ahead\r\n").unwrap();
                        remoter.upgrade_tls(&tls, Unread::MustBeEmpty).unwrap();
                    } else {
                        remoter.tx(&line).unwrap();
                    }
                }
                Event::Upgraded(_) => process.say("NOOP\n"),
                _ => {}
            }
        }
        if real.rig.server.counters().upgraded == 1 && real.rig.server.counters().bytes_out > 51 {
            break;
        }
    }
    assert!(greeted);
    let (content, text) = real.finish(process);
    assert!(content && text.contains("Verify return code: 0 (ok)"), "{text}");
    assert!(text.contains("NOOP"), "{text}");
}

#[test]
fn curl_gets_a_page_over_tls_and_learns_that_plain_http_is_none() {
    let mut real = Real::new(|_, tls| tls);
    let addr = real.rig.addr;
    let url = format!("https://localhost:{}/", addr.port());
    let resolve = format!("localhost:{}:127.0.0.1", addr.port());
    let ca = real.path("ca.pem");
    let process = real
        .spawn("curl", &["-sS", "--cacert", &ca, "--resolve", &resolve, "--max-time", "30", &url]);
    let mut answered = false;
    for _ in 0..ROUNDS {
        for event in real.rig.tick() {
            if let Event::Received(id) = event {
                let remoter = real.rig.server.remoter_mut(id).unwrap();
                assert!(remoter.take().starts_with(b"GET / HTTP/1.1\r\n"));
                remoter.tx(b"HTTP/1.0 200 OK\r\n\r\nthe page").unwrap();
                remoter.close();
                answered = true;
            }
        }
        if answered {
            break;
        }
    }
    let (content, text) = real.finish(process);
    assert!(content && text == "the page", "{text}");
    real.reason();
    let process = real.spawn("curl", &["-sS", "--max-time", "30", &format!("http://{addr}/")]);
    let (content, _) = real.finish(process);
    assert!(!content, "an alert is no page");
    assert_eq!(real.reason(), CloseReason::Handshake(Failure::PlainHttp));
    let process =
        real.spawn("curl", &["-sS", "--max-time", "30", &url.replace("localhost", "127.0.0.1")]);
    let (content, text) = real.finish(process);
    assert!(!content && text.contains("certificate"), "it does not know the authority: {text}");
    assert!(matches!(real.reason(), CloseReason::Handshake(Failure::PeerAlert(_))));
}
