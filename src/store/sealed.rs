//! Secrets at rest and what is signed: one list of keys, from which a key for each purpose is
//! derived. The first key seals and signs, all of them open and verify.

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What a key is used for; each purpose has a key of its own, so that a signature made for one
/// can never pass for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Boxes in `*_sealed` columns.
    Seal,
    /// The `ref` of an m.me link.
    Reference,
    /// Click codes.
    Click,
}

/// The keys of `SECRET_KEY`. Never prints.
#[derive(Clone)]
pub struct Keys(Vec<DerivedKeys>);

#[derive(Clone)]
struct DerivedKeys {
    seal: [u8; 32],
    reference: [u8; 32],
    click: [u8; 32],
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

impl Keys {
    pub fn new(secrets: &[[u8; 32]]) -> Self {
        let derive = |secret: &[u8; 32], label: &str| hmac_sha256(secret, label.as_bytes());
        Self(
            secrets
                .iter()
                .map(|secret| DerivedKeys {
                    seal: derive(secret, "pagecast seal v1"),
                    reference: derive(secret, "pagecast reference v1"),
                    click: derive(secret, "pagecast click v1"),
                })
                .collect(),
        )
    }

    /// Seals `secret` for the column and row named by `context` (as `pages.token:77`), so that a
    /// box copied to another row does not open there.
    pub fn seal(&self, context: &str, secret: &str) -> anyhow::Result<String> {
        let key = self.0.first().context("no key to seal with")?;
        let nonce: [u8; 24] = rand::random();
        let cipher = XChaCha20Poly1305::new((&key.seal).into());
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: context.as_bytes(),
        };
        let Ok(sealed) = cipher.encrypt(XNonce::from_slice(&nonce), payload) else {
            bail!("could not seal {context}");
        };
        let mut whole = nonce.to_vec();
        whole.extend_from_slice(&sealed);
        Ok(format!("v1.{}", URL_SAFE_NO_PAD.encode(whole)))
    }

    /// Opens a box with whichever key fits.
    pub fn open(&self, context: &str, sealed: &str) -> anyhow::Result<SecretString> {
        let whole = sealed
            .strip_prefix("v1.")
            .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
            .filter(|bytes| bytes.len() > 24)
            .with_context(|| format!("{context} is not a sealed value"))?;
        let (nonce, sealed) = whole.split_at(24);
        for key in &self.0 {
            let cipher = XChaCha20Poly1305::new((&key.seal).into());
            let payload = Payload {
                msg: sealed,
                aad: context.as_bytes(),
            };
            if let Ok(plain) = cipher.decrypt(XNonce::from_slice(nonce), payload) {
                return Ok(SecretString::from(String::from_utf8(plain)?));
            }
        }
        bail!("{context} was sealed with a key that SECRET_KEY no longer lists")
    }

    /// The first `N` bytes of the MAC over `message`.
    pub fn sign<const N: usize>(&self, purpose: Purpose, message: &[u8]) -> [u8; N] {
        let mac = self
            .0
            .first()
            .map(|key| hmac_sha256(key.of(purpose), message));
        let mut short = [0; N];
        short.copy_from_slice(&mac.unwrap_or_default()[..N]);
        short
    }

    /// Whether any key made this (possibly shortened) MAC; in constant time per key.
    pub fn verify(&self, purpose: Purpose, message: &[u8], mac: &[u8]) -> bool {
        if !(6..=32).contains(&mac.len()) {
            return false;
        }
        self.0
            .iter()
            .any(|key| bool::from(hmac_sha256(key.of(purpose), message)[..mac.len()].ct_eq(mac)))
    }
}

impl DerivedKeys {
    fn of(&self, purpose: Purpose) -> &[u8; 32] {
        match purpose {
            Purpose::Seal => &self.seal,
            Purpose::Reference => &self.reference,
            Purpose::Click => &self.click,
        }
    }
}

/// HMAC-SHA256.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    // A key of any length is accepted, so this cannot fail.
    let Ok(mut mac) = <Hmac<Sha256> as Mac>::new_from_slice(key) else {
        return [0; 32];
    };
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(message: &[u8]) -> String {
    hex::encode(Sha256::digest(message))
}

/// The hash by which an e-mail address is recognised: trimmed and lower-cased first.
pub fn email_hash(email: &str) -> Option<String> {
    let normal = email.trim().to_lowercase();
    normal.contains('@').then(|| sha256_hex(normal.as_bytes()))
}

/// The hash by which a phone number is recognised: digits only, without leading zeros.
pub fn phone_hash(phone: &str) -> Option<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    (digits.len() >= 6).then(|| sha256_hex(digits.as_bytes()))
}

/// A random secret of `bytes` bytes, URL-safe, with a prefix (`pc_…`).
pub fn random_token(prefix: &str, bytes: usize) -> SecretString {
    let random: Vec<u8> = (0..bytes).map(|_| rand::random()).collect();
    SecretString::from(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random)))
}

/// How a bearer secret is kept: only its hash.
pub fn token_hash(token: &SecretString) -> String {
    sha256_hex(token.expose_secret().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_opens_with_an_older_key_and_only_in_its_place() {
        let old = Keys::new(&[[1; 32]]);
        let rotated = Keys::new(&[[2; 32], [1; 32]]);
        let sealed = old.seal("pages.token:7", "secret").unwrap();
        assert!(!sealed.contains("secret"));
        assert_eq!(
            rotated
                .open("pages.token:7", &sealed)
                .unwrap()
                .expose_secret(),
            "secret"
        );
        assert!(rotated.open("pages.token:8", &sealed).is_err());
        assert!(
            Keys::new(&[[2; 32]])
                .open("pages.token:7", &sealed)
                .is_err()
        );
        assert!(old.open("pages.token:7", "v1.AAAA").is_err());
    }

    #[test]
    fn a_signature_for_one_purpose_is_worthless_for_another() {
        let keys = Keys::new(&[[1; 32]]);
        let mac: [u8; 8] = keys.sign(Purpose::Click, b"x");
        assert!(keys.verify(Purpose::Click, b"x", &mac));
        assert!(!keys.verify(Purpose::Reference, b"x", &mac));
        assert!(!keys.verify(Purpose::Click, b"y", &mac));
        assert!(!keys.verify(Purpose::Click, b"x", &[]));
    }

    #[test]
    fn addresses_are_recognised_however_they_are_written() {
        assert_eq!(
            email_hash(" Ana@Example.COM "),
            email_hash("ana@example.com")
        );
        assert_eq!(phone_hash("+49 (0)30-123456"), phone_hash("49030123456"));
        assert!(email_hash("nobody").is_none());
        assert!(phone_hash("12").is_none());
    }
}
