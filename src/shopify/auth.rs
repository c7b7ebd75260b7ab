//! Session tokens, app proxy signatures and the legacy query signature, by the rules of
//! facts/shopify.md. The clock is passed in; every secret of a rotation is tried.

use std::collections::BTreeMap;

use hmac::Mac;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use super::ShopDomain;
use super::webhooks::mac;
use crate::clock::{Millis, SECOND};

/// How far a session token's times may be off.
const TOKEN_LEEWAY: Millis = 10 * SECOND;
/// How old, or how far ahead, a signed query may be.
const QUERY_LEEWAY: Millis = 90 * SECOND;

/// Verifies what Shopify signs for one app.
#[derive(Clone, Debug)]
pub struct Verifier {
    client_id: String,
    secrets: Vec<SecretString>,
}

/// Somebody of the shop's staff, in the embedded admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSession {
    pub shop: ShopDomain,
    /// Shopify's id of the member of staff.
    pub user_id: u64,
    /// When Shopify issued the token: the app was installed then.
    pub issued_at: Millis,
}

/// A buyer at the checkout or in a customer account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerSession {
    pub shop: ShopDomain,
    /// The customer's gid, if logged in and ours to read.
    pub customer: Option<String>,
}

/// A request through the app proxy, its parameters decoded and in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedQuery {
    pub shop: ShopDomain,
    pub parameters: Vec<(String, String)>,
}

/// Why a token or a query is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the signature is missing or wrong")]
    Signature,
    #[error("it has expired or is not valid yet")]
    Time,
    #[error("it was issued for another app")]
    Audience,
    #[error("the {0} is missing or wrong")]
    Claim(&'static str),
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    dest: Option<String>,
    aud: Option<String>,
    sub: Option<String>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

impl Verifier {
    /// The secrets in the order to try them: the current first.
    pub fn new(client_id: String, secrets: Vec<SecretString>) -> Self {
        Self { client_id, secrets }
    }

    /// A token of the embedded admin. Buyers hold tokens under the same secret: only the demand
    /// for `iss` and for `sub` in digits keeps them out.
    pub fn admin_token(&self, token: &str, now: Millis) -> Result<AdminSession, Rejected> {
        let claims = self.claims(token, now)?;
        let dest = claims.dest.as_deref().ok_or(Rejected::Claim("dest"))?;
        let host = dest
            .strip_prefix("https://")
            .ok_or(Rejected::Claim("dest"))?;
        let shop = ShopDomain::parse(host).ok_or(Rejected::Claim("dest"))?;
        if claims.iss.as_deref() != Some(&format!("https://{host}/admin")) {
            return Err(Rejected::Claim("iss"));
        }
        let issued_at = claims.nbf.and_then(millis).ok_or(Rejected::Claim("nbf"))?;
        let user_id = claims
            .sub
            .filter(|sub| sub.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|sub| sub.parse().ok())
            .ok_or(Rejected::Claim("sub"))?;
        Ok(AdminSession {
            shop,
            user_id,
            issued_at,
        })
    }

    /// A token of a checkout or customer-account extension: no `iss`, `dest` with or without
    /// scheme, `sub` only of a customer we may know.
    pub fn extension_token(&self, token: &str, now: Millis) -> Result<BuyerSession, Rejected> {
        let claims = self.claims(token, now)?;
        let dest = claims.dest.as_deref().ok_or(Rejected::Claim("dest"))?;
        let host = dest.strip_prefix("https://").unwrap_or(dest);
        let shop = ShopDomain::parse(host).ok_or(Rejected::Claim("dest"))?;
        Ok(BuyerSession {
            shop,
            customer: claims.sub,
        })
    }

    /// The query of a request through the app proxy, raw as it came.
    pub fn app_proxy(&self, raw_query: &str, now: Millis) -> Result<SignedQuery, Rejected> {
        let parameters = once_each(raw_query, &["shop", "hmac", "signature", "timestamp"])?;
        recent(&parameters, now)?;
        let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in parameters.iter().filter(|(key, _)| key != "signature") {
            values.entry(key).or_default().push(value);
        }
        let mut pairs: Vec<String> = values
            .iter()
            .map(|(key, values)| format!("{key}={}", values.join(",")))
            .collect();
        pairs.sort_unstable();
        self.signed(&pairs.concat(), value_of(&parameters, "signature"))?;
        query_of_shop(parameters)
    }

    /// The `hmac` of the old install and callback links.
    pub fn legacy_query(&self, raw_query: &str, now: Millis) -> Result<SignedQuery, Rejected> {
        let parameters = once_each(raw_query, &["shop", "hmac", "timestamp"])?;
        recent(&parameters, now)?;
        let mut pairs: Vec<(String, String)> = parameters
            .iter()
            .filter(|(key, _)| key != "hmac" && key != "signature")
            .map(|(key, value)| (encoded(key), encoded(value)))
            .collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.into_iter().map(|(k, v)| format!("{k}={v}")).collect();
        self.signed(&pairs.join("&"), value_of(&parameters, "hmac"))?;
        query_of_shop(parameters)
    }

    /// Signature, times and audience, which all tokens share.
    fn claims(&self, token: &str, now: Millis) -> Result<Claims, Rejected> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The library asks the system's clock; ours is checked below.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let claims = self
            .secrets
            .iter()
            .find_map(|secret| {
                let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
                jsonwebtoken::decode::<Claims>(token, &key, &rules).ok()
            })
            .ok_or(Rejected::Signature)?
            .claims;
        let exp = claims.exp.and_then(millis).ok_or(Rejected::Claim("exp"))?;
        let nbf = claims.nbf.and_then(millis).ok_or(Rejected::Claim("nbf"))?;
        if now >= exp + TOKEN_LEEWAY || now < nbf - TOKEN_LEEWAY {
            return Err(Rejected::Time);
        }
        if claims.aud.as_deref() != Some(&self.client_id) {
            return Err(Rejected::Audience);
        }
        Ok(claims)
    }

    fn signed(&self, message: &str, given: Option<&str>) -> Result<(), Rejected> {
        let given = given
            .and_then(|hex| hex::decode(hex).ok())
            .ok_or(Rejected::Signature)?;
        let mut tries = self
            .secrets
            .iter()
            .map(|secret| mac(secret, message.as_bytes()));
        let good = tries.any(|mac| mac.verify_slice(&given).is_ok());
        if good {
            Ok(())
        } else {
            Err(Rejected::Signature)
        }
    }
}

/// Decodes the query; what may appear only once must not appear twice, since implementations
/// differ in which one they take.
fn once_each(raw_query: &str, single: &[&str]) -> Result<Vec<(String, String)>, Rejected> {
    let parameters: Vec<(String, String)> = form_urlencoded::parse(raw_query.as_bytes())
        .into_owned()
        .collect();
    for name in single {
        if parameters.iter().filter(|(key, _)| key == name).count() > 1 {
            return Err(Rejected::Claim("query, which repeats a parameter,"));
        }
    }
    Ok(parameters)
}

fn recent(parameters: &[(String, String)], now: Millis) -> Result<(), Rejected> {
    let at: Millis = value_of(parameters, "timestamp")
        .and_then(|text| text.parse().ok())
        .ok_or(Rejected::Claim("timestamp"))?;
    let off = at.checked_mul(SECOND).map(|at| now.abs_diff(at));
    if off.is_some_and(|off| off <= QUERY_LEEWAY.unsigned_abs()) {
        Ok(())
    } else {
        Err(Rejected::Time)
    }
}

fn query_of_shop(parameters: Vec<(String, String)>) -> Result<SignedQuery, Rejected> {
    let shop = value_of(&parameters, "shop").and_then(ShopDomain::parse);
    Ok(SignedQuery {
        shop: shop.ok_or(Rejected::Claim("shop"))?,
        parameters,
    })
}

fn value_of<'a>(parameters: &'a [(String, String)], name: &str) -> Option<&'a str> {
    parameters
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

/// Seconds of a claim, which JSON may write with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by the check before"
)]
fn millis(seconds: f64) -> Option<Millis> {
    (0.0..1e12)
        .contains(&seconds)
        .then_some((seconds * 1_000.0) as Millis)
}
