//! What the token endpoint hears from us, and what a session token must hold beyond the vectors.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use pagecast::http_client::HttpClient;
use pagecast::shopify::auth::{Rejected, Verifier};
use pagecast::shopify::{Client, Settings, ShopDomain};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::recorder::Recorder;

const NOW: i64 = 1_790_000_000;

#[tokio::test]
async fn the_exchange_asks_for_an_expiring_token_in_shopifys_own_words() {
    let answer = r#"{"access_token":"shpat_1","scope":"read_orders","expires_in":3600,
        "refresh_token":"shprt_1","refresh_token_expires_in":7776000}"#;
    let server = Recorder::start(200, answer).await;
    let settings = Settings {
        admin_url: format!("{}/{{shop}}", server.url),
        client_id: Some("client".to_owned()),
        client_secret: Some("hush".into()),
    };
    let client = Client::new(HttpClient::new().unwrap(), settings);
    let shop = ShopDomain::parse("a-shop.myshopify.com").unwrap();
    let tokens = client
        .exchange(&shop, &SecretString::from("session.token.x"))
        .await
        .unwrap();
    assert_eq!(tokens.access.expose_secret(), "shpat_1");
    client
        .refresh(&shop, &SecretString::from("shprt_1"))
        .await
        .unwrap();
    let heard = server.heard();
    let path = "/a-shop.myshopify.com/admin/oauth/access_token";
    assert!(
        heard
            .iter()
            .all(|call| call.method == "POST" && call.path == path)
    );
    assert_eq!(
        heard[0].body,
        json!({
            "client_id": "client", "client_secret": "hush",
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "session.token.x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "requested_token_type": "urn:shopify:params:oauth:token-type:offline-access-token",
            "expiring": "1",
        })
    );
    assert_eq!(
        heard[1].body,
        json!({"client_id": "client", "client_secret": "hush", "grant_type": "refresh_token",
            "refresh_token": "shprt_1"})
    );
}

fn claims() -> Value {
    json!({"iss": "https://s.myshopify.com/admin", "dest": "https://s.myshopify.com",
        "aud": "test_key", "sub": "42", "exp": NOW + 60, "nbf": NOW, "iat": NOW})
}

fn verdict(header: &Header, claims: &Value) -> Result<(), Rejected> {
    let token = encode(header, claims, &EncodingKey::from_secret(b"hush")).unwrap();
    let verifier = Verifier::new("test_key".to_owned(), vec!["hush".into()]);
    verifier.admin_token(&token, NOW * 1_000).map(|_| ())
}

#[test]
fn a_session_token_lacking_any_claim_we_rely_on_is_refused() {
    let hs256 = Header::new(Algorithm::HS256);
    assert_eq!(verdict(&hs256, &claims()), Ok(()));
    for claim in ["iss", "dest", "aud", "sub", "exp", "nbf"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        assert!(verdict(&hs256, &claims).is_err(), "without {claim}");
    }
}

#[test]
fn a_session_token_with_a_claim_that_only_looks_right_is_refused() {
    let hs256 = Header::new(Algorithm::HS256);
    for (claim, value) in [
        ("sub", json!("gid://shopify/Customer/42")),
        ("sub", json!("")),
        ("sub", json!("+42")),
        ("aud", json!(["test_key", "other"])),
        ("dest", json!("http://s.myshopify.com")),
        ("dest", json!("https://s.myshopify.com/")),
        ("dest", json!("https://s.myshopify.com:443")),
        ("dest", json!("https://x@s.myshopify.com")),
        ("dest", json!("https://S.myshopify.com")),
        ("dest", json!("https://s.myshopify.com.evil.example")),
        ("iss", json!("https://s.myshopify.com/admin/")),
        ("exp", json!("1790000060")),
        ("nbf", json!(NOW + 11)),
    ] {
        let mut claims = claims();
        claims[claim] = value;
        let refused = verdict(&hs256, &claims);
        assert!(refused.is_err(), "{claim}: {}", claims[claim]);
    }
    let longer_hash = Header::new(Algorithm::HS512);
    assert_eq!(
        verdict(&longer_hash, &claims()),
        Err(Rejected::Signature),
        "HS256 only"
    );
}
