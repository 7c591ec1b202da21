//! Calls to WHOOP's API: waits for the rate-limit gate and a permit, retries failed attempts, and
//! interprets the status of the reply.

use std::sync::atomic::Ordering;

use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue},
};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span, debug, debug_span, field};
use url::Url;

use crate::{WhoopClient, WhoopError, rate_limit::QuotaHeaders, request_count::outcome_label};

/// Maximum size of a reply in bytes, after decompression. A page of 25 nights has about 30 KB, and
/// no reply of WHOOP is much larger.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// Call to the API, which can be sent several times.
pub(crate) struct ApiCall<'a> {
    method: Method,
    /// Path for logs and errors. They do not contain the URL, because the URL may contain a page
    /// token.
    endpoint: &'static str,
    url: Url,
    access_token: &'a SecretString,
}

impl<'a> ApiCall<'a> {
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

impl ApiCall<'_> {
    /// Sends the call and parses the JSON of the reply. Returns `None` if the status is 404.
    pub(crate) async fn fetch_json<T: DeserializeOwned>(
        &self,
        client: &WhoopClient,
    ) -> Result<Option<T>, WhoopError> {
        let endpoint = self.endpoint;
        self.send_with_retries(client, |body| {
            serde_json::from_slice(body).map_err(|source| WhoopError::Decode {
                what: endpoint,
                source,
            })
        })
        .await
    }

    /// Sends the call until WHOOP answers it or a limit of the retry policy is reached.
    ///
    /// `read` parses the body of a successful reply. Returns `None` if the status is 404.
    pub(crate) async fn send_with_retries<T>(
        &self,
        client: &WhoopClient,
        read: impl Fn(&[u8]) -> Result<T, WhoopError>,
    ) -> Result<Option<T>, WhoopError> {
        let mut remaining_wait = client.retry_policy.max_wait;
        let mut time_left = client.retry_policy.call_timeout;
        let mut pauses = client.retry_policy.backoff();
        loop {
            client
                .shared
                .api_gate
                .wait_until_open(&mut remaining_wait)
                .await?;
            if let Some(quota_gate) = &client.quota_gate {
                quota_gate.take_permit(&mut remaining_wait).await?;
            }

            let started = Instant::now();
            let answer = timeout(time_left, self.send_once(client, &read)).await;
            let answer = answer.unwrap_or(Err(WhoopError::TimedOut));
            let outcome = match &answer {
                Ok(None) => "not_found",
                other => outcome_label(other),
            };
            client.shared.request_counters.count(self.endpoint, outcome);
            if let Some(quota_gate) = &client.quota_gate {
                let failed = answer.as_ref().is_err_and(WhoopError::is_upstream_failure);
                quota_gate.on_call_outcome(!failed).await;
            }
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error @ WhoopError::TimedOut) => return Err(error),
                Err(error) => error,
            };
            time_left = time_left.saturating_sub(started.elapsed());

            // The rate-limit gate is closed now. The next iteration waits for it, or returns the
            // error if the wait would be too long.
            if matches!(error, WhoopError::RateLimited { .. }) {
                continue;
            }
            if !error.is_retryable() {
                return Err(error);
            }
            match pauses.next().filter(|pause| *pause < time_left) {
                Some(pause) => {
                    debug!(endpoint = self.endpoint, %error, "retrying call to WHOOP");
                    sleep(pause).await;
                    time_left -= pause;
                }
                None => return Err(error),
            }
        }
    }

    async fn send_once<T>(
        &self,
        client: &WhoopClient,
        read: &impl Fn(&[u8]) -> Result<T, WhoopError>,
    ) -> Result<Option<T>, WhoopError> {
        let request = client
            .shared
            .http
            .request(self.method.clone(), self.url.clone())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, bearer_header(self.access_token)?);
        let exchange = async {
            client.requests_sent.fetch_add(1, Ordering::Relaxed);
            let response = send_traced(request).await?;
            let quota = read_quota(client, response.headers()).await;
            if let Some(wait) = quota.exhausted_for() {
                client.shared.api_gate.close(wait, quota.is_day_limit(wait));
            }
            match response.status() {
                StatusCode::UNAUTHORIZED => Err(WhoopError::Unauthorized),
                StatusCode::FORBIDDEN => Err(WhoopError::Forbidden),
                StatusCode::NOT_FOUND => Ok(None),
                StatusCode::TOO_MANY_REQUESTS => {
                    let retry_after = quota.retry_delay();
                    let day = quota.is_day_limit(retry_after);
                    client.shared.api_gate.close(retry_after, day);
                    if let Some(quota_gate) = &client.quota_gate {
                        quota_gate.on_rate_limited(retry_after, day).await;
                    }
                    Err(WhoopError::RateLimited { retry_after, day })
                }
                status if status.is_success() => read(&read_body(response).await?).map(Some),
                status => Err(status_error(status)),
            }
        };
        exchange.instrument(call_span(self.endpoint)).await
    }
}

/// Sends a request once, and records the status and the duration in the current tracing span.
pub(crate) async fn send_traced(request: RequestBuilder) -> Result<Response, WhoopError> {
    let started = Instant::now();
    let answer = request.send().await.map_err(WhoopError::from_reqwest);
    let span = Span::current();
    span.record("millis", started.elapsed().as_millis());
    match &answer {
        Ok(response) => {
            span.record("status", response.status().as_u16());
            debug!("response received from WHOOP");
        }
        Err(error) => debug!(
            error = error as &dyn std::error::Error,
            "request to WHOOP failed"
        ),
    }
    answer
}

/// Reads the quota headers of a reply, passes them to the client's quota gate, and returns them.
pub(crate) async fn read_quota(client: &WhoopClient, headers: &HeaderMap) -> QuotaHeaders {
    let now = client.shared.clock.now();
    let quota = QuotaHeaders::from_headers(headers, now);
    if let (Some(gate), Some(rate_limit)) = (&client.quota_gate, quota.rate_limit(now)) {
        gate.on_response_headers(&rate_limit).await;
    }
    quota
}

/// Creates a tracing span with fields for the endpoint, the status and the duration. The span has
/// no field for the URL, because the query may contain a page token.
pub(crate) fn call_span(endpoint: &'static str) -> Span {
    debug_span!(
        "whoop",
        endpoint,
        status = field::Empty,
        millis = field::Empty
    )
}

/// Returns the error for a status that is not handled separately: a server error for 5xx, otherwise
/// an unexpected status.
pub(crate) fn status_error(status: StatusCode) -> WhoopError {
    let status = status.as_u16();
    if status >= 500 {
        WhoopError::Server { status }
    } else {
        WhoopError::Unexpected { status }
    }
}

/// Returns the whole decompressed body of a reply, or an error if the body is larger than
/// [`MAX_BODY_BYTES`].
pub(crate) async fn read_body(mut response: Response) -> Result<Vec<u8>, WhoopError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(WhoopError::from_reqwest)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(WhoopError::TooLarge {
                limit: MAX_BODY_BYTES,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn bearer_header(token: &SecretString) -> Result<HeaderValue, WhoopError> {
    // A token with characters that a header cannot contain was not issued by WHOOP.
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| WhoopError::Unauthorized)?;
    value.set_sensitive(true);
    Ok(value)
}
