//! Signing in with a one-time link, and out. The link's page has a button, so that what a chat or
//! a mail scanner opens beforehand does not use the link up.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use axum::routing::{get, post};
use secrecy::SecretString;

use super::answer::{Answer, page, page_with, see_other};
use super::facebook;
use super::fields::Fields;
use super::session::{SESSION_COOKIE, SIGN_IN, session_cookie, session_token};
use crate::web::Web;
use crate::workspaces;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(SIGN_IN, get(show).post(sign_in))
        .route("/app/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    /// From the link; without one the page explains how to get it.
    token: Option<&'a str>,
    was_refused: bool,
    with_facebook: bool,
}

async fn show(State(web): State<Web>, fields: Fields) -> Answer {
    page(&SignIn {
        token: fields.optional("token"),
        was_refused: false,
        with_facebook: facebook::can_sign_in(&web.app),
    })
}

async fn sign_in(State(web): State<Web>, fields: Fields) -> Answer {
    let token = SecretString::from(fields.get("token"));
    let Some(session) = workspaces::open_login(&web.app, &token).await? else {
        return page_with(
            StatusCode::FORBIDDEN,
            &SignIn {
                token: None,
                was_refused: true,
                with_facebook: facebook::can_sign_in(&web.app),
            },
        );
    };
    let mut response = see_other("/app");
    let cookie = session_cookie(Some(&session), &web.app.config.public_url);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

async fn sign_out(
    State(web): State<Web>,
    headers: HeaderMap,
) -> Result<Response, super::error::Error> {
    if let Some(token) = session_token(&headers) {
        workspaces::sign_out(&web.app, &token).await?;
    }
    let mut response = see_other(SIGN_IN);
    let cookie = session_cookie(None, &web.app.config.public_url);
    debug_assert!(
        cookie
            .to_str()
            .is_ok_and(|text| text.starts_with(SESSION_COOKIE))
    );
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_link_has_one_button_and_the_page_without_says_how_to_get_one() {
        let with = SignIn {
            token: Some("abc\"<"),
            was_refused: false,
            with_facebook: false,
        }
        .render()
        .unwrap();
        assert_eq!(with.matches("<button").count(), 1);
        assert!(with.contains("method=\"post\""));
        assert!(!with.contains("abc\"<"));
        for was_refused in [true, false] {
            let without = SignIn {
                token: None,
                was_refused,
                with_facebook: !was_refused,
            }
            .render()
            .unwrap();
            assert!(without.contains("pagecast login --workspace"));
            assert_eq!(without.contains("/auth/meta/sign-in"), !was_refused);
            assert_eq!(without.matches("<form").count(), 0);
        }
    }
}
