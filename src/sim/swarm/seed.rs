//! Seeds as people write them.

/// A seed from text: a number (decimal, or hexadecimal after `0x`), or a git hash, of which the first 16 digits count. So a
/// build that is checked with the hash of its commit is checked with a new seed each time, and the log names it anyway.
///
/// Digits alone are a number if they fit into 64 bits.
///
/// ```
/// use tymist::sim::swarm::parse_seed;
///
/// assert_eq!(parse_seed("17"), Some(17));
/// assert_eq!(parse_seed("0x11"), Some(17));
/// assert_eq!(parse_seed("d5a6ca6"), Some(0xd5a6ca6));
/// assert_eq!(parse_seed("d5a6ca6f00d5a6ca6f00d5a6ca6f00d5a6ca6f00"), Some(0xd5a6_ca6f_00d5_a6ca));
/// assert_eq!(parse_seed("lucky"), None);
/// ```
#[must_use]
pub fn parse_seed(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let is_hash = (4..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    if !is_hash {
        return None;
    }
    u64::from_str_radix(text.get(..16).unwrap_or(text), 16).ok()
}
