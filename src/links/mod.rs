//! Links in messages: the click code, the tags on the way to the shop, and who clicked.

mod clicks;
mod code;
mod counted;
mod tags;

pub use clicks::{Click, Recorder, keep};
pub use code::{code, parse_code};
pub use counted::is_counted;
pub use tags::{Tags, tag};
