//! The calls around Facebook Login for Business and the check of a Page. Most of them are documented
//! outside of what `edges.json` was made of (the login and access token guides), so their names
//! stand here; the others are held against it.

use pagecast::http_client::HttpClient;
use pagecast::meta::login::Dialog;
use pagecast::meta::{Client, Settings};
use secrecy::SecretString;
use serde_json::Value;

use crate::fixture;
use crate::recorder::{Call, Recorder};

fn client(graph_url: &str) -> Client {
    let settings = Settings {
        graph_url: graph_url.to_owned(),
        graph_version: "v26.0".into(),
        app_id: Some("77".into()),
        app_secret: Some("app secret".into()),
    };
    Client::new(HttpClient::new().unwrap(), settings)
}

fn names(call: &Call) -> Vec<&str> {
    let own = |(name, _): &&(String, String)| name != "appsecret_proof";
    call.query
        .iter()
        .filter(own)
        .map(|(name, _)| name.as_str())
        .collect()
}

#[test]
fn the_dialog_is_opened_with_the_configuration_and_asks_for_a_code() {
    let address = client("https://graph.example").login_address(Dialog {
        login_url: "https://www.facebook.com",
        config_id: "9",
        redirect_uri: "https://pagecast.example/auth/meta/callback",
        state: "s&t",
    });
    let address = url::Url::parse(&address.unwrap()).unwrap();
    assert_eq!(address.host_str(), Some("www.facebook.com"));
    assert_eq!(address.path(), "/v26.0/dialog/oauth");
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let expected = [
        ("client_id", "77"),
        ("config_id", "9"),
        ("response_type", "code"),
        ("override_default_response_type", "true"),
        (
            "redirect_uri",
            "https://pagecast.example/auth/meta/callback",
        ),
        ("state", "s&t"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs, expected);
}

#[tokio::test]
async fn codes_and_tokens_are_traded_with_the_apps_secret_and_no_bearer() {
    let server = Recorder::start(200, r#"{"access_token":"t","expires_in":5183944}"#).await;
    let client = client(&server.url);
    let granted = client
        .exchange_code("c", "https://p.example/cb")
        .await
        .unwrap();
    assert_eq!(granted.lasts, Some(5_183_944_000));
    client
        .long_lived(&SecretString::from("short"))
        .await
        .unwrap();
    let calls = server.heard();
    let expected = [
        vec!["client_id", "client_secret", "redirect_uri", "code"],
        vec![
            "grant_type",
            "client_id",
            "client_secret",
            "fb_exchange_token",
        ],
    ];
    for (call, expected) in calls.iter().zip(expected) {
        assert_eq!(call.method, "GET");
        assert_eq!(call.path, "/v26.0/oauth/access_token");
        assert_eq!(call.header("authorization"), "");
        assert_eq!(names(call), expected);
    }
}

#[tokio::test]
async fn what_a_login_may_see_is_read_with_its_own_token() {
    let server = Recorder::start(200, r#"{"id":"5","name":"n","data":[]}"#).await;
    let (client, token) = (client(&server.url), SecretString::from("tok"));
    client.me(&token).await.unwrap();
    client.accounts(&token).await.unwrap();
    client.ad_accounts(&token).await.unwrap();
    client.ad_account("33", &token).await.unwrap();
    client.get_started("11", &token).await.unwrap();
    let paths = [
        "me",
        "me/accounts",
        "me/adaccounts",
        "act_33",
        "11/messenger_profile",
    ];
    let calls = server.heard();
    assert_eq!(calls.len(), paths.len());
    for (call, path) in calls.iter().zip(paths) {
        assert_eq!(call.path, format!("/v26.0/{path}"));
        assert_eq!(call.header("authorization"), "Bearer tok");
        assert!(
            names(call)
                .iter()
                .all(|name| ["fields", "limit"].contains(name)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_page_is_given_up_and_its_leads_asked_for_as_the_contract_says() {
    let contract = fixture("meta/edges.json");
    let edge = |id: &str| -> Value {
        let edges = contract["edges"].as_array().unwrap();
        edges.iter().find(|edge| edge["id"] == id).unwrap().clone()
    };
    let server = Recorder::start(
        200,
        r#"{"success":true,"has_lead_access":{"can_access_lead":false,
        "app_has_leads_permission":false}}"#,
    )
    .await;
    let (client, token) = (client(&server.url), SecretString::from("tok"));
    client.unsubscribe_page("11", &token).await.unwrap();
    let leads = client.lead_access("11", &token, "22").await.unwrap();
    assert!(!leads.can_access && leads.app_may == Some(false) && leads.person_may.is_none());
    client
        .join_asset(&server.url, "44", "33", &token)
        .await
        .unwrap();
    let calls = server.heard();

    let given_up = edge("page.subscribed_apps.unsubscribe");
    assert_eq!(given_up["method"], calls[0].method.as_str());
    assert_eq!(calls[0].path, "/v26.0/11/subscribed_apps");
    assert!(names(&calls[0]).is_empty());

    let asked = edge("page.has_lead_access");
    let path = asked["path"].as_str().unwrap();
    let path = path.replace("{page_id}", "11").replace("{user_id}", "22");
    let ours = format!(
        "{}?fields={}",
        calls[1].path,
        calls[1].parameter("fields").unwrap()
    );
    assert_eq!(ours, format!("/v26.0{path}"));

    let joined = edge("system_account.asset_connections");
    let path = joined["path"].as_str().unwrap();
    let path = path.strip_prefix("https://api.facebook.com").unwrap();
    assert_eq!(
        calls[2].path,
        path.replace("{business_integration_system_user_id}", "44")
    );
    assert_eq!(joined["method"], calls[2].method.as_str());
    assert!(
        calls[2]
            .header("content-type")
            .starts_with("multipart/form-data")
    );
    assert!(
        calls[2].raw.contains("name=\"asset_id\"\r\n\r\n33\r\n"),
        "{}",
        calls[2].raw
    );
}
