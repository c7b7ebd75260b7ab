//! `webhooks`: what came in, and processing it again.

use anyhow::{bail, ensure};
use clap::Subcommand;

use crate::app::App;
use crate::clock::rfc3339;
use crate::store::ids::WebhookId;
use crate::store::page::{Cursor, MAX_LIMIT};
use crate::webhooks::{self, Kept};

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// List deliveries, newest first: id, received, platform, topic, account, state, attempts,
    /// error; separated by tabs.
    List {
        /// Only those that could not be processed.
        #[arg(long)]
        failed: bool,
        /// How many, 1 to 200.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=MAX_LIMIT))]
        limit: i64,
    },
    /// Process deliveries again; prints their ids.
    Replay {
        /// As `webhooks list` shows it.
        #[arg(conflicts_with = "failed")]
        id: Option<WebhookId>,
        /// All that could not be processed.
        #[arg(long)]
        failed: bool,
    },
}

pub(super) async fn run(app: &App, command: Webhooks) -> anyhow::Result<()> {
    match command {
        Webhooks::List { failed, limit } => {
            let cursor = Cursor { after: None, limit };
            let page = webhooks::list(app, None, failed, cursor).await?;
            for kept in &page.rows {
                println!("{}", line(kept));
            }
            if page.rows.is_empty() {
                eprintln!("There are none.");
            }
            Ok(())
        }
        Webhooks::Replay { id: Some(id), .. } => {
            if !webhooks::replay(app, None, id).await? {
                bail!("There is no webhook {id}. `pagecast webhooks list` shows what there is.");
            }
            println!("{id}");
            eprintln!("It is open again; a running worker takes it within a second.");
            Ok(())
        }
        Webhooks::Replay { failed: true, .. } => replay_failed(app).await,
        Webhooks::Replay { .. } => bail!(
            "Say which: `pagecast webhooks replay ID` with an id from `pagecast webhooks list`, or \
             `pagecast webhooks replay --failed` for all that could not be processed."
        ),
    }
}

/// The whole list is read before the first is opened again: opening one takes it off the list.
async fn replay_failed(app: &App) -> anyhow::Result<()> {
    let mut ids = Vec::new();
    let mut cursor = Cursor {
        after: None,
        limit: MAX_LIMIT,
    };
    loop {
        let page = webhooks::list(app, None, true, cursor).await?;
        ids.extend(page.rows.iter().map(|kept| kept.id));
        match Cursor::parse(page.next.as_deref(), Some(MAX_LIMIT)) {
            Some(next) if page.next.is_some() => cursor = next,
            _ => break,
        }
    }
    let mut replayed = 0_usize;
    for id in &ids {
        if webhooks::replay(app, None, *id).await? {
            println!("{id}");
            replayed += 1;
        }
    }
    ensure!(
        replayed == ids.len(),
        "{} of {} could not be opened again.",
        ids.len() - replayed,
        ids.len()
    );
    eprintln!("{replayed} are open again; a running worker takes them within a second.");
    Ok(())
}

fn line(kept: &Kept) -> String {
    let state = match (kept.processed_at, &kept.error) {
        (_, Some(_)) => "failed",
        (Some(_), None) => "processed",
        (None, None) => "open",
    };
    let error = kept.error.as_deref().unwrap_or("");
    [
        kept.id.to_string(),
        rfc3339(kept.received_at),
        kept.platform.clone(),
        kept.topic.clone(),
        kept.account.clone(),
        state.to_owned(),
        kept.attempts.to_string(),
        error.replace(['\t', '\n', '\r'], " "),
    ]
    .join("\t")
}
