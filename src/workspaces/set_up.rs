//! What a connection needs beside its token: names read, webhooks subscribed. What does not work
//! while connecting is told and tried again from here; only a dead token refuses a connection.

use secrecy::SecretString;

use super::{health, klaviyo, pages, shop_tokens, shops};
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::meta::{self, Class};
use crate::shopify::ShopDomain;
use crate::store::clean;
use crate::store::ids::{PageRowId, ShopId, WorkspaceId};

/// What comes back when somebody presses Get Started: webhooks take it for an opt-in.
pub(super) const GET_STARTED: &str = "pagecast:get_started";
/// After an answer that may be another the next time.
const SOON: Millis = 10 * MINUTE;
/// After a refusal: somebody has to change something first.
const LATER: Millis = DAY;
/// Connections of a kind that one sweep takes.
const BATCH: i64 = 20;

/// What connecting left to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left(Option<Millis>);

impl Left {
    /// Something was not answered, or not as hoped.
    pub(super) fn soon(&mut self) {
        self.0 = Some(SOON);
    }

    /// Something was refused.
    pub(super) fn later(&mut self) {
        self.0.get_or_insert(LATER);
    }

    /// When to try the rest again, if there is any.
    pub(super) fn due_at(self, now: Millis) -> Option<Millis> {
        self.0.map(|wait| now + wait)
    }
}

/// The Page's name as far as Meta told it, and what is left to do.
#[derive(Debug, Default)]
pub(super) struct PageSetUp {
    pub(super) name: Option<String>,
    /// Meta's id of whoever the token came from.
    pub(super) whose: Option<String>,
    pub(super) left: Left,
}

/// Meta does not accept the Page's token.
#[derive(Debug)]
pub(super) struct DeadToken {
    pub(super) error: meta::Error,
    pub(super) tried: &'static str,
}

/// Reads the Page, subscribes its webhooks, sets Get Started.
pub(super) async fn set_up_page(
    app: &App,
    meta_id: &str,
    token: &SecretString,
) -> Result<PageSetUp, DeadToken> {
    let mut done = PageSetUp {
        whose: whose(app, token).await,
        ..PageSetUp::default()
    };
    match app.meta.page(meta_id, token).await {
        Ok(told) => {
            if told.id != meta_id {
                tracing::warn!(
                    "Meta calls the Page {meta_id} by another number, {}. If its messages do not \
                     arrive, connect it by that one.",
                    told.id
                );
            }
            done.name = Some(clean(told.name.trim())).filter(|name| !name.is_empty());
        }
        Err(error) => {
            let error = unless_dead(error, "read the Page")?;
            tracing::warn!(
                "The Page's name could not be read ({error}); it is asked for again later."
            );
            wait(&mut done.left, &error);
        }
    }
    if let Err(error) = app.meta.subscribe_page(meta_id, token).await {
        let error = unless_dead(error, "subscribe the Page's webhooks")?;
        tracing::warn!(
            "The Page's webhooks could not be subscribed ({error}). Until they are, nothing that \
             people do on Messenger arrives here. It is tried again by itself; `pagecast doctor` \
             shows how it stands."
        );
        wait(&mut done.left, &error);
    }
    if let Err(error) = app.meta.set_get_started(meta_id, token, GET_STARTED).await {
        tracing::warn!(
            "The Get Started button could not be set ({error}). Until it is set, people who write \
             to the Page for the first time through an opt-in link arrive without that link. It is \
             tried again by itself."
        );
        wait(&mut done.left, &error);
    }
    Ok(done)
}

/// Not needed to work, but to stop when this person takes the access back at Meta.
async fn whose(app: &App, token: &SecretString) -> Option<String> {
    let told = app.meta.debug_token(token).await.ok()?;
    told.user_id.map(|id| clean(&id))
}

fn unless_dead(error: meta::Error, tried: &'static str) -> Result<meta::Error, DeadToken> {
    match &error {
        meta::Error::Api(answer) if answer.class == Class::ReconnectPage => {
            Err(DeadToken { error, tried })
        }
        _ => Ok(error),
    }
}

fn wait(left: &mut Left, error: &meta::Error) {
    match error {
        meta::Error::Api(answer) if !matches!(answer.class, Class::RetryLater | Class::BackOff) => {
            left.later();
        }
        _ => left.soon(),
    }
}

/// Tries again what connecting left undone and is due.
pub async fn set_up_due(app: &App) -> anyhow::Result<()> {
    for id in due_pages(app).await? {
        set_up_again(app, id).await?;
    }
    for (id, domain) in due_shops(app).await? {
        let Some(domain) = ShopDomain::parse(&domain) else {
            continue;
        };
        match shop_tokens::shop_token(app, id).await {
            Ok(Some(token)) => shops::set_up_again(app, id, &domain, &token).await?,
            Ok(None) => {}
            // One shop whose token cannot be renewed now must not hold up the others.
            Err(error) => tracing::warn!(shop.id = %id, "the shop waits: {error:#}"),
        }
    }
    for ws in due_klaviyo(app).await? {
        klaviyo::set_up_again(app, ws).await?;
    }
    Ok(())
}

async fn set_up_again(app: &App, id: PageRowId) -> anyhow::Result<()> {
    let Some(page) = pages::page(app, id).await? else {
        return Ok(());
    };
    let Some(token) = &page.token else {
        return Ok(());
    };
    match set_up_page(app, &page.meta_id, token).await {
        Ok(done) => {
            sqlx::query(
                "UPDATE pages SET name = COALESCE($2, name), setup_due_at = $3 WHERE id = $1",
            )
            .bind(id)
            .bind(done.name)
            .bind(done.left.due_at(app.clock.now()))
            .execute(app.db.writer())
            .await?;
            Ok(())
        }
        Err(dead) => {
            let (code, subcode, meaning) = match &dead.error {
                meta::Error::Api(answer) => (answer.code, answer.subcode, answer.meaning()),
                _ => (190, None, "Meta no longer accepts the Page's token"),
            };
            health::page_refused(app, id, code, subcode, meaning).await
        }
    }
}

/// Takes them by moving each on, so that of two workers one tries.
async fn due_pages(app: &App) -> anyhow::Result<Vec<PageRowId>> {
    let now = app.clock.now();
    Ok(sqlx::query_scalar(
        "UPDATE pages SET setup_due_at = $1
         WHERE id IN (SELECT id FROM pages WHERE setup_due_at <= $2 AND disconnected_at IS NULL
                        AND state = 'active' ORDER BY setup_due_at LIMIT $3)
           AND setup_due_at <= $2
         RETURNING id",
    )
    .bind(now + SOON)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

async fn due_shops(app: &App) -> anyhow::Result<Vec<(ShopId, String)>> {
    let now = app.clock.now();
    Ok(sqlx::query_as(
        "UPDATE shops SET setup_due_at = $1
         WHERE id IN (SELECT id FROM shops WHERE setup_due_at <= $2 AND uninstalled_at IS NULL
                      ORDER BY setup_due_at LIMIT $3)
           AND setup_due_at <= $2
         RETURNING id, domain",
    )
    .bind(now + SOON)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

async fn due_klaviyo(app: &App) -> anyhow::Result<Vec<WorkspaceId>> {
    let now = app.clock.now();
    Ok(sqlx::query_scalar(
        "UPDATE klaviyo_accounts SET setup_due_at = $1
         WHERE workspace_id IN (SELECT workspace_id FROM klaviyo_accounts
                                WHERE setup_due_at <= $2 AND state = 'active'
                                ORDER BY setup_due_at LIMIT $3)
           AND setup_due_at <= $2
         RETURNING workspace_id",
    )
    .bind(now + SOON)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_sooner_than_what_was_refused() {
        let mut left = Left::default();
        assert_eq!(left.due_at(100), None);
        left.later();
        assert_eq!(left.due_at(100), Some(100 + LATER));
        left.soon();
        left.later();
        assert_eq!(left.due_at(100), Some(100 + SOON));
    }
}
