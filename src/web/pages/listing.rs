//! What lists and forms share: tabs, choices, cursors.

use serde::Deserialize;

use super::error::Error;
use super::parts::Pager;
use crate::store::page::{Cursor, Page};

/// A link in `nav.tabs`.
#[derive(Clone, Debug)]
pub(super) struct Tab {
    pub(super) label: String,
    pub(super) href: String,
    pub(super) current: bool,
    pub(super) n: Option<String>,
}

impl Tab {
    pub(super) fn new(label: &str, href: String, current: bool) -> Self {
        Self {
            label: label.to_owned(),
            href,
            current,
            n: None,
        }
    }

    /// With the number of its rows.
    pub(super) fn counting(mut self, n: String) -> Self {
        self.n = Some(n);
        self
    }
}

/// An `<option>`.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) chosen: bool,
}

impl Choice {
    pub(super) fn new(value: &str, label: &str, chosen: bool) -> Self {
        Self {
            value: value.to_owned(),
            label: label.to_owned(),
            chosen,
        }
    }
}

/// The query of a list that has no filter.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cursored {
    pub(super) cursor: String,
}

/// Where to read on; a cursor that is none of ours is an address that leads nowhere.
pub(super) fn cursor(text: &str) -> Result<Cursor, Error> {
    Cursor::parse(Some(text), None).ok_or(Error::NotFound)
}

/// The pager of a list, when there is more than this page.
pub(super) fn pager<T>(
    path: &str,
    kept: &[(&str, &str)],
    cursor: &str,
    found: &Page<T>,
) -> Option<Pager> {
    let cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    if cursor.is_none() && found.next.is_none() {
        return None;
    }
    Some(Pager::new(
        path,
        kept,
        cursor,
        found.next.as_deref(),
        format!("{} on this page, newest first", found.rows.len()),
    ))
}

/// What tests of the pages are drawn with.
#[cfg(test)]
pub(super) mod samples {
    use crate::web::pages::session::Session;

    /// Tue, Nov 24, 2026, 9:00 AM in Los Angeles.
    pub(in crate::web::pages) const NOW: i64 = 1_795_539_600_000;

    pub(in crate::web::pages) fn session() -> Session {
        Session::sample(NOW)
    }

    pub(in crate::web::pages) fn html(template: &impl askama::Template) -> String {
        template.render().unwrap()
    }

    /// Holds for every page: no script or handler inside, every dialog and described-by exists,
    /// ids are unique, every form that changes something posts.
    pub(in crate::web::pages) fn clean(html: &str) {
        let main = html.split_once("<main").map_or(html, |(_, main)| main);
        for never in ["<script", " onclick=", "javascript:", "<style"] {
            assert!(!main.contains(never), "{never}");
        }
        let values = |name: &str| -> Vec<&str> {
            main.split(&format!(" {name}=\""))
                .skip(1)
                .filter_map(|rest| rest.split_once('"'))
                .map(|(value, _)| value)
                .collect()
        };
        let ids = values("id");
        for (i, id) in ids.iter().enumerate() {
            assert!(!ids[..i].contains(id), "two elements are called {id}");
        }
        for name in ["for", "commandfor", "aria-describedby", "aria-labelledby"] {
            for value in values(name).iter().flat_map(|v| v.split_whitespace()) {
                assert!(
                    ids.contains(&value),
                    "{name} points to {value}, which is not there"
                );
            }
        }
        for value in values("href").iter().filter_map(|v| v.strip_prefix('#')) {
            assert!(
                ids.contains(&value),
                "a link leads to #{value}, which is not there"
            );
        }
    }
}
