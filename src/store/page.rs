//! Keyset pages: a list is read from behind a row, never by counting rows off.

use std::time::{Duration, Instant};

use serde::Serialize;

pub const DEFAULT_LIMIT: i64 = 50;
pub const MAX_LIMIT: i64 = 200;

/// Rows that are looked at in one go where a filter finds few.
pub const WINDOW: i64 = 4_000;
/// How long one page looks for rows that a filter lets through. A page may then hold fewer than
/// asked for, even none, and still lead on.
const PATIENCE: Duration = Duration::from_millis(60);

/// How long a page has been looking.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Instant);

impl Default for Patience {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Patience {
    pub fn is_over(self) -> bool {
        self.0.elapsed() > PATIENCE
    }
}

/// Where to read on: rows strictly after `after` in the list's own order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub after: Option<i64>,
    /// How many rows, 1 to [`MAX_LIMIT`].
    pub limit: i64,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            after: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

/// One page of a list and the text that asks for the next.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub next: Option<String>,
}

impl Cursor {
    /// Reads `?cursor&limit`; `None` when either is not ours.
    pub fn parse(cursor: Option<&str>, limit: Option<i64>) -> Option<Self> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return None;
        }
        let after = match cursor.filter(|text| !text.is_empty()) {
            Some(text) => Some(read(text)?),
            None => None,
        };
        Some(Self { after, limit })
    }

    /// Where to read on when the rows up to `key` were looked at and did not fill the page.
    pub fn after(key: i64) -> String {
        written(key)
    }

    /// Cuts rows that were fetched with `limit + 1` and notes where to read on.
    pub fn cut<T>(self, mut rows: Vec<T>, key: impl Fn(&T) -> i64) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| written(key(row)));
        Page { rows, next }
    }
}

/// It ends with a check of two digits, so that a damaged one is not taken for the end of the list.
fn written(key: i64) -> String {
    format!("{}{:0>2}", base36(key), base36(key.rem_euclid(1_291)))
}

fn read(text: &str) -> Option<i64> {
    let (key, _) = text.split_at_checked(text.len().checked_sub(2)?)?;
    let key = i64::from_str_radix(key, 36).ok()?;
    (written(key) == text).then_some(key)
}

fn base36(mut n: i64) -> String {
    let mut digits = Vec::new();
    while n > 0 || digits.is_empty() {
        let digit = u32::try_from(n % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        n /= 36;
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_to_the_next_and_the_last_to_none() {
        let cursor = Cursor {
            after: None,
            limit: 2,
        };
        let page = cursor.cut(vec![900, 800, 700], |n| *n);
        assert_eq!(page.rows, [900, 800]);
        let next = Cursor::parse(page.next.as_deref(), Some(2)).unwrap();
        assert_eq!(next.after, Some(800));
        assert!(cursor.cut(vec![1, 2], |n| *n).next.is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["!!", "zzz", "z", "é", "-5kk"] {
            assert!(Cursor::parse(Some(text), None).is_none(), "{text}");
        }
        assert!(Cursor::parse(None, Some(0)).is_none());
        assert!(Cursor::parse(None, Some(201)).is_none());
    }
}
