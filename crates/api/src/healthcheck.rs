//! `api healthcheck`: checks whether the API on this machine is alive. A container image without a
//! shell can use this program for its health check.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, ensure};

/// Timeout of the request to the API: 5 seconds. The usual timeout of a container's health check is
/// longer (30 seconds).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests `/healthz` from the API that listens on `listen`, and returns `Ok` if the API is alive.
///
/// # Errors
///
/// The API does not answer, or its status is not 200.
pub fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")?;
    let url = format!("http://{}/healthz", probe_address(listen));
    runtime.block_on(async {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(REQUEST_TIMEOUT)
            .build()?;
        let response = http.get(&url).send().await?;
        let status = response.status();
        ensure!(status == 200, "{url} returned status {status}");
        Ok(())
    })
}

/// Returns the address to connect to: `listen`, or the loopback address if the API listens on all
/// addresses.
fn probe_address(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_that_listens_on_all_addresses_is_probed_on_loopback() {
        for (listen, probed) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.0.0.7:80", "10.0.0.7:80"),
        ] {
            assert_eq!(
                probe_address(listen.parse().unwrap()),
                probed.parse().unwrap()
            );
        }
    }
}
