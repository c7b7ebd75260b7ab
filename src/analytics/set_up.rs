//! What of the set-up is done, as the rows say.

use crate::app::App;
use crate::store::ids::WorkspaceId;

/// What is there already.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says of one thing whether it is there; none depends on another"
)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub shop: bool,
    pub page: bool,
    /// A Page has an ad account that Meta bills.
    pub ad_account: bool,
    pub klaviyo: bool,
    /// Somebody opted in.
    pub subscriber: bool,
    pub campaign: bool,
}

pub async fn set_up(app: &App, ws: WorkspaceId) -> anyhow::Result<Done> {
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT 'shop' WHERE EXISTS \
           (SELECT 1 FROM shops WHERE workspace_id = $1 AND uninstalled_at IS NULL) \
         UNION ALL SELECT 'page' WHERE EXISTS \
           (SELECT 1 FROM pages WHERE workspace_id = $1 AND disconnected_at IS NULL) \
         UNION ALL SELECT 'ad_account' WHERE EXISTS \
           (SELECT 1 FROM pages WHERE workspace_id = $1 AND disconnected_at IS NULL \
              AND ad_account IS NOT NULL AND ad_token_sealed IS NOT NULL) \
         UNION ALL SELECT 'klaviyo' WHERE EXISTS \
           (SELECT 1 FROM klaviyo_accounts WHERE workspace_id = $1) \
         UNION ALL SELECT 'subscriber' WHERE EXISTS \
           (SELECT 1 FROM subscribers WHERE workspace_id = $1 AND opted_in_at IS NOT NULL) \
         UNION ALL SELECT 'campaign' WHERE EXISTS \
           (SELECT 1 FROM campaigns WHERE workspace_id = $1)",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    let has = |name: &str| found.iter().any(|one| one == name);
    Ok(Done {
        shop: has("shop"),
        page: has("page"),
        ad_account: has("ad_account"),
        klaviyo: has("klaviyo"),
        subscriber: has("subscriber"),
        campaign: has("campaign"),
    })
}
