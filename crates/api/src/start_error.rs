use std::{io, net::SocketAddr};

use whoop_sync::config::ConfigError;

/// Why the API does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error(
        "there is no way to tell who is calling: set AUTH_JWT_SECRET, AUTH_JWKS_URL or \
         AUTH_SERVICE_KEYS (or, on loopback only and for development, --insecure-no-auth)"
    )]
    NoAuthentication,
    #[error(
        "--insecure-no-auth is for loopback only; API_LISTEN or API_OPS_LISTEN is reachable from \
         outside"
    )]
    InsecureOutside,
    #[error(
        "AUTH_JWT_SECRET has {bytes} bytes; HS256 needs 32 at the least, or it can be guessed. \
         Make one with: openssl rand -base64 32"
    )]
    ShortSecret { bytes: usize },
    #[error("AUTH_JWKS_URL is not usable: {0}")]
    KeySetUrl(&'static str),
    #[error(
        "AUTH_SERVICE_KEYS holds something that is no SHA-256 hex digest; \
         make one with: printf %s \"$KEY\" | sha256sum"
    )]
    ServiceKey,
    #[error(
        "AUTH_SERVICE_KEYS holds the digest of an empty key; \
         was the variable set that the key was taken from?"
    )]
    EmptyServiceKey,
    #[error("the client for AUTH_JWKS_URL cannot be made")]
    Http(#[source] reqwest::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "API_OPS_LISTEN ({operations}) is the address of API_LISTEN ({public}); give it a port of \
         its own, such as 127.0.0.1:8081"
    )]
    SameAddress {
        public: SocketAddr,
        operations: SocketAddr,
    },
    #[error("cannot listen on {address} ({setting})")]
    Listen {
        setting: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}
