//! `Idempotency-Key`: a POST that is sent again with its key is answered again and done once.
//! A row without an answer is a request under way; it holds for a minute, so that a process that
//! died in the middle does not keep the key for ever. What a request makes has its id from the row,
//! so whoever takes the key over after a crash finds it made.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::store::ids::WorkspaceId;
use crate::store::sealed::sha256_hex;
use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::problem::{self, Problem};
use crate::web::api::request;

pub(super) const KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;
/// How long an answer is kept.
const KEPT: Millis = DAY;
/// How long a request may be under way before another takes its place.
const LEASE: Millis = MINUTE;

/// One keyed request: whose, by which key, and what it asks.
#[derive(Clone)]
struct Keyed {
    ws: WorkspaceId,
    key: String,
    fingerprint: String,
}

/// The id of what this request makes. Of a request with a key it is always the same, so what is
/// there under it was made by an earlier try.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewId(i64);

enum Claim {
    /// Do it, under this id; the moment names our claim.
    Ours(Millis, NewId),
    Answered(StatusCode, String),
    UnderWay,
    OtherRequest,
}

pub(super) async fn once(
    State(web): State<Web>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let Some(key) = request.headers().get(KEY) else {
        return Ok(next.run(request).await);
    };
    let key = key.to_str().unwrap_or_default().trim().to_owned();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "An Idempotency-Key has 1 to 255 plain characters.",
        ));
    }
    let (parts, body) = request.into_parts();
    let bytes = request::read(Request::from_parts(parts.clone(), body)).await?;
    let keyed = Keyed {
        ws: caller.0,
        key,
        fingerprint: fingerprint(&parts.uri.to_string(), &bytes),
    };
    let (claimed, new_id) = match claim(&web.app, &keyed).await? {
        Claim::Ours(at, new_id) => (at, new_id),
        Claim::Answered(status, body) => return Ok(again(status, body)),
        Claim::UnderWay => {
            return Err(Problem::conflict(
                "A request with this Idempotency-Key is under way. Ask again in a moment.",
            )
            .with_header("retry-after", "1"));
        }
        Claim::OtherRequest => {
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "This Idempotency-Key was used with another request. Use a new one.",
            ));
        }
    };
    // Done to its end even if the caller hangs up: else its repeat would find it half done.
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(new_id);
    let app = web.app.clone();
    let work = web.app.tasks.spawn(async move {
        let response = next.run(request).await;
        finish(&app, &keyed, claimed, response).await
    });
    match work.await {
        Ok(response) => response,
        Err(_) => Err(Problem::internal()),
    }
}

impl NewId {
    pub(super) fn get<T: From<i64>>(self) -> T {
        T::from(self.0)
    }
}

impl FromRequestParts<Web> for NewId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Infallible> {
        let given = parts.extensions.get::<Self>().copied();
        Ok(given.unwrap_or_else(|| Self(web.app.ids.next())))
    }
}

/// The same JSON is the same request, however it is spaced.
fn fingerprint(uri: &str, body: &[u8]) -> String {
    let same = serde_json::from_slice::<serde_json::Value>(body)
        .map_or_else(|_| body.to_vec(), |value| value.to_string().into_bytes());
    sha256_hex(&[uri.as_bytes(), b"\n", &same].concat())
}

async fn claim(app: &App, keyed: &Keyed) -> anyhow::Result<Claim> {
    let now = app.clock.now();
    let fresh: i64 = app.ids.next();
    let inserted = sqlx::query(
        "INSERT INTO idempotency_keys (workspace_id, key, fingerprint, created_at, new_id)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
    )
    .bind(keyed.ws)
    .bind(&keyed.key)
    .bind(&keyed.fingerprint)
    .bind(now)
    .bind(fresh)
    .execute(app.db.writer())
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(Claim::Ours(now, NewId(fresh)));
    }
    type Row = (String, Option<i64>, Option<String>, Millis, Option<i64>);
    let row: Option<Row> = sqlx::query_as(
        "SELECT fingerprint, status, body, created_at, new_id FROM idempotency_keys
         WHERE workspace_id = $1 AND key = $2",
    )
    .bind(keyed.ws)
    .bind(&keyed.key)
    .fetch_optional(app.db.pool())
    .await?;
    // Gone between the two statements: whoever had it failed, and the caller may ask again.
    let Some((fingerprint, status, body, created_at, new_id)) = row else {
        return Ok(Claim::UnderWay);
    };
    let age = now - created_at;
    if age <= KEPT && fingerprint != keyed.fingerprint {
        return Ok(Claim::OtherRequest);
    }
    if let Some(status) = status.filter(|_| age <= KEPT) {
        let status = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .unwrap_or(StatusCode::OK);
        return Ok(Claim::Answered(status, body.unwrap_or_default()));
    }
    if age < LEASE {
        return Ok(Claim::UnderWay);
    }
    let new_id = new_id.filter(|_| age <= KEPT).unwrap_or(fresh);
    let taken = sqlx::query(
        "UPDATE idempotency_keys SET fingerprint = $3, status = NULL, body = NULL, created_at = $4,
             new_id = $6
         WHERE workspace_id = $1 AND key = $2 AND created_at = $5",
    )
    .bind(keyed.ws)
    .bind(&keyed.key)
    .bind(&keyed.fingerprint)
    .bind(now)
    .bind(created_at)
    .bind(new_id)
    .execute(app.db.writer())
    .await?;
    Ok(if taken.rows_affected() == 1 {
        Claim::Ours(now, NewId(new_id))
    } else {
        Claim::UnderWay
    })
}

/// Keeps a final answer; one that may be different next time gives the key back.
async fn finish(
    app: &App,
    keyed: &Keyed,
    claimed: Millis,
    response: Response,
) -> Result<Response, Problem> {
    let status = response.status();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(anyhow::Error::from)?;
    let text = std::str::from_utf8(&bytes)
        .ok()
        .filter(|_| is_final(status));
    match text {
        Some(text) => {
            sqlx::query(
                "UPDATE idempotency_keys SET status = $3, body = $4
                 WHERE workspace_id = $1 AND key = $2 AND created_at = $5",
            )
            .bind(keyed.ws)
            .bind(&keyed.key)
            .bind(i64::from(status.as_u16()))
            .bind(text)
            .bind(claimed)
            .execute(app.db.writer())
            .await?;
        }
        None => {
            sqlx::query(
                "DELETE FROM idempotency_keys
                 WHERE workspace_id = $1 AND key = $2 AND created_at = $3 AND status IS NULL",
            )
            .bind(keyed.ws)
            .bind(&keyed.key)
            .bind(claimed)
            .execute(app.db.writer())
            .await?;
        }
    }
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn is_final(status: StatusCode) -> bool {
    !status.is_server_error()
        && status != StatusCode::UNAUTHORIZED
        && status != StatusCode::TOO_MANY_REQUESTS
}

fn again(status: StatusCode, body: String) -> Response {
    let kind = if status.is_success() {
        "application/json"
    } else {
        problem::CONTENT_TYPE
    };
    let mut response = (status, Bytes::from(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_and_order_do_not_make_another_request() {
        let one = fingerprint("/x", br#"{"a": 1, "b": [2]}"#);
        assert_eq!(one, fingerprint("/x", br#"{"b":[2],"a":1}"#));
        assert_ne!(one, fingerprint("/x", br#"{"b":[2],"a":2}"#));
        assert_ne!(one, fingerprint("/y", br#"{"a": 1, "b": [2]}"#));
        assert_ne!(fingerprint("/x", b"{"), fingerprint("/x", b"}"));
    }

    #[test]
    fn an_answer_that_may_change_is_not_kept() {
        assert!(is_final(StatusCode::CREATED));
        assert!(is_final(StatusCode::UNPROCESSABLE_ENTITY));
        assert!(!is_final(StatusCode::INTERNAL_SERVER_ERROR));
        assert!(!is_final(StatusCode::TOO_MANY_REQUESTS));
    }
}
