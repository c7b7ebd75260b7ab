//! What a message says: the shapes of design section 7. Their limits stand in `limits`.

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

/// What a message row carries: the merchant's message or our opt-in card, and the tags of its
/// links.
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
    /// The addresses a person can follow, in order: link number = position. First those in the
    /// running text, then the buttons'. Pictures are not links.
    pub fn urls(&self) -> Vec<&str> {
        match self {
            Self::Text { text, buttons, .. } => urls_in(text).chain(button_urls(buttons)).collect(),
            Self::Cards { text, cards } => text
                .iter()
                .flat_map(|text| urls_in(text))
                .chain(cards.iter().flat_map(|card| button_urls(&card.buttons)))
                .collect(),
            Self::Media { buttons, .. } => button_urls(buttons).collect(),
            Self::Coupon { url, .. } => vec![url],
        }
    }
}

fn button_urls(buttons: &[Button]) -> impl Iterator<Item = &str> {
    buttons.iter().filter_map(|button| match button {
        Button::Url { url, .. } => Some(url.as_str()),
        Button::Postback { .. } => None,
    })
}

/// The addresses in running text, without the punctuation that ends a sentence.
pub fn urls_in(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = [rest.find("https://"), rest.find("http://")]
            .into_iter()
            .flatten()
            .min()?;
        let from = &rest[start..];
        let end = from
            .find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '{'))
            .unwrap_or(from.len());
        let url = from[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        rest = &from[end.max(1)..];
        Some(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_numbered_in_the_order_they_are_read() {
        let message: Message = serde_json::from_str(
            r#"{"kind":"text","text":"Look (https://a.example/x), or http://b.example.",
                "buttons":[{"kind":"postback","title":"No","payload":"n"},
                           {"kind":"url","title":"Go","url":"https://c.example"}]}"#,
        )
        .unwrap();
        assert_eq!(
            message.urls(),
            [
                "https://a.example/x",
                "http://b.example",
                "https://c.example"
            ]
        );
    }

    #[test]
    fn content_survives_its_column() {
        let content = Content {
            body: Body::Message(Message::Coupon {
                title: "Ten off".into(),
                code: "SAVE10".into(),
                url: "https://shop.example".into(),
            }),
            tags: Tags {
                utm: vec![("utm_source".into(), "pagecast".into())],
            },
        };
        let text = serde_json::to_string(&content).unwrap();
        assert_eq!(serde_json::from_str::<Content>(&text).unwrap(), content);
    }
}
