//! Reads one WHOOP list page by page, although the list may change between two pages.
//!
//! WHOOP's page tokens are offsets into the list. If a record is added or deleted between two
//! pages, the other records shift, and the next page repeats a record or skips one.
//!
//! Cycles, sleeps and workouts contain the time by which their list is sorted. For these data
//! types, the page walker requests each page by time: the page that ends just after the start of
//! the oldest record read so far. Pages by time cannot shift, and the last record of each page is
//! repeated on the next page.
//!
//! Recoveries are sorted by the start of their sleep, and a recovery does not contain this time.
//! They are read with WHOOP's page tokens. If a record is added between two pages, a recovery is
//! repeated, which is harmless. If a record is deleted between two pages, the recovery at the
//! border of the two pages is skipped, and only the next read of the list finds it.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::plan::ReadWindow;

use crate::{ListPage, ListedRecord, PageQuery};

/// Maximum number of pages of one list on which no record can be parsed.
const MAX_UNREADABLE_PAGES: u32 = 4;

/// Precision of WHOOP's times: one millisecond. WHOOP's parameter `end` is exclusive, so this time
/// is added to the start of a record to include the record.
const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

/// State of reading one window of a list. The page walker does no I/O; the caller fetches the
/// pages:
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
    /// A record older than `must_reach` was read, so that the window is complete. The list has more
    /// pages.
    WindowCovered,
    /// The last page had no token of a following page.
    ListEnded,
}

/// Reason for which a list cannot be read to its end now.
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

    /// Returns the query of the next page; `None` after the last page of the window.
    pub const fn query(&self) -> Option<&PageQuery> {
        match &self.state {
            WalkState::NextPage(query) => Some(query),
            WalkState::WindowCovered | WalkState::ListEnded => None,
        }
    }

    /// Processes the page that was fetched with the last query.
    ///
    /// # Errors
    ///
    /// Returns [`BrokenList`] if the list cannot be read further. The records of the page can be
    /// stored nevertheless.
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

    /// Returns whether the last page had no token of a following page.
    ///
    /// This does not prove that WHOOP has no older records, because WHOOP sometimes ends a list too
    /// early.
    pub fn list_ended(&self) -> bool {
        self.state == WalkState::ListEnded
    }

    /// Returns the oldest time of the records read so far; `None` if no record was read. Every
    /// record of the window that began after this time has been read.
    pub const fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
    }

    /// Returns the newest time of the records read so far; `None` if no record was read.
    pub const fn newest(&self) -> Option<DateTime<Utc>> {
        self.newest
    }

    /// Returns the ids of all records read so far, including records that could not be parsed.
    pub const fn ids(&self) -> &HashSet<String> {
        &self.ids
    }

    /// Returns whether all records of the window have been read.
    ///
    /// This is known when the oldest record is strictly older than `must_reach`. If the two times
    /// are equal, the next page may contain another record that began at exactly this time.
    fn covers_window(&self) -> bool {
        self.oldest
            .is_some_and(|oldest| oldest < self.window.must_reach)
    }

    /// Returns the query of the page that follows `page`.
    ///
    /// The query is by time if possible. It uses WHOOP's page token if the records do not contain
    /// the time by which the list is sorted, or if all records of the page began at the same time.
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
                // Page tokens are offsets into the list that ends at `end`. With another `end`, the
                // same token stands for another record.
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
