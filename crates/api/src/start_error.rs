use std::{io, net::SocketAddr};

use whoop_sync::config::{ConfigError, SettingFaults};

/// Error that prevents the API from starting.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiStartError {
    #[error(transparent)]
    Settings(SettingFaults),
    #[error(
        "AUTH_JWT_SECRET, AUTH_JWKS_URL and AUTH_SERVICE_KEYS are all not set, so no caller could \
         be authenticated; set one of them, such as \
         AUTH_JWKS_URL=https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json (for development \
         on loopback only: --insecure-no-auth)"
    )]
    NoAuthentication,
    #[error(
        "--insecure-no-auth is allowed on loopback only, but API_LISTEN or API_OPS_LISTEN is \
         reachable from outside"
    )]
    NoAuthOutsideLoopback,
    #[error(
        "AUTH_JWT_SECRET has {bytes} bytes, but HS256 needs at least 32 so that the secret cannot \
         be guessed; make one with: openssl rand -base64 32"
    )]
    ShortSecret { bytes: usize },
    #[error(
        "AUTH_JWKS_URL is not usable: {0}; example: \
         https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json"
    )]
    KeySetUrl(&'static str),
    #[error(
        "AUTH_SERVICE_KEYS contains a value that is not a SHA-256 digest in hexadecimal; make one \
         with: printf %s \"$KEY\" | sha256sum | cut -d' ' -f1"
    )]
    ServiceKey,
    #[error(
        "AUTH_SERVICE_KEYS contains the digest of an empty key; check that the variable with the \
         key was set when the digest was made"
    )]
    EmptyServiceKey,
    #[error("{name} is not usable: {reason}; example: {example}")]
    InvalidList {
        name: &'static str,
        reason: &'static str,
        example: &'static str,
    },
    #[error("the HTTP client for AUTH_JWKS_URL cannot be created")]
    Http(#[source] reqwest::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "API_OPS_LISTEN ({operations}) is the same address as API_LISTEN ({public}); give it \
         another port, such as 127.0.0.1:8081"
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
