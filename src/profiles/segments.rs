//! Segments and lists that audiences name, and their members as last synced.

use crate::app::App;
use crate::clock::Millis;
use crate::klaviyo::segments::GroupKind;
use crate::store::clean;
use crate::store::ids::WorkspaceId;
use crate::workspaces;

#[derive(Clone, Debug)]
pub struct Group {
    pub kind: GroupKind,
    pub id: String,
    pub name: String,
    /// Members at Klaviyo, as last synced.
    pub members: i64,
    /// Those of them who are subscribers here.
    pub reachable: i64,
    pub synced_at: Option<Millis>,
    pub problem: Option<String>,
}

/// How a kind stands in the `kind` columns.
pub(super) fn kind_text(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Segment => "segment",
        GroupKind::List => "list",
    }
}

pub(super) fn kind_of(text: &str) -> GroupKind {
    if text == "list" {
        GroupKind::List
    } else {
        GroupKind::Segment
    }
}

/// Asks for a sync of this group no older than `fresh_since`; `true` once it is there. Nudge
/// `Job::Profiles` when it is not.
pub async fn want(
    app: &App,
    ws: WorkspaceId,
    kind: GroupKind,
    id: &str,
    fresh_since: Millis,
) -> anyhow::Result<bool> {
    let id = clean(id);
    let synced: Option<i64> = sqlx::query_scalar(
        "SELECT 1 FROM klaviyo_groups
         WHERE workspace_id = $1 AND kind = $2 AND id = $3 AND synced_at >= $4",
    )
    .bind(ws)
    .bind(kind_text(kind))
    .bind(&id)
    .bind(fresh_since)
    .fetch_optional(app.db.pool())
    .await?;
    if synced.is_some() {
        return Ok(true);
    }
    sqlx::query(
        "INSERT INTO klaviyo_groups (workspace_id, id, kind, wanted_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (workspace_id, kind, id) DO UPDATE SET wanted_at = excluded.wanted_at
         WHERE klaviyo_groups.wanted_at IS NULL OR klaviyo_groups.wanted_at < $5",
    )
    .bind(ws)
    .bind(&id)
    .bind(kind_text(kind))
    // Not later than now: a sync that starts from here on is fresh enough.
    .bind(fresh_since.min(app.clock.now()))
    .bind(fresh_since)
    .execute(app.db.writer())
    .await?;
    Ok(false)
}

/// The groups known for this workspace.
pub async fn groups(app: &App, ws: WorkspaceId) -> anyhow::Result<Vec<Group>> {
    type Row = (
        String,
        String,
        String,
        Option<Millis>,
        Option<String>,
        i64,
        i64,
    );
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT g.kind, g.id, g.name, g.synced_at, g.problem,
             (SELECT COUNT(*) FROM klaviyo_members m
              WHERE m.workspace_id = g.workspace_id AND m.kind = g.kind AND m.group_id = g.id),
             (SELECT COUNT(DISTINCT s.id) FROM klaviyo_members m
              JOIN subscribers s ON s.workspace_id = m.workspace_id
                  AND s.klaviyo_profile_id = m.profile_id
              WHERE m.workspace_id = g.workspace_id AND m.kind = g.kind AND m.group_id = g.id
                  AND s.opted_in_at IS NOT NULL AND s.opted_out_at IS NULL
                  AND s.erased_at IS NULL)
         FROM klaviyo_groups g WHERE g.workspace_id = $1 ORDER BY g.name, g.id",
    )
    .bind(ws)
    .fetch_all(app.db.pool())
    .await?;
    let group = |(kind, id, name, synced_at, problem, members, reachable): Row| Group {
        kind: kind_of(&kind),
        name: if name.is_empty() { id.clone() } else { name },
        id,
        members,
        reachable,
        synced_at,
        problem,
    };
    Ok(rows.into_iter().map(group).collect())
}

/// Reads the names of all segments and lists from Klaviyo, so that they can be chosen. Those that
/// are gone there and that nobody asked for are forgotten here.
pub async fn refresh_names(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    if workspaces::klaviyo_auth(app, ws).await?.is_none() {
        return Ok(());
    }
    for kind in [GroupKind::Segment, GroupKind::List] {
        let found = workspaces::ask_klaviyo(app, ws, |auth| async move {
            app.klaviyo.groups(&auth, kind).await
        });
        let found = found.await??;
        let mut tx = app.db.begin().await?;
        let known: Vec<String> = sqlx::query_scalar(
            "SELECT id FROM klaviyo_groups
             WHERE workspace_id = $1 AND kind = $2 AND wanted_at IS NULL",
        )
        .bind(ws)
        .bind(kind_text(kind))
        .fetch_all(&mut *tx)
        .await?;
        for group in &found {
            sqlx::query(
                "INSERT INTO klaviyo_groups (workspace_id, id, kind, name)
                 VALUES ($1, $2, $3, $4)
                 ON CONFLICT (workspace_id, kind, id) DO UPDATE SET name = excluded.name",
            )
            .bind(ws)
            .bind(clean(&group.id))
            .bind(kind_text(kind))
            .bind(clean(&group.name))
            .execute(&mut *tx)
            .await?;
        }
        for id in known
            .iter()
            .filter(|id| !found.iter().any(|group| clean(&group.id) == **id))
        {
            sqlx::query(
                "DELETE FROM klaviyo_groups
                 WHERE workspace_id = $1 AND kind = $2 AND id = $3 AND wanted_at IS NULL",
            )
            .bind(ws)
            .bind(kind_text(kind))
            .bind(id)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
    }
    Ok(())
}
