//! `POST /extensions/opt-in`: somebody who has just bought asks for their way into Messenger. The
//! token says which shop it is, and who, if they are signed in; what else they say of themselves
//! counts once it is proven.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{ByShop, refusal, trouble};
use crate::app::App;
use crate::opt_ins::{self, Buyer, BuyersWay, Language, LinkError};
use crate::shopify::auth::{BuyerSession, Verifier};
use crate::shopify::extensions::OrderBuyer;
use crate::web::Web;
use crate::workspaces::{self, Shop};

/// A page that is being looked at does not wait longer for Shopify; without the order everybody's
/// link does.
const PATIENCE: Duration = Duration::from_secs(4);
/// No checkout token is longer.
const LONGEST_TOKEN: usize = 128;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    /// `gid://shopify/Order/1`; some pages call it `OrderIdentity`, the number is the same.
    order_id: Option<String>,
    checkout_token: Option<String>,
    /// The merchant's own words for what is agreed to.
    consent_text: Option<String>,
    locale: Option<String>,
}

#[derive(Serialize)]
struct Ready {
    state: &'static str,
    /// Opens Messenger; also what the QR code holds.
    url: String,
    page: String,
    /// Has to be shown: the ledger says it was.
    consent_text: String,
}

pub(super) async fn opt_in(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let app = &web.app;
    let Some(session) = session(app, &headers) else {
        let words = "send the extension's session token as bearer";
        return refusal(StatusCode::UNAUTHORIZED, words);
    };
    if !limits.allow(&session.shop, app.clock.now()) {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many calls at once");
    }
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the body is not as expected");
    };
    match answer(app, &session, &asked).await {
        Ok(response) => response,
        Err(error) => trouble(&error),
    }
}

fn session(app: &App, headers: &HeaderMap) -> Option<BuyerSession> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = given.split_once(' ')?;
    let settings = &app.config.shopify;
    let client_id = settings.api_key.clone()?;
    Verifier::new(client_id, settings.api_secrets.clone())
        .extension_token(token.trim(), app.clock.now())
        .ok()
        .filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

async fn answer(app: &App, session: &BuyerSession, asked: &Asked) -> anyhow::Result<Response> {
    let Some(shop) = workspaces::installed_shop(app, &session.shop).await? else {
        let words = "the app is not installed here";
        return Ok(refusal(StatusCode::NOT_FOUND, words));
    };
    let buyer = proven(app, &shop, session, asked).await?;
    let language = Language::of_locale(asked.locale.as_deref().unwrap_or_default());
    let text = asked.consent_text.as_deref();
    let way = opt_ins::link_for_buyer(app, shop.workspace, &buyer, language, text).await;
    Ok(match way {
        Ok(BuyersWay::Link(link)) => Json(Ready {
            state: "ready",
            url: link.url,
            page: link.page_name,
            consent_text: link.consent_text,
        })
        .into_response(),
        Ok(BuyersWay::Subscribed) => Json(json!({ "state": "subscribed" })).into_response(),
        Err(LinkError::NoPage) => Json(json!({ "state": "none" })).into_response(),
        Err(LinkError::Other(error)) => return Err(error),
    })
}

/// What of the buyer is proven: the customer whom the token names; an order that the shop itself
/// shows us, if its checkout or its customer is this buyer's; a checkout that the shop told us of.
/// A number alone proves nothing: order numbers can be counted.
async fn proven(
    app: &App,
    shop: &Shop,
    session: &BuyerSession,
    asked: &Asked,
) -> anyhow::Result<Buyer> {
    let customer = session.customer.as_deref().and_then(customer_number);
    let checkout = asked
        .checkout_token
        .as_deref()
        .map(str::trim)
        .filter(|token| !token.is_empty() && token.len() <= LONGEST_TOKEN);
    if let Some(order) = order(app, shop, asked.order_id.as_deref()).await
        && is_theirs(&order, customer, checkout)
    {
        return Ok(Buyer {
            customer_id: order.customer_id.or(customer.map(str::to_owned)),
            checkout_token: order.checkout_token,
        });
    }
    let told = match checkout {
        Some(token) => opt_ins::knows_checkout(app, shop.workspace, token).await?,
        None => false,
    };
    Ok(Buyer {
        customer_id: customer.map(str::to_owned),
        checkout_token: checkout.filter(|_| told).map(str::to_owned),
    })
}

fn is_theirs(order: &OrderBuyer, customer: Option<&str>, checkout: Option<&str>) -> bool {
    let same =
        |ours: Option<&str>, theirs: &Option<String>| ours.is_some() && ours == theirs.as_deref();
    same(checkout, &order.checkout_token) || same(customer, &order.customer_id)
}

/// The order, with this very shop's token; `None` also when Shopify does not say in time.
async fn order(app: &App, shop: &Shop, gid: Option<&str>) -> Option<OrderBuyer> {
    let id = order_number(gid?)?;
    let ask = workspaces::ask_shop(app, shop, |token| async move {
        app.shopify.order_buyer(&shop.domain, &token, id).await
    });
    match tokio::time::timeout(PATIENCE, ask).await {
        Ok(Ok(Ok(found))) => found,
        Ok(Ok(Err(error))) => {
            tracing::warn!(shop.id = %shop.id, "A buyer's order was not shown: {error}");
            None
        }
        Ok(Err(error)) => {
            tracing::warn!(shop.id = %shop.id, "A buyer's order could not be asked for: {error:#}");
            None
        }
        Err(_) => None,
    }
}

fn order_number(gid: &str) -> Option<i64> {
    let rest = gid.strip_prefix("gid://shopify/")?;
    let (kind, number) = rest.split_once('/')?;
    let number = number.split('?').next().unwrap_or_default();
    matches!(kind, "Order" | "OrderIdentity")
        .then(|| number.parse().ok())
        .flatten()
        .filter(|number| *number > 0)
}

fn customer_number(gid: &str) -> Option<&str> {
    let number = gid.strip_prefix("gid://shopify/Customer/")?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    digits.then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_known_by_its_number_however_the_page_calls_it() {
        assert_eq!(order_number("gid://shopify/Order/12"), Some(12));
        assert_eq!(order_number("gid://shopify/OrderIdentity/12?x=1"), Some(12));
        for other in [
            "12",
            "gid://shopify/Customer/12",
            "gid://shopify/Order/",
            "gid://shopify/Order/-3",
        ] {
            assert_eq!(order_number(other), None, "{other}");
        }
        assert_eq!(customer_number("gid://shopify/Customer/7"), Some("7"));
        assert_eq!(customer_number("42"), None, "a member of staff is no buyer");
    }

    #[test]
    fn an_order_is_the_buyers_by_its_checkout_or_its_customer_and_by_nothing_else() {
        let order = OrderBuyer {
            customer_id: Some("7".into()),
            checkout_token: Some("token".into()),
        };
        assert!(is_theirs(&order, None, Some("token")));
        assert!(is_theirs(&order, Some("7"), None));
        assert!(!is_theirs(&order, Some("8"), Some("other")));
        assert!(!is_theirs(&order, None, None));
        assert!(!is_theirs(&OrderBuyer::default(), None, None));
    }
}
