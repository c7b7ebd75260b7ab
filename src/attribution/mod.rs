//! Attribution: which click an order is owed to. An order is credited once, refunds take back.

pub mod credit;

mod orders;

pub use orders::{
    CreditView, Order, OrderFilter, find, list, record_order, record_refund, sweep_journeys,
};
