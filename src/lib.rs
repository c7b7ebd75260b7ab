//! Pagecast: marketing on Messenger that a Shopify merchant can trust.
//!
//! Shoppers opt in; store webhooks and Klaviyo's events become messages and broadcasts to those who
//! did; purchases are linked back to the campaign that caused them. This page is the map; the
//! modules below stand in reading order, and arrows between them point up this list, never down
//! (`tests/architecture.rs` holds that).
//!
//! # The bands
//!
//! 1. **Foundations** know nothing of the business: [`chance`], [`clock`], [`config`],
//!    [`http_client`], [`queue`], [`store`], [`telemetry`].
//! 2. **Platforms** know protocol only ([`shopify`], [`klaviyo`], [`meta`]): bytes and calls in,
//!    typed answers or an error that says *retry after*, *refused* or *reconnect* out. No database,
//!    no consent.
//! 3. **[`app`]** holds what every product function reaches.
//! 4. **Product**, each module with few verbs and its own tables: [`workspaces`], [`profiles`],
//!    [`tallies`], [`subscribers`], [`links`], [`delivery`], [`opt_ins`], [`campaigns`],
//!    [`automations`], [`attribution`], [`analytics`].
//! 5. **Surfaces** translate: [`webhooks`] (their event becomes our call), [`worker`] (a job
//!    becomes our call), [`web`] (a request becomes our call), [`sandbox`] (the platforms,
//!    imitated), [`server`] (the process), [`demo`] and [`cli`].
//!
//! # The path of one abandoned checkout
//!
//! 1. `POST /webhooks/shopify` reaches `web::hooks`: the raw bytes are verified, and
//!    [`webhooks::receive`] keeps them in the inbox before the answer. A repeat changes nothing.
//! 2. [`webhooks::process_due`] understands them in one transaction: the checkout is kept, the
//!    customer is recognised as a subscriber, [`automations::start`] writes a run that is due later.
//! 3. [`automations::advance_due`] asks again when it is due (did they order? did they say STOP?),
//!    fills in the words, and [`delivery::enqueue`] writes a `queued` message.
//! 4. [`delivery::send_due`] claims a batch in one transaction: the policy decides for each person
//!    (send, later, never, and why), the day's one marketing message is taken, the Page's pace gives
//!    slots. Then it speaks to Meta, many at once, and writes what happened in few statements. A lost
//!    answer is `unknown`, never "failed" and never "sent".
//! 5. Echo, delivery and read come through the same door as 1, into [`delivery::record_receipt`].
//! 6. `GET /c/{code}`: the code is the message and the link's number, signed; no row is needed to
//!    lead on, and the click is written behind the answer.
//! 7. The order's webhook reaches [`attribution::record_order`]: one order, one credit, by the rule
//!    and the window that stand in the credit's row. An order whose webhook was lost is found
//!    within the hour ([`webhooks::reconcile_orders`]).
//! 8. [`analytics`] reads, [`web`] draws: figures from the [`tallies`] that the writers of 4 to 7
//!    kept, lists from the rows.
//!
//! A campaign enters at 4: [`campaigns::advance`] freezes its audience with one `INSERT .. SELECT`.
//!
//! # What holds everywhere
//!
//! * Rows are the truth, jobs only say where to look. A lost job loses nothing, a doubled one does
//!   nothing twice, and what a crash left is found by the same code that would have done it.
//! * Every query names its workspace. One table has one owner; only the owner writes it.
//! * Nobody outside [`store`] asks which database runs; nobody outside [`queue`] and [`worker`]
//!   knows apalis; nobody outside [`web`], [`server`] and [`sandbox`] knows axum.
//! * Time and chance come in as values. Nothing personal and no secret is ever logged.
//! * There is no `if sandbox`: only addresses differ.

// foundations
pub mod chance;
pub mod clock;
pub mod config;
pub mod http_client;
pub mod queue;
pub mod store;
pub mod telemetry;

// platforms
pub mod klaviyo;
pub mod meta;
pub mod shopify;

pub mod app;

// product; rustfmt sorts them, the text above has the order of reading
pub mod analytics;
pub mod attribution;
pub mod automations;
pub mod campaigns;
pub mod delivery;
pub mod links;
pub mod opt_ins;
pub mod profiles;
pub mod subscribers;
pub mod tallies;
pub mod workspaces;

// surfaces
pub mod cli;
pub mod demo;
pub mod sandbox;
pub mod server;
pub mod web;
pub mod webhooks;
pub mod worker;
