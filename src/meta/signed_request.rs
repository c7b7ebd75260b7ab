//! `signed_request`: how Meta calls when a person removes the app or wants to be forgotten.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::read::text;

/// Why a signed request is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the request is not signed with this app's secret")]
    Signature,
    #[error("the request is signed, but does not say whom it is about")]
    NoPerson,
}

/// The app-scoped id of the person it is about (never a PSID), if the app's secret signed it.
pub fn person(secret: &SecretString, signed_request: &str) -> Result<String, Refused> {
    let (signature, payload) = signed_request
        .trim()
        .split_once('.')
        .ok_or(Refused::Signature)?;
    let signature = decode(signature).ok_or(Refused::Signature)?;
    // Meta signs the payload as it is encoded, not what it says.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(payload.as_bytes());
    let expected = mac.finalize().into_bytes();
    if !bool::from(expected.as_slice().ct_eq(&signature)) {
        return Err(Refused::Signature);
    }
    let said: Value = decode(payload)
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(Refused::NoPerson)?;
    let algorithm = text(&said, "algorithm");
    if algorithm.is_some_and(|name| !name.eq_ignore_ascii_case("HMAC-SHA256")) {
        return Err(Refused::Signature);
    }
    text(&said, "user_id").ok_or(Refused::NoPerson)
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(secret: &str, payload: &str) -> String {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(payload.as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
        format!("{signature}.{payload}")
    }

    #[test]
    fn the_person_is_read_from_what_the_apps_secret_signed() {
        let secret = SecretString::from("s");
        let good = signed("s", r#"{"algorithm":"HMAC-SHA256","user_id":"42"}"#);
        assert_eq!(person(&secret, &good).as_deref(), Ok("42"));
        let number = signed("s", r#"{"user_id":42}"#);
        assert_eq!(person(&secret, &number).as_deref(), Ok("42"));
        let (signature, payload) = good.split_once('.').unwrap();
        let padded = format!("{signature}=.{payload}");
        assert_eq!(person(&secret, &padded).as_deref(), Ok("42"));
    }

    #[test]
    fn anything_else_is_refused() {
        let secret = SecretString::from("s");
        let refused = |request: &str| person(&secret, request).unwrap_err();
        assert_eq!(refused(""), Refused::Signature);
        assert_eq!(refused("no-dot"), Refused::Signature);
        assert_eq!(refused("."), Refused::Signature);
        let other = signed("other", r#"{"user_id":"42"}"#);
        assert_eq!(refused(&other), Refused::Signature);
        let good = signed("s", r#"{"user_id":"42"}"#);
        let (signature, _) = good.split_once('.').unwrap();
        let forged = format!(
            "{signature}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"user_id":"43"}"#)
        );
        assert_eq!(refused(&forged), Refused::Signature);
        let weak = signed("s", r#"{"algorithm":"none","user_id":"42"}"#);
        assert_eq!(refused(&weak), Refused::Signature);
        assert_eq!(refused(&signed("s", "{}")), Refused::NoPerson);
        assert_eq!(refused(&signed("s", "[")), Refused::NoPerson);
    }
}
