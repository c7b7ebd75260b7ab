//! What Meta tells us: the handshake, the signature, and its events as our own enum. Reading the
//! envelopes stands in `events`.

use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::read::text;
use crate::clock::Millis;

pub use super::events::{ParseError, parse};

/// One event about one Page, whatever envelope it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Meta's id of the Page.
    pub page_id: String,
    /// When it happened, by Meta's clock.
    pub at: Millis,
    /// The person, where the event names one.
    pub psid: Option<String>,
    pub kind: EventKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventKind {
    /// The person wrote; `quick_reply` holds the payload of a tapped quick reply.
    Message {
        mid: String,
        text: Option<String>,
        quick_reply: Option<String>,
    },
    /// The Page wrote, by us or by another app; `metadata` is what we gave with the send.
    Echo {
        mid: String,
        app_id: Option<String>,
        metadata: Option<String>,
    },
    /// A button, Get Started among them; `referral` when it came with an m.me `ref`.
    Postback {
        mid: Option<String>,
        payload: String,
        title: Option<String>,
        referral: Option<Referral>,
    },
    /// An m.me link or an ad opened an existing thread.
    Referral(Referral),
    /// The person accepted the opt-in card, or Meta refreshed the token.
    OptIn {
        token: String,
        payload: Option<String>,
        title: Option<String>,
        timezone: Option<String>,
        expires_at: Option<Millis>,
        reference: Option<String>,
    },
    /// STOP NOTIFICATIONS.
    Stop {
        token: Option<String>,
    },
    /// RESUME NOTIFICATIONS.
    Resume {
        token: Option<String>,
    },
    /// `mids` were delivered, and everything sent up to `watermark`.
    Delivered {
        mids: Vec<String>,
        watermark: Millis,
    },
    /// Everything sent up to `watermark` was read.
    Read {
        watermark: Millis,
    },
    Reaction {
        mid: String,
        added: bool,
    },
    /// An event of the paid channel; matched by `tracking_id`, else by token and campaign.
    Marketing {
        what: Marketing,
        mid: Option<String>,
        tracking_id: Option<String>,
        token: Option<String>,
        meta_campaign_id: Option<String>,
        error: Option<String>,
    },
    /// A comment on a post of the Page.
    Comment {
        comment_id: String,
        post_id: String,
        from: Option<String>,
        added: bool,
        text: Option<String>,
    },
    Lead {
        leadgen_id: String,
        form_id: Option<String>,
    },
    /// Meta blocked or unblocked the Page's messaging.
    Policy {
        blocked: bool,
        reason: Option<String>,
    },
    /// Understood as Meta's, not needed by us; kept for the log only.
    Other {
        field: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marketing {
    Echo,
    Delivered,
    Read,
    Clicked,
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referral {
    /// The `ref` of an m.me link.
    pub reference: Option<String>,
    /// `SHORTLINK` or `ADS`.
    pub source: Option<String>,
    pub ad_id: Option<String>,
}

/// `X-Hub-Signature-256` over the raw bytes as they came: Meta signs its own spelling of the JSON.
pub fn verify_signature(secret: &SecretString, raw_body: &[u8], header: Option<&str>) -> bool {
    let Some(given) = header.and_then(|header| header.trim().strip_prefix("sha256=")) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(raw_body);
    let expected = hex::encode(mac.finalize().into_bytes());
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

/// The people (by their id for the app) whose permissions a delivery of the object `permissions`
/// says have changed; none in any other delivery.
pub fn people_who_changed(body: &[u8]) -> Vec<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    if text(&body, "object").as_deref() != Some("permissions") {
        return Vec::new();
    }
    let entries = body.get("entry").and_then(Value::as_array);
    entries
        .into_iter()
        .flatten()
        .filter_map(|entry| text(entry, "uid").or_else(|| text(entry, "id")))
        .collect()
}

/// The challenge to answer, if `hub.mode` is `subscribe` and the token is ours.
pub fn verify_handshake<'a>(
    expected: &SecretString,
    mode: Option<&str>,
    verify_token: Option<&str>,
    challenge: Option<&'a str>,
) -> Option<&'a str> {
    let ours = expected.expose_secret().as_bytes();
    let same: bool = ours.ct_eq(verify_token?.as_bytes()).into();
    challenge.filter(|_| same && !ours.is_empty() && mode == Some("subscribe"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_the_raw_bytes_only() {
        let secret = SecretString::from("key");
        let body = b"The quick brown fox jumps over the lazy dog";
        let good = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
        assert!(verify_signature(&secret, body, Some(good)));
        assert!(!verify_signature(
            &secret,
            b"The quick brown fox",
            Some(good)
        ));
        assert!(!verify_signature(&"other".into(), body, Some(good)));
        assert!(!verify_signature(
            &secret,
            body,
            good.strip_prefix("sha256=")
        ));
        assert!(!verify_signature(
            &secret,
            body,
            Some(&good.replace("sha256", "sha1"))
        ));
        assert!(!verify_signature(&secret, body, None));
    }

    #[test]
    fn whose_permissions_changed_is_read_from_that_object_only() {
        let body = br#"{"object":"permissions","entry":[{"uid":12,"time":1,
            "changes":[{"field":"connected","verb":"revoked"}]}]}"#;
        assert_eq!(people_who_changed(body), ["12"]);
        assert!(people_who_changed(br#"{"object":"page","entry":[{"id":"1"}]}"#).is_empty());
        assert!(people_who_changed(b"[").is_empty());
    }

    #[test]
    fn the_handshake_answers_only_to_our_own_token() {
        let ours = SecretString::from("tok");
        let said = |mode, token| verify_handshake(&ours, mode, token, Some("42"));
        assert_eq!(said(Some("subscribe"), Some("tok")), Some("42"));
        assert_eq!(said(Some("subscribe"), Some("other")), None);
        assert_eq!(said(Some("unsubscribe"), Some("tok")), None);
        assert_eq!(said(Some("subscribe"), None), None);
        assert_eq!(
            verify_handshake(&"".into(), Some("subscribe"), Some(""), Some("1")),
            None
        );
    }
}
