//! Limit on the time that a caller may leave sent bytes unread.
//!
//! A caller who opens an export or a page of records and reads nothing would otherwise keep
//! the connection, and what is written to it, for as long as they like.

use std::any::Any;

use actix_web::rt::net::TcpStream;

/// Maximum time that sent bytes may stay unacknowledged, or unsent because the caller's
/// window is full, in milliseconds. An event stream whose reader is gone ends by it, too.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNREAD_MS: u32 = 75_000;

/// Has the kernel close the connection after that time, where it can.
pub(crate) fn limit_unread_time(connection: &dyn Any) {
    let Some(connection) = connection.downcast_ref::<TcpStream>() else {
        return;
    };
    set(connection);
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn set(connection: &TcpStream) {
    use rustix::net::sockopt::set_tcp_user_timeout;

    if let Err(error) = set_tcp_user_timeout(connection, MAX_UNREAD_MS) {
        tracing::debug!(%error, "the time for unread bytes could not be limited");
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set(_: &TcpStream) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt::tcp_user_timeout;

    use super::*;

    #[tokio::test]
    async fn a_connection_is_closed_by_the_kernel_if_its_reader_reads_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_caller, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let (connection, _) = accepted.unwrap();

        limit_unread_time(&connection);

        assert_eq!(tcp_user_timeout(&connection), Ok(MAX_UNREAD_MS));
    }
}
