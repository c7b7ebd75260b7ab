//! One look at one Page: what Meta says of its token, role, permissions, events, ad account and
//! leads, and what that means for its sends.

use secrecy::SecretString;

use super::words::{MERCHANT_COUNTRIES, of_ad_account, of_trouble};
use super::{Finding, Health, Point, Trouble, Verdict, health};
use crate::app::App;
use crate::clock::{DAY, HOUR, Millis};
use crate::meta::login::AdAccount;
use crate::meta::pages::{LeadAccess, SUBSCRIBED_FIELDS, TokenInfo};
use crate::meta::{self, Class};
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::workspaces::alerts::{self, PageAlert};
use crate::workspaces::pages::{self, Page};
use crate::workspaces::set_up::GET_STARTED;

/// A Page that is well.
const DAILY: Millis = DAY;
/// Meta was not reached; or the Page is in trouble.
const HOURLY: Millis = HOUR;
/// A token that ends within this is told of.
const ENDS_SOON: Millis = 14 * DAY;

/// What Meta answered, point by point; `None` where it could not be asked or did not answer.
#[derive(Debug, Default)]
pub(super) struct Readings {
    /// Why Meta refuses to let the token read the Page.
    refused: Option<(i64, Option<i64>, &'static str)>,
    /// Meta was not reached at all.
    away: bool,
    token: Option<TokenInfo>,
    missing_events: Option<usize>,
    has_get_started: Option<bool>,
    ad_account: Option<Result<AdAccount, &'static str>>,
    leads: Option<LeadAccess>,
}

/// Looks at every connected Page of the workspace now.
pub async fn check_pages(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    for page in pages::pages(app, ws).await? {
        check_page(app, page.id).await?;
    }
    Ok(())
}

/// Looks at the Page, mends what we can, and writes down how it is.
pub async fn check_page(app: &App, id: PageRowId) -> anyhow::Result<()> {
    let Some(page) = pages::page(app, id).await? else {
        return Ok(());
    };
    let now = app.clock.now();
    let Some(token) = &page.token else {
        return postpone(app, id, now + DAILY).await;
    };
    let readings = read(app, &page, token).await;
    if readings.away {
        return postpone(app, id, now + HOURLY).await;
    }
    let before = health(app, page.workspace, id).await?;
    let findings = judge(&page, &readings, &before, now);
    conclude(app, &page, &readings, &before, findings).await
}

async fn read(app: &App, page: &Page, token: &SecretString) -> Readings {
    let mut readings = Readings::default();
    match app.meta.page(&page.meta_id, token).await {
        Ok(_) => {}
        Err(meta::Error::Api(error)) if error.class == Class::ReconnectPage => {
            readings.refused = Some((error.code, error.subcode, error.meaning()));
        }
        Err(meta::Error::Api(error)) if (error.code, error.subcode) == (100, Some(33)) => {
            let words =
                "Meta no longer shows us this Page; it may have been deleted or unpublished";
            readings.refused = Some((error.code, error.subcode, words));
        }
        Err(_) => {
            readings.away = true;
            return readings;
        }
    }
    readings.token = app.meta.debug_token(token).await.ok();
    if readings.refused.is_none() {
        events(app, page, token, &mut readings).await;
        if let Some(user) = readings.token.as_ref().and_then(wants_leads) {
            readings.leads = app.meta.lead_access(&page.meta_id, token, user).await.ok();
        }
    }
    if let (Some(account), Some(ad_token)) = (&page.ad_account, &page.ad_token) {
        readings.ad_account = match app.meta.ad_account(account, ad_token).await {
            Ok(found) => Some(Ok(found)),
            Err(meta::Error::Api(error))
                if matches!(error.class, Class::ReconnectPage) || error.code == 100 =>
            {
                Some(Err(error.meaning()))
            }
            Err(_) => None,
        };
    }
    readings
}

/// The person whose access to leads is asked for, where lead forms are used at all.
fn wants_leads(token: &TokenInfo) -> Option<&str> {
    let granted = token.scopes.iter().any(|scope| scope == "leads_retrieval");
    token.user_id.as_deref().filter(|_| granted)
}

/// A subscription that was lost is made again, and so is the Get Started button.
async fn events(app: &App, page: &Page, token: &SecretString, readings: &mut Readings) {
    let missing = |there: &[String]| {
        let known = |field: &&&str| !there.iter().any(|one| one == **field);
        SUBSCRIBED_FIELDS.iter().filter(known).count()
    };
    if let Ok(there) = app.meta.subscribed_fields(&page.meta_id, token).await {
        let mut lacks = missing(&there);
        if lacks > 0 && app.meta.subscribe_page(&page.meta_id, token).await.is_ok() {
            tracing::warn!(page.id = %page.id, "The Page's events were lost at Meta and subscribed again");
            lacks = 0;
        }
        readings.missing_events = Some(lacks);
    }
    if let Ok(button) = app.meta.get_started(&page.meta_id, token).await {
        let is_set = button.is_some()
            || app
                .meta
                .set_get_started(&page.meta_id, token, GET_STARTED)
                .await
                .is_ok();
        readings.has_get_started = Some(is_set);
    }
}

/// What the readings mean, point by point, in the order of the connection's steps.
pub(super) fn judge(
    page: &Page,
    readings: &Readings,
    before: &Health,
    now: Millis,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut tell = |point, verdict, words: &str| {
        found.push(Finding {
            point,
            verdict,
            words: words.to_owned(),
        });
    };
    access(readings, now, &mut tell);
    match readings.missing_events {
        Some(0) => tell(
            Point::Events,
            Verdict::Good,
            "Facebook tells us when somebody writes, joins or reads.",
        ),
        Some(_) => tell(
            Point::Events,
            Verdict::Attention,
            "Facebook does not tell us of everything that people do. It is tried again by itself.",
        ),
        None => {}
    }
    match readings.has_get_started {
        Some(true) => tell(
            Point::GetStarted,
            Verdict::Good,
            "People who open the chat for the first time keep the link they came by.",
        ),
        Some(false) => tell(
            Point::GetStarted,
            Verdict::Attention,
            "People who open the chat for the first time arrive without the link they came by. It \
             is tried again by itself.",
        ),
        None => {}
    }
    if before.trouble == Some(Trouble::Blocked) {
        let words = page.attention.as_deref().unwrap_or("Meta blocks the Page.");
        tell(Point::Restriction, Verdict::Broken, words);
    } else if readings.refused.is_none() {
        tell(
            Point::Restriction,
            Verdict::Good,
            "Meta has told of no restriction.",
        );
    }
    paid(page, readings, before, &mut tell);
    leads(readings, &mut tell);
    found
}

fn access(readings: &Readings, now: Millis, tell: &mut impl FnMut(Point, Verdict, &str)) {
    if let Some((code, subcode, meaning)) = readings.refused {
        let trouble = Trouble::of(code, subcode);
        let point = match trouble {
            Trouble::Role => Point::Role,
            _ => Point::Token,
        };
        tell(point, Verdict::Broken, &of_trouble(trouble, meaning));
        return;
    }
    let Some(token) = &readings.token else {
        tell(Point::Token, Verdict::Good, "The Page's access works.");
        return;
    };
    if !token.valid {
        let words = "Meta calls our access to the Page invalid. Connect the Page again.";
        tell(Point::Token, Verdict::Broken, words);
        return;
    }
    match token.expires_at {
        Some(at) if at < now + ENDS_SOON => tell(
            Point::Token,
            Verdict::Attention,
            "The sign-in ends within two weeks. Sign in again before that.",
        ),
        _ => tell(Point::Token, Verdict::Good, "The Page's access works."),
    }
    permissions(&token.scopes, tell);
}

fn permissions(scopes: &[String], tell: &mut impl FnMut(Point, Verdict, &str)) {
    let lacks = |name: &str| !scopes.is_empty() && !scopes.iter().any(|scope| scope == name);
    if lacks("pages_messaging") {
        let words = "Not granted any more: pages_messaging, which lets us send as your Page. Grant it \
                     again by signing in.";
        return tell(Point::Permissions, Verdict::Broken, words);
    }
    if lacks("pages_manage_metadata") {
        let words = "Not granted any more: pages_manage_metadata. Opt-ins, answers and receipts may \
                     stop arriving. Grant it again by signing in.";
        return tell(Point::Permissions, Verdict::Attention, words);
    }
    tell(
        Point::Permissions,
        Verdict::Good,
        "Everything that is needed is granted.",
    );
}

fn paid(
    page: &Page,
    readings: &Readings,
    before: &Health,
    tell: &mut impl FnMut(Point, Verdict, &str),
) {
    let (Some(account), Some(_)) = (&page.ad_account, &page.ad_token) else {
        tell(
            Point::AdAccount,
            Verdict::Attention,
            "No ad account, so no paid marketing messages. People who wrote in the last 24 hours \
             can be reached for free.",
        );
        return;
    };
    let found = match &readings.ad_account {
        None => return,
        Some(Err(meaning)) => {
            let words = format!("Meta does not let us use the ad account {account}: {meaning}.");
            return tell(Point::AdAccount, Verdict::Attention, &words);
        }
        Some(Ok(found)) => found,
    };
    match found.status.and_then(of_ad_account) {
        Some(words) => tell(Point::AdAccount, Verdict::Attention, words),
        None => {
            let name = found.name.as_deref().unwrap_or(account);
            let words = format!("Meta bills the ad account {name}.");
            tell(Point::AdAccount, Verdict::Good, &words);
        }
    }
    match found.has_funding {
        Some(true) => tell(
            Point::Payment,
            Verdict::Good,
            "The ad account has a payment method.",
        ),
        Some(false) => tell(
            Point::Payment,
            Verdict::Attention,
            "The ad account has no payment method. Paid messages are refused until one is added.",
        ),
        None => {}
    }
    if let Some(country) = found.country.as_deref() {
        if MERCHANT_COUNTRIES.contains(&country) {
            tell(
                Point::Region,
                Verdict::Good,
                "Meta offers paid messages to businesses in your country.",
            );
        } else {
            tell(
                Point::Region,
                Verdict::Attention,
                "Meta offers no paid messages to businesses in your country. Free messages to \
                 people who wrote in the last 24 hours, comments and order updates remain.",
            );
        }
    }
    if before.trouble == Some(Trouble::Terms) {
        tell(
            Point::Terms,
            Verdict::Broken,
            &of_trouble(Trouble::Terms, ""),
        );
    }
}

fn leads(readings: &Readings, tell: &mut impl FnMut(Point, Verdict, &str)) {
    let Some(leads) = &readings.leads else {
        return;
    };
    if leads.can_access {
        tell(
            Point::Leads,
            Verdict::Good,
            "Leads of the Page's forms come in.",
        );
        return;
    }
    let words = match (leads.app_may, leads.person_may) {
        (Some(false), _) => {
            "Pagecast is not among those who may see the Page's leads. In Meta's business settings \
             open Integrations, Leads Access, CRMs, and assign Pagecast."
        }
        (_, Some(false)) => {
            "The person who connected the Page may not see its leads. In Meta's business settings \
             open Integrations, Leads Access, People, and assign them."
        }
        _ => {
            "Meta does not let us see the Page's leads. Look under Leads Access in Meta's business \
              settings."
        }
    };
    tell(Point::Leads, Verdict::Attention, words);
}

/// Writes down how the Page is, and stops its sends or lets them go on.
async fn conclude(
    app: &App,
    page: &Page,
    readings: &Readings,
    before: &Health,
    findings: Vec<Finding>,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    let broken = findings
        .iter()
        .find(|finding| finding.verdict == Verdict::Broken);
    let is_stopped = page.state != "active";
    let cured = is_stopped
        && match before.trouble {
            Some(Trouble::Blocked | Trouble::Removed) => false,
            // Only a send can tell; the next refusal stops it again.
            Some(Trouble::Terms) => findings
                .iter()
                .all(|f| f.verdict != Verdict::Broken || f.point == Point::Terms),
            _ => broken.is_none(),
        };
    let (state, attention, trouble) = match broken {
        _ if cured => ("active", None, None),
        Some(finding) => {
            let trouble = match finding.point {
                Point::Role => Trouble::Role,
                _ => before.trouble.unwrap_or(Trouble::Access),
            };
            let words = Some(finding.words.clone());
            ("needs_reconnect", words, Some(trouble))
        }
        None if is_stopped => ("needs_reconnect", page.attention.clone(), before.trouble),
        None => ("active", None, None),
    };
    let wait = if state == "active" { DAILY } else { HOURLY };
    let mut tx = app.db.begin().await?;
    let done = sqlx::query(
        "UPDATE pages SET health = $2, checked_at = $3, check_due_at = $4, state = $5, \
           attention = $6, trouble = $7, troubles = CASE WHEN $8 = 1 THEN 0 ELSE troubles END, \
           connected_by = COALESCE(connected_by, $9) \
         WHERE id = $1 AND disconnected_at IS NULL AND state = $10",
    )
    .bind(page.id)
    .bind(serde_json::to_string(&findings)?)
    .bind(now)
    .bind(now + wait)
    .bind(state)
    .bind(attention)
    .bind(trouble.map(Trouble::as_str))
    // A day without trouble, and the next one counts as the first again.
    .bind(i64::from(!is_stopped && state == "active"))
    .bind(
        readings
            .token
            .as_ref()
            .and_then(|token| token.user_id.clone()),
    )
    .bind(&page.state)
    .execute(&mut *tx)
    .await?;
    // Broken though nothing was refused yet: whoever wants to hear of it hears it now.
    let kind = match (is_stopped, state) {
        (true, "active") => Some("page.recovered"),
        (false, "needs_reconnect") => Some("page.needs_attention"),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| done.rows_affected() > 0) {
        let words = broken.map_or("The Page works again.", |finding| &finding.words);
        let about = PageAlert {
            page: page.id,
            kind,
            trouble: trouble.map(Trouble::as_str),
            words,
        };
        alerts::alert(app, &mut tx, about).await?;
    }
    tx.commit().await?;
    if cured {
        tracing::info!(page.id = %page.id, "A Page works again: its sends go on");
    }
    Ok(())
}

async fn postpone(app: &App, id: PageRowId, until: Millis) -> anyhow::Result<()> {
    sqlx::query("UPDATE pages SET check_due_at = $2 WHERE id = $1")
        .bind(id)
        .bind(until)
        .execute(app.db.writer())
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
