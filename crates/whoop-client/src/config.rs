use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::WhoopError;

/// Minimum length of a client secret in bytes. WHOOP's client secrets have 64 characters.
///
/// A shorter secret is a mistake. It could be guessed, and then webhooks could be forged, because
/// the client secret is the key of their signatures.
const MIN_SECRET_BYTES: usize = 16;

/// Checks that a client secret has at least 16 bytes.
///
/// # Errors
///
/// Returns a message that contains no part of the secret if the secret is shorter.
pub fn check_client_secret(secret: &SecretString) -> Result<(), String> {
    let bytes = secret.expose_secret().len();
    if bytes < MIN_SECRET_BYTES {
        return Err(format!(
            "the client secret has only {bytes} bytes, so that it could be guessed and webhooks \
             could be forged; WHOOP's client secrets have 64 characters"
        ));
    }
    Ok(())
}

/// URLs of WHOOP, and the credentials of the WHOOP app.
#[derive(Debug, Clone)]
pub struct WhoopConfig {
    /// Base URL of the API, to which paths such as `/v2/cycle` are appended.
    pub api_url: Url,
    /// Base URL of OAuth, to which `/auth` and `/token` are appended.
    pub oauth_url: Url,
    pub client_id: String,
    pub client_secret: SecretString,
    /// URL to which WHOOP redirects a member after the consent page. It must be exactly equal to a
    /// redirect URL that is registered for the WHOOP app.
    pub redirect_url: Url,
}

impl WhoopConfig {
    pub(crate) fn validate(&self) -> Result<(), WhoopError> {
        for (name, url) in [("API", &self.api_url), ("OAuth", &self.oauth_url)] {
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
                return Err(WhoopError::Config(format!(
                    "WHOOP's {name} URL must begin with https:// (or http://) and contain a host"
                )));
            }
        }
        if self.client_id.is_empty() {
            return Err(WhoopError::Config("the client id is empty".to_owned()));
        }
        check_client_secret(&self.client_secret).map_err(WhoopError::Config)
    }

    /// Returns whether the URLs of the API and of OAuth both use plain HTTP, as for a local
    /// simulator.
    pub(crate) fn is_plain_http(&self) -> bool {
        self.api_url.scheme() == "http" && self.oauth_url.scheme() == "http"
    }

    /// Returns whether the URLs of the API and of OAuth are both on this machine, so that no proxy
    /// is used.
    pub(crate) fn is_loopback(&self) -> bool {
        [&self.api_url, &self.oauth_url]
            .into_iter()
            .all(|url| match url.host() {
                Some(Host::Domain(name)) => name == "localhost",
                Some(Host::Ipv4(address)) => address.is_loopback(),
                Some(Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            })
    }

    /// Returns the URL of an endpoint of the API with the given path segments.
    pub(crate) fn endpoint<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        append_segments(&self.api_url, segments)
    }
}

/// Returns the URL `base` with additional path segments. Each segment is escaped, so that an id
/// with a slash or a question mark cannot change the path.
pub(crate) fn append_segments<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_keeps_its_path_with_and_without_a_trailing_slash() {
        for base in [
            "https://whoop.test/developer",
            "https://whoop.test/developer/",
        ] {
            let url = append_segments(&base.parse().unwrap(), ["v2", "cycle", "7"]);
            assert_eq!(url.as_str(), "https://whoop.test/developer/v2/cycle/7");
        }
    }

    #[test]
    fn an_id_with_a_slash_or_a_question_mark_stays_one_segment() {
        let base = "https://whoop.test".parse().unwrap();

        let url = append_segments(&base, ["v2", "a/../b?c#d"]);

        assert_eq!(url.as_str(), "https://whoop.test/v2/a%2F..%2Fb%3Fc%23d");
    }

    #[test]
    fn a_base_url_that_is_not_http_is_refused() {
        let config = |api: &str| WhoopConfig {
            api_url: api.parse().unwrap(),
            oauth_url: "https://whoop.test/oauth2".parse().unwrap(),
            client_id: "app".to_owned(),
            client_secret: "hush-hush-app-secret".into(),
            redirect_url: "https://app.test/cb".parse().unwrap(),
        };

        assert!(config("https://whoop.test/developer").validate().is_ok());
        assert!(config("mailto:whoop").validate().is_err());
        assert!(config("unix:/run/whoop").validate().is_err());
    }

    #[test]
    fn a_short_client_secret_is_refused() {
        for short in ["", "hush", "fifteen-letters"] {
            let reason = check_client_secret(&short.into()).unwrap_err();
            assert!(short.is_empty() || !reason.contains(short), "{reason}");
        }
        assert!(check_client_secret(&"whoop-sim-secret".into()).is_ok());
    }
}
