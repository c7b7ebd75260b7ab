//! The app proxy: what the storefront asks us through the shop's own domain. Shopify's signature
//! is checked before any parameter is read. What is the same for every shopper may be kept; about
//! anybody there is one word only, for the one whom Shopify says is signed in.

use axum::extract::{Extension, OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use crate::app::App;
use crate::opt_ins::{self, Language, Link, LinkError};
use crate::shopify::ShopDomain;
use crate::shopify::auth::{SignedQuery, Verifier};
use crate::web::Web;
use crate::web::limits::Limits;
use crate::web::stock::stock;
use crate::workspaces::{self, Shop};

/// A storefront may keep an answer this long.
const KEEP: &str = "public, max-age=300";
/// Calls a shop may make at once, and how many come back each second, in each process. Kept
/// answers make it plenty.
const BURST: i64 = 500;
const A_SECOND: i64 = 50;

/// Where in the storefront somebody may opt in, and what the list of links calls it.
const PLACES: [(&str, &str); 3] = [
    ("storefront", "Storefront"),
    ("qr", "Storefront, QR code"),
    ("checkout", "Thank-you page"),
];

/// Only a signed call reaches a bucket, so nobody else can empty it.
pub(super) type ByShop = Limits<ShopDomain>;

pub fn router() -> Router<Web> {
    Router::new()
        .route("/proxy/config", get(config))
        .route("/proxy/opt-in", get(opt_in))
        .route("/proxy/me", get(me))
        .route("/proxy/stock", get(stock))
        .route("/proxy", get(unknown))
        .route("/proxy/{*path}", get(unknown))
        .layer(Extension(ByShop::new(BURST, A_SECOND)))
}

/// How one signs up, in the words that have to be shown beside it.
#[derive(Serialize)]
pub(super) struct OptIn {
    source: String,
    /// Opens Messenger.
    url: String,
    landing_url: String,
    qr_svg_url: String,
    page: String,
    consent_text: String,
}

impl From<Link> for OptIn {
    fn from(link: Link) -> Self {
        Self {
            source: link.source,
            url: link.url,
            landing_url: link.landing_url,
            qr_svg_url: link.qr_svg_url,
            page: link.page_name,
            consent_text: link.consent_text,
        }
    }
}

/// Why a call gets no answer.
pub(super) enum Refusal {
    Unsigned,
    TooMany,
    Unknown(&'static str),
    Wrong(&'static str),
    Internal(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

/// What the theme's app embed needs to draw itself; without a Page there is nothing to draw.
async fn config(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let (query, shop) = admitted(&web.app, &limits, uri.query()).await?;
    let (place, name) = PLACES[0];
    let language = language(&query);
    let link = opt_ins::standing_link(&web.app, shop.workspace, place, name, language).await;
    let opt_in = match link {
        Ok(link) => Some(OptIn::from(link)),
        Err(LinkError::NoPage) => None,
        Err(LinkError::Other(error)) => return Err(error.into()),
    };
    Ok(kept(&json!({ "version": 1, "opt_in": opt_in })))
}

/// The opt-in link of a place in the storefront (`?source=`).
async fn opt_in(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let (query, shop) = admitted(&web.app, &limits, uri.query()).await?;
    let asked = parameter(&query, "source").unwrap_or(PLACES[0].0);
    let Some((place, name)) = PLACES.iter().find(|(place, _)| *place == asked) else {
        return Err(Refusal::Wrong(
            "source is one of storefront, qr and checkout",
        ));
    };
    let language = language(&query);
    match opt_ins::standing_link(&web.app, shop.workspace, place, name, language).await {
        Ok(link) => Ok(kept(&OptIn::from(link))),
        Err(LinkError::NoPage) => Err(Refusal::Unknown("the shop has no Page to write from")),
        Err(LinkError::Other(error)) => Err(error.into()),
    }
}

/// Whether the shopper who is signed in gets messages already and need not be asked.
async fn me(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let (query, shop) = admitted(&web.app, &limits, uri.query()).await?;
    let customer = parameter(&query, "logged_in_customer_id").filter(|id| !id.is_empty());
    let subscribed = match customer {
        Some(id) => opt_ins::is_customer_subscribed(&web.app, shop.workspace, id).await?,
        None => false,
    };
    let mut response = Json(json!({ "subscribed": subscribed })).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn unknown(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    admitted(&web.app, &limits, uri.query()).await?;
    Err(Refusal::Unknown("there is nothing at this address"))
}

pub(super) fn parameter<'a>(query: &'a SignedQuery, name: &str) -> Option<&'a str> {
    let mut pairs = query.parameters.iter();
    pairs
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

/// In which language to ask (`?locale=`).
pub(super) fn language(query: &SignedQuery) -> Language {
    Language::of_locale(parameter(query, "locale").unwrap_or_default())
}

/// The signed query and the installed shop it names.
pub(super) async fn admitted(
    app: &App,
    limits: &ByShop,
    raw_query: Option<&str>,
) -> Result<(SignedQuery, Shop), Refusal> {
    let settings = &app.config.shopify;
    let client_id = settings.api_key.clone().unwrap_or_default();
    let query = Verifier::new(client_id, settings.api_secrets.clone())
        .app_proxy(raw_query.unwrap_or_default(), app.clock.now())
        .map_err(|_| Refusal::Unsigned)?;
    if !limits.allow(&query.shop, app.clock.now()) {
        return Err(Refusal::TooMany);
    }
    let shop = workspaces::installed_shop(app, &query.shop).await?;
    let shop = shop.ok_or(Refusal::Unknown("the app is not installed here"))?;
    Ok((query, shop))
}

pub(super) fn kept(body: &impl Serialize) -> Response {
    let mut response = Json(body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEEP));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

impl IntoResponse for Refusal {
    /// In our own words only: nothing of the request comes back.
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::Unsigned => (
                StatusCode::UNAUTHORIZED,
                "this address answers through the app proxy of a shop only",
            ),
            Self::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many calls at once"),
            Self::Unknown(words) => (StatusCode::NOT_FOUND, words),
            Self::Wrong(words) => (StatusCode::BAD_REQUEST, words),
            Self::Internal(error) => {
                tracing::error!("A storefront call failed: {error:#}");
                (StatusCode::INTERNAL_SERVER_ERROR, "try again in a minute")
            }
        };
        let mut response = (status, Json(json!({ "error": words }))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::TOO_MANY_REQUESTS {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
