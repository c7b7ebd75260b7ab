//! Stories: what people do, told through the public surface, with the sandbox on the other side
//! and a clock that is moved by hand. Every story runs on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

mod agency;
mod automations;
mod back_in_stock;
mod browser;
mod campaigns;
mod connections;
mod coupons;
mod crash;
mod delivery;
mod doors;
mod echoes;
mod embedded;
mod embedded_browser;
mod extensions;
mod facebook;
mod facebook_browser;
mod faults;
mod halts;
mod inbox;
mod journeys;
mod klaviyo_tokens;
mod lateness;
mod leaving;
mod main_job;
mod meta_callbacks;
mod missed_orders;
mod plans;
mod privacy;
mod product_cards;
mod proxy;
mod replay;
mod resync;
mod second_try;
mod set_up;
mod shop_tokens;
mod turns;
mod two_pages;
mod videos;
mod vitals;
