//! clap value parsers for settings that are URLs.

use std::net::Ipv4Addr;

use url::{Host, Url};

/// Parses an `http://` or `https://` URL that has a host, and neither credentials nor a fragment.
///
/// # Errors
///
/// The reason for which the URL is refused. It does not contain the URL, which may contain a
/// password.
pub fn web_address(text: &str) -> Result<Url, String> {
    let example = "example: https://health.example";
    let url = Url::parse(text).map_err(|error| format!("it is not a URL ({error}); {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!(
            "it must begin with https:// or http:// and contain a host; {example}"
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "it must not contain a user name or a password; {example}"
        ));
    }
    if url.fragment().is_some() {
        return Err(format!("it must not have a fragment (`#…`); {example}"));
    }
    Ok(url)
}

/// Parses one of WHOOP's base URLs, to which the client secret and tokens are sent.
///
/// Plain `http://` is accepted only for this machine and private networks, for example for a
/// simulator.
///
/// # Errors
///
/// The reason for which the URL is refused, without the URL.
pub(super) fn whoop_address(text: &str) -> Result<Url, String> {
    let url = web_address(text)?;
    if url.scheme() == "http" && !url.host().is_some_and(|host| is_private(&host)) {
        return Err(
            "it must begin with https://, because secrets are sent to it (http:// is accepted only \
             for loopback and private networks)"
                .to_owned(),
        );
    }
    if url.query().is_some() {
        return Err("it is a base URL and must not have a query (`?…`)".to_owned());
    }
    Ok(url)
}

/// Parses the callback URL, to which WHOOP sends members' browsers with an authorization code.
///
/// # Errors
///
/// The reason for which the URL is refused, without the URL.
pub(super) fn callback_address(text: &str) -> Result<Url, String> {
    web_address(text).map_err(|reason| {
        let (reason, _) = reason.split_once("; ").unwrap_or((&reason, ""));
        format!(
            "{reason}; write it exactly as it is registered at WHOOP; example: \
             https://health.example/api/v1/whoop/callback"
        )
    })
}

/// Whether a host is this machine, or is in a network that cannot be reached from the internet.
fn is_private(host: &Host<&str>) -> bool {
    let is_private_v4 = |address: &Ipv4Addr| {
        address.is_loopback() || address.is_private() || address.is_link_local()
    };
    match host {
        // A name without a dot belongs to a container or to a machine in the local network.
        Host::Domain(name) => {
            !name.contains('.')
                || [".localhost", ".local", ".internal", ".svc"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
        Host::Ipv4(address) => is_private_v4(address),
        Host::Ipv6(address) => {
            address.is_loopback()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.to_ipv4_mapped().as_ref().is_some_and(is_private_v4)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_scheme_or_host_or_with_credentials_is_refused() {
        for valid in ["https://health.example", "http://127.0.0.1:8080/cb?x=1"] {
            assert!(web_address(valid).is_ok(), "{valid}");
        }
        for invalid in [
            "",
            " ",
            "health.example",
            "health.example:443",
            "ftp://health.example",
            "https://",
            "https://user:hunter2@health.example",
            "https://health.example/#hunter2",
        ] {
            let reason = web_address(invalid).unwrap_err();

            assert!(
                reason.contains("https://health.example"),
                "{invalid}: {reason}"
            );
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn plain_http_is_accepted_only_for_this_machine_and_private_networks() {
        for valid in [
            "https://api.prod.whoop.com/developer",
            "http://127.0.0.1:8090/developer",
            "http://[::1]:8090",
            "http://simulator:8090/developer",
            "http://10.1.2.3/developer",
            "http://sim.whoop.svc.cluster.local/developer",
        ] {
            assert!(whoop_address(valid).is_ok(), "{valid}");
        }
        for invalid in [
            "http://api.prod.whoop.com/developer",
            "http://8.8.8.8/developer",
            "https://api.prod.whoop.com/developer?x=1",
            "mailto:whoop",
        ] {
            assert!(whoop_address(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn an_invalid_callback_url_is_refused_with_an_example_of_the_right_path() {
        let reason = callback_address("callback").unwrap_err();

        assert!(reason.contains("/api/v1/whoop/callback"), "{reason}");
        assert!(!reason.contains("https://health.example;"), "{reason}");
    }
}
