//! For people who work for several clients: all of them on one page, problems first. Who sees what
//! follows from their tasks on the clients' Pages at Meta.

mod clients;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::SecretString;

use crate::app::App;
use crate::store::ids::WorkspaceId;
use crate::web::Web;
use crate::web::pages::answer::see_other;
use crate::web::pages::error::{Error, Failure, draw};
use crate::web::pages::facebook::dress;
use crate::web::pages::fields::Fields;
use crate::web::pages::session::{SIGN_IN, comes_from_us, session_token};
use crate::workspaces::{self, Visit};

/// Where a signed-in person begins.
pub(super) const PATH: &str = "/app/agency";

/// Beside the admin's guard: there is no workspace yet.
pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(PATH, get(show))
        .route("/app/agency/open", post(open))
}

async fn show(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    let visit = match visitor(&app, &headers).await {
        Ok(Some((_, visit))) => visit,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => return failed(error.into()),
    };
    match clients::page(&app, &visit, &fields).await {
        Ok(mut response) => {
            dress(&mut response);
            response
        }
        Err(error) => failed(error),
    }
}

/// From now on this client's admin.
async fn open(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    if !comes_from_us(&headers, &app.config.public_url) {
        let words = "Open the list of clients in this window and press the button there.";
        return failed(Error::Forbidden(words));
    }
    let Ok(ws) = fields.get("workspace").parse::<WorkspaceId>() else {
        return failed(Error::NotFound);
    };
    let opened = match visitor(&app, &headers).await {
        Ok(Some((token, _))) => workspaces::look_at(&app, &token, ws).await,
        Ok(None) => return see_other(SIGN_IN),
        Err(error) => Err(error),
    };
    match opened {
        Ok(true) => see_other("/app"),
        Ok(false) => failed(Error::NotFound),
        Err(error) => failed(error.into()),
    }
}

async fn visitor(app: &App, headers: &HeaderMap) -> anyhow::Result<Option<(SecretString, Visit)>> {
    let Some(token) = session_token(headers) else {
        return Ok(None);
    };
    let visit = workspaces::visit(app, &token).await?;
    Ok(visit.map(|visit| (token, visit)))
}

fn failed(error: Error) -> Response {
    let failure = Failure::of(error);
    let mut response = draw(&failure, None, false);
    if response.status() == StatusCode::OK {
        response = failure.status.into_response();
    }
    dress(&mut response);
    response
}
