//! The JSON of a message on either channel, borrowed from the [`Outgoing`] so that a send clones
//! nothing.

use serde::Serialize;

use super::send::{Button, Card, Outgoing, QuickReply};

/// The title that a card of only an image gets: Meta wants one, and this needs no language.
const IMAGE_TITLE: &str = "\u{1f4f7}";
/// The words on a coupon's link.
const COUPON_BUTTON: &str = "Shop now";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Channel {
    Standard,
    Marketing,
}

/// The `message` of a call.
#[derive(Debug, Default, Serialize)]
pub(super) struct Wire<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<Attachment<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quick_replies: Vec<QuickReplyWire<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Attachment<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    payload: Payload<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Payload<'a> {
    File { url: &'a str, is_reusable: bool },
    Template(Template<'a>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "template_type", rename_all = "snake_case")]
enum Template<'a> {
    Button {
        text: &'a str,
        buttons: Vec<ButtonWire<'a>>,
    },
    Generic {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        elements: Vec<Element<'a>>,
    },
    Media {
        elements: [MediaElement<'a>; 1],
    },
    Coupon {
        title: &'a str,
        coupon_code: &'a str,
        coupon_url: &'a str,
        coupon_url_button_title: &'static str,
    },
    NotificationMessages {
        title: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        image_url: Option<&'a str>,
        notification_messages_cta_text: &'a str,
        payload: &'a str,
    },
}

#[derive(Debug, Serialize)]
struct Element<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtitle: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buttons: Vec<ButtonWire<'a>>,
}

#[derive(Debug, Serialize)]
struct MediaElement<'a> {
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buttons: Vec<ButtonWire<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ButtonWire<'a> {
    WebUrl { title: &'a str, url: &'a str },
    Postback { title: &'a str, payload: &'a str },
}

#[derive(Debug, Serialize)]
struct QuickReplyWire<'a> {
    content_type: &'static str,
    title: &'a str,
    payload: &'a str,
}

impl<'a> Wire<'a> {
    /// # Errors
    /// A sentence when the channel has no form for this message.
    pub(super) fn new(
        message: &'a Outgoing,
        channel: Channel,
        metadata: Option<&'a str>,
    ) -> Result<Self, &'static str> {
        let mut wire = match message {
            Outgoing::Text {
                text,
                buttons,
                quick_replies,
            } => Self {
                quick_replies: quick_replies.iter().map(quick_reply).collect(),
                ..text_or_buttons(text, buttons)
            },
            Outgoing::Cards { greeting, cards } => Self::template(Template::Generic {
                text: greeting
                    .as_deref()
                    .filter(|_| channel == Channel::Marketing),
                elements: cards.iter().map(element).collect(),
            }),
            Outgoing::Media {
                video,
                url,
                buttons,
            } => media(*video, url, buttons, channel)?,
            Outgoing::Stored {
                video,
                attachment_id,
                buttons,
            } => Self::template(Template::Media {
                elements: [MediaElement {
                    media_type: kind(*video),
                    attachment_id: Some(attachment_id),
                    url: None,
                    buttons: buttons.iter().map(button).collect(),
                }],
            }),
            Outgoing::Coupon { title, code, url } => Self::template(Template::Coupon {
                title,
                coupon_code: code,
                coupon_url: url,
                coupon_url_button_title: COUPON_BUTTON,
            }),
            Outgoing::OptInCard {
                title,
                image_url,
                cta,
                payload,
            } => Self::template(Template::NotificationMessages {
                title,
                image_url: image_url.as_deref(),
                notification_messages_cta_text: cta,
                payload,
            }),
        };
        wire.metadata = metadata;
        Ok(wire)
    }

    pub(super) fn upload(video: bool, url: &'a str) -> Self {
        Self::attachment(
            kind(video),
            Payload::File {
                url,
                is_reusable: true,
            },
        )
    }

    fn template(template: Template<'a>) -> Self {
        Self::attachment("template", Payload::Template(template))
    }

    fn attachment(kind: &'static str, payload: Payload<'a>) -> Self {
        Self {
            attachment: Some(Attachment { kind, payload }),
            ..Self::default()
        }
    }
}

fn text_or_buttons<'a>(text: &'a str, buttons: &'a [Button]) -> Wire<'a> {
    if buttons.is_empty() {
        return Wire {
            text: Some(text),
            ..Wire::default()
        };
    }
    Wire::template(Template::Button {
        text,
        buttons: buttons.iter().map(button).collect(),
    })
}

fn media<'a>(
    video: bool,
    url: &'a str,
    buttons: &'a [Button],
    channel: Channel,
) -> Result<Wire<'a>, &'static str> {
    if is_on_facebook(url) {
        return Ok(Wire::template(Template::Media {
            elements: [MediaElement {
                media_type: kind(video),
                attachment_id: None,
                url: Some(url),
                buttons: buttons.iter().map(button).collect(),
            }],
        }));
    }
    if !video && (channel == Channel::Marketing || !buttons.is_empty()) {
        let title = match buttons.first() {
            Some(Button::Url { title, .. } | Button::Postback { title, .. }) => title,
            None => IMAGE_TITLE,
        };
        let buttons = buttons.iter().map(button).collect();
        let card = Element {
            title,
            subtitle: None,
            image_url: Some(url),
            buttons,
        };
        return Ok(Wire::template(Template::Generic {
            text: None,
            elements: vec![card],
        }));
    }
    if !buttons.is_empty() {
        return Err("a video with buttons has to be uploaded first");
    }
    if channel == Channel::Marketing {
        return Err("a video of the paid channel has to be uploaded first");
    }
    Ok(Wire::upload(video, url))
}

/// The media template takes addresses of facebook.com only.
fn is_on_facebook(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| {
        url.host_str()
            .is_some_and(|host| host == "facebook.com" || host.ends_with(".facebook.com"))
    })
}

fn kind(video: bool) -> &'static str {
    if video { "video" } else { "image" }
}

fn element(card: &Card) -> Element<'_> {
    Element {
        title: &card.title,
        subtitle: card.subtitle.as_deref(),
        image_url: card.image_url.as_deref(),
        buttons: card.buttons.iter().map(button).collect(),
    }
}

fn button(button: &Button) -> ButtonWire<'_> {
    match button {
        Button::Url { title, url } => ButtonWire::WebUrl { title, url },
        Button::Postback { title, payload } => ButtonWire::Postback { title, payload },
    }
}

fn quick_reply(reply: &QuickReply) -> QuickReplyWire<'_> {
    QuickReplyWire {
        content_type: "text",
        title: &reply.title,
        payload: &reply.payload,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shop() -> Vec<Button> {
        vec![Button::Url {
            title: "Shop".into(),
            url: "https://s.example/".into(),
        }]
    }

    fn said(message: &Outgoing, channel: Channel) -> Value {
        serde_json::to_value(Wire::new(message, channel, None).unwrap()).unwrap()
    }

    fn media(video: bool, url: &str, buttons: Vec<Button>) -> Outgoing {
        Outgoing::Media {
            video,
            url: url.into(),
            buttons,
        }
    }

    #[test]
    fn text_is_plain_without_buttons_and_a_button_template_with_them() {
        let mut message = Outgoing::Text {
            text: "Hi".into(),
            buttons: vec![],
            quick_replies: vec![],
        };
        let wire = Wire::new(&message, Channel::Standard, Some("m1")).unwrap();
        assert_eq!(
            serde_json::to_value(wire).unwrap(),
            json!({"text": "Hi", "metadata": "m1"})
        );
        if let Outgoing::Text {
            buttons,
            quick_replies,
            ..
        } = &mut message
        {
            *buttons = shop();
            quick_replies.push(QuickReply {
                title: "Stop".into(),
                payload: "STOP".into(),
            });
        }
        let template = json!({"template_type": "button", "text": "Hi", "buttons":
            [{"type": "web_url", "title": "Shop", "url": "https://s.example/"}]});
        let replies = json!([{"content_type": "text", "title": "Stop", "payload": "STOP"}]);
        let expected = json!({"attachment": {"type": "template", "payload": template},
            "quick_replies": replies});
        assert_eq!(said(&message, Channel::Marketing), expected);
    }

    #[test]
    fn only_the_paid_channel_says_the_greeting_over_the_cards() {
        let card = Card {
            title: "Mug".into(),
            subtitle: None,
            image_url: Some("https://s.example/m.png".into()),
            buttons: vec![Button::Postback {
                title: "More".into(),
                payload: "MORE".into(),
            }],
        };
        let message = Outgoing::Cards {
            greeting: Some("Hello".into()),
            cards: vec![card],
        };
        let element = json!({"title": "Mug", "image_url": "https://s.example/m.png", "buttons":
            [{"type": "postback", "title": "More", "payload": "MORE"}]});
        let payload = said(&message, Channel::Marketing)["attachment"]["payload"].take();
        let expected = json!({"template_type": "generic", "text": "Hello", "elements": [element]});
        assert_eq!(payload, expected);
        let payload = said(&message, Channel::Standard)["attachment"]["payload"].take();
        assert_eq!(
            payload,
            json!({"template_type": "generic", "elements": [element]})
        );
    }

    #[test]
    fn an_image_is_an_attachment_or_a_card_where_it_must_carry_more() {
        let bare = media(false, "https://s.example/i.png", vec![]);
        let file = json!({"attachment": {"type": "image",
            "payload": {"url": "https://s.example/i.png", "is_reusable": true}}});
        assert_eq!(said(&bare, Channel::Standard), file);
        let card = &said(&bare, Channel::Marketing)["attachment"]["payload"]["elements"][0];
        let expected = json!({"title": IMAGE_TITLE, "image_url": "https://s.example/i.png"});
        assert_eq!(*card, expected);
        let with_button = media(false, "https://s.example/i.png", shop());
        let card = &said(&with_button, Channel::Standard)["attachment"]["payload"]["elements"][0];
        assert_eq!(card["title"], "Shop");
    }

    #[test]
    fn a_video_that_no_template_takes_is_refused_rather_than_sent_without_its_buttons() {
        let elsewhere = media(true, "https://s.example/v.mp4", shop());
        assert!(Wire::new(&elsewhere, Channel::Standard, None).is_err());
        let bare = media(true, "https://s.example/v.mp4", vec![]);
        assert_eq!(
            said(&bare, Channel::Standard)["attachment"]["type"],
            "video"
        );
        assert!(Wire::new(&bare, Channel::Marketing, None).is_err());
        let lookalike = media(true, "https://facebook.com.evil.example/v", shop());
        assert!(Wire::new(&lookalike, Channel::Standard, None).is_err());
        let there = media(true, "https://www.facebook.com/p/videos/1", shop());
        let payload = &said(&there, Channel::Marketing)["attachment"]["payload"];
        assert_eq!(payload["template_type"], "media");
        assert_eq!(
            payload["elements"][0]["url"],
            "https://www.facebook.com/p/videos/1"
        );
        let stored = Outgoing::Stored {
            video: true,
            attachment_id: "7".into(),
            buttons: shop(),
        };
        let element = &said(&stored, Channel::Marketing)["attachment"]["payload"]["elements"][0];
        assert_eq!(element["attachment_id"], "7");
        assert_eq!(element["media_type"], "video");
    }

    #[test]
    fn coupons_and_opt_in_cards_are_templates_of_their_own() {
        let coupon = Outgoing::Coupon {
            title: "10 % off".into(),
            code: "SAVE10".into(),
            url: "https://s.example/".into(),
        };
        let expected = json!({"template_type": "coupon", "title": "10 % off",
            "coupon_code": "SAVE10", "coupon_url": "https://s.example/",
            "coupon_url_button_title": COUPON_BUTTON});
        assert_eq!(
            said(&coupon, Channel::Standard)["attachment"]["payload"],
            expected
        );
        let card = Outgoing::OptInCard {
            title: "News".into(),
            image_url: None,
            cta: "SIGN_UP".into(),
            payload: "p".into(),
        };
        let expected = json!({"template_type": "notification_messages", "title": "News",
            "notification_messages_cta_text": "SIGN_UP", "payload": "p"});
        assert_eq!(
            said(&card, Channel::Standard)["attachment"]["payload"],
            expected
        );
    }
}
