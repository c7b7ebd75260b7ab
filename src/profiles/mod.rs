//! The Klaviyo side of our subscribers: segments and lists come in, events go out.

mod outbox;
mod segments;
mod send;

pub use outbox::{Report, is_wanted, report};
pub use segments::{Group, groups, refresh_names, sync_due, want};
pub use send::send_due;
