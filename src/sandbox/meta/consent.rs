//! Opting in and out, as people do it.

use anyhow::Context;
use serde_json::json;

use super::Meta;
use super::people::{Person, human};
use super::state::{State, Subscription};
use crate::clock::DAY;

impl Meta {
    /// Opts somebody in without a word to anybody: for seeding a store. Returns the token.
    ///
    /// # Errors
    /// When the person is not known here.
    pub fn has_subscribed(&self, person: &Person) -> anyhow::Result<String> {
        let mut state = self.state();
        let now = self.now();
        human(&mut state, person)?.has_thread = true;
        Ok(self.subscribe(&mut state, &person.psid, now))
    }

    /// Accepts the last opt-in card: the Page gets a subscription token. This does not open the
    /// window. Returns the token.
    ///
    /// # Errors
    /// When no card was sent since the last tap.
    pub fn taps_card(&self, person: &Person) -> anyhow::Result<String> {
        let mut state = self.state();
        let now = self.now();
        let card = human(&mut state, person)?
            .card
            .take()
            .context("no opt-in card to tap")?;
        let token = self.subscribe(&mut state, &person.psid, now);
        let event = json!({ "optin": {
            "type": "notification_messages",
            "payload": card.payload,
            "title": card.title,
            "notification_messages_token": token,
            "notification_messages_timezone": "America/New_York",
            "token_expiry_timestamp": now + 3650 * DAY,
            "user_token_status": "NOT_REFRESHED",
        } });
        self.messaging(&mut state, "messaging_optins", person, event)?;
        Ok(token)
    }

    /// Uses Meta's own opt-out: STOP NOTIFICATIONS.
    pub fn stops(&self, person: &Person) -> anyhow::Result<()> {
        self.changes_subscription(person, true)
    }

    /// Takes the opt-out back: RESUME NOTIFICATIONS.
    pub fn resumes(&self, person: &Person) -> anyhow::Result<()> {
        self.changes_subscription(person, false)
    }

    /// Meta counts the person as opted out but loses the webhook: the next send finds out.
    pub fn stops_unnoticed(&self, person: &Person) -> anyhow::Result<()> {
        let mut state = self.state();
        let token = human(&mut state, person)?
            .token
            .clone()
            .context("no subscription to stop")?;
        if let Some(subscription) = state.subscriptions.get_mut(&token) {
            subscription.stopped = true;
        }
        Ok(())
    }

    /// There is an opt-in card that was not tapped yet.
    pub fn has_card(&self, person: &Person) -> bool {
        self.state()
            .people
            .get(&person.psid)
            .is_some_and(|h| h.card.is_some())
    }

    /// The person's subscription token and whether it may be used.
    pub fn token_of(&self, person: &Person) -> Option<(String, bool)> {
        let state = self.state();
        let token = state.people.get(&person.psid)?.token.clone()?;
        let usable = state.subscriptions.get(&token).is_some_and(|s| !s.stopped);
        Some((token, usable))
    }

    fn changes_subscription(&self, person: &Person, stop: bool) -> anyhow::Result<()> {
        let mut state = self.state();
        let token = human(&mut state, person)?
            .token
            .clone()
            .context("no subscription")?;
        let subscription = state
            .subscriptions
            .get_mut(&token)
            .context("no subscription")?;
        subscription.stopped = stop;
        let status = if stop {
            "STOP NOTIFICATIONS"
        } else {
            "RESUME NOTIFICATIONS"
        };
        let event = json!({ "optin": {
            "type": "notification_messages",
            "notification_messages_token": token,
            "notification_messages_status": status,
            "title": "Updates and promotions",
        } });
        self.messaging(&mut state, "messaging_optins", person, event)
    }

    /// One token for each person and Page; an opt-out ends it, so the next opt-in makes a new one.
    fn subscribe(&self, state: &mut State, psid: &str, now: i64) -> String {
        let old = state.people.get(psid).and_then(|h| h.token.clone());
        if let Some(old) = old.filter(|t| state.subscriptions.get(t).is_some_and(|s| !s.stopped)) {
            return old;
        }
        let token = self
            .inner
            .world
            .chance
            .between(10_i64.pow(17), 10_i64.pow(18) - 1)
            .to_string();
        let Some(human) = state.people.get_mut(psid) else {
            return token;
        };
        human.token = Some(token.clone());
        let subscription = Subscription {
            token: token.clone(),
            psid: psid.to_owned(),
            page_id: human.page_id.clone(),
            created_at: now,
            stopped: false,
            timezone: "America/New_York".to_owned(),
            last_paid_at: None,
        };
        state.subscriptions.insert(token.clone(), subscription);
        token
    }
}
