//! Settings of the workspace, and API tokens.

use std::ops::RangeInclusive;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use serde::Deserialize;

use crate::store::ids::TokenId;
use crate::web::Web;
use crate::web::pages::answer::{Answer, page, page_with, see_other_saying};
use crate::web::pages::error::Error;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::workspaces::{self, ApiToken, Workspace};

const NAME_LENGTH: usize = 100;
/// The same spans as the API takes. No cap of ours leaves Meta's own.
const CAP_HOURS: RangeInclusive<i64> = 0..=720;
const WINDOW_DAYS: RangeInclusive<i64> = 1..=90;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/app/settings", get(show).post(save))
        .route("/app/settings/tokens", post(create_token))
        .route("/app/settings/tokens/{id}/revoke", post(revoke_token))
}

#[derive(Template)]
#[template(path = "settings/settings.html")]
struct Settings {
    shell: Shell,
    form: Draft,
    zones: Vec<String>,
    now: String,
    new_token: Option<NewToken>,
    tokens: Vec<TokenRow>,
    token_name: String,
    token_error: &'static str,
    workspace: String,
}

struct NewToken {
    name: String,
    secret: String,
}

struct TokenRow {
    id: String,
    name: String,
    made: String,
}

/// The settings as they were typed, with what is wrong beside each field.
#[derive(Clone, Debug, Default)]
struct Draft {
    name: String,
    timezone: String,
    quiet: bool,
    quiet_start: String,
    quiet_end: String,
    cap_hours: String,
    window_days: String,
    errors: Errors,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Errors {
    name: Option<&'static str>,
    timezone: Option<&'static str>,
    quiet_start: Option<&'static str>,
    quiet_end: Option<&'static str>,
    cap_hours: Option<&'static str>,
    window_days: Option<&'static str>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Fields {
    name: String,
    timezone: String,
    quiet: String,
    quiet_start: String,
    quiet_end: String,
    cap_hours: String,
    attribution_window_days: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenFields {
    name: String,
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    let draft = Draft::from_workspace(&session.workspace);
    page(&drawn(&web, &session, draft).await?)
}

async fn save(State(web): State<Web>, session: Session, Form(fields): Form<Fields>) -> Answer {
    let mut draft = Draft::from_fields(fields);
    let Some(workspace) = draft.check(&session.workspace) else {
        let settings = drawn(&web, &session, draft).await?;
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &settings);
    };
    workspaces::save(&web.app, &session.workspace, &workspace).await?;
    Ok(see_other_saying("/app/settings", "Settings saved"))
}

/// Answers with the page itself: the token is in no address and in no second answer.
async fn create_token(
    State(web): State<Web>,
    session: Session,
    Form(fields): Form<TokenFields>,
) -> Answer {
    let name = fields.name.trim();
    let draft = Draft::from_workspace(&session.workspace);
    if name.is_empty() || name.chars().count() > NAME_LENGTH {
        let mut settings = drawn(&web, &session, draft).await?;
        name.clone_into(&mut settings.token_name);
        settings.token_error = "Say in 1 to 100 characters what the token is for.";
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &settings);
    }
    let token = workspaces::create_token(&web.app, session.workspace.id, name).await?;
    let mut settings = drawn(&web, &session, draft).await?;
    settings.new_token = Some(NewToken {
        name: name.to_owned(),
        secret: token.expose_secret().to_owned(),
    });
    page(&settings)
}

async fn revoke_token(State(web): State<Web>, session: Session, Path(id): Path<String>) -> Answer {
    let id: TokenId = id.parse().map_err(|_| Error::NotFound)?;
    if !workspaces::revoke_token(&web.app, session.workspace.id, id).await? {
        return Err(Error::NotFound);
    }
    Ok(see_other_saying(
        "/app/settings#api",
        "The token opens nothing any more",
    ))
}

async fn drawn(web: &Web, session: &Session, form: Draft) -> Result<Settings, Error> {
    let tokens = workspaces::tokens(&web.app, session.workspace.id).await?;
    Ok(view(session, form, tokens))
}

fn view(session: &Session, form: Draft, tokens: Vec<ApiToken>) -> Settings {
    let f = session.format();
    Settings {
        shell: session.shell(Nav::Settings, "Settings"),
        form,
        zones: jiff::tz::db()
            .available()
            .map(|zone| zone.to_string())
            .collect(),
        now: f.clock(f.now()),
        new_token: None,
        tokens: tokens
            .into_iter()
            .map(|token| TokenRow {
                id: token.id.to_string(),
                name: token.name,
                made: f.time(token.created_at),
            })
            .collect(),
        token_name: String::new(),
        token_error: "",
        workspace: session.workspace.id.to_string(),
    }
}

impl Draft {
    fn from_workspace(workspace: &Workspace) -> Self {
        // What the fields begin with when quiet hours are switched on.
        let (quiet_start, quiet_end) = workspace
            .quiet_hours
            .clone()
            .unwrap_or_else(|| ("21:00".to_owned(), "09:00".to_owned()));
        Self {
            name: workspace.name.clone(),
            timezone: workspace.timezone.clone(),
            quiet: workspace.quiet_hours.is_some(),
            quiet_start,
            quiet_end,
            cap_hours: workspace.cap_hours.to_string(),
            window_days: workspace.attribution_window_days.to_string(),
            errors: Errors::default(),
        }
    }

    fn from_fields(fields: Fields) -> Self {
        let trimmed = |text: String| text.trim().to_owned();
        Self {
            name: trimmed(fields.name),
            timezone: trimmed(fields.timezone),
            quiet: fields.quiet == "on",
            quiet_start: trimmed(fields.quiet_start),
            quiet_end: trimmed(fields.quiet_end),
            cap_hours: trimmed(fields.cap_hours),
            window_days: trimmed(fields.attribution_window_days),
            errors: Errors::default(),
        }
    }

    fn has_errors(&self) -> bool {
        self.errors != Errors::default()
    }

    /// The workspace with these settings, or `None` with the errors marked.
    fn check(&mut self, now: &Workspace) -> Option<Workspace> {
        if !(1..=NAME_LENGTH).contains(&self.name.chars().count()) {
            self.errors.name = Some("Give the workspace a name of up to 100 characters.");
        }
        let zone = TimeZone::get(&self.timezone).ok();
        if zone.is_none() {
            self.errors.timezone = Some("Choose a zone from the list, as America/Los_Angeles.");
        }
        // Taken over as the database writes it: `europe/berlin` is found, too.
        let timezone = zone
            .and_then(|zone| zone.iana_name().map(str::to_owned))
            .unwrap_or_else(|| self.timezone.clone());
        let cap_hours = within(&self.cap_hours, &CAP_HOURS);
        if cap_hours.is_none() {
            self.errors.cap_hours = Some("Write whole hours from 0 to 720.");
        }
        let window = within(&self.window_days, &WINDOW_DAYS);
        if window.is_none() {
            self.errors.window_days = Some("Write whole days from 1 to 90.");
        }
        let quiet_hours = if self.quiet {
            if !is_time(&self.quiet_start) {
                self.errors.quiet_start = Some("Write the time as 21:00.");
            }
            if !is_time(&self.quiet_end) {
                self.errors.quiet_end = Some("Write the time as 09:00.");
            } else if self.quiet_start == self.quiet_end {
                self.errors.quiet_end =
                    Some("Choose another time than the start, or switch quiet hours off.");
            }
            Some((self.quiet_start.clone(), self.quiet_end.clone()))
        } else {
            None
        };
        if self.has_errors() {
            return None;
        }
        Some(Workspace {
            id: now.id,
            name: self.name.clone(),
            timezone,
            quiet_hours,
            cap_hours: cap_hours?,
            attribution_window_days: window?,
            is_removed: now.is_removed,
        })
    }
}

fn within(text: &str, span: &RangeInclusive<i64>) -> Option<i64> {
    text.parse().ok().filter(|n| span.contains(n))
}

/// `HH:MM` on a 24-hour clock.
fn is_time(text: &str) -> bool {
    let Some((hours, minutes)) = text.split_once(':') else {
        return false;
    };
    let two = |part: &str, below: u8| {
        part.len() == 2
            && part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok_and(|n| n < below)
    };
    two(hours, 24) && two(minutes, 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::WorkspaceId;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId(1),
            name: "Hollow Pine Coffee".to_owned(),
            timezone: "America/Los_Angeles".to_owned(),
            quiet_hours: Some(("21:00".to_owned(), "09:00".to_owned())),
            cap_hours: 24,
            attribution_window_days: 7,
            is_removed: false,
        }
    }

    #[test]
    fn what_is_stored_can_be_saved_unchanged() {
        let workspace = workspace();
        let saved = Draft::from_workspace(&workspace).check(&workspace).unwrap();
        assert_eq!(saved.timezone, workspace.timezone);
        assert_eq!(saved.quiet_hours, workspace.quiet_hours);
        assert_eq!((saved.cap_hours, saved.attribution_window_days), (24, 7));
    }

    #[test]
    fn each_mistake_stands_beside_its_field() {
        let workspace = workspace();
        let mut draft = Draft {
            name: String::new(),
            timezone: "Mars/Olympus".to_owned(),
            quiet: true,
            quiet_start: "9 pm".to_owned(),
            quiet_end: "24:00".to_owned(),
            cap_hours: "721".to_owned(),
            window_days: "soon".to_owned(),
            errors: Errors::default(),
        };
        assert!(draft.check(&workspace).is_none());
        let Errors {
            name,
            timezone,
            quiet_start,
            quiet_end,
            cap_hours,
            window_days,
        } = draft.errors;
        for error in [
            name,
            timezone,
            quiet_start,
            quiet_end,
            cap_hours,
            window_days,
        ] {
            assert!(error.is_some());
        }
    }

    #[test]
    fn quiet_hours_that_are_off_are_not_checked_and_an_empty_span_is_refused() {
        let workspace = workspace();
        let mut draft = Draft::from_workspace(&workspace);
        draft.quiet = false;
        draft.quiet_start.clear();
        assert_eq!(draft.check(&workspace).unwrap().quiet_hours, None);
        let mut draft = Draft::from_workspace(&workspace);
        draft.quiet_end.clone_from(&draft.quiet_start);
        assert!(draft.check(&workspace).is_none());
        assert!(draft.errors.quiet_end.is_some());
    }

    #[test]
    fn the_page_shows_what_was_typed_and_what_is_wrong_with_it() {
        let mut draft = Draft::from_workspace(&workspace());
        "Mars/<Olympus>".clone_into(&mut draft.timezone);
        assert!(draft.check(&workspace()).is_none());
        let html = html(&view(&session(), draft, Vec::new()));
        clean(&html);
        assert!(html.contains("Mars/&#60;Olympus&#62;"));
        assert!(html.contains("id=\"tz-e\""));
    }

    #[test]
    fn a_new_token_is_shown_and_each_token_can_be_revoked_behind_a_question() {
        let tokens = vec![ApiToken {
            id: TokenId(3),
            name: "Reports".to_owned(),
            created_at: NOW,
        }];
        let mut settings = view(&session(), Draft::from_workspace(&workspace()), tokens);
        settings.new_token = Some(NewToken {
            name: "Reports".to_owned(),
            secret: "pc_secret".to_owned(),
        });
        let html = html(&settings);
        clean(&html);
        assert!(html.contains("data-copy=\"pc_secret\""));
        let id = TokenId(3);
        let dialog = html
            .split_once(&format!("<dialog class=\"dialog\" id=\"revoke-{id}\""))
            .unwrap()
            .1;
        assert!(dialog.contains(&format!("action=\"/app/settings/tokens/{id}/revoke\"")));
    }
}
