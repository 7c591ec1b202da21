//! Authorization codes, grants and their rotating tokens.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::config::ReuseMode;

/// Time within which an authorization code can be exchanged for tokens.
const CODE_TTL: TimeDelta = TimeDelta::minutes(10);

/// The permission that one member gave with one consent, with the current tokens.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Grant {
    pub whoop_user_id: i64,
    pub scopes: Vec<String>,
    pub is_revoked: bool,
    /// Number of times that the token pair was refreshed.
    pub refreshes: u32,
    /// Number of requests with a spent refresh token.
    pub reuses: u32,
    #[serde(skip)]
    pub access_token: String,
    pub access_expires_at: DateTime<Utc>,
    #[serde(skip)]
    pub refresh_token: Option<String>,
    /// Scopes of the current access token. They can be fewer than `scopes`, if a refresh requested
    /// fewer.
    pub access_scopes: Vec<String>,
}

/// The tokens that the OAuth server returns for a code or a refresh token.
#[derive(Debug, Clone, Serialize)]
pub struct SimTokenPair {
    pub access_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    pub expires_in: u32,
    pub scope: String,
    pub token_type: &'static str,
}

/// The member to whom a valid access token belongs, and the scopes of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BearerAccess {
    pub(crate) whoop_user_id: i64,
    pub(crate) scopes: Vec<String>,
}

/// Error: the code or the refresh token of a request is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidGrant;

#[derive(Debug)]
struct AuthorizationCode {
    whoop_user_id: i64,
    scopes: Vec<String>,
    redirect_url: Option<String>,
    expires_at: DateTime<Utc>,
    /// Index of the grant for which the code was exchanged; `None` before that. A second exchange
    /// of the code revokes this grant.
    exchanged_for: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct GrantStore {
    pub(crate) reuse_mode: ReuseMode,
    token_ttl_seconds: u32,
    codes: HashMap<String, AuthorizationCode>,
    grants: Vec<Grant>,
    access_tokens: HashMap<String, usize>,
    /// Live and spent refresh tokens. Spent tokens are kept so that they can be distinguished from
    /// unknown ones.
    refresh_tokens: HashMap<String, usize>,
}

impl GrantStore {
    pub(crate) fn new(reuse_mode: ReuseMode, token_ttl_seconds: u32) -> Self {
        Self {
            reuse_mode,
            token_ttl_seconds,
            codes: HashMap::new(),
            grants: Vec::new(),
            access_tokens: HashMap::new(),
            refresh_tokens: HashMap::new(),
        }
    }

    /// Issues an authorization code. If `redirect_url` is `None`, the code can be exchanged with
    /// any redirect URL.
    pub(crate) fn issue_code(
        &mut self,
        whoop_user_id: i64,
        scopes: Vec<String>,
        redirect_url: Option<String>,
        now: DateTime<Utc>,
    ) -> String {
        let code = random_token("AC");
        self.codes.insert(
            code.clone(),
            AuthorizationCode {
                whoop_user_id,
                scopes,
                redirect_url,
                expires_at: now + CODE_TTL,
                exchanged_for: None,
            },
        );
        code
    }

    pub(crate) fn exchange_code(
        &mut self,
        code: &str,
        redirect_url: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<SimTokenPair, InvalidGrant> {
        let next = self.grants.len();
        let code = self.codes.get_mut(code).ok_or(InvalidGrant)?;
        if let Some(grant) = code.exchanged_for {
            self.revoke_grant(grant);
            return Err(InvalidGrant);
        }
        let is_same_redirect = code
            .redirect_url
            .as_deref()
            .is_none_or(|given| redirect_url == Some(given));
        if now >= code.expires_at || !is_same_redirect {
            return Err(InvalidGrant);
        }
        code.exchanged_for = Some(next);
        let grant = Grant {
            whoop_user_id: code.whoop_user_id,
            scopes: code.scopes.clone(),
            is_revoked: false,
            refreshes: 0,
            reuses: 0,
            access_token: String::new(),
            access_expires_at: now,
            refresh_token: None,
            access_scopes: Vec::new(),
        };
        let scopes = grant.scopes.clone();
        self.grants.push(grant);
        Ok(self.issue_tokens(next, scopes, now))
    }

    /// Returns the index of the grant and its scopes if the refresh token is live.
    ///
    /// The use of a spent token is counted in `reuses`. In the mode `FamilyRevoked` it also revokes
    /// the grant.
    pub(crate) fn redeem(&mut self, token: &str) -> Result<(usize, Vec<String>), InvalidGrant> {
        let index = *self.refresh_tokens.get(token).ok_or(InvalidGrant)?;
        let grant = &mut self.grants[index];
        if grant.is_revoked {
            return Err(InvalidGrant);
        }
        if grant.refresh_token.as_deref() == Some(token) {
            return Ok((index, grant.scopes.clone()));
        }
        grant.reuses += 1;
        if self.reuse_mode == ReuseMode::FamilyRevoked {
            self.revoke_grant(index);
        }
        Err(InvalidGrant)
    }

    pub(crate) fn owner_of_refresh_token(&self, token: &str) -> Option<i64> {
        let index = *self.refresh_tokens.get(token)?;
        self.grants.get(index).map(|grant| grant.whoop_user_id)
    }

    pub(crate) fn owner_of_code(&self, code: &str) -> Option<i64> {
        self.codes.get(code).map(|code| code.whoop_user_id)
    }

    /// Issues new tokens for the grant that `redeem` returned.
    ///
    /// The old access token becomes invalid now. The old refresh token becomes invalid too if
    /// `scopes` contains `offline`, because only then is there a new refresh token.
    pub(crate) fn refresh(
        &mut self,
        index: usize,
        scopes: Vec<String>,
        now: DateTime<Utc>,
    ) -> SimTokenPair {
        self.grants[index].refreshes += 1;
        self.issue_tokens(index, scopes, now)
    }

    fn issue_tokens(
        &mut self,
        index: usize,
        scopes: Vec<String>,
        now: DateTime<Utc>,
    ) -> SimTokenPair {
        let grant = &mut self.grants[index];
        self.access_tokens.remove(&grant.access_token);
        let access_token = random_token("AT");
        self.access_tokens.insert(access_token.clone(), index);
        let refresh_token = scopes
            .iter()
            .any(|scope| scope == "offline")
            .then(|| random_token("RT"));
        if let Some(token) = &refresh_token {
            self.refresh_tokens.insert(token.clone(), index);
            grant.refresh_token = Some(token.clone());
        }
        grant.access_token.clone_from(&access_token);
        grant.access_expires_at = now + TimeDelta::seconds(i64::from(self.token_ttl_seconds));
        let scope = scopes.join(" ");
        grant.access_scopes = scopes;
        SimTokenPair {
            access_token,
            refresh_token,
            expires_in: self.token_ttl_seconds,
            scope,
            token_type: "bearer",
        }
    }

    pub(crate) fn bearer_access(&self, token: &str, now: DateTime<Utc>) -> Option<BearerAccess> {
        let grant = &self.grants[*self.access_tokens.get(token)?];
        (!grant.is_revoked && now < grant.access_expires_at).then(|| BearerAccess {
            whoop_user_id: grant.whoop_user_id,
            scopes: grant.access_scopes.clone(),
        })
    }

    /// Revokes every grant of a member; returns whether the member had an active grant.
    pub(crate) fn revoke(&mut self, whoop_user_id: i64) -> bool {
        let indices: Vec<usize> = (0..self.grants.len())
            .filter(|index| {
                let grant = &self.grants[*index];
                grant.whoop_user_id == whoop_user_id && !grant.is_revoked
            })
            .collect();
        for index in &indices {
            self.revoke_grant(*index);
        }
        !indices.is_empty()
    }

    pub(crate) fn expire_access_tokens(&mut self, whoop_user_id: Option<i64>, now: DateTime<Utc>) {
        let is_affected =
            |grant: &&mut Grant| whoop_user_id.is_none_or(|id| grant.whoop_user_id == id);
        for grant in self.grants.iter_mut().filter(is_affected) {
            grant.access_expires_at = grant.access_expires_at.min(now);
        }
    }

    pub(crate) fn list(&self) -> &[Grant] {
        &self.grants
    }

    pub(crate) fn is_connected(&self, whoop_user_id: i64) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.whoop_user_id == whoop_user_id && !grant.is_revoked)
    }

    fn revoke_grant(&mut self, index: usize) {
        self.grants[index].is_revoked = true;
    }
}

/// Returns a random token. It is independent of the seed, so that a token from an earlier run is
/// not valid.
fn random_token(kind: &str) -> String {
    let (first, second) = (Uuid::new_v4().simple(), Uuid::new_v4().simple());
    format!("{kind}-{first}{second}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        crate::clock::parse("2026-10-01T12:00:00Z").unwrap()
    }

    fn scopes() -> Vec<String> {
        vec!["offline".to_owned(), "read:cycles".to_owned()]
    }

    fn connected(mode: ReuseMode) -> (GrantStore, SimTokenPair) {
        let mut grants = GrantStore::new(mode, 3_600);
        let code = grants.issue_code(1, scopes(), None, noon());
        let pair = grants.exchange_code(&code, None, noon()).unwrap();
        (grants, pair)
    }

    fn refresh(grants: &mut GrantStore, token: &str) -> Result<SimTokenPair, InvalidGrant> {
        let (at, scopes) = grants.redeem(token)?;
        Ok(grants.refresh(at, scopes, noon()))
    }

    #[test]
    fn a_refresh_invalidates_the_old_token_pair_immediately() {
        let (mut grants, old) = connected(ReuseMode::LoserRejected);
        let old_refresh = old.refresh_token.unwrap();
        let new = refresh(&mut grants, &old_refresh).unwrap();

        assert_eq!(grants.bearer_access(&old.access_token, noon()), None);
        assert!(grants.bearer_access(&new.access_token, noon()).is_some());
        assert!(refresh(&mut grants, &old_refresh).is_err());
        assert!(grants.bearer_access(&new.access_token, noon()).is_some());
        assert!(refresh(&mut grants, &new.refresh_token.unwrap()).is_ok());
    }

    #[test]
    fn in_family_revoked_mode_reuse_also_revokes_the_new_token_pair() {
        let (mut grants, old) = connected(ReuseMode::FamilyRevoked);
        let old_refresh = old.refresh_token.unwrap();
        let new = refresh(&mut grants, &old_refresh).unwrap();

        assert!(refresh(&mut grants, &old_refresh).is_err());
        assert_eq!(grants.bearer_access(&new.access_token, noon()), None);
        assert!(refresh(&mut grants, &new.refresh_token.unwrap()).is_err());
    }

    #[test]
    fn a_code_can_be_exchanged_once_within_ten_minutes() {
        let mut grants = GrantStore::new(ReuseMode::LoserRejected, 3_600);
        let expired_code = grants.issue_code(1, scopes(), None, noon());
        assert!(
            grants
                .exchange_code(&expired_code, None, noon() + CODE_TTL)
                .is_err()
        );

        let code = grants.issue_code(1, scopes(), Some("http://a/".to_owned()), noon());
        assert!(
            grants
                .exchange_code(&code, Some("http://b/"), noon())
                .is_err()
        );
        let pair = grants
            .exchange_code(&code, Some("http://a/"), noon())
            .unwrap();
        assert!(
            grants
                .exchange_code(&code, Some("http://a/"), noon())
                .is_err()
        );
        assert_eq!(grants.bearer_access(&pair.access_token, noon()), None);
    }

    #[test]
    fn an_access_token_expires_after_its_lifetime() {
        let (grants, pair) = connected(ReuseMode::LoserRejected);
        let end = noon() + TimeDelta::seconds(3_600);
        let last = end - TimeDelta::milliseconds(1);
        assert!(grants.bearer_access(&pair.access_token, last).is_some());
        assert_eq!(grants.bearer_access(&pair.access_token, end), None);
    }
}
