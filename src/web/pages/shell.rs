//! What stands around every page: navigation, workspace, toast, and how figures are written.

use super::embedded::Bridge;
use super::format::Format;

/// Which entry of the navigation a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nav {
    Overview,
    Campaigns,
    Automations,
    Subscribers,
    OptInLinks,
    Orders,
    Connections,
    Events,
    Settings,
    /// None of them, as an error page.
    Elsewhere,
}

/// One line of the navigation.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub nav: Nav,
    pub path: &'static str,
    pub icon: &'static str,
    pub words: &'static str,
}

const fn entry(nav: Nav, path: &'static str, icon: &'static str, words: &'static str) -> Entry {
    Entry {
        nav,
        path,
        icon,
        words,
    }
}

static DAILY: [Entry; 6] = [
    entry(Nav::Overview, "/app", "house", "Overview"),
    entry(Nav::Campaigns, "/app/campaigns", "send", "Campaigns"),
    entry(
        Nav::Automations,
        "/app/automations",
        "workflow",
        "Automations",
    ),
    entry(Nav::Subscribers, "/app/subscribers", "users", "Subscribers"),
    entry(
        Nav::OptInLinks,
        "/app/opt-in-links",
        "qr-code",
        "Opt-in links",
    ),
    entry(Nav::Orders, "/app/orders", "shopping-bag", "Orders"),
];

static SET_UP: [Entry; 3] = [
    entry(Nav::Connections, "/app/connections", "plug", "Connections"),
    entry(Nav::Events, "/app/webhooks", "bell", "Incoming events"),
    entry(Nav::Settings, "/app/settings", "settings", "Settings"),
];

/// Given to every page template as `shell`; `layout.html` draws it.
#[derive(Clone, Debug)]
pub struct Shell {
    /// The page's own name, for the window's title.
    pub title: String,
    pub nav: Nav,
    pub workspace: String,
    /// The connected shop's domain.
    pub shop: Option<String>,
    /// What was just done, from the request before.
    pub toast: Option<String>,
    /// What Shopify's admin needs around the page; `None` where the admin stands alone.
    pub bridge: Option<Bridge>,
    /// One of the clients of somebody who signed in with Facebook.
    pub is_client: bool,
    /// Writes numbers, money and times: `{{ shell.f.number(n) }}`.
    pub f: Format,
}

impl Shell {
    pub fn daily(&self) -> &'static [Entry] {
        &DAILY
    }

    pub fn set_up(&self) -> &'static [Entry] {
        &SET_UP
    }

    pub fn is_at(&self, nav: &Nav) -> bool {
        self.nav == *nav
    }
}

#[cfg(test)]
impl Shell {
    /// A shell for rendering templates with samples: Tue, Nov 24, 2026, 9:00 AM in Los Angeles.
    pub fn sample(nav: Nav) -> Self {
        Self {
            title: "Sample".to_owned(),
            nav,
            workspace: "Hollow Pine Coffee".to_owned(),
            shop: Some("hollow-pine.myshopify.com".to_owned()),
            toast: Some("Saved".to_owned()),
            bridge: None,
            is_client: false,
            f: Format::new("America/Los_Angeles", 1_795_539_600_000),
        }
    }
}
