//! Limit on the time during which a caller does not read the bytes that the API has sent.
//!
//! A caller who requests an export or a page of records and does not read the response would
//! otherwise occupy the connection, and the memory of the response, without a limit.

use std::any::Any;

use actix_web::rt::net::TcpStream;

/// Maximum time in milliseconds for which bytes may be sent without being acknowledged, or remain
/// unsent because the caller's window is full.
///
/// This limit also ends an event stream after its reader has disconnected without closing the
/// connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNREAD_MS: u32 = 75_000;

/// Makes the kernel close the connection if its caller reads nothing for 75 seconds. Has no effect
/// on systems that do not support this.
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
        tracing::debug!(%error, "limit for unread bytes could not be set");
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
