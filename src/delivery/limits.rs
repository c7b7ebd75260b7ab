//! Meta's limits on content (facts/meta.md section 3), each named by its field.

use url::Url;

use super::content::{Button, Card, Message, QuickReply};

/// Characters of running text, greeting included.
pub const TEXT: usize = 640;
/// Characters of a card's title and of its subtitle.
pub const CARD_TEXT: usize = 80;
/// Characters of a button's and a quick reply's title.
pub const BUTTON_TITLE: usize = 20;
pub const BUTTONS: usize = 3;
pub const CARDS: usize = 10;
pub const QUICK_REPLIES: usize = 13;
/// Characters of an address or a payload that we keep.
const LONG: usize = 2_000;
const COUPON_CODE: usize = 50;

/// Something in a message that Meta would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer into the message, as `/cards/0/title`.
    pub pointer: String,
    /// A sentence that says what to do.
    pub detail: String,
}

impl Message {
    /// Every limit of Meta that this message breaks, each with its field. Empty = fine.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Found(Vec::new());
        match self {
            Self::Text {
                text,
                buttons,
                quick_replies,
            } => {
                found.text("/text", text, TEXT, "text");
                found.buttons("/buttons", buttons);
                found.quick_replies(quick_replies);
            }
            Self::Cards { text, cards } => {
                if let Some(text) = text {
                    found.text("/text", text, TEXT, "greeting");
                }
                found.count("/cards", cards.len(), 1, CARDS, "cards");
                for (i, card) in cards.iter().enumerate() {
                    found.card(&format!("/cards/{i}"), card);
                }
            }
            Self::Media { url, buttons, .. } => {
                found.address("/url", url);
                found.buttons("/buttons", buttons);
            }
            Self::Coupon { title, code, url } => {
                found.text("/title", title, CARD_TEXT, "title");
                found.text("/code", code, COUPON_CODE, "code");
                found.address("/url", url);
            }
        }
        found.0
    }

    /// Placeholders other than a person's names, with their field: a broadcast cannot fill them.
    pub fn foreign_placeholders(&self) -> Vec<Problem> {
        let mut found = Found(Vec::new());
        let mut look = |pointer: String, text: &str| {
            for name in placeholders(text) {
                if !["first_name", "last_name", "full_name"].contains(&name) {
                    found.add(
                        &pointer,
                        &format!("{{{{{name}}}}} cannot be filled here. Use {{{{first_name}}}}, {{{{last_name}}}} or {{{{full_name}}}}."),
                    );
                }
            }
        };
        match self {
            Self::Text { text, .. } => look("/text".into(), text),
            Self::Cards { text, cards } => {
                if let Some(text) = text {
                    look("/text".into(), text);
                }
                for (i, card) in cards.iter().enumerate() {
                    look(format!("/cards/{i}/title"), &card.title);
                    if let Some(subtitle) = &card.subtitle {
                        look(format!("/cards/{i}/subtitle"), subtitle);
                    }
                }
            }
            Self::Coupon { title, .. } => look("/title".into(), title),
            Self::Media { .. } => {}
        }
        found.0
    }
}

/// The names inside `{{…}}`, without their defaults.
pub fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|part| {
        let (inner, _) = part.split_once("}}")?;
        Some(inner.split('|').next().unwrap_or(inner).trim())
    })
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, pointer: &str, detail: &str) {
        self.0.push(Problem {
            pointer: pointer.to_owned(),
            detail: detail.to_owned(),
        });
    }

    fn text(&mut self, pointer: &str, text: &str, max: usize, what: &str) {
        let length = text.chars().count();
        if text.trim().is_empty() {
            self.add(pointer, &format!("Write the {what}."));
        } else if length > max {
            self.add(
                pointer,
                &format!("Shorten the {what} to {max} characters; it has {length}."),
            );
        }
    }

    fn count(&mut self, pointer: &str, n: usize, min: usize, max: usize, what: &str) {
        if n < min {
            self.add(pointer, &format!("Add at least {min} of the {what}."));
        } else if n > max {
            self.add(
                pointer,
                &format!("Use at most {max} {what}; there are {n}."),
            );
        }
    }

    fn address(&mut self, pointer: &str, text: &str) {
        let url = Url::parse(text).ok().filter(Url::has_host);
        match url {
            _ if text.trim().is_empty() => self.add(pointer, "Enter the address, with https://."),
            _ if text.contains("{{") => {
                self.add(pointer, "Placeholders cannot stand in an address.");
            }
            _ if text.len() > LONG => {
                self.add(
                    pointer,
                    &format!("Shorten the address to {LONG} characters."),
                );
            }
            Some(url) if matches!(url.scheme(), "https" | "http") => {
                if !url.username().is_empty() || url.password().is_some() {
                    self.add(
                        pointer,
                        "Leave the user name and password out of the address.",
                    );
                }
            }
            _ => self.add(pointer, "Start the address with https://."),
        }
    }

    fn buttons(&mut self, pointer: &str, buttons: &[Button]) {
        self.count(pointer, buttons.len(), 0, BUTTONS, "buttons");
        for (i, button) in buttons.iter().enumerate() {
            let title_at = format!("{pointer}/{i}/title");
            let (title, value_at) = match button {
                Button::Url { title, url } => {
                    self.address(&format!("{pointer}/{i}/url"), url);
                    (title, None)
                }
                Button::Postback { title, payload } => {
                    (title, Some((format!("{pointer}/{i}/payload"), payload)))
                }
            };
            self.text(&title_at, title, BUTTON_TITLE, "button title");
            if title.contains("{{") {
                self.add(&title_at, "Placeholders cannot stand on a button.");
            }
            if let Some((at, payload)) = value_at {
                self.text(&at, payload, 1_000, "payload");
            }
        }
    }

    fn quick_replies(&mut self, replies: &[QuickReply]) {
        self.count(
            "/quick_replies",
            replies.len(),
            0,
            QUICK_REPLIES,
            "quick replies",
        );
        for (i, reply) in replies.iter().enumerate() {
            self.text(
                &format!("/quick_replies/{i}/title"),
                &reply.title,
                BUTTON_TITLE,
                "title",
            );
            if let Some(payload) = &reply.payload {
                self.text(
                    &format!("/quick_replies/{i}/payload"),
                    payload,
                    1_000,
                    "payload",
                );
            }
        }
    }

    fn card(&mut self, pointer: &str, card: &Card) {
        self.text(&format!("{pointer}/title"), &card.title, CARD_TEXT, "title");
        if let Some(subtitle) = &card.subtitle {
            self.text(
                &format!("{pointer}/subtitle"),
                subtitle,
                CARD_TEXT,
                "subtitle",
            );
        }
        if let Some(image) = &card.image_url {
            self.address(&format!("{pointer}/image_url"), image);
        }
        self.buttons(&format!("{pointer}/buttons"), &card.buttons);
        if card.subtitle.is_none() && card.image_url.is_none() && card.buttons.is_empty() {
            self.add(
                pointer,
                "A card needs a subtitle, a picture or a button beside its title.",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(json: serde_json::Value) -> Vec<String> {
        let message: Message = serde_json::from_value(json).unwrap();
        message.problems().into_iter().map(|p| p.pointer).collect()
    }

    #[test]
    fn every_limit_names_its_field() {
        let button = serde_json::json!({"kind":"url","title":"x".repeat(21),"url":"shop.example"});
        assert_eq!(
            pointers(serde_json::json!({"kind":"text","text":"x".repeat(641),
                "buttons":[button, button, button, button],
                "quick_replies":[{"title":""}]})),
            [
                "/text",
                "/buttons",
                "/buttons/0/url",
                "/buttons/0/title",
                "/buttons/1/url",
                "/buttons/1/title",
                "/buttons/2/url",
                "/buttons/2/title",
                "/buttons/3/url",
                "/buttons/3/title",
                "/quick_replies/0/title"
            ]
        );
        assert_eq!(
            pointers(serde_json::json!({"kind":"cards","text":"","cards":[
                {"title":"x".repeat(81),"subtitle":"y".repeat(81),"image_url":"ftp://x/y.png"},
                {"title":"alone"}]})),
            [
                "/text",
                "/cards/0/title",
                "/cards/0/subtitle",
                "/cards/0/image_url",
                "/cards/1"
            ]
        );
        assert_eq!(
            pointers(serde_json::json!({"kind":"cards","cards":[]})),
            ["/cards"]
        );
        assert_eq!(
            pointers(
                serde_json::json!({"kind":"coupon","title":"","code":"","url":"https://u:p@x.example"})
            ),
            ["/title", "/code", "/url"]
        );
        assert_eq!(
            pointers(serde_json::json!({"kind":"media","media":"video","url":"v.mp4"})),
            ["/url"]
        );
    }

    #[test]
    fn what_stands_at_the_limit_is_fine() {
        assert!(
            pointers(serde_json::json!({"kind":"text","text":"é".repeat(640),
                "buttons":[{"kind":"url","title":"x".repeat(20),"url":"https://x.example/?a=1"}]}))
            .is_empty()
        );
    }

    #[test]
    fn a_broadcast_fills_names_only() {
        let message: Message = serde_json::from_value(
            serde_json::json!({"kind":"text","text":"Hi {{ first_name|there }}, {{event.product}}"}),
        )
        .unwrap();
        let found = message.foreign_placeholders();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].pointer, "/text");
    }
}
