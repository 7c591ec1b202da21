//! Replies, independent of the HTTP library.

use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpReply {
    pub(crate) status: u16,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

impl HttpReply {
    pub(crate) fn json(body: String) -> Self {
        Self {
            status: 200,
            content_type: Some("application/json"),
            location: None,
            body,
        }
    }

    pub(crate) fn html(status: u16, body: String) -> Self {
        Self {
            status,
            content_type: Some("text/html; charset=utf-8"),
            location: None,
            body,
        }
    }

    pub(crate) fn redirect(location: String) -> Self {
        Self {
            location: Some(location),
            ..Self::empty(302)
        }
    }

    /// Creates a reply without a body. For example, WHOOP documents no body for 400, 404 and 429.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            location: None,
            body: String::new(),
        }
    }

    /// Creates the reply for a token that is expired, revoked, wrong or missing. WHOOP's text is
    /// the same in all four cases.
    pub(crate) fn unauthorized(status: u16) -> Self {
        Self {
            content_type: Some("text/plain; charset=utf-8"),
            body: "Authorization was not valid".to_owned(),
            ..Self::empty(status)
        }
    }

    /// Creates an error reply of the OAuth server.
    pub(crate) fn oauth_error(status: u16, error: &str, description: &str) -> Self {
        let body = json!({"error": error, "error_description": description});
        Self {
            status,
            ..Self::json(body.to_string())
        }
    }

    /// Creates an error reply of the simulator's own routes, with the reason as JSON.
    pub(crate) fn sim_error(status: u16, reason: &str) -> Self {
        Self {
            status,
            ..Self::json_value(&json!({"error": reason}))
        }
    }

    pub(crate) fn json_value(value: &Value) -> Self {
        Self::json(value.to_string())
    }
}
