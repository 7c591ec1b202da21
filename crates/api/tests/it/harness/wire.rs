//! Requests that no client library would send, written byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Client, DEADLINE, until};

impl Client {
    /// Sends these bytes, and returns everything that the API sends until the connection is closed.
    ///
    /// The result is empty if the API closes the connection without a response.
    pub(crate) async fn send_raw(&self, request: &[u8]) -> String {
        let exchange = async {
            let mut connection = TcpStream::connect(self.address).await.unwrap();
            // The API may answer and close the connection before it has read everything.
            let _ = connection.write_all(request).await;
            let mut answer = Vec::new();
            let _ = connection.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        timeout(DEADLINE, exchange).await.unwrap()
    }

    /// Sends a GET request without normalizing its path. Returns the status and the whole text of
    /// the response.
    pub(crate) async fn get_raw(&self, target: &str, token: &str) -> (u16, String) {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\
             Connection: close\r\n\r\n",
            self.address
        );
        let answer = self.send_raw(request.as_bytes()).await;
        (status_of(&answer), answer)
    }
}

/// Returns the status of a response, or 0 if there is no response.
pub(crate) fn status_of(answer: &str) -> u16 {
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    status.unwrap_or(0)
}

impl Client {
    /// Sends the beginning of a request, and closes the sending direction of the connection.
    pub(crate) async fn send_and_hang_up(&self, half: &[u8]) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(half).await.unwrap();
        connection.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(DEADLINE, connection.read_to_end(&mut rest)).await;
    }
}

impl Client {
    /// Sends a request, waits until the condition `is_so` is true, and closes the connection
    /// without reading the response.
    pub(crate) async fn send_and_leave<F: Future<Output = bool>>(
        &self,
        request: &[u8],
        is_so: impl FnMut() -> F,
    ) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request).await.unwrap();
        until("the request is in progress", is_so).await;
        drop(connection);
    }
}
