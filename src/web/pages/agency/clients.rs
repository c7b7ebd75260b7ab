//! The list of clients and their sums.

use std::collections::BTreeMap;

use askama::Template;
use axum::response::Response;

use crate::analytics::{self, Glance};
use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::web::pages::answer::{Answer, page as answer};
use crate::web::pages::fields::Fields;
use crate::web::pages::format::{Format, money, number};
use crate::web::pages::listing::Tab;
use crate::web::pages::words::initials;
use crate::workspaces::{self, Client, Role, Visit};

const SPAN: Millis = 30 * DAY;

#[derive(Template)]
#[template(path = "agency/clients.html")]
struct Clients {
    person: String,
    all: usize,
    tiles: Vec<Tile>,
    tabs: Vec<Tab>,
    rows: Vec<Row>,
    query: String,
    show: &'static str,
    days: String,
}

struct Tile {
    title: &'static str,
    figure: String,
    delta: String,
    note: String,
}

struct Row {
    id: String,
    name: String,
    initials: String,
    shop: String,
    status: &'static str,
    status_words: &'static str,
    what: Option<(String, String)>,
    access: String,
    subscribers: String,
    net: String,
    net_delta: Option<(&'static str, String)>,
    next: String,
    last: String,
}

/// Every client of the person, filtered as asked.
pub(super) async fn page(app: &App, visit: &Visit, fields: &Fields) -> Answer {
    let now = app.clock.now();
    let mut seen = Vec::new();
    for client in workspaces::clients(app, visit.person).await? {
        let glance = analytics::glance(app, client.workspace_id, now - SPAN, now).await?;
        seen.push((client, glance));
    }
    let person = workspaces::person_name(app, visit.person).await?;
    let response: Response = answer(&view(
        person.unwrap_or_else(|| "You".to_owned()),
        seen,
        fields.get("q"),
        fields.get("show"),
        now,
    ))?;
    Ok(response)
}

fn view(
    person: String,
    mut seen: Vec<(Client, Glance)>,
    query: &str,
    show: &str,
    now: Millis,
) -> Clients {
    seen.sort_by_key(|(client, glance)| (urgency(glance), client.name.to_lowercase()));
    let all = seen.len();
    let needing = seen.iter().filter(|(_, g)| urgency(g) < 2).count();
    let show = if show == "needs" { "needs" } else { "all" };
    let wanted = query.to_lowercase();
    let rows: Vec<Row> = seen
        .iter()
        .filter(|(_, glance)| show == "all" || urgency(glance) < 2)
        .filter(|(client, _)| {
            let shop = client.shop.as_deref().unwrap_or_default();
            wanted.is_empty()
                || client.name.to_lowercase().contains(&wanted)
                || shop.contains(&wanted)
        })
        .map(|(client, glance)| row(client, glance, now))
        .collect();
    let tab = |label, key, n: usize| {
        let href = if key == "all" {
            "/app/agency".to_owned()
        } else {
            format!("/app/agency?show={key}")
        };
        Tab::new(label, href, show == key).counting(n.to_string())
    };
    let utc = Format::new("UTC", now);
    Clients {
        tiles: tiles(&seen, needing),
        tabs: vec![tab("All", "all", all), tab("Need you", "needs", needing)],
        rows,
        query: query.to_owned(),
        show,
        days: format!("{} to {}", utc.day(now - SPAN), utc.day(now)),
        person,
        all,
    }
}

/// 0: something cannot send; 1: something needs somebody; 2: all is well.
fn urgency(glance: &Glance) -> u8 {
    match glance.needs.first().map(|need| need.tone) {
        Some("bad") => 0,
        Some(_) => 1,
        None => 2,
    }
}

fn tiles(seen: &[(Client, Glance)], needing: usize) -> Vec<Tile> {
    let broken = seen.iter().filter(|(_, g)| urgency(g) == 0).count();
    let sum = |of: fn(&Glance) -> i64| seen.iter().map(|(_, glance)| of(glance)).sum::<i64>();
    let mut net: BTreeMap<&str, i64> = BTreeMap::new();
    for (_, glance) in seen {
        for revenue in &glance.overview.revenue {
            *net.entry(&revenue.currency).or_default() += revenue.net();
        }
    }
    let mut net: Vec<(&str, i64)> = net.into_iter().collect();
    net.sort_by_key(|(_, minor)| -minor);
    let (main, others) = match net.split_first() {
        Some(((currency, minor), others)) => (money(*minor, currency), others),
        None => ("–".to_owned(), &[][..]),
    };
    let others: Vec<String> = others
        .iter()
        .map(|(currency, minor)| money(*minor, currency))
        .collect();
    let (sent, delivered) = (
        sum(|g| g.overview.sent.now),
        sum(|g| g.overview.delivered.now),
    );
    vec![
        Tile {
            title: "Need you",
            figure: number(i64::try_from(needing).unwrap_or(i64::MAX)),
            delta: match broken {
                0 => "None is stopped".to_owned(),
                n => format!("{n} cannot send"),
            },
            note: "Problems come first in the list.".to_owned(),
        },
        Tile {
            title: "Net revenue",
            figure: main,
            delta: if others.is_empty() {
                "Credited to messages".to_owned()
            } else {
                format!("and {}", others.join(", "))
            },
            note: "All clients; currencies are not added to each other.".to_owned(),
        },
        Tile {
            title: "Subscribers",
            figure: number(sum(|g| g.overview.subscribers.now)),
            delta: format!(
                "{} joined, {} left",
                number(sum(|g| g.overview.joined)),
                number(sum(|g| g.overview.left))
            ),
            note: "People who may be written to today.".to_owned(),
        },
        Tile {
            title: "Sent",
            figure: number(sent),
            delta: format!("{} delivered", number(delivered)),
            note: "Campaigns and automations.".to_owned(),
        },
    ]
}

fn row(client: &Client, glance: &Glance, now: Millis) -> Row {
    let f = Format::new(&client.timezone, now);
    let (status, status_words) = match urgency(glance) {
        0 => ("broken", "Cannot work"),
        1 => ("attention", "Needs you"),
        _ => ("ok", "All well"),
    };
    let overview = &glance.overview;
    let main = overview.revenue.first();
    let before = main.and_then(|main| {
        let same = |other: &&analytics::Revenue| other.currency == main.currency;
        overview.revenue_before.iter().find(same)
    });
    Row {
        id: client.workspace_id.to_string(),
        initials: initials(&client.name),
        name: client.name.clone(),
        shop: client
            .shop
            .clone()
            .unwrap_or_else(|| "No shop connected".to_owned()),
        status,
        status_words,
        what: glance
            .needs
            .first()
            .map(|need| (need.title.clone(), need.detail.clone())),
        access: access(client),
        subscribers: number(overview.subscribers.now),
        net: main.map_or_else(
            || "–".to_owned(),
            |main| f.money(main.net(), &main.currency),
        ),
        net_delta: main.zip(before).and_then(|(main, before)| {
            let (now, was) = (main.net(), before.net());
            let permille = (was > 0).then(|| (now - was) * 1000 / was)?;
            let sign = if permille < 0 { "▼" } else { "▲" };
            let tone = if permille < 0 { "bad" } else { "good" };
            let size = permille.abs();
            Some((tone, format!("{sign} {}.{}%", size / 10, size % 10)))
        }),
        next: glance.next_send.map(|at| f.time(at)).unwrap_or_default(),
        last: glance.last_campaign.clone().unwrap_or_default(),
    }
}

/// What the person may do there, and whence.
fn access(client: &Client) -> String {
    let role = match client.role() {
        Role::Analyst => "You may look",
        Role::Manager | Role::Owner => "You may work",
    };
    match client.via.as_str() {
        "people" => format!("{role}, by your own role on the Page"),
        business => format!("{role}, as partner through {business}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::{Needs, Overview};
    use crate::web::pages::listing::samples::{NOW, clean, html};

    fn client(name: &str, via: &str) -> Client {
        Client::sample(name, "manager", via)
    }

    fn glance(tone: Option<&'static str>) -> Glance {
        Glance {
            needs: tone
                .map(|tone| Needs {
                    tone,
                    title: "Connect Pine again".to_owned(),
                    detail: "The password <changed>.".to_owned(),
                    action: None,
                })
                .into_iter()
                .collect(),
            overview: Overview::default(),
            next_send: Some(NOW),
            last_campaign: None,
        }
    }

    #[test]
    fn problems_come_first_and_the_tab_shows_only_them() {
        let seen = || {
            vec![
                (client("Aspen", "people"), glance(None)),
                (client("Birch", "Brightwater"), glance(Some("warn"))),
                (client("Cedar", "people"), glance(Some("bad"))),
            ]
        };
        let names = |view: &Clients| {
            let names: Vec<String> = view.rows.iter().map(|row| row.name.clone()).collect();
            names.join(" ")
        };
        let all = view("Ines".to_owned(), seen(), "", "", NOW);
        assert_eq!(names(&all), "Cedar Birch Aspen");
        let html = html(&all);
        clean(&html);
        assert!(html.contains("as partner through Brightwater"));
        assert!(!html.contains("<changed>"));
        let some = view("Ines".to_owned(), seen(), "", "needs", NOW);
        assert_eq!(names(&some), "Cedar Birch");
        let found = view("Ines".to_owned(), seen(), "asp", "", NOW);
        assert_eq!(names(&found), "Aspen");
    }

    #[test]
    fn without_a_client_the_page_says_how_one_comes_here() {
        let html = html(&view("Ines".to_owned(), Vec::new(), "", "", NOW));
        clean(&html);
        assert!(html.contains("No client yet"));
    }
}
