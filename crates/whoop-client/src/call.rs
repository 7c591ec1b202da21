//! One call: the gate, the attempts, and what a reply's status means.

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span, debug, debug_span, field};
use url::Url;

use crate::{Whoop, WhoopError, made::outcome_of};

/// A page of 25 nights is some 30 KB; nothing WHOOP sends comes near this.
const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// A call to the API, ready to be sent as often as it takes.
pub(crate) struct Call<'a> {
    method: Method,
    /// For logs and errors: the URL itself may hold a page token.
    endpoint: &'static str,
    url: Url,
    access_token: &'a SecretString,
}

impl<'a> Call<'a> {
    pub(crate) fn get(endpoint: &'static str, url: Url, access_token: &'a SecretString) -> Self {
        Self {
            method: Method::GET,
            endpoint,
            url,
            access_token,
        }
    }

    pub(crate) fn delete(endpoint: &'static str, url: Url, access_token: &'a SecretString) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(endpoint, url, access_token)
        }
    }
}

impl Whoop {
    /// Sends a call whose answer is JSON; `None` is a 404.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
    ) -> Result<Option<T>, WhoopError> {
        let what = call.endpoint;
        self.send(call, |body| {
            serde_json::from_slice(body).map_err(|source| WhoopError::Decode { what, source })
        })
        .await
    }

    /// Sends a call until it is answered or the pace's patience is used up.
    pub(crate) async fn send<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(&[u8]) -> Result<T, WhoopError>,
    ) -> Result<Option<T>, WhoopError> {
        let mut patience = self.pace().longest_wait;
        let mut time_left = self.pace().call_timeout;
        let mut pauses = self.pace().pauses();
        loop {
            self.gate().pass(&mut patience).await?;
            if let Some(allowance) = self.allowance() {
                allowance.take(&mut patience).await?;
            }

            let started = Instant::now();
            let answer = timeout(time_left, self.attempt(call, &read)).await;
            let answer = answer.unwrap_or(Err(WhoopError::TimedOut));
            let outcome = match &answer {
                Ok(None) => "not_found",
                other => outcome_of(other),
            };
            self.tally().note(call.endpoint, outcome);
            if let Some(allowance) = self.allowance() {
                let failed = answer.as_ref().is_err_and(WhoopError::is_upstream_failure);
                allowance.outcome(!failed).await;
            }
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error @ WhoopError::TimedOut) => return Err(error),
                Err(error) => error,
            };
            time_left = time_left.saturating_sub(started.elapsed());

            // The gate is closed now and says whether the wait is acceptable.
            if matches!(error, WhoopError::RateLimited { .. }) {
                continue;
            }
            if !error.is_hiccup() {
                return Err(error);
            }
            match pauses.next().filter(|pause| *pause < time_left) {
                Some(pause) => {
                    debug!(endpoint = call.endpoint, %error, "trying WHOOP again");
                    sleep(pause).await;
                    time_left -= pause;
                }
                None => return Err(error),
            }
        }
    }

    async fn attempt<T>(
        &self,
        call: &Call<'_>,
        read: &impl Fn(&[u8]) -> Result<T, WhoopError>,
    ) -> Result<Option<T>, WhoopError> {
        let request = self
            .http()
            .request(call.method.clone(), call.url.clone())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer(call.access_token)?);
        let exchange = async {
            self.count_request();
            let response = self.exchange(request).await?;
            let quota = self.note_quota(response.headers()).await;
            if let Some(wait) = quota.used_up() {
                self.gate().close(wait, quota.is_the_days(wait));
            }
            match response.status() {
                StatusCode::UNAUTHORIZED => Err(WhoopError::Unauthorized),
                StatusCode::FORBIDDEN => Err(WhoopError::Forbidden),
                StatusCode::NOT_FOUND => Ok(None),
                StatusCode::TOO_MANY_REQUESTS => {
                    let retry_after = quota.after_refusal();
                    let day = quota.is_the_days(retry_after);
                    self.gate().close(retry_after, day);
                    if let Some(allowance) = self.allowance() {
                        allowance.refused(retry_after, day).await;
                    }
                    Err(WhoopError::RateLimited { retry_after, day })
                }
                status if status.is_success() => read(&body(response).await?).map(Some),
                status => Err(failure(status)),
            }
        };
        exchange.instrument(span(call.endpoint)).await
    }

    /// Sends a request once and notes how that went in the current span.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Response, WhoopError> {
        let started = Instant::now();
        let answer = request.send().await.map_err(WhoopError::transport);
        let span = Span::current();
        span.record("millis", started.elapsed().as_millis());
        match &answer {
            Ok(response) => {
                span.record("status", response.status().as_u16());
                debug!("WHOOP answered");
            }
            Err(error) => debug!(
                error = error as &dyn std::error::Error,
                "WHOOP did not answer"
            ),
        }
        answer
    }
}

/// Endpoint, status and time; never the URL, whose query may hold a token.
pub(crate) fn span(endpoint: &'static str) -> Span {
    debug_span!(
        "whoop",
        endpoint,
        status = field::Empty,
        millis = field::Empty
    )
}

/// What a status means that no caller has a meaning of its own for.
pub(crate) fn failure(status: StatusCode) -> WhoopError {
    let status = status.as_u16();
    if status >= 500 {
        WhoopError::Server { status }
    } else {
        WhoopError::Unexpected { status }
    }
}

/// The whole body, decompressed, or an error once it is too large.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, WhoopError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(WhoopError::transport)? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return Err(WhoopError::TooLarge {
                limit: LARGEST_BODY,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn bearer(token: &SecretString) -> Result<HeaderValue, WhoopError> {
    // What cannot be written into a header was never a token of WHOOP's.
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| WhoopError::Unauthorized)?;
    value.set_sensitive(true);
    Ok(value)
}
