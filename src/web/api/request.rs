//! What a call carries: a JSON body held against its published schema, query parameters, an id in
//! the path. Whatever does not fit is refused with the place where it stands.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;
use utoipa::{IntoParams, ToSchema};

use crate::store::page::{Cursor, MAX_LIMIT};
use crate::store::{clean, clean_json};
use crate::web::api::problem::{FieldError, Problem};
use crate::web::api::{document, shape};

/// Larger bodies are refused with 413.
pub(super) const LARGEST_BODY: usize = 1 << 20;

/// A JSON body. An absent one counts as `{}`, so that an action needs none.
pub(super) struct Body<T>(pub T);

impl<T, S> FromRequest<S> for Body<T>
where
    T: DeserializeOwned + ToSchema,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let other = other_kind(request.headers());
        let bytes = read(request).await?;
        if bytes.trim_ascii().is_empty() {
            return parse(Value::Object(Map::new())).map(Self);
        }
        if let Some(other) = other {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "This call says that it carries `{other}`. Send JSON, with `Content-Type: \
                     application/json`."
                ),
            ));
        }
        let mut value = serde_json::from_slice(&bytes).map_err(|error| {
            Problem::new(
                StatusCode::BAD_REQUEST,
                format!("The body is not readable as JSON: {error}."),
            )
        })?;
        clean_json(&mut value);
        parse(value).map(Self)
    }
}

/// The whole body, unless it is larger than the router's limit.
pub(super) async fn read(request: Request) -> Result<Bytes, Problem> {
    Bytes::from_request(request, &())
        .await
        .map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                Problem::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "The body is larger than 1 MB.",
                )
            } else {
                Problem::new(StatusCode::BAD_REQUEST, "The body did not arrive whole.")
            }
        })
}

/// The content type, where it clearly is not JSON. One that is missing or says "bytes" leaves the
/// body to speak for itself.
fn other_kind(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = value.split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    let may_be_json = [
        "",
        "application/json",
        "text/json",
        "application/octet-stream",
    ]
    .contains(&kind.as_str())
        || kind.ends_with("+json");
    (!may_be_json).then_some(kind)
}

/// Holds `value` against the schema of `T`, which knows every place by name, and then reads it.
fn parse<T: DeserializeOwned + ToSchema>(value: Value) -> Result<T, Problem> {
    let wrong = shape::check(document::components(), &T::name(), &value);
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                Segment::Seq { index } => Some(index.to_string()),
                Segment::Map { key } => Some(key.clone()),
                Segment::Enum { .. } | Segment::Unknown => None,
            })
            .map(|step| shape::step(&step))
            .collect();
        Problem::fields(vec![FieldError::new(pointer, error.inner().to_string())])
    })
}

/// Query parameters. All of `T`'s fields are optional texts.
pub(super) struct Params<T>(pub T);

impl<T, S> FromRequestParts<S> for Params<T>
where
    T: DeserializeOwned + IntoParams,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = T::into_params(|| None);
        let mut given = Map::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|parameter| parameter.name == name) {
                let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
                let names = names.join(", ");
                let detail = format!("There is no such parameter here. There are: {names}.");
                return Err(Problem::parameter(&name, &detail));
            }
            if !value.is_empty() {
                given.insert(name.into_owned(), Value::String(clean(&value)));
            }
        }
        serde_json::from_value(Value::Object(given))
            .map(Self)
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
    }
}

/// `?cursor&limit` of a list.
pub(super) fn cursor(cursor: Option<&str>, limit: Option<&str>) -> Result<Cursor, Problem> {
    let words = format!("Give a number from 1 to {MAX_LIMIT}.");
    let limit = limit
        .map(|text| text.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n)))
        .map(|limit| limit.ok_or_else(|| Problem::parameter("limit", &words)))
        .transpose()?;
    Cursor::parse(cursor, limit).ok_or_else(|| {
        Problem::parameter(
            "cursor",
            "Use the `next_cursor` of the page before, unchanged.",
        )
    })
}

/// The `{id}` of the path. What is no id of this kind names nothing, so it is a 404.
pub(super) struct Id<T>(pub T);

impl<T, S> FromRequestParts<S> for Id<T>
where
    T: FromStr,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<String>, PathRejection> =
            Path::from_request_parts(parts, state).await;
        path.ok()
            .and_then(|Path(text)| text.parse().ok())
            .map(Self)
            .ok_or_else(|| Problem::not_found("There is nothing with this id."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_refuses_what_it_cannot_page() {
        assert!(cursor(None, None).is_ok());
        assert!(cursor(None, Some("200")).is_ok());
        for limit in ["0", "201", "many", "-1"] {
            assert!(cursor(None, Some(limit)).is_err(), "{limit}");
        }
        assert!(cursor(Some("!"), None).is_err());
    }
}
