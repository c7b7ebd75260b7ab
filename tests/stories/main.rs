//! Stories: what people do, told through the public surface, with the sandbox on the other side
//! and a clock that is moved by hand. Every story runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod agency;
mod automations;
mod browser;
mod campaigns;
mod connections;
mod crash;
mod delivery;
mod embedded;
mod embedded_browser;
mod facebook;
mod facebook_browser;
mod faults;
mod inbox;
mod leaving;
mod main_job;
mod meta_callbacks;
mod plans;
mod privacy;
mod proxy;
mod replay;
mod resync;
mod set_up;
mod shop_tokens;
mod vitals;
