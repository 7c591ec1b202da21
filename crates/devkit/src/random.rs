//! Made-up names and secrets.

use std::fmt::Write;

/// Random lower-case hex digits: good in passwords, in names and in addresses.
pub fn hex<const BYTES: usize>() -> String {
    to_hex(&bytes::<BYTES>())
}

/// # Panics
///
/// If the system has no randomness left, which does not happen.
pub fn bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).expect("the system's source of randomness does not run dry");
    bytes
}

/// Two lower-case digits a byte.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
