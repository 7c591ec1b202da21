//! Rules for the claims of a member's JWT, such as audience and lifetime, and the settings that
//! define these rules.

use jsonwebtoken::{Validation, get_current_timestamp};
use serde_json::{Map, Value};
use whoop_sync::config::SettingFault;

use super::list_setting::ListSetting;
use crate::{config::AuthArgs, problem::Problem, start_error::ApiStartError};

const AUDIENCE: ListSetting = ListSetting {
    name: "AUTH_JWT_AUDIENCE",
    example: "authenticated,mobile-app (or * for any)",
};
const ISSUER: ListSetting = ListSetting {
    name: "AUTH_JWT_ISSUER",
    example: "https://PROJECT.supabase.co/auth/v1",
};
const CLIENT_IDS: ListSetting = ListSetting {
    name: "AUTH_JWT_CLIENT_IDS",
    example: "9a8b7c6d-1234-4321-8888-0123456789ab,partner",
};
const REQUIRE: ListSetting = ListSetting {
    name: "AUTH_JWT_REQUIRE",
    example: "role=authenticated,aal=aal2",
};

/// Audience that a token must have if `AUTH_JWT_AUDIENCE` is empty: the audience of Supabase's
/// tokens for signed-in users.
const DEFAULT_AUDIENCE: &str = "authenticated";

/// Values of the claim `role` in the tokens that Supabase issues for the project itself. A token
/// with one of these roles does not belong to a member.
const NON_MEMBER_ROLES: [&str; 2] = ["anon", "service_role"];

/// Values that the claims of a member's JWT must have.
#[derive(Debug)]
pub(super) struct ClaimRules {
    /// Accepted values of `aud`. `None` accepts any value.
    audiences: Option<Vec<String>>,
    /// Accepted values of `iss`. `None` accepts any value.
    issuers: Option<Vec<String>>,
    /// Accepted values of `client_id`. A token without this claim is accepted, too.
    client_ids: Vec<String>,
    /// Claims that every token must have, each with its required value (`AUTH_JWT_REQUIRE`).
    required: Vec<(String, String)>,
    /// Maximum time from the issue of a token, and from now, until the token expires.
    max_lifetime_seconds: u32,
}

fn text(setting: Option<&String>) -> &str {
    setting.map(String::as_str).unwrap_or_default()
}

/// Returns the settings for claims that cannot be parsed, each with the reason.
pub(crate) fn faults(args: &AuthArgs) -> Vec<SettingFault> {
    let required = parse_required_claims(text(args.auth_jwt_require.as_ref()));
    [
        (
            AUDIENCE,
            AUDIENCE.parse_list_or_any(&args.auth_jwt_audience).err(),
        ),
        (
            ISSUER,
            ISSUER
                .parse_list_or_any(text(args.auth_jwt_issuer.as_ref()))
                .err(),
        ),
        (
            CLIENT_IDS,
            CLIENT_IDS
                .parse_list(text(args.auth_jwt_client_ids.as_ref()))
                .err(),
        ),
        (REQUIRE, required.err()),
    ]
    .into_iter()
    .filter_map(|(setting, error)| Some(SettingFault::unusable(setting.name, &error?.to_string())))
    .collect()
}

impl ClaimRules {
    pub(super) fn new(args: &AuthArgs) -> Result<Self, ApiStartError> {
        let audience = Some(args.auth_jwt_audience.as_str())
            .filter(|text| !text.is_empty())
            .unwrap_or(DEFAULT_AUDIENCE);
        Ok(Self {
            audiences: AUDIENCE.parse_list_or_any(audience)?,
            issuers: ISSUER.parse_list_or_any(text(args.auth_jwt_issuer.as_ref()))?,
            client_ids: CLIENT_IDS.parse_list(text(args.auth_jwt_client_ids.as_ref()))?,
            required: parse_required_claims(text(args.auth_jwt_require.as_ref()))?,
            max_lifetime_seconds: args.auth_jwt_max_lifetime_seconds,
        })
    }

    pub(super) const fn accepts_any_audience(&self) -> bool {
        self.audiences.is_none()
    }

    pub(super) const fn accepts_any_issuer(&self) -> bool {
        self.issuers.is_none()
    }

    /// Adds the accepted audiences and issuers to `validation`, the checks that the JWT library
    /// makes.
    pub(super) fn add_to(&self, validation: &mut Validation) {
        match &self.audiences {
            Some(audiences) => {
                validation.set_audience(audiences);
                validation.required_spec_claims.insert("aud".to_owned());
            }
            None => validation.validate_aud = false,
        }
        if let Some(issuers) = &self.issuers {
            validation.set_issuer(issuers);
            validation.required_spec_claims.insert("iss".to_owned());
        }
    }

    /// Checks the claims that the JWT library does not check: lifetime, client, role, and the
    /// claims in `AUTH_JWT_REQUIRE`.
    pub(super) fn check(
        &self,
        exp: f64,
        claims: &Map<String, Value>,
        leeway_seconds: u64,
    ) -> Result<(), Problem> {
        self.check_lifetime(exp, claims.get("iat"), leeway_seconds)?;
        self.check_client(claims.get("client_id"))?;
        if let Some(Value::String(role)) = claims.get("role")
            && NON_MEMBER_ROLES.contains(&role.as_str())
        {
            return Err(Problem::unauthorized(
                "role-not-accepted",
                "the token has the role `anon` or `service_role`; send the access token of a \
                 signed-in member",
            ));
        }
        for (claim, value) in &self.required {
            if !claims
                .get(claim)
                .is_some_and(|found| has_value(found, value))
            {
                return Err(Problem::unauthorized(
                    "claim-required",
                    format!(
                        "the token lacks the claim `{claim}` = `{value}`, which AUTH_JWT_REQUIRE \
                         requires"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_lifetime(
        &self,
        exp: f64,
        iat: Option<&Value>,
        leeway_seconds: u64,
    ) -> Result<(), Problem> {
        let issued_at = match iat {
            None | Some(Value::Null) => None,
            Some(iat) => Some(iat.as_f64().ok_or_else(super::jwt::invalid_token)?),
        };
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
        let (now, leeway) = (get_current_timestamp() as f64, leeway_seconds as f64);
        let max = f64::from(self.max_lifetime_seconds);
        let lives_too_long =
            exp - now > max + leeway || issued_at.is_some_and(|issued_at| exp - issued_at > max);
        if !lives_too_long {
            return Ok(());
        }
        Err(Problem::unauthorized(
            "lifetime-too-long",
            format!(
                "the token is valid for more than {} s, the maximum of \
                 AUTH_JWT_MAX_LIFETIME_SECONDS; get one with a shorter lifetime",
                self.max_lifetime_seconds
            ),
        ))
    }

    /// Refuses a token with the claim `client_id`, unless `AUTH_JWT_CLIENT_IDS` lists the value of
    /// the claim.
    ///
    /// A token with this claim was issued to an OAuth client, for example to a partner's app in
    /// which the member signed in.
    fn check_client(&self, client_id: Option<&Value>) -> Result<(), Problem> {
        let is_accepted = match client_id {
            None | Some(Value::Null) => true,
            Some(Value::String(id)) => self.client_ids.contains(id),
            Some(_) => false,
        };
        if is_accepted {
            return Ok(());
        }
        Err(Problem::unauthorized(
            "client-not-accepted",
            "the token was issued to an OAuth client (claim `client_id`) that is not listed in \
             AUTH_JWT_CLIENT_IDS",
        ))
    }
}

fn parse_required_claims(text: &str) -> Result<Vec<(String, String)>, ApiStartError> {
    REQUIRE
        .parse_list(text)?
        .into_iter()
        .map(|element| match element.split_once('=') {
            Some((claim, value)) if !claim.is_empty() && !value.is_empty() => {
                Ok((claim.to_owned(), value.to_owned()))
            }
            _ => Err(REQUIRE.unusable("an element does not have the form claim=value")),
        })
        .collect()
}

/// Returns whether a claim of a token has the required value.
///
/// A text has to be equal to the value. A number or a boolean has to be equal in its JSON form. An
/// array has the value if one of its elements has it; nested arrays are not searched.
fn has_value(claim: &Value, value: &str) -> bool {
    match claim {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Bool(flag) => flag.to_string() == value,
        Value::Array(elements) => elements
            .iter()
            .any(|element| !element.is_array() && has_value(element, value)),
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_has_a_value_as_text_number_boolean_or_array_element() {
        for (claim, value, expected) in [
            (json!("aal2"), "aal2", true),
            (json!("AAL2"), "aal2", false),
            (json!(2), "2", true),
            (json!(2.5), "2.5", true),
            (json!(false), "false", true),
            (json!("false"), "false", true),
            (json!(null), "null", false),
            (json!(["a", 2, true]), "true", true),
            (json!([["a"]]), "a", false),
            (json!([]), "", false),
            (json!({"a": "a"}), "a", false),
        ] {
            assert_eq!(has_value(&claim, value), expected, "{claim} {value}");
        }
    }

    #[test]
    fn a_required_claim_without_a_name_or_a_value_is_refused() {
        assert_eq!(
            parse_required_claims("role=authenticated,scope=a=b").unwrap(),
            [
                ("role".to_owned(), "authenticated".to_owned()),
                ("scope".to_owned(), "a=b".to_owned())
            ]
        );
        for bad in ["role", "=x", "role=", "role=a,", "role = a", "=", ","] {
            let error = parse_required_claims(bad).unwrap_err().to_string();
            assert!(error.contains("AUTH_JWT_REQUIRE"), "{error}");
            assert!(error.contains("role=authenticated,aal=aal2"), "{error}");
        }
    }
}
