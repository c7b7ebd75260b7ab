//! Lists of the Admin API: searched, sorted, and cut into pages.

use serde_json::{Value, json};

use super::graphql::Root;

/// In the order that `sortKey` and `reverse` ask for; ids without them.
pub(super) fn sorted(root: &Root<'_>, mut found: Vec<Value>) -> Result<Vec<Value>, String> {
    let key = match root.arguments.get("sortKey").and_then(Value::as_str) {
        None | Some("ID" | "RELEVANCE") => None,
        Some("UPDATED_AT") => Some("updatedAt"),
        Some("CREATED_AT") => Some("createdAt"),
        Some("PROCESSED_AT") => Some("processedAt"),
        Some("TITLE") => Some("title"),
        Some(other) => return Err(format!("Argument 'sortKey' has an invalid value ({other})")),
    };
    if let Some(key) = key {
        found.sort_by(|a, b| a[key].as_str().cmp(&b[key].as_str()));
    }
    if root.arguments.get("reverse") == Some(&Value::Bool(true)) {
        found.reverse();
    }
    Ok(found)
}

/// A Relay connection; the cursor is the position.
pub(super) fn connection(root: &Root<'_>, all: Vec<Value>) -> Result<Value, String> {
    let number = |key: &str| root.arguments.get(key).and_then(Value::as_u64);
    let Some(first) = number("first").or_else(|| number("last")) else {
        return Err(format!(
            "you must provide one of first or last on {}",
            root.name
        ));
    };
    let first = usize::try_from(first)
        .ok()
        .filter(|n| (1..=250).contains(n));
    let first = first.ok_or_else(|| "first must be 1 to 250".to_owned())?;
    let after = root.arguments.get("after").and_then(Value::as_str);
    let skip: usize = after.and_then(|a| a.parse().ok()).unwrap_or(0);
    let more = all.len() > skip + first;
    let nodes: Vec<Value> = all.into_iter().skip(skip).take(first).collect();
    let edges: Vec<Value> = nodes
        .iter()
        .enumerate()
        .map(|(i, node)| json!({ "node": node, "cursor": (skip + i + 1).to_string() }))
        .collect();
    let end = skip + nodes.len();
    Ok(json!({
        "nodes": nodes,
        "edges": edges,
        "pageInfo": {
            "hasNextPage": more, "hasPreviousPage": skip > 0,
            "startCursor": (skip + 1).to_string(), "endCursor": end.to_string(),
        },
    }))
}

/// Shopify's search language, as far as `field:value` and `updated_at:>'…'` joined by AND go.
pub(super) fn matches(node: &Value, search: &str) -> bool {
    search
        .split(" AND ")
        .flat_map(|s| s.split_whitespace())
        .all(|term| {
            let Some((field, value)) = term.split_once(':') else {
                return false;
            };
            let key = match field {
                "id" => "legacyResourceId",
                "created_at" => "createdAt",
                "updated_at" => "updatedAt",
                "checkout_token" => "checkoutToken",
                "cart_token" => "cartToken",
                "source_name" => "sourceName",
                "customer_id" => "customerId",
                other => other,
            };
            let Some(own) = node.get(key).and_then(Value::as_str) else {
                return false;
            };
            let value = value.trim_matches(['\'', '"']);
            if let Some(least) = value.strip_prefix(">=") {
                own >= least.trim_matches(['\'', '"'])
            } else if let Some(most) = value.strip_prefix("<=") {
                own <= most.trim_matches(['\'', '"'])
            } else if let Some(below) = value.strip_prefix('>') {
                own > below.trim_matches(['\'', '"'])
            } else if let Some(start) = value.strip_suffix('*') {
                let (own, start) = (own.to_lowercase(), start.to_lowercase());
                own.split_whitespace().any(|word| word.starts_with(&start))
            } else {
                own.eq_ignore_ascii_case(value)
            }
        })
}
