//! Answers that the client receives incompletely.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    web::Bytes,
};

use super::to_http_response;
use crate::reply::HttpReply;

/// Time during which a stalled answer sends nothing, if the fault has no `millis`.
const DEFAULT_STALL: Duration = Duration::from_secs(600);

/// Returns a response that closes the connection before the first byte.
pub(super) fn reset() -> HttpResponse {
    cut_off(HttpReply::empty(200), 0, 1, None)
}

/// Returns a response that announces the whole length, sends half of the body, and closes the
/// connection.
pub(super) fn truncated(reply: HttpReply) -> HttpResponse {
    let (sent, length) = half_length(&reply);
    cut_off(reply, sent, length, None)
}

/// Returns a response that sends half of the body, then nothing for `millis` milliseconds, and then
/// closes the connection.
pub(super) fn stalled(reply: HttpReply, millis: Option<u64>) -> HttpResponse {
    let (sent, length) = half_length(&reply);
    let silence = millis.map_or(DEFAULT_STALL, Duration::from_millis);
    cut_off(reply, sent, length, Some(silence))
}

fn half_length(reply: &HttpReply) -> (usize, usize) {
    let length = reply.body.len().max(1);
    (length / 2, length)
}

fn cut_off(
    mut reply: HttpReply,
    sent: usize,
    length: usize,
    silence: Option<Duration>,
) -> HttpResponse {
    let body = std::mem::take(&mut reply.body).into_bytes();
    let part = body.get(..sent).unwrap_or_default().to_vec();
    let broken = BrokenBody {
        part: (!part.is_empty()).then(|| part.into()),
        length: u64::try_from(length).unwrap_or(u64::MAX),
        silence: silence.map(|time| Box::pin(tokio::time::sleep(time))),
        flushed: sent == 0,
    };
    to_http_response(reply)
        .set_body(broken)
        .map_into_boxed_body()
}

/// A body that ends before its announced length is reached.
struct BrokenBody {
    part: Option<Bytes>,
    length: u64,
    silence: Option<Pin<Box<tokio::time::Sleep>>>,
    flushed: bool,
}

impl MessageBody for BrokenBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        if let Some(part) = self.part.take() {
            return Poll::Ready(Some(Ok(part)));
        }
        if let Some(silence) = &mut self.silence {
            if silence.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.silence = None;
        }
        if !self.flushed {
            // The server sends its buffer only when the body is pending. If the body returned the
            // error immediately, the server would discard the first half without sending it.
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("response cut off by a fault"))))
    }
}
