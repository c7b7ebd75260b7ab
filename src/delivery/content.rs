//! What a message says: the shapes of design section 7, and Meta's limits for them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::links::Tags;

/// A message as the merchant wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Message {
    /// Text with up to three buttons or thirteen quick replies.
    Text {
        text: String,
        #[serde(default)]
        buttons: Vec<Button>,
        #[serde(default)]
        quick_replies: Vec<QuickReply>,
    },
    /// 1 to 10 cards, with an optional greeting before them.
    Cards {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        cards: Vec<Card>,
    },
    /// An image or a video by address.
    Media {
        media: MediaKind,
        url: String,
        #[serde(default)]
        buttons: Vec<Button>,
    },
    /// A discount code with the page where it is used.
    Coupon {
        title: String,
        code: String,
        url: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    Image,
    Video,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Button {
    Url { title: String, url: String },
    Postback { title: String, payload: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuickReply {
    pub title: String,
    /// What comes back when it is tapped; the title when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Card {
    pub title: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subtitle: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<String>,
    #[serde(default)]
    pub buttons: Vec<Button>,
}

/// Something in a message that Meta would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the message, as `/cards/0/title`.
    pub pointer: String,
    /// A sentence that says what to do.
    pub detail: String,
}

/// What a message row carries: the merchant's message or our opt-in card, and the tags of its links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Content {
    #[serde(flatten)]
    pub body: Body,
    #[serde(default)]
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    Message(Message),
    /// Meta's opt-in card; `payload` comes back when it is accepted.
    OptInCard {
        title: String,
        cta: String,
        payload: String,
    },
}

impl Message {
    /// Every limit of Meta that this message breaks, each with its field. Empty = fine.
    pub fn problems(&self) -> Vec<Problem> {
        unimplemented!()
    }

    /// The addresses in it, in order: link number = position.
    pub fn urls(&self) -> Vec<&str> {
        unimplemented!()
    }
}
