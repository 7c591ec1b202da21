//! Reads one WHOOP list page by page while the list changes.
//!
//! WHOOP's page tokens are offsets: a record that is added or deleted between two pages shifts the
//! others, so that the next page repeats a record or skips one. If records contain the time by
//! which the list is sorted (cycles, sleeps, workouts), the walker therefore requests each page by
//! time: the page that ends just behind the oldest record read so far. Such pages cannot shift, and
//! gaps between records need no explanation. The last record of a page is repeated on the next one.
//!
//! Recoveries are sorted by the start of their sleep, which they do not contain. They are read with
//! WHOOP's tokens. A record that is added in the meantime repeats a recovery, which is harmless. A
//! record that is deleted in the meantime hides the recovery at the border of two pages until the
//! next read.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::plan::ReadWindow;

use crate::{ListPage, ListedRecord, PageQuery};

/// Maximum number of pages without a readable record in one list.
const MAX_UNREADABLE_PAGES: u32 = 4;

/// Precision of WHOOP's times. It is added to a time to include it, because `end` is exclusive.
const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

/// State of reading one window; it does no I/O.
///
/// ```text
/// while let Some(query) = walker.query() {
///     let page = client.fetch_page(&token, &query).await?;
///     store(&page);
///     walker.accept(&page)?;
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PageWalker {
    window: ReadWindow,
    state: WalkState,
    ids: HashSet<String>,
    seen_tokens: HashSet<String>,
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    unreadable_pages: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WalkState {
    NextPage(PageQuery),
    /// A record older than `must_reach` was read; the list has more records.
    WindowCovered,
    /// WHOOP named no further page.
    ListEnded,
}

/// Reason for which the list cannot be read to its end now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenList {
    #[error("WHOOP sent an empty page that must contain records")]
    EmptyPage,
    #[error("{MAX_UNREADABLE_PAGES} pages of the list contain no readable record")]
    Unreadable,
    #[error("WHOOP sent a page token for the second time, so the list would never end")]
    Loop,
}

impl PageWalker {
    pub fn new(window: ReadWindow) -> Self {
        Self {
            window,
            state: WalkState::NextPage(PageQuery {
                end: window.end,
                next_token: None,
            }),
            ids: HashSet::new(),
            seen_tokens: HashSet::new(),
            oldest: None,
            newest: None,
            unreadable_pages: 0,
        }
    }

    /// Returns the query of the next page; `None` after the last one.
    pub const fn query(&self) -> Option<&PageQuery> {
        match &self.state {
            WalkState::NextPage(query) => Some(query),
            WalkState::WindowCovered | WalkState::ListEnded => None,
        }
    }

    /// Processes the page of the last query.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenList`] if the list cannot be read further. The records of the page are
    /// valid.
    pub fn accept<R: ListedRecord>(&mut self, page: &ListPage<R>) -> Result<(), BrokenList> {
        let WalkState::NextPage(query) = &self.state else {
            return Ok(());
        };
        let end = query.end;
        let repeats_a_record = end < self.window.end;
        let rejected = page.rejected.iter();
        let ids = page.records.iter().map(R::id);
        self.ids
            .extend(ids.chain(rejected.filter_map(|record| record.record_id.clone())));
        let sort_keys = || page.records.iter().map(ListedRecord::max_sort_key);
        self.oldest = sort_keys().chain(self.oldest).min();
        self.newest = sort_keys().chain(self.newest).max();
        if page.records.is_empty() && !page.rejected.is_empty() {
            self.unreadable_pages += 1;
        }
        let is_empty = page.records.is_empty() && page.rejected.is_empty();
        self.state = match &page.next_token {
            _ if is_empty && (repeats_a_record || page.next_token.is_some()) => {
                return Err(BrokenList::EmptyPage);
            }
            None => WalkState::ListEnded,
            Some(_) if self.unreadable_pages >= MAX_UNREADABLE_PAGES => {
                return Err(BrokenList::Unreadable);
            }
            Some(_) if self.covers_window() => WalkState::WindowCovered,
            Some(token) => WalkState::NextPage(self.query_after(page, end, token)?),
        };
        Ok(())
    }

    /// Whether WHOOP named no further page. This is no proof that there are no older records.
    pub fn list_ended(&self) -> bool {
        self.state == WalkState::ListEnded
    }

    /// Returns the oldest time on the pages: every record of the window since then was on them.
    pub const fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
    }

    /// Returns the newest time on the pages.
    pub const fn newest(&self) -> Option<DateTime<Utc>> {
        self.newest
    }

    /// Returns the ids on the pages, including those of records that could not be parsed.
    pub const fn ids(&self) -> &HashSet<String> {
        &self.ids
    }

    /// Whether the window is covered: the oldest record is strictly older than `must_reach`,
    /// because the next page may contain another record with exactly that time.
    fn covers_window(&self) -> bool {
        self.oldest
            .is_some_and(|oldest| oldest < self.window.must_reach)
    }

    /// Returns the query of the page after this one: by time, or by WHOOP's token if the records do
    /// not contain their time or all records of the page began at the same time.
    fn query_after<R: ListedRecord>(
        &mut self,
        page: &ListPage<R>,
        end: DateTime<Utc>,
        token: &str,
    ) -> Result<PageQuery, BrokenList> {
        let starts = page.records.iter().map(ListedRecord::sort_key);
        let oldest: Option<DateTime<Utc>> = starts.min().flatten();
        match oldest.map(|oldest| oldest + MILLISECOND) {
            Some(next_end) if next_end < end => {
                // Tokens are offsets. With another `end`, the same token means another record.
                self.seen_tokens.clear();
                Ok(PageQuery {
                    end: next_end,
                    next_token: None,
                })
            }
            _ if !self.seen_tokens.insert(token.to_owned()) => Err(BrokenList::Loop),
            _ => Ok(PageQuery {
                end,
                next_token: Some(token.to_owned()),
            }),
        }
    }
}

#[cfg(test)]
mod list;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
