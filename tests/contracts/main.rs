//! What we say to the platforms and what we understand of them, held against their own documents
//! in `tests/fixtures`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod klaviyo_calls;
mod meta_calls;
mod meta_login;
mod meta_samples;
mod recorder;
mod shopify_admin;
mod shopify_samples;
mod shopify_tokens;
mod shopify_vectors;

use serde_json::Value;

/// A fixture as JSON.
fn fixture(path: &str) -> Value {
    serde_json::from_slice(&bytes(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A fixture as it stands.
fn bytes(path: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|why| panic!("{path}: {why}"))
}
