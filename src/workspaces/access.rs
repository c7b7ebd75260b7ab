//! Who may look: API tokens, one-time sign-in links, browser sessions. Only hashes are kept.

use secrecy::SecretString;

use crate::app::App;
use crate::store::ids::WorkspaceId;

/// A sign-in link, valid once and for a quarter of an hour.
#[derive(Debug)]
pub struct LoginLink {
    pub url: String,
}

/// Makes an API token (`pc_…`), shown once.
pub async fn create_token(
    _app: &App,
    _ws: WorkspaceId,
    _name: &str,
) -> anyhow::Result<SecretString> {
    unimplemented!()
}

/// Whose token it is.
pub async fn authenticate(
    _app: &App,
    _token: &SecretString,
) -> anyhow::Result<Option<WorkspaceId>> {
    unimplemented!()
}

/// Makes `{PUBLIC_URL}/app/sign-in?token=…`.
pub async fn login_link(_app: &App, _ws: WorkspaceId) -> anyhow::Result<LoginLink> {
    unimplemented!()
}

/// Trades the token of a sign-in link, once, for a session token (for the cookie).
pub async fn open_login(_app: &App, _token: &SecretString) -> anyhow::Result<Option<SecretString>> {
    unimplemented!()
}

/// Whose session it is, while it lasts.
pub async fn session(_app: &App, _token: &SecretString) -> anyhow::Result<Option<WorkspaceId>> {
    unimplemented!()
}

pub async fn sign_out(_app: &App, _token: &SecretString) -> anyhow::Result<()> {
    unimplemented!()
}
