//! What goes wrong on a thread, on its way to who started it.

use core::fmt;
use std::error::Error;
use std::io;
use std::sync::Arc;

use crate::error::{Cause, ListenError, panic_words};

/// What a service, or the making of one, fails with.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why an engine could not be started, or has ended. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The manager runs already.
    Running,
    /// The system gave no thread, or no descriptor to wake it by.
    Thread(Arc<io::Error>),
    /// This engine could not listen.
    Listen {
        /// Its number.
        engine: usize,
        /// Why.
        source: Arc<ListenError>,
    },
    /// The service of this engine could not be made.
    Build {
        /// Its number.
        engine: usize,
        /// What its making says.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The service of this engine has panicked. Its connections are gone.
    Panicked {
        /// Its number.
        engine: usize,
        /// What the panic says.
        message: Arc<str>,
    },
    /// The poller of this engine has failed.
    Net {
        /// Its number.
        engine: usize,
        /// Why.
        error: Cause,
    },
    /// A service has [given up](super::Stopper::fail).
    Service(Arc<dyn Error + Send + Sync>),
}

impl Failure {
    /// Which engine, if it is about one.
    #[must_use]
    pub fn engine(&self) -> Option<usize> {
        match self {
            Failure::Listen { engine, .. }
            | Failure::Build { engine, .. }
            | Failure::Panicked { engine, .. }
            | Failure::Net { engine, .. } => Some(*engine),
            Failure::Running | Failure::Thread(_) | Failure::Service(_) => None,
        }
    }

    /// What a panic says.
    pub(super) fn panicked(engine: usize, payload: &(dyn core::any::Any + Send)) -> Self {
        Failure::Panicked { engine, message: panic_words(payload).into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Running => f.write_str("it runs already; stop it before it is started again"),
            Failure::Thread(error) => write!(f, "no thread, or no descriptor for one: {error}"),
            Failure::Listen { engine, source } => write!(f, "engine {engine}: {source}"),
            Failure::Build { engine, source } => {
                write!(f, "engine {engine}: its service could not be made: {source}")
            }
            Failure::Panicked { engine, message } => {
                write!(f, "engine {engine} panicked: {message}")
            }
            Failure::Net { engine, error } => {
                write!(f, "engine {engine}: the poller failed: {error}")
            }
            Failure::Service(source) => source.fmt(f),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Failure::Thread(source) => Some(&**source),
            Failure::Listen { source, .. } => Some(&**source),
            Failure::Build { source, .. } | Failure::Service(source) => Some(&**source),
            Failure::Net { error, .. } => Some(error),
            Failure::Running | Failure::Panicked { .. } => None,
        }
    }
}
