//! Requests out of Shopify's admin: a session token proves each of them, as `id_token` on a
//! document and as bearer on a fetch. No cookie is set and none is needed.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use super::answer::{TOAST_COOKIE, toast_text};
use super::bounce;
use super::error::{Error, Failure, draw};
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::config::Shopify;
use crate::shopify::ShopDomain;
use crate::shopify::auth::{AdminSession, Rejected, Verifier};
use crate::store::ids::WorkspaceId;
use crate::web::Web;
use crate::workspaces::{self, OpenError, Opening};

/// What our own script marks its requests with, so that one without a token is still told from a
/// document.
pub const MARK: &str = "x-pagecast-embedded";
/// Makes App Bridge fetch a new session token and try once more.
const RETRY: &str = "x-shopify-retry-invalid-session-request";
/// Carries a toast over a redirect where there are no cookies.
const TOAST: &str = "toast";
const TOAST_LIFETIME: Millis = MINUTE;
/// A session token this young that Shopify does not take will not be taken when it is younger.
const YOUNG: Millis = 20 * SECOND;

/// How a request says that it comes out of Shopify's admin; nothing is believed yet.
#[derive(Debug)]
pub enum Claim {
    /// By App Bridge or our script.
    Fetch(Option<SecretString>),
    /// Into the admin's iframe.
    Document(Option<SecretString>),
    /// A document outside of the admin that belongs into it.
    Outside,
}

/// What a page needs to run inside the admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The shop whose admin may frame the page.
    pub shop: ShopDomain,
    /// The app's client id.
    pub api_key: String,
}

/// Somebody of the shop's staff, and the workspace of their shop.
#[derive(Debug)]
pub struct Admitted {
    pub workspace: WorkspaceId,
    pub bridge: Bridge,
}

impl Claim {
    /// Whether the request brings the proof by which it may also change something.
    pub fn is_bearer(&self) -> bool {
        matches!(self, Self::Fetch(Some(_)))
    }
}

/// Reads the claim; `None` where the request stands alone or no Shopify app is configured.
pub fn claim(config: &Shopify, request: &Request) -> Option<Claim> {
    verifier(config)?;
    let headers = request.headers();
    let given = headers.get(header::AUTHORIZATION);
    let token = given.and_then(|given| given.to_str().ok()).and_then(bearer);
    if token.is_some() || headers.contains_key(MARK) {
        return Some(Claim::Fetch(token));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let uri = request.uri();
    let token = parameter(uri, "id_token").map(SecretString::from);
    if token.is_some() || parameter(uri, "embedded").as_deref() == Some("1") {
        return Some(Claim::Document(token));
    }
    let belongs = parameter(uri, "shop").is_some() && parameter(uri, "host").is_some();
    belongs.then_some(Claim::Outside)
}

/// Lets the request in, or says what it gets instead.
pub async fn admit(web: &Web, claim: Claim, uri: &Uri) -> Result<Admitted, Box<Response>> {
    let instead = |response| Err(Box::new(response));
    let app = &web.app;
    let Some((api_key, verifier)) = verifier(&app.config.shopify) else {
        return instead(refused(StatusCode::UNAUTHORIZED));
    };
    let (token, is_fetch) = match claim {
        Claim::Fetch(token) => (token, true),
        Claim::Document(token) => (token, false),
        Claim::Outside => return instead(into_the_admin(uri, &api_key)),
    };
    let verdict = token
        .as_ref()
        .ok_or(Rejected::Signature)
        .and_then(|token| verifier.admin_token(token.expose_secret(), app.clock.now()));
    let (session, token) = match (verdict, token) {
        (Ok(session), Some(token)) => (session, token),
        // A new token would be of the same app: asking for one would never end.
        (Err(Rejected::Audience), _) => return instead(refused(StatusCode::UNAUTHORIZED)),
        _ => return instead(once_more(uri, is_fetch)),
    };
    let bridge = Bridge {
        shop: session.shop.clone(),
        api_key,
    };
    if parameter(uri, "shop").is_some_and(|named| named != session.shop.as_str()) {
        let failure = sorry(
            StatusCode::FORBIDDEN,
            "This page belongs to another shop",
            "The address names one shop and Shopify says that you are in another. Open Pagecast \
             again from the admin of the shop that you mean.",
        );
        return instead(failed(&failure, &bridge, is_fetch));
    }
    let failure = match open(app, &session, &token).await {
        Ok(workspace) => return Ok(Admitted { workspace, bridge }),
        Err(OpenError::SessionToken) if session.issued_at + YOUNG < app.clock.now() => {
            return instead(once_more(uri, is_fetch));
        }
        Err(OpenError::SessionToken) => sorry(
            StatusCode::FORBIDDEN,
            "Shopify does not confirm this sign-in",
            "Close this page and open Pagecast again from the list of apps in your Shopify admin. \
             If it stays like this, install the app once more.",
        ),
        Err(OpenError::Shopify(why)) => {
            tracing::warn!("A shop could not be installed at its first open: {why}");
            sorry(
                StatusCode::SERVICE_UNAVAILABLE,
                "Shopify does not answer at the moment",
                "Pagecast needs its access to your shop before it can start, and Shopify did not \
                 hand it out. Nothing is lost: load this page again in a minute.",
            )
        }
        Err(OpenError::Other(error)) => Failure::of(Error::Internal(error)),
    };
    instead(failed(&failure, &bridge, is_fetch))
}

async fn open(
    app: &App,
    session: &AdminSession,
    token: &SecretString,
) -> Result<WorkspaceId, OpenError> {
    let opening = Opening {
        shop: &session.shop,
        issued_at: session.issued_at,
        session_token: token,
    };
    workspaces::open_shop(app, opening).await
}

/// The client id and who verifies for it, where a Shopify app is configured.
pub fn verifier(config: &Shopify) -> Option<(String, Verifier)> {
    let key = config.api_key.clone()?;
    if config.api_secrets.is_empty() {
        return None;
    }
    let verifier = Verifier::new(key.clone(), config.api_secrets.clone());
    Some((key, verifier))
}

/// The policy of every page in the iframe. Only who may frame it and where scripts come from:
/// what App Bridge itself connects to is not told anywhere.
pub fn policy(shop: Option<&ShopDomain>) -> HeaderValue {
    let frames = shop.map_or_else(
        || "'none'".to_owned(),
        |shop| format!("https://{} https://admin.shopify.com", shop.as_str()),
    );
    let text = format!(
        "script-src 'self' https://cdn.shopify.com; object-src 'none'; base-uri 'none'; \
         frame-ancestors {frames};"
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("frame-ancestors 'none'"))
}

/// The first value of a query's parameter, decoded.
pub fn parameter(uri: &Uri, name: &str) -> Option<String> {
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .filter(|value| !value.is_empty())
}

/// Where cookies do not reach, the toast of a redirect goes with its address, sealed for the
/// workspace, so that nobody else puts words there.
pub fn carry_toast(app: &App, ws: WorkspaceId, response: &mut Response) {
    let Some(text) = set_toast(response.headers()) else {
        return;
    };
    response.headers_mut().remove(header::SET_COOKIE);
    let location = response.headers().get(header::LOCATION);
    let Some(path) = location.and_then(|path| path.to_str().ok()) else {
        return;
    };
    let sealed = app
        .keys
        .seal(&toast_context(ws), &format!("{} {text}", app.clock.now()));
    let Ok(sealed) = sealed else {
        return;
    };
    let (before, anchor) = path.split_once('#').unwrap_or((path, ""));
    let joint = if before.contains('?') { '&' } else { '?' };
    let mut target = format!("{before}{joint}{TOAST}={sealed}");
    if !anchor.is_empty() {
        target.push('#');
        target.push_str(anchor);
    }
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
}

/// Reads what [`carry_toast`] wrote, for a minute.
pub fn carried_toast(app: &App, ws: WorkspaceId, uri: &Uri) -> Option<String> {
    let sealed = parameter(uri, TOAST)?;
    let opened = app.keys.open(&toast_context(ws), &sealed).ok()?;
    let (at, text) = opened.expose_secret().split_once(' ')?;
    let at: Millis = at.parse().ok()?;
    (app.clock.now() - at < TOAST_LIFETIME).then(|| text.to_owned())
}

fn toast_context(ws: WorkspaceId) -> String {
    format!("toast:{ws}")
}

fn set_toast(headers: &HeaderMap) -> Option<String> {
    let prefix = format!("{TOAST_COOKIE}=");
    headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().ok()?.strip_prefix(&prefix))
        .find_map(|rest| toast_text(rest.split(';').next()?))
}

fn bearer(given: &str) -> Option<SecretString> {
    let (scheme, token) = given.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.into())
}

/// A fresh session token is needed: App Bridge brings one, with a fetch or by the bounce page.
fn once_more(uri: &Uri, is_fetch: bool) -> Response {
    if !is_fetch {
        return bounce::redirect(uri);
    }
    let mut response = refused(StatusCode::UNAUTHORIZED);
    let retry = HeaderName::from_static(RETRY);
    response
        .headers_mut()
        .insert(retry, HeaderValue::from_static("1"));
    response
}

fn refused(status: StatusCode) -> Response {
    let failure = sorry(
        status,
        "Shopify does not confirm who you are",
        "Open Pagecast again from the list of apps in your Shopify admin.",
    );
    let mut response = draw(&failure, None, true);
    *response.body_mut() = failure.detail.into();
    framed(&mut response, None);
    response
}

fn sorry(status: StatusCode, title: &str, detail: &str) -> Failure {
    Failure {
        status,
        title: title.to_owned(),
        heading: title.to_owned(),
        detail: detail.to_owned(),
        number: None,
    }
}

fn failed(failure: &Failure, bridge: &Bridge, is_fetch: bool) -> Response {
    let mut response = draw(failure, None, is_fetch);
    framed(&mut response, Some(&bridge.shop));
    response
}

/// What every answer into the iframe carries.
pub fn framed(response: &mut Response, shop: Option<&ShopDomain>) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy(shop));
    for (name, value) in [
        // The address may hold a session token.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Opened in a tab of its own: on to where it stands inside the admin.
fn into_the_admin(uri: &Uri, api_key: &str) -> Response {
    let admin = parameter(uri, "host").as_deref().and_then(admin_of);
    let Some(admin) = admin else {
        return refused(StatusCode::BAD_REQUEST);
    };
    let mut response = StatusCode::FOUND.into_response();
    if let Ok(target) = HeaderValue::from_str(&format!("https://{admin}/apps/{api_key}")) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    framed(&mut response, None);
    response
}

/// The admin that `host` names, if it names one of Shopify's and nothing else.
fn admin_of(host: &str) -> Option<String> {
    let bytes = STANDARD
        .decode(host)
        .or_else(|_| STANDARD_NO_PAD.decode(host))
        .ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let is_handle = |handle: &str| ShopDomain::parse(&format!("{handle}.myshopify.com")).is_some();
    let is_known = match text.strip_prefix("admin.shopify.com/store/") {
        Some(handle) => is_handle(handle),
        None => text
            .strip_suffix("/admin")
            .is_some_and(|shop| ShopDomain::parse(shop).is_some()),
    };
    is_known.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shopifys_own_admin_is_led_to() {
        let host = |text: &str| admin_of(&STANDARD_NO_PAD.encode(text));
        assert_eq!(
            host("admin.shopify.com/store/harbour").as_deref(),
            Some("admin.shopify.com/store/harbour")
        );
        assert!(host("harbour.myshopify.com/admin").is_some());
        for evil in [
            "evil.example/admin",
            "admin.shopify.com.evil.example/store/x",
            "admin.shopify.com/store/x/../../evil",
            "admin.shopify.com/store/x@evil.example",
            "admin.shopify.com/store/",
            "x.myshopify.com.evil.example/admin",
            "",
        ] {
            assert_eq!(host(evil), None, "{evil}");
        }
        assert_eq!(admin_of("%%%"), None);
    }

    #[test]
    fn each_shop_is_framed_by_its_own_admin_only() {
        let shop = ShopDomain::parse("harbour.myshopify.com").unwrap();
        let own = policy(Some(&shop));
        let own = own.to_str().unwrap();
        assert!(
            own.ends_with(
                "frame-ancestors https://harbour.myshopify.com https://admin.shopify.com;"
            )
        );
        assert!(!own.contains('*'));
        let nobodys = policy(None);
        assert!(nobodys.to_str().unwrap().contains("frame-ancestors 'none'"));
    }

    #[test]
    fn a_bearer_is_read_however_its_scheme_is_written() {
        let read = |text: &str| bearer(text).map(|token| token.expose_secret().to_owned());
        assert_eq!(read("Bearer a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(read("bearer  a.b.c ").as_deref(), Some("a.b.c"));
        assert_eq!(read("Basic a"), None);
        assert_eq!(read("Bearer "), None);
    }
}
