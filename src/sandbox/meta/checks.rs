//! Checks that every part of a call shares: keys, lengths, addresses. In Meta's words.

use serde_json::{Map, Value};

use super::graph::Refusal;

pub(super) type Object = Map<String, Value>;

/// Refuses keys that Meta does not know, in Meta's words.
pub(super) fn only(object: &Object, name: &str, known: &[&str]) -> Result<(), Refusal> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => Err(Refusal::new(
            100,
            format!("(#100) Invalid keys \"{key}\" were found in param \"{name}\"."),
        )),
    }
}

pub(super) fn object<'a>(value: &'a Value, name: &str) -> Result<&'a Object, Refusal> {
    value
        .as_object()
        .ok_or_else(|| Refusal::parameter(format_args!("{name} must be an object")))
}

/// Text that is there and no longer than `limit` characters.
pub(super) fn words(value: Option<&Value>, name: &str, limit: usize) -> Result<String, Refusal> {
    let Some(text) = value.and_then(Value::as_str).filter(|t| !t.is_empty()) else {
        return Err(Refusal::new(
            100,
            format!("(#100) Param {name} must be a non-empty text"),
        ));
    };
    let length = text.chars().count();
    if length > limit {
        return Err(Refusal::new(
            100,
            format!("(#100) Length of param {name} must be {limit} at most, is {length}"),
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn address(value: Option<&Value>, name: &str) -> Result<String, Refusal> {
    let text = words(value, name, 2048)?;
    match url::Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text),
        _ => Err(Refusal::new(
            100,
            format!("(#100) Param {name} is not a valid URI"),
        )),
    }
}

pub(super) fn one_of(object: &Object, key: &str, values: &[&str]) -> Result<(), Refusal> {
    match object.get(key) {
        None => Ok(()),
        Some(Value::String(text)) if values.contains(&text.as_str()) => Ok(()),
        Some(_) => Err(Refusal::parameter(format_args!(
            "{key} must be one of {values:?}"
        ))),
    }
}

pub(super) fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

pub(super) fn addresses(text: &str) -> Vec<String> {
    text.split_whitespace()
        .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
        .map(|word| word.trim_end_matches(['.', ',', ')', '!', '?']).to_owned())
        .collect()
}
