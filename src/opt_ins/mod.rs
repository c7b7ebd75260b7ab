//! Where subscribers come from: opt-in links, their QR codes and landing pages, the card that asks.

mod arrive;
mod gone;
mod leave;
mod links;
mod reference;
mod resync;
mod token_list;

pub use arrive::{arrive, ask_again, shown};
pub use leave::{SECOND_THOUGHTS, owe, take_out, tell_due};
pub use links::{
    Link, LinkError, NewLink, create_link, default_consent_text, link, link_by_slug, links,
    standing_link,
};
pub use reference::{reference, resolve_reference};
pub use resync::{lists_read, resync_due, resync_page};
