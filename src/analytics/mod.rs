//! Figures: read-only, from anybody's tables. Parts add up to the whole.

mod campaign;
mod log;
mod overview;

pub use campaign::{Figures, LinkClicks, Revenue, automation, campaign, campaign_links, campaigns};
pub use log::{LogEntry, LogFilter, attempts, campaign_log, subscriber_log};
pub use overview::{Change, Day, Needs, Overview, needs, overview};
