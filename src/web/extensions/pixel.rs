//! `POST /extensions/pixel`: the web pixel saw a purchase end and says which click began the visit.
//! Nobody signs that, so it is a hint: small, rare, kept for a week, and of use only where an
//! order's own webhook tells of the same checkout.

use axum::body::Bytes;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::{ByAccount, refusal, trouble};
use crate::attribution::{self, PixelHint};
use crate::store::ids::WorkspaceId;
use crate::web::Web;

/// Nothing that we keep of a hint is longer.
const LONGEST: usize = 128;

#[derive(Deserialize)]
struct Told {
    account: String,
    event: String,
    event_id: String,
    /// Our click id, as it stood in the address that the visit began with.
    click: String,
    #[serde(default)]
    checkout_token: Option<String>,
    /// A number or a gid.
    #[serde(default)]
    order_id: Option<String>,
}

/// The same answer whatever became of it: nobody learns what is known here.
pub(super) async fn pixel(
    State(web): State<Web>,
    Extension(limits): Extension<ByAccount>,
    body: Bytes,
) -> Response {
    let app = &web.app;
    // A beacon comes as text/plain, so the type of the body says nothing.
    let Ok(told) = serde_json::from_slice::<Told>(&body) else {
        return refusal(StatusCode::BAD_REQUEST, "the body is not as expected");
    };
    let Ok(workspace) = told.account.parse::<WorkspaceId>() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    if !limits.allow(&workspace, app.clock.now()) {
        return refusal(StatusCode::TOO_MANY_REQUESTS, "too many calls at once");
    }
    let Some(hint) = told.hint() else {
        return StatusCode::NO_CONTENT.into_response();
    };
    match attribution::note_hint(app, workspace, &hint).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => trouble(&error),
    }
}

impl Told {
    /// What there is to keep, if anything.
    fn hint(self) -> Option<PixelHint> {
        let short = |text: &str| {
            let text = text.trim();
            (!text.is_empty() && text.len() <= LONGEST).then(|| text.to_owned())
        };
        let number = |id: &str| {
            let number = id.rsplit('/').next().unwrap_or_default().to_owned();
            let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            digits.then_some(number)
        };
        let hint = PixelHint {
            event_id: short(&self.event_id)?,
            click: self.click.trim().parse().ok()?,
            checkout_token: self.checkout_token.as_deref().and_then(short),
            shop_order_id: self
                .order_id
                .as_deref()
                .and_then(short)
                .as_deref()
                .and_then(number),
        };
        let names_something = hint.checkout_token.is_some() || hint.shop_order_id.is_some();
        (self.event == "checkout_completed" && names_something).then_some(hint)
    }
}
