//! TLS over the simulated network, repeatable bit for bit; in one world of four, where the seeded provider is compiled in.

#[cfg(feature = "tls-test-provider")]
pub(crate) use seeded::Tls;

#[cfg(not(feature = "tls-test-provider"))]
pub(crate) use none::Tls;

#[cfg(feature = "tls-test-provider")]
mod seeded {
    use std::sync::Arc;
    use std::time::Duration;

    use tymist::Layer;
    use tymist::net::tls::test_provider::null;
    use tymist::net::tls::{
        ClientTls, ClientTlsConfig, Identity, Material, ServerTls, ServerTlsConfig, ServerTrust,
        TlsTime,
    };
    use tymist::sim::swarm::Stage;

    /// 2030-01-01, in seconds since the UNIX epoch.
    const EPOCH: u64 = 1_893_456_000;

    pub(crate) struct Tls {
        server: ServerTls,
        client: ClientTls,
    }

    impl Tls {
        pub(crate) fn draw(stage: &Stage<'_>) -> Option<Tls> {
            stage.plan.rng("tls").chance(0.25).then(|| Tls::new(stage))
        }

        fn new(stage: &Stage<'_>) -> Tls {
            let provider = null(stage.plan.seed);
            let time = TlsTime::simulated(stage.world.tymth(), Duration::from_secs(EPOCH));
            let identity = Identity::new(
                Material::bytes(include_str!("cert.pem")),
                Material::bytes(include_str!("key.pem")),
            );
            let server = ServerTlsConfig::new(identity).with_provider(Arc::clone(&provider));
            let client = ClientTlsConfig::new(ServerTrust::DangerousAnyone);
            let client = client.with_provider(provider).with_time(time.clone());
            Tls {
                server: ServerTls::new(server.with_time(time)).unwrap(),
                client: ClientTls::new(&client).unwrap(),
            }
        }

        pub(crate) fn layer(&self) -> Layer {
            let server = self.server.clone();
            Arc::new(move |stream| Box::new(server.accept(stream)))
        }

        pub(crate) fn dial_layer(&self) -> Layer {
            let client = self.client.clone();
            Arc::new(move |stream| Box::new(client.connect(stream, "server.test").unwrap()))
        }
    }
}

#[cfg(not(feature = "tls-test-provider"))]
mod none {
    use tymist::Layer;
    use tymist::sim::swarm::Stage;

    pub(crate) enum Tls {}

    impl Tls {
        pub(crate) fn draw(_: &Stage<'_>) -> Option<Tls> {
            None
        }

        pub(crate) fn layer(&self) -> Layer {
            match *self {}
        }

        pub(crate) fn dial_layer(&self) -> Layer {
            match *self {}
        }
    }
}
