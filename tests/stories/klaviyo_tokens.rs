//! Klaviyo's access tokens: one that is not taken is renewed once, and who is slow at it changes
//! nothing that is newer.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use pagecast::clock::HOUR;
use pagecast::http_client::{Answer, Failure, HttpClient, Transport};
use pagecast::klaviyo::{Auth, Client, Error, Settings};
use pagecast::workspaces::{self, KlaviyoSecret};
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use crate::story;
use crate::support::Story;
use crate::support::story::KLAVIYO_KEY;

async fn connects_by_oauth(story: &Story) {
    story.sandbox.klaviyo.rate_limits(false);
    let refresh = KlaviyoSecret::RefreshToken(SecretString::from("refresh-story"));
    workspaces::connect_klaviyo(&story.app, story.workspace, refresh)
        .await
        .unwrap();
}

async fn asks(story: &Story) -> Result<String, Error> {
    let app = &story.app;
    workspaces::ask_klaviyo(app, story.workspace, |auth| async move {
        app.klaviyo.account(&auth).await
    })
    .await
    .unwrap()
}

async fn state(story: &Story) -> String {
    let state = workspaces::klaviyo_state(&story.app, story.workspace).await;
    state.unwrap().unwrap().0
}

async fn bearer(story: &Story) -> String {
    let auth = workspaces::klaviyo_auth(&story.app, story.workspace).await;
    match auth.unwrap().unwrap() {
        Auth::Bearer(token) => token.expose_secret().to_owned(),
        Auth::PrivateKey(_) => panic!("not what was connected"),
    }
}

story! {
    async fn a_token_that_is_not_taken_is_renewed_once_before_anything_is_broken(story: &mut Story) {
        connects_by_oauth(story).await;
        let before = bearer(story).await;
        story.sandbox.klaviyo.refuses_next(401, 1);
        asks(story).await.unwrap();
        assert_eq!(state(story).await, "active");
        assert_ne!(bearer(story).await, before);

        story.sandbox.klaviyo.refuses_next(401, 2);
        assert!(matches!(asks(story).await, Err(Error::Reconnect(_))));
        assert_eq!(state(story).await, "needs_reconnect");
        connects_by_oauth(story).await;
        asks(story).await.unwrap();
        assert_eq!(state(story).await, "active");
    }
}

story! {
    async fn while_klaviyo_renews_nothing_the_connection_waits_and_is_not_broken(story: &mut Story) {
        connects_by_oauth(story).await;
        let refuse = |status: u16| Arc::new(Slow::answering(status, "busy"));
        let app = through(story, refuse(503));
        let asked = workspaces::ask_klaviyo(&app, story.workspace, |_| async {
            Err::<(), _>(Error::Reconnect("no".into()))
        });
        assert!(matches!(asked.await.unwrap(), Err(Error::Retry { .. })));
        assert_eq!(state(story).await, "active");
    }
}

/// A Klaviyo that answers when it is told to, or at once.
#[derive(Debug)]
struct Slow {
    status: u16,
    body: &'static str,
    waits: bool,
    asked: Arc<Notify>,
    goes_on: Arc<Notify>,
}

impl Slow {
    fn answering(status: u16, body: &'static str) -> Self {
        Self {
            status,
            body,
            waits: false,
            asked: Arc::default(),
            goes_on: Arc::default(),
        }
    }
}

impl Transport for Slow {
    fn send(&self, _: reqwest::Request) -> BoxFuture<'static, Result<Answer, Failure>> {
        let (status, body, waits) = (self.status, self.body, self.waits);
        let (asked, goes_on) = (Arc::clone(&self.asked), Arc::clone(&self.goes_on));
        async move {
            if waits {
                asked.notify_one();
                goes_on.notified().await;
            }
            Ok(Answer {
                status,
                headers: HeaderMap::new(),
                body: body.as_bytes().to_vec(),
            })
        }
        .boxed()
    }
}

/// The app of another worker, whose calls to Klaviyo go this way.
fn through(story: &Story, slow: Arc<Slow>) -> pagecast::app::App {
    let settings = Settings {
        api_url: story.sandbox.klaviyo.url(),
        client_id: Some("id".to_owned()),
        client_secret: Some(SecretString::from("secret")),
    };
    let mut app = story.app.clone();
    app.klaviyo = Client::new(HttpClient::new().unwrap().through(slow), settings);
    app
}

story! {
    async fn a_slow_renewal_neither_breaks_nor_overwrites_a_newer_connection(story: &mut Story) {
        for (status, body) in [(400, r#"{"error":"invalid_grant"}"#),
                               (200, r#"{"access_token":"late","refresh_token":"late"}"#)] {
            connects_by_oauth(story).await;
            story.clock.advance(2 * HOUR);
            let slow = Slow { waits: true, ..Slow::answering(status, body) };
            let (asked, goes_on) = (Arc::clone(&slow.asked), Arc::clone(&slow.goes_on));
            let other = through(story, Arc::new(slow));
            let (renewed, ()) = tokio::join!(
                workspaces::klaviyo_auth(&other, story.workspace),
                async {
                    asked.notified().await;
                    let key = KlaviyoSecret::PrivateKey(SecretString::from(KLAVIYO_KEY));
                    workspaces::connect_klaviyo(&story.app, story.workspace, key).await.unwrap();
                    goes_on.notify_one();
                }
            );
            assert_eq!(state(story).await, "active", "{body}");
            let Auth::PrivateKey(key) = renewed.unwrap().unwrap() else { panic!("{body}") };
            assert_eq!(key.expose_secret(), KLAVIYO_KEY);
            asks(story).await.unwrap();
        }
    }
}

story! {
    async fn trouble_with_a_former_connection_is_none_of_the_newer_ones(story: &mut Story) {
        connects_by_oauth(story).await;
        let former = Auth::Bearer(SecretString::from("of yesterday"));
        workspaces::klaviyo_broke(&story.app, story.workspace, &former, "No.").await.unwrap();
        assert_eq!(state(story).await, "active");
        let own = Auth::Bearer(SecretString::from(bearer(story).await));
        workspaces::klaviyo_broke(&story.app, story.workspace, &own, "No.").await.unwrap();
        assert_eq!(state(story).await, "needs_reconnect");
    }
}
