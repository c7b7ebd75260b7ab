//! Delivery: what one subscriber is to be told once, from `queued` to its receipts. The path of a
//! message: [`enqueue()`] (or a campaign's launch) writes the row; [`send_due`] claims a batch
//! (`batch`), asks the policy (`policy`), takes the Page's pace (`pace`), speaks (`speak`) and
//! writes what happened (`outcome`); [`record_receipt`] hears the echo; [`sweep`] finds what a
//! crash left.

pub mod content;
pub mod limits;
pub mod policy;
pub mod region;
pub mod warm_up;

mod batch;
mod destination;
mod disconnected;
mod enqueue;
mod leases;
mod outcome;
mod pace;
mod queue_sql;
mod receipts;
mod render;
mod repair;
mod retry;
mod send;
mod sorter;
mod speak;

pub use batch::SETTLE_BEFORE;
pub use content::{Content, Message};
pub use destination::{Destination, Destinations};
pub use enqueue::{MessageKind, NewMessage, enqueue, enqueue_test};
pub use limits::Problem;
pub use policy::Channel;
pub use receipts::{MarketingReceipt, Receipt, record_receipt};
pub use repair::{cancel_queued, reopen_failed};
pub use send::{UNSETTLED, pages_due, send_due, sweep};
