//! "Tell me when it is back" in the storefront: the way into Messenger about one variant, offered
//! only while the merchant has an automation that keeps what it promises.

use axum::extract::{Extension, OriginalUri, State};
use axum::response::Response;
use serde_json::json;

use crate::app::App;
use crate::automations;
use crate::opt_ins::{self, LinkError, Watched};
use crate::web::Web;
use crate::web::proxy::{ByShop, OptIn, Refusal, admitted, kept, language, parameter};
use crate::workspaces::{self, Shop};

/// `GET /proxy/stock?variant=`: `opt_in` is null where nobody would be told.
pub(super) async fn stock(
    State(web): State<Web>,
    Extension(limits): Extension<ByShop>,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, Refusal> {
    let app = &web.app;
    let (query, shop) = admitted(app, &limits, uri.query()).await?;
    let variant = parameter(&query, "variant").and_then(|id| id.parse::<i64>().ok());
    let Some(variant) = variant.filter(|id| *id > 0) else {
        return Err(Refusal::Wrong("variant is the number of a variant"));
    };
    let nothing = || kept(&json!({ "opt_in": null }));
    if !automations::answers_to(app, shop.workspace, "back_in_stock").await? {
        return Ok(nothing());
    }
    let Some(thing) = thing(app, &shop, variant).await? else {
        return Ok(nothing());
    };
    match opt_ins::stock_link(app, &thing, language(&query)).await {
        Ok(link) => Ok(kept(&json!({ "opt_in": OptIn::from(link) }))),
        Err(LinkError::NoPage) => Ok(nothing()),
        Err(LinkError::Other(error)) => Err(error.into()),
    }
}

/// The variant as the shop shows it to us: anybody may ask for any number, and only what the shop
/// sells is kept.
async fn thing(app: &App, shop: &Shop, variant: i64) -> anyhow::Result<Option<Watched>> {
    let id = variant.to_string();
    if let Some(known) = opt_ins::watched(app, shop.workspace, &id).await? {
        return Ok(Some(known));
    }
    let asked = workspaces::ask_shop(app, shop, |token| async move {
        app.shopify.variant(&shop.domain, &token, variant).await
    })
    .await?;
    match asked {
        Ok(Some(found)) => {
            let thing = Watched {
                workspace_id: shop.workspace,
                id,
                title: found.title,
                url: found.url,
                image_url: found.image_url,
                in_stock_at: None,
            };
            opt_ins::watch_variant(app, &thing).await?;
            Ok(Some(thing))
        }
        Ok(None) => Ok(None),
        Err(error) => {
            tracing::warn!(shop.id = %shop.id, "A variant was not shown: {error}");
            Ok(None)
        }
    }
}
