use std::net::{Ipv4Addr, TcpListener};

use crate::PostgresStartError;
use crate::error::IoResultExt;

/// Returns a port that is free now. If another process takes it before the server does, the
/// server's start fails.
pub(crate) fn free() -> Result<u16, PostgresStartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .while_doing("listen on", "127.0.0.1")
}
