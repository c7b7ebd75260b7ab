//! From the merchant's words to what goes out: names filled in, every link ours.

use super::content::{Body, Button, Card, Content, MediaKind, Message, urls_in};
use super::limits;
use super::policy::Channel;
use crate::links;
use crate::meta::{self, Outgoing};
use crate::store::ids::MessageKey;
use crate::store::sealed::Keys;

/// A person's names, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
}

/// Where our links stand.
pub(super) struct Linker<'a> {
    pub(super) keys: &'a Keys,
    pub(super) public_url: &'a str,
}

/// The message for one person, on one channel. `Err` says in words why it cannot be said.
pub(super) fn render(
    content: &Content,
    message: MessageKey,
    names: &Names,
    channel: Channel,
    linker: &Linker<'_>,
) -> Result<Outgoing, String> {
    let message_body = match &content.body {
        Body::Message(body) => body,
        Body::OptInCard {
            title,
            cta,
            payload,
        } => {
            return Ok(Outgoing::OptInCard {
                title: title.clone(),
                image_url: None,
                cta: cta.clone(),
                payload: payload.clone(),
            });
        }
    };
    let mut renderer = Renderer {
        message,
        names,
        channel,
        linker,
        next_link: 0,
    };
    renderer.message(message_body)
}

struct Renderer<'a> {
    message: MessageKey,
    names: &'a Names,
    channel: Channel,
    linker: &'a Linker<'a>,
    next_link: u8,
}

impl Renderer<'_> {
    fn message(&mut self, message: &Message) -> Result<Outgoing, String> {
        Ok(match message {
            Message::Text {
                text,
                buttons,
                quick_replies,
            } => {
                let text = self.running_text(text);
                if text.chars().count() > limits::TEXT {
                    return Err(
                        "With names and links filled in, the text is longer than Meta's \
                                640 characters. Shorten it."
                            .to_owned(),
                    );
                }
                Outgoing::Text {
                    text,
                    buttons: self.buttons(buttons),
                    quick_replies: quick_replies
                        .iter()
                        .map(|reply| meta::QuickReply {
                            title: reply.title.clone(),
                            payload: reply.payload.clone().unwrap_or_else(|| reply.title.clone()),
                        })
                        .collect(),
                }
            }
            Message::Cards { text, cards } => Outgoing::Cards {
                greeting: text.as_deref().map(|text| self.running_text(text)),
                cards: cards.iter().map(|card| self.card(card)).collect(),
            },
            Message::Media {
                media,
                url,
                buttons,
            } => Outgoing::Media {
                video: *media == MediaKind::Video,
                url: url.clone(),
                buttons: self.buttons(buttons),
            },
            Message::Coupon {
                title,
                code,
                url: _,
            } => Outgoing::Coupon {
                title: self.fill(title, true),
                code: code.clone(),
                url: self.link(),
            },
        })
    }

    /// Fills names, then puts our links in the place of the addresses.
    fn running_text(&mut self, text: &str) -> String {
        let greeting_at_meta = self.channel == Channel::MarketingMessage;
        let mut out = String::with_capacity(text.len() + 64);
        let mut rest = text;
        for url in urls_in(text) {
            if let Some((before, after)) = rest.split_once(url) {
                out.push_str(before);
                out.push_str(&self.link());
                rest = after;
            }
        }
        out.push_str(rest);
        self.fill(&out, greeting_at_meta)
    }

    fn card(&mut self, card: &Card) -> meta::Card {
        meta::Card {
            title: self.fill(&card.title, true),
            subtitle: card.subtitle.as_deref().map(|text| self.fill(text, true)),
            image_url: card.image_url.clone(),
            buttons: self.buttons(&card.buttons),
        }
    }

    fn buttons(&mut self, buttons: &[Button]) -> Vec<meta::Button> {
        buttons
            .iter()
            .map(|button| match button {
                Button::Url { title, .. } => meta::Button::Url {
                    title: title.clone(),
                    url: self.link(),
                },
                Button::Postback { title, payload } => meta::Button::Postback {
                    title: title.clone(),
                    payload: payload.clone(),
                },
            })
            .collect()
    }

    fn link(&mut self) -> String {
        let code = links::code(self.linker.keys, self.message, self.next_link);
        self.next_link = self.next_link.saturating_add(1);
        format!("{}/c/{code}", self.linker.public_url)
    }

    /// Fills `{{first_name}}`, `{{last_name}}`, `{{full_name}}`, each with an optional
    /// `|default`. What we do not know, Meta may (`meta_fills`: the paid channel's titles,
    /// subtitles and greetings); else the gap closes.
    fn fill(&self, text: &str, meta_fills: bool) -> String {
        let meta_fills = meta_fills && self.channel == Channel::MarketingMessage;
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            out.push_str(before);
            let Some((inner, tail)) = after.split_once("}}") else {
                out.push_str("{{");
                rest = after;
                continue;
            };
            rest = tail;
            let (name, default) = match inner.split_once('|') {
                Some((name, default)) => (name.trim(), Some(default.trim())),
                None => (inner.trim(), None),
            };
            match (self.name(name), default) {
                (Some(value), _) => out.push_str(&value),
                (None, Some(default)) => out.push_str(default),
                (None, None) if meta_fills && is_name(name) => {
                    out.push_str("{{");
                    out.push_str(name);
                    out.push_str("}}");
                }
                (None, None) => close_gap(&mut out, &mut rest),
            }
        }
        out.push_str(rest);
        out
    }

    fn name(&self, name: &str) -> Option<String> {
        let known = |part: &Option<String>| {
            part.as_deref()
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        match name {
            "first_name" => known(&self.names.first),
            "last_name" => known(&self.names.last),
            "full_name" => match (known(&self.names.first), known(&self.names.last)) {
                (Some(first), Some(last)) => Some(format!("{first} {last}")),
                (first, last) => first.or(last),
            },
            _ => None,
        }
    }
}

fn is_name(name: &str) -> bool {
    matches!(name, "first_name" | "last_name" | "full_name")
}

/// `Hi {{first_name}}, look` without a name is `Hi, look`; `{{first_name}}, look` is `look`.
fn close_gap(out: &mut String, rest: &mut &str) {
    let at_start = out.is_empty() || out.ends_with('\n');
    if at_start {
        *rest = rest.trim_start_matches([',', '!', ':', ' ']);
    } else if out.ends_with(' ')
        && rest
            .chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || c.is_ascii_punctuation())
    {
        out.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::links::Tags;
    use crate::store::ids::{OriginId, SubscriberId};

    fn text(text: &str, first: Option<&str>, channel: Channel) -> String {
        let keys = Keys::new(&[[1; 32]]);
        let content = Content {
            body: Body::Message(Message::Text {
                text: text.to_owned(),
                buttons: vec![Button::Url {
                    title: "Go".into(),
                    url: "https://b.example".into(),
                }],
                quick_replies: vec![],
            }),
            tags: Tags::default(),
        };
        let key = MessageKey {
            origin: OriginId(7),
            subscriber: SubscriberId(9),
        };
        let names = Names {
            first: first.map(str::to_owned),
            last: None,
        };
        let linker = Linker {
            keys: &keys,
            public_url: "https://p.example",
        };
        match render(&content, key, &names, channel, &linker).unwrap() {
            Outgoing::Text { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_name_is_filled_and_a_missing_one_leaves_no_hole() {
        use Channel::{MarketingMessage, Standard};
        assert_eq!(
            text("Hi {{first_name}}, look", Some("Ana"), Standard),
            "Hi Ana, look"
        );
        assert_eq!(text("Hi {{first_name}}, look", None, Standard), "Hi, look");
        assert_eq!(text("{{first_name}}, look", None, Standard), "look");
        assert_eq!(
            text("Hi {{ first_name|there }}!", None, Standard),
            "Hi there!"
        );
        assert_eq!(
            text("Hi {{first_name}}, look", None, MarketingMessage),
            "Hi {{first_name}}, look"
        );
        assert_eq!(text("100% {{ open", None, Standard), "100% {{ open");
    }

    #[test]
    fn addresses_in_the_text_become_ours() {
        let out = text("See https://a.example/x. Bye", None, Channel::Standard);
        assert!(out.starts_with("See https://p.example/c/"), "{out}");
        assert!(out.ends_with(". Bye"), "{out}");
        assert!(!out.contains("a.example"));
    }
}
