//! Requests for a member's profile and body measurement, and the revocation of the member's
//! permission.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// Profile of the member to whom an access token belongs. It is needed to identify the member,
/// because WHOOP's reply with the token does not contain the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProfile {
    pub user_id: i64,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Current body measurement of a member. WHOOP keeps no history of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BodyMeasurement {
    pub height_meter: Option<f64>,
    pub weight_kilogram: Option<f64>,
    pub max_heart_rate: Option<f64>,
}

impl WhoopClient {
    pub async fn fetch_profile(
        &self,
        access_token: &SecretString,
    ) -> Result<MemberProfile, WhoopError> {
        let endpoint = "v2/user/profile/basic";
        let url = self.shared.config.endpoint(endpoint.split('/'));
        ApiCall::get(endpoint, url, access_token)
            .fetch_json(self)
            .await?
            .ok_or(WhoopError::Unexpected { status: 404 })
    }

    /// Fetches the member's body measurement. Returns `None` if the member never entered one.
    pub async fn fetch_body_measurement(
        &self,
        access_token: &SecretString,
    ) -> Result<Option<BodyMeasurement>, WhoopError> {
        let endpoint = "v2/user/measurement/body";
        let url = self.shared.config.endpoint(endpoint.split('/'));
        ApiCall::get(endpoint, url, access_token)
            .fetch_json(self)
            .await
    }

    /// Revokes the member's permission at WHOOP. WHOOP then also stops sending webhooks about the
    /// member.
    ///
    /// # Errors
    ///
    /// Returns any [`WhoopError`]. [`WhoopError::Unauthorized`] may also mean that the permission
    /// was already revoked.
    pub async fn revoke_access(&self, access_token: &SecretString) -> Result<(), WhoopError> {
        let endpoint = "v2/user/access";
        let url = self.shared.config.endpoint(endpoint.split('/'));
        ApiCall::delete(endpoint, url, access_token)
            .send_with_retries(self, |_| Ok(()))
            .await?
            .ok_or(WhoopError::Unexpected { status: 404 })
    }
}
