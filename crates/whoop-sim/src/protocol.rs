//! Options for cases in which WHOOP's answer is not known, or in which two answers were observed.

use serde::{Deserialize, Serialize};

use crate::config::ReuseMode;

/// Answers of the simulator for cases in which WHOOP's answer is not certain.
///
/// WHOOP's documentation does not describe these cases, or it differs from the observed answers.
/// The defaults are the answers that most clients report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProtocolOptions {
    pub limit_over_max: LimitOverMax,
    pub last_page: LastPage,
    pub empty_collection: EmptyCollection,
    /// Status with which the simulator answers a call without the required scope. Clients have
    /// reported 401, 403 and 404 from WHOOP.
    pub missing_scope_status: u16,
    pub reuse_mode: ReuseMode,
}

impl Default for ProtocolOptions {
    fn default() -> Self {
        Self {
            limit_over_max: LimitOverMax::default(),
            last_page: LastPage::default(),
            empty_collection: EmptyCollection::default(),
            missing_scope_status: 401,
            reuse_mode: ReuseMode::default(),
        }
    }
}

/// The simulator's answer to a request for a page with a `limit` over 25.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitOverMax {
    /// Answers with status 400.
    #[default]
    Reject,
    /// Answers with a page of 25 records.
    Clamp,
}

/// Form of `next_token` on the last page of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastPage {
    /// The page has no key `next_token`.
    Absent,
    #[default]
    Null,
    /// The value of `next_token` is an empty string.
    Empty,
}

/// The simulator's answer to a request for a collection without records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyCollection {
    /// Answers with status 200 and an empty page.
    #[default]
    Empty,
    /// Answers with status 404.
    NotFound,
}

/// A change of the options. `None` does not change the option.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProtocolChange {
    limit_over_max: Option<LimitOverMax>,
    last_page: Option<LastPage>,
    empty_collection: Option<EmptyCollection>,
    missing_scope_status: Option<u16>,
    reuse_mode: Option<ReuseMode>,
}

impl ProtocolOptions {
    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if (400..=499).contains(&self.missing_scope_status) {
            Ok(())
        } else {
            Err("missing_scope_status must be from 400 to 499")
        }
    }

    pub(crate) fn with_change(self, change: &ProtocolChange) -> Self {
        Self {
            limit_over_max: change.limit_over_max.unwrap_or(self.limit_over_max),
            last_page: change.last_page.unwrap_or(self.last_page),
            empty_collection: change.empty_collection.unwrap_or(self.empty_collection),
            missing_scope_status: change
                .missing_scope_status
                .unwrap_or(self.missing_scope_status),
            reuse_mode: change.reuse_mode.unwrap_or(self.reuse_mode),
        }
    }
}
