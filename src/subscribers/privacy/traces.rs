//! Whom an erasure is about, and what merely mentions them: kept deliveries and kept answers of the
//! API. Both are looked through outside of any transaction, a stretch at a time.

use std::fmt::Write;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::store::ids::{RequestId, WorkspaceId};
use crate::store::sealed::{email_hash, phone_hash};
use crate::subscribers::Known;
use crate::workspaces::audit::Actor;

/// Rows looked through at a time.
const STRETCH: i64 = 500;
/// What is shorter stands in too many texts by chance.
const SHORTEST: usize = 5;

/// Everything by which the person can be found again. Lives sealed in the row of the demand, and
/// only until the demand is done with.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Subject {
    by_meta: bool,
    by_shopify: bool,
    pub(super) customer_id: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) orders: Vec<i64>,
    /// What stood in the rows before they were erased: PSIDs, slugs of links, ids of ours.
    pub(super) marks: Vec<String>,
    /// PSIDs, by the Page's row, of whom Meta has still to hear that they are not to be written to:
    /// else its list of subscribers would bring them back.
    pub(super) at_meta: Vec<(i64, String)>,
    /// What was erased so far.
    pub(super) people: u64,
    pub(super) texts: u64,
}

impl Subject {
    pub(super) fn new(actor: Actor, known: Known, orders: &[i64]) -> Self {
        Self {
            by_meta: actor == Actor::Meta,
            by_shopify: actor == Actor::Shopify,
            customer_id: known.customer_id,
            email: known.email,
            phone: known.phone,
            orders: orders.to_vec(),
            ..Self::default()
        }
    }

    pub(super) fn actor(&self) -> Actor {
        match (self.by_meta, self.by_shopify) {
            (true, _) => Actor::Meta,
            (_, true) => Actor::Shopify,
            _ => Actor::Merchant,
        }
    }

    pub(super) fn known(&self) -> Known {
        Known {
            customer_id: self.customer_id.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            ..Known::default()
        }
    }

    pub(super) fn email_hash(&self) -> Option<String> {
        self.email.as_deref().and_then(email_hash)
    }

    pub(super) fn phone_hash(&self) -> Option<String> {
        self.phone.as_deref().and_then(phone_hash)
    }

    pub(super) fn mark(&mut self, text: impl Into<String>) {
        let text = text.into();
        if !self.marks.contains(&text) {
            self.marks.push(text);
        }
    }

    pub(super) fn seal(&self, app: &App, id: RequestId) -> anyhow::Result<String> {
        app.keys.seal(&context(id), &serde_json::to_string(self)?)
    }

    pub(super) fn open(app: &App, id: RequestId, sealed: &str) -> anyhow::Result<Self> {
        let opened = app.keys.open(&context(id), sealed)?;
        serde_json::from_str(opened.expose_secret()).context("read whom the erasure is about")
    }

    /// The texts to look for, in lower case. An address also stands in query strings.
    fn needles(&self) -> Vec<String> {
        let known = [&self.customer_id, &self.email, &self.phone];
        let mut needles: Vec<String> = known
            .into_iter()
            .flatten()
            .chain(&self.marks)
            .map(|needle| needle.trim().to_lowercase())
            .collect();
        let encoded: Vec<String> = needles
            .iter()
            .filter(|needle| needle.contains('@') || needle.contains('+'))
            .map(|needle| needle.replace('@', "%40").replace('+', "%2b"))
            .collect();
        needles.extend(encoded);
        needles.retain(|needle| needle.len() >= SHORTEST);
        needles
    }
}

fn context(id: RequestId) -> String {
    format!("privacy_requests.subject:{}", id.0)
}

/// Empties what mentions the person; how many texts it was. What is not understood yet stays until
/// it is: the second pass comes for it.
pub(super) async fn forget(app: &App, ws: WorkspaceId, subject: &Subject) -> anyhow::Result<u64> {
    let needles = subject.needles();
    if needles.is_empty() {
        return Ok(0);
    }
    let mut emptied = answers(app, ws, &needles).await?;
    for whose in WHOSE {
        emptied += deliveries(app, ws, whose, &needles).await?;
    }
    Ok(emptied)
}

/// Deliveries of a shop or Page that nobody had connected yet have no workspace.
const WHOSE: [&str; 2] = [
    "workspace_id = $1",
    "workspace_id IS NULL AND (account IN (SELECT domain FROM shops WHERE workspace_id = $1)
         OR account IN (SELECT meta_id FROM pages WHERE workspace_id = $1))",
];

async fn deliveries(
    app: &App,
    ws: WorkspaceId,
    whose: &str,
    needles: &[String],
) -> anyhow::Result<u64> {
    let sql = format!(
        "SELECT id, encoding, payload, error FROM webhooks
         WHERE {whose} AND id > $2 AND processed_at IS NOT NULL AND payload <> '{{}}'
         ORDER BY id LIMIT $3"
    );
    let mut emptied = 0;
    let mut last = 0;
    loop {
        let rows: Vec<(i64, String, String, Option<String>)> =
            sqlx::query_as(AssertSqlSafe(sql.clone()))
                .bind(ws)
                .bind(last)
                .bind(STRETCH)
                .fetch_all(app.db.pool())
                .await?;
        let Some((highest, ..)) = rows.last() else {
            return Ok(emptied);
        };
        last = *highest;
        let mut found = String::new();
        for (id, encoding, payload, error) in &rows {
            let named = names(encoding, payload, needles)
                || error.as_deref().is_some_and(|error| holds(error, needles));
            if named {
                let separator = if found.is_empty() { "" } else { "," };
                let _ = write!(found, "{separator}{id}");
            }
        }
        if found.is_empty() {
            continue;
        }
        let sql = format!(
            "UPDATE webhooks SET payload = '{{}}', encoding = 'utf8',
                 error = CASE WHEN error IS NULL THEN NULL
                              ELSE 'Erased with the person it was about.' END
             WHERE id IN ({found})"
        );
        let done = sqlx::query(AssertSqlSafe(sql))
            .persistent(false)
            .execute(app.db.writer())
            .await?;
        emptied += done.rows_affected();
    }
}

fn names(encoding: &str, payload: &str, needles: &[String]) -> bool {
    if encoding != "base64" {
        return holds(payload, needles);
    }
    let bytes = STANDARD.decode(payload).unwrap_or_default();
    holds(&String::from_utf8_lossy(&bytes), needles)
}

fn holds(text: &str, needles: &[String]) -> bool {
    let text = text.to_lowercase();
    needles.iter().any(|needle| text.contains(needle))
}

/// The key stays, so that a repeat is still not done again, and its answer is empty; a key that names
/// the person itself goes.
async fn answers(app: &App, ws: WorkspaceId, needles: &[String]) -> anyhow::Result<u64> {
    let mut emptied = 0;
    let mut last = String::new();
    loop {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT key, body FROM idempotency_keys
             WHERE workspace_id = $1 AND key > $2 AND body IS NOT NULL ORDER BY key LIMIT $3",
        )
        .bind(ws)
        .bind(&last)
        .bind(STRETCH)
        .fetch_all(app.db.pool())
        .await?;
        let Some((highest, _)) = rows.last() else {
            return Ok(emptied);
        };
        last.clone_from(highest);
        for (key, body) in rows {
            let statement = if holds(&key, needles) {
                "DELETE FROM idempotency_keys WHERE workspace_id = $1 AND key = $2"
            } else if holds(&body, needles) {
                "UPDATE idempotency_keys SET body = '{}' WHERE workspace_id = $1 AND key = $2"
            } else {
                continue;
            };
            let done = sqlx::query(statement)
                .bind(ws)
                .bind(key)
                .execute(app.db.writer())
                .await?;
            emptied += done.rows_affected();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_found_however_the_text_is_written() {
        let known = Known {
            customer_id: Some("191167".to_owned()),
            email: Some("Ana+x@Example.com".to_owned()),
            phone: Some("12".to_owned()),
            ..Known::default()
        };
        let mut subject = Subject::new(Actor::Shopify, known, &[]);
        subject.mark("psid-77");
        subject.mark("psid-77");
        let needles = subject.needles();
        assert!(names("utf8", r#"{"email":"ANA+X@example.com"}"#, &needles));
        assert!(names("utf8", "/?email=ana%2Bx%40example.com", &needles));
        assert!(names("utf8", r#"{"id":191167}"#, &needles));
        assert!(names("base64", &STANDARD.encode(b"\xff psid-77"), &needles));
        assert!(
            !names("utf8", r#"{"count":12}"#, &needles),
            "too short to mean anybody"
        );
        assert_eq!(subject.marks.len(), 1);
    }
}
