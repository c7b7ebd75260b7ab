//! Connections: what works, what is missing, and how to mend it.

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use secrecy::ExposeSecret;

use crate::app::App;
use crate::klaviyo::segments::GroupKind;
use crate::profiles;
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::format::{Format, number};
use crate::web::pages::page_card::{self, PageCard};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::workspaces;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/connections", get(show))
        .route("/app/connections/check", post(check))
        .route("/app/connections/invite", post(invite))
        .route("/app/connections/invite/end", post(withdraw))
        .route("/app/connections/pages/{page}/disconnect", post(disconnect))
        .route("/app/connections/klaviyo/names", post(refresh_names))
}

#[derive(Template)]
#[template(path = "connections/connections.html")]
struct Connections {
    shell: Shell,
    pages: Vec<PageCard>,
    shop: Option<ShopCard>,
    klaviyo: KlaviyoCard,
    groups: Vec<GroupRow>,
    flow_url: String,
    flow_key: String,
    flow_body: String,
    commands: Vec<Command>,
    zone: String,
    invitations: i64,
}

struct ShopCard {
    name: String,
    domain: String,
    currency: String,
    installed: String,
    /// Only the merchant opening the app in Shopify brings a token that works.
    needs_reauth: bool,
}

struct KlaviyoCard {
    connected: bool,
    status: &'static str,
    status_words: &'static str,
    attention: Option<String>,
}

struct GroupRow {
    name: String,
    kind: &'static str,
    members: String,
    reachable: String,
    synced: String,
    problem: String,
}

struct Command {
    id: &'static str,
    title: &'static str,
    line: String,
    words: &'static str,
}

/// What a Klaviyo flow's webhook action needs; also shown beside automations that wait for one.
#[derive(Clone, Debug)]
pub(super) struct FlowSetup {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) body: String,
}

pub(super) async fn flow_setup(
    app: &App,
    ws: WorkspaceId,
    event: &str,
) -> Result<FlowSetup, Error> {
    Ok(FlowSetup {
        url: format!(
            "{}/webhooks/klaviyo/{ws}/flow",
            app.config.public_url.trim_end_matches('/')
        ),
        key: workspaces::flow_key(app, ws)
            .await?
            .expose_secret()
            .to_owned(),
        body: flow_body(event),
    })
}

/// The body with Klaviyo's own placeholders for the person.
fn flow_body(event: &str) -> String {
    let event = serde_json::Value::from(event);
    format!(
        "{{\n  \"event\": {event},\n  \"email\": \"{{{{ email }}}}\",\n  \"profile_id\": \"{{{{ person.KlaviyoID }}}}\"\n}}"
    )
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    let app = &web.app;
    let ws = session.workspace.id;
    let pages = workspaces::pages(app, ws).await?;
    page(&view(
        &session,
        page_card::cards(app, &session.format(), pages).await?,
        workspaces::shop(app, ws).await?,
        workspaces::klaviyo_state(app, ws).await?,
        profiles::groups(app, ws).await?,
        flow_setup(app, ws, "Win back").await?,
        workspaces::open_invitations(app, ws).await?,
    ))
}

fn view(
    session: &Session,
    pages: Vec<PageCard>,
    shop: Option<workspaces::Shop>,
    klaviyo: Option<(String, Option<String>)>,
    groups: Vec<profiles::Group>,
    flow: FlowSetup,
    invitations: i64,
) -> Connections {
    let f = &session.format();
    Connections {
        pages,
        shop: shop.map(|shop| ShopCard {
            name: shop.name.unwrap_or_else(|| shop.domain.as_str().to_owned()),
            domain: shop.domain.as_str().to_owned(),
            currency: shop.currency.unwrap_or_else(|| "Not known".to_owned()),
            installed: f.time(shop.installed_at),
            needs_reauth: shop.needs_reauth,
        }),
        klaviyo: klaviyo_card(klaviyo),
        groups: groups
            .into_iter()
            .map(|group| group_row(f, group))
            .collect(),
        flow_url: flow.url,
        flow_key: flow.key,
        flow_body: flow.body,
        commands: commands(session.workspace.id),
        zone: f.zone(),
        invitations,
        shell: session.shell(Nav::Connections, "Connections"),
    }
}

/// Looks at every Page at Meta now.
async fn check(State(web): State<Web>, session: Session) -> Answer {
    workspaces::check_pages(&web.app, session.ws()).await?;
    Ok(see_other_saying("/app/connections", "Checked at Meta"))
}

#[derive(Template)]
#[template(path = "connections/invited.html")]
struct Invited {
    shell: Shell,
    url: String,
}

/// A link for somebody else to connect a Page with; shown once.
async fn invite(State(web): State<Web>, session: Session) -> Answer {
    page(&Invited {
        url: workspaces::invite(&web.app, session.ws()).await?,
        shell: session.shell(Nav::Connections, "Invitation"),
    })
}

async fn withdraw(State(web): State<Web>, session: Session) -> Answer {
    workspaces::withdraw_invitations(&web.app, session.ws()).await?;
    Ok(see_other_saying(
        "/app/connections",
        "The invitations have ended",
    ))
}

async fn disconnect(State(web): State<Web>, session: Session, Path(page): Path<String>) -> Answer {
    let id: PageRowId = page.parse().map_err(|_| Error::NotFound)?;
    if !workspaces::disconnect_page(&web.app, session.ws(), id).await? {
        return Err(Error::NotFound);
    }
    Ok(see_other_saying(
        "/app/connections",
        "The Page is disconnected",
    ))
}

/// Asks Klaviyo for the names of its segments and lists.
async fn refresh_names(State(web): State<Web>, session: Session) -> Answer {
    let app = &web.app;
    let ws = session.workspace.id;
    if workspaces::klaviyo_state(app, ws).await?.is_none() {
        return Err(Error::NotFound);
    }
    match profiles::refresh_names(app, ws).await {
        Ok(()) => {
            let toast = match profiles::groups(app, ws).await?.len() {
                0 => "Klaviyo has no segments or lists yet".to_owned(),
                n => format!("Segments and lists known: {n}"),
            };
            Ok(see_other_saying("/app/connections", &toast))
        }
        Err(error) => {
            tracing::warn!(workspace.id = %ws, "Klaviyo's segments could not be read: {error:#}");
            Ok(see_other_saying(
                "/app/connections",
                "Klaviyo did not answer. Try again in a minute.",
            ))
        }
    }
}

fn klaviyo_card(state: Option<(String, Option<String>)>) -> KlaviyoCard {
    match state {
        None => KlaviyoCard {
            connected: false,
            status: "off",
            status_words: "Not connected",
            attention: None,
        },
        Some((state, attention)) if state == "active" => KlaviyoCard {
            connected: true,
            status: if attention.is_some() {
                "attention"
            } else {
                "ok"
            },
            status_words: if attention.is_some() {
                "Needs attention"
            } else {
                "Connected"
            },
            attention,
        },
        Some((_, attention)) => KlaviyoCard {
            connected: true,
            status: "broken",
            status_words: "Not working",
            attention: Some(
                attention
                    .unwrap_or_else(|| "Klaviyo does not accept our access any more.".to_owned()),
            ),
        },
    }
}

fn group_row(f: &Format, group: profiles::Group) -> GroupRow {
    let synced = group.synced_at.map(|at| f.time(at));
    let counted = |n: i64| synced.as_ref().map(|_| number(n)).unwrap_or_default();
    GroupRow {
        kind: match group.kind {
            GroupKind::Segment => "Segment",
            GroupKind::List => "List",
        },
        members: counted(group.members),
        reachable: counted(group.reachable),
        synced: synced
            .clone()
            .unwrap_or_else(|| "Not yet; counted once a campaign names it".to_owned()),
        problem: group.problem.unwrap_or_default(),
        name: if group.name.is_empty() {
            group.id
        } else {
            group.name
        },
    }
}

fn commands(ws: WorkspaceId) -> Vec<Command> {
    vec![
        Command {
            id: "connect-shop",
            title: "Connect the shop",
            line: format!(
                "pagecast connect shop --workspace {ws} --shop your-shop.myshopify.com --token-file token.txt"
            ),
            words: "With the Admin API token of your Shopify app. Name, currency and time zone come from the shop.",
        },
        Command {
            id: "connect-page",
            title: "Connect a Facebook Page, or connect it again",
            line: format!(
                "pagecast connect page --workspace {ws} --page PAGE_ID --token-file page.txt --ad-account act_ID --ad-token-file ads.txt"
            ),
            words: "Subscribes the Page’s events and sets its Get Started button. Without an ad account leave out the last two; paid messages are then not possible.",
        },
        Command {
            id: "connect-klaviyo",
            title: "Connect Klaviyo",
            line: format!(
                "pagecast connect klaviyo --workspace {ws} --private-key-file klaviyo.txt"
            ),
            words: "With a private key, or with --refresh-token-file for an OAuth app. Prints the header for flows.",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shopify::ShopDomain;
    use crate::store::ids::ShopId;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    #[test]
    fn the_flow_body_is_json_that_klaviyo_fills_in() {
        let body = flow_body("He said \"hi\"");
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(value["event"], "He said \"hi\"");
        assert_eq!(value["email"], "{{ email }}");
    }

    #[test]
    fn klaviyo_in_trouble_says_so_even_without_words() {
        let card = klaviyo_card(Some(("needs_reconnect".to_owned(), None)));
        assert_eq!(card.status, "broken");
        assert!(card.attention.is_some());
        assert!(!klaviyo_card(None).connected);
    }

    fn flow() -> FlowSetup {
        FlowSetup {
            url: "https://pagecast.example/webhooks/klaviyo/ws_1/flow".to_owned(),
            key: "fk".to_owned(),
            body: flow_body("Win back"),
        }
    }

    fn sample_page(state: &str, attention: Option<&str>, paid: bool) -> workspaces::Page {
        workspaces::Page {
            id: PageRowId(1),
            workspace: WorkspaceId(1),
            meta_id: "1234".to_owned(),
            name: "Hollow Pine <Coffee>".to_owned(),
            token: Some("t".to_owned().into()),
            ad_account: paid.then(|| "act_9".to_owned()),
            ad_token: paid.then(|| "a".to_owned().into()),
            state: state.to_owned(),
            attention: attention.map(str::to_owned),
            connected_at: NOW,
            login: None,
            setup_due_at: None,
        }
    }

    #[test]
    fn nothing_connected_says_how_to_begin() {
        let html = html(&view(
            &session(),
            Vec::new(),
            None,
            None,
            Vec::new(),
            flow(),
            2,
        ));
        clean(&html);
        for part in [
            "pagecast connect shop --workspace ws_",
            "pagecast connect page --workspace ws_",
            "pagecast connect klaviyo --workspace ws_",
            "X-Pagecast-Key",
            "Not connected",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }

    #[test]
    fn each_page_says_what_is_wrong_and_what_is_missing_and_no_token_shows() {
        let pages = vec![
            sample_page("active", None, true),
            sample_page("needs_reconnect", Some("The password changed."), true),
            sample_page("active", None, false),
            sample_page("active", Some("Meta limits the Page until Friday."), true),
        ];
        let health = workspaces::Health {
            checked_at: Some(NOW),
            ..workspaces::Health::default()
        };
        let card = |page| {
            page_card::card(
                &session().format(),
                page,
                &health,
                workspaces::Stops::default(),
            )
        };
        let mut pages: Vec<PageCard> = pages.into_iter().map(card).collect();
        for (i, page) in pages.iter_mut().enumerate() {
            page.id = format!("pag_{i}");
        }
        let statuses: Vec<&str> = pages.iter().map(|page| page.status).collect();
        assert_eq!(statuses, ["ok", "broken", "ok", "attention"]);
        let shop = workspaces::Shop {
            id: ShopId(1),
            workspace: WorkspaceId(1),
            domain: ShopDomain::parse("pine.myshopify.com").unwrap(),
            name: None,
            currency: Some("USD".to_owned()),
            installed_at: NOW,
            needs_reauth: true,
        };
        let group = profiles::Group {
            kind: GroupKind::Segment,
            id: "Xy1".to_owned(),
            name: String::new(),
            members: 1200,
            reachable: 900,
            synced_at: Some(NOW),
            problem: None,
        };
        let klaviyo = Some(("active".to_owned(), None));
        let html = html(&view(
            &session(),
            pages,
            Some(shop),
            klaviyo,
            vec![group],
            flow(),
            0,
        ));
        clean(&html);
        for part in [
            "The password changed.",
            "Disconnect Hollow Pine",
            "pine.myshopify.com",
            "Xy1",
            "Shopify no longer accepts our access",
        ] {
            assert!(html.contains(part), "{part}");
        }
    }
}
