//! Reads one WHOOP list page by page while the list changes.
//!
//! WHOOP's page tokens are offsets: a record that appears or disappears between two pages shifts
//! the rest, so that the next page repeats a record or skips one. Where records carry their place
//! in the list (cycles, sleeps, workouts), the walker therefore asks for each page by time:
//! the page that ends just behind the oldest record read so far. Nothing can shift between such
//! pages, and gaps between records need no explanation. The last record of a page is repeated on
//! the next one.
//!
//! Recoveries are sorted by the start of their sleep, which they do not carry. They are read with
//! WHOOP's tokens. A record that is inserted meanwhile repeats a recovery, which is harmless. One
//! that is deleted meanwhile hides the recovery at the seam of two pages until the next read.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use whoop_core::plan::ReadWindow;

use crate::{ListPage, ListedRecord, PageQuery};

/// Pages without a single readable record after which a list is not read on.
const MAX_UNREADABLE_PAGES: u32 = 4;

/// WHOOP's times have milliseconds, and `end` is exclusive.
const MILLISECOND: TimeDelta = TimeDelta::milliseconds(1);

/// The state of reading one window; it does no I/O.
///
/// ```text
/// while let Some(query) = walker.query() {
///     let page = whoop.page(&token, &query).await?;
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
    /// `must_reach` was reached; older records exist.
    WindowCovered,
    /// WHOOP named no further page.
    ListEnded,
}

/// WHOOP's pages do not lead anywhere: the list cannot be read now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenList {
    #[error("a page is empty although records were promised on it")]
    EmptyPage,
    #[error("no record of {MAX_UNREADABLE_PAGES} pages can be read")]
    Unreadable,
    #[error("a page leads back to one that was read before")]
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

    /// The next page to ask for; `None` after the last one.
    pub const fn query(&self) -> Option<&PageQuery> {
        match &self.state {
            WalkState::NextPage(query) => Some(query),
            WalkState::WindowCovered | WalkState::ListEnded => None,
        }
    }

    /// Takes the page that the last query asked for.
    ///
    /// # Errors
    ///
    /// [`BrokenList`]: the walk cannot go on. The records of the page are valid all the same.
    pub fn accept<R: ListedRecord>(&mut self, page: &ListPage<R>) -> Result<(), BrokenList> {
        let WalkState::NextPage(asked) = &self.state else {
            return Ok(());
        };
        let end = asked.end;
        let repeats_a_record = end < self.window.end;
        let unreadable = page.rejected.iter();
        let ids = page.records.iter().map(R::id);
        self.ids
            .extend(ids.chain(unreadable.filter_map(|one| one.record_id.clone())));
        let instants = || page.records.iter().map(ListedRecord::max_sort_key);
        self.oldest = instants().chain(self.oldest).min();
        self.newest = instants().chain(self.newest).max();
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

    /// Whether WHOOP named no further page. That is a claim and no proof that nothing is older.
    pub fn list_ended(&self) -> bool {
        self.state == WalkState::ListEnded
    }

    /// The oldest record on the pages: every record of the window from here on was on them.
    pub const fn oldest(&self) -> Option<DateTime<Utc>> {
        self.oldest
    }

    /// The newest record on the pages.
    pub const fn newest(&self) -> Option<DateTime<Utc>> {
        self.newest
    }

    /// The ids on the pages, those of unreadable records included.
    pub const fn ids(&self) -> &HashSet<String> {
        &self.ids
    }

    /// Strictly older than `must_reach`: the next page may hold one more of that very instant.
    fn covers_window(&self) -> bool {
        self.oldest
            .is_some_and(|oldest| oldest < self.window.must_reach)
    }

    /// The page behind this one: by time, or by WHOOP's token if the records do not carry their
    /// time or all of a page began together.
    fn query_after<R: ListedRecord>(
        &mut self,
        page: &ListPage<R>,
        end: DateTime<Utc>,
        token: &str,
    ) -> Result<PageQuery, BrokenList> {
        let starts = page.records.iter().map(ListedRecord::sort_key);
        let oldest: Option<DateTime<Utc>> = starts.min().flatten();
        match oldest.map(|oldest| oldest + MILLISECOND) {
            Some(behind) if behind < end => {
                // Tokens are offsets, which mean another record behind another end.
                self.seen_tokens.clear();
                Ok(PageQuery {
                    end: behind,
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
