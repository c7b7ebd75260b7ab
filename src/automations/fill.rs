//! Filling a step's message with what happened: `{{event.product|your pick}}`, `{{checkout_url}}`.
//! The person's names are left for delivery, which knows them.

use serde_json::{Map, Value};
use url::Url;

use crate::delivery::Message;
use crate::delivery::content::Button;

/// Names that delivery fills.
const NAMES: [&str; 3] = ["first_name", "last_name", "full_name"];
/// Characters of one value in running text.
const VALUE: usize = 200;
/// Characters that Meta takes of a card's title or subtitle; a product's name may be longer.
const TITLE: usize = 80;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Text,
    Title,
    Address,
}

/// The message about this happening. `Err` says in words why it cannot be said.
pub(super) fn fill(message: &Message, context: &Map<String, Value>) -> Result<Message, String> {
    let mut filled = message.clone();
    each_field(&mut filled, &mut |field, text| {
        let find = |name: &str| lookup(context, name);
        *text = replace(text, field, &find);
        if field == Field::Title {
            *text = cut(text, TITLE);
        }
        if field == Field::Address && !is_web_address(text) {
            return Err(
                "an address was not complete when the event's values were filled in".to_owned(),
            );
        }
        Ok(())
    })?;
    match filled.problems().first() {
        Some(problem) => Err(format!("{}: {}", problem.pointer, problem.detail)),
        None => Ok(filled),
    }
}

/// The message with its addresses as they may once look, so that its limits can be checked before
/// anything has happened.
pub(super) fn sample(message: &Message) -> Message {
    let mut sample = message.clone();
    let filled = each_field(&mut sample, &mut |field, text| {
        if field == Field::Address {
            let whole = text.trim_start().starts_with("{{");
            let value = if whole { "https://shop.example" } else { "x" };
            *text = replace(text, field, &|_| Some(value.to_owned()));
        }
        Ok(())
    });
    debug_assert!(filled.is_ok());
    sample
}

fn each_field(
    message: &mut Message,
    on: &mut impl FnMut(Field, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    match message {
        Message::Text { text, buttons, .. } => {
            on(Field::Text, text)?;
            each_address(buttons, on)
        }
        Message::Cards { text, cards } => {
            if let Some(text) = text {
                on(Field::Text, text)?;
            }
            for card in cards {
                on(Field::Title, &mut card.title)?;
                if let Some(subtitle) = &mut card.subtitle {
                    on(Field::Title, subtitle)?;
                }
                if let Some(image) = &mut card.image_url {
                    on(Field::Address, image)?;
                }
                each_address(&mut card.buttons, on)?;
            }
            Ok(())
        }
        Message::Media { url, buttons, .. } => {
            on(Field::Address, url)?;
            each_address(buttons, on)
        }
        Message::Coupon { title, code, url } => {
            on(Field::Title, title)?;
            on(Field::Text, code)?;
            on(Field::Address, url)
        }
    }
}

fn each_address(
    buttons: &mut [Button],
    on: &mut impl FnMut(Field, &mut String) -> Result<(), String>,
) -> Result<(), String> {
    for button in buttons {
        if let Button::Url { url, .. } = button {
            on(Field::Address, url)?;
        }
    }
    Ok(())
}

fn replace(text: &str, field: Field, find: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        let Some((inner, after)) = from.split_once("}}") else {
            break;
        };
        out.push_str(before);
        rest = after;
        let (name, default) = match inner.split_once('|') {
            Some((name, default)) => (name.trim(), default.trim()),
            None => (inner.trim(), ""),
        };
        if NAMES.contains(&name) {
            out.push_str("{{");
            out.push_str(inner);
            out.push_str("}}");
            continue;
        }
        let value = find(name).unwrap_or_else(|| default.to_owned());
        match field {
            // At its beginning an address is taken as it is, further on a value is a part of it.
            Field::Address if out.trim().is_empty() => out.push_str(value.trim()),
            Field::Address => out.push_str(&escape(&value)),
            Field::Text | Field::Title => out.push_str(&value),
        }
    }
    out.push_str(rest);
    out
}

/// A value by its path; `event.x` and `x` find each other where only one is there. Spelling is
/// forgiven: `event.product_name` finds `Product Name`.
fn lookup(context: &Map<String, Value>, name: &str) -> Option<String> {
    let found = at_path(context, name).or_else(|| {
        let event = context.get("event").and_then(Value::as_object);
        match name.strip_prefix("event.") {
            Some(plain) => at_path(context, plain),
            None => at_path(event?, name),
        }
    })?;
    words(found).filter(|value| !value.is_empty())
}

fn at_path<'a>(context: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    if let Some(value) = member(context, path) {
        return Some(value);
    }
    let (first, rest) = path.split_once('.')?;
    match member(context, first)? {
        Value::Object(inner) => at_path(inner, rest),
        Value::Array(items) => items.get(rest.parse::<usize>().ok()?),
        _ => None,
    }
}

fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let name = name.trim();
    let plain = |text: &str| -> String {
        let kept = text.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    object.get(name).or_else(|| {
        let wanted = plain(name);
        let mut others = object.iter();
        others
            .find(|(key, _)| !wanted.is_empty() && !name.contains('.') && plain(key) == wanted)
            .map(|(_, value)| value)
    })
}

/// A value as text. Braces of its own must not be filled once more.
fn words(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .filter(|item| !item.is_object() && !item.is_array())
                .filter_map(words)
                .collect();
            items.join(", ")
        }
        Value::Null | Value::Object(_) => return None,
    };
    let clean: String = text
        .replace("{{", "{ {")
        .replace("}}", "} }")
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let clean = clean.trim();
    if clean.starts_with("http://") || clean.starts_with("https://") {
        return Some(clean.to_owned());
    }
    Some(cut(clean, VALUE))
}

fn cut(text: &str, characters: usize) -> String {
    if text.chars().count() <= characters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(characters - 1).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// Percent-encodes all but the unreserved characters.
fn escape(value: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn context() -> Map<String, Value> {
        let value = json!({
            "checkout_url": "https://shop.example/checkouts/1?key=a",
            "total": "49.90",
            "items": ["Mug", "Tea pot"],
            "event": {"Product Name": "Röd {{first_name}} kopp", "price": 12.5, "handle": "a b/c",
                      "nested": {"size": "L"}, "empty": "", "link": "javascript:alert(1)"},
        });
        value.as_object().unwrap().clone()
    }

    fn text(text: &str) -> String {
        let message = Message::Text {
            text: text.into(),
            buttons: Vec::new(),
            quick_replies: Vec::new(),
        };
        match fill(&message, &context()).unwrap() {
            Message::Text { text, .. } => text,
            other => panic!("{other:?}"),
        }
    }

    fn address(url: &str) -> Result<String, String> {
        let message = Message::Coupon {
            title: "Ten off".into(),
            code: "SAVE10".into(),
            url: url.into(),
        };
        match fill(&message, &context())? {
            Message::Coupon { url, .. } => Ok(url),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn values_are_found_by_path_and_by_forgiving_spelling() {
        assert_eq!(text("Total {{total}}"), "Total 49.90");
        assert_eq!(text("{{ event.price }} / {{price}}"), "12.5 / 12.5");
        assert_eq!(text("{{event.nested.size}}, {{items}}"), "L, Mug, Tea pot");
        assert_eq!(text("{{items.1}}"), "Tea pot");
        assert_eq!(text("{{event.total}}"), "49.90");
    }

    #[test]
    fn a_missing_value_falls_back_to_its_default() {
        assert_eq!(text("See {{event.x|your pick}}"), "See your pick");
        assert_eq!(text("See {{event.empty|this}}"), "See this");
        assert_eq!(text("See {{event.x}}!"), "See !");
        assert_eq!(text("100% {{ open"), "100% {{ open");
    }

    #[test]
    fn names_are_left_for_delivery_and_values_cannot_smuggle_one_in() {
        assert_eq!(
            text("Hi {{first_name|there}}, {{event.product_name}}"),
            "Hi {{first_name|there}}, Röd { {first_name} } kopp"
        );
    }

    #[test]
    fn an_address_stays_an_address_or_the_message_is_not_said() {
        assert_eq!(
            address("{{checkout_url}}").unwrap(),
            "https://shop.example/checkouts/1?key=a"
        );
        assert_eq!(
            address("https://shop.example/p/{{event.handle}}").unwrap(),
            "https://shop.example/p/a%20b%2Fc"
        );
        assert_eq!(
            address("{{event.url|https://shop.example}}").unwrap(),
            "https://shop.example"
        );
        assert!(address("{{event.link}}").is_err());
        assert!(address("{{event.url}}").is_err());
    }

    #[test]
    fn a_long_product_name_is_cut_in_a_title() {
        let message = Message::Coupon {
            title: "x{{long}}".into(),
            code: "A".into(),
            url: "https://shop.example".into(),
        };
        let context = json!({"long": "é".repeat(90)});
        let filled = fill(&message, context.as_object().unwrap()).unwrap();
        let Message::Coupon { title, .. } = filled else {
            panic!("{filled:?}")
        };
        assert_eq!(title.chars().count(), 80);
        assert!(title.ends_with('…'));
    }

    #[test]
    fn a_message_whose_address_comes_with_the_event_can_be_checked_before() {
        let message = Message::Text {
            text: "Hi {{event.x}}".into(),
            buttons: vec![
                Button::Url {
                    title: "Go".into(),
                    url: "{{checkout_url}}".into(),
                },
                Button::Url {
                    title: "See".into(),
                    url: "https://shop.example/{{event.handle}}".into(),
                },
            ],
            quick_replies: Vec::new(),
        };
        assert!(!message.problems().is_empty());
        assert_eq!(sample(&message).problems(), []);
    }
}
