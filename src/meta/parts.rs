//! A delivery taken apart: Meta batches the events of many Pages, and each Page's belong to its own
//! owner alone.

use serde_json::{Map, Value};

use super::read::text;

/// A delivery of Meta's, its entries each for themselves.
#[derive(Debug, Default)]
pub struct Parts {
    /// What kind of thing it is about; `page` for nearly all.
    pub object: Option<String>,
    /// At least one, in the order of the delivery.
    pub parts: Vec<Part>,
}

/// One entry in an envelope of its own.
#[derive(Debug)]
pub struct Part {
    /// Meta's id of the Page; empty where the entry names none.
    pub page: String,
    /// What its first event is about, for people to see.
    pub topic: String,
    pub body: Vec<u8>,
}

/// A delivery of one entry, or one that we cannot read, stays as it came to the byte.
pub fn split(body: Vec<u8>) -> Parts {
    let Ok(mut envelope) = serde_json::from_slice::<Map<String, Value>>(&body) else {
        return Parts {
            object: None,
            parts: vec![Part::whole(body, &Value::Null)],
        };
    };
    let object = envelope.get("object").and_then(Value::as_str);
    let object = object.map(str::to_owned);
    let entries = match envelope.remove("entry") {
        Some(Value::Array(entries)) => entries,
        Some(entry) => vec![entry],
        None => vec![Value::Object(envelope.clone())],
    };
    let mut parts: Vec<Part> = match entries.as_slice() {
        [] => vec![Part::whole(body, &Value::Null)],
        [entry] => vec![Part::whole(body, entry)],
        _ => entries
            .into_iter()
            .map(|entry| Part::of(&envelope, entry))
            .collect(),
    };
    // Entries about permissions are named by a person, who is not to be kept.
    if object.as_deref() == Some("permissions") {
        for part in &mut parts {
            part.page.clear();
        }
    }
    Parts { object, parts }
}

impl Part {
    fn whole(body: Vec<u8>, entry: &Value) -> Self {
        Self {
            page: page_of(entry),
            topic: topic_of(entry),
            body,
        }
    }

    fn of(envelope: &Map<String, Value>, entry: Value) -> Self {
        let (page, topic) = (page_of(&entry), topic_of(&entry));
        let mut envelope = envelope.clone();
        envelope.insert("entry".to_owned(), Value::Array(vec![entry]));
        Self {
            page,
            topic,
            body: Value::Object(envelope).to_string().into_bytes(),
        }
    }
}

fn page_of(entry: &Value) -> String {
    text(entry, "id")
        .or_else(|| text(entry, "page_id"))
        .unwrap_or_default()
}

fn topic_of(entry: &Value) -> String {
    let parties = ["sender", "recipient", "timestamp", "field"];
    let event = ["messaging", "standby"]
        .iter()
        .find_map(|list| entry.get(list)?.get(0)?.as_object());
    let telling = event.and_then(|event| {
        let mut members = event.keys().filter(|key| !parties.contains(&key.as_str()));
        members.next().cloned()
    });
    let field = || Some(entry.pointer("/changes/0/field")?.as_str()?.to_owned());
    telling
        .or_else(field)
        .or_else(|| text(entry, "field"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(body: &str) -> (String, String) {
        let [part] = split(Vec::from(body)).parts.try_into().unwrap();
        assert_eq!(
            part.body,
            body.as_bytes(),
            "a single entry stays as it came"
        );
        (part.page, part.topic)
    }

    #[test]
    fn a_delivery_is_named_by_its_first_event() {
        let named = |body: &str| {
            let (page, topic) = named(body);
            format!("{page} {topic}")
        };
        assert_eq!(
            named(
                r#"{"object":"page", "entry":[{"id":12,"messaging":[{"sender":{"id":1},"optin":{}}]}]}"#
            ),
            "12 optin"
        );
        assert_eq!(
            named(r#"{"object":"page","entry":[{"id":"7","changes":[{"field":"feed"}]}]}"#),
            "7 feed"
        );
        assert_eq!(
            named(r#"{"object":"page","entry":{"id":"7","messaging":[{"read":{}}]}}"#),
            "7 read"
        );
        assert_eq!(
            named(r#"{"field":"marketing_message_reads","page_id":"9"}"#),
            "9 marketing_message_reads"
        );
        for nothing in ["nonsense", "[]", r#"{"object":"page","entry":[]}"#, "{}"] {
            assert_eq!(named(nothing), " ", "{nothing}");
        }
    }

    #[test]
    fn entries_of_several_pages_part_in_their_order_and_lose_nothing() {
        let entry = |page: &str, mid: &str| {
            json!({"id": page, "time": 1_790_000_000_123_i64,
            "messaging": [{"sender": {"id": "5"}, "message": {"mid": mid, "text": "hi"}}]})
        };
        let whole = json!({"object": "page", "more": 1,
            "entry": [entry("1", "a"), entry("2", "b"), entry("1", "c")]});
        let split = split(whole.to_string().into_bytes());
        assert_eq!(split.object.as_deref(), Some("page"));
        let pages: Vec<&str> = split.parts.iter().map(|part| part.page.as_str()).collect();
        assert_eq!(pages, ["1", "2", "1"]);
        let second: Value = serde_json::from_slice(&split.parts[1].body).unwrap();
        assert_eq!(
            second,
            json!({"object": "page", "more": 1, "entry": [entry("2", "b")]})
        );
    }
}
