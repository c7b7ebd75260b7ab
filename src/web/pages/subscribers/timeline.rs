//! What happened with one person, newest first: consent, messages, clicks, orders in one line.

use crate::analytics::LogEntry;
use crate::attribution::Order;
use crate::clock::Millis;
use crate::subscribers::Consent;
use crate::web::pages::format::Format;
use crate::web::pages::orders::{matched, span_words, touch_words};
use crate::web::pages::words;

pub(super) struct Day {
    pub(super) label: String,
    pub(super) entries: Vec<Entry>,
}

pub(super) struct Entry {
    pub(super) at: Millis,
    /// `consent`, `stop`, `order` or nothing: the colour of the dot.
    pub(super) tone: &'static str,
    pub(super) icon: &'static str,
    /// The sentence: before the link, the link, after it.
    pub(super) before: String,
    pub(super) link: Option<Anchor>,
    pub(super) after: String,
    pub(super) badge: Option<Badge>,
    pub(super) said: Option<String>,
    pub(super) note: String,
    pub(super) when: String,
}

pub(super) struct Anchor {
    pub(super) href: String,
    pub(super) text: String,
}

pub(super) struct Badge {
    pub(super) status: String,
    pub(super) words: String,
}

pub(super) fn consent(f: &Format, row: &Consent) -> Entry {
    let joined = row.action == "opted_in";
    let means = match row.means.as_str() {
        "card" => "on the opt-in card",
        "webhook" if joined => "in Messenger’s own menu",
        "webhook" => "in Messenger’s own menu, with STOP",
        "keyword" if joined => "by writing a word like START",
        "keyword" => "by writing a word like STOP",
        "send_error" => "as Meta told us when we wanted to write",
        "resync" => "as Meta’s own list says",
        "merchant" => "by you, here or through the API",
        "erasure" => "by asking that their data be erased",
        _ => "",
    };
    let source = row.source.as_deref().filter(|_| joined).map(words::source);
    Entry {
        at: row.at,
        tone: if joined { "consent" } else { "stop" },
        icon: if joined { "user-plus" } else { "bell-off" },
        before: if joined { "Opted in" } else { "Opted out" }.to_owned(),
        link: None,
        after: if means.is_empty() {
            String::new()
        } else {
            format!(" {means}")
        },
        badge: None,
        said: row
            .text_shown
            .clone()
            .filter(|text| joined && !text.trim().is_empty()),
        note: source
            .map(|source| format!("Came in through: {source}."))
            .unwrap_or_default(),
        when: f.clock(row.at),
    }
}

pub(super) fn message(f: &Format, row: &LogEntry) -> Vec<Entry> {
    let at = row.sent_at.unwrap_or(row.due_at);
    let state = furthest(row);
    let verb = match row.status.as_str() {
        "sent" => "Sent",
        "failed" => "Could not send",
        "skipped" => "Did not send",
        "unknown" => "Perhaps sent",
        _ => "Will send",
    };
    let thing = match row.kind.as_str() {
        "card" => " the opt-in card",
        "reply" => " a confirmation",
        "test" => " a test of",
        _ if row.about.is_none() => " a message",
        _ => "",
    };
    let mut when = vec![f.clock(at)];
    for (word, at) in [("delivered", row.delivered_at), ("read", row.read_at)] {
        if let Some(at) = at {
            when.push(format!("{word} {}", f.clock(at)));
        }
    }
    let why = row.reason.as_deref().map(words::reason);
    let note = [why.as_deref(), row.detail.as_deref()]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(": ");
    let about = about(row);
    let mut entries = vec![Entry {
        at,
        tone: "",
        icon: if row.status == "skipped" {
            "ban"
        } else {
            "send"
        },
        before: format!("{verb}{thing}"),
        link: about,
        after: match row.channel.as_deref() {
            Some("marketing_message") => ", paid message",
            Some("standard") => ", in the free window",
            Some("utility") => ", order update",
            _ => "",
        }
        .to_owned(),
        badge: Some(Badge {
            words: words::status(state),
            status: state.to_owned(),
        }),
        said: None,
        note,
        when: when.join(", "),
    }];
    if let Some(clicked) = row.clicked_at {
        entries.push(Entry {
            at: clicked,
            tone: "",
            icon: "mouse-pointer-click",
            before: "Clicked in".to_owned(),
            link: about_or_message(row),
            after: String::new(),
            badge: None,
            said: None,
            note: String::new(),
            when: f.clock(clicked),
        });
    }
    entries
}

pub(super) fn order(f: &Format, row: &Order) -> Entry {
    let credit = row.credit.as_ref();
    Entry {
        at: row.ordered_at,
        tone: "order",
        icon: "shopping-bag",
        before: "Ordered".to_owned(),
        link: Some(Anchor {
            href: format!("/app/orders/{}", row.id),
            text: row.name.clone(),
        }),
        after: format!(
            ", {}{}",
            f.money(row.total, &row.currency),
            credit.map_or_else(String::new, |credit| format!(", owed to {}", credit.name))
        ),
        badge: row.cancelled_at.map(|_| Badge {
            status: "cancelled".to_owned(),
            words: "Cancelled".to_owned(),
        }),
        said: None,
        note: credit.map_or_else(String::new, |credit| {
            format!(
                "Matched by {}, {} after the {}.",
                matched(&credit.matched_by).phrase,
                span_words(row.ordered_at - credit.touch_at),
                touch_words(&credit.touch_kind)
            )
        }),
        when: f.clock(row.ordered_at),
    }
}

/// Sorts newest first and puts each day under its own heading.
pub(super) fn days(f: &Format, mut entries: Vec<Entry>) -> Vec<Day> {
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.at));
    let mut days: Vec<Day> = Vec::new();
    for entry in entries {
        let label = f.day(entry.at);
        match days.last_mut() {
            Some(day) if day.label == label => day.entries.push(entry),
            _ => days.push(Day {
                label,
                entries: vec![entry],
            }),
        }
    }
    days
}

/// A sent message's badge says how far it got.
pub(in crate::web::pages) fn furthest(row: &LogEntry) -> &str {
    if row.status != "sent" {
        &row.status
    } else if row.clicked_at.is_some() {
        "clicked"
    } else if row.read_at.is_some() {
        "read"
    } else if row.delivered_at.is_some() {
        "delivered"
    } else {
        "sent"
    }
}

fn about(row: &LogEntry) -> Option<Anchor> {
    let text = row.about.clone()?;
    let id = row.about_id.as_deref()?;
    let section = if id.starts_with("aut_") {
        "automations"
    } else {
        "campaigns"
    };
    Some(Anchor {
        href: format!("/app/{section}/{id}"),
        text,
    })
}

fn about_or_message(row: &LogEntry) -> Option<Anchor> {
    about(row).or_else(|| {
        Some(Anchor {
            href: "?show=messages#happened".to_owned(),
            text: "a message".to_owned(),
        })
    })
}
