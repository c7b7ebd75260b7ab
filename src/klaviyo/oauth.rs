//! Access tokens from refresh tokens.

use secrecy::SecretString;

use crate::clock::Millis;

/// What `POST /oauth/token` returns; store whatever comes back.
#[derive(Clone, Debug)]
pub struct Tokens {
    pub access: SecretString,
    pub refresh: SecretString,
    /// Lifetime of the access token in milliseconds.
    pub expires_in: Millis,
}
