//! An event stream of the API, which the tests read as a browser reads it.

use serde_json::Value;
use tokio::time::timeout;

use super::{DEADLINE, Member};

/// An open event stream, and the received text that was not parsed yet.
pub(crate) struct Events {
    response: reqwest::Response,
    text: String,
}

/// One event of an event stream.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) data: Value,
}

impl Member {
    /// Opens the member's event stream. If `last_event_id` is given, the stream resumes after this
    /// event.
    pub(crate) async fn follow(&self, last_event_id: Option<&str>) -> Events {
        let response = self.open_stream(last_event_id).await;
        assert_eq!(response.status(), 200);
        Events {
            response,
            text: String::new(),
        }
    }

    pub(crate) async fn open_stream(&self, last_event_id: Option<&str>) -> reqwest::Response {
        let url = format!("http://{}{}", self.client.address, self.path("events"));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = http.get(url).bearer_auth(&self.token);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        request.send().await.unwrap()
    }
}

impl Events {
    /// Returns the next event, or `None` at the end of the stream. Comments are skipped.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(DEADLINE, self.read_next()).await.unwrap()
    }

    async fn read_next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(event) = parsed(&block) {
                    return Some(event);
                }
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Returns the next event with this name, and skips events with other names.
    pub(crate) async fn next_of(&mut self, name: &str) -> Event {
        loop {
            let event = self.next().await.unwrap();
            if event.name == name {
                return event;
            }
        }
    }
}

fn parsed(block: &str) -> Option<Event> {
    let field = |name: &str| {
        block
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    Some(Event {
        name: field("event")?,
        id: field("id"),
        data: serde_json::from_str(&field("data")?).unwrap(),
    })
}
