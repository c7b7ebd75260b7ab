//! To Facebook and back: `/auth/meta/login` and `/auth/meta/callback`.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use secrecy::SecretString;

use super::errand::{
    Door, Errand, STATE, TICKET, config_id, invited_config, new_browser, of_cookie, redirect_uri,
    set_cookie, sign_in_config,
};
use super::{Note, dress, page, unavailable};
use crate::app::App;
use crate::meta::login::Dialog;
use crate::meta::permissions::PERMISSIONS;
use crate::store::sealed::token_hash;
use crate::web::Web;
use crate::web::pages::agency;
use crate::web::pages::fields::Fields;
use crate::web::pages::session::{session_cookie, session_token};
use crate::workspaces::{self, Arrival, LoginError, Role};

const AGAIN: &str = "Go back";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/auth/meta/login", get(login))
        .route("/auth/meta/callback", get(callback))
        .route("/auth/meta/sign-in", get(sign_in))
        .route("/auth/meta/invited", get(invited))
}

/// Whoever opens this from elsewhere is told first for whom they are about to sign in.
#[derive(Template)]
#[template(path = "facebook/begin.html")]
struct Begin<'a> {
    workspace: &'a str,
    shop: &'a str,
    href: &'a str,
}

async fn login(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    let Some(errand) = Errand::open(&app, TICKET, fields.get("ticket")) else {
        return too_late();
    };
    match set_out(&app, &headers, errand).await {
        Ok(response) => response,
        Err(error) => unavailable(&error),
    }
}

/// Somebody signs in to Pagecast itself; their clients follow from their Pages.
async fn sign_in(State(app): State<App>, headers: HeaderMap) -> Response {
    let config = sign_in_config(&app).unwrap_or_default();
    let errand = Errand::new(&app, None, config, Door::SignIn);
    match set_out(&app, &headers, errand).await {
        Ok(response) => response,
        Err(error) => unavailable(&error),
    }
}

/// Somebody was asked to connect a Page, once.
async fn invited(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    let code = SecretString::from(fields.get("code"));
    let workspace = match workspaces::invitation(&app, &code).await {
        Ok(Some(workspace)) => workspace,
        Ok(None) => return invitation_over(),
        Err(error) => return unavailable(&error),
    };
    let door = Door::Invited {
        code_hash: token_hash(&code),
    };
    let errand = Errand::new(&app, workspace, invited_config(&app), door);
    match set_out(&app, &headers, errand).await {
        Ok(response) => response,
        Err(error) => unavailable(&error),
    }
}

fn invitation_over() -> Response {
    let note = Note::bad(
        "This invitation has ended",
        "An invitation works once and for a week. If the Page is connected, all is done; else ask \
         whoever sent it for a new one.",
    );
    page(StatusCode::NOT_FOUND, &note)
}

async fn set_out(app: &App, headers: &HeaderMap, errand: Errand) -> anyhow::Result<Response> {
    let workspace = match errand.workspace {
        None => None,
        Some(ws) => match workspaces::find(app, ws).await? {
            None => return Ok(too_late()),
            found => found,
        },
    };
    if errand.door == Door::Alone && !may_set_out(app, headers, &errand).await? {
        let note = Note::bad(
            "You are not signed in to this workspace",
            "Sign in to Pagecast first, then connect the Page from there.",
        );
        return Ok(page(
            StatusCode::FORBIDDEN,
            &note.with("Sign in", "/app/sign-in"),
        ));
    }
    let browser = new_browser();
    let errand = errand.bound(app, &browser);
    let state = errand.seal(app, STATE)?;
    let redirect_uri = redirect_uri(app);
    let address = config_id(app, &errand.config).and_then(|config_id| {
        app.meta.login_address(Dialog {
            login_url: &app.config.meta.login_url,
            config_id,
            redirect_uri: &redirect_uri,
            state: &state,
        })
    });
    let Some(address) = address else {
        let note = Note::bad(
            "Signing in with Facebook is not set up here",
            "Whoever runs this server has to name the app and its login configuration \
             (META_APP_ID, META_APP_SECRET, META_LOGIN_CONFIG_ID).",
        );
        return Ok(page(
            StatusCode::NOT_FOUND,
            &note.with(AGAIN, errand.back()),
        ));
    };
    let mut response = match &errand.door {
        Door::Alone | Door::SignIn => {
            let mut response = StatusCode::SEE_OTHER.into_response();
            if let Ok(location) = HeaderValue::from_str(&address) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            dress(&mut response);
            response
        }
        Door::Embedded { .. } | Door::Invited { .. } => {
            let name = workspace
                .map(|workspace| workspace.name)
                .unwrap_or_default();
            let shop = match &errand.door {
                Door::Embedded { shop, .. } => shop,
                _ => &name,
            };
            page(
                StatusCode::OK,
                &Begin {
                    workspace: &name,
                    shop,
                    href: &address,
                },
            )
        }
    };
    let cookie = set_cookie(app, &browser, &state);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Somebody of the workspace is signed in here, and may change its connections.
async fn may_set_out(app: &App, headers: &HeaderMap, errand: &Errand) -> anyhow::Result<bool> {
    let Some(token) = session_token(headers) else {
        return Ok(false);
    };
    if let Some(ws) = workspaces::session(app, &token).await? {
        return Ok(errand.workspace == Some(ws));
    }
    let visit = workspaces::visit(app, &token).await?;
    Ok(visit
        .and_then(|visit| visit.workspace)
        .is_some_and(|(ws, role)| errand.workspace == Some(ws) && role >= Role::Manager))
}

async fn callback(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    let Some((browser, errand)) = of_cookie(&app, &headers) else {
        return too_late();
    };
    // What Facebook brings back must be what this browser set out with, not another's errand.
    let is_same = Errand::open(&app, STATE, fields.get("state")).as_ref() == Some(&errand);
    if !is_same {
        return too_late();
    }
    if fields.has("error") || fields.optional("code").is_none() {
        let note = Note::bad(
            "Facebook did not give access",
            "You pressed Cancel, or Facebook ended the sign-in. Nothing was connected or changed. \
             You can try again whenever you like.",
        );
        return page(StatusCode::OK, &note.with(AGAIN, errand.back()));
    }
    let redirect_uri = redirect_uri(&app);
    let Some(workspace) = errand.workspace else {
        return signed_in(&app, fields.get("code"), &redirect_uri).await;
    };
    if let Door::Invited { code_hash } = &errand.door {
        match workspaces::invitation_holds(&app, code_hash).await {
            Ok(true) => {}
            Ok(false) => return invitation_over(),
            Err(error) => return unavailable(&error),
        }
    }
    let arrival = Arrival {
        workspace,
        flow: errand.flow(),
        code: fields.get("code"),
        redirect_uri: &redirect_uri,
        browser: &browser,
    };
    match workspaces::begin_login(&app, arrival).await {
        Ok(_) => {
            let target = [(header::LOCATION, "/auth/meta/pages")];
            let mut response = (StatusCode::SEE_OTHER, target).into_response();
            dress(&mut response);
            response
        }
        Err(error) => failed(error, errand.back()),
    }
}

async fn signed_in(app: &App, code: &str, redirect_uri: &str) -> Response {
    match workspaces::sign_in_person(app, code, redirect_uri).await {
        Ok(session) => {
            let target = [(header::LOCATION, agency::PATH)];
            let mut response = (StatusCode::SEE_OTHER, target).into_response();
            let cookie = session_cookie(Some(&session), &app.config.public_url);
            response.headers_mut().append(header::SET_COOKIE, cookie);
            dress(&mut response);
            response
        }
        Err(error) => failed(error, "/app/sign-in"),
    }
}

fn failed(error: LoginError, back: &str) -> Response {
    let note = match error {
        LoginError::Other(error) => return unavailable(&error),
        LoginError::Refused => Note::bad(
            "Facebook did not confirm the sign-in",
            "A sign-in works once and for a few minutes. Nothing was connected or changed. Start \
             again from Connections.",
        ),
        LoginError::Away => Note::bad(
            "Facebook does not answer at the moment",
            "Nothing was connected or changed. Try again in a few minutes.",
        ),
        LoginError::Missing(names) => {
            let mut note = Note::bad(
                "Something was not granted",
                "Facebook gives an app all that it asks for, or nothing that works. Sign in again, \
                 and on Facebook’s pages leave everything switched on and choose the Page. What is \
                 missing:",
            );
            let known = |name: &&str| PERMISSIONS.iter().find(|known| known.name == *name);
            note.paragraphs.extend(
                names
                    .iter()
                    .filter_map(known)
                    .map(|permission| format!("{} ({})", permission.lets_us, permission.name)),
            );
            note
        }
    };
    page(StatusCode::OK, &note.with(AGAIN, back))
}

fn too_late() -> Response {
    let note = Note::bad(
        "This sign-in cannot go on",
        "It was started too long ago, or in another browser. Nothing was connected or changed. \
         Open Connections in Pagecast and start again.",
    );
    page(StatusCode::FORBIDDEN, &note)
}
