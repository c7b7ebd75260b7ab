//! The Klaviyo side of our subscribers: segments and lists come in, events go out.

mod outbox;
mod people;
mod segments;
mod send;
mod sync;

pub use outbox::{Report, is_wanted, report};
pub use segments::{Group, groups, refresh_names, want};
pub use send::send_due;
pub use sync::sync_due;
