//! Webhooks in: kept before the answer, understood by a job. The only place where a platform's
//! event becomes a product function's call.

mod checkouts;
mod decisions;
mod inbox;
mod keywords;
mod klaviyo;
mod meta;
mod privacy;
mod process;
mod seen;
mod shopify;

pub use inbox::{Arrival, Kept, Platform, find, list, receive, replay};
pub use process::{process_due, process_klaviyo_due};
