//! HTTP server that sends scripted replies, one per connection.

use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use whoop_client::{WhoopClient, WhoopConfig};
use whoop_core::{Clock, FixedClock};

use crate::log::listen;

pub(crate) const CLIENT_SECRET: &str = "client-secret-4711";
pub(crate) const ACCESS_TOKEN: &str = "access-token-4711";

pub(crate) struct Scripted {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Reaction of the server to one connection.
pub(crate) enum Reply {
    Send(Vec<u8>),
    /// The server reads the request and never answers it.
    Silence,
}

pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    reply_bytes(status, headers, body.as_bytes())
}

pub(crate) fn reply_bytes(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut bytes = Vec::new();
    write!(
        bytes,
        "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    )
    .unwrap();
    for (name, value) in headers {
        write!(bytes, "{name}: {value}\r\n").unwrap();
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    Reply::Send(bytes)
}

pub(crate) fn json(body: &str) -> Reply {
    reply(200, &[("content-type", "application/json")], body)
}

/// Returns a valid JSON reply that ends in the middle of the body.
pub(crate) fn cut_short(body: &str) -> Reply {
    let Reply::Send(mut bytes) = json(body) else {
        unreachable!("a JSON reply is bytes")
    };
    bytes.truncate(bytes.len() - body.len() / 2);
    Reply::Send(bytes)
}

impl Scripted {
    pub(crate) async fn with_replies(replies: impl IntoIterator<Item = Reply>) -> Self {
        listen();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut replies: VecDeque<Reply> = replies.into_iter().collect();
        let received = Arc::clone(&requests);
        tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Some(reply) = replies.pop_front() {
                let (mut stream, _) = listener.accept().await.unwrap();
                let request = read_request(&mut stream).await;
                received.lock().unwrap().push(request);
                match reply {
                    // An error is ignored, because the client may close the connection before the
                    // last byte.
                    Reply::Send(bytes) => drop(stream.write_all(&bytes).await),
                    Reply::Silence => silent.push(stream),
                }
            }
            // The listener remains open, so that an unexpected additional request is not refused.
            // The tests count the requests.
            std::future::pending::<()>().await;
        });
        Self { address, requests }
    }

    /// Returns all received requests with their headers and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn whoop(&self) -> WhoopClient {
        let now = "2026-03-20T12:00:00Z".parse().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(FixedClock::at(now));
        WhoopClient::new(self.config(), clock).unwrap()
    }

    pub(crate) fn config(&self) -> WhoopConfig {
        WhoopConfig {
            api_url: format!("{}/developer", self.address).parse().unwrap(),
            oauth_url: format!("{}/oauth/oauth2", self.address).parse().unwrap(),
            client_id: "the-app".to_owned(),
            client_secret: CLIENT_SECRET.into(),
            redirect_url: "https://app.example/callback".parse().unwrap(),
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= content_length(head)
        {
            return text;
        }
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the request ended early: {text}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
}

fn content_length(head: &str) -> usize {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, value)| value.trim().parse().unwrap())
}
