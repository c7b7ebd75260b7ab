//! Figures: read-only, from anybody's tables. Parts add up to the whole.

mod campaign;
mod days;
mod glance;
mod log;
mod needs;
mod overview;
mod set_up;
mod stopped;

pub use campaign::{
    Figures, LinkClicks, Revenue, automation, automations, campaign, campaign_links, campaigns,
};
pub use glance::{Glance, glance};
pub use log::{LogEntry, LogFilter, attempts, automation_log, campaign_log, subscriber_log};
pub use needs::{Needs, needs};
pub use overview::{Change, Day, Overview, overview};
pub use set_up::{Done, set_up};
pub use stopped::{Stopped, stopped};
