//! `connect`: for operators who hold their own tokens. Tokens come from files or standard input,
//! never from arguments, which other users of the machine can see.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::{ArgGroup, Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use super::known_workspace;
use crate::app::App;
use crate::shopify::ShopDomain;
use crate::store::ids::WorkspaceId;
use crate::workspaces::{self, ConnectPage, KlaviyoSecret};

#[derive(Debug, Subcommand)]
pub(super) enum Connect {
    /// Connect the workspace's Shopify shop.
    Shop(Shop),
    /// Connect a Facebook Page: subscribes its webhooks and sets Get Started.
    Page(Page),
    /// Connect the workspace's Klaviyo account; prints the header for flow webhooks.
    Klaviyo(Klaviyo),
}

#[derive(Debug, Args)]
pub(super) struct Shop {
    #[arg(long)]
    workspace: WorkspaceId,
    /// The shop's permanent domain, as example.myshopify.com.
    #[arg(long = "shop")]
    domain: String,
    /// File with the Admin API access token; - reads standard input.
    #[arg(long)]
    token_file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Page {
    #[arg(long)]
    workspace: WorkspaceId,
    /// The Page's numeric id.
    #[arg(long = "page")]
    meta_id: String,
    /// File with the Page token; - reads standard input.
    #[arg(long)]
    token_file: PathBuf,
    /// The ad account that pays for marketing messages, as `act_1234567890`.
    #[arg(long)]
    ad_account: Option<String>,
    /// File with the token that may use the ad account; - reads standard input.
    #[arg(long)]
    ad_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("secret").required(true)))]
pub(super) struct Klaviyo {
    #[arg(long)]
    workspace: WorkspaceId,
    /// File with an OAuth refresh token; - reads standard input.
    #[arg(long, group = "secret")]
    refresh_token_file: Option<PathBuf>,
    /// File with a private API key; - reads standard input.
    #[arg(long, group = "secret")]
    private_key_file: Option<PathBuf>,
}

pub(super) async fn run(app: &App, command: Connect) -> anyhow::Result<()> {
    match command {
        Connect::Shop(given) => shop(app, given).await,
        Connect::Page(given) => page(app, given).await,
        Connect::Klaviyo(given) => klaviyo(app, given).await,
    }
}

async fn shop(app: &App, given: Shop) -> anyhow::Result<()> {
    known_workspace(app, given.workspace).await?;
    let domain = given
        .domain
        .trim()
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_lowercase();
    let Some(shop) = ShopDomain::parse(&domain) else {
        bail!("--shop takes the shop's permanent domain, as example.myshopify.com.");
    };
    let token = secret(&given.token_file)?;
    let id = workspaces::connect_shop(app, given.workspace, shop, token).await?;
    println!("{id}");
    eprintln!("The shop is connected.");
    Ok(())
}

async fn page(app: &App, given: Page) -> anyhow::Result<()> {
    known_workspace(app, given.workspace).await?;
    let stdin = Path::new("-");
    ensure!(
        given.token_file != stdin || given.ad_token_file.as_deref() != Some(stdin),
        "Only one of --token-file and --ad-token-file can read standard input."
    );
    let page = ConnectPage {
        meta_id: given.meta_id,
        token: secret(&given.token_file)?,
        ad_account: given.ad_account,
        ad_token: given.ad_token_file.as_deref().map(secret).transpose()?,
    };
    let payable = page.ad_account.is_some() && page.ad_token.is_some();
    let id = workspaces::connect_page(app, given.workspace, page).await?;
    println!("{id}");
    eprintln!("The Page is connected.");
    if !payable {
        eprintln!(
            "Without --ad-account and --ad-token-file it can answer within 24 hours, but not send \
             marketing messages."
        );
    }
    Ok(())
}

async fn klaviyo(app: &App, given: Klaviyo) -> anyhow::Result<()> {
    known_workspace(app, given.workspace).await?;
    let held = match (given.refresh_token_file, given.private_key_file) {
        (Some(file), _) => KlaviyoSecret::RefreshToken(secret(&file)?),
        (None, Some(file)) => KlaviyoSecret::PrivateKey(secret(&file)?),
        (None, None) => bail!("Give --refresh-token-file or --private-key-file."),
    };
    workspaces::connect_klaviyo(app, given.workspace, held).await?;
    let key = workspaces::flow_key(app, given.workspace).await?;
    println!("X-Pagecast-Key: {}", key.expose_secret());
    eprintln!(
        "Klaviyo is connected. Give a flow's webhook the address \
         {}/webhooks/klaviyo/{}/flow and the header above.",
        app.config.public_url, given.workspace
    );
    Ok(())
}

fn secret(file: &Path) -> anyhow::Result<SecretString> {
    let (text, from) = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("read the token from standard input")?;
        (text, "Standard input".to_owned())
    } else {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("read the token file {}", file.display()))?;
        (text, format!("The file {}", file.display()))
    };
    let token = text.trim();
    ensure!(!token.is_empty(), "{from} holds no token.");
    ensure!(
        !token.contains(|c: char| c.is_whitespace() || c.is_control()),
        "{from} holds more than one token; leave only the token in it."
    );
    Ok(SecretString::from(token.to_owned()))
}
