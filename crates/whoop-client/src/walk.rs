//! Reading one list to its end while it changes underneath.
//!
//! WHOOP's page tokens are offsets. A record that appears between two pages
//! pushes the rest down, and the next page begins with what was seen before;
//! one that disappears pulls the rest up, and the next page begins one record
//! too late. A walk therefore checks that each page joins the one before it.
//!
//! What it cannot see: a sleep, workout or recovery that disappears from the
//! part already read makes the walk miss the one record at the seam, for
//! nothing in the pages tells. Cycles follow one another without a gap, so
//! there a missing one shows. Whoever deletes what a walk did not return must
//! ask by id before, or have seen it missing twice.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use whoop_core::plan::Window;

use crate::{Listed, Page, PageQuery};

/// The state of one walk; it does no I/O.
///
/// ```text
/// while let Some(query) = walk.query() {
///     let page = whoop.page(&token, &query).await?;
///     store(&page);
///     walk.accept(&page)?; // or go on, a bounded number of times
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Walk<R> {
    window: Window,
    next: Next,
    ids: HashSet<String>,
    tokens: HashSet<String>,
    /// The end of the page before.
    seam: Option<Seam<R>>,
    reached: Option<DateTime<Utc>>,
    /// Seams that did not join, by the ids on both sides. One that is met
    /// again after a restart is how the list is, and no shift.
    doubted: HashSet<(Option<String>, Option<String>)>,
}

#[derive(Debug, Clone)]
enum Next {
    FirstPage,
    Page(String),
    /// `must_reach` was reached with pages left.
    FarEnough,
    /// The last page was taken.
    Complete,
}

#[derive(Debug, Clone)]
struct Seam<R> {
    last: Option<R>,
    /// A record that cannot be read may be the true last one of its page.
    is_blurred: bool,
}

/// A page does not join the one before it: the list moved between the two.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Shifted {
    #[error("the page repeats {id}: something was inserted before it")]
    Repeats { id: String },
    #[error("the page begins later than the page before it ended")]
    OutOfOrder,
    #[error("a cycle is missing between two pages")]
    Gap,
    /// With a token it is no end, and without one the list got shorter: the
    /// page before promised more. Called complete, it would entitle the
    /// caller to delete what may still be there.
    #[error("the page is empty though the one before it promised more")]
    Empty,
    /// An offset never comes back in a walk that advances.
    #[error("the page leads back to one that was read before")]
    Circle,
}

impl<R: Listed> Walk<R> {
    pub fn new(window: Window) -> Self {
        Self {
            window,
            next: Next::FirstPage,
            ids: HashSet::new(),
            tokens: HashSet::new(),
            seam: None,
            reached: None,
            doubted: HashSet::new(),
        }
    }

    /// The page to ask for; `None` once the last one was taken or the window's
    /// `must_reach` was reached.
    pub fn query(&self) -> Option<PageQuery> {
        let next_token = match &self.next {
            Next::FirstPage => None,
            Next::Page(token) => Some(token.clone()),
            Next::FarEnough | Next::Complete => return None,
        };
        Some(PageQuery {
            start: self.window.start,
            end: self.window.end,
            next_token,
        })
    }

    /// Takes the page that the last query asked for.
    ///
    /// # Errors
    ///
    /// The list moved. The walk is back at its first page and remembers where
    /// the doubt was; the caller goes on, a bounded number of times. What was
    /// stored of the pages before stays good.
    pub fn accept(&mut self, page: &Page<R>) -> Result<(), Shifted> {
        self.join(page).inspect_err(|_| self.start_over())
    }

    /// Whether WHOOP's last page was taken: the window was read to its end,
    /// not only as far as it must be.
    pub fn is_complete(&self) -> bool {
        matches!(self.next, Next::Complete)
    }

    /// How far back the walk has come: every record of the window from here
    /// on was on its pages. `None` before the first record.
    pub fn reached(&self) -> Option<DateTime<Utc>> {
        // A record that was still going on at `start` began before it, and
        // what ended between the two was not asked for.
        self.reached.map(|reached| match self.window.start {
            Some(start) => reached.max(start),
            None => reached,
        })
    }

    /// The ids on the walk's pages, those of unreadable records included.
    pub const fn ids(&self) -> &HashSet<String> {
        &self.ids
    }

    fn join(&mut self, page: &Page<R>) -> Result<(), Shifted> {
        let ids: Vec<String> = ids_of(page).collect();
        if let Some(id) = ids.iter().find(|id| self.ids.contains(*id)) {
            return Err(Shifted::Repeats { id: id.clone() });
        }
        let seam = self.seam.take();
        if ids.is_empty() && page.rejected.is_empty() {
            self.join_empty(seam.as_ref(), page)?;
        } else if let Some(seam) = &seam {
            self.join_records(seam, page)?;
        }

        self.ids.extend(ids);
        self.reached = page
            .records
            .iter()
            .map(Listed::lies_before)
            .chain(self.reached)
            .min();
        self.seam = Some(Seam {
            last: page.records.last().cloned(),
            is_blurred: !page.rejected.is_empty(),
        });
        self.next = match &page.next_token {
            None => Next::Complete,
            Some(_) if self.is_far_enough() => Next::FarEnough,
            Some(token) if !self.tokens.insert(token.clone()) => return Err(Shifted::Circle),
            Some(token) => Next::Page(token.clone()),
        };
        Ok(())
    }

    /// Past `must_reach`, not at it: the next page may hold one more of that
    /// very instant.
    fn is_far_enough(&self) -> bool {
        matches!((self.reached, self.window.must_reach), (Some(reached), Some(must)) if reached < must)
    }

    fn join_empty(&mut self, seam: Option<&Seam<R>>, page: &Page<R>) -> Result<(), Shifted> {
        if page.next_token.is_some() {
            return Err(Shifted::Empty);
        }
        match seam {
            // Met again, it is a list of exactly full pages with a token too many.
            Some(seam) if self.is_new_doubt(seam, None) => Err(Shifted::Empty),
            _ => Ok(()),
        }
    }

    fn join_records(&mut self, seam: &Seam<R>, page: &Page<R>) -> Result<(), Shifted> {
        let (Some(last), Some(first)) = (&seam.last, page.records.first()) else {
            return Ok(());
        };
        // Where either is absent there is nothing to compare.
        if let (Some(newer), Some(older)) = (last.sort_key(), first.sort_key())
            && older > newer
        {
            return Err(Shifted::OutOfOrder);
        }
        let is_blurred = seam.is_blurred || !page.rejected.is_empty();
        if !is_blurred && !first.joins(last) && self.is_new_doubt(seam, Some(first)) {
            return Err(Shifted::Gap);
        }
        Ok(())
    }

    fn is_new_doubt(&mut self, seam: &Seam<R>, first: Option<&R>) -> bool {
        let last = seam.last.as_ref().map(R::id);
        self.doubted.insert((last, first.map(R::id)))
    }

    fn start_over(&mut self) {
        let doubted = std::mem::take(&mut self.doubted);
        *self = Self {
            doubted,
            ..Self::new(self.window)
        };
    }
}

fn ids_of<R: Listed>(page: &Page<R>) -> impl Iterator<Item = String> + '_ {
    let readable = page.records.iter().map(R::id);
    readable.chain(page.rejected.iter().filter_map(|one| one.record_id.clone()))
}

#[cfg(test)]
mod list;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
