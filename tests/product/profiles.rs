//! Segments in, events out, against the sandbox's Klaviyo.

use pagecast::clock::{Clock, HOUR, MINUTE, Millis};
use pagecast::klaviyo::segments::GroupKind;
use pagecast::profiles::{self, Report};
use pagecast::sandbox::{self, Klaviyo, Profile, Sandbox};
use pagecast::store::ids::SubscriberId;
use pagecast::store::sealed::email_hash;
use pagecast::workspaces::{self, KlaviyoSecret};
use secrecy::SecretString;
use serde_json::json;

use crate::world::{NOW, Workspace, World};

struct Stage {
    world: World,
    ws: Workspace,
    klaviyo: Klaviyo,
    _sandbox: Sandbox,
}

async fn stage() -> Stage {
    let clock = Clock::steerable(NOW);
    let sandbox = sandbox::start(sandbox::Config::new(clock.clone()))
        .await
        .unwrap();
    let klaviyo = sandbox.klaviyo.account("pk_product", "refresh-product");
    klaviyo.rate_limits(false);
    let world = World::where_klaviyo_is(clock, Some(klaviyo.url())).await;
    let ws = world.workspace().await;
    let key = KlaviyoSecret::PrivateKey(SecretString::from("pk_product"));
    workspaces::connect_klaviyo(&world.app, ws.id, key)
        .await
        .unwrap();
    Stage {
        world,
        ws,
        klaviyo,
        _sandbox: sandbox,
    }
}

impl Stage {
    async fn knows_profile(&self, subscriber: SubscriberId, profile: &str) {
        sqlx::query("UPDATE subscribers SET klaviyo_profile_id = $1 WHERE id = $2")
            .bind(profile)
            .bind(subscriber)
            .execute(self.world.app.db.pool())
            .await
            .unwrap();
    }

    async fn knows_email(&self, subscriber: SubscriberId, email: &str) {
        let context = format!("subscribers.email:{}", subscriber.0);
        let sealed = self.world.app.keys.seal(&context, email).unwrap();
        sqlx::query("UPDATE subscribers SET email_hash = $1, email_sealed = $2 WHERE id = $3")
            .bind(email_hash(email))
            .bind(sealed)
            .bind(subscriber)
            .execute(self.world.app.db.pool())
            .await
            .unwrap();
    }

    async fn reports(&self, subscriber: SubscriberId, metric: &'static str, unique_id: &str) {
        let properties = json!({"message_id": "m1"});
        let event = Report {
            workspace: self.ws.id,
            subscriber,
            metric,
            properties: properties.as_object().unwrap().clone(),
            value: None,
            at: NOW,
            unique_id: unique_id.into(),
        };
        let mut conn = self.world.app.db.acquire().await.unwrap();
        profiles::report(&self.world.app, &mut conn, event)
            .await
            .unwrap();
    }

    async fn sends(&self) -> usize {
        profiles::send_due(&self.world.app).await.unwrap()
    }

    async fn open(&self) -> i64 {
        let open = "SELECT COUNT(*) FROM klaviyo_outbox WHERE sent_at IS NULL AND error IS NULL";
        self.world.count(open).await
    }

    async fn wants(&self, segment: &str, since: Millis) -> bool {
        let kind = GroupKind::Segment;
        profiles::want(&self.world.app, self.ws.id, kind, segment, since)
            .await
            .unwrap()
    }

    async fn group(&self) -> profiles::Group {
        profiles::groups(&self.world.app, self.ws.id)
            .await
            .unwrap()
            .remove(0)
    }
}

#[tokio::test]
async fn events_reach_the_profile_once_by_whatever_it_is_known() {
    let stage = stage().await;
    let ana = stage.world.subscriber(stage.ws, 1).await;
    let ben = stage.world.subscriber(stage.ws, 2).await;
    let nobody = stage.world.subscriber(stage.ws, 3).await;
    let profile = stage.klaviyo.profile("ana@a.example").unwrap();
    stage.knows_profile(ana, &profile.id).await;
    stage.knows_email(ben, "ben@a.example").await;
    for (who, id) in [(ana, "1"), (ben, "2"), (nobody, "3"), (ana, "1")] {
        stage.reports(who, "Read Messenger Message", id).await;
    }
    assert_eq!(stage.sends().await, 2);
    assert_eq!(stage.sends().await, 0);
    let received = stage.klaviyo.events_received();
    let mut emails: Vec<_> = received
        .iter()
        .map(|e| e.profile.email.clone().unwrap())
        .collect();
    emails.sort();
    assert_eq!(emails, ["ana@a.example", "ben@a.example"]);
    assert_eq!(received[0].properties["message_id"], "m1");
    let error = "SELECT error FROM klaviyo_outbox WHERE unique_id = '3'";
    assert_eq!(
        stage.world.text(error).await.as_deref(),
        Some("no identifier")
    );
}

#[tokio::test]
async fn a_subscription_stands_on_the_profile_and_teaches_us_its_id() {
    let stage = stage().await;
    let ana = stage.world.subscriber(stage.ws, 1).await;
    stage.knows_email(ana, "ana@a.example").await;
    stage.reports(ana, "Subscribed to Messenger", "s1").await;
    assert_eq!(stage.sends().await, 1);
    let profile = stage.klaviyo.profile_by_email("ana@a.example").unwrap();
    let properties = stage.klaviyo.properties_of(&profile.id);
    assert_eq!(properties["Pagecast Messenger Status"], "subscribed");
    let known = stage
        .world
        .text("SELECT klaviyo_profile_id FROM subscribers")
        .await;
    assert_eq!(known, Some(profile.id));
}

#[tokio::test]
async fn one_bad_event_does_not_hold_up_the_others() {
    let stage = stage().await;
    let ana = stage.world.subscriber(stage.ws, 1).await;
    stage.knows_email(ana, "ana@a.example").await;
    for id in ["1", "2", "3"] {
        stage.reports(ana, "Read Messenger Message", id).await;
    }
    // The bulk call, then the first of the single ones.
    stage.klaviyo.refuses_next(400, 2);
    assert_eq!(stage.sends().await, 2);
    let refused = "SELECT COUNT(*) FROM klaviyo_outbox WHERE error IS NOT NULL";
    assert_eq!(stage.world.count(refused).await, 1);
    assert_eq!(stage.open().await, 0);
}

#[tokio::test]
async fn a_wait_is_obeyed_and_a_dead_connection_keeps_the_events_for_its_repair() {
    let stage = stage().await;
    let ana = stage.world.subscriber(stage.ws, 1).await;
    stage.knows_email(ana, "ana@a.example").await;
    stage.reports(ana, "Read Messenger Message", "1").await;
    stage.klaviyo.is_down(true);
    assert_eq!(stage.sends().await, 0);
    stage.klaviyo.is_down(false);
    assert_eq!(stage.sends().await, 0, "too early");
    stage.klaviyo.refuses_next(401, 1);
    stage.world.app.clock.advance(HOUR);
    assert_eq!(stage.sends().await, 0);
    let connection = workspaces::klaviyo_state(&stage.world.app, stage.ws.id)
        .await
        .unwrap();
    assert_eq!(connection.unwrap().0, "needs_reconnect");
    // What happens in the meantime is kept too.
    stage.reports(ana, "Read Messenger Message", "2").await;
    stage.world.app.clock.advance(HOUR);
    assert_eq!(stage.sends().await, 0);
    assert_eq!(stage.open().await, 2);
    let key = KlaviyoSecret::PrivateKey(SecretString::from("pk_product"));
    workspaces::connect_klaviyo(&stage.world.app, stage.ws.id, key)
        .await
        .unwrap();
    assert_eq!(stage.sends().await, 2);
}

#[tokio::test]
async fn a_segment_is_pulled_whole_and_who_left_is_gone() {
    let stage = stage().await;
    let ana = stage.world.subscriber(stage.ws, 1).await;
    stage.knows_email(ana, "p7@a.example").await;
    let people: Vec<Profile> = (0..250)
        .map(|n| stage.klaviyo.profile(&format!("p{n}@a.example")).unwrap())
        .collect();
    let segment = stage.klaviyo.segment("VIP", &people).unwrap();
    profiles::refresh_names(&stage.world.app, stage.ws.id)
        .await
        .unwrap();
    assert_eq!(stage.group().await.name, "VIP");
    assert!(!stage.wants(&segment, NOW - HOUR).await);
    assert_eq!(profiles::sync_due(&stage.world.app).await.unwrap(), 1);
    assert!(stage.wants(&segment, NOW - HOUR).await);
    let group = stage.group().await;
    assert_eq!((group.members, group.reachable), (250, 1));

    stage.world.app.clock.advance(MINUTE);
    stage.klaviyo.leaves_segment(&people[7], "VIP").unwrap();
    assert_eq!(
        profiles::sync_due(&stage.world.app).await.unwrap(),
        0,
        "not asked for"
    );
    assert!(!stage.wants(&segment, NOW + MINUTE).await);
    assert_eq!(profiles::sync_due(&stage.world.app).await.unwrap(), 1);
    let group = stage.group().await;
    assert_eq!((group.members, group.reachable), (249, 0));
}

#[tokio::test]
async fn a_pull_that_breaks_off_deletes_nobody_and_says_why() {
    let stage = stage().await;
    let ana = stage.klaviyo.profile("ana@a.example").unwrap();
    let segment = stage.klaviyo.segment("VIP", &[ana]).unwrap();
    stage.wants(&segment, NOW).await;
    profiles::sync_due(&stage.world.app).await.unwrap();
    stage.world.app.clock.advance(HOUR);
    stage.klaviyo.deletes_segment("VIP").unwrap();
    stage.wants(&segment, NOW + HOUR).await;
    assert_eq!(profiles::sync_due(&stage.world.app).await.unwrap(), 0);
    let group = stage.group().await;
    assert_eq!(group.members, 1);
    assert!(
        group
            .problem
            .unwrap()
            .contains("no longer has this segment")
    );
    assert_eq!(group.synced_at, Some(NOW));
}
