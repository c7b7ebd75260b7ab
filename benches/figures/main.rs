//! The figures: what the product does in a second, each beside what bounds it, measured in the
//! same run against a sink in a process of its own.
//!
//! `cargo bench` measures all on SQLite; `cargo bench -- send --people 100000` one part;
//! `cargo bench -- --database postgres://user@host/postgres` on PostgreSQL, in a database
//! `pagecast_bench` that is made anew. Nothing here asserts a time: read the table.

mod admin;
mod intake;
mod load;
mod operator;
mod process;
mod receipts;
mod redirect;
mod seed;
mod sending;
mod sink;
mod table;

use clap::{Parser, ValueEnum};

use operator::Operator;
use table::Table;

#[derive(Debug, Parser)]
struct Arguments {
    /// What to measure; all when none is named.
    parts: Vec<Part>,
    /// A PostgreSQL server to make the database on; SQLite in a temporary folder otherwise.
    #[arg(long)]
    database: Option<String>,
    /// Subscribers of the workspace.
    #[arg(long, default_value_t = 1_000_000)]
    people: i64,
    /// Pages they are spread over: each may send 300 a second, so many make the limit ours.
    #[arg(long, default_value_t = 150)]
    pages: i64,
    /// Campaigns that were sent to all of them, for the pages of the admin.
    #[arg(long, default_value_t = 10)]
    campaigns: i64,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the sink, on this port.
    #[arg(long, hide = true)]
    sink: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Launch,
    Send,
    Receipts,
    Redirect,
    Intake,
    Admin,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    if let Some(port) = arguments.sink {
        return sink::serve(port).await;
    }
    let wants = |part| arguments.parts.is_empty() || arguments.parts.contains(&part);
    let mut table = Table::new(arguments.database.as_deref());
    let operator = Operator::start(arguments.database.as_deref(), arguments.pages).await?;
    seed::people(&operator, arguments.people, arguments.pages).await?;
    // What comes later needs a campaign that was sent, so these two are always run.
    let campaign = sending::launch(&operator, arguments.people, &mut table).await?;
    sending::send(&operator, campaign, arguments.people, &mut table).await?;
    if wants(Part::Receipts) {
        receipts::measure(&operator, campaign, &mut table).await?;
    }
    if wants(Part::Redirect) {
        redirect::measure(&operator, campaign, arguments.people, &mut table).await?;
    }
    if wants(Part::Intake) {
        intake::measure(&operator, &mut table).await?;
    }
    if wants(Part::Admin) {
        seed::history(&operator, campaign, arguments.campaigns).await?;
        admin::measure(&operator, campaign, &mut table).await?;
    }
    table.print();
    Ok(())
}
