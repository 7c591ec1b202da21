//! `GET` and `POST /oauth/oauth2/auth`: authorization requests and their outcomes.

use url::{Host, Url};

use crate::config::SimConfig;

const SCOPES: [&str; 7] = [
    "offline",
    "read:profile",
    "read:body_measurement",
    "read:cycles",
    "read:recovery",
    "read:sleep",
    "read:workout",
];

/// A valid request for a member's consent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorizationRequest {
    pub(crate) redirect_url: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: String,
    /// WHOOP user id from the parameter `person` or `login_hint`, if the request has one of them.
    pub(crate) person: Option<String>,
}

/// The browser's next step after an authorization request: an error page or a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthorizationOutcome {
    /// An error page with this text. A redirect with the error could lead to a URL that is not
    /// registered.
    Refused(&'static str),
    Redirect(String),
}

impl AuthorizationRequest {
    pub(crate) fn parse(config: &SimConfig, fields: &[u8]) -> Result<Self, AuthorizationOutcome> {
        let field = |name: &str| {
            url::form_urlencoded::parse(fields)
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        if field("client_id").as_deref() != Some(&config.client_id) {
            return Err(AuthorizationOutcome::Refused(
                "The client_id is not registered.",
            ));
        }
        let redirect_url = field("redirect_uri").unwrap_or_default();
        if !is_registered(config, &redirect_url) {
            return Err(AuthorizationOutcome::Refused(
                "The redirect_uri is not registered.",
            ));
        }
        let request = Self {
            redirect_url,
            scopes: field("scope")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            state: field("state").unwrap_or_default(),
            person: field("person").or_else(|| field("login_hint")),
        };
        if request.state.chars().count() < 8 {
            return Err(request.fail(
                "invalid_state",
                "The state is missing or does not have enough characters",
            ));
        }
        if field("response_type").as_deref() != Some("code") {
            return Err(request.fail(
                "unsupported_response_type",
                "The authorization server does not support this response type",
            ));
        }
        let is_known = |scope: &String| SCOPES.contains(&scope.as_str());
        if request.scopes.is_empty() || !request.scopes.iter().all(is_known) {
            return Err(request.fail(
                "invalid_scope",
                "The requested scope is invalid, unknown, or malformed",
            ));
        }
        Ok(request)
    }

    pub(crate) fn deny(&self) -> AuthorizationOutcome {
        self.fail("request_forbidden", "The request is not allowed")
    }

    pub(crate) fn fail(&self, error: &str, description: &str) -> AuthorizationOutcome {
        self.redirect(&[("error", error), ("error_description", description)])
    }

    pub(crate) fn allow(&self, code: &str) -> AuthorizationOutcome {
        self.redirect(&[("code", code), ("scope", &self.scopes.join(" "))])
    }

    fn redirect(&self, answer: &[(&str, &str)]) -> AuthorizationOutcome {
        let Ok(mut url) = Url::parse(&self.redirect_url) else {
            return AuthorizationOutcome::Refused("The redirect_uri is not a URL.");
        };
        {
            let mut pairs = url.query_pairs_mut();
            pairs.extend_pairs(answer);
            if !self.state.is_empty() {
                pairs.append_pair("state", &self.state);
            }
        }
        AuthorizationOutcome::Redirect(url.into())
    }
}

fn is_registered(config: &SimConfig, redirect_url: &str) -> bool {
    if !config.redirect_urls.is_empty() {
        return config.redirect_urls.iter().any(|it| it == redirect_url);
    }
    let Ok(url) = Url::parse(redirect_url) else {
        return false;
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    is_loopback && matches!(url.scheme(), "http" | "https")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<AuthorizationRequest, AuthorizationOutcome> {
        AuthorizationRequest::parse(&SimConfig::default(), query.as_bytes())
    }

    const GOOD: &str = "client_id=whoop-sim-client&response_type=code&scope=offline+read:sleep\
                        &redirect_uri=http://localhost:1/cb%3Fa%3D1";

    #[test]
    fn a_valid_request_is_parsed() {
        let request = parse(&format!("{GOOD}&state=01234567&login_hint=5")).unwrap();
        assert_eq!(request.scopes, ["offline", "read:sleep"]);
        assert_eq!(request.person.as_deref(), Some("5"));
        assert_eq!(
            request.allow("c"),
            AuthorizationOutcome::Redirect(
                "http://localhost:1/cb?a=1&code=c&scope=offline+read%3Asleep&state=01234567"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_state_with_seven_characters_is_refused() {
        let Err(AuthorizationOutcome::Redirect(url)) = parse(&format!("{GOOD}&state=0123456"))
        else {
            panic!("the error is not a redirect");
        };
        assert!(url.contains("error=invalid_state"), "{url}");
        assert!(url.ends_with("state=0123456"), "{url}");
    }

    #[test]
    fn only_registered_redirect_urls_are_accepted() {
        for unregistered in [
            "http://example.test/",
            "ftp://localhost/",
            "nonsense",
            "",
            "http://127.0.0.1.example.test/",
        ] {
            assert!(
                !is_registered(&SimConfig::default(), unregistered),
                "{unregistered} must be refused"
            );
        }
        for registered in [
            "http://127.0.0.1:9/cb",
            "http://[::1]:1/x",
            "https://localhost/",
        ] {
            assert!(
                is_registered(&SimConfig::default(), registered),
                "{registered}"
            );
        }
        let strict = SimConfig {
            redirect_urls: vec!["https://app.test/cb".to_owned()],
            ..SimConfig::default()
        };
        assert!(is_registered(&strict, "https://app.test/cb"));
        assert!(!is_registered(&strict, "https://app.test/cb/"));
        assert!(!is_registered(&strict, "http://localhost/"));
    }
}
