//! "Tell me when it is back": asked in the storefront, kept, and told once.

use pagecast::sandbox::{Item, Person};
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;
use crate::support::story::SHOP;

fn mug() -> Item {
    Item::new("Enamel Mug", "16.00", 1)
}

/// What the storefront hears when somebody looks at what is sold out.
async fn looks(story: &Story, variant: &str, locale: &str) -> Value {
    let own = [("variant", variant), ("locale", locale)];
    let query = story.sandbox.shopify.of(SHOP).proxy_query(&own).unwrap();
    let address = format!("{}/proxy/stock?{query}", story.url);
    let answer = story.http.get(address).send().await.unwrap();
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn asks(story: &Story, person: &Person, locale: &str) {
    let way = looks(story, &mug().variant_id().to_string(), locale).await;
    let url = way["opt_in"]["url"].as_str().unwrap();
    story.sandbox.meta.follows(person, url).unwrap();
    story.settles().await;
}

/// The merchant writes what is said then.
async fn writes_automation(story: &Story) -> String {
    let answer = story
        .post(
            "/automations",
            json!({
        "name": "Back in stock", "trigger": {"kind": "back_in_stock"}, "status": "on",
        "steps": [{"wait_minutes": 0, "message": {"kind": "text",
            "text": "{{product_title}} is back.",
            "buttons": [{"kind": "url", "title": "Get it", "url": "{{product_url}}"}]}}]}),
        )
        .await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.body["id"].as_str().unwrap().to_owned()
}

async fn restocks(story: &Story) {
    story.sandbox.shopify.of(SHOP).restocks(&mug()).unwrap();
    story.settles().await;
    story.minutes_pass(2).await;
}

fn told(story: &Story, person: &Person) -> usize {
    let heard = story.heard(person);
    heard
        .iter()
        .filter(|text| text.starts_with("Enamel Mug is back."))
        .count()
}

story! {
    async fn whoever_asked_is_told_once_and_leads_back_to_the_very_thing(story: &mut Story) {
        let automation = writes_automation(story).await;
        let ana = story.subscriber("Ana Silva").await;
        asks(story, &ana, "de").await;
        let heard = story.heard(&ana);
        assert!(heard.iter().any(|text| text.contains("wenn Enamel Mug wieder da ist")), "{heard:?}");
        let bea = story.sandbox.meta.person("Bea Lind");
        asks(story, &bea, "en").await;
        story.sandbox.meta.taps_card(&bea).unwrap();
        story.settles().await;
        let shown: String = sqlx::query_scalar(
            "SELECT text_shown FROM consents WHERE source = 'back_in_stock'")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert!(shown.starts_with("Tell me on Messenger when this is back."), "{shown}");
        let other = story.subscriber("Cleo Marsh").await;
        story.minutes_pass(5).await;

        restocks(story).await;
        assert_eq!((told(story, &ana), told(story, &bea), told(story, &other)), (1, 1, 0));
        let link = story.sent_to(&bea).last().unwrap().links[0].clone();
        let location = story.clicks(&link).await;
        let variant = format!("https://harbour.example/products/enamel-mug?variant={}", mug().variant_id());
        assert!(location.starts_with(&variant), "{location}");
        story.hours_pass(30).await;
        restocks(story).await;
        assert_eq!((told(story, &ana), told(story, &bea)), (1, 1), "told once");

        asks(story, &ana, "de").await;
        story.hours_pass(1).await;
        restocks(story).await;
        assert_eq!((told(story, &ana), told(story, &bea)), (2, 1), "asked again, told again");
        let report = story.get(&format!("/automations/{automation}")).await;
        assert_eq!(report.body["trigger"]["kind"], "back_in_stock");
    }
}

story! {
    async fn what_nobody_would_be_told_of_is_not_offered(story: &mut Story) {
        let variant = mug().variant_id().to_string();
        assert_eq!(looks(story, &variant, "en").await["opt_in"], Value::Null, "no automation");
        let automation = writes_automation(story).await;
        assert!(looks(story, &variant, "en").await["opt_in"]["url"].is_string());
        assert_eq!(looks(story, "99", "en").await["opt_in"], Value::Null, "not the shop's");
        for wrong in ["", "x", "-1"] {
            assert!(looks(story, wrong, "en").await["error"].is_string(), "{wrong}");
        }
        let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM watched_variants")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(kept, 1, "only what the shop sells");
        story.patch(&format!("/automations/{automation}"), json!({"status": "off"})).await;
        assert_eq!(looks(story, &variant, "en").await["opt_in"], Value::Null, "switched off");
    }
}

story! {
    async fn who_said_stop_is_not_told_and_who_is_forgotten_is_not_on_the_list(story: &mut Story) {
        writes_automation(story).await;
        let (ana, customer) = story.customer("Ana Silva").await;
        let bea = story.subscriber("Bea Lind").await;
        asks(story, &ana, "en").await;
        asks(story, &bea, "en").await;
        story.sandbox.meta.writes(&bea, "STOP").unwrap();
        story.settles().await;
        story.sandbox.shopify.of(SHOP).redacts(&customer).unwrap();
        story.settles().await;
        let on_the_list: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM stock_watches")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert_eq!(on_the_list, 1);
        story.minutes_pass(1).await;
        restocks(story).await;
        assert_eq!((told(story, &ana), told(story, &bea)), (0, 0));
    }
}
