//! Pagecast: marketing on Messenger that a Shopify merchant can trust.

// foundations
pub mod clock;
pub mod config;
pub mod http_client;
pub mod queue;
pub mod store;
pub mod telemetry;

// platforms
pub mod klaviyo;
pub mod meta;
pub mod shopify;

pub mod app;

// product
pub mod analytics;
pub mod attribution;
pub mod automations;
pub mod campaigns;
pub mod delivery;
pub mod links;
pub mod opt_ins;
pub mod profiles;
pub mod subscribers;
pub mod workspaces;

// surfaces
pub mod cli;
pub mod demo;
pub mod sandbox;
pub mod server;
pub mod web;
pub mod webhooks;
pub mod worker;
