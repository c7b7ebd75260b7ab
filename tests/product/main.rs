//! Product functions against a database of their own: SQLite by default, PostgreSQL where
//! `TEST_DATABASE_URL` names one. What the stories tell through HTTP is not told again here; these
//! are the orders of events that a story cannot bring about.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod attribution;
mod automations;
mod clicks;
mod figures;
mod million;
mod profiles;
mod tallies;
mod world;
