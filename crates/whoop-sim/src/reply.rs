//! An answer before it becomes HTTP.

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

    /// 400, 404 and 429 of the API: WHOOP documents no body, so there is none.
    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            content_type: None,
            location: None,
            body: String::new(),
        }
    }

    /// The same words for an expired, a revoked, a wrong and a missing token.
    pub(crate) fn unauthorized(status: u16) -> Self {
        Self {
            content_type: Some("text/plain; charset=utf-8"),
            body: "Authorization was not valid".to_owned(),
            ..Self::empty(status)
        }
    }

    /// The OAuth server's errors.
    pub(crate) fn oauth_error(status: u16, error: &str, description: &str) -> Self {
        let body = json!({"error": error, "error_description": description});
        Self {
            status,
            ..Self::json(body.to_string())
        }
    }

    /// The simulator's own refusals, which say what was wrong.
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
