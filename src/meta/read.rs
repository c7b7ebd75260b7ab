//! Reading Meta's JSON leniently: ids come as strings or numbers, times as seconds or
//! milliseconds, and any field may be absent.

use serde_json::Value;

use crate::clock::{Millis, SECOND};

/// Above this a number is milliseconds (seconds reach it in the year 5138).
const SECONDS_END: i64 = 100_000_000_000;

/// Text or number as text, without NUL; empty counts as absent.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    let text = match value.get(key)? {
        Value::String(text) if text.contains('\0') => text.replace('\0', ""),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A whole number, also when it was written as text.
pub(super) fn integer(value: &Value, key: &str) -> Option<i64> {
    whole(value.get(key)?)
}

/// A point in time, in whichever of its three spellings.
pub(super) fn time(value: &Value, key: &str) -> Option<Millis> {
    whole(value.get(key)?).filter(|at| *at > 0).map(millis)
}

pub(super) fn id_of(value: &Value, party: &str) -> Option<String> {
    text(value.get(party)?, "id")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "platform numbers are far below 2^63"
)]
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|n| n as i64)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn millis(at: i64) -> Millis {
    if at < SECONDS_END { at * SECOND } else { at }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn seconds_and_milliseconds_mean_the_same_moment() {
        for at in [
            json!(1_790_000_000),
            json!(1_790_000_000_000_i64),
            json!("1790000000"),
        ] {
            assert_eq!(time(&json!({ "at": at }), "at"), Some(1_790_000_000_000));
        }
        assert_eq!(time(&json!({"at": 0}), "at"), None);
    }
}
