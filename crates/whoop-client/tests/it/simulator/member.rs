//! A connected member of a simulator, with a client to read the member's data.

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::Value;
use whoop_client::{
    ListPage, ListedRecord, PageWalker, SCOPES, WhoopClient, WhoopConfig, WhoopError,
};
use whoop_core::{SystemClock, plan::ReadWindow};
use whoop_sim::{Fault, SimConfig, SimServer};

use crate::{log::listen, payloads::is_same};

pub(crate) struct Member {
    pub(crate) sim: SimServer,
    pub(crate) whoop: WhoopClient,
    pub(crate) whoop_user_id: i64,
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: SecretString,
}

/// Creates a member who has just connected. The simulator's clock does not advance.
pub(crate) async fn connected(config: SimConfig) -> Member {
    listen();
    let config = SimConfig {
        people: 1,
        now: Some("2026-11-20T12:00:00Z".parse().unwrap()),
        speed: 0.0,
        ..config
    };
    let client_id = config.client_id.clone();
    let client_secret = config.client_secret.clone().into();
    let sim = SimServer::start(config).await.unwrap();
    let whoop_user_id = sim.world().people()[0];
    let app = WhoopConfig {
        api_url: sim.api_url().parse().unwrap(),
        oauth_url: sim.oauth_url().parse().unwrap(),
        client_id,
        client_secret,
        redirect_url: "http://127.0.0.1:9/callback".parse().unwrap(),
    };
    let whoop = WhoopClient::new(app, Arc::new(SystemClock)).unwrap();
    let scopes: Vec<&str> = SCOPES.split(' ').collect();
    let code = sim.world().oauth().issue_code(whoop_user_id, &scopes);
    let pair = whoop.exchange_code(&code).await.unwrap();
    sim.world().reset_calls();
    Member {
        sim,
        whoop,
        whoop_user_id,
        access_token: pair.access_token,
        refresh_token: pair.refresh_token.unwrap(),
    }
}

pub(crate) fn short_history() -> SimConfig {
    SimConfig {
        days: 60,
        ..SimConfig::default()
    }
}

impl Member {
    pub(crate) fn everything(&self) -> ReadWindow {
        ReadWindow {
            must_reach: chrono::DateTime::UNIX_EPOCH,
            end: self.sim.world().now(),
        }
    }

    pub(crate) async fn first_page<R: ListedRecord>(&self) -> Result<ListPage<R>, WhoopError> {
        let walker = PageWalker::new(self.everything());
        let query = walker.query().unwrap();
        self.whoop.fetch_page(&self.access_token, query).await
    }

    /// Reads a list to its end and returns all records on its pages.
    pub(crate) async fn walk<R: ListedRecord>(&self) -> Vec<R> {
        let mut walker = PageWalker::new(self.everything());
        let mut records: Vec<R> = Vec::new();
        while let Some(query) = walker.query() {
            let page: ListPage<R> = self
                .whoop
                .fetch_page(&self.access_token, query)
                .await
                .unwrap();
            assert_eq!(page.rejected, []);
            walker.accept(&page).unwrap();
            for record in page.records {
                if !records.iter().any(|seen| seen.id() == record.id()) {
                    records.push(record);
                }
            }
        }
        assert!(walker.list_ended());
        records
    }

    pub(crate) fn truth(&self, list: &str) -> Vec<Value> {
        let truth = self.sim.world().records().truth(self.whoop_user_id);
        truth[list].as_array().unwrap().clone()
    }

    pub(crate) fn fault(&self, times: u32, fault: Fault) {
        let times = Some(times);
        self.sim.world().add_fault(Fault { times, ..fault });
    }

    pub(crate) async fn assert_list_complete<R: ListedRecord>(&self, list: &str) {
        let read = self.walk::<R>().await;
        let truth = self.truth(list);
        assert!(truth.len() > 25, "{list}: more than one page");
        assert_eq!(read.len(), truth.len(), "{list}");
        for record in &read {
            let record = serde_json::to_value(record).unwrap();
            assert!(
                truth.iter().any(|sent| is_same(sent, &record)),
                "{list}: no record of the simulator equals {record}"
            );
        }
    }
}
