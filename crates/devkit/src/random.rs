use std::fmt::Write;

/// Random lower-case hex digits: good in passwords, in names and in addresses.
pub(crate) fn hex<const BYTES: usize>() -> String {
    to_hex(&bytes::<BYTES>())
}

pub(crate) fn bytes<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).expect("the system's source of randomness does not run dry");
    bytes
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}
