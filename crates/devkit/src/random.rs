//! Random names and secrets.

use std::fmt::Write;

/// Returns `BYTES` random bytes as lower-case hex digits, which are valid in passwords, names and
/// addresses.
pub fn hex<const BYTES: usize>() -> String {
    to_hex(&bytes::<BYTES>())
}

/// Returns `BYTES` random bytes from the operating system, suitable for secrets.
///
/// # Panics
///
/// Panics if the system's source of random numbers fails, which does not happen in practice.
pub fn bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).expect("the system's random number generator works");
    bytes
}

/// Returns the bytes as text, with two lower-case hex digits per byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
