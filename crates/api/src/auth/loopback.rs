//! Check of the `Host` header for requests without credentials (`--insecure-no-auth`).

use std::net::Ipv4Addr;

use actix_web::http::{
    header::{self, HeaderMap},
    uri::Authority,
};

use crate::access_problem;
use crate::problem::Problem;

/// Refuses a request unless it has exactly one `Host` header, which names `localhost` or a loopback
/// address.
pub(super) fn check_host(headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST);
    let is_loopback = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_loopback),
        _ => false,
    };
    if is_loopback {
        Ok(())
    } else {
        Err(access_problem::host_not_loopback())
    }
}

/// Returns whether `host`, with or without a port, is `localhost` or a loopback address.
fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host();
    // `Authority` accepts a user name and a password in front of the host, but a `Host` header must
    // not contain them.
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost")
            || name == "[::1]"
            || name
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback()))
}

#[cfg(test)]
mod tests {
    use super::is_loopback;

    #[test]
    fn only_loopback_names_and_addresses_pass() {
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.1.2.3:8080",
            "[::1]",
            "[::1]:8080",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            ":8080",
            "rebind.attacker.example",
            "localhost.attacker.example:8080",
            "127.0.0.1.attacker.example",
            "localhost@attacker.example",
            "attacker.example@localhost",
            "0.0.0.0:8080",
            "192.0.2.1",
            "[::]:8080",
            "[::ffff:192.0.2.1]",
            "127.0.0.1, attacker.example",
            "localhost/x",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
