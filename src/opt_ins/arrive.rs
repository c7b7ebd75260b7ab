//! Somebody came through a link, or started the chat: they are recognised, and asked once.

use crate::app::App;
use crate::clock::{DAY, Millis};
use crate::delivery::content::Body;
use crate::delivery::{self, Content, MessageKind, NewMessage};
use crate::links::Tags;
use crate::opt_ins::links::{Arrived, arrived};
use crate::opt_ins::{resolve_reference, stock};
use crate::store::Conn;
use crate::store::ids::{LinkId, SubscriberId};
use crate::subscribers::{self, Known};
use crate::workspaces::PageRef;

/// Meta allows one request a week per person and title (facts/meta.md section 2).
const CARD_EVERY: Millis = 7 * DAY;
/// Characters of the card's title.
const TITLE: usize = 65;
/// What comes back with the card; the link's id follows.
const PAYLOAD: &str = "pagecast:opt_in:";

/// A person came through a link (or started the chat without one, `None`): remembers the source,
/// links the customer, and enqueues the opt-in card unless they are subscribed already or were
/// asked for the same within the week.
pub async fn arrive(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    reference: Option<&str>,
    at: Millis,
) -> anyhow::Result<()> {
    let link = reference.and_then(|text| resolve_reference(&app.keys, text));
    let found = match link {
        Some(link) => arrived(app, conn, page.id, link).await?,
        None => None,
    };
    if let (Some(link), Some(found)) = (link, &found) {
        remember(app, conn, page, id, link, found).await?;
        if let Some((variant, language)) = &found.about {
            stock::ask_for(app, conn, page, id, (variant, *language), at).await?;
        }
    }
    ask(app, conn, page, id, link.filter(|_| found.is_some()), at).await
}

async fn remember(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    link: LinkId,
    found: &Arrived,
) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE subscribers SET opt_in_link_id = $2, source = COALESCE(source, $3),
             checkout_token = COALESCE($4, checkout_token)
         WHERE id = $1",
    )
    .bind(id)
    .bind(link)
    .bind(&found.source)
    .bind(found.checkout_token.as_deref())
    .execute(&mut *conn)
    .await?;
    let mut known = found.known.clone();
    if known.customer_id.is_none()
        && let Some(token) = &found.checkout_token
    {
        known.customer_id = customer_of_checkout(conn, page, token).await?;
    }
    if let Some(customer) = &known.customer_id
        && let Some(more) = subscribers::customer(app, conn, page.workspace, customer).await?
    {
        known = Known {
            email: known.email.or(more.email),
            phone: known.phone.or(more.phone),
            first_name: more.first_name,
            last_name: more.last_name,
            ..known
        };
    }
    subscribers::link_customer(app, conn, id, &known).await
}

async fn customer_of_checkout(
    conn: &mut Conn,
    page: PageRef,
    token: &str,
) -> anyhow::Result<Option<String>> {
    let row: Option<(Option<String>,)> =
        sqlx::query_as("SELECT customer_id FROM checkouts WHERE workspace_id = $1 AND token = $2")
            .bind(page.workspace)
            .bind(token)
            .fetch_optional(&mut *conn)
            .await?;
    if let Some((Some(customer),)) = row {
        return Ok(Some(customer));
    }
    // On the thank-you page the checkout is an order already.
    let row: Option<(Option<String>,)> = sqlx::query_as(
        "SELECT customer_id FROM orders WHERE workspace_id = $1 AND checkout_token = $2 LIMIT 1",
    )
    .bind(page.workspace)
    .bind(token)
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|(customer,)| customer))
}

/// Enqueues the card where there is something to ask.
async fn ask(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    link: Option<LinkId>,
    at: Millis,
) -> anyhow::Result<()> {
    type State = (Option<Millis>, Option<Millis>, Option<Millis>, String);
    let state: Option<State> = sqlx::query_as(
        "SELECT s.opted_in_at, s.opted_out_at, s.card_sent_at, p.name
         FROM subscribers s JOIN pages p ON p.id = s.page_id WHERE s.id = $1",
    )
    .bind(id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((opted_in, opted_out, card_sent, page_name)) = state else {
        return Ok(());
    };
    if opted_in.is_some() && opted_out.is_none() {
        return Ok(());
    }
    let left_since = opted_out > card_sent && link.is_some();
    if card_sent.is_some_and(|sent| at < sent + CARD_EVERY) && !left_since {
        return Ok(());
    }
    send_card(app, conn, page, id, link, &page_name, at).await?;
    Ok(())
}

/// The person asks for it by a word: the card, in other words if they saw it this week already.
/// `false` if Meta allows no further one yet.
pub async fn ask_again(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    at: Millis,
) -> anyhow::Result<bool> {
    let (link, page_name): (Option<LinkId>, String) = sqlx::query_as(
        "SELECT s.opt_in_link_id, p.name
         FROM subscribers s JOIN pages p ON p.id = s.page_id WHERE s.id = $1",
    )
    .bind(id)
    .fetch_one(&mut *conn)
    .await?;
    send_card(app, conn, page, id, link, &page_name, at).await
}

/// Enqueues the card under a title that the person has not seen this week; `false` if there is
/// none left.
async fn send_card(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    link: Option<LinkId>,
    page_name: &str,
    at: Millis,
) -> anyhow::Result<bool> {
    let now = app.clock.now();
    let (asked,): (i64,) = sqlx::query_as(
        "SELECT COUNT(*) FROM messages
         WHERE subscriber_id = $1 AND workspace_id = $2 AND created_at > $3 AND kind = 'card'
           AND status NOT IN ('skipped', 'failed')",
    )
    .bind(id)
    .bind(page.workspace)
    .bind(now - CARD_EVERY)
    .fetch_one(&mut *conn)
    .await?;
    let Some(title) = usize::try_from(asked)
        .ok()
        .and_then(|n| title(page_name, n))
    else {
        return Ok(false);
    };
    let message = NewMessage {
        workspace: page.workspace,
        page: page.id,
        subscriber: id,
        origin: app.ids.next(),
        kind: MessageKind::Card,
        automation: None,
        content: Content {
            body: Body::OptInCard {
                title,
                cta: "SIGN_UP".to_owned(),
                payload: format!("{PAYLOAD}{}", link.map_or(0, |link| link.0)),
            },
            tags: Tags::default(),
        },
        due_at: now,
        expires_at: Some(at + DAY),
    };
    delivery::enqueue(&mut *conn, now, &message).await?;
    sqlx::query("UPDATE subscribers SET card_sent_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at)
        .execute(conn)
        .await?;
    Ok(true)
}

/// The title of a week's first card, and of its second.
fn title(page: &str, nth: usize) -> Option<String> {
    let whole = match nth {
        0 => format!("Offers and news from {page}"),
        1 => format!("Sign up for offers and news from {page}"),
        _ => return None,
    };
    Some(whole.chars().take(TITLE).collect())
}

/// Whether it is a card of ours that came back, or the `ref` of a link of ours.
pub fn is_ours(app: &App, text: &str) -> bool {
    text.starts_with(PAYLOAD) || resolve_reference(&app.keys, text).is_some()
}

/// The source of an accepted card, and the words that were shown: the link's (named by the card's
/// payload, else the one the person came through last) and the card's title.
pub async fn shown(
    app: &App,
    conn: &mut Conn,
    page: PageRef,
    id: SubscriberId,
    payload: Option<&str>,
    card_title: Option<&str>,
) -> anyhow::Result<(Option<String>, Option<String>)> {
    let named = payload
        .and_then(|payload| payload.strip_prefix(PAYLOAD))
        .and_then(|id| id.parse::<i64>().ok())
        .filter(|id| *id != 0)
        .map(LinkId);
    let link = match named {
        Some(link) => Some(link),
        None => {
            let row: Option<(Option<LinkId>,)> =
                sqlx::query_as("SELECT opt_in_link_id FROM subscribers WHERE id = $1")
                    .bind(id)
                    .fetch_optional(&mut *conn)
                    .await?;
            row.and_then(|(link,)| link)
        }
    };
    let found = match link {
        Some(link) => arrived(app, conn, page.id, link).await?,
        None => None,
    };
    let title = card_title.map(str::to_owned);
    Ok(match found {
        Some(found) => {
            let text = match title {
                Some(title) => format!("{}\n{title}", found.consent_text),
                None => found.consent_text,
            };
            (Some(found.source), Some(text))
        }
        None => (None, title),
    })
}
