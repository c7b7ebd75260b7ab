//! Reading Klaviyo's JSON leniently.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::clock::Millis;

/// Text or number as text, without NUL; null and empty count as absent.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    let text = match value.get(key)? {
        Value::String(text) => clean(text),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

/// The properties of an event, NUL stripped everywhere. Klaviyo writes an empty object as `[]`.
pub(super) fn properties(value: Option<&Value>) -> Map<String, Value> {
    match value.map(cleaned) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// A time with `T` or a space, with an offset or (meaning UTC) without.
pub(super) fn time(value: &Value, key: &str) -> Option<Millis> {
    let text = value.get(key)?.as_str()?.trim();
    let text = match text.as_bytes().get(10) {
        Some(b' ') => text.replacen(' ', "T", 1),
        _ => text.to_owned(),
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let local = text.parse::<DateTime>().ok()?;
    Some(TimeZone::UTC.to_timestamp(local).ok()?.as_millisecond())
}

pub(super) fn rows(answer: &Value) -> &[Value] {
    answer
        .get("data")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn clean(text: &str) -> String {
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text.to_owned()
    }
}

fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.iter().map(cleaned).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (clean(key), cleaned(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_all_their_spellings() {
        let at = |text: &str| time(&json!({ "datetime": text }), "datetime");
        assert_eq!(at("2026-04-13T22:16:46+00:00"), Some(1_776_118_606_000));
        assert_eq!(at("2026-04-13 22:16:46+00:00"), Some(1_776_118_606_000));
        assert_eq!(at("2026-04-13 22:16:46"), Some(1_776_118_606_000));
        assert_eq!(
            at("2026-04-13T22:16:46.261080+00:00"),
            Some(1_776_118_606_261)
        );
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn nul_is_taken_out_of_properties_at_any_depth() {
        let raw = json!({"a\u{0}": [{"b": "c\u{0}d"}]});
        assert_eq!(
            Value::Object(properties(Some(&raw))),
            json!({"a": [{"b": "cd"}]})
        );
        assert!(properties(Some(&json!([]))).is_empty());
    }
}
