//! What goes wrong on a page: said in words, with a number to quote where the mistake is ours.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::answer::saying;
use super::shell::Shell;
use crate::campaigns;

#[derive(Debug)]
pub enum Error {
    NotFound,
    /// A sentence that says why not.
    Forbidden(&'static str),
    /// Not possible now: a title, and what to do.
    Refused {
        title: String,
        detail: String,
    },
    Internal(anyhow::Error),
}

impl Error {
    pub fn refused(title: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Refused {
            title: title.into(),
            detail: detail.into(),
        }
    }
}

impl<E: Into<anyhow::Error>> From<E> for Error {
    fn from(error: E) -> Self {
        Self::Internal(error.into())
    }
}

/// Not `From`: the blanket above takes whatever is an error, so this one is asked for by name.
pub fn of_campaign(error: campaigns::Error) -> Error {
    match error {
        campaigns::Error::NotFound => Error::NotFound,
        campaigns::Error::Conflict(words) => Error::refused("That is not possible now", words),
        campaigns::Error::Invalid(problems) => Error::refused(
            "The campaign has something to mend",
            problems
                .into_iter()
                .map(|problem| problem.detail)
                .collect::<Vec<_>>()
                .join(" "),
        ),
        campaigns::Error::Other(error) => Error::Internal(error),
    }
}

/// What the guard draws as a page, with the workspace's navigation around it.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: StatusCode,
    pub title: String,
    pub heading: String,
    pub detail: String,
    /// To be quoted; it stands in the log beside the cause.
    pub number: Option<String>,
}

impl Failure {
    /// What a person reads of an error; the cause of one of ours goes to the log.
    pub fn of(error: Error) -> Self {
        match error {
            Error::NotFound => Self {
                status: StatusCode::NOT_FOUND,
                title: "There is no such page".to_owned(),
                heading: "Nothing is kept at this address".to_owned(),
                detail: "It may have been deleted, or the link is not complete. What you have is \
                         in the lists."
                    .to_owned(),
                number: None,
            },
            Error::Forbidden(detail) => Self {
                status: StatusCode::FORBIDDEN,
                title: "This was not done".to_owned(),
                heading: "The request did not come from this admin".to_owned(),
                detail: detail.to_owned(),
                number: None,
            },
            Error::Refused { title, detail } => Self {
                status: StatusCode::CONFLICT,
                heading: title.clone(),
                title,
                detail,
                number: None,
            },
            Error::Internal(error) => {
                let number = quotable_number();
                tracing::error!(error.number = %number, error = format!("{error:#}"), "page failed");
                Self {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    title: "This page did not load".to_owned(),
                    heading: "The mistake is ours, and your campaigns keep running".to_owned(),
                    detail: "Nothing was sent twice and nothing you saved is lost. We have a \
                             record of what went wrong. Load the page again; if it stays like \
                             this, ask your operator and quote the number below."
                        .to_owned(),
                    number: Some(number),
                }
            }
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let failure = Failure::of(self);
        let mut response = (failure.status, failure.heading.clone()).into_response();
        response.extensions_mut().insert(failure);
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage<'a> {
    pub shell: &'a Shell,
    pub failure: &'a Failure,
}

#[derive(Template)]
#[template(path = "error_alone.html")]
pub struct ErrorAlone<'a> {
    pub failure: &'a Failure,
}

/// Draws a failure as a page: with the navigation where we know whose it is. A part of a page that
/// failed to refresh stays as it was, and a toast says so.
pub fn draw(failure: &Failure, shell: Option<&Shell>, is_part: bool) -> Response {
    if is_part {
        let words = match &failure.number {
            Some(number) => format!("That did not work. Try again. Number {number}"),
            None => format!("{}. {}", failure.title, failure.detail),
        };
        let mut response = saying(failure.status.into_response(), &words, true);
        response
            .headers_mut()
            .insert("hx-reswap", HeaderValue::from_static("none"));
        return response;
    }
    let html = match shell {
        Some(shell) => ErrorPage { shell, failure }.render(),
        None => ErrorAlone { failure }.render(),
    };
    match html {
        Ok(html) => (failure.status, Html(html)).into_response(),
        Err(_) => (
            failure.status,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            failure.detail.clone(),
        )
            .into_response(),
    }
}

/// `7F3K-91QD`: short enough to be read out.
fn quotable_number() -> String {
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let mut bits = rand::random::<u64>();
    let mut number = String::new();
    for i in 0..8 {
        if i == 4 {
            number.push('-');
        }
        number.push(char::from(LETTERS[(bits & 31) as usize]));
        bits >>= 5;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::shell::Nav;

    fn failure(error: Error) -> Failure {
        error
            .into_response()
            .extensions()
            .get::<Failure>()
            .unwrap()
            .clone()
    }

    #[test]
    fn every_error_is_a_page_that_leads_on() {
        let shell = Shell::sample(Nav::Elsewhere);
        for (error, status) in [
            (Error::NotFound, 404),
            (Error::Forbidden("Press the button there."), 403),
            (Error::refused("Not now", "It started meanwhile."), 409),
            (Error::Internal(anyhow::anyhow!("secret detail")), 500),
        ] {
            let failure = failure(error);
            assert_eq!(failure.status, status);
            let shell = &shell;
            let failure = &failure;
            for html in [
                ErrorPage { shell, failure }.render().unwrap(),
                ErrorAlone { failure }.render().unwrap(),
            ] {
                assert!(html.contains(&failure.detail) && html.contains("href=\"/app\""));
                assert!(!html.contains("secret detail"));
                assert_eq!(html.contains("data-copy"), status == 500);
            }
        }
    }

    #[test]
    fn a_part_that_failed_stays_as_it_was_and_a_toast_says_so() {
        let answer = draw(&failure(Error::NotFound), None, true);
        assert_eq!(answer.headers()["hx-reswap"], "none");
        assert!(answer.headers().contains_key("hx-trigger"));
    }
}
