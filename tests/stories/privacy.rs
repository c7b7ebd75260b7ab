//! Personal data: exported for the store owner, erased to the last trace, kept no longer than the
//! settings say; and an app that was removed says nothing more.

use pagecast::clock::{DAY, HOUR};
use pagecast::sandbox::Item;
use pagecast::store::Engine as Database;
use pagecast::workspaces::{self, Retention, audit};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::story;
use crate::support::Story;
use crate::support::story::SHOP;

const EMAIL: &str = "zuza@wyrwidab.example";
const PHONE: &str = "+48600700800";

/// Every column of text of every table in which one of the needles stands, in any case.
async fn found(story: &Story, needles: &[&str]) -> Vec<String> {
    let columns: Vec<(String, String)> = match story.app.db.engine() {
        Database::Sqlite => {
            let sql = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c
                       WHERE m.type = 'table' AND UPPER(c.type) = 'TEXT'";
            sqlx::query_as(sql).fetch_all(story.app.db.pool()).await
        }
        Database::Postgres => {
            let sql = "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT)
                       FROM information_schema.columns
                       WHERE table_schema = current_schema() AND data_type = 'text'";
            sqlx::query_as(sql).fetch_all(story.app.db.pool()).await
        }
    }
    .unwrap();
    assert!(
        columns.len() > 60,
        "all tables are looked through: {}",
        columns.len()
    );
    let mut places = Vec::new();
    for (table, column) in columns {
        let sql = format!("SELECT {column} FROM {table} WHERE {column} IS NOT NULL");
        let texts: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_all(story.app.db.pool())
            .await
            .unwrap();
        for needle in needles {
            let needle = needle.to_lowercase();
            if texts
                .iter()
                .any(|text| text.to_lowercase().contains(&needle))
            {
                places.push(format!("{table}.{column}: {needle}"));
            }
        }
    }
    places
}

/// The files of SQLite that hold one of the needles, byte for byte.
fn files_with(story: &Story, needles: &[&str]) -> Vec<String> {
    let Some(path) = story.app.config.database_url.strip_prefix("sqlite://") else {
        return Vec::new();
    };
    let mut places = Vec::new();
    for suffix in ["", "-wal", "-shm"] {
        let bytes = std::fs::read(format!("{path}{suffix}")).unwrap_or_default();
        for needle in needles {
            let spellings = [(*needle).to_owned(), needle.to_lowercase()];
            let is_there = |spelling: &String| {
                bytes
                    .windows(spelling.len())
                    .any(|part| part == spelling.as_bytes())
            };
            if spellings.iter().any(is_there) {
                places.push(format!("file{suffix}: {needle}"));
            }
        }
    }
    places
}

async fn admin(story: &Story, method: Method, path: &str, form: &str) -> (u16, String, String) {
    let link = workspaces::login_link(&story.app, story.workspace)
        .await
        .unwrap();
    let token = link.url.split("token=").nth(1).unwrap().to_owned();
    let opened = workspaces::open_login(&story.app, &secrecy::SecretString::from(token))
        .await
        .unwrap()
        .expect("the link opens");
    let answer = story
        .http
        .request(method, format!("{}{path}", story.url))
        .header(
            "Cookie",
            format!("pagecast_session={}", opened.expose_secret()),
        )
        .header("Sec-Fetch-Site", "same-origin")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.to_owned())
        .send()
        .await
        .unwrap();
    let kind = answer
        .headers()
        .get("content-disposition")
        .map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

async fn noted(story: &Story) -> Vec<audit::Noted> {
    let all = pagecast::store::page::Cursor::default();
    audit::noted(&story.app, story.workspace, all)
        .await
        .unwrap()
        .rows
}

/// Links in the page whose address ends so.
fn link_to(html: &str, end: &str) -> Option<String> {
    html.split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'))
        .map(|(address, _)| address.to_owned())
        .find(|address| address.ends_with(end))
}

/// A customer who left something in every corner: checkout, order, consent, message, flow, tags,
/// answers of the API, a link with her name.
async fn zuzanna(story: &mut Story) -> (pagecast::sandbox::Person, pagecast::sandbox::Customer) {
    let shopify = &story.sandbox.shopify;
    let mut shopper = shopify.customer("Zuzanna", "Wyrwidab", EMAIL).unwrap();
    shopper.phone = Some(PHONE.to_owned());
    shopify.updates_customer(&shopper).unwrap();
    story.settles().await;
    for trigger in [
        json!({"kind": "opted_in"}),
        json!({"kind": "klaviyo_flow", "event": "Win back"}),
    ] {
        let answer = story
            .post("/automations", json!({"name": "A", "trigger": trigger, "status": "on", "steps": [
                {"wait_minutes": 0, "message": {"kind": "text", "text": "Hi {{first_name}} {{event.email}}"}}]}))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    let body = json!({"name": "Zuzanna Wyrwidab", "source": "checkout", "customer":
        {"id": shopper.id.to_string(), "email": EMAIL.to_uppercase(), "phone": PHONE}});
    let link = story
        .call(
            Method::POST,
            "/opt-in-links",
            Some(body),
            &[("Idempotency-Key", "link-of-zuza")],
        )
        .await;
    assert_eq!(link.status, 201, "{link:?}");
    let person = story.sandbox.meta.person("Zuzanna Wyrwidab");
    story
        .sandbox
        .meta
        .follows(&person, link.body["url"].as_str().unwrap())
        .unwrap();
    story.settles().await;
    story.sandbox.meta.taps_card(&person).unwrap();
    story.settles().await;
    story
        .sandbox
        .meta
        .writes(&person, "It is Zuzanna, where is my order?")
        .unwrap();
    let item = Item::new("Winter Blend", "14.00", 2);
    story
        .sandbox
        .shopify
        .abandons_checkout(&shopper, &[item])
        .unwrap();
    story
        .sandbox
        .shopify
        .pays(&shopper, "12.00", None, &[], None)
        .unwrap();
    let key = workspaces::flow_key(&story.app, story.workspace)
        .await
        .unwrap();
    let url = format!("{}/webhooks/klaviyo/{}/flow", story.url, story.workspace);
    let header = format!("X-Pagecast-Key: {}", key.expose_secret());
    let call = json!({"event": "Win back", "email": EMAIL, "properties": {"name": "Zuzanna", "email": EMAIL}});
    story
        .sandbox
        .klaviyo
        .calls_flow_webhook(&url, &header, &call)
        .unwrap();
    story.settles().await;
    let tags = format!("/subscribers/{}/tags", story.id_of(&person).await);
    let tagged = story
        .call(
            Method::POST,
            &tags,
            Some(json!({"add": ["vip"]})),
            &[("Idempotency-Key", "tag-of-zuza")],
        )
        .await;
    assert_eq!(tagged.status, 200, "{tagged:?}");
    (person, shopper)
}

story! {
    async fn who_is_erased_is_nowhere_in_the_database_and_the_proof_names_nobody(story: &mut Story) {
        let (person, shopper) = zuzanna(story).await;
        let (_, ben) = story.customer("Ben Osei").await;
        let id = shopper.id.to_string();
        let needles = ["Zuzanna", "Wyrwidab", EMAIL, PHONE, "600700800", person.psid.as_str()];
        let before = found(story, &needles).await;
        for place in ["webhooks.payload", "customers.first_name", "idempotency_keys.body",
                      "opt_in_links.slug", "subscribers.psid", "messages.content"] {
            assert!(before.iter().any(|found| found.starts_with(place)), "{place} in {before:#?}");
        }

        story.sandbox.shopify.data_request(&shopper).unwrap();
        story.settles().await;
        story.sandbox.shopify.redacts(&shopper).unwrap();
        story.settles().await;
        assert_eq!(found(story, &needles).await, Vec::<String>::new());
        assert_eq!(files_with(story, &needles), Vec::<String>::new());
        let link_made_again = story
            .call(Method::POST, "/opt-in-links", Some(json!({"name": "Zuzanna Wyrwidab",
                "source": "checkout", "customer": {"id": id, "email": EMAIL.to_uppercase(),
                "phone": PHONE}})), &[("Idempotency-Key", "link-of-zuza")])
            .await;
        assert_eq!((link_made_again.status, link_made_again.body), (201, json!({})),
            "the repeat is still not done again");

        let orders: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(orders, 1, "figures stay");
        let ben_stays = found(story, &[&ben.id.to_string()]).await;
        assert!(ben_stays.iter().any(|place| place.starts_with("customers.id")));

        // A word of the shop that was late does not bring her back.
        story.clock.advance(HOUR);
        story.sandbox.shopify.updates_customer(&shopper).unwrap();
        story.settles().await;
        let again = found(story, &needles).await;
        assert!(again.iter().all(|place| place.starts_with("webhooks.payload")), "{again:?}");
        let proof = noted(story).await;
        let deeds: Vec<&str> = proof.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(deeds, ["customer_erased", "customer_exported"]);
        assert!(proof[0].detail.contains("Subscribers erased: 1."), "{}", proof[0].detail);
        let (kept,): (Option<String>,) = sqlx::query_as(
            "SELECT subject_sealed FROM privacy_requests WHERE kind = 'customers/redact'")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert!(kept.is_some_and(|sealed| sealed.starts_with("v1.")), "sealed until the second pass");

        story.clock.advance(3 * DAY);
        story.settles().await;
        assert!(!story.sandbox.meta.token_of(&person).unwrap().1, "Meta's list has her no longer");
        let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM privacy_requests
             WHERE done_at IS NULL OR subject_sealed IS NOT NULL OR export_sealed IS NOT NULL")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(open, 0, "not even sealed, and the export went with her");
        assert_eq!(found(story, &needles).await, Vec::<String>::new());
        assert_eq!(noted(story).await.len(), 2);
    }
}

story! {
    async fn what_is_still_on_its_way_is_erased_by_the_second_pass(story: &mut Story) {
        let (_, shopper) = zuzanna(story).await;
        // Kept, and not understood yet when the demand comes.
        sqlx::query("INSERT INTO webhooks (id, platform, external_id, topic, account, payload,
                 received_at, retry_at) VALUES ($1, 'shopify', 'late', 'orders/updated', $2, $3, $4, $5)")
            .bind(story.app.ids.next::<i64>())
            .bind(SHOP)
            .bind(json!({"id": 1, "email": EMAIL, "name": "#77"}).to_string())
            .bind(story.now())
            .bind(story.now() + HOUR)
            .execute(story.app.db.pool())
            .await
            .unwrap();
        story.sandbox.shopify.redacts(&shopper).unwrap();
        story.settles().await;
        assert_eq!(found(story, &[EMAIL]).await, [format!("webhooks.payload: {EMAIL}")]);
        story.hours_pass(74).await;
        assert_eq!(found(story, &[EMAIL]).await, Vec::<String>::new());
        assert_eq!(files_with(story, &[EMAIL]), Vec::<String>::new());
    }
}

story! {
    async fn the_store_owner_gets_the_export_until_it_expires(story: &mut Story) {
        let (_, shopper) = zuzanna(story).await;
        story.sandbox.shopify.data_request(&shopper).unwrap();
        story.settles().await;
        let (status, _, page) = admin(story, Method::GET, "/app/privacy", "").await;
        assert_eq!(status, 200);
        let machine = link_to(&page, "/export.json").expect("a link to the JSON");
        let people = link_to(&page, "/export.txt").expect("a link to the readable one");
        let (status, kind, body) = admin(story, Method::GET, &machine, "").await;
        assert_eq!(status, 200);
        assert!(kind.starts_with("attachment; filename="), "{kind}");
        let export: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(export["customer"]["email"], EMAIL);
        assert_eq!(export["customer"]["phone"], PHONE);
        assert_eq!(export["messenger"][0]["tags"], json!(["vip"]));
        assert_eq!(export["orders"][0]["total_minor"], 1200);
        assert!(export["messenger"][0]["consents"][0]["text_shown"].is_string());
        let (status, _, text) = admin(story, Method::GET, &people, "").await;
        assert_eq!(status, 200);
        assert!(text.contains("first name: Zuzanna") && text.contains(EMAIL));
        let fetched = noted(story).await;
        assert_eq!(fetched.iter().filter(|line| line.action == "export_fetched").count(), 2);

        let other = workspaces::create(&story.app, "Other").await.unwrap();
        let mine = story.workspace;
        story.workspace = other;
        assert_eq!(admin(story, Method::GET, &machine, "").await.0, 404, "nobody else's");
        story.workspace = mine;
        story.clock.advance(31 * DAY);
        assert_eq!(admin(story, Method::GET, &machine, "").await.0, 404, "expired");
        story.settles().await;
        let (status, _, page) = admin(story, Method::GET, "/app/privacy", "").await;
        assert_eq!((status, link_to(&page, "/export.json")), (200, None));
        let kept: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM privacy_requests WHERE export_sealed IS NOT NULL")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(kept, 0);
    }
}

story! {
    async fn the_merchant_exports_and_erases_by_hand(story: &mut Story) {
        let (person, _) = zuzanna(story).await;
        let form = format!("email={EMAIL}");
        let (status, ..) = admin(story, Method::POST, "/app/privacy/export", &form).await;
        assert_eq!(status, 303);
        let (_, _, page) = admin(story, Method::GET, "/app/privacy", "").await;
        assert!(link_to(&page, "/export.json").is_some());
        let (status, _, page) = admin(story, Method::POST, "/app/privacy/erase", "email=nobody").await;
        assert_eq!(status, 422);
        assert!(page.contains("Write the e-mail address"));
        let (status, ..) = admin(story, Method::POST, "/app/privacy/erase", &form).await;
        assert_eq!(status, 422, "not without being sure");
        let form = format!("email={EMAIL}&sure=on");
        let (status, ..) = admin(story, Method::POST, "/app/privacy/erase", &form).await;
        assert_eq!(status, 303);
        let needles = ["Zuzanna", EMAIL, person.psid.as_str()];
        assert_eq!(found(story, &needles).await, Vec::<String>::new());
        let proof = noted(story).await;
        assert_eq!((proof[0].action.as_str(), proof[0].actor.as_str()), ("customer_erased", "merchant"));
    }
}

story! {
    async fn a_shop_that_is_redacted_leaves_no_person_and_no_access(story: &mut Story) {
        let (person, _) = zuzanna(story).await;
        let (ben, _) = story.customer("Ben Osei").await;
        story.sandbox.shopify.uninstalls().unwrap();
        story.settles().await;
        story.hours_pass(48).await;
        story.sandbox.shopify.redact_shop().unwrap();
        story.settles().await;
        let needles = ["Zuzanna", "Wyrwidab", EMAIL, PHONE, "Osei", "ben.osei",
                       person.psid.as_str(), ben.psid.as_str()];
        assert_eq!(found(story, &needles).await, Vec::<String>::new());
        assert_eq!(files_with(story, &needles), Vec::<String>::new());
        let (access,): (i64,) = sqlx::query_as(
            "SELECT (SELECT COUNT(*) FROM shops WHERE token_sealed IS NOT NULL)
                  + (SELECT COUNT(*) FROM pages WHERE token_sealed IS NOT NULL OR ad_token_sealed IS NOT NULL)
                  + (SELECT COUNT(*) FROM klaviyo_accounts)")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(access, 0);
        let proof = noted(story).await;
        let deeds: Vec<&str> = proof.iter().map(|line| line.action.as_str()).collect();
        assert_eq!(deeds, ["shop_erased", "app_removed"]);
        assert!(proof[0].detail.contains("Subscribers erased: 2."), "{}", proof[0].detail);
        let orders: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM orders")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(orders, 1, "figures stay");
    }
}

story! {
    async fn a_removed_app_says_nothing_more_and_asks_when_it_is_back(story: &mut Story) {
        let people = story.audience(3).await;
        let ana = story.subscriber("Ana").await;
        let answer = story
            .post("/automations", json!({"name": "A", "trigger": {"kind": "klaviyo_flow", "event": "Hi"},
                "status": "on", "steps": [{"wait_minutes": 30,
                "message": {"kind": "text", "text": "Still there?"}}]}))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let id = story.campaign("Sale").await;
        story.schedules(&id, json!({})).await;
        story.clock.advance(1);
        story.sandbox.shopify.uninstalls().unwrap();
        story.settles().await;
        story.minutes_pass(90).await;
        assert_eq!(story.report(&id).await["status"], "paused");
        for person in people.iter().chain([&ana]) {
            assert_eq!(story.heard(person), Vec::<String>::new());
        }
        // What was due by itself meanwhile is skipped with its reason, not said later.
        let test = story.post(&format!("/campaigns/{id}/test"),
            json!({"subscriber_id": story.id_of(&ana).await})).await;
        assert!(test.status < 300, "{test:?}");
        story.settles().await;
        assert_eq!(story.heard(&ana), Vec::<String>::new());
        let (reason,): (String,) = sqlx::query_as(
            "SELECT reason FROM messages WHERE test_of IS NOT NULL")
            .fetch_one(story.app.db.pool()).await.unwrap();
        assert_eq!(reason, "app_removed");

        // Installed again: the merchant decides.
        let shop = pagecast::shopify::ShopDomain::parse(SHOP).unwrap();
        story.sandbox.shopify.shop(SHOP, "shpat_story");
        workspaces::connect_shop(&story.app, story.workspace, shop, "shpat_story".to_owned().into())
            .await
            .unwrap();
        story.settles().await;
        assert_eq!(story.report(&id).await["status"], "paused");
        assert_eq!(story.post(&format!("/campaigns/{id}/resume"), json!({})).await.status, 200);
        story.minutes_pass(61).await;
        assert_eq!(story.report(&id).await["status"], "finished");
        assert!(story.heard(&people[0])[0].starts_with("Sale"));
    }
}

story! {
    async fn what_is_older_than_the_settings_say_goes_and_figures_stay(story: &mut Story) {
        let (person, _) = zuzanna(story).await;
        let form = "events_days=7&messages_days=30&people_days=90";
        let (status, ..) = admin(story, Method::POST, "/app/privacy/retention", form).await;
        assert_eq!(status, 303);
        let kept = workspaces::retention(&story.app, story.workspace).await.unwrap();
        assert_eq!(kept, Retention { events_days: 7, messages_days: 30, people_days: 90 });
        let (status, _, page) = admin(story, Method::POST, "/app/privacy/retention",
            "events_days=0&messages_days=30&people_days=90").await;
        assert_eq!(status, 422);
        assert!(page.contains("aria-invalid"));

        story.clock.advance(8 * DAY);
        story.settles().await;
        let after_a_week = found(story, &["Zuzanna", EMAIL]).await;
        assert!(!after_a_week.iter().any(|place| place.starts_with("webhooks")), "{after_a_week:?}");
        assert!(after_a_week.iter().any(|place| place.starts_with("messages.content")));
        story.clock.advance(25 * DAY);
        story.settles().await;
        let after_a_month = found(story, &["Zuzanna", EMAIL]).await;
        assert!(!after_a_month.iter().any(|place| place.starts_with("messages")), "{after_a_month:?}");
        assert!(after_a_month.iter().any(|place| place.starts_with("subscribers")), "{after_a_month:?}");

        story.sandbox.meta.writes(&person, "STOP").unwrap();
        story.settles().await;
        story.clock.advance(91 * DAY);
        story.settles().await;
        story.clock.advance(2 * HOUR);
        story.settles().await;
        assert_eq!(found(story, &["Zuzanna", EMAIL]).await, Vec::<String>::new());
        let (status, _, page) = admin(story, Method::GET, "/app/subscribers", "").await;
        assert_eq!(status, 200);
        assert!(!page.contains("Zuzanna"));
    }
}
