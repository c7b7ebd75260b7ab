//! What each of Meta's events means for us.

use std::collections::HashMap;

use crate::app::App;
use crate::automations::{self, Happening};
use crate::clock::{DAY, Millis};
use crate::delivery::{MarketingReceipt, Receipt, record_receipt};
use crate::meta::webhooks::{Event, EventKind, Marketing, Referral, parse, people_who_changed};
use crate::profiles::{self, Report};
use crate::store::Conn;
use crate::store::ids::{AutomationId, CampaignId, MessageKey, OriginId, SubscriberId};
use crate::store::sealed::sha256_hex;
use crate::subscribers::{self, Means, OptIn};
use crate::webhooks::keywords::keyword;
use crate::webhooks::process::{Delivery, Trouble, Understood};
use crate::workspaces::{self, PageRef};
use crate::{opt_ins, webhooks::seen};

/// An answer within this time of a broadcast's message counts as a reply to it.
const REPLY_WITHIN: Millis = 7 * DAY;

/// Reads the delivery. A block of the Page stands before anything else, and for itself: sends
/// must stop even if something in the same delivery goes wrong.
pub(super) async fn read(app: &App, delivery: &Delivery) -> Result<Vec<Event>, Trouble> {
    let mut events = parse(&delivery.body).map_err(Trouble::unreadable)?;
    for event in &mut events {
        if event.at <= 0 {
            event.at = delivery.received_at;
        }
        if let EventKind::Policy { blocked: true, .. } = &event.kind {
            let page = {
                let mut conn = app.db.acquire().await?;
                workspaces::page_by_meta_id(&mut conn, &event.page_id).await?
            };
            if let Some(page) = page {
                let words = "Meta has blocked this Page from sending messages. Open the Page's \
                             Support Inbox on Facebook to see why and to ask for a review; \
                             nothing is sent until Meta lifts the block.";
                workspaces::page_blocked(app, page.id, words).await?;
            }
        }
    }
    Ok(events)
}

pub(super) async fn apply(
    app: &App,
    conn: &mut Conn,
    delivery: &Delivery,
    events: Vec<Event>,
) -> Result<Understood, Trouble> {
    let mut done = Understood::default();
    for person in people_who_changed(&delivery.body) {
        workspaces::person_changed(app, conn, &person).await?;
        // It names somebody, and is good for nothing more.
        done.forget = true;
    }
    let mut pages: HashMap<String, Option<PageRef>> = HashMap::new();
    for event in &events {
        let page = match pages.get(&event.page_id) {
            Some(page) => *page,
            None => {
                let page = workspaces::page_by_meta_id(conn, &event.page_id).await?;
                pages.insert(event.page_id.clone(), page);
                page
            }
        };
        let Some(page) = page else { continue };
        done.workspace.get_or_insert(page.workspace);
        // Meta's clock may be ahead of ours; nobody acted in the future.
        let at = event.at.min(delivery.received_at.max(app.clock.now()));
        let mut person = Person {
            app,
            conn: &mut *conn,
            page,
            psid: event.psid.as_deref(),
            at,
            done: &mut done,
        };
        person.understand(&event.kind).await?;
    }
    Ok(done)
}

/// One event's person on one Page, and where its effects go.
pub(super) struct Person<'a> {
    pub(super) app: &'a App,
    pub(super) conn: &'a mut Conn,
    pub(super) page: PageRef,
    pub(super) psid: Option<&'a str>,
    pub(super) at: Millis,
    pub(super) done: &'a mut Understood,
}

impl Person<'_> {
    async fn understand(&mut self, kind: &EventKind) -> anyhow::Result<()> {
        match kind {
            EventKind::Message {
                mid,
                text,
                quick_reply,
            } => {
                // A tapped quick reply says its title, and what it means stands in its payload.
                let meant = quick_reply
                    .as_deref()
                    .filter(|payload| keyword(payload).is_some());
                let words = meant.or(text.as_deref()).or(quick_reply.as_deref());
                self.wrote(mid, words).await
            }
            EventKind::Postback {
                mid,
                payload,
                referral,
                ..
            } => {
                self.tapped(mid.as_deref(), payload, referral.as_ref())
                    .await
            }
            EventKind::Referral(referral) => {
                let Some(id) = self.acted().await? else {
                    return Ok(());
                };
                self.came(id, Some(referral)).await
            }
            EventKind::OptIn { .. } => self.accepted(kind).await,
            EventKind::Stop { token } => self.stopped(token.as_deref()).await,
            EventKind::Resume { token } => self.resumed(token.as_deref()).await,
            EventKind::Reaction { added: true, .. } => self.acted().await.map(|_| ()),
            EventKind::Echo { .. }
            | EventKind::Delivered { .. }
            | EventKind::Read { .. }
            | EventKind::Marketing { .. } => self.receipt(kind).await,
            EventKind::Policy { blocked: false, .. } => {
                self.done.pages.insert(self.page.id);
                workspaces::page_unblocked(self.conn, self.page.id).await
            }
            EventKind::Policy { .. }
            | EventKind::Reaction { .. }
            | EventKind::Comment { .. }
            | EventKind::Lead { .. }
            | EventKind::Other { .. } => Ok(()),
        }
    }

    /// The person did something that opens the window.
    async fn acted(&mut self) -> anyhow::Result<Option<SubscriberId>> {
        self.found(Some(self.at)).await
    }

    async fn found(&mut self, acted_at: Option<Millis>) -> anyhow::Result<Option<SubscriberId>> {
        let Some(psid) = self.psid else {
            return Ok(None);
        };
        subscribers::resolve(self.app, self.conn, self.page, psid, acted_at)
            .await
            .map(Some)
    }

    async fn is_new(&mut self, event_key: &str) -> anyhow::Result<bool> {
        seen::first_time(self.app, self.conn, self.page.workspace, event_key).await
    }

    async fn wrote(&mut self, mid: &str, words: Option<&str>) -> anyhow::Result<()> {
        if !self.is_new(&format!("m:{mid}")).await? {
            return Ok(());
        }
        let Some(id) = self.acted().await? else {
            return Ok(());
        };
        match words.and_then(keyword) {
            Some(word) => self.decided(id, word, mid).await,
            None => self.replied(id, mid).await,
        }
    }

    async fn tapped(
        &mut self,
        mid: Option<&str>,
        payload: &str,
        referral: Option<&Referral>,
    ) -> anyhow::Result<()> {
        let key = match mid {
            Some(mid) => format!("p:{mid}"),
            None => format!("p:{}:{}", hashed(self.psid.unwrap_or_default()), self.at),
        };
        if !self.is_new(&key).await? {
            return Ok(());
        }
        let Some(id) = self.acted().await? else {
            return Ok(());
        };
        if let Some(word) = keyword(payload) {
            return self.decided(id, word, &key).await;
        }
        let starts = payload
            .to_lowercase()
            .replace([' ', '-'], "_")
            .contains("get_started");
        if referral.is_some() || starts {
            return self.came(id, referral).await;
        }
        Ok(())
    }

    /// Through a link, an ad, or by themselves.
    async fn came(&mut self, id: SubscriberId, referral: Option<&Referral>) -> anyhow::Result<()> {
        let reference = referral.and_then(|referral| referral.reference.as_deref());
        let is_ad = referral.is_some_and(|referral| {
            referral.ad_id.is_some() || referral.source.as_deref() == Some("ADS")
        });
        opt_ins::arrive(self.app, self.conn, self.page, id, reference, self.at).await?;
        if is_ad {
            subscribers::came_from(self.conn, id, "ad").await?;
        }
        self.done.pages.insert(self.page.id);
        Ok(())
    }

    /// Tells Klaviyo that a message was answered.
    async fn replied(&mut self, id: SubscriberId, mid: &str) -> anyhow::Result<()> {
        if !profiles::is_wanted(self.conn, self.page.workspace).await? {
            return Ok(());
        }
        type Row = (OriginId, Option<CampaignId>, Option<AutomationId>);
        let answered: Option<Row> = sqlx::query_as(
            "SELECT origin_id, campaign_id, automation_id FROM messages
             -- By the person, not by all that the workspace sent.
             WHERE subscriber_id = $1 AND +workspace_id = $2 AND sent_at > $3 AND sent_at <= $4
                 AND (campaign_id IS NOT NULL OR automation_id IS NOT NULL)
             ORDER BY created_at DESC LIMIT 1",
        )
        .bind(id)
        .bind(self.page.workspace)
        .bind(self.at - REPLY_WITHIN)
        .bind(self.at)
        .fetch_optional(&mut *self.conn)
        .await?;
        let Some((origin, campaign, automation)) = answered else {
            return Ok(());
        };
        let key = MessageKey {
            origin,
            subscriber: id,
        };
        let mut properties = serde_json::Map::new();
        properties.insert("message_id".to_owned(), key.to_string().into());
        if let Some(campaign) = campaign {
            properties.insert("campaign_id".to_owned(), campaign.to_string().into());
        }
        if let Some(automation) = automation {
            properties.insert("automation_id".to_owned(), automation.to_string().into());
        }
        let event = Report {
            workspace: self.page.workspace,
            subscriber: id,
            metric: "Replied to Messenger Message",
            properties,
            value: None,
            at: self.at,
            unique_id: format!("msgr:reply:{}", hashed(mid)),
        };
        profiles::report(self.app, self.conn, event).await
    }

    /// The opt-in card was accepted, or Meta gave the person a new token.
    async fn accepted(&mut self, kind: &EventKind) -> anyhow::Result<()> {
        let EventKind::OptIn {
            token,
            payload,
            title,
            timezone,
            expires_at,
            reference,
        } = kind
        else {
            return Ok(());
        };
        let Some(id) = self.whose(Some(token)).await? else {
            return Ok(());
        };
        let (app, page, at) = (self.app, self.page, self.at);
        let (source, text_shown) = opt_ins::shown(
            app,
            self.conn,
            page,
            id,
            payload.as_deref().or(reference.as_deref()),
            title.as_deref(),
        )
        .await?;
        let how = OptIn {
            token: Some(token.clone()),
            token_expires_at: *expires_at,
            timezone: timezone.clone(),
            source,
            text_shown,
        };
        let event_key = format!("card:{}:{at}", hashed(token));
        if subscribers::opt_in(app, self.conn, id, Means::Card, how, at, &event_key).await? {
            self.welcome(id, event_key).await?;
        }
        Ok(())
    }

    async fn welcome(&mut self, id: SubscriberId, event_key: String) -> anyhow::Result<()> {
        let happening = Happening {
            workspace: self.page.workspace,
            subscriber: id,
            kind: "opted_in",
            key: String::new(),
            trigger_ref: event_key,
            context: serde_json::Map::new(),
            at: self.at,
        };
        let began = automations::start(self.app, self.conn, &happening).await?;
        self.done.runs |= began > 0;
        self.done.runs |=
            super::checkouts::start_left_behind(self.app, self.conn, self.page.workspace, id)
                .await?;
        Ok(())
    }

    /// By PSID, else by token; a decision of somebody not seen before makes their row.
    async fn whose(&mut self, token: Option<&str>) -> anyhow::Result<Option<SubscriberId>> {
        if self.psid.is_some() {
            return self.found(None).await;
        }
        match token {
            Some(token) => subscribers::by_token(self.conn, self.page, token).await,
            None => Ok(None),
        }
    }

    async fn stopped(&mut self, token: Option<&str>) -> anyhow::Result<()> {
        let Some(id) = self.whose(token).await? else {
            return Ok(());
        };
        let key = format!("stop:{}", self.at);
        subscribers::opt_out(self.app, self.conn, id, Means::Webhook, self.at, &key).await?;
        Ok(())
    }

    async fn resumed(&mut self, token: Option<&str>) -> anyhow::Result<()> {
        let Some(id) = self.whose(token).await? else {
            return Ok(());
        };
        let how = OptIn {
            token: token.map(str::to_owned),
            ..OptIn::default()
        };
        let key = format!("resume:{}", self.at);
        subscribers::opt_in(self.app, self.conn, id, Means::Webhook, how, self.at, &key).await?;
        Ok(())
    }

    async fn receipt(&mut self, kind: &EventKind) -> anyhow::Result<()> {
        let known = match self.psid {
            Some(psid) => subscribers::known(self.conn, self.page, psid).await?,
            None => None,
        };
        let receipt = match (kind, known) {
            (EventKind::Echo { mid, metadata, .. }, _) => Receipt::Echo {
                mid: mid.clone(),
                metadata: metadata.clone(),
            },
            (EventKind::Delivered { mids, watermark }, Some(subscriber)) => Receipt::Delivered {
                subscriber,
                mids: mids.clone(),
                watermark: *watermark,
            },
            (EventKind::Read { watermark }, Some(subscriber)) => Receipt::Read {
                subscriber,
                watermark: *watermark,
            },
            (
                EventKind::Marketing {
                    what,
                    mid,
                    tracking_id,
                    token,
                    meta_campaign_id,
                    error,
                },
                _,
            ) => {
                let Some(what) = marketing(*what) else {
                    return Ok(());
                };
                Receipt::Marketing {
                    what,
                    mid: mid.clone(),
                    tracking_id: tracking_id.clone(),
                    token: token.clone(),
                    meta_campaign_id: meta_campaign_id.clone(),
                    error: error.clone(),
                }
            }
            // A receipt of somebody we do not know is about nothing of ours.
            _ => return Ok(()),
        };
        let changes = &mut self.done.changes;
        record_receipt(self.app, self.conn, self.page, self.at, &receipt, changes).await
    }
}

/// Meta's own clicks are not counted: ours know the person and the link.
fn marketing(what: Marketing) -> Option<MarketingReceipt> {
    match what {
        Marketing::Echo => Some(MarketingReceipt::Sent),
        Marketing::Delivered => Some(MarketingReceipt::Delivered),
        Marketing::Read => Some(MarketingReceipt::Read),
        Marketing::Failed => Some(MarketingReceipt::Failed),
        Marketing::Clicked => None,
    }
}

/// Ids of people and tokens are not kept in keys that outlive them.
fn hashed(text: &str) -> String {
    sha256_hex(text.as_bytes())[..24].to_owned()
}
