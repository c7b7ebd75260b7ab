//! What Meta remembers: Pages, people, subscription tokens, campaigns, messages.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde_json::Value;

use super::faults::{SeenCall, Throttle};
use super::login::LoginState;
use crate::clock::Millis;

#[derive(Debug, Default)]
pub(super) struct State {
    /// Where signed webhooks go.
    pub(super) webhook_url: Option<String>,
    pub(super) pages: BTreeMap<String, Page>,
    /// The Page that people belong to unless they follow another one's link.
    pub(super) first_page: Option<String>,
    pub(super) people: HashMap<String, Human>,
    /// PSIDs in the order in which people appeared.
    pub(super) order: Vec<String>,
    pub(super) subscriptions: HashMap<String, Subscription>,
    pub(super) campaigns: BTreeMap<String, Campaign>,
    /// How many messages were accepted, by campaign and token.
    pub(super) accepted: BTreeMap<(String, String), u32>,
    /// mids to the person they went to.
    pub(super) mids: HashMap<String, String>,
    pub(super) unknown_calls: Vec<String>,
    /// Events nobody was subscribed to.
    pub(super) untold: u64,
    /// Facebook accounts and what came of their logins.
    pub(super) login: LoginState,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) token: String,
    pub(super) ad_account: String,
    pub(super) ad_token: String,
    pub(super) subscribed: BTreeSet<String>,
    pub(super) get_started: Option<String>,
    /// The second that is being counted, sends in it, and audio or video sends among them.
    pub(super) second: (Millis, u32, u32),
    /// Sends since the sandbox began, for the usage headers.
    pub(super) sends: u64,
    /// When each send came, while that is noted.
    pub(super) calls: Vec<SeenCall>,
}

#[derive(Debug)]
pub(super) struct Human {
    pub(super) page_id: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) country: String,
    /// There was contact before: m.me links lead into the existing thread.
    pub(super) has_thread: bool,
    /// Opens the 24 h window.
    pub(super) acted_at: Option<Millis>,
    pub(super) thread: Vec<Entry>,
    /// The last opt-in card, until it is tapped.
    pub(super) card: Option<OptInCard>,
    /// When an opt-in card of this title was last sent: one a week.
    pub(super) cards_sent: HashMap<String, Millis>,
    pub(super) token: Option<String>,
}

/// One bubble of a thread.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    FromPage(SentMessage),
    FromPerson { text: String },
}

#[derive(Clone, Debug)]
pub(super) struct OptInCard {
    pub(super) title: String,
    pub(super) payload: String,
}

#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) token: String,
    pub(super) psid: String,
    pub(super) page_id: String,
    pub(super) created_at: Millis,
    pub(super) stopped: bool,
    pub(super) last_paid_at: Option<Millis>,
}

/// A message campaign of an ad account.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub id: String,
    pub name: String,
    pub page_id: String,
    pub ad_account: String,
    pub created_at: Millis,
    pub deleted: bool,
}

/// How a message came to the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Standard,
    Marketing,
    Utility,
    HumanAgent,
}

/// A message that Meta took for a person.
#[derive(Clone, Debug, PartialEq)]
pub struct SentMessage {
    pub channel: Channel,
    /// `text`, `buttons`, `cards`, `media`, `coupon`, `receipt`, `product`, `opt_in_card`,
    /// `image`, `video`, `audio`, `file` or `template`.
    pub kind: String,
    /// All words a person reads, joined.
    pub text: String,
    /// Every address in it, in order: buttons, default actions, coupons, texts.
    pub links: Vec<String>,
    /// The `message` object as it was sent.
    pub body: Value,
    pub at: Millis,
    pub mid: String,
    /// The paid channel's `marketing_message_tracking_id`.
    pub tracking_id: Option<String>,
    /// The paid channel's campaign and token.
    pub campaign_id: Option<String>,
    pub token: Option<String>,
    pub metadata: Option<String>,
    pub delivered_at: Option<Millis>,
    pub read_at: Option<Millis>,
}

impl Human {
    pub(super) fn sent(&self) -> impl Iterator<Item = &SentMessage> {
        self.thread.iter().filter_map(|entry| match entry {
            Entry::FromPage(message) => Some(message),
            Entry::FromPerson { .. } => None,
        })
    }

    pub(super) fn sent_mut(&mut self) -> impl Iterator<Item = &mut SentMessage> {
        self.thread.iter_mut().filter_map(|entry| match entry {
            Entry::FromPage(message) => Some(message),
            Entry::FromPerson { .. } => None,
        })
    }
}

/// Switches for trouble, and refusals waiting for their call.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) refusals: VecDeque<(i64, Option<i64>)>,
    pub(super) throttles: VecDeque<Throttle>,
    pub(super) times_calls: bool,
    pub(super) delay_ms: u64,
    pub(super) drop_answers: u32,
    pub(super) silent: bool,
    pub(super) down: bool,
    /// Overrides what the usage headers say.
    pub(super) usage_percent: Option<u32>,
}
