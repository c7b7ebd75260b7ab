//! Who is looking, and whether the request may be trusted. Every request under `/app` passes the
//! guard: no session, no page; nothing is changed by a request from elsewhere.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};

use super::agency;
use super::answer::{TOAST_COOKIE, see_other, toast_text};
use super::embedded::{self, Admitted, Bridge, Claim};
use super::error::{Error, Failure, draw};
use super::format::Format;
use super::shell::{Nav, Shell};
use crate::clock::Millis;
use crate::store::ids::WorkspaceId;
use crate::web::Web;
use crate::workspaces::{self, Role, Workspace};

pub const SESSION_COOKIE: &str = "pagecast_session";
pub const SIGN_IN: &str = "/app/sign-in";

/// What a page of the admin that stands alone may load, and who may frame it: nobody.
pub(in crate::web::pages) const POLICY: &str = "default-src 'self'; img-src 'self' https: data:; style-src 'self'; \
    style-src-attr 'unsafe-inline'; script-src 'self'; frame-ancestors 'none'; base-uri 'none'; \
    form-action 'self'";

/// A signed-in request: the workspace it may see. As an argument of a handler it is the proof.
#[derive(Clone, Debug)]
pub struct Session {
    pub workspace: Arc<Workspace>,
    /// htmx asks for a part of a page.
    pub is_part: bool,
    shop: Option<String>,
    toast: Option<String>,
    /// The page runs inside Shopify's admin.
    bridge: Option<Bridge>,
    /// What somebody who signed in with Facebook may do; `None` for the workspace's own people.
    role: Option<Role>,
    now: Millis,
}

impl Session {
    /// A session for rendering templates with samples.
    #[cfg(test)]
    pub(in crate::web::pages) fn sample(now: Millis) -> Self {
        Self {
            workspace: Arc::new(Workspace {
                id: WorkspaceId(1),
                name: "Harbour Coffee".to_owned(),
                timezone: "America/Los_Angeles".to_owned(),
                quiet_hours: None,
                cap_hours: 24,
                attribution_window_days: 7,
                is_removed: false,
            }),
            is_part: false,
            shop: Some("harbour-coffee.myshopify.com".to_owned()),
            toast: None,
            bridge: None,
            role: None,
            now,
        }
    }

    pub fn ws(&self) -> WorkspaceId {
        self.workspace.id
    }

    /// What the page needs where it runs inside Shopify's admin.
    pub fn bridge(&self) -> Option<&Bridge> {
        self.bridge.as_ref()
    }

    pub fn format(&self) -> Format {
        Format::new(&self.workspace.timezone, self.now)
    }

    /// What `layout.html` draws around a page with this title.
    pub fn shell(&self, nav: Nav, title: impl Into<String>) -> Shell {
        Shell {
            title: title.into(),
            nav,
            workspace: self.workspace.name.clone(),
            shop: self.shop.clone(),
            toast: self.toast.clone(),
            bridge: self.bridge.clone(),
            is_client: self.role.is_some(),
            f: self.format(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Error::Internal(anyhow::anyhow!("a page was served without the guard")))
    }
}

/// Around every page.
pub async fn guard(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_part = headers
        .get("hx-request-type")
        .is_some_and(|kind| kind == "partial");
    let is_reading = request.method().is_safe();
    let claim = embedded::claim(&web.app.config.shopify, &request);
    let is_proven = claim.as_ref().is_some_and(Claim::is_bearer);
    if !is_reading && !is_proven && !comes_from_us(headers, &web.app.config.public_url) {
        let error = Error::Forbidden(
            "To keep others from acting in your name, changes are only taken from our own pages. \
             Open the page in this window and press the button there.",
        );
        return finish(error.into_response(), None, is_part);
    }
    if request.uri().path() == SIGN_IN {
        return finish(next.run(request).await, None, is_part);
    }
    let uri = request.uri().clone();
    let session = match claim {
        Some(claim) => match embedded::admit(&web, claim, &uri).await {
            Ok(admitted) => inside(&web, admitted, &uri, is_part).await,
            Err(instead) => return *instead,
        },
        None => alone(&web, headers, is_part, is_reading).await,
    };
    let session = match session {
        Ok(Ok(session)) => session,
        Ok(Err(path)) => return finish(to(path, is_part), None, is_part),
        Err(error) => return finish(Error::Internal(error).into_response(), None, is_part),
    };
    if let Some(refusal) = session.role.and_then(|r| beyond(r, uri.path(), is_reading)) {
        return finish(refusal.into_response(), Some(&session), is_part);
    }
    request.extensions_mut().insert(session.clone());
    let mut response = next.run(request).await;
    if session.bridge.is_some() {
        embedded::carry_toast(&web.app, session.ws(), &mut response);
    }
    finish(response, Some(&session), is_part)
}

/// Inside Shopify's admin the session token says whose workspace it is.
async fn inside(
    web: &Web,
    admitted: Admitted,
    uri: &Uri,
    is_part: bool,
) -> anyhow::Result<Result<Session, &'static str>> {
    let app = &web.app;
    let Some(workspace) = workspaces::find(app, admitted.workspace).await? else {
        return Ok(Err(SIGN_IN));
    };
    let toast = embedded::carried_toast(app, workspace.id, uri);
    Ok(Ok(Session {
        workspace: Arc::new(workspace),
        is_part,
        role: None,
        shop: Some(admitted.bridge.shop.as_str().to_owned()),
        toast: toast.filter(|_| !is_part),
        bridge: Some(admitted.bridge),
        now: app.clock.now(),
    }))
}

/// What this role does not cover.
fn beyond(role: Role, path: &str, is_reading: bool) -> Option<Error> {
    if path == "/app/sign-out" {
        return None;
    }
    let keys = ["/app/connections", "/app/settings", "/app/webhooks"];
    let refused = match role {
        // Keys and raw events are for those who work here.
        Role::Analyst if keys.iter().any(|key| path.starts_with(key)) => true,
        Role::Analyst => !is_reading,
        Role::Manager => !is_reading && path.starts_with("/app/settings/tokens"),
        Role::Owner => false,
    };
    refused.then(|| {
        Error::refused(
            "Your role does not cover this",
            "What you may do here follows from your role on the client’s Page at Meta. To change \
             things, ask the client for the task Messages on the Page; tokens are made by the \
             client.",
        )
    })
}

/// Standing alone, the session's cookie does; else where the browser has to go first.
async fn alone(
    web: &Web,
    headers: &HeaderMap,
    is_part: bool,
    is_reading: bool,
) -> anyhow::Result<Result<Session, &'static str>> {
    let Some(token) = session_token(headers) else {
        return Ok(Err(SIGN_IN));
    };
    let (ws, role) = match workspaces::session(&web.app, &token).await? {
        Some(ws) => (ws, None),
        None => match workspaces::visit(&web.app, &token).await? {
            None => return Ok(Err(SIGN_IN)),
            // No client chosen yet, or this one took the access away.
            Some(visit) => match visit.workspace {
                None => return Ok(Err(agency::PATH)),
                Some((ws, role)) => (ws, Some(role)),
            },
        },
    };
    let Some(workspace) = workspaces::find(&web.app, ws).await? else {
        return Ok(Err(SIGN_IN));
    };
    let shop = if is_part {
        None
    } else {
        workspaces::shop(&web.app, ws).await?
    };
    let toast = cookie(headers, TOAST_COOKIE).filter(|_| is_reading && !is_part);
    Ok(Ok(Session {
        workspace: Arc::new(workspace),
        is_part,
        role,
        shop: shop.map(|shop| shop.domain.as_str().to_owned()),
        toast: toast.and_then(toast_text),
        bridge: None,
        now: web.app.clock.now(),
    }))
}

/// A part cannot show the sign-in page, so htmx is told to load it whole.
fn to(path: &'static str, is_part: bool) -> Response {
    if !is_part {
        return see_other(path);
    }
    let whole = [(HeaderName::from_static("hx-redirect"), path)];
    (StatusCode::UNAUTHORIZED, whole).into_response()
}

/// Draws what failed, drops the toast that was shown, and adds what every page carries.
fn finish(mut response: Response, session: Option<&Session>, is_part: bool) -> Response {
    if let Some(failure) = response.extensions().get::<Failure>() {
        let shell = session.map(|session| session.shell(Nav::Elsewhere, failure.title.clone()));
        response = draw(failure, shell.as_ref(), is_part);
    }
    if let Some(bridge) = session.and_then(|session| session.bridge.as_ref()) {
        embedded::framed(&mut response, Some(&bridge.shop));
        return response;
    }
    let was_shown = session.is_some_and(|session| session.toast.is_some());
    let headers = response.headers_mut();
    if was_shown && !headers.contains_key(header::SET_COOKIE) {
        let gone = format!("{TOAST_COOKIE}=; Path=/app; Max-Age=0; HttpOnly; SameSite=Lax");
        if let Ok(gone) = HeaderValue::from_str(&gone) {
            headers.append(header::SET_COOKIE, gone);
        }
    }
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Not `no-referrer`: it would empty the `Origin` of our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The token of the session cookie.
pub fn session_token(headers: &HeaderMap) -> Option<SecretString> {
    cookie(headers, SESSION_COOKIE)
        .filter(|value| !value.is_empty())
        .map(SecretString::from)
}

/// Sets the session, or ends it when there is no token.
pub fn session_cookie(token: Option<&SecretString>, public_url: &str) -> HeaderValue {
    let (value, age) = match token {
        Some(token) => (token.expose_secret(), 30 * 24 * 60 * 60),
        None => ("", 0),
    };
    let secure = if public_url.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let text =
        format!("{SESSION_COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of a cookie.
pub(in crate::web::pages) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

/// Browsers say where a request comes from; one that says neither is not taken for a write.
pub(in crate::web::pages) fn comes_from_us(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let site = HeaderName::from_static("sec-fetch-site");
    if let Some(site) = text(&site) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(&header::ORIGIN) else {
        return false;
    };
    let Ok(origin) = url::Url::parse(origin) else {
        return false;
    };
    let is_public = url::Url::parse(public_url).is_ok_and(|url| url.origin() == origin.origin());
    let is_host = text(&header::HOST).is_some_and(|host| {
        let port = origin.port().map(|port| format!(":{port}"));
        let here = origin
            .host_str()
            .map(|name| format!("{name}{}", port.unwrap_or_default()));
        here.is_some_and(|here| here.eq_ignore_ascii_case(host))
    });
    is_public || is_host
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "https://pagecast.example";

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_change_something() {
        let ours = |pairs: &[(&'static str, &'static str)]| comes_from_us(&headers(pairs), PUBLIC);
        assert!(ours(&[("sec-fetch-site", "same-origin")]));
        assert!(ours(&[("sec-fetch-site", "none")]));
        assert!(ours(&[("origin", "https://pagecast.example")]));
        assert!(ours(&[
            ("origin", "http://127.0.0.1:8080"),
            ("host", "127.0.0.1:8080")
        ]));

        assert!(!ours(&[]));
        assert!(!ours(&[("sec-fetch-site", "same-site")]));
        assert!(!ours(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", PUBLIC)
        ]));
        assert!(!ours(&[
            ("origin", "https://evil.example"),
            ("host", "pagecast.example")
        ]));
        assert!(!ours(&[("origin", "null"), ("host", "null")]));
    }

    #[test]
    fn an_analyst_looks_and_a_manager_works_but_makes_no_tokens() {
        let refused = |role, path, reading| beyond(role, path, reading).is_some();
        assert!(!refused(Role::Analyst, "/app/campaigns", true));
        assert!(refused(Role::Analyst, "/app/campaigns", false));
        assert!(refused(Role::Analyst, "/app/connections", true));
        assert!(!refused(Role::Analyst, "/app/sign-out", false));
        assert!(!refused(Role::Manager, "/app/connections/check", false));
        assert!(refused(Role::Manager, "/app/settings/tokens", false));
        assert!(!refused(Role::Owner, "/app/settings/tokens", false));
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let jar = headers(&[("cookie", "a=1; pagecast_session=s3cret; b=2")]);
        assert_eq!(session_token(&jar).unwrap().expose_secret(), "s3cret");
        assert!(session_token(&headers(&[("cookie", "pagecast_session=")])).is_none());
    }

    #[test]
    fn the_session_cookie_is_secure_where_the_address_is() {
        let token = SecretString::from("t");
        let over_https = session_cookie(Some(&token), PUBLIC);
        assert!(over_https.to_str().unwrap().ends_with("; Secure"));
        let at_home = session_cookie(Some(&token), "http://127.0.0.1:8080");
        assert!(!at_home.to_str().unwrap().contains("Secure"));
        let ended = session_cookie(None, PUBLIC);
        assert!(ended.to_str().unwrap().contains("Max-Age=0"));
    }
}
