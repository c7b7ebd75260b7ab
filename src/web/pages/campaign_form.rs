//! The editor's form: what was typed, as typed, so that nothing is lost when something has to be
//! mended; and its way to a draft and back.

use super::fields::Fields;
use crate::campaigns::{Audience, Campaign, Condition, Draft};
use crate::delivery::Message;
use crate::delivery::content::{Button, Card, MediaKind, QuickReply};
use crate::delivery::limits::{BUTTONS, CARDS, QUICK_REPLIES};

/// At most so many conditions are read from a form.
const CONDITIONS: usize = 20;

/// The parameters that have a field of their own.
pub(super) const UTM: [&str; 5] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
];

#[derive(Clone, Debug, Default)]
pub(super) struct CampaignForm {
    pub name: String,
    /// text, cards, media or coupon. What was typed for another kind is kept beside it.
    pub kind: String,
    pub text: String,
    pub buttons: Vec<ButtonSlot>,
    pub quick_replies: Vec<ReplySlot>,
    pub greeting: String,
    pub cards: Vec<CardSlot>,
    pub media: String,
    pub media_url: String,
    pub media_buttons: Vec<ButtonSlot>,
    pub coupon_title: String,
    pub coupon_code: String,
    pub coupon_url: String,
    /// How much is off and until which day, for a code that is to be made; kept nowhere.
    pub coupon_percent: String,
    pub coupon_until: String,
    pub include: Vec<ConditionSlot>,
    pub exclude: Vec<ConditionSlot>,
    pub channel: String,
    pub holdout: String,
    /// Key and value; those of [`UTM`] first, then what else the campaign has.
    pub utm: Vec<(String, String)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ButtonSlot {
    pub title: String,
    /// url or postback.
    pub kind: String,
    pub value: String,
}

/// A payload has no field to type in, but one that the API gave is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct ReplySlot {
    pub title: String,
    pub payload: String,
}

#[derive(Clone, Debug, Default)]
pub(super) struct CardSlot {
    pub title: String,
    pub subtitle: String,
    pub image: String,
    pub buttons: Vec<ButtonSlot>,
}

/// `kind` may carry the id of a known segment or list: `klaviyo_segment:ABC`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ConditionSlot {
    pub kind: String,
    pub value: String,
}

impl CampaignForm {
    /// A new campaign: a text to everyone.
    pub(super) fn new() -> Self {
        Self {
            kind: "text".to_owned(),
            media: "image".to_owned(),
            channel: "auto".to_owned(),
            include: vec![ConditionSlot {
                kind: "everyone".to_owned(),
                value: String::new(),
            }],
            utm: UTM.map(|key| (key.to_owned(), String::new())).to_vec(),
            ..Self::default()
        }
    }

    /// What was sent; empty rows are left out, so that the position of a row is its position in
    /// the message and an error finds its field.
    pub(super) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).to_owned();
        let mut form = Self {
            name: text("name"),
            kind: one_of(fields.get("kind"), &["text", "cards", "media", "coupon"]),
            text: text("text"),
            buttons: read_buttons(fields, "b"),
            quick_replies: (0..QUICK_REPLIES)
                .map(|i| ReplySlot {
                    title: text(&format!("q{i}")),
                    payload: text(&format!("q{i}_payload")),
                })
                .filter(|reply| !reply.title.is_empty())
                .collect(),
            greeting: text("greeting"),
            cards: (0..CARDS)
                .map(|i| CardSlot {
                    title: text(&format!("c{i}_title")),
                    subtitle: text(&format!("c{i}_subtitle")),
                    image: text(&format!("c{i}_image")),
                    buttons: read_buttons(fields, &format!("c{i}b")),
                })
                .filter(|card| !card.is_empty())
                .collect(),
            media: one_of(fields.get("media"), &["image", "video"]),
            media_url: text("media_url"),
            media_buttons: read_buttons(fields, "m"),
            coupon_title: text("coupon_title"),
            coupon_code: text("coupon_code"),
            coupon_url: text("coupon_url"),
            coupon_percent: text("coupon_percent"),
            coupon_until: text("coupon_until"),
            include: read_conditions(fields, "include"),
            exclude: read_conditions(fields, "exclude"),
            channel: one_of(
                fields.get("channel"),
                &["auto", "marketing_message", "standard"],
            ),
            holdout: text("holdout"),
            utm: UTM
                .iter()
                .map(|key| ((*key).to_owned(), text(key)))
                .collect(),
        };
        for (key, value) in fields.iter() {
            if key.starts_with("utm_") && !UTM.contains(&key) && !value.trim().is_empty() {
                form.utm.push((key.to_owned(), value.trim().to_owned()));
            }
        }
        form
    }

    /// A stored campaign.
    pub(super) fn of(campaign: &Campaign) -> Self {
        let mut form = Self {
            name: campaign.name.clone(),
            channel: campaign.channel.clone(),
            include: slots_of(&campaign.audience.include),
            exclude: slots_of(&campaign.audience.exclude),
            holdout: match campaign.audience.holdout_percent {
                0 => String::new(),
                percent => percent.to_string(),
            },
            ..Self::new()
        };
        for (key, value) in &campaign.utm {
            let key = if key.starts_with("utm_") {
                key.clone()
            } else {
                format!("utm_{key}")
            };
            match form.utm.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) => known.clone_from(value),
                None => form.utm.push((key, value.clone())),
            }
        }
        match campaign.message.clone() {
            Message::Text {
                text,
                buttons,
                quick_replies,
            } => {
                form.text = text;
                form.buttons = buttons.into_iter().map(ButtonSlot::of).collect();
                form.quick_replies = quick_replies
                    .into_iter()
                    .map(|reply| ReplySlot {
                        title: reply.title,
                        payload: reply.payload.unwrap_or_default(),
                    })
                    .collect();
            }
            Message::Cards { text, cards } => {
                "cards".clone_into(&mut form.kind);
                form.greeting = text.unwrap_or_default();
                form.cards = cards.into_iter().map(CardSlot::of).collect();
            }
            Message::Media {
                media,
                url,
                buttons,
            } => {
                "media".clone_into(&mut form.kind);
                let name = match media {
                    MediaKind::Image => "image",
                    MediaKind::Video => "video",
                };
                name.clone_into(&mut form.media);
                form.media_url = url;
                form.media_buttons = buttons.into_iter().map(ButtonSlot::of).collect();
            }
            Message::Coupon { title, code, url } => {
                "coupon".clone_into(&mut form.kind);
                form.coupon_title = title;
                form.coupon_code = code;
                form.coupon_url = url;
            }
        }
        form
    }

    /// What is to be stored; the campaign's own check says what has to be mended.
    pub(super) fn draft(&self) -> Draft {
        Draft {
            name: self.name.clone(),
            message: self.message(),
            audience: self.audience(),
            channel: self.channel.clone(),
            utm: self
                .utm
                .iter()
                .filter(|(_, value)| !value.is_empty())
                .cloned()
                .collect(),
        }
    }

    fn message(&self) -> Message {
        let buttons = |slots: &[ButtonSlot]| slots.iter().map(ButtonSlot::button).collect();
        match self.kind.as_str() {
            "cards" => Message::Cards {
                text: given(&self.greeting),
                cards: self
                    .cards
                    .iter()
                    .map(|card| Card {
                        title: card.title.clone(),
                        subtitle: given(&card.subtitle),
                        image_url: given(&card.image),
                        buttons: buttons(&card.buttons),
                    })
                    .collect(),
            },
            "media" => Message::Media {
                media: if self.media == "video" {
                    MediaKind::Video
                } else {
                    MediaKind::Image
                },
                url: self.media_url.clone(),
                buttons: buttons(&self.media_buttons),
            },
            "coupon" => Message::Coupon {
                title: self.coupon_title.clone(),
                code: self.coupon_code.clone(),
                url: self.coupon_url.clone(),
            },
            _ => Message::Text {
                text: self.text.clone(),
                buttons: buttons(&self.buttons),
                quick_replies: self
                    .quick_replies
                    .iter()
                    .map(|reply| QuickReply {
                        title: reply.title.clone(),
                        payload: given(&reply.payload),
                    })
                    .collect(),
            },
        }
    }

    pub(super) fn audience(&self) -> Audience {
        let all = |slots: &[ConditionSlot]| slots.iter().map(ConditionSlot::condition).collect();
        Audience {
            include: all(&self.include),
            exclude: all(&self.exclude),
            holdout_percent: if self.holdout.is_empty() {
                0
            } else {
                // Not a number is refused as a number out of range is.
                self.holdout.parse().unwrap_or(-1)
            },
        }
    }

    /// Adds an empty row where there is room for one.
    pub(super) fn with_room(mut self) -> Self {
        let room = |slots: &mut Vec<ButtonSlot>| {
            if slots.len() < BUTTONS {
                slots.push(ButtonSlot::default());
            }
        };
        room(&mut self.buttons);
        room(&mut self.media_buttons);
        if self.cards.is_empty() {
            self.cards.push(CardSlot::default());
        }
        for card in &mut self.cards {
            room(&mut card.buttons);
        }
        if self.quick_replies.len() < QUICK_REPLIES {
            self.quick_replies.push(ReplySlot::default());
        }
        for conditions in [&mut self.include, &mut self.exclude] {
            if conditions.len() < CONDITIONS {
                conditions.push(ConditionSlot::default());
            }
        }
        self
    }

    /// Another card, after [`Self::with_room`] gave the first.
    pub(super) fn with_another_card(mut self) -> Self {
        if self.cards.len() < CARDS && self.cards.last().is_none_or(|card| !card.is_empty()) {
            self.cards.push(CardSlot {
                buttons: vec![ButtonSlot::default()],
                ..CardSlot::default()
            });
        }
        self
    }

    /// A card with this on it, in the first place that is free; `None` when there is no room.
    pub(super) fn with_card(mut self, card: CardSlot) -> Option<Self> {
        "cards".clone_into(&mut self.kind);
        self.cards.retain(|known| !known.is_empty());
        if self.cards.len() >= CARDS {
            return None;
        }
        self.cards.push(card);
        Some(self)
    }
}

impl ButtonSlot {
    fn of(button: Button) -> Self {
        match button {
            Button::Url { title, url } => Self {
                title,
                kind: "url".to_owned(),
                value: url,
            },
            Button::Postback { title, payload } => Self {
                title,
                kind: "postback".to_owned(),
                value: payload,
            },
        }
    }

    fn button(&self) -> Button {
        let title = self.title.clone();
        if self.kind == "postback" {
            let payload = given(&self.value).unwrap_or_else(|| title.clone());
            Button::Postback { title, payload }
        } else {
            Button::Url {
                title,
                url: self.value.clone(),
            }
        }
    }

    /// What the value is called in the message.
    pub(super) fn value_field(&self) -> &'static str {
        if self.is_postback() { "payload" } else { "url" }
    }

    pub(super) fn is_postback(&self) -> bool {
        self.kind == "postback"
    }
}

impl CardSlot {
    fn of(card: Card) -> Self {
        Self {
            title: card.title,
            subtitle: card.subtitle.unwrap_or_default(),
            image: card.image_url.unwrap_or_default(),
            buttons: card.buttons.into_iter().map(ButtonSlot::of).collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.title.is_empty()
            && self.subtitle.is_empty()
            && self.image.is_empty()
            && self
                .buttons
                .iter()
                .all(|button| button.title.is_empty() && button.value.is_empty())
    }
}

impl ConditionSlot {
    fn of(condition: &Condition) -> Self {
        let (kind, value) = match condition {
            Condition::Everyone {} => ("everyone".to_owned(), String::new()),
            Condition::Tag { tag } => ("tag".to_owned(), tag.clone()),
            Condition::KlaviyoSegment { segment_id } => {
                (format!("klaviyo_segment:{segment_id}"), String::new())
            }
            Condition::KlaviyoList { list_id } => {
                (format!("klaviyo_list:{list_id}"), String::new())
            }
            Condition::Ordered { days } => ("ordered".to_owned(), days.to_string()),
            Condition::NotOrdered { days } => ("not_ordered".to_owned(), days.to_string()),
            Condition::Clicked { days } => ("clicked".to_owned(), days.to_string()),
            Condition::Source { source } => ("source".to_owned(), source.clone()),
        };
        Self { kind, value }
    }

    fn condition(&self) -> Condition {
        let value = self.value.clone();
        // Not a number is refused as a number out of range is.
        let days = value.parse().unwrap_or(-1);
        let (kind, id) = match self.kind.split_once(':') {
            Some((kind, id)) => (kind, id.to_owned()),
            None => (self.kind.as_str(), value.clone()),
        };
        match kind {
            "tag" => Condition::Tag { tag: value },
            "klaviyo_segment" => Condition::KlaviyoSegment { segment_id: id },
            "klaviyo_list" => Condition::KlaviyoList { list_id: id },
            "ordered" => Condition::Ordered { days },
            "not_ordered" => Condition::NotOrdered { days },
            "clicked" => Condition::Clicked { days },
            "source" => Condition::Source { source: value },
            _ => Condition::Everyone {},
        }
    }
}

fn slots_of(conditions: &[Condition]) -> Vec<ConditionSlot> {
    conditions.iter().map(ConditionSlot::of).collect()
}

fn read_buttons(fields: &Fields, prefix: &str) -> Vec<ButtonSlot> {
    (0..BUTTONS)
        .map(|i| ButtonSlot {
            title: fields.get(&format!("{prefix}{i}_title")).to_owned(),
            kind: one_of(
                fields.get(&format!("{prefix}{i}_kind")),
                &["url", "postback"],
            ),
            value: fields.get(&format!("{prefix}{i}_value")).to_owned(),
        })
        .filter(|slot| !(slot.title.is_empty() && slot.value.is_empty()))
        .collect()
}

fn read_conditions(fields: &Fields, list: &str) -> Vec<ConditionSlot> {
    (0..CONDITIONS)
        .map(|i| ConditionSlot {
            kind: fields.get(&format!("{list}{i}_kind")).to_owned(),
            value: fields.get(&format!("{list}{i}_value")).to_owned(),
        })
        .filter(|slot| !slot.kind.is_empty())
        .collect()
}

/// The value if it is one of these, else the first of them.
fn one_of(value: &str, known: &[&str]) -> String {
    let known_value = known.iter().find(|known| **known == value);
    known_value
        .or(known.first())
        .map_or_else(String::new, |value| (*value).to_owned())
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
#[path = "campaign_form_tests.rs"]
mod tests;
