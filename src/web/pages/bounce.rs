//! The bounce page: a document that came without a good session token is led here, where App
//! Bridge fetches one and loads `shopify-reload` with it.

use askama::Template;
use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::embedded::{framed, parameter, verifier};
use crate::shopify::ShopDomain;
use crate::web::Web;

const PATH: &str = "/auth/shopify/session-token";
const RELOAD: &str = "shopify-reload";

pub(super) fn router() -> Router<Web> {
    Router::new().route(PATH, get(show))
}

#[derive(Template)]
#[template(path = "bounce.html")]
struct BouncePage<'a> {
    api_key: &'a str,
}

/// Leads a document here, and from here back to where it wanted to go.
pub(super) fn redirect(uri: &Uri) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let parameters = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    query.extend_pairs(parameters.filter(|(name, _)| name != "id_token" && name != RELOAD));
    let kept = query.finish();
    let joint = if kept.is_empty() { "" } else { "?" };
    let back = format!("{}{joint}{kept}", uri.path());
    let target: String = form_urlencoded::byte_serialize(back.as_bytes()).collect();
    let joint = if kept.is_empty() { "" } else { "&" };
    let mut response = StatusCode::FOUND.into_response();
    let location = format!("{PATH}?{kept}{joint}{RELOAD}={target}");
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    framed(&mut response, None);
    response
}

async fn show(State(web): State<Web>, OriginalUri(uri): OriginalUri) -> Response {
    let config = &web.app.config;
    let Some((api_key, _)) = verifier(&config.shopify) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let reload = parameter(&uri, RELOAD);
    if !reload.is_some_and(|target| is_ours(&target, &config.public_url)) {
        let words = "This address is not complete. Open Pagecast again in your Shopify admin.\n";
        return (StatusCode::BAD_REQUEST, words).into_response();
    }
    let Ok(html) = (BouncePage { api_key: &api_key }).render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Nothing is proven yet: the shop is only asked who may frame an empty page.
    let shop = parameter(&uri, "shop").and_then(|shop| ShopDomain::parse(&shop));
    let mut response = Html(html).into_response();
    framed(&mut response, shop.as_ref());
    response
}

/// App Bridge loads it with a session token: only a path of ours may get one.
fn is_ours(target: &str, public_url: &str) -> bool {
    let Ok(own) = url::Url::parse(public_url) else {
        return false;
    };
    let is_plain = !target
        .chars()
        .any(|c| c == '\\' || c.is_control() || c.is_whitespace());
    is_plain
        && own
            .join(target)
            .is_ok_and(|target| target.origin() == own.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_keeps_everything_but_the_token() {
        let uri: Uri = "/app/campaigns?shop=s.myshopify.com&id_token=a.b.c&host=YWI&q=x%26y"
            .parse()
            .unwrap();
        let response = redirect(&uri);
        let location = response.headers()[header::LOCATION].to_str().unwrap();
        assert_eq!(
            location,
            "/auth/shopify/session-token?shop=s.myshopify.com&host=YWI&q=x%26y&shopify-reload=\
             %2Fapp%2Fcampaigns%3Fshop%3Ds.myshopify.com%26host%3DYWI%26q%3Dx%2526y"
        );
    }

    #[test]
    fn a_session_token_is_only_carried_to_an_address_of_ours() {
        let ours = |target| is_ours(target, "https://pagecast.example");
        assert!(ours("/app?shop=s.myshopify.com"));
        assert!(ours("https://pagecast.example/app"));
        for evil in [
            "https://evil.example/app",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "javascript:alert(1)",
            "https://pagecast.example@evil.example/",
            "https://pagecast.example.evil.example/",
            "http://pagecast.example/",
            "/\t/evil.example",
        ] {
            assert!(!ours(evil), "{evil}");
        }
    }
}
