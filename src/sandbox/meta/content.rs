//! What a message may contain on each channel, checked as Meta checks it. Pure.

use serde_json::Value;

use super::checks::{Object, address, addresses, object, one_of, only, push_line, words};
use super::graph::Refusal;
use super::state::{Channel, OptInCard};

/// A message that passed, and what the sandbox wants to know of it.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) kind: String,
    pub(super) text: String,
    pub(super) links: Vec<String>,
    pub(super) card: Option<OptInCard>,
    /// Audio and video have their own, lower limit.
    pub(super) heavy: bool,
    pub(super) metadata: Option<String>,
}

/// Checks a `message` object.
pub(super) fn check(message: &Object, channel: Channel) -> Result<Content, Refusal> {
    let paid = channel == Channel::Marketing;
    let known: &[&str] = if paid {
        &["text", "attachment", "quick_replies"]
    } else {
        &[
            "text",
            "attachment",
            "attachments",
            "template",
            "quick_replies",
            "metadata",
        ]
    };
    only(message, "message", known)?;
    let metadata = match message.get("metadata") {
        None => None,
        Some(Value::String(text)) if text.chars().count() <= 1000 => Some(text.clone()),
        Some(_) => {
            return Err(Refusal::parameter(
                "message.metadata must be text, 1000 at most",
            ));
        }
    };
    let mut content = Content {
        metadata,
        ..Content::default()
    };
    let bodies = ["text", "attachment", "attachments", "template"];
    if bodies
        .iter()
        .filter(|key| message.contains_key(**key))
        .count()
        != 1
    {
        return Err(Refusal::new(
            100,
            "(#100) Exactly one of text, attachment, attachments and template is required",
        )
        .sub(2_534_015));
    }
    if let Some(text) = message.get("text") {
        let limit = if paid { 640 } else { 2000 };
        let text = words(Some(text), "message.text", limit)?;
        content.links.extend(addresses(&text));
        content.text = text;
        content.kind = "text".to_owned();
    } else if let Some(attachment) = message.get("attachment") {
        attachment_of(
            object(attachment, "message.attachment")?,
            channel,
            &mut content,
        )?;
    } else if let Some(list) = message.get("attachments") {
        let images = list.as_array().filter(|l| (1..=30).contains(&l.len()));
        let Some(images) = images else {
            return Err(Refusal::parameter(
                "message.attachments takes 1 to 30 images",
            ));
        };
        for image in images {
            let image = object(image, "message.attachments")?;
            if image.get("type").and_then(Value::as_str) != Some("image") {
                return Err(Refusal::parameter("message.attachments takes images only"));
            }
        }
        content.kind = "image".to_owned();
    } else if channel == Channel::Utility {
        let template = object(&message["template"], "message.template")?;
        only(
            template,
            "message.template",
            &["name", "language", "components"],
        )?;
        words(template.get("name"), "message.template.name", 512)?;
        content.kind = "template".to_owned();
    } else {
        return Err(Refusal::parameter(
            "message.template needs messaging_type UTILITY",
        ));
    }
    if let Some(replies) = message.get("quick_replies") {
        quick_replies(replies, &mut content)?;
    }
    Ok(content)
}

fn attachment_of(
    attachment: &Object,
    channel: Channel,
    content: &mut Content,
) -> Result<(), Refusal> {
    only(attachment, "attachment", &["type", "payload"])?;
    let kind = words(attachment.get("type"), "attachment.type", 20)?;
    let Some(payload) = attachment.get("payload") else {
        return Err(Refusal::parameter("attachment.payload is required"));
    };
    let payload = object(payload, "attachment.payload")?;
    match kind.as_str() {
        "template" => template(payload, channel, content),
        "image" | "video" | "audio" | "file" if channel == Channel::Marketing => {
            // The marketing channel shows media in templates only.
            Err(Refusal::new(2_300_010, "No valid creative or payload"))
        }
        "image" | "video" | "audio" | "file" => {
            only(payload, "payload", &["url", "is_reusable", "attachment_id"])?;
            if !payload.contains_key("attachment_id") {
                address(payload.get("url"), "payload.url")?;
            }
            content.heavy = kind == "video" || kind == "audio";
            content.kind = kind;
            Ok(())
        }
        other => Err(Refusal::parameter(format_args!("attachment type {other}"))),
    }
}

fn template(payload: &Object, channel: Channel, content: &mut Content) -> Result<(), Refusal> {
    let kind = words(payload.get("template_type"), "payload.template_type", 40)?;
    match kind.as_str() {
        "button" => {
            only(
                payload,
                "payload",
                &["template_type", "text", "buttons", "sharable"],
            )?;
            content.text = words(payload.get("text"), "payload.text", 640)?;
            content.links.extend(addresses(&content.text));
            let buttons_given = buttons(payload.get("buttons"), channel, content)?;
            if buttons_given == 0 && channel != Channel::Marketing {
                return Err(Refusal::parameter(
                    "the button template takes 1 to 3 buttons",
                ));
            }
            "buttons".clone_into(&mut content.kind);
            Ok(())
        }
        "generic" => generic(payload, channel, content),
        "media" => media(payload, channel, content),
        "coupon" => coupon(payload, content),
        "notification_messages" if channel == Channel::Standard => opt_in_card(payload, content),
        "receipt" | "product" => {
            content.kind = kind;
            Ok(())
        }
        other => Err(Refusal::parameter(format_args!("template_type {other}"))),
    }
}

fn generic(payload: &Object, channel: Channel, content: &mut Content) -> Result<(), Refusal> {
    let paid = channel == Channel::Marketing;
    let mut known = vec![
        "template_type",
        "elements",
        "image_aspect_ratio",
        "sharable",
    ];
    if paid {
        known.push("text");
    }
    only(payload, "payload", &known)?;
    "cards".clone_into(&mut content.kind);
    if let Some(greeting) = payload.get("text") {
        content.text = words(Some(greeting), "payload.text", 640)?;
        content.links.extend(addresses(&content.text));
    }
    let elements = payload.get("elements").and_then(Value::as_array);
    let Some(elements) = elements.filter(|e| (1..=10).contains(&e.len())) else {
        return Err(Refusal::parameter(
            "payload.elements takes 1 to 10 elements",
        ));
    };
    for element in elements {
        let element = object(element, "payload.elements")?;
        let mut keys = vec![
            "title",
            "subtitle",
            "image_url",
            "default_action",
            "buttons",
        ];
        if paid {
            keys.extend(["image_urls", "media_type", "video_id"]);
        }
        only(element, "element", &keys)?;
        push_line(
            &mut content.text,
            &words(element.get("title"), "element.title", 80)?,
        );
        if let Some(subtitle) = element.get("subtitle") {
            push_line(
                &mut content.text,
                &words(Some(subtitle), "element.subtitle", 80)?,
            );
        }
        if element.contains_key("image_url") {
            address(element.get("image_url"), "element.image_url")?;
        }
        image_urls(element, elements.len())?;
        if element.get("media_type").and_then(Value::as_str) == Some("video")
            && !element.contains_key("video_id")
        {
            return Err(Refusal::new(2_300_021, "media_type video without video_id"));
        }
        if let Some(action) = element.get("default_action") {
            let action = object(action, "default_action")?;
            only(
                action,
                "default_action",
                &["type", "url", "webview_height_ratio"],
            )?;
            content
                .links
                .push(address(action.get("url"), "default_action.url")?);
        }
        buttons(element.get("buttons"), channel, content)?;
    }
    Ok(())
}

fn image_urls(element: &Object, cards: usize) -> Result<(), Refusal> {
    let Some(list) = element.get("image_urls") else {
        return Ok(());
    };
    if cards > 1 {
        return Err(Refusal::new(
            2_300_046,
            "image_urls is not allowed in a carousel",
        ));
    }
    if element.contains_key("image_url") {
        return Err(Refusal::new(
            2_300_047,
            "image_url and image_urls used together",
        ));
    }
    let images = list.as_array().filter(|l| (1..=6).contains(&l.len()));
    let Some(images) = images else {
        return Err(Refusal::parameter("image_urls takes 1 to 6 images"));
    };
    let hero = |i: &&Value| i.get("is_hero_image").and_then(Value::as_bool) == Some(true);
    if images.iter().filter(hero).count() > 1 {
        return Err(Refusal::new(2_300_048, "More than one hero image"));
    }
    Ok(())
}

fn media(payload: &Object, channel: Channel, content: &mut Content) -> Result<(), Refusal> {
    only(
        payload,
        "payload",
        &["template_type", "elements", "sharable"],
    )?;
    "media".clone_into(&mut content.kind);
    let elements = payload.get("elements").and_then(Value::as_array);
    let Some([element]) = elements.map(Vec::as_slice) else {
        return Err(Refusal::parameter("the media template takes one element"));
    };
    let element = object(element, "payload.elements")?;
    only(
        element,
        "element",
        &["media_type", "attachment_id", "url", "buttons"],
    )?;
    match element.get("media_type").and_then(Value::as_str) {
        Some("image") => {}
        Some("video") => content.heavy = true,
        _ => return Err(Refusal::parameter("media_type must be image or video")),
    }
    if !element.contains_key("attachment_id") {
        let url = address(element.get("url"), "element.url")?;
        let host = url::Url::parse(&url)
            .ok()
            .and_then(|u| u.host_str().map(str::to_owned));
        if !host.is_some_and(|h| h == "facebook.com" || h.ends_with(".facebook.com")) {
            return Err(Refusal::parameter(
                "element.url must be a facebook.com address",
            ));
        }
    }
    buttons(element.get("buttons"), channel, content)?;
    Ok(())
}

fn coupon(payload: &Object, content: &mut Content) -> Result<(), Refusal> {
    let known = [
        "template_type",
        "title",
        "subtitle",
        "coupon_code",
        "coupon_url",
        "coupon_url_button_title",
        "coupon_pre_message",
        "image_url",
        "payload",
    ];
    only(payload, "payload", &known)?;
    "coupon".clone_into(&mut content.kind);
    content.text = words(payload.get("title"), "payload.title", 80)?;
    if payload.get("coupon_code").is_none() && payload.get("coupon_url").is_none() {
        return Err(Refusal::parameter("coupon_code or coupon_url is required"));
    }
    if let Some(code) = payload.get("coupon_code") {
        push_line(
            &mut content.text,
            &words(Some(code), "payload.coupon_code", 80)?,
        );
    }
    if payload.contains_key("coupon_url") {
        content
            .links
            .push(address(payload.get("coupon_url"), "payload.coupon_url")?);
    }
    Ok(())
}

fn opt_in_card(payload: &Object, content: &mut Content) -> Result<(), Refusal> {
    let known = [
        "template_type",
        "title",
        "image_url",
        "image_aspect_ratio",
        "payload",
        "elements",
        "notification_messages_timezone",
        "notification_messages_cta_text",
    ];
    only(payload, "payload", &known)?;
    "opt_in_card".clone_into(&mut content.kind);
    let title = match payload.get("title") {
        Some(title) => words(Some(title), "payload.title", 65)?,
        None => "Updates and promotions".to_owned(),
    };
    one_of(payload, "image_aspect_ratio", &["HORIZONTAL", "SQUARE"])?;
    one_of(
        payload,
        "notification_messages_cta_text",
        &["ALLOW", "GET", "GET_UPDATES", "OPT_IN", "SIGN_UP"],
    )?;
    if payload.contains_key("image_url") {
        address(payload.get("image_url"), "payload.image_url")?;
    }
    let echoed = words(payload.get("payload"), "payload.payload", 1000)?;
    content.text.clone_from(&title);
    content.card = Some(OptInCard {
        title,
        payload: echoed,
    });
    Ok(())
}

/// Checks up to three buttons and says how many there are.
fn buttons(
    given: Option<&Value>,
    channel: Channel,
    content: &mut Content,
) -> Result<usize, Refusal> {
    let Some(given) = given else { return Ok(0) };
    let Some(list) = given.as_array() else {
        return Err(Refusal::parameter("buttons must be a list"));
    };
    let paid = channel == Channel::Marketing;
    let wrong = |code: i64, what: &str| {
        if paid {
            Refusal::new(code, what)
        } else {
            Refusal::parameter(what)
        }
    };
    if list.len() > 3 {
        return Err(wrong(2_300_026, "More than 3 buttons"));
    }
    for button in list {
        let button = object(button, "buttons")?;
        let kind = button
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match kind {
            "web_url" => {
                let known = ["type", "url", "title", "webview_height_ratio"];
                only(button, "button", &known)?;
                let url = button
                    .get("url")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                if url.is_empty() {
                    return Err(wrong(2_300_024, "Button URL empty"));
                }
                content
                    .links
                    .push(address(button.get("url"), "button.url")?);
            }
            "postback" => {
                only(button, "button", &["type", "title", "payload"])?;
                words(button.get("payload"), "button.payload", 1000)?;
            }
            "phone_number" if !paid => only(button, "button", &["type", "title", "payload"])?,
            "app" if paid => only(
                button,
                "button",
                &["type", "title", "android_url", "ios_url"],
            )?,
            _ => return Err(wrong(2_300_023, "Invalid button type")),
        }
        let title = button
            .get("title")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if title.is_empty() {
            return Err(wrong(2_300_025, "Button title empty"));
        }
        push_line(
            &mut content.text,
            &words(button.get("title"), "button.title", 20)?,
        );
    }
    Ok(list.len())
}

fn quick_replies(given: &Value, content: &mut Content) -> Result<(), Refusal> {
    let list = given.as_array().filter(|l| l.len() <= 13);
    let Some(list) = list else {
        return Err(Refusal::parameter("quick_replies takes 13 at most"));
    };
    for reply in list {
        let reply = object(reply, "quick_replies")?;
        only(
            reply,
            "quick_reply",
            &["content_type", "title", "payload", "image_url"],
        )?;
        match reply.get("content_type").and_then(Value::as_str) {
            Some("text") => {
                let title = words(reply.get("title"), "quick_reply.title", 20)?;
                words(reply.get("payload"), "quick_reply.payload", 1000)?;
                push_line(&mut content.text, &title);
            }
            Some("user_phone_number" | "user_email") => {}
            _ => return Err(Refusal::parameter("quick_reply.content_type")),
        }
    }
    Ok(())
}
