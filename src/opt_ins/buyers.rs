//! The way in for somebody who has just bought: a link that knows their customer and checkout, so
//! that who they are in Messenger and in the shop is one person from the first word on.

use crate::app::App;
use crate::opt_ins::links::{find_or_make, speaking_page, standing_link};
use crate::opt_ins::{Language, Link, LinkError, NewLink};
use crate::store::clean;
use crate::store::ids::WorkspaceId;
use crate::store::sealed::Purpose;
use crate::subscribers::Known;
use crate::workspaces;

/// The source of everybody who comes this way, and what a list calls the link.
const SOURCE: &str = "checkout";
const NAME: &str = "Thank-you page";
/// What a merchant may write for the shopper to agree to.
const LONGEST_TEXT: usize = 500;

/// Who bought, as far as it is proven.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buyer {
    pub customer_id: Option<String>,
    pub checkout_token: Option<String>,
}

impl Buyer {
    /// What is the same however often they look.
    fn key(&self) -> Option<String> {
        let checkout = self.checkout_token.as_ref();
        let customer = self.customer_id.as_ref();
        checkout
            .map(|token| format!("checkout\n{token}"))
            .or_else(|| customer.map(|id| format!("customer\n{id}")))
    }
}

/// What there is to show.
#[derive(Debug)]
pub enum BuyersWay {
    Link(Box<Link>),
    /// They are subscribed already.
    Subscribed,
}

/// The buyer's own link, the same however often they look; a buyer of whom nothing is proven gets
/// the one that everybody gets. The merchant's text is what the ledger will say was shown.
pub async fn link_for_buyer(
    app: &App,
    ws: WorkspaceId,
    buyer: &Buyer,
    language: Language,
    merchants_text: Option<&str>,
) -> Result<BuyersWay, LinkError> {
    let page = speaking_page(app, ws).await?;
    if is_subscribed(app, &page, buyer).await? {
        return Ok(BuyersWay::Subscribed);
    }
    let Some(who) = buyer.key() else {
        // Whoever proves nothing cannot put words into the ledger either.
        let link = standing_link(app, ws, SOURCE, NAME, language).await?;
        return Ok(BuyersWay::Link(Box::new(link)));
    };
    let text = merchants_text
        .map(|text| clean(text.trim()))
        .filter(|text| !text.is_empty())
        .map(|text| text.chars().take(LONGEST_TEXT).collect::<String>())
        .unwrap_or_else(|| language.consent(&page.name));
    // A key from which nobody reads whose it is; other words make another link.
    let mac: [u8; 16] = app.keys.sign(
        Purpose::Reference,
        format!("buyer\n{who}\n{text}").as_bytes(),
    );
    let new = NewLink {
        name: NAME.to_owned(),
        source: SOURCE.to_owned(),
        consent_text: Some(text),
        known: Known {
            customer_id: buyer.customer_id.clone(),
            ..Known::default()
        },
        checkout_token: buyer.checkout_token.clone(),
        about: None,
    };
    let link = find_or_make(app, &page, &format!("buyer:{}", hex::encode(mac)), new).await?;
    Ok(BuyersWay::Link(Box::new(link)))
}

/// Whether this customer of the shop is written to by the Page that speaks for it.
pub async fn is_customer_subscribed(
    app: &App,
    ws: WorkspaceId,
    customer_id: &str,
) -> anyhow::Result<bool> {
    let page = match speaking_page(app, ws).await {
        Ok(page) => page,
        Err(LinkError::NoPage) => return Ok(false),
        Err(LinkError::Other(error)) => return Err(error),
    };
    let buyer = Buyer {
        customer_id: Some(customer_id.to_owned()),
        checkout_token: None,
    };
    Ok(is_subscribed(app, &page, &buyer).await?)
}

async fn is_subscribed(
    app: &App,
    page: &workspaces::Page,
    buyer: &Buyer,
) -> Result<bool, sqlx::Error> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM subscribers
         WHERE workspace_id = $1 AND page_id = $2 AND opted_in_at IS NOT NULL
           AND opted_out_at IS NULL AND erased_at IS NULL
           AND id IN (
             SELECT id FROM subscribers WHERE workspace_id = $1 AND customer_id = $3
             UNION SELECT id FROM subscribers WHERE workspace_id = $1 AND checkout_token = $4)
         LIMIT 1",
    )
    .bind(page.workspace)
    .bind(page.id)
    .bind(buyer.customer_id.as_deref())
    .bind(buyer.checkout_token.as_deref())
    .fetch_optional(app.db.pool())
    .await?;
    Ok(found.is_some())
}

/// Whether the shop told us of this checkout: nobody can make up a token that it did.
pub async fn knows_checkout(app: &App, ws: WorkspaceId, token: &str) -> anyhow::Result<bool> {
    let found: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM checkouts WHERE workspace_id = $1 AND token = $2
         UNION ALL SELECT 1 FROM orders WHERE workspace_id = $1 AND checkout_token = $2
         LIMIT 1",
    )
    .bind(ws)
    .bind(token)
    .fetch_optional(app.db.pool())
    .await?;
    Ok(found.is_some())
}
