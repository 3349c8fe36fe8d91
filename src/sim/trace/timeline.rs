//! x
use std::io::{self, Write};
use super::Trace;
use crate::tyme::Tyme;
pub(super) fn write(_t: &Trace, _o: impl Write, _f: Tyme, _l: usize) -> io::Result<()> { Ok(()) }
