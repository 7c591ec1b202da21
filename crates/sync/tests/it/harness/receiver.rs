//! Receiver of WHOOP's webhooks. It implements only the part of HTTP that the webhooks need.

use std::sync::{Arc, OnceLock};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use whoop_sync::{Engine, WebhookEnvelope, inbox::WebhookReceiveError};

/// A webhook receiver whose address is known before the engine exists. Until then, it answers with
/// 503.
pub(crate) struct Receiver {
    pub(crate) url: String,
    engine: Arc<OnceLock<Engine>>,
    serving: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/webhooks/whoop", listener.local_addr().unwrap());
        let engine: Arc<OnceLock<Engine>> = Arc::default();
        let to = Arc::clone(&engine);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&to)));
            }
        });
        Self {
            url,
            engine,
            serving,
        }
    }

    pub(crate) fn hand_to(&self, engine: &Engine) {
        assert!(self.engine.set(engine.clone()).is_ok());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(stream: TcpStream, engine: Arc<OnceLock<Engine>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut signature, mut timestamp) = (0, None, None);
        let mut is_first = true;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if std::mem::take(&mut is_first) {
                continue;
            }
            let (name, value) = line.split_once(':').unwrap();
            let value = value.trim().to_owned();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().unwrap(),
                "x-whoop-signature" => signature = Some(value),
                "x-whoop-signature-timestamp" => timestamp = Some(value),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let envelope = WebhookEnvelope {
            signature: signature.as_deref(),
            timestamp: timestamp.as_deref(),
            body: &body,
        };
        let status = match engine.get() {
            None => "503 Service Unavailable",
            Some(engine) => match engine.inbox.receive_webhook(envelope).await {
                Ok(_) => "204 No Content",
                Err(WebhookReceiveError::Refused(refused)) => panic!("{refused}"),
                Err(WebhookReceiveError::Storage(_)) => "503 Service Unavailable",
            },
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
