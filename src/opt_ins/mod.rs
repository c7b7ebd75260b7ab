//! Where subscribers come from: opt-in links, their QR codes and landing pages, the card that asks.

mod arrive;
mod buyers;
mod gone;
mod leave;
mod links;
mod reference;
mod resync;
mod stock;
mod token_list;
mod words;

pub use arrive::{arrive, ask_again, is_ours, shown};
pub use buyers::{Buyer, BuyersWay, is_customer_subscribed, knows_checkout, link_for_buyer};
pub use leave::{SECOND_THOUGHTS, owe, take_out, tell_due};
pub use links::{
    Link, LinkError, NewLink, create_link, create_link_as, link, link_by_slug, links, standing_link,
};
pub use reference::{reference, resolve_reference};
pub use resync::{lists_read, resync_due, resync_page};
pub use stock::{
    Watch, Watched, back_since, came_back, stock_link, take_watches, told, watch_variant, watched,
};
pub use words::Language;
