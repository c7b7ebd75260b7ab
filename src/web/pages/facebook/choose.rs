//! `/auth/meta/pages`: the person who signed in says which Pages speak for the workspace.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;

use super::errand::{Door, Errand, forget, of_cookie};
use super::{Note, page, unavailable};
use crate::app::App;
use crate::meta::login::AdAccount;
use crate::web::Web;
use crate::web::pages::fields::Fields;
use crate::web::pages::format::number;
use crate::web::pages::session::comes_from_us;
use crate::web::pages::words::initials;
use crate::workspaces::{
    self, Candidate, Choices, ChooseError, Chosen, Connected, Login, Standing,
};

const AGAIN: &str = "Go back";

pub(super) fn router() -> Router<Web> {
    Router::new().route("/auth/meta/pages", get(show).post(connect))
}

#[derive(Template)]
#[template(path = "facebook/choose.html")]
struct Choose<'a> {
    workspace: &'a str,
    person: Option<&'a str>,
    pages: Vec<Row>,
    ad_accounts: Vec<(String, String)>,
    we_pay: bool,
    /// Nothing was ticked.
    is_empty_choice: bool,
    back: &'a str,
}

struct Row {
    id: String,
    name: String,
    initials: String,
    picture: Option<String>,
    followers: String,
    badge: Option<(&'static str, &'static str)>,
    note: &'static str,
    is_possible: bool,
    checked: bool,
}

#[derive(Template)]
#[template(path = "facebook/take_over.html")]
struct TakeOver<'a> {
    workspace: &'a str,
    pages: Vec<(String, String)>,
    chosen: Vec<String>,
    ad_account: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "facebook/done.html")]
struct Done<'a> {
    pages: Vec<(String, Option<String>)>,
    works: usize,
    /// An invited person has nowhere to go on to.
    back: Option<&'a str>,
}

async fn show(State(app): State<App>, headers: HeaderMap) -> Response {
    match visitor(&app, &headers).await {
        Ok(Ok((login, errand))) => ask(&app, &login, &errand, false).await,
        Ok(Err(instead)) => *instead,
        Err(error) => unavailable(&error),
    }
}

/// The login of this browser, or what it sees instead.
async fn visitor(
    app: &App,
    headers: &HeaderMap,
) -> anyhow::Result<Result<(Login, Errand), Box<Response>>> {
    if let Some((browser, errand)) = of_cookie(app, headers) {
        let login = workspaces::choosing(app, &browser).await?;
        if let Some(login) = login.filter(|login| Some(login.workspace) == errand.workspace) {
            return Ok(Ok((login, errand)));
        }
    }
    let note = Note::bad(
        "There is nothing to choose from any more",
        "The Pages were chosen already, or the sign-in is too long ago. Open Connections in \
         Pagecast to see what is connected, or to start again.",
    );
    Ok(Err(Box::new(page(StatusCode::FORBIDDEN, &note))))
}

async fn ask(app: &App, login: &Login, errand: &Errand, is_empty_choice: bool) -> Response {
    let workspace = match workspaces::find(app, login.workspace).await {
        Ok(found) => found.map(|found| found.name).unwrap_or_default(),
        Err(error) => return unavailable(&error),
    };
    let choices = match workspaces::choices(app, login).await {
        Ok(choices) => choices,
        Err(error) => return failed(error, errand),
    };
    if choices.pages.is_empty() {
        let note = Note::bad(
            "Facebook showed us no Page",
            "Either no Page was ticked in Facebook’s dialog, or the Facebook account manages none, \
             or a Page that an agency shares cannot be seen by this way in. Sign in again and tick \
             the Page, or sign in with the account that manages it.",
        );
        return page(StatusCode::OK, &note.with(AGAIN, errand.back()));
    }
    let status = if is_empty_choice {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    page(
        status,
        &view(&workspace, login, choices, is_empty_choice, errand.back()),
    )
}

fn view<'a>(
    workspace: &'a str,
    login: &'a Login,
    choices: Choices,
    is_empty_choice: bool,
    back: &'a str,
) -> Choose<'a> {
    let only = choices.pages.len() == 1;
    Choose {
        workspace,
        person: login.name.as_deref(),
        pages: choices
            .pages
            .into_iter()
            .map(|page| row(page, only))
            .collect(),
        ad_accounts: choices.ad_accounts.into_iter().map(ad_account).collect(),
        we_pay: choices.we_pay,
        is_empty_choice,
        back,
    }
}

fn row(page: Candidate, only: bool) -> Row {
    let is_possible = page.lacks.is_empty();
    let (badge, note) = match (is_possible, page.standing) {
        (false, _) => (
            Some(("attention", "Role too small")),
            "Your role does not include Messages and Community activity. A Page admin can add them \
             under Settings, Page access.",
        ),
        (true, Standing::Free) => (None, ""),
        (true, Standing::Ours) => (
            Some(("ok", "Connected here")),
            "It stays connected and gets its access anew.",
        ),
        (true, Standing::Elsewhere) => (
            Some(("attention", "Serves elsewhere")),
            "It is connected to another Pagecast workspace. You are asked once more before \
             anything stops there.",
        ),
    };
    Row {
        initials: initials(&page.name),
        followers: page
            .followers
            .map(|n| match n {
                1 => "1 follower".to_owned(),
                n => format!("{} followers", number(n)),
            })
            .unwrap_or_default(),
        checked: is_possible
            && (page.standing == Standing::Ours || only && page.standing == Standing::Free),
        id: page.meta_id,
        name: page.name,
        picture: page.picture,
        badge,
        note,
        is_possible,
    }
}

fn ad_account(account: AdAccount) -> (String, String) {
    let number = account.id.trim_start_matches("act_").to_owned();
    let mut words = account
        .name
        .unwrap_or_else(|| format!("Ad account {number}"));
    if let Some(currency) = account.currency {
        words = format!("{words}, {currency}");
    }
    if account.has_funding == Some(false) {
        words.push_str(" (no payment method yet)");
    }
    (account.id, words)
}

async fn connect(State(app): State<App>, headers: HeaderMap, fields: Fields) -> Response {
    if !comes_from_us(&headers, &app.config.public_url) {
        let note = Note::bad(
            "This was not done",
            "To keep others from acting in your name, choices are only taken from our own page.",
        );
        return page(StatusCode::FORBIDDEN, &note);
    }
    let (login, errand) = match visitor(&app, &headers).await {
        Ok(Ok(visitor)) => visitor,
        Ok(Err(instead)) => return *instead,
        Err(error) => return unavailable(&error),
    };
    let chosen = Chosen {
        pages: fields.all("page").map(str::to_owned).collect(),
        ad_account: fields.optional("ad_account").map(str::to_owned),
        take_over: fields.all("take_over").map(str::to_owned).collect(),
    };
    match workspaces::connect_chosen(&app, &login, &chosen).await {
        Ok(done) => finished(&app, done, &errand).await,
        Err(ChooseError::Nothing) => ask(&app, &login, &errand, true).await,
        Err(ChooseError::WouldTakeOver(pages)) => {
            let workspace = match workspaces::find(&app, login.workspace).await {
                Ok(found) => found.map(|found| found.name).unwrap_or_default(),
                Err(error) => return unavailable(&error),
            };
            let question = TakeOver {
                workspace: &workspace,
                pages: pages
                    .into_iter()
                    .map(|page| (page.meta_id, page.name))
                    .collect(),
                chosen: chosen.pages.into_iter().collect(),
                ad_account: chosen.ad_account.as_deref(),
            };
            page(StatusCode::OK, &question)
        }
        Err(error) => failed(error, &errand),
    }
}

async fn finished(app: &App, done: Vec<Connected>, errand: &Errand) -> Response {
    let mut told = Vec::new();
    for connected in done {
        let problem = match connected.outcome {
            Ok(id) => {
                // So that the steps stand on the connection when the merchant comes back to it.
                if let Err(error) = workspaces::check_page(app, id).await {
                    tracing::warn!(page.id = %id, "A new Page could not be looked at: {error:#}");
                }
                None
            }
            Err(words) => Some(words),
        };
        told.push((connected.name, problem));
    }
    let works = told.iter().any(|(_, problem)| problem.is_none());
    let is_invited = match &errand.door {
        Door::Invited { code_hash } => {
            if works && let Err(error) = workspaces::invitation_used(app, code_hash).await {
                return unavailable(&error);
            }
            true
        }
        _ => false,
    };
    let view = Done {
        works: told.iter().filter(|(_, problem)| problem.is_none()).count(),
        pages: told,
        back: Some(errand.back()).filter(|_| !is_invited),
    };
    let mut response = page(StatusCode::OK, &view);
    if works {
        forget(response.headers_mut());
    }
    response
}

fn failed(error: ChooseError, errand: &Errand) -> Response {
    match error {
        ChooseError::Other(error) => unavailable(&error),
        error => {
            tracing::warn!("Meta does not show a login its Pages: {error}");
            let note = Note::bad(
                "Facebook does not show us your Pages at the moment",
                "Nothing was connected or changed. Load this page again in a minute, or start again \
                 from Connections.",
            );
            page(StatusCode::BAD_GATEWAY, &note.with(AGAIN, errand.back()))
        }
    }
}
