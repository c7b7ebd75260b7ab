//! What stands in Meta's list of subscription tokens, taken over in few statements for many people.
//! Only what differs is written, in pieces, so that nobody waits long for the database.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use sqlx::AssertSqlSafe;

use crate::app::App;
use crate::clock::Millis;
use crate::meta::TokenRow;
use crate::store::ids::SubscriberId;
use crate::store::sealed::sha256_hex;
use crate::store::{Conn, clean};
use crate::subscribers::{self, Means, OptIn};
use crate::workspaces::PageRef;

/// Rows that are looked up and written together: two bound values each, some ten milliseconds.
pub(super) const PIECE: usize = 500;
/// New people take several statements each, so fewer go in one transaction.
const NEWCOMERS: usize = 50;

/// A row of the list, fit for our columns.
struct Listed<'a> {
    token: String,
    psid: Option<String>,
    timezone: String,
    row: &'a TokenRow,
}

/// The person as we have them.
#[derive(sqlx::FromRow)]
struct Held {
    id: SubscriberId,
    psid: Option<String>,
    token: Option<String>,
    token_enabled: i64,
    token_expires_at: Option<Millis>,
    next_eligible_at: Option<Millis>,
    timezone: Option<String>,
    token_seen_at: Option<Millis>,
    opted_in_at: Option<Millis>,
    opted_out_at: Option<Millis>,
    /// Since when sends found the token unusable, if it was that.
    token_refused_at: Option<Millis>,
}

impl<'a> Listed<'a> {
    fn new(row: &'a TokenRow) -> Self {
        Self {
            token: clean(&row.token),
            psid: row.recipient_id.as_deref().map(clean),
            timezone: clean(row.timezone.as_deref().unwrap_or_default()),
            row,
        }
    }
}

impl Held {
    /// The state follows from the ledger, so it tells without asking that.
    fn has_decided(&self) -> bool {
        self.opted_in_at.is_some() || self.opted_out_at.is_some()
    }

    /// An eligible time that is over says as much as none. `began`: when the reading began.
    fn differs(&self, listed: &Listed<'_>, began: Millis, now: Millis) -> bool {
        let row = listed.row;
        let ahead = |at: Option<Millis>| at.filter(|at| *at > now);
        self.token.as_deref() != Some(&listed.token)
            || (self.token_enabled != 0) != row.enabled
            || row.expires_at.is_some() && self.token_expires_at != row.expires_at
            || ahead(self.next_eligible_at) != ahead(row.next_eligible_at)
            || !listed.timezone.is_empty() && self.timezone.as_deref() != Some(&listed.timezone)
            || self.token_seen_at.is_none()
            || row.enabled && self.token_refused_at.is_some_and(|at| at <= began)
    }
}

/// Writes what a page of the list says that we do not have yet. Whose rows these are is added to
/// `seen`. `began`: when the reading of the list began.
pub(super) async fn take_over(
    app: &App,
    page: PageRef,
    rows: &[TokenRow],
    began: Millis,
    seen: &mut Vec<SubscriberId>,
) -> anyhow::Result<()> {
    for piece in rows.chunks(PIECE) {
        let listed: Vec<Listed<'_>> = piece.iter().map(Listed::new).collect();
        take_piece(app, page, &listed, began, seen).await?;
    }
    Ok(())
}

async fn take_piece(
    app: &App,
    page: PageRef,
    listed: &[Listed<'_>],
    began: Millis,
    seen: &mut Vec<SubscriberId>,
) -> anyhow::Result<()> {
    let known = Known::of(app, page, listed).await?;
    let now = app.clock.now();
    // The same person twice: the later row holds, and a token goes to one person only.
    let mut changes: BTreeMap<SubscriberId, &Listed<'_>> = BTreeMap::new();
    let mut newcomers: Vec<(Option<SubscriberId>, &Listed<'_>)> = Vec::new();
    let mut taken: HashMap<&str, Option<SubscriberId>> = HashMap::new();
    for one in listed {
        let earlier = taken.get(one.token.as_str()).copied();
        let Some(held) = known.holder(one, earlier) else {
            // A token of a list upload is nobody we could recognise yet, and who is not subscribed
            // needs no row.
            if one.psid.is_some() && one.row.enabled && earlier.is_none() {
                taken.insert(&one.token, None);
                newcomers.push((None, one));
            }
            continue;
        };
        taken.insert(&one.token, Some(held.id));
        seen.push(held.id);
        if one.row.enabled && !held.has_decided() {
            newcomers.push((Some(held.id), one));
        } else if held.differs(one, began, now) {
            changes.insert(held.id, one);
        } else {
            changes.remove(&held.id);
        }
    }
    for some in newcomers.chunks(NEWCOMERS) {
        seen.extend(welcome(app, page, some, began).await?);
    }
    if changes.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    write(&mut tx, &changes, began).await?;
    tx.commit().await?;
    Ok(())
}

/// The people of a piece whom we know, by their token and by Meta's id.
struct Known {
    people: HashMap<SubscriberId, Held>,
    by_token: HashMap<String, SubscriberId>,
    by_psid: HashMap<String, SubscriberId>,
}

impl Known {
    async fn of(app: &App, page: PageRef, listed: &[Listed<'_>]) -> anyhow::Result<Self> {
        let mut conn = app.db.acquire().await?;
        let mut known = Self {
            people: HashMap::new(),
            by_token: HashMap::new(),
            by_psid: HashMap::new(),
        };
        let tokens: Vec<&str> = listed.iter().map(|one| one.token.as_str()).collect();
        for held in look_up(&mut conn, page, "token", &tokens).await? {
            if let Some(token) = &held.token {
                known.by_token.insert(token.clone(), held.id);
            }
            known.people.insert(held.id, held);
        }
        let psids: Vec<&str> = listed
            .iter()
            .filter(|one| !known.by_token.contains_key(&one.token))
            .filter_map(|one| one.psid.as_deref())
            .collect();
        for held in look_up(&mut conn, page, "psid", &psids).await? {
            if let Some(psid) = &held.psid {
                known.by_psid.insert(psid.clone(), held.id);
            }
            known.people.insert(held.id, held);
        }
        Ok(known)
    }

    /// To whom an `earlier` row gave the token (`None` within: to somebody new), else who has it,
    /// else whom Meta names.
    fn holder(&self, one: &Listed<'_>, earlier: Option<Option<SubscriberId>>) -> Option<&Held> {
        if let Some(id) = earlier {
            return self.people.get(&id?);
        }
        let by_psid = || one.psid.as_ref().and_then(|psid| self.by_psid.get(psid));
        let id = self.by_token.get(&one.token).or_else(by_psid)?;
        self.people.get(id)
    }
}

/// `CROSS JOIN` keeps SQLite from walking all people of the Page instead: it goes from the values to
/// their rows by the unique index.
async fn look_up(
    conn: &mut Conn,
    page: PageRef,
    column: &'static str,
    values: &[&str],
) -> sqlx::Result<Vec<Held>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let mut list = String::new();
    for i in 0..values.len() {
        let separator = if i == 0 { "" } else { "," };
        let _ = write!(list, "{separator}(CAST(${} AS TEXT))", i + 2);
    }
    let sql = format!(
        "SELECT s.id, s.psid, s.token, s.token_enabled, s.token_expires_at, s.next_eligible_at,
             s.timezone, s.token_seen_at, s.opted_in_at, s.opted_out_at,
             CASE WHEN s.unreachable_reason = 'token' THEN s.unreachable_at END AS token_refused_at
         FROM (VALUES {list}) AS v CROSS JOIN subscribers s
         WHERE s.page_id = $1 AND s.{column} = v.column1"
    );
    let mut query = sqlx::query_as(AssertSqlSafe(sql))
        .persistent(false)
        .bind(page.id);
    for value in values {
        query = query.bind(*value);
    }
    query.fetch_all(conn).await
}

/// People whom we do not know, or of whom no decision is known: Meta has them as subscribed. The
/// ledger is asked once more in the transaction, for a STOP may just have come.
async fn welcome(
    app: &App,
    page: PageRef,
    newcomers: &[(Option<SubscriberId>, &Listed<'_>)],
    began: Millis,
) -> anyhow::Result<Vec<SubscriberId>> {
    let mut tx = app.db.begin().await?;
    let mut changes = BTreeMap::new();
    for (id, one) in newcomers {
        let id = match (id, &one.psid) {
            (Some(id), _) => *id,
            (None, Some(psid)) => subscribers::resolve(app, &mut tx, page, psid, None).await?,
            (None, None) => continue,
        };
        let decided: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM consents WHERE subscriber_id = $1 LIMIT 1")
                .bind(id)
                .fetch_optional(&mut *tx)
                .await?;
        if decided.is_none() {
            let how = OptIn {
                token: Some(one.token.clone()),
                ..OptIn::default()
            };
            // The ledger outlives the person, so their token does not stand in it.
            let event = format!("resync:{}", sha256_hex(one.token.as_bytes()));
            subscribers::opt_in(app, &mut tx, id, Means::Resync, how, began, &event).await?;
        }
        changes.insert(id, *one);
    }
    write(&mut tx, &changes, began).await?;
    tx.commit().await?;
    Ok(changes.into_keys().collect())
}

/// The fields of many people in one statement. A token that somebody got after the reading began
/// stays, for the list may be older; and what was seen later stays seen. A token that sends found
/// unusable before the reading began, and that Meta lists as usable, is worth another try.
async fn write(
    conn: &mut Conn,
    changes: &BTreeMap<SubscriberId, &Listed<'_>>,
    began: Millis,
) -> sqlx::Result<()> {
    let number =
        |value: Option<Millis>| value.map_or_else(|| "NULL".to_owned(), |at| at.to_string());
    let mut values = String::new();
    for (i, (id, one)) in changes.iter().enumerate() {
        let separator = if i == 0 { "" } else { "," };
        let (token, timezone) = (2 * i + 2, 2 * i + 3);
        let _ = write!(
            values,
            "{separator}(CAST({} AS BIGINT),CAST(${token} AS TEXT),CAST({} AS BIGINT),\
             CAST({} AS BIGINT),CAST({} AS BIGINT),CAST(${timezone} AS TEXT))",
            id.0,
            i64::from(one.row.enabled),
            number(one.row.expires_at),
            number(one.row.next_eligible_at),
        );
    }
    let sql = format!(
        "UPDATE subscribers SET token = v.column2, token_enabled = v.column3,
             token_expires_at = COALESCE(v.column4, token_expires_at),
             next_eligible_at = v.column5,
             timezone = COALESCE(NULLIF(v.column6, ''), timezone),
             token_seen_at = CASE WHEN token_seen_at > $1 THEN token_seen_at ELSE $1 END,
             unreachable_at = CASE WHEN v.column3 = 1 AND unreachable_reason = 'token'
                 AND unreachable_at <= $1 THEN NULL ELSE unreachable_at END,
             unreachable_reason = CASE WHEN v.column3 = 1 AND unreachable_reason = 'token'
                 AND unreachable_at <= $1 THEN NULL ELSE unreachable_reason END
         FROM (VALUES {values}) AS v
         WHERE id = v.column1 AND erased_at IS NULL
           AND NOT (COALESCE(token, v.column2) <> v.column2 AND COALESCE(token_seen_at, 0) > $1)"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .persistent(false)
        .bind(began);
    for one in changes.values() {
        query = query.bind(&one.token).bind(&one.timezone);
    }
    query.execute(conn).await?;
    Ok(())
}
