//! A host as its program sees it.

use core::fmt;
use std::net::IpAddr;

use crate::net::Net;
use crate::sim::fault::{ChaosNet, Faults, Hooks};
use crate::sim::machine::Shared;
use crate::sim::net::SimNet;
use crate::sim::topology::HostId;
use crate::sim::trace::What;
use crate::tyme::{Tyme, Tymth};

/// One host's side of a world: its network, its clock, its addresses. Cheap to clone; stays valid while the world lives.
#[derive(Clone)]
pub struct Host {
    shared: Shared,
    faults: Faults,
    id: HostId,
}

impl Host {
    pub(super) fn new(shared: Shared, faults: Faults, id: HostId) -> Self {
        assert!(id.index() < shared.lock().hosts.len(), "a host of another world");
        Host { shared, faults, id }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> HostId {
        self.id
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.shared.lock().host(self.id).spec.name.clone()
    }

    /// Its addresses; the first one of a family is the one that it connects from.
    #[must_use]
    pub fn addrs(&self) -> Vec<IpAddr> {
        self.shared.lock().host(self.id).addrs.clone()
    }

    /// The addresses behind a name; none if nobody has it.
    #[must_use]
    pub fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.shared.lock().resolve(name)
    }

    /// Its network, to give to an engine. Each call makes one of its own, with its own poller; what all share are the host's ports.
    ///
    /// Rules that go by the number of a connection count per network.
    #[must_use]
    pub fn net(&self) -> Box<dyn Net> {
        let inner = Box::new(SimNet::new(self.shared.clone(), self.id));
        let (id, tymth) = (self.id, self.tymth());
        let alarm_to = self.shared.downgrade();
        let observe_to = self.shared.downgrade();
        let hooks = Hooks {
            alarm: Box::new(move |tyme| {
                if let Some(shared) = Shared::upgrade(&alarm_to) {
                    shared.lock().nudge(id, tymth.due(tyme));
                }
            }),
            observe: Box::new(move |rule, op, effect, again| {
                if let Some(shared) = Shared::upgrade(&observe_to) {
                    let mut core = shared.lock();
                    core.stats.faults += u64::from(!again);
                    if !core.recorder.on() {
                        return;
                    }
                    let still = if again { "still: " } else { "" };
                    let (rule, effect) = (rule.to_string(), format!("{still}{effect}"));
                    core.record(&What::Fault { host: id, rule, op, effect });
                }
            }),
        };
        let name = self.name();
        Box::new(ChaosNet::hooked(inner, self.faults.clone(), &name, Some(hooks)))
    }

    /// Its clock, skew and drift included: what an engine on it is wound to.
    #[must_use]
    pub fn tymth(&self) -> Tymth {
        self.shared.lock().host(self.id).tymth.clone()
    }

    /// The tyme on its clock.
    #[must_use]
    pub fn tyme(&self) -> Tyme {
        self.tymth().tyme()
    }

    /// Writes a remark into the trace: a time-out, a state reached, anything worth seeing on the timeline.
    pub fn note(&self, text: impl Into<String>) {
        let mut core = self.shared.lock();
        if core.recorder.on() {
            core.record(&What::Note { host: self.id, text: text.into() });
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Host").field(&self.id).field(&self.name()).finish()
    }
}
