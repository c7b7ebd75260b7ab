//! Who calls: a bearer token names one workspace.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use secrecy::SecretString;

use crate::store::ids::WorkspaceId;
use crate::web::Web;
use crate::web::api::problem::Problem;
use crate::workspaces;

/// The workspace whose token was shown. A handler that asks for it cannot be reached without one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub WorkspaceId);

/// Lets the request through when its token is one of ours.
pub(super) async fn identify(
    State(web): State<Web>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(token) = bearer(request.headers()) else {
        return Err(unauthorized(
            "Send your API token as `Authorization: Bearer pc_…`.",
        ));
    };
    let Some(workspace) = workspaces::authenticate(&web.app, &token).await? else {
        return Err(unauthorized("This API token is unknown or was revoked."));
    };
    request.extensions_mut().insert(Caller(workspace));
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<SecretString> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
        .then(|| SecretString::from(token.to_owned()))
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, detail)
        .with_header("www-authenticate", r#"Bearer realm="pagecast""#)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Self>()
            .copied()
            .ok_or_else(|| unauthorized("This call needs an API token."))
    }
}
