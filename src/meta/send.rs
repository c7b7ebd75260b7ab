//! Messages on the wire: the standard channel (`POST /{page}/messages`) and the paid one
//! (`POST act_{ad}/messages`).

use super::Usage;

/// A message ready to go: texts are rendered, links are ours already.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// Text, with up to three buttons (a button template when there are any).
    Text {
        text: String,
        buttons: Vec<Button>,
        quick_replies: Vec<QuickReply>,
    },
    /// A generic template of 1 to 10 cards. `greeting` is the marketing channel's payload `text`;
    /// on the standard channel the caller sends none (it has no such field).
    Cards {
        greeting: Option<String>,
        cards: Vec<Card>,
    },
    /// An image or a video by address, with buttons (a generic template when there are buttons
    /// and it is an image, else an attachment).
    Media {
        video: bool,
        url: String,
        buttons: Vec<Button>,
    },
    /// A coupon template.
    Coupon {
        title: String,
        code: String,
        url: String,
    },
    /// The opt-in card (template `notification_messages`).
    OptInCard {
        title: String,
        image_url: Option<String>,
        cta: String,
        payload: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Button {
    Url { title: String, url: String },
    Postback { title: String, payload: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuickReply {
    pub title: String,
    pub payload: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    pub title: String,
    pub subtitle: Option<String>,
    pub image_url: Option<String>,
    pub buttons: Vec<Button>,
}

/// What Meta says once it took a message.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// The standard channel's message id.
    pub mid: Option<String>,
    /// The paid channel's `marketing_message_tracking_id`.
    pub tracking_id: Option<String>,
    pub usage: Usage,
}
