//! TLS connections to PostgreSQL, configured by libpq's `sslmode` and `sslrootcert`.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use crate::StorageError;

/// The values of `sslmode`, with the same meaning as in libpq. libpq's value `allow` is treated as
/// `prefer`, which encrypts in more cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// The connection is not encrypted.
    Disable,
    /// The connection is encrypted if the server offers it; the certificate is not verified.
    Prefer,
    /// The connection is encrypted; the certificate is not verified.
    Require,
    /// The connection is encrypted; the certificate was signed by one of the root certificates.
    VerifyCa,
    /// The connection is encrypted; the certificate was signed by one of the root certificates and
    /// names the host.
    VerifyFull,
}

impl SslMode {
    pub(crate) fn parse(word: &str) -> Result<Self, StorageError> {
        match word {
            "disable" => Ok(Self::Disable),
            "allow" | "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            other => Err(StorageError::Config(format!(
                "sslmode={other} is not a valid value; use disable, prefer, require, verify-ca or verify-full"
            ))),
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// The root certificates given by `sslrootcert`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RootCertificates {
    /// The root certificates of the operating system: `sslrootcert=system`, or no value.
    System,
    File(PathBuf),
}

/// Rules for verifying the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsRules {
    pub(crate) mode: SslMode,
    roots: RootCertificates,
}

impl TlsRules {
    /// Combines `sslmode` and `sslrootcert` like libpq, with two stricter defaults.
    ///
    /// - Without `sslmode`, the certificate of a server on another machine is verified. libpq would
    ///   use `prefer`.
    /// - `verify-ca` without `sslrootcert` means `verify-full`. Otherwise a certificate of any
    ///   public authority would be accepted.
    ///
    /// # Errors
    ///
    /// The two settings contradict each other: a root certificate was given, but the mode would not
    /// use it.
    pub(crate) fn new(
        mode: Option<SslMode>,
        roots: Option<RootCertificates>,
        is_local: bool,
    ) -> Result<Self, StorageError> {
        let contradiction = |mode: SslMode, roots: &str| {
            Err(StorageError::Config(format!(
                "sslmode={} does not verify the server although sslrootcert={roots} is set; write \
                 sslmode=verify-full&sslrootcert={roots}, or remove sslrootcert",
                mode.name()
            )))
        };
        let (mode, roots) = match (mode, roots) {
            (None, None) if is_local => (SslMode::Prefer, RootCertificates::System),
            (None | Some(SslMode::VerifyCa), None) => {
                (SslMode::VerifyFull, RootCertificates::System)
            }
            (Some(mode), None) => (mode, RootCertificates::System),
            (None, Some(roots)) => (SslMode::VerifyFull, roots),
            (Some(SslMode::VerifyFull), Some(roots)) => (SslMode::VerifyFull, roots),
            (Some(mode), Some(RootCertificates::System)) => return contradiction(mode, "system"),
            (
                Some(mode @ (SslMode::Disable | SslMode::Prefer)),
                Some(RootCertificates::File(path)),
            ) => {
                return contradiction(mode, &path.display().to_string());
            }
            (Some(SslMode::Require | SslMode::VerifyCa), Some(roots)) => (SslMode::VerifyCa, roots),
        };
        Ok(Self { mode, roots })
    }

    /// Returns the TLS configuration, or `None` for connections without TLS.
    ///
    /// # Errors
    ///
    /// The file with the root certificates cannot be read or contains none.
    pub(crate) fn client_config(&self) -> Result<Option<ClientConfig>, StorageError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| StorageError::Config(error.to_string()))?;
        let check = match self.mode {
            SslMode::Disable => return Ok(None),
            SslMode::VerifyFull => {
                let builder = builder.with_root_certificates(self.roots.load()?);
                return Ok(Some(builder.with_no_client_auth()));
            }
            SslMode::VerifyCa => CertificateCheck::Chain(self.roots.load()?),
            SslMode::Prefer | SslMode::Require => CertificateCheck::Nothing,
        };
        let verifier = CertificateVerifier {
            check,
            provider: provider(),
        };
        let builder = builder.dangerous();
        let builder = builder.with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Some(builder.with_no_client_auth()))
    }
}

/// Returns the cryptography provider for rustls.
///
/// The provider is always given explicitly. If the dependency tree contains two providers, rustls
/// panics when it selects the default one.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

impl RootCertificates {
    /// Parses the value of `sslrootcert`. An empty value counts as a missing one, as in libpq.
    pub(crate) fn parse(value: &str) -> Option<Self> {
        match value {
            "" => None,
            "system" => Some(Self::System),
            path => Some(Self::File(PathBuf::from(path))),
        }
    }

    fn load(&self) -> Result<RootCertStore, StorageError> {
        let mut roots = RootCertStore::empty();
        let Self::File(path) = self else {
            // An invalid certificate in the system's store must not prevent connections.
            let (_, _) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        let unreadable = |reason: &dyn std::fmt::Display| {
            StorageError::Config(format!(
                "sslrootcert={} cannot be used ({reason}); it must name a PEM file with the \
                 certificate of the authority that signed the server's certificate",
                path.display()
            ))
        };
        let certificates =
            CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
        if roots.is_empty() {
            return Err(unreadable(&"the file contains no certificate"));
        }
        Ok(roots)
    }
}

/// The checks of [`CertificateVerifier`].
#[derive(Debug)]
enum CertificateCheck {
    /// The certificate was signed by one of the root certificates; the host name is not compared.
    Chain(RootCertStore),
    Nothing,
}

/// Verifier that checks less than rustls does by default, for libpq's `verify-ca`, `require` and
/// `prefer`.
#[derive(Debug)]
struct CertificateVerifier {
    check: CertificateCheck,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let CertificateCheck::Chain(roots) = &self.check {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = "/etc/whoop/ca.crt";

    fn rules(mode: Option<&str>, roots: Option<&str>) -> Result<TlsRules, String> {
        let mode = mode.map(SslMode::parse).transpose().unwrap();
        TlsRules::new(mode, roots.and_then(RootCertificates::parse), false)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_root_certificate_always_means_that_the_server_is_verified() {
        for (mode, expected) in [
            (None, SslMode::VerifyFull),
            (Some("require"), SslMode::VerifyCa),
            (Some("verify-ca"), SslMode::VerifyCa),
            (Some("verify-full"), SslMode::VerifyFull),
        ] {
            let rules = rules(mode, Some(CA)).unwrap();

            assert_eq!(rules.mode, expected, "{mode:?}");
            assert_eq!(rules.roots, RootCertificates::File(CA.into()), "{mode:?}");
        }
    }

    #[test]
    fn a_root_certificate_that_would_be_ignored_is_refused_with_the_remedy() {
        for (mode, roots) in [
            ("disable", CA),
            ("allow", CA),
            ("prefer", CA),
            ("disable", "system"),
            ("prefer", "system"),
            ("require", "system"),
            ("verify-ca", "system"),
        ] {
            let error = rules(Some(mode), Some(roots)).unwrap_err();

            let remedy = format!("sslmode=verify-full&sslrootcert={roots}");
            assert!(error.contains(&remedy), "{mode}, {roots}: {error}");
        }
    }

    #[test]
    fn without_a_root_certificate_those_of_the_system_are_used() {
        for (mode, expected) in [
            (None, SslMode::VerifyFull),
            (Some("require"), SslMode::Require),
            (Some("verify-ca"), SslMode::VerifyFull),
            (Some("verify-full"), SslMode::VerifyFull),
        ] {
            for roots in [None, Some("")] {
                let rules = rules(mode, roots).unwrap();

                assert_eq!(
                    (rules.mode, rules.roots),
                    (expected, RootCertificates::System),
                    "{mode:?}"
                );
            }
        }
        let system = rules(None, Some("system")).unwrap();
        assert_eq!(
            (system.mode, system.roots),
            (SslMode::VerifyFull, RootCertificates::System)
        );
    }
}
