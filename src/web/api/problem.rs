//! Errors as `application/problem+json` (RFC 9457): what went wrong, and for each field where.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::delivery;
use crate::{automations, campaigns, opt_ins};

pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// A field of the request that must be mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct FieldError {
    /// JSON pointer into the request's body, as `/message/buttons/0/url`; for a query parameter
    /// its name after a slash, as `/limit`.
    #[schema(example = "/message/text")]
    pub pointer: String,
    /// A sentence that says what to do.
    pub detail: String,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    #[schema(example = "Unprocessable Content")]
    title: String,
    #[schema(example = 422)]
    status: u16,
    /// A sentence for a person.
    detail: String,
    /// The fields that must be mended; empty when no field is to blame.
    errors: Vec<FieldError>,
}

#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    header: Option<(&'static str, &'static str)>,
}

impl FieldError {
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            detail: detail.into(),
        }
    }
}

impl From<delivery::Problem> for FieldError {
    fn from(problem: delivery::Problem) -> Self {
        Self::new(problem.pointer, problem.detail)
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            errors: Vec::new(),
            header: None,
        }
    }

    /// Fields of the body are wrong.
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.pointer, one.detail),
            many => format!("{} fields must be mended.", many.len()),
        };
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    pub(super) fn field(pointer: &str, detail: &str) -> Self {
        Self::fields(vec![FieldError::new(pointer, detail)])
    }

    /// A query parameter is wrong.
    pub(super) fn parameter(name: &str, detail: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            ..Self::field(&format!("/{name}"), detail)
        }
    }

    pub(super) fn not_found(detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub(super) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side. Nothing of it is your fault; try again later.",
        )
    }

    /// `name` in small letters.
    pub(super) fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        tracing::error!("A call of the API failed: {error:#}");
        Self::internal()
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl From<campaigns::Error> for Problem {
    fn from(error: campaigns::Error) -> Self {
        match error {
            campaigns::Error::NotFound => Self::not_found("There is no such campaign."),
            campaigns::Error::Invalid(problems) => {
                Self::fields(problems.into_iter().map(FieldError::from).collect())
            }
            campaigns::Error::Conflict(words) => Self::conflict(words),
            campaigns::Error::Other(error) => error.into(),
        }
    }
}

impl From<automations::Error> for Problem {
    fn from(error: automations::Error) -> Self {
        match error {
            automations::Error::NotFound => Self::not_found("There is no such automation."),
            automations::Error::Invalid(problems) => {
                Self::fields(problems.into_iter().map(FieldError::from).collect())
            }
            automations::Error::Other(error) => error.into(),
        }
    }
}

impl From<opt_ins::LinkError> for Problem {
    fn from(error: opt_ins::LinkError) -> Self {
        match error {
            opt_ins::LinkError::NoPage => Self::conflict("Connect a Facebook Page first."),
            opt_ins::LinkError::Other(error) => error.into(),
        }
    }
}
