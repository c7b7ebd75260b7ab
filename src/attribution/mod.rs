//! Attribution: which click an order is owed to. An order is credited once, refunds take back.

pub mod credit;

mod codes;
mod evidence;
mod hints;
mod journeys;
mod missed;
mod orders;
mod touches;
mod views;

pub use hints::{PixelHint, note_hint};
pub use journeys::sweep_journeys;
pub use missed::{may_be_owed, orders_behind};
pub use orders::{record_order, record_refund};
pub use views::{CreditView, Order, OrderFilter, find, list};
