//! The Klaviyo side of our subscribers: segments and lists come in, events go out.

mod outbox;
mod segments;

pub use outbox::{Report, report, send_due};
pub use segments::{Group, groups, refresh_names, sync_due, want};
