//! Discount codes that the app makes.

use serde_json::{Map, Value, json};

use super::graphql::Root;
use super::{Shop, Shopify};

/// What `DiscountCodeBasicInput` takes.
const FIELDS: [&str; 12] = [
    "appliesOncePerCustomer",
    "code",
    "combinesWith",
    "context",
    "customerGets",
    "endsAt",
    "minimumRequirement",
    "recurringCycleLimit",
    "startsAt",
    "tags",
    "title",
    "usageLimit",
];

impl Shopify {
    /// The codes that the app made: code and share off, as `0.1`.
    pub fn discount_codes(&self) -> Vec<(String, f64)> {
        self.with_shop(|shop| shop.codes.clone())
            .unwrap_or_default()
    }
}

/// `discountCodeBasicCreate`: the payload, or an error about the input as a whole.
pub(super) fn create(shop: &mut Shop, root: &Root<'_>) -> Result<Value, String> {
    let input = root.arguments.get("basicCodeDiscount");
    let input = input
        .and_then(Value::as_object)
        .ok_or("Argument 'basicCodeDiscount' is required")?;
    if let Some(odd) = input.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!(
            "Field is not defined on DiscountCodeBasicInput: {odd}"
        ));
    }
    let gets = input.get("customerGets").unwrap_or(&Value::Null);
    let percentage = gets["value"]["percentage"].as_f64();
    let code = input.get("code").and_then(Value::as_str);
    let (Some(code), Some(percentage)) = (code.filter(|code| !code.is_empty()), percentage) else {
        return Ok(refused("code", "BLANK", "Code and value can't be blank"));
    };
    let one_of = |value: &Map<String, Value>| value.len() == 1;
    if !input
        .get("context")
        .and_then(Value::as_object)
        .is_some_and(one_of)
    {
        return Ok(refused("context", "BLANK", "Context can't be blank"));
    }
    if input.get("startsAt").and_then(Value::as_str).is_none() {
        return Ok(refused("startsAt", "BLANK", "Starts at can't be blank"));
    }
    if !(percentage > 0.0 && percentage <= 1.0) {
        let text = "Value must be between 0.0 and 1.0";
        return Ok(refused("customerGets", "VALUE_OUTSIDE_RANGE", text));
    }
    let is_known = |(known, _): &(String, f64)| known.eq_ignore_ascii_case(code);
    if shop.codes.iter().any(is_known) {
        let text = "Code must be unique. Please try a different code.";
        return Ok(refused("code", "TAKEN", text));
    }
    shop.codes.push((code.to_owned(), percentage));
    let id = format!("gid://shopify/DiscountCodeNode/{}", shop.codes.len());
    Ok(json!({ "codeDiscountNode": { "id": id }, "userErrors": [] }))
}

fn refused(field: &str, code: &str, message: &str) -> Value {
    json!({
        "codeDiscountNode": null,
        "userErrors": [{
            "field": ["basicCodeDiscount", field], "code": code, "message": message,
        }],
    })
}
