//! Every case of `vectors.json`, with both secrets configured and with the current one alone.

use pagecast::shopify::auth::Verifier;
use pagecast::shopify::webhooks::verify_hmac;
use secrecy::SecretString;
use serde_json::Value;

use crate::fixture;

/// Runs each case of a kind against both configurations.
fn each(kind: &str, accepts: impl Fn(&Value, &[SecretString]) -> bool) {
    let vectors = fixture("shopify/vectors.json");
    let secret = |name: &str| SecretString::from(vectors[name].as_str().unwrap());
    let (both, current) = ([secret("secret"), secret("old_secret")], [secret("secret")]);
    let cases = vectors[kind].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let expected = case["accept"] == true;
        assert_eq!(accepts(case, &both), expected, "{kind}/{}", case["name"]);
        let alone = expected && case["needs_old_secret"] != true;
        assert_eq!(
            accepts(case, &current),
            alone,
            "{kind}/{} alone",
            case["name"]
        );
    }
}

fn verifier(secrets: &[SecretString]) -> (Verifier, i64) {
    let vectors = fixture("shopify/vectors.json");
    let client_id = vectors["client_id"].as_str().unwrap().to_owned();
    (
        Verifier::new(client_id, secrets.to_vec()),
        vectors["now"].as_i64().unwrap() * 1_000,
    )
}

#[test]
fn webhook_signatures() {
    each("webhook", |case, secrets| {
        let body = case["body"].as_str().unwrap().as_bytes();
        verify_hmac(secrets, body, case["header"].as_str())
    });
}

#[test]
fn session_tokens_of_both_surfaces() {
    each("session_token", |case, secrets| {
        let (verifier, now) = verifier(secrets);
        let token = case["token"].as_str().unwrap();
        match case["surface"].as_str().unwrap() {
            "admin" => verifier.admin_token(token, now).is_ok(),
            _ => verifier.extension_token(token, now).is_ok(),
        }
    });
}

#[test]
fn a_session_token_names_its_shop_and_its_user() {
    let vectors = fixture("shopify/vectors.json");
    let (verifier, now) = verifier(&[SecretString::from("hush")]);
    let case = &vectors["session_token"][0];
    let session = verifier
        .admin_token(case["token"].as_str().unwrap(), now)
        .unwrap();
    assert_eq!(
        (session.shop.as_str(), session.user_id),
        ("s.myshopify.com", 42)
    );
}

#[test]
fn app_proxy_queries() {
    each("app_proxy", |case, secrets| {
        let (verifier, now) = verifier(secrets);
        verifier
            .app_proxy(case["query"].as_str().unwrap(), now)
            .is_ok()
    });
}

#[test]
fn legacy_queries() {
    each("legacy_query", |case, secrets| {
        let (verifier, now) = verifier(secrets);
        verifier
            .legacy_query(case["query"].as_str().unwrap(), now)
            .is_ok()
    });
}

/// Published pairs of message and digest; their times are long past, so the clock goes back.
#[test]
fn published_digests_are_reproduced() {
    let vectors = fixture("shopify/vectors.json");
    let (verifier, _) = verifier(&[SecretString::from("hush")]);
    let legacy = &vectors["digest_examples"][0];
    let (message, hex) = (
        legacy["message"].as_str().unwrap(),
        legacy["hex"].as_str().unwrap(),
    );
    let query = format!("{message}&hmac={hex}");
    assert!(verifier.legacy_query(&query, 1_337_178_173_000).is_ok());
    let hex = vectors["digest_examples"][1]["hex"].as_str().unwrap();
    let query = format!(
        "extra=1&extra=2&shop=shop-name.myshopify.com&logged_in_customer_id=1\
         &path_prefix=%2Fapps%2Fawesome_reviews&timestamp=1317327555&signature={hex}"
    );
    assert!(verifier.app_proxy(&query, 1_317_327_555_000).is_ok());
}
