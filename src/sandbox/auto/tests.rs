//! People who live by themselves, with a stand-in for the product's click redirect.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};

use super::{Rates, m_me_link_in};
use crate::clock::Clock;
use crate::sandbox::{Config, DEMO_AD_ACCOUNT, DEMO_AD_TOKEN, DEMO_PAGE, Mode, start};

#[test]
fn the_opt_in_link_of_a_landing_page_is_found() {
    let html = r#"<a href="https://m.me/123?ref=a.b&amp;text=hi">Join</a>"#;
    assert_eq!(
        m_me_link_in(html).as_deref(),
        Some("https://m.me/123?ref=a.b&text=hi")
    );
}

/// Everybody does everything, at once.
fn hurry() -> Rates {
    let now = (0, 5);
    Rates {
        delivered: 1.0,
        delivered_after: now,
        read: 1.0,
        read_after: now,
        clicked: 1.0,
        clicked_after: now,
        bought: 1.0,
        bought_after: now,
        refunded: 1.0,
        refunded_after: now,
        stopped: 0.0,
        ..Rates::default()
    }
}

#[tokio::test]
async fn a_message_is_read_clicked_bought_from_and_returned() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let link = format!("http://{}/c/abc", listener.local_addr().unwrap());
    let leads_on = async || {
        let to = "https://harbour.example/sale?utm_id=cmp_1&pc_click=abc";
        (StatusCode::FOUND, [("location", to)]).into_response()
    };
    let product = Router::new().route("/c/abc", get(leads_on));
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(async move { axum::serve(listener, product).await });

    let sandbox = start(Config {
        mode: Mode::Auto,
        warm_up_ms: 0,
        ..Config::new(Clock::system())
    })
    .await
    .unwrap();
    sandbox.furnish();
    sandbox.behave(hurry());
    let shoppers = sandbox.populate(3).unwrap();
    let http = crate::sandbox::webhook_sender::outbound().unwrap();
    let post = async |path: &str, body: Value| {
        let url = format!("{}/v26.0/{DEMO_AD_ACCOUNT}/{path}", sandbox.meta.url());
        let request = http.post(url).bearer_auth(DEMO_AD_TOKEN).json(&body);
        let answer = request.send().await.unwrap();
        answer.json::<Value>().await.unwrap()
    };
    let body = json!({ "name": "Sale", "page_id": DEMO_PAGE });
    let campaign = post("message_campaign", body).await;
    let body = json!({
        "message_id": campaign["id"],
        "messenger_delivery_data": { "subscription_token": shoppers[1].token },
        "message": { "text": format!("Look: {link}") },
    });
    let sent = post("messages", body).await;
    assert_eq!(sent["success"], true, "{sent}");

    for _ in 0..500 {
        let orders = sandbox.shopify.orders_by(&shoppers[1].customer).unwrap();
        let returned = orders
            .first()
            .filter(|(id, _, left)| sandbox.shopify.total_of(*id).as_ref() != Some(left));
        if let Some((id, ..)) = returned {
            let sent = sandbox.meta.sent_to(&shoppers[1].person);
            assert!(sent[0].read_at.is_some());
            let landing = sandbox.shopify.landing_site_of(*id);
            assert_eq!(landing.as_deref(), Some("/sale?utm_id=cmp_1&pc_click=abc"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("nobody bought and returned anything");
}
