//! The bounded byte queues of a connection: what came in, what is to go out.
//!
//! Neither holds memory while empty. The bounds are kept by the connection, which knows its limits; here it is
//! only counted.

mod pool;
mod rx;
mod tx;

pub(crate) use pool::Pool;
pub(crate) use rx::RxQueue;
pub(crate) use tx::TxQueue;
