//! Reading Shopify's JSON leniently: nearly anything may be null, money is text, ids are integers.

use serde_json::Value;

use super::money::minor_units;
use crate::clock::{Millis, parse_rfc3339};

/// A body that does not hold what every body of its kind holds; kept with this text.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("the body is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the body has no readable `{0}`")]
    Missing(&'static str),
}

/// Text or number as text, without NUL; null and empty count as absent.
pub(super) fn text(value: &Value, key: &str) -> Option<String> {
    let text = match value.get(key)? {
        Value::String(text) if text.contains('\0') => text.replace('\0', ""),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

pub(super) fn id(value: &Value, key: &str) -> Option<i64> {
    match value.get(key)? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.rsplit('/').next()?.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn time(value: &Value, key: &str) -> Option<Millis> {
    parse_rfc3339(value.get(key)?.as_str()?)
}

/// An amount in minor units.
pub(super) fn money(value: &Value, key: &str, currency: &str) -> Option<i64> {
    minor_units(&text(value, key)?, currency)
}

/// The shop's side of a `…_set`, with its currency.
pub(super) fn shop_money(value: &Value, key: &str) -> Option<(i64, String)> {
    let money = value.get(key)?.get("shop_money")?;
    let currency = text(money, "currency_code")?;
    Some((minor_units(&text(money, "amount")?, &currency)?, currency))
}

/// The items of a list; null and absent are empty.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
