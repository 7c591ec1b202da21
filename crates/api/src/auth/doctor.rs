//! Warnings about the authentication settings. They are written to the log at startup, and are part
//! of the API's doctor checks.

use whoop_sync::doctor::{CheckState, DoctorCheck};

use super::Authenticator;

/// Name of the check of the authentication settings in the list of doctor checks.
const CHECK_NAME: &str = "callers";

struct CallerFinding {
    detail: &'static str,
    what_to_do: &'static str,
}

const NO_AUTH: CallerFinding = CallerFinding {
    detail: "--insecure-no-auth: every person and program on this machine may read, change and \
             erase the data of every member",
    what_to_do: "start the API without --insecure-no-auth, with AUTH_JWT_SECRET, AUTH_JWKS_URL or \
                 AUTH_SERVICE_KEYS",
};
const ANY_AUDIENCE: CallerFinding = CallerFinding {
    detail: "AUTH_JWT_AUDIENCE=*: tokens for every audience are accepted",
    what_to_do: "set AUTH_JWT_AUDIENCE to the audience of your app's tokens, such as authenticated",
};
const ANY_AUDIENCE_AND_ISSUER: CallerFinding = CallerFinding {
    detail: "AUTH_JWT_AUDIENCE=* without AUTH_JWT_ISSUER: every token that a key of AUTH_JWKS_URL \
             signed is accepted; if several tenants share these keys, the users of all of them are \
             accepted as members",
    what_to_do: "set AUTH_JWT_AUDIENCE or AUTH_JWT_ISSUER to the values of your app's tokens",
};
const ANY_ISSUER: CallerFinding = CallerFinding {
    detail: "AUTH_JWT_ISSUER is not set: the issuer (`iss`) of tokens is not checked",
    what_to_do: "set AUTH_JWT_ISSUER to the `iss` of your app's tokens, such as \
                 https://PROJECT.supabase.co/auth/v1",
};

impl Authenticator {
    /// Logs a warning for each setting that accepts more callers than a production service should.
    pub(crate) fn warn_at_start(&self) {
        if self.anonymous_holder.is_some() {
            tracing::warn!(
                detail = NO_AUTH.detail,
                what_to_do = NO_AUTH.what_to_do,
                "requests without credentials are accepted"
            );
        }
        if let Some(finding) = self.audience_finding() {
            tracing::warn!(
                detail = finding.detail,
                what_to_do = finding.what_to_do,
                "tokens for any audience are accepted"
            );
        }
    }

    /// Returns the results of checking the authentication settings: one warning per problem, or a
    /// single result `ok`.
    pub(crate) fn doctor_checks(&self) -> Vec<DoctorCheck> {
        let mut findings = Vec::new();
        if self.anonymous_holder.is_some() {
            findings.push(&NO_AUTH);
        }
        findings.extend(self.audience_finding());
        if self.issuer_keys.is_some()
            && self.rules.accepts_any_issuer()
            && !self.rules.accepts_any_audience()
        {
            findings.push(&ANY_ISSUER);
        }
        if findings.is_empty() {
            return vec![DoctorCheck::ok(
                CHECK_NAME,
                "tokens and service keys are checked",
            )];
        }
        findings
            .into_iter()
            .map(|finding| {
                DoctorCheck::not_ok(
                    CHECK_NAME,
                    CheckState::Warning,
                    finding.detail,
                    finding.what_to_do,
                )
            })
            .collect()
    }

    fn audience_finding(&self) -> Option<&'static CallerFinding> {
        if !self.rules.accepts_any_audience() {
            return None;
        }
        Some(
            if self.issuer_keys.is_some() && self.rules.accepts_any_issuer() {
                &ANY_AUDIENCE_AND_ISSUER
            } else {
                &ANY_AUDIENCE
            },
        )
    }
}
