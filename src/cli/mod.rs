//! The command line: what a script needs stands alone on standard output, words for people go to
//! standard error. An error is a sentence and what to do, with exit code 1 (2: wrong usage).

mod connect;
mod doctor;
mod webhooks;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use secrecy::ExposeSecret;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::queue::Queue;
use crate::server::{self, Role};
use crate::store::Database;
use crate::store::ids::WorkspaceId;
use crate::telemetry::{self, Reader};
use crate::{demo, sandbox, workspaces};

/// Marketing on Messenger that a Shopify merchant can trust.
///
/// Settings come from the environment; `pagecast doctor` says what is missing.
#[derive(Debug, Parser)]
#[command(name = "pagecast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the web and do the work.
    Serve {
        /// What this process does.
        #[arg(long, value_enum, default_value_t = Role::All)]
        role: Role,
    },
    /// Bring the database to this version's tables.
    Migrate,
    /// Show the product with imitated platforms and a seeded store; needs no account.
    Demo,
    /// Imitate Meta, Shopify and Klaviyo on loopback.
    Sandbox,
    /// Check configuration, connections, tokens and webhook subscriptions; say what to do.
    Doctor,
    /// Look at the webhooks that came in, and process them again.
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Make workspaces.
    #[command(subcommand)]
    Workspace(Workspace),
    /// Make API tokens.
    #[command(subcommand)]
    Token(Token),
    /// Connect a shop, a Page or a Klaviyo account by tokens you hold.
    #[command(subcommand)]
    Connect(connect::Connect),
    /// Print a link that signs a browser in, once, within a quarter of an hour.
    Login {
        #[arg(long)]
        workspace: WorkspaceId,
    },
}

#[derive(Debug, Subcommand)]
enum Workspace {
    /// Make a workspace and print its id.
    Create {
        #[arg(long)]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make an API token and print it; it is shown this once.
    Create {
        #[arg(long)]
        workspace: WorkspaceId,
        /// What the token is for.
        #[arg(long)]
        name: String,
    },
}

/// Reads the arguments, runs the command, and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")
        .and_then(|runtime| runtime.block_on(run(cli.command)));
    match ended {
        Ok(code) => code,
        Err(error) => {
            eprintln!("pagecast: {}", told_once(&error));
            ExitCode::FAILURE
        }
    }
}

/// The error and its causes; libraries like to repeat a cause in each layer above it.
fn told_once(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve { role } => server::run(role).await?,
        Command::Demo => demo::run().await?,
        Command::Sandbox => sandbox::run_standalone(sandbox::Config::new(Clock::system())).await?,
        Command::Doctor => return doctor::run().await,
        Command::Migrate => {
            let app = open().await?;
            let (known, _) = app.db.migration_state().await?;
            Queue::open(&app.config.database_url).await?.close().await;
            eprintln!("The database has all {known} migrations.");
        }
        Command::Webhooks(command) => webhooks::run(&open().await?, command).await?,
        Command::Workspace(Workspace::Create { name }) => {
            println!("{}", workspaces::create(&open().await?, &name).await?);
        }
        Command::Token(Token::Create { workspace, name }) => {
            let app = open().await?;
            known_workspace(&app, workspace).await?;
            let token = workspaces::create_token(&app, workspace, &name).await?;
            println!("{}", token.expose_secret());
            eprintln!("Keep the token: it is not shown again.");
        }
        Command::Connect(command) => connect::run(&open().await?, command).await?,
        Command::Login { workspace } => {
            let app = open().await?;
            known_workspace(&app, workspace).await?;
            println!("{}", workspaces::login_link(&app, workspace).await?.url);
            eprintln!("Open it in a browser within 15 minutes; it works once.");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The app for one command: the database migrated, nudges silent (a running server's clockwork
/// finds within a second what a command left to do).
async fn open() -> anyhow::Result<App> {
    let config = Config::from_env()?;
    telemetry::log(&config, Reader::Person)?;
    let db = Database::connect(&config.database_url).await?;
    db.migrate().await?;
    App::new(config, Clock::system(), db, Queue::silent())
}

async fn known_workspace(app: &App, id: WorkspaceId) -> anyhow::Result<workspaces::Workspace> {
    workspaces::find(app, id).await?.with_context(|| {
        format!("There is no workspace {id}. Make one with `pagecast workspace create --name …`.")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn an_error_says_each_of_its_causes_once() {
        let error = anyhow::anyhow!("no entry")
            .context("migrate: no entry")
            .context("set up");
        assert_eq!(told_once(&error), "set up: migrate: no entry");
    }

    #[test]
    fn the_commands_are_those_of_the_contract() {
        Cli::command().debug_assert();
        let ws = WorkspaceId(7).to_string();
        for line in [
            "serve",
            "serve --role web",
            "serve --role worker",
            "migrate",
            "demo",
            "sandbox",
            "doctor",
            "webhooks list",
            "webhooks replay",
            "webhooks replay --failed",
            "workspace create --name Harbour",
            "token create --workspace WS --name api",
            "login --workspace WS",
            "connect shop --workspace WS --shop s.myshopify.com --token-file -",
            "connect page --workspace WS --page 1 --token-file t",
            "connect page --workspace WS --page 1 --token-file t --ad-account act_1 --ad-token-file a",
            "connect klaviyo --workspace WS --private-key-file k",
            "connect klaviyo --workspace WS --refresh-token-file r",
        ] {
            let line = line.replace("WS", &ws);
            let parsed = Cli::try_parse_from(format!("pagecast {line}").split(' '));
            assert!(parsed.is_ok(), "{line}: {parsed:?}");
        }
        for line in [
            "",
            "serve --role queue",
            "webhooks replay wh_1 --failed",
            "token create --workspace cmp_1 --name x",
            "connect klaviyo --workspace WS",
            "connect klaviyo --workspace WS --private-key-file k --refresh-token-file r",
        ] {
            let line = line.replace("WS", &ws);
            let parsed = Cli::try_parse_from(format!("pagecast {line}").split_whitespace());
            assert!(parsed.is_err(), "{line}");
        }
    }
}
