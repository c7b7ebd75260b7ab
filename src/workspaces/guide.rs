//! The guided set-up, as far as rows elsewhere do not say it: what was skipped, that the opt-in is in
//! its place, and that the merchant went on without.

use crate::app::App;
use crate::store::ids::WorkspaceId;

/// A step that can wait, by its name in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skippable {
    /// Without an ad account only free messages go out.
    WhoPays,
    Klaviyo,
}

/// What the merchant said; nothing at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guide {
    /// Gone on without: the overview stands first again.
    pub has_left: bool,
    pub skipped: Vec<Skippable>,
    /// The merchant put the opt-in where shoppers see it.
    pub is_placed: bool,
}

impl Skippable {
    const ALL: [Self; 2] = [Self::WhoPays, Self::Klaviyo];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::WhoPays => "who_pays",
            Self::Klaviyo => "klaviyo",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == text)
    }
}

impl Guide {
    pub fn has_skipped(&self, step: Skippable) -> bool {
        self.skipped.contains(&step)
    }
}

pub async fn guide(app: &App, ws: WorkspaceId) -> anyhow::Result<Guide> {
    let row: Option<(Option<i64>, String, Option<i64>)> =
        sqlx::query_as("SELECT left_at, skipped, placed_at FROM set_ups WHERE workspace_id = $1")
            .bind(ws)
            .fetch_optional(app.db.pool())
            .await?;
    let Some((left_at, skipped, placed_at)) = row else {
        return Ok(Guide::default());
    };
    Ok(Guide {
        has_left: left_at.is_some(),
        skipped: skipped.split(',').filter_map(Skippable::parse).collect(),
        is_placed: placed_at.is_some(),
    })
}

/// From now on the overview stands first.
pub async fn leave_guide(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    write(app, ws, "left_at = $2").await
}

/// Takes it up again where it was.
pub async fn resume_guide(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    write(
        app,
        ws,
        "left_at = CASE WHEN $2 > 0 THEN NULL ELSE left_at END",
    )
    .await
}

/// The merchant says so: where a link was put, no row of ours can know.
pub async fn opt_in_is_placed(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    write(app, ws, "placed_at = COALESCE(set_ups.placed_at, $2)").await
}

/// The step can wait; it is done as soon as its rows say so, skipped or not.
pub async fn skip_step(app: &App, ws: WorkspaceId, step: Skippable) -> anyhow::Result<()> {
    let mut skipped = guide(app, ws).await?.skipped;
    if skipped.contains(&step) {
        return Ok(());
    }
    skipped.push(step);
    let names: Vec<&str> = skipped.into_iter().map(Skippable::as_str).collect();
    sqlx::query(
        "INSERT INTO set_ups (workspace_id, skipped) VALUES ($1, $2) \
         ON CONFLICT (workspace_id) DO UPDATE SET skipped = excluded.skipped",
    )
    .bind(ws)
    .bind(names.join(","))
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// `change` is one of the texts above; `$2` is now.
async fn write(app: &App, ws: WorkspaceId, change: &'static str) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    sqlx::query("INSERT INTO set_ups (workspace_id) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(ws)
        .execute(&mut *tx)
        .await?;
    let sql = format!("UPDATE set_ups SET {change} WHERE workspace_id = $1");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(ws)
        .bind(app.clock.now())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}
