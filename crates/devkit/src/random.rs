//! Random names and secrets.

use std::fmt::Write;

/// Returns random lower-case hex digits, which are valid in passwords, names and addresses.
pub fn hex<const BYTES: usize>() -> String {
    to_hex(&bytes::<BYTES>())
}

/// Returns random bytes.
///
/// # Panics
///
/// If the system's source of randomness fails, which does not happen in practice.
pub fn bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).expect("the system's random number generator works");
    bytes
}

/// Returns two lower-case digits per byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
