//! Where the merchant's own systems are told of trouble with a connection.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use secrecy::ExposeSecret;

use crate::web::Web;
use crate::web::pages::answer::{Answer, page_with, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::fields::Fields;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::workspaces::{self, AlertHook};

const PATH: &str = "/app/connections/alerts";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(PATH, get(show).post(save))
        .route("/app/connections/alerts/try", post(try_it))
        .route("/app/connections/alerts/end", post(end))
}

#[derive(Template)]
#[template(path = "connections/alerts.html")]
struct Alerts {
    shell: Shell,
    url: String,
    secret: Option<String>,
    /// Why the last one was not taken.
    refused: Option<String>,
    error: Option<&'static str>,
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    let hook = workspaces::alert_hook(&web.app, session.ws()).await?;
    page_with(StatusCode::OK, &view(&session, hook, None, None))
}

fn view(
    session: &Session,
    hook: Option<AlertHook>,
    typed: Option<&str>,
    error: Option<&'static str>,
) -> Alerts {
    let (url, secret, refused) = match hook {
        Some(hook) => (
            hook.url,
            Some(hook.secret.expose_secret().to_owned()),
            hook.error,
        ),
        None => (String::new(), None, None),
    };
    Alerts {
        url: typed.map_or(url, str::to_owned),
        secret,
        refused,
        error,
        shell: session.shell(Nav::Connections, "Alerts"),
    }
}

async fn save(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let app = &web.app;
    let typed = fields.get("url");
    match workspaces::alert_address(app, typed) {
        Ok(url) => {
            workspaces::set_alert_hook(app, session.ws(), Some(&url)).await?;
            Ok(see_other_saying(PATH, "Alerts go there from now on"))
        }
        Err(bad) => {
            let hook = workspaces::alert_hook(app, session.ws()).await?;
            page_with(
                StatusCode::UNPROCESSABLE_ENTITY,
                &view(&session, hook, Some(typed), Some(bad.0)),
            )
        }
    }
}

async fn try_it(State(web): State<Web>, session: Session) -> Answer {
    let app = &web.app;
    if workspaces::alert_hook(app, session.ws()).await?.is_none() {
        return Err(Error::NotFound);
    }
    workspaces::try_alert_hook(app, session.ws()).await?;
    let hook = workspaces::alert_hook(app, session.ws()).await?;
    let arrived = hook.is_some_and(|hook| hook.error.is_none());
    let toast = if arrived {
        "The test arrived"
    } else {
        "The test was not taken; see why below"
    };
    Ok(see_other_saying(PATH, toast))
}

async fn end(State(web): State<Web>, session: Session) -> Answer {
    workspaces::set_alert_hook(&web.app, session.ws(), None).await?;
    Ok(see_other_saying(PATH, "Alerts have ended"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{clean, html, session};

    #[test]
    fn the_address_and_its_secret_are_shown_and_a_bad_one_says_why() {
        let empty = html(&view(&session(), None, None, None));
        clean(&empty);
        assert!(!empty.contains("whsec_"));
        let hook = AlertHook {
            url: "https://shop.example/hook".to_owned(),
            secret: "whsec_abc".into(),
            error: Some("answered 500".to_owned()),
        };
        let full = html(&view(&session(), Some(hook), Some("ftp://x"), Some("Bad.")));
        clean(&full);
        for part in ["whsec_abc", "answered 500", "ftp://x", "Bad."] {
            assert!(full.contains(part), "{part}");
        }
    }
}
