//! Sorting what is due: to be sent, to wait, or never, by what the policy says of each person and
//! by what stands ready at Meta.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::batch::{CampaignFacts, Reserved, Row, Work};
use super::content::Content;
use super::destination::read_campaign;
use super::enqueue::MessageKind;
use super::policy::{self, Channel, Circumstances, Decision, Person, Reason};
use super::render::Names;
use super::siblings::{Brand, Shared};
use super::videos;
use super::warm_up::{Vehicle, vehicle};
use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::store::Tx;
use crate::store::ids::{CampaignId, MessageKey};
use crate::workspaces::{Page, Workspace};

/// Sorts candidates by what is to become of them.
pub(super) struct Sorter<'a> {
    pub(super) app: &'a App,
    pub(super) workspace: &'a Workspace,
    pub(super) page: &'a Page,
    pub(super) campaign: Option<&'a CampaignFacts>,
    pub(super) warm_up: Millis,
    pub(super) now: Millis,
    pub(super) vehicles: HashMap<i64, Arc<Vehicle>>,
    pub(super) contents: HashMap<i64, Arc<Content>>,
    /// Attachments of videos by address; `None` for those that are not there yet.
    pub(super) videos: HashMap<String, Option<String>>,
    /// What each customer's subscribers share.
    pub(super) brands: HashMap<String, Shared>,
    /// Who gets their marketing message of the day in this batch.
    pub(super) marketing: HashSet<Brand>,
    pub(super) work: Vec<Work>,
    pub(super) skipped: HashMap<Reason, Vec<MessageKey>>,
    pub(super) later: HashMap<Millis, Vec<MessageKey>>,
    /// Unsettled messages that may not be tried again.
    pub(super) given_up: Vec<MessageKey>,
    /// Vehicles whose first send is in this batch.
    pub(super) probing: HashSet<i64>,
}

impl Sorter<'_> {
    pub(super) async fn sort(
        &mut self,
        tx: &mut Tx,
        row: Row,
        settling: bool,
    ) -> anyhow::Result<()> {
        let key = MessageKey {
            origin: row.origin_id,
            subscriber: row.subscriber_id,
        };
        let kind = match self.campaign {
            Some(_) => MessageKind::Campaign,
            None => MessageKind::parse(&row.kind),
        };
        let Some(content) = self.content(tx, &row).await? else {
            // The campaign is gone, or the words were erased with the person.
            if settling {
                self.given_up.push(key);
            } else {
                self.skipped.entry(Reason::Erased).or_default().push(key);
            }
            return Ok(());
        };
        let decision = if row.automation_off != 0 {
            Decision::Never(Reason::Cancelled)
        } else {
            self.decide(&row, kind, settling)
        };
        let channel = match decision {
            Decision::Send(channel) => channel,
            Decision::Later(at) => {
                self.later.entry(at).or_default().push(key);
                return Ok(());
            }
            Decision::Never(_) if settling => {
                self.given_up.push(key);
                return Ok(());
            }
            Decision::Never(reason) => {
                self.skipped.entry(reason).or_default().push(key);
                return Ok(());
            }
        };
        // Meta's own cool-down stands whatever the workspace's cap.
        let paid = channel == Channel::MarketingMessage;
        let takes_the_day = kind.takes_the_day(paid);
        let capped = takes_the_day && (paid || self.workspace.cap_hours > 0) && !settling;
        if capped && self.shared(&row).is_some_and(Shared::is_busy) {
            // Left in line: it is looked at again at once.
            return Ok(());
        }
        let mut used = Arc::new(Vehicle::default());
        if let Some(owner) = row.owner_id {
            used = self.vehicle(tx, owner).await?;
        }
        let video = videos::wanted(&content, channel);
        // What stopped the owner stops it on every channel, until somebody has looked. A test may
        // find out whether it is over.
        let tries_it_out = kind == MessageKind::Test && !paid && video.is_none();
        if used.problem.is_some() && !settling && !tries_it_out {
            self.later.entry(self.now + MINUTE).or_default().push(key);
            return Ok(());
        }
        let mut attachment = None;
        if let Some(url) = video {
            attachment = self.video(tx, row.owner_id, url).await?;
            if attachment.is_none() {
                self.later
                    .entry(self.now + MINUTE / 2)
                    .or_default()
                    .push(key);
                return Ok(());
            }
        }
        if let (true, Some(owner)) = (paid, row.owner_id)
            && !self.may_board(&used, owner, key, settling)
        {
            return Ok(());
        }
        if capped && !self.marketing.insert(Brand::of(&row)) {
            self.skipped.entry(Reason::Capped).or_default().push(key);
            return Ok(());
        }
        self.work.push(Work {
            key,
            kind,
            owner: row.owner_id,
            content,
            channel,
            names: Names {
                first: row.first_name,
                last: row.last_name,
            },
            psid: row.psid,
            token: row.token,
            vehicle: used,
            attachment,
            attempts: row.attempts,
            settling,
            lease_until: 0,
            called_at: 0,
            // A second try, too: if it arrives, the day begins with it.
            reserved: takes_the_day.then_some(Reserved {
                at: self.now,
                before: row.last_marketing_at,
            }),
        });
        Ok(())
    }

    /// The row's own words, else its campaign's (unsettled rows come from any campaign).
    async fn content(&mut self, tx: &mut Tx, row: &Row) -> anyhow::Result<Option<Arc<Content>>> {
        if let Some(text) = &row.content {
            return Ok(Some(Arc::new(serde_json::from_str(text)?)));
        }
        if let Some(campaign) = self.campaign {
            return Ok(Some(Arc::clone(&campaign.content)));
        }
        let Some(owner) = row.owner_id else {
            return Ok(None);
        };
        if let Some(known) = self.contents.get(&owner) {
            return Ok(Some(Arc::clone(known)));
        }
        let found = read_campaign(tx, self.workspace.id, CampaignId(owner)).await?;
        let found = found.map(Arc::new);
        if let Some(content) = &found {
            self.contents.insert(owner, Arc::clone(content));
        }
        Ok(found)
    }

    /// The attachment of this video; where there is none yet, the upload begins.
    async fn video(
        &mut self,
        tx: &mut Tx,
        owner: Option<i64>,
        url: &str,
    ) -> anyhow::Result<Option<String>> {
        if let Some(known) = self.videos.get(url) {
            return Ok(known.clone());
        }
        let found = videos::stored(tx, self.page.id, url, self.now).await?;
        if found.is_none() {
            videos::begin(self.app, owner, self.page, url);
        }
        self.videos.insert(url.to_owned(), found.clone());
        Ok(found)
    }

    async fn vehicle(&mut self, tx: &mut Tx, owner: i64) -> anyhow::Result<Arc<Vehicle>> {
        if let Some(known) = self.vehicles.get(&owner) {
            return Ok(Arc::clone(known));
        }
        let found = vehicle(tx, owner, self.page.id).await?.unwrap_or_default();
        let found = Arc::new(found);
        self.vehicles.insert(owner, Arc::clone(&found));
        Ok(found)
    }

    /// Whether the paid send may go with this vehicle now; else the message is left or put off.
    /// One in doubt is left: it is not looked at while its vehicle stands.
    fn may_board(
        &mut self,
        vehicle: &Vehicle,
        owner: i64,
        key: MessageKey,
        settling: bool,
    ) -> bool {
        let not_before = match vehicle.warm_at(self.warm_up) {
            _ if vehicle.problem.is_some() => Some(self.now + MINUTE),
            Some(at) => (at > self.now).then_some(at),
            // Not before one that is made now has become warm.
            None => Some(self.now + self.warm_up.max(5 * SECOND)),
        };
        if let Some(at) = not_before {
            if !settling {
                self.later.entry(at).or_default().push(key);
            }
            return false;
        }
        // The first send probes; the others stay where they are until it is answered.
        vehicle.probed_at.is_some()
            || vehicle.probing_until <= self.now && self.probing.insert(owner)
    }

    /// What is shared with others who are the same customer, if there may be any.
    fn shared(&self, row: &Row) -> Option<&Shared> {
        self.brands.get(row.customer_id.as_deref()?)
    }

    fn decide(&self, row: &Row, kind: MessageKind, settling: bool) -> Decision {
        let brand_marketing_at = self.shared(row).and_then(|shared| shared.last_marketing_at);
        let person = Person {
            has_psid: row.psid.is_some(),
            has_token: row.token.is_some(),
            token_enabled: row.token_enabled != 0,
            token_expires_at: row.token_expires_at,
            next_eligible_at: row.next_eligible_at,
            timezone: row.timezone.clone(),
            opted_in_at: row.opted_in_at,
            opted_out_at: row.opted_out_at,
            unreachable_at: row.unreachable_at,
            erased_at: row.erased_at,
            last_action_at: row.last_action_at,
            last_marketing_at: row.last_marketing_at.max(brand_marketing_at),
            triggered_at: row.triggered_at,
            last_ordered_at: row.last_ordered_at,
            has_bought: row.is_bought != 0,
        };
        let paid_available = self.page.ad_account.is_some() && self.page.ad_token.is_some();
        let quiet = self.workspace.quiet_hours.as_ref();
        let about = Circumstances {
            is_removed: self.workspace.is_removed,
            kind,
            channel: match self.campaign {
                None if kind != MessageKind::Test => None,
                Some(campaign) => campaign.channel,
                None => row.channel.as_deref().and_then(Channel::parse),
            },
            paid_available,
            cap_hours: self.workspace.cap_hours,
            quiet_hours: quiet.map(|(start, end)| (start.as_str(), end.as_str())),
            timezone: &self.workspace.timezone,
            local_time: self.campaign.and_then(|campaign| campaign.local_time),
            expires_at: row.expires_at,
            patience_until: match self.campaign {
                Some(campaign) => Some(campaign.scheduled_at.max(row.due_at) + campaign.patience),
                None => row.expires_at,
            },
        };
        if settling {
            policy::once_more(&person, &about, self.now)
        } else {
            policy::decide(&person, &about, self.now)
        }
    }
}
