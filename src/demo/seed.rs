//! The store that the demo opens with: its subscribers, links, automations, and what is coming up.

use anyhow::Context;
use serde_json::json;

use crate::app::App;
use crate::automations;
use crate::campaigns::{self, Schedule};
use crate::clock::{DAY, HOUR, Millis};
use crate::opt_ins::{self, NewLink};
use crate::sandbox::{Sandbox, Shopper};
use crate::store::ids::{SubscriberId, WorkspaceId};
use crate::subscribers::{self, Known, Means, OptIn};
use crate::workspaces::PageRef;

/// How many people have opted in before the demo begins.
const SUBSCRIBERS: usize = 2_000;
const CONSENT: &str = "Yes, send me offers and news from Harbour Coffee on Messenger, at most one \
                       message a day. I can write STOP at any time.";

/// A subscriber of the store, and since when.
pub(super) struct Seeded {
    pub(super) id: SubscriberId,
    pub(super) customer: i64,
    pub(super) opted_in_at: Millis,
}

/// Opts the sandbox's people in, over the last three months.
pub(super) async fn subscribers(
    app: &App,
    page: PageRef,
    sandbox: &Sandbox,
) -> anyhow::Result<Vec<Seeded>> {
    let shoppers = sandbox.populate(SUBSCRIBERS)?;
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let mut seeded = Vec::with_capacity(shoppers.len());
    let count = i64::try_from(shoppers.len())?;
    for (i, shopper) in (0_i64..).zip(&shoppers) {
        // More of them lately than long ago, as a growing list has it.
        let share = (count - i) * (count - i) / count;
        let at = now - 2 * DAY - share * 88 * DAY / count;
        let id = subscribers::resolve(app, &mut tx, page, &shopper.person.psid, None).await?;
        let known = known(shopper);
        subscribers::save_customer(app, &mut tx, page.workspace, &known, at).await?;
        subscribers::link_customer(app, &mut tx, id, &known).await?;
        let how = OptIn {
            token: Some(shopper.token.clone()),
            timezone: Some(zone(i).to_owned()),
            source: Some(source(i).to_owned()),
            text_shown: Some(CONSENT.to_owned()),
            ..OptIn::default()
        };
        subscribers::opt_in(app, &mut tx, id, Means::Card, how, at, "seed").await?;
        if i % 47 == 11 {
            let left = (at + 20 * DAY).min(now - DAY);
            subscribers::opt_out(app, &mut tx, id, Means::Keyword, left, "seed-stop").await?;
        } else {
            seeded.push(Seeded {
                id,
                customer: shopper.customer.id,
                opted_in_at: at,
            });
        }
    }
    tx.commit().await?;
    for vip in seeded.iter().step_by(13) {
        subscribers::tag(app, page.workspace, vip.id, &["vip".to_owned()], &[]).await?;
    }
    Ok(seeded)
}

fn known(shopper: &Shopper) -> Known {
    Known {
        customer_id: Some(shopper.customer.id.to_string()),
        email: shopper.customer.email.clone(),
        phone: shopper.customer.phone.clone(),
        first_name: Some(shopper.customer.first_name.clone()),
        last_name: Some(shopper.customer.last_name.clone()),
        klaviyo_profile_id: None,
    }
}

fn zone(i: i64) -> &'static str {
    match i % 10 {
        0..=3 => "America/Los_Angeles",
        4 | 5 => "America/Chicago",
        6..=8 => "America/New_York",
        _ if i % 40 == 9 => "Europe/London",
        _ => "America/Denver",
    }
}

fn source(i: i64) -> &'static str {
    match i % 20 {
        0..=8 => "checkout",
        9..=13 => "storefront",
        14..=16 => "link",
        17 | 18 => "qr",
        _ => "ad",
    }
}

/// The ways in that new shoppers use; their addresses.
pub(super) async fn links(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<String>> {
    let mut addresses = Vec::new();
    for (name, source) in [
        ("Shop counter", "qr"),
        ("Instagram bio", "link"),
        ("Thank-you page", "checkout"),
    ] {
        let link = NewLink {
            name: name.into(),
            source: source.into(),
            ..NewLink::default()
        };
        addresses.push(opt_ins::create_link(app, ws, link).await?.url);
    }
    Ok(addresses)
}

/// An abandoned-checkout reminder and a welcome, both running.
pub(super) async fn automations(app: &App, ws: WorkspaceId, shop: &str) -> anyhow::Result<()> {
    let reminder = json!([{"wait_minutes": 0, "message": {"kind": "text",
        "text": "Hi {{first_name|there}}, your {{first_item|coffee}} is still in the basket.",
        "buttons": [{"kind": "url", "title": "Finish my order", "url": format!("{shop}/cart")}]}}]);
    let welcome = json!([{"wait_minutes": 0, "message": {"kind": "text",
        "text": "Welcome, {{first_name|friend}}! Here is 10% off your first bag: HELLO10",
        "buttons": [{"kind": "url", "title": "Choose a roast", "url": format!("{shop}/collections/coffee")}]}}]);
    for (name, trigger, steps) in [
        (
            "Abandoned checkout",
            json!({"kind": "checkout_abandoned", "after_minutes": 1}),
            reminder,
        ),
        ("Welcome", json!({"kind": "opted_in"}), welcome),
    ] {
        let draft = automations::Draft {
            name: name.to_owned(),
            trigger: serde_json::from_value(trigger)?,
            steps: serde_json::from_value(steps)?,
            stop_on_order: true,
            status: "on".to_owned(),
        };
        automations::create(app, ws, draft).await.context(name)?;
    }
    Ok(())
}

/// The broadcast that goes out now, and the one that is coming up.
pub(super) async fn campaigns(app: &App, ws: WorkspaceId, shop: &str) -> anyhow::Result<()> {
    let now = app.clock.now();
    let blend = json!({"kind": "cards", "text": "{{first_name|Hello}}, it is back for eight weeks.",
        "cards": [{"title": "Winter Blend", "subtitle": "Cocoa, orange peel, clove. From $18.",
            "image_url": format!("{}/assets/demo/winter-blend.svg", app.config.public_url),
            "buttons": [
                {"kind": "url", "title": "Shop the blend", "url": format!("{shop}/products/winter-blend")},
                {"kind": "url", "title": "How it tastes", "url": format!("{shop}/pages/winter-blend")}]}]});
    let friday = json!({"kind": "text",
        "text": "Black Friday starts for you on Thursday night, {{first_name|friend}}: 25% off everything.",
        "buttons": [{"kind": "url", "title": "Early access", "url": format!("{shop}/pages/early-access")}]});
    for (name, message, at) in [
        ("Winter Blend is back", blend, None),
        (
            "Black Friday: early access",
            friday,
            Some(now + 2 * DAY + 3 * HOUR),
        ),
    ] {
        let draft = campaigns::Draft {
            name: name.to_owned(),
            message: serde_json::from_value(message)?,
            audience: serde_json::from_value(json!({"include": [{"kind": "everyone"}],
                "holdout_percent": if at.is_none() { 5 } else { 0 }}))?,
            channel: "auto".to_owned(),
            utm: Vec::new(),
        };
        let campaign = campaigns::create(app, ws, draft).await.context(name)?;
        campaigns::schedule(
            app,
            ws,
            campaign.id,
            Schedule {
                at,
                ..Schedule::default()
            },
        )
        .await
        .context(name)?;
    }
    Ok(())
}
