//! `shopify.app.toml` and the extensions' own files: what Shopify's build does not look at, and what
//! must agree with what the app says and does.

use std::collections::BTreeSet;

use pagecast::shopify::API_VERSION;

use crate::fixture;

fn file(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn without_comments(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// The texts of `name = "…"` and `name = ["…", "…"]`, one list for each time it stands there.
fn values(text: &str, name: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let starts = text.match_indices(name).map(|(start, _)| start);
    for start in starts {
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let after = text[start + name.len()..].trim_start();
        if !text[line_start..start].trim().is_empty() || !after.starts_with('=') {
            continue;
        }
        let value = after[1..].trim_start();
        let end = if value.starts_with('[') { ']' } else { '\n' };
        let whole = value.split(end).next().unwrap_or_default();
        let texts = whole.split('"').skip(1).step_by(2);
        found.push(texts.map(str::to_owned).collect());
    }
    found
}

fn one(text: &str, name: &str) -> String {
    let mut found = values(text, name);
    assert_eq!(found.len(), 1, "{name} stands once");
    found.remove(0).remove(0)
}

#[test]
fn every_topic_of_the_app_is_one_that_shopify_knows() {
    let app = without_comments(&file("shopify.app.toml"));
    let known = fixture("shopify/webhook_topics.json");
    let known: BTreeSet<&str> = known["topics"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| row["topic"].as_str())
        .collect();
    let told: Vec<String> = values(&app, "topics").into_iter().flatten().collect();
    assert!(told.len() >= 12, "the topics were not found: {told:?}");
    for topic in &told {
        assert!(known.contains(topic.as_str()), "{topic}");
    }
    let once: BTreeSet<&String> = told.iter().collect();
    assert_eq!(once.len(), told.len(), "a topic stands twice");
    let compliance: BTreeSet<String> = values(&app, "compliance_topics")
        .into_iter()
        .flatten()
        .collect();
    let demanded = ["customers/data_request", "customers/redact", "shop/redact"];
    assert_eq!(compliance, demanded.map(str::to_owned).into());
}

#[test]
fn what_is_left_out_of_a_webhook_never_holds_back_a_change() {
    let app = without_comments(&file("shopify.app.toml"));
    let lists = values(&app, "include_fields");
    assert!(!lists.is_empty());
    for fields in lists {
        // Shopify drops a delivery whose trimmed body is as before.
        assert!(fields.contains(&"updated_at".to_owned()), "{fields:?}");
        assert!(fields.contains(&"id".to_owned()), "{fields:?}");
    }
}

#[test]
fn the_app_names_the_version_the_addresses_and_the_reason_of_each_scope() {
    let whole = file("shopify.app.toml");
    let app = without_comments(&whole);
    assert_eq!(one(&app, "api_version"), API_VERSION);
    let address = one(&app, "application_url");
    assert!(address.starts_with("https://"));
    for redirect in values(&app, "redirect_urls").into_iter().flatten() {
        assert!(redirect.starts_with(&format!("{address}/")), "{redirect}");
    }
    for uri in values(&app, "uri").into_iter().flatten() {
        assert_eq!(uri, "/webhooks/shopify");
    }
    assert!((1..=30).contains(&one(&app, "name").len()));
    let proxy = ["url", "subpath", "prefix"].map(|name| one(&app, name));
    assert_eq!(proxy, ["/proxy", "pagecast", "apps"]);
    let reasons: String = whole
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .collect();
    for scope in one(&app, "scopes").split(',') {
        assert!(reasons.contains(scope), "why {scope}?");
    }
    assert!(app.contains("use_legacy_install_flow = false"));
}

#[test]
fn the_pixel_has_the_settings_that_the_app_places_and_loads_with_consent_only() {
    let pixel = without_comments(&file("extensions/attribution-pixel/shopify.extension.toml"));
    let settings: BTreeSet<&str> = pixel
        .lines()
        .filter_map(|line| line.trim().strip_prefix("[settings.fields."))
        .map(|rest| rest.trim_end_matches(']'))
        .collect();
    // The sandbox refuses any others, and a story places them there.
    assert_eq!(settings, ["accountID", "address"].into());
    for line in [
        "analytics = true",
        "marketing = true",
        "runtime_context = \"strict\"",
    ] {
        assert!(pixel.contains(line), "{line}");
    }
    assert_eq!(one(&pixel, "sale_of_data"), "disabled");
}

#[test]
fn the_storefront_asks_at_the_proxys_address() {
    let app = without_comments(&file("shopify.app.toml"));
    let script = file("extensions/storefront/assets/pagecast.js");
    let proxy = format!(
        "const PROXY = '/{}/{}';",
        one(&app, "prefix"),
        one(&app, "subpath")
    );
    assert!(script.contains(&proxy), "{proxy}");
}

#[test]
fn the_lockfile_names_no_registry_of_somebodys_own() {
    let lock: serde_json::Value = serde_json::from_str(&file("package-lock.json")).unwrap();
    for (path, package) in lock["packages"].as_object().unwrap() {
        let resolved = package["resolved"].as_str().unwrap_or_default();
        let fine = resolved.is_empty()
            || resolved.starts_with("extensions/")
            || resolved.starts_with("https://registry.npmjs.org/");
        assert!(fine, "{path}: {resolved}");
        let own = path.is_empty() || path.starts_with("extensions/") || package["link"] == true;
        assert!(
            own || package["integrity"].is_string(),
            "{path} has no checksum"
        );
    }
}
