//! Runs: started once, asked again when due, stopped by an order.

use pagecast::automations::{self, Happening, Patch};
use pagecast::clock::{HOUR, MINUTE};
use pagecast::store::ids::SubscriberId;
use serde_json::{Value, json};

use crate::world::{NOW, Workspace, World, order};

fn happening(
    ws: Workspace,
    who: SubscriberId,
    kind: &'static str,
    key: &str,
    of: &str,
) -> Happening {
    let context = json!({
        "checkout_url": "https://shop.example/checkouts/1",
        "event": {"Product Name": "Mug"},
    });
    Happening {
        workspace: ws.id,
        subscriber: who,
        kind,
        key: key.into(),
        trigger_ref: of.into(),
        context: context.as_object().unwrap().clone(),
        at: NOW,
    }
}

async fn start(world: &World, happening: &Happening) -> usize {
    let mut tx = world.app.db.begin().await.unwrap();
    let began = automations::start(&world.app, &mut tx, happening)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    began
}

fn steps(waits: &[i64]) -> Value {
    let step = |wait: &i64| {
        json!({"wait_minutes": wait, "message": {"kind": "text",
            "text": "Hi {{first_name}}, {{event.product_name|it}} waits",
            "buttons": [{"kind": "url", "title": "Go on", "url": "{{checkout_url}}"}]}})
    };
    waits.iter().map(step).collect()
}

async fn run_state(world: &World) -> String {
    let sql =
        "SELECT status || ' ' || CAST(step AS TEXT) || ' ' || COALESCE(reason, '-') FROM runs";
    world.text(sql).await.unwrap()
}

#[tokio::test]
async fn a_happening_told_twice_starts_one_run() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let trigger = json!({"kind": "klaviyo_event", "metric": "Viewed Product"});
    world.automation(ws, trigger, steps(&[0])).await;
    let other = json!({"kind": "klaviyo_event", "metric": "Placed Order"});
    world.automation(ws, other, steps(&[0])).await;
    let seen = happening(ws, ana, "klaviyo_event", "event:api.viewed_product", "e1");
    assert_eq!(start(&world, &seen).await, 1);
    assert_eq!(start(&world, &seen).await, 0);
    let again = Happening {
        trigger_ref: "e2".into(),
        ..seen
    };
    assert_eq!(start(&world, &again).await, 1);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 2);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM messages").await, 2);
}

#[tokio::test]
async fn a_run_goes_step_by_step_with_what_happened_filled_in() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let trigger = json!({"kind": "klaviyo_flow", "event": "Viewed"});
    world.automation(ws, trigger, steps(&[5, 60])).await;
    start(&world, &happening(ws, ana, "klaviyo_flow", "Viewed", "e1")).await;
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    world.app.clock.advance(5 * MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 1);
    assert_eq!(run_state(&world).await, "waiting 1 -");
    world.app.clock.advance(59 * MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    world.app.clock.advance(MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 1);
    assert_eq!(run_state(&world).await, "done 2 -");
    let content = world
        .text("SELECT content FROM messages WHERE step = 0")
        .await
        .unwrap();
    assert!(
        content.contains("Hi {{first_name}}, Mug waits"),
        "{content}"
    );
    assert!(
        content.contains("https://shop.example/checkouts/1"),
        "{content}"
    );
}

#[tokio::test]
async fn an_order_of_the_customer_stops_the_run_before_it_speaks() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let trigger = json!({"kind": "klaviyo_flow", "event": "Viewed"});
    world.automation(ws, trigger, steps(&[60])).await;
    start(&world, &happening(ws, ana, "klaviyo_flow", "Viewed", "e1")).await;
    world.pays(ws, &order(1, 7, 4_000, NOW + MINUTE)).await;
    world.app.clock.advance(HOUR);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    assert_eq!(run_state(&world).await, "stopped 0 ordered");
}

#[tokio::test]
async fn a_checkout_that_was_bought_is_not_abandoned_whoever_pays() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let trigger = json!({"kind": "checkout_abandoned", "after_minutes": 60});
    world.automation(ws, trigger, steps(&[0])).await;
    let left = happening(ws, ana, "checkout_abandoned", "", "tok");
    assert_eq!(start(&world, &left).await, 1);
    let mut paid = order(1, 8, 4_000, NOW - MINUTE);
    paid.checkout_token = Some("tok".into());
    world.pays(ws, &paid).await;
    world.app.clock.advance(HOUR);
    automations::advance_due(&world.app).await.unwrap();
    assert_eq!(run_state(&world).await, "stopped 0 ordered");
    // A late word about the same checkout starts nothing any more.
    let ben = world.subscriber(ws, 9).await;
    let late = happening(ws, ben, "checkout_abandoned", "", "tok");
    assert_eq!(start(&world, &late).await, 0);
}

#[tokio::test]
async fn a_checkout_that_moves_on_waits_anew() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let trigger = json!({"kind": "checkout_abandoned", "after_minutes": 60});
    world.automation(ws, trigger, steps(&[0])).await;
    let left = happening(ws, ana, "checkout_abandoned", "", "tok");
    start(&world, &left).await;
    let mut moved = left.clone();
    moved.at = NOW + 30 * MINUTE;
    moved
        .context
        .insert("checkout_url".into(), "https://shop.example/new".into());
    assert_eq!(start(&world, &moved).await, 0);
    // An older word that arrives later changes nothing.
    start(&world, &left).await;
    world.app.clock.advance(60 * MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    world.app.clock.advance(30 * MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 1);
    let content = world.text("SELECT content FROM messages").await.unwrap();
    assert!(content.contains("https://shop.example/new"), "{content}");
}

#[tokio::test]
async fn the_order_that_began_a_run_does_not_stop_it_but_the_next_one_does() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    world
        .automation(ws, json!({"kind": "order_paid"}), steps(&[0, 60]))
        .await;
    world.pays(ws, &order(1, 7, 4_000, NOW)).await;
    start(&world, &happening(ws, ana, "order_paid", "", "1")).await;
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 1);
    world.pays(ws, &order(2, 7, 4_000, NOW + MINUTE)).await;
    world.app.clock.advance(HOUR);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    assert_eq!(run_state(&world).await, "stopped 1 ordered");
}

#[tokio::test]
async fn nobody_who_left_begins_a_run_and_one_who_leaves_ends_it() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let (ana, ben) = (world.subscriber(ws, 7).await, world.subscriber(ws, 8).await);
    world
        .automation(ws, json!({"kind": "opted_in"}), steps(&[10]))
        .await;
    let left = "UPDATE subscribers SET opted_out_at = $1 WHERE id = $2";
    world.run(left, &[NOW, ben.0]).await;
    assert_eq!(
        start(&world, &happening(ws, ben, "opted_in", "", "b")).await,
        0
    );
    assert_eq!(
        start(&world, &happening(ws, ana, "opted_in", "", "a")).await,
        1
    );
    world.run(left, &[NOW, ana.0]).await;
    world.app.clock.advance(10 * MINUTE);
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    assert_eq!(run_state(&world).await, "stopped 0 opted_out");
}

#[tokio::test]
async fn a_step_whose_address_stays_empty_is_left_out_with_its_reason() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    world
        .automation(ws, json!({"kind": "opted_in"}), steps(&[0]))
        .await;
    let mut bare = happening(ws, ana, "opted_in", "", "a");
    bare.context.clear();
    start(&world, &bare).await;
    assert_eq!(automations::advance_due(&world.app).await.unwrap(), 0);
    let state = run_state(&world).await;
    assert!(state.starts_with("done 1 step 1 was left out"), "{state}");
}

#[tokio::test]
async fn turned_off_it_takes_back_what_waits() {
    let world = World::new().await;
    let ws = world.workspace().await;
    let ana = world.subscriber(ws, 7).await;
    let id = world
        .automation(ws, json!({"kind": "opted_in"}), steps(&[0, 60]))
        .await;
    start(&world, &happening(ws, ana, "opted_in", "", "a")).await;
    automations::advance_due(&world.app).await.unwrap();
    let off = Patch {
        status: Some("paused".into()),
        ..Patch::default()
    };
    let patched = automations::patch(&world.app, ws.id, id, off)
        .await
        .unwrap();
    assert_eq!(patched.status, "off");
    assert_eq!(run_state(&world).await, "stopped 1 automation_off");
    let message = "SELECT status || ' ' || reason FROM messages";
    assert_eq!(
        world.text(message).await.as_deref(),
        Some("skipped cancelled")
    );
    automations::delete(&world.app, ws.id, id).await.unwrap();
    let gone = automations::find(&world.app, ws.id, id).await;
    assert!(matches!(gone, Err(automations::Error::NotFound)));
    let other = world.workspace().await;
    let foreign = automations::delete(&world.app, other.id, id).await;
    assert!(matches!(foreign, Err(automations::Error::NotFound)));
}
