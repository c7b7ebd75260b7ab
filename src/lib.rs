//! Pagecast: marketing on Messenger that a Shopify merchant can trust.

pub mod clock;
pub mod http_client;

pub mod klaviyo;
pub mod meta;
pub mod shopify;

pub mod sandbox;
