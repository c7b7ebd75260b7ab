//! Links in messages: the click code, the tags on the way to the shop, and who clicked.

mod clicks;
mod code;
mod tags;

pub use clicks::{Click, Recorder, is_counted};
pub use code::{code, parse_code};
pub use tags::{Tags, tag};
