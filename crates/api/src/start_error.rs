use std::{io, net::SocketAddr};

use whoop_sync::config::{ConfigError, SettingFaults};

/// Reason that the API does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiStartError {
    #[error(transparent)]
    Settings(SettingFaults),
    #[error(
        "AUTH_JWT_SECRET, AUTH_JWKS_URL and AUTH_SERVICE_KEYS are all not set, and no caller could \
         be authenticated; set one of them, such as \
         AUTH_JWKS_URL=https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json (or, on loopback \
         only and for development, give --insecure-no-auth)"
    )]
    NoAuthentication,
    #[error(
        "--insecure-no-auth is for loopback only; API_LISTEN or API_OPS_LISTEN is reachable from \
         outside"
    )]
    NoAuthOutsideLoopback,
    #[error(
        "AUTH_JWT_SECRET has {bytes} bytes; HS256 needs at least 32, or it can be guessed. \
         Make one with: openssl rand -base64 32"
    )]
    ShortSecret { bytes: usize },
    #[error(
        "AUTH_JWKS_URL is not usable: {0}; example: \
         https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json"
    )]
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
    #[error("{name} is not usable: {reason}; a right value is: {example}")]
    InvalidList {
        name: &'static str,
        reason: &'static str,
        example: &'static str,
    },
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
