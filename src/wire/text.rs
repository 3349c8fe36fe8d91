//! hio's textual format.

use std::io::{self, Write};

use super::{Direction, Record};

/// Writes a record as hio does: `\nRx 127.0.0.1:5000:\n`, the bytes as they are, `\n`. A redacted record has `(12 bytes)` in their place.
///
/// # Errors
/// What `out` says.
pub fn write_text(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    let way = match record.direction {
        Direction::Rx => "Rx",
        Direction::Tx => "Tx",
    };
    write!(out, "\n{way} {}:\n", record.peer)?;
    if record.data.len() == record.len {
        out.write_all(&record.data)?;
    } else {
        write!(out, "({} bytes)", record.len)?;
    }
    out.write_all(b"\n")
}
