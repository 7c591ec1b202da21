//! HTTP client for the API. It checks every response against the OpenAPI description.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use reqwest::{Method, RequestBuilder, redirect};
use serde_json::Value;

use super::{Answer, DEADLINE, description};

#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
    answers: Arc<Mutex<Vec<String>>>,
}

/// A request that has not been sent yet.
pub(crate) struct Ask {
    method: Method,
    path: String,
    request: RequestBuilder,
    answers: Arc<Mutex<Vec<String>>>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(DEADLINE)
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        Self {
            address,
            http,
            answers: Arc::default(),
        }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the headers and bodies of all responses so far, as text.
    pub(crate) fn answers(&self) -> Vec<String> {
        self.answers.lock().unwrap().clone()
    }

    /// Returns a request for a path, which may include a query.
    pub(crate) fn ask(&self, method: Method, path_and_query: &str) -> Ask {
        let url = format!("http://{}{path_and_query}", self.address);
        let request = self.http.request(method.clone(), url);
        let path = path_and_query.split('?').next().unwrap_or_default();
        Ask {
            method,
            path: path.to_owned(),
            request,
            answers: Arc::clone(&self.answers),
        }
    }

    pub(crate) fn get(&self, path_and_query: &str) -> Ask {
        self.ask(Method::GET, path_and_query)
    }

    pub(crate) fn post(&self, path_and_query: &str) -> Ask {
        self.ask(Method::POST, path_and_query)
    }

    /// Sends a GET request to another server, such as WHOOP, without following redirects.
    pub(crate) async fn elsewhere(&self, url: url::Url) -> Answer {
        Answer::read(self.http.get(url).send().await.unwrap()).await
    }
}

impl Ask {
    pub(crate) fn with_token(self, token: &str) -> Self {
        self.with_header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn with_json(self, body: &Value) -> Self {
        self.with_body(body.to_string())
    }

    pub(crate) fn with_body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self
            .request
            .header("content-type", "application/json")
            .body(body);
        self
    }

    /// Sets the body of the request, without a content type.
    pub(crate) fn with_raw_body(mut self, body: impl Into<reqwest::Body>) -> Self {
        self.request = self.request.body(body);
        self
    }

    /// Sends a request that the description does not contain, such as a browser's preflight
    /// request. The response is not checked.
    pub(crate) async fn send_undescribed(self) -> Answer {
        Answer::read(self.request.send().await.unwrap()).await
    }

    pub(crate) async fn send(self) -> Answer {
        let Self {
            method,
            path,
            request,
            answers,
        } = self;
        let answer = Answer::read(request.send().await.unwrap()).await;
        answers.lock().unwrap().push(format!("{answer:?}"));
        description::assert_described(&method, &path, &answer);
        answer
    }
}
