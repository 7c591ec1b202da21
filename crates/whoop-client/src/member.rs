//! The member: who it is, how tall and heavy, and how to let go of it.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{WhoopClient, WhoopError, call::ApiCall};

/// Whose access token it is; a token reply does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberProfile {
    pub user_id: i64,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
}

/// The present values; WHOOP keeps no history of them.
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
        let url = self.api_url(endpoint.split('/'));
        self.fetch_json(&ApiCall::get(endpoint, url, access_token))
            .await?
            .ok_or(WhoopError::Unexpected { status: 404 })
    }

    /// `None` where the member never entered any.
    pub async fn fetch_body_measurement(
        &self,
        access_token: &SecretString,
    ) -> Result<Option<BodyMeasurement>, WhoopError> {
        let endpoint = "v2/user/measurement/body";
        let url = self.api_url(endpoint.split('/'));
        self.fetch_json(&ApiCall::get(endpoint, url, access_token))
            .await
    }

    /// Ends the member's permission, and the webhooks with it.
    ///
    /// # Errors
    ///
    /// [`WhoopError::Unauthorized`] also where it was ended before.
    pub async fn revoke_access(&self, access_token: &SecretString) -> Result<(), WhoopError> {
        let endpoint = "v2/user/access";
        let url = self.api_url(endpoint.split('/'));
        self.send_with_retries(&ApiCall::delete(endpoint, url, access_token), |_| Ok(()))
            .await?
            .ok_or(WhoopError::Unexpected { status: 404 })
    }
}
