//! How a connected Page is. Trouble stops its sends, and nothing fails meanwhile; a check, daily
//! and after trouble, finds out what is wrong and lets it go on by itself once that is cured.

mod check;
mod sweep;
mod words;

pub use check::{check_page, check_pages};
pub use sweep::check_due;

use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis};
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::store::{Conn, clean};
use crate::workspaces::alerts::{self, PageAlert};

/// After connecting: what Meta needs a moment for has settled by then.
pub(super) const FIRST_CHECK: Millis = 10 * MINUTE;
/// After the first trouble; doubled with each further one up to [`LONGEST`].
const SOON: Millis = 5 * MINUTE;
const LONGEST: Millis = 6 * HOUR;

/// What kind of trouble a Page is in, which decides what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The token or a permission: ends when Meta takes our calls again.
    Access,
    /// The person's role or two-factor authentication: ends likewise.
    Role,
    /// The business has not accepted Meta's terms: can only be tried.
    Terms,
    /// The person removed the app: ends by connecting again.
    Removed,
    /// Meta blocked the Page: ends when Meta says so, or by connecting again.
    Blocked,
}

impl Trouble {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Role => "role",
            Self::Terms => "terms",
            Self::Removed => "removed",
            Self::Blocked => "blocked",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "role" => Self::Role,
            "terms" => Self::Terms,
            "removed" => Self::Removed,
            "blocked" => Self::Blocked,
            _ => Self::Access,
        }
    }

    /// By Meta's code: role and two-factor authentication have the same two codes.
    pub fn of(code: i64, subcode: Option<i64>) -> Self {
        match (code, subcode) {
            (190, Some(492)) | (200, _) => Self::Role,
            (2_300_013, _) | (_, Some(2_300_013)) => Self::Terms,
            _ => Self::Access,
        }
    }
}

/// One thing a Page needs, in the order of the connection's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    Token,
    Role,
    Permissions,
    Events,
    GetStarted,
    Restriction,
    AdAccount,
    Payment,
    Region,
    Terms,
    Leads,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Good,
    /// It is being done, or only time is missing.
    Waiting,
    /// Something works only in part.
    Attention,
    /// Nothing is sent because of it.
    Broken,
}

/// What a check found of one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub point: Point,
    pub verdict: Verdict,
    pub words: String,
}

/// The last check of a Page.
#[derive(Clone, Debug, Default)]
pub struct Health {
    pub findings: Vec<Finding>,
    pub checked_at: Option<Millis>,
    pub trouble: Option<Trouble>,
}

/// What the last check found.
pub async fn health(app: &App, ws: WorkspaceId, page: PageRowId) -> anyhow::Result<Health> {
    type Row = (Option<String>, Option<Millis>, Option<String>, String);
    let row: Option<Row> = sqlx::query_as(
        "SELECT health, checked_at, trouble, state FROM pages WHERE workspace_id = $1 AND id = $2",
    )
    .bind(ws)
    .bind(page)
    .fetch_optional(app.db.pool())
    .await?;
    let Some((findings, checked_at, trouble, state)) = row else {
        return Ok(Health::default());
    };
    let findings = findings.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Health {
        findings: findings.unwrap_or_default(),
        checked_at,
        trouble: (state == "needs_reconnect")
            .then(|| Trouble::parse(trouble.as_deref().unwrap_or_default())),
    })
}

/// Meta refused a call for the Page with this code: its sends stand still until that is cured.
pub async fn page_refused(
    app: &App,
    id: PageRowId,
    code: i64,
    subcode: Option<i64>,
    meaning: &str,
) -> anyhow::Result<()> {
    let trouble = Trouble::of(code, subcode);
    let words = words::of_trouble(trouble, meaning);
    in_trouble(app, id, trouble, &words).await
}

/// Marks the Page as in trouble: its sends stand still until it works again.
pub async fn page_needs_reconnect(app: &App, id: PageRowId, words: &str) -> anyhow::Result<()> {
    in_trouble(app, id, Trouble::Access, words).await
}

/// Meta blocked the Page; only Meta lifts that.
pub async fn page_blocked(app: &App, id: PageRowId, words: &str) -> anyhow::Result<()> {
    in_trouble(app, id, Trouble::Blocked, words).await
}

/// A block stands above any other trouble, and trouble that goes on is not counted again.
async fn in_trouble(app: &App, id: PageRowId, trouble: Trouble, words: &str) -> anyhow::Result<()> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    let known: Option<(String, i64)> = sqlx::query_as(
        "SELECT state, troubles FROM pages WHERE id = $1 AND disconnected_at IS NULL",
    )
    .bind(id)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((state, troubles)) = known else {
        return Ok(());
    };
    let is_new = state == "active";
    let troubles = troubles + i64::from(is_new);
    let due = now + wait_after(troubles);
    sqlx::query(
        "UPDATE pages SET state = 'needs_reconnect', troubles = $3, check_due_at = \
             CASE WHEN $6 = 1 OR check_due_at > $4 THEN $4 ELSE check_due_at END, \
           attention = CASE WHEN trouble = 'blocked' AND $5 <> 'blocked' THEN attention ELSE $2 END, \
           trouble = CASE WHEN trouble = 'blocked' THEN trouble ELSE $5 END \
         WHERE id = $1",
    )
    .bind(id)
    .bind(clean(words))
    .bind(troubles)
    .bind(due)
    .bind(trouble.as_str())
    .bind(i64::from(is_new))
    .execute(&mut *tx)
    .await?;
    if is_new {
        let about = PageAlert {
            page: id,
            kind: "page.needs_attention",
            trouble: Some(trouble.as_str()),
            words,
        };
        alerts::alert(app, &mut tx, about).await?;
    }
    tx.commit().await?;
    if is_new {
        tracing::warn!(page.id = %id, trouble = trouble.as_str(), "A Page is in trouble: its sends wait");
    }
    Ok(())
}

/// Meta lifted its block: the Page may send again.
pub async fn page_unblocked(conn: &mut Conn, id: PageRowId) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE pages SET state = 'active', attention = NULL, trouble = NULL \
         WHERE id = $1 AND disconnected_at IS NULL",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// A Page that is cured and falls ill again right away is looked at less and less often.
fn wait_after(troubles: i64) -> Millis {
    let doublings = u32::try_from(troubles - 1).unwrap_or(0).min(10);
    (SOON << doublings).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_two_factor_have_one_trouble_and_terms_another() {
        assert_eq!(Trouble::of(190, Some(492)), Trouble::Role);
        assert_eq!(Trouble::of(200, None), Trouble::Role);
        assert_eq!(Trouble::of(190, Some(460)), Trouble::Access);
        assert_eq!(Trouble::of(2_300_013, None), Trouble::Terms);
        for trouble in [
            Trouble::Access,
            Trouble::Role,
            Trouble::Terms,
            Trouble::Removed,
            Trouble::Blocked,
        ] {
            assert_eq!(Trouble::parse(trouble.as_str()), trouble);
        }
    }

    #[test]
    fn trouble_that_returns_is_looked_at_ever_later() {
        assert_eq!(wait_after(1), SOON);
        assert_eq!(wait_after(2), 2 * SOON);
        assert_eq!(wait_after(50), LONGEST);
    }
}
