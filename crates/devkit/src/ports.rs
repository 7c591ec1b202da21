use std::net::{Ipv4Addr, TcpListener};

use crate::PostgresStartError;
use crate::error::IoResultExt;

/// Returns a port that was free a moment ago. The server notices if it is taken by now.
pub(crate) fn free() -> Result<u16, PostgresStartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .while_doing("listen on", "127.0.0.1")
}
