//! Sending: as the Page (`POST /{page}/messages`) and on the paid channel
//! (`POST act_{ad}/messages`).

use serde_json::{Map, Value, json};

use super::checks;
use super::content::{self, Content};
use super::faults::SeenCall;
use super::graph::{Answer, Call, Refusal};
use super::state::{Channel, Entry, SentMessage, State};
use super::{Caller, Meta, Taken};
use crate::clock::{DAY, HOUR, SECOND};
use crate::sandbox::lock;

/// Sends a second for each Page, and audio or video among them.
const SENDS_A_SECOND: u32 = 300;
const HEAVY_SENDS_A_SECOND: u32 = 10;
/// Between two marketing messages to one subscription token.
const PAID_GAP: i64 = 12 * HOUR;
const CARD_GAP: i64 = 7 * DAY;

/// Countries in which people get no marketing messages.
const NOT_SERVED: [&str; 31] = [
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV",
    "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "JP", "KR", "AU", "GB",
];

impl Meta {
    pub(super) fn send_as_page(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        call.only(&[
            "recipient",
            "message",
            "messaging_type",
            "notification_type",
            "sender_action",
            "tag",
            "persona_id",
            "reply_to",
            "page",
            "template",
            "payload",
            "folder",
            "thread_control",
            "suggestion_action",
        ])?;
        let recipient = call.object("recipient")?;
        checks::only(&recipient, "recipient", &["id", "comment_id", "post_id"])?;
        let Some(psid) = text_of(recipient.get("id")) else {
            return Err(Refusal::parameter("recipient needs an id"));
        };
        if let Some(action) = call.text("sender_action") {
            let known = ["mark_seen", "react", "typing_off", "typing_on", "unreact"];
            if !known.contains(&action.to_lowercase().as_str()) {
                return Err(Refusal::parameter(format_args!("sender_action {action}")));
            }
            return Ok(json!({ "recipient_id": psid }));
        }
        let channel = channel_of(call)?;
        let message = call.object("message")?;
        let content = content::check(&message, channel)?;

        let mut state = self.state();
        self.count_send(&mut state, page_id, content.heavy)?;
        self.refusal_due()?;
        let now = self.now();
        let Some(human) = state.people.get(&psid).filter(|h| h.page_id == page_id) else {
            return Err(Refusal::new(100, "(#100) No matching user found").sub(2_018_001));
        };
        let window = if channel == Channel::HumanAgent {
            7 * DAY
        } else {
            DAY
        };
        let open = human.acted_at.is_some_and(|at| now - at < window);
        if !open && channel != Channel::Utility {
            let text = "(#10) This message is sent outside of allowed window.";
            return Err(Refusal::new(10, text).sub(2_018_278));
        }
        if let Some(card) = &content.card
            && human
                .cards_sent
                .get(&card.title)
                .is_some_and(|at| now - at < CARD_GAP)
        {
            let text = "(#613) One opt-in request a week for each person and title";
            return Err(Refusal::new(613, text).sub(1_893_016));
        }
        let mid = format!("m_{}", self.inner.world.chance.word(40));
        let sent = sent_message(channel, &content, message, now, mid.clone());
        let is_card = content.card.is_some();
        if let Some(human) = state.people.get_mut(&psid)
            && let Some(card) = content.card
        {
            human.cards_sent.insert(card.title.clone(), now);
            human.card = Some(card);
        }
        self.put_into_thread(&mut state, &psid, sent, is_card);
        if is_card {
            // The documentation's own form for opt-in cards; the usual one for the rest.
            return Ok(json!({ "recipient": { "id": psid, "message_id": mid } }));
        }
        Ok(json!({ "recipient_id": psid, "message_id": mid }))
    }

    pub(super) fn send_marketing(&self, account: &str, call: &Call, caller: &Caller) -> Answer {
        self.account_call(account, caller)?;
        call.only(&[
            "message",
            "message_id",
            "messenger_delivery_data",
            "min_conversation_gap_seconds",
            "custom_audience_id",
        ])?;
        let campaign_id = call.required_text("message_id")?;
        let delivery = call.object("messenger_delivery_data")?;
        checks::only(
            &delivery,
            "messenger_delivery_data",
            &["subscription_token"],
        )?;
        let Some(token) = text_of(delivery.get("subscription_token")) else {
            return Err(Refusal::parameter(
                "messenger_delivery_data.subscription_token",
            ));
        };
        let message = call.object("message")?;

        let mut state = self.state();
        let now = self.now();
        let campaign = state
            .campaigns
            .get(&campaign_id)
            .filter(|c| !c.deleted)
            .cloned();
        let Some(campaign) = campaign else {
            return Err(Refusal::new(
                2_300_001,
                "Message id does not exist or cannot be loaded",
            ));
        };
        let content = content::check(&message, Channel::Marketing)?;
        self.count_send(&mut state, &campaign.page_id, content.heavy)?;
        self.refusal_due()?;
        if campaign.ad_account != account {
            let text = "The ad account of the campaign differs from the one in the request";
            return Err(Refusal::new(2_300_014, text));
        }
        if now - campaign.created_at < self.inner.warm_up_ms {
            return Err(Refusal::new(2_300_003, "Message is not active yet"));
        }
        let psid = self.eligible(&state, &campaign.page_id, &token, now)?;
        if let Some(gap) = call.text("min_conversation_gap_seconds") {
            let Some(gap) = gap.parse::<i64>().ok().filter(|g| *g > 0) else {
                return Err(Refusal::parameter(
                    "min_conversation_gap_seconds must be positive",
                ));
            };
            let acted_at = state.people.get(&psid).and_then(|h| h.acted_at);
            if acted_at.is_some_and(|at| now - at < gap * SECOND) {
                return Err(Refusal::new(
                    2_300_052,
                    "The conversation was active too recently",
                ));
            }
        }
        let tracking_id = self.inner.world.chance.uuid();
        let mid = format!("m_{}", self.inner.world.chance.word(40));
        let mut sent = sent_message(Channel::Marketing, &content, message, now, mid);
        sent.tracking_id = Some(tracking_id.clone());
        sent.campaign_id = Some(campaign_id.clone());
        sent.token = Some(token.clone());
        if let Some(subscription) = state.subscriptions.get_mut(&token) {
            subscription.last_paid_at = Some(now);
        }
        *state.accepted.entry((campaign_id, token)).or_default() += 1;
        self.put_into_thread(&mut state, &psid, sent, false);
        Ok(json!({ "success": true, "marketing_message_tracking_id": tracking_id }))
    }

    /// Whom the token reaches, if it may be used now.
    fn eligible(
        &self,
        state: &State,
        page_id: &str,
        token: &str,
        now: i64,
    ) -> Result<String, Refusal> {
        let Some(subscription) = state.subscriptions.get(token) else {
            return Err(Refusal::new(
                2_300_004,
                "Subscription token cannot be loaded",
            ));
        };
        if subscription.page_id != page_id {
            let text = "The subscription token belongs to another Page than the message";
            return Err(Refusal::new(2_300_005, text));
        }
        if subscription.stopped {
            return Err(Refusal::new(
                2_300_034,
                "The person stopped marketing messages",
            ));
        }
        let country = state
            .people
            .get(&subscription.psid)
            .map(|h| h.country.as_str());
        if country.is_some_and(|c| NOT_SERVED.contains(&c)) {
            return Err(Refusal::new(
                2_300_032,
                "Region of the subscription token not supported",
            ));
        }
        if subscription
            .last_paid_at
            .is_some_and(|at| now - at < PAID_GAP)
        {
            return Err(Refusal::new(
                2_300_035,
                "Minimum delay of 12 hours not reached",
            ));
        }
        Ok(subscription.psid.clone())
    }

    fn count_send(&self, state: &mut State, page_id: &str, heavy: bool) -> Result<(), Refusal> {
        let Some(page) = state.pages.get_mut(page_id) else {
            return Ok(());
        };
        if self.faults().times_calls {
            let at = self.since_start();
            page.calls.push(SeenCall { at, heavy });
        }
        let second = self.now().div_euclid(SECOND);
        if page.second.0 != second {
            page.second = (second, 0, 0);
        }
        page.sends += 1;
        page.second.1 += 1;
        page.second.2 += u32::from(heavy);
        if page.second.1 > SENDS_A_SECOND || page.second.2 > HEAVY_SENDS_A_SECOND {
            let mut refusal = Refusal::new(
                613,
                "(#613) Calls to this api have exceeded the rate limit.",
            );
            refusal.data = Some(json!({ "remaining_seconds": 1 }));
            return Err(refusal);
        }
        Ok(())
    }

    /// A refusal that a story ordered.
    fn refusal_due(&self) -> Result<(), Refusal> {
        let Some((code, subcode)) = self.faults().refusals.pop_front() else {
            return Ok(());
        };
        let mut refusal = Refusal::new(code, format!("(#{code}) Refused by order"));
        refusal.subcode = subcode;
        Err(refusal)
    }

    fn put_into_thread(&self, state: &mut State, psid: &str, sent: SentMessage, is_card: bool) {
        let mid = sent.mid.clone();
        state.mids.insert(mid.clone(), psid.to_owned());
        if let Some(human) = state.people.get_mut(psid) {
            human.thread.push(Entry::FromPage(sent));
        }
        self.receipts_for(state, psid, &mid);
        if let Some(watcher) = &*lock(&self.inner.watcher) {
            // Nobody watching any more means the sandbox is stopping.
            let _ = watcher.send(Taken {
                psid: psid.to_owned(),
                mid,
                is_card,
            });
        }
    }
}

fn channel_of(call: &Call) -> Result<Channel, Refusal> {
    let tag = call.text("tag");
    match call.text("messaging_type").as_deref() {
        Some("UTILITY") if tag.is_none() => Ok(Channel::Utility),
        Some("MESSAGE_TAG") => match tag.as_deref() {
            Some("HUMAN_AGENT") => Ok(Channel::HumanAgent),
            _ => Err(Refusal::new(100, "(#100) Invalid tag.")),
        },
        Some("RESPONSE" | "UPDATE") | None if tag.is_none() => Ok(Channel::Standard),
        _ => Err(Refusal::parameter("messaging_type and tag do not fit")),
    }
}

fn sent_message(
    channel: Channel,
    content: &Content,
    body: Map<String, Value>,
    at: i64,
    mid: String,
) -> SentMessage {
    SentMessage {
        channel,
        kind: content.kind.clone(),
        text: content.text.clone(),
        links: content.links.clone(),
        body: Value::Object(body),
        at,
        mid,
        tracking_id: None,
        campaign_id: None,
        token: None,
        metadata: content.metadata.clone(),
        delivered_at: None,
        read_at: None,
    }
}

/// Ids may come as text or number.
pub(super) fn text_of(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
