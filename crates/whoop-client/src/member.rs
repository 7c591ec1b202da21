//! The member's profile, body measurement, and the revocation of access.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// Profile of an access token's member. A token reply does not contain the member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProfile {
    pub user_id: i64,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// Current body measurement; WHOOP keeps no history of it.
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

    /// Returns `None` if the member never entered a body measurement.
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

    /// Revokes the member's permission at WHOOP, which also ends the webhooks.
    ///
    /// # Errors
    ///
    /// Returns [`WhoopError::Unauthorized`] also if the permission was revoked before.
    pub async fn revoke_access(&self, access_token: &SecretString) -> Result<(), WhoopError> {
        let endpoint = "v2/user/access";
        let url = self.shared.config.endpoint(endpoint.split('/'));
        ApiCall::delete(endpoint, url, access_token)
            .send_with_retries(self, |_| Ok(()))
            .await?
            .ok_or(WhoopError::Unexpected { status: 404 })
    }
}
