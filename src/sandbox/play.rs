//! A page on which a reader plays a shopper: the thread as Messenger shows it, and everything a
//! person can do. Plain forms.

use std::fmt::Write;

use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::Value;

use super::auto::{Auto, is_local};
use super::meta::{Line, Meta, Person, SentMessage};
use super::shopify::{Item, Purchase, SHELF, Shopify};

const FRAME: &str = include_str!("play.html");
/// People listed at once; the rest are found by name.
const LISTED: usize = 60;

#[derive(Clone)]
struct Stage {
    meta: Meta,
    shopify: Shopify,
    auto: Auto,
}

#[derive(Deserialize)]
struct Search {
    #[serde(default)]
    q: String,
}

#[derive(Deserialize)]
struct Newcomer {
    name: String,
}

/// What the person does, and with what.
#[derive(Deserialize)]
struct Act {
    verb: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    title: String,
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    said: String,
}

pub(super) fn router(meta: Meta, shopify: Shopify, auto: Auto) -> Router {
    Router::new()
        .route("/play", get(people).post(create))
        .route("/play/{psid}", get(thread))
        .route("/play/{psid}/act", post(act))
        .with_state(Stage {
            meta,
            shopify,
            auto,
        })
}

async fn people(State(stage): State<Stage>, Query(search): Query<Search>) -> Html<String> {
    let wanted = search.q.to_lowercase();
    let all = stage.meta.people();
    let found: Vec<&Person> = all
        .iter()
        .rev()
        .filter(|p| full_name(p).to_lowercase().contains(&wanted))
        .collect();
    let mut body = String::from(
        "<h1>Play a shopper</h1><p>Choose somebody, or come as somebody new.</p>\
         <form method=\"post\" action=\"/play\" class=\"row\"><label>Name \
         <input name=\"name\" required placeholder=\"Ana Silva\"></label>\
         <button>Come as somebody new</button></form>\
         <form class=\"row\"><label>Find <input type=\"search\" name=\"q\"></label>\
         <button>Find</button></form><ul class=\"people\">",
    );
    for person in found.iter().take(LISTED) {
        let _ = write!(
            body,
            "<li><a href=\"/play/{}\">{}</a></li>",
            escape(&person.psid),
            escape(&full_name(person))
        );
    }
    let _ = write!(
        body,
        "</ul><p>{} of {} people.</p>",
        found.len().min(LISTED),
        all.len()
    );
    framed("Play a shopper", &body)
}

async fn create(State(stage): State<Stage>, Form(newcomer): Form<Newcomer>) -> Redirect {
    let name = newcomer.name.trim();
    let person = stage.meta.person(if name.is_empty() {
        "Somebody New"
    } else {
        name
    });
    Redirect::to(&format!("/play/{}", person.psid))
}

async fn thread(
    State(stage): State<Stage>,
    Path(psid): Path<String>,
    Query(said): Query<Said>,
) -> Response {
    let Some(person) = stage.meta.person_by(&psid) else {
        return (StatusCode::NOT_FOUND, "Nobody with this PSID.").into_response();
    };
    let name = escape(&full_name(&person));
    let status = match stage.meta.token_of(&person) {
        Some((_, true)) => "subscribed",
        Some((_, false)) => "has stopped",
        None => "not subscribed",
    };
    let mut body = format!(
        "<p><a href=\"/play\">All people</a></p><h1>{name}</h1><p>{status}</p>\
         <section class=\"thread\" aria-label=\"Messenger\">"
    );
    let lines = stage.meta.thread(&psid);
    if lines.is_empty() {
        body.push_str("<p>No word yet. Open an opt-in link below.</p>");
    }
    for line in &lines {
        match line {
            Line::FromPerson { text } => {
                let _ = write!(body, "<div class=\"me\">{}</div>", escape(text));
            }
            Line::FromPage(message) => bubble(&mut body, &psid, message),
        }
    }
    body.push_str("</section>");
    if !said.said.is_empty() {
        let _ = write!(
            body,
            "<p role=\"status\" class=\"said\">{}</p>",
            escape(&said.said)
        );
    }
    controls(&mut body, &stage, &person);
    framed(&full_name(&person), &body).into_response()
}

async fn act(
    State(stage): State<Stage>,
    Path(psid): Path<String>,
    Form(act): Form<Act>,
) -> Response {
    let Some(person) = stage.meta.person_by(&psid) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let said = match play(&stage, &person, &act).await {
        Ok(said) => said,
        Err(error) => format!("{error:#}"),
    };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("said", &said);
    Redirect::to(&format!("/play/{psid}?{}#now", query.finish())).into_response()
}

async fn play(stage: &Stage, person: &Person, act: &Act) -> anyhow::Result<String> {
    let Stage {
        meta,
        shopify,
        auto,
    } = stage;
    let value = act.value.trim();
    let said = match act.verb.as_str() {
        "follow" => {
            meta.follows(person, &auto.m_me_link(value).await?)?;
            "Opened the link.".to_owned()
        }
        "card" => {
            meta.taps_card(person)?;
            "Subscribed.".to_owned()
        }
        "read" => {
            meta.reads_all(person);
            "Read everything.".to_owned()
        }
        "write" => {
            meta.writes(person, value)?;
            "Sent.".to_owned()
        }
        "reply" => {
            meta.taps_quick_reply(person, &act.title, value)?;
            "Sent.".to_owned()
        }
        "button" => {
            meta.taps_button(person, &act.title, value)?;
            "Tapped.".to_owned()
        }
        "react" => {
            meta.reacts(person)?;
            "Reacted.".to_owned()
        }
        "stop" => {
            meta.stops(person)?;
            "Stopped notifications.".to_owned()
        }
        "resume" => {
            meta.resumes(person)?;
            "Resumed notifications.".to_owned()
        }
        "buy" => {
            let customer = auto.customer_of(&person.psid)?;
            let link = meta
                .sent_to(person)
                .iter()
                .rev()
                .find_map(|m| m.links.first().cloned());
            let landing_site = match link.filter(|l| act.title == "link" && is_local(l)) {
                Some(link) => Some(auto.landing_site_of(&link).await?),
                None => None,
            };
            let price = SHELF
                .iter()
                .find(|(title, _)| *title == value)
                .map_or("24.00", |s| s.1);
            let items = vec![Item::new(value, price, 1)];
            let id = shopify.buys(
                &customer,
                &Purchase {
                    items,
                    landing_site,
                    ..Purchase::default()
                },
            )?;
            format!("Bought: order {id}.")
        }
        "refund" => {
            let order_id: i64 = value.parse()?;
            let total = shopify.total_of(order_id).unwrap_or_default();
            shopify.refunds(order_id, &total)?;
            "Refunded.".to_owned()
        }
        "abandon" => {
            let customer = auto.customer_of(&person.psid)?;
            shopify.abandons_checkout(&customer, &[Item::new("Cold Brew Kit", "34.00", 1)])?;
            "Left a checkout behind.".to_owned()
        }
        other => anyhow::bail!("nobody knows how to {other}"),
    };
    Ok(said)
}

fn controls(body: &mut String, stage: &Stage, person: &Person) {
    let psid = escape(&person.psid);
    let form = |verb: &str, inner: &str| {
        format!(
            "<form method=\"post\" action=\"/play/{psid}/act\" class=\"row\">\
             <input type=\"hidden\" name=\"verb\" value=\"{verb}\">{inner}</form>"
        )
    };
    body.push_str(
        "<section id=\"now\" class=\"controls\" aria-label=\"What to do\"><h2>Messenger</h2>",
    );
    body.push_str(&form(
        "follow",
        "<label>Opt-in link or landing page <input name=\"value\" type=\"url\" required placeholder=\"https://m.me/…?ref=…\"></label><button>Open</button>",
    ));
    body.push_str(&form(
        "write",
        "<label>Message <input name=\"value\" required placeholder=\"STOP\"></label><button>Send</button>",
    ));
    body.push_str(&form("read", "<button>Read everything</button>"));
    body.push_str(&form("react", "<button>React to the last message</button>"));
    match stage.meta.token_of(person) {
        Some((_, true)) => body.push_str(&form("stop", "<button>Stop notifications</button>")),
        Some((_, false)) => body.push_str(&form("resume", "<button>Resume notifications</button>")),
        None => {}
    }
    let products: String = SHELF
        .iter()
        .map(|(title, price)| {
            format!(
                "<option value=\"{0}\">{0}, ${price}</option>",
                escape(title)
            )
        })
        .collect();
    body.push_str("<h2>Shop</h2>");
    body.push_str(&form(
        "buy",
        &format!(
            "<label>Product <select name=\"value\">{products}</select></label>\
             <label>Came <select name=\"title\"><option value=\"link\">through the last link</option>\
             <option value=\"\">directly</option></select></label><button>Buy</button>"
        ),
    ));
    body.push_str(&form("abandon", "<button>Leave a checkout behind</button>"));
    let orders = stage
        .auto
        .known_customer(&person.psid)
        .and_then(|customer| stage.shopify.orders_by(&customer).ok())
        .unwrap_or_default();
    for (id, name, total) in orders {
        let inner = format!(
            "<input type=\"hidden\" name=\"value\" value=\"{id}\"><span>{} ({})</span><button>Refund</button>",
            escape(&name),
            escape(&total)
        );
        body.push_str(&form("refund", &inner));
    }
    body.push_str("</section>");
}

/// One message of the Page, as Messenger would draw it.
fn bubble(body: &mut String, psid: &str, message: &SentMessage) {
    body.push_str("<div class=\"page\">");
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    if let Some(said) = message.body.get("text") {
        let _ = write!(body, "<p>{}</p>", text(said));
    }
    let payload = &message.body["attachment"]["payload"];
    match message.kind.as_str() {
        "opt_in_card" => {
            let _ = write!(body, "<p><strong>{}</strong></p>", escape(&message.text));
            tap(body, psid, "card", "", "", "Get messages");
        }
        "coupon" => {
            let _ = write!(body, "<p><strong>{}</strong></p>", text(&payload["title"]));
            let _ = write!(
                body,
                "<p><code>{}</code></p>",
                text(&payload["coupon_code"])
            );
            if let Some(url) = payload["coupon_url"].as_str() {
                link(body, url, "Use it");
            }
        }
        _ => {
            if let Some(said) = payload["text"].as_str() {
                let _ = write!(body, "<p>{}</p>", escape(said));
            }
            buttons(body, psid, &payload["buttons"]);
            for card in payload["elements"].as_array().into_iter().flatten() {
                body.push_str("<div class=\"card\">");
                let _ = write!(body, "<strong>{}</strong>", text(&card["title"]));
                if let Some(subtitle) = card["subtitle"].as_str() {
                    let _ = write!(body, "<p>{}</p>", escape(subtitle));
                }
                buttons(body, psid, &card["buttons"]);
                body.push_str("</div>");
            }
            if let Some(url) = payload["url"].as_str() {
                let _ = write!(
                    body,
                    "<p>{} <code>{}</code></p>",
                    escape(&message.kind),
                    escape(url)
                );
            }
        }
    }
    for reply in message.body["quick_replies"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let title = reply["title"].as_str().unwrap_or("Share");
        tap(
            body,
            psid,
            "reply",
            reply["payload"].as_str().unwrap_or_default(),
            title,
            title,
        );
    }
    let state = match (message.read_at, message.delivered_at) {
        (Some(_), _) => "read",
        (None, Some(_)) => "delivered",
        (None, None) => "sent",
    };
    let _ = write!(body, "<small>{state}</small></div>");
}

fn buttons(body: &mut String, psid: &str, list: &Value) {
    for button in list.as_array().into_iter().flatten() {
        let title = button["title"].as_str().unwrap_or_default();
        if let Some(url) = button["url"].as_str() {
            link(body, url, title);
        } else {
            let payload = button["payload"].as_str().unwrap_or_default();
            tap(body, psid, "button", payload, title, title);
        }
    }
}

fn link(body: &mut String, url: &str, title: &str) {
    let _ = write!(
        body,
        "<a class=\"button\" target=\"_blank\" rel=\"noopener\" href=\"{}\">{}</a>",
        escape(url),
        escape(title)
    );
}

fn tap(body: &mut String, psid: &str, verb: &str, value: &str, title: &str, label: &str) {
    let _ = write!(
        body,
        "<form method=\"post\" action=\"/play/{}/act\"><input type=\"hidden\" name=\"verb\" value=\"{verb}\">\
         <input type=\"hidden\" name=\"value\" value=\"{}\"><input type=\"hidden\" name=\"title\" value=\"{}\">\
         <button>{}</button></form>",
        escape(psid),
        escape(value),
        escape(title),
        escape(label)
    );
}

fn framed(title: &str, body: &str) -> Html<String> {
    Html(
        FRAME
            .replace("{title}", &escape(title))
            .replace("{body}", body),
    )
}

fn full_name(person: &Person) -> String {
    format!("{} {}", person.first_name, person.last_name)
        .trim()
        .to_owned()
}

/// Text as HTML shows it.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
