//! After the sign-in: which Pages speak for the workspace, and which ad account pays.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::logins::{self, Login};
use super::pages::{By, ConnectPage, connect_by, page, page_by_meta_id};
use crate::app::App;
use crate::meta;
use crate::meta::login::{Account, AdAccount};
use crate::meta::permissions::Flow;
use crate::store::ids::{PageRowId, WorkspaceId};

/// What a person has to be allowed on a Page so that it can speak through us.
const NEEDED_TASKS: [&str; 2] = ["MESSAGING", "MODERATE"];

/// Where a Page stands today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Free,
    /// Connected to this workspace.
    Ours,
    /// Connected to another workspace.
    Elsewhere,
}

/// A Page to choose.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub meta_id: String,
    pub name: String,
    pub picture: Option<String>,
    pub followers: Option<i64>,
    pub standing: Standing,
    /// Tasks that the person lacks on it; Meta would refuse our calls.
    pub lacks: Vec<&'static str>,
}

/// All there is to choose from.
#[derive(Clone, Debug)]
pub struct Choices {
    pub pages: Vec<Candidate>,
    pub ad_accounts: Vec<AdAccount>,
    /// Our own ad account pays.
    pub we_pay: bool,
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    pub pages: BTreeSet<String>,
    pub ad_account: Option<String>,
    /// Pages whose take-over was confirmed.
    pub take_over: BTreeSet<String>,
}

/// What became of one Page.
#[derive(Debug)]
pub struct Connected {
    pub name: String,
    /// The row, or why it could not be connected.
    pub outcome: Result<PageRowId, String>,
}

/// Why nothing was connected.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    #[error("no Page was chosen")]
    Nothing,
    /// These Pages serve elsewhere; the person has to say yes first.
    #[error("Pages would be taken over")]
    WouldTakeOver(Vec<Candidate>),
    /// Meta does not let the login see its Pages.
    #[error("Meta: {0}")]
    Meta(#[from] meta::Error),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// The Pages and ad accounts of a login.
pub async fn choices(app: &App, login: &Login) -> Result<Choices, ChooseError> {
    let token = token(login)?;
    let accounts = app.meta.accounts(token).await?;
    let mut pages = Vec::new();
    for account in accounts {
        pages.push(candidate(app, login.workspace, account).await?);
    }
    pages.sort_by_key(|page| (!page.lacks.is_empty(), page.name.to_lowercase()));
    let we_pay = login.flow == Flow::Partner;
    Ok(Choices {
        pages,
        ad_accounts: if we_pay {
            Vec::new()
        } else {
            ad_accounts(app, login, token).await?
        },
        we_pay,
    })
}

/// Those that were granted; where Meta does not list them, their bare numbers.
async fn ad_accounts(
    app: &App,
    login: &Login,
    token: &SecretString,
) -> anyhow::Result<Vec<AdAccount>> {
    if !login.scopes.is_empty() && !login.scopes.iter().any(|scope| scope == "ads_management") {
        return Ok(Vec::new());
    }
    let granted = logins::granted_assets(app, login.id).await?;
    let granted = granted.get("ads_management");
    let bare = |id: &String| AdAccount {
        id: format!("act_{}", id.trim_start_matches("act_")),
        ..AdAccount::default()
    };
    match app.meta.ad_accounts(token).await {
        Ok(found) => Ok(found
            .into_iter()
            .filter(|account| {
                let number = account.id.trim_start_matches("act_");
                granted
                    .is_none_or(|ids| ids.iter().any(|id| id.trim_start_matches("act_") == number))
            })
            .collect()),
        Err(error) => {
            tracing::warn!(login.id = %login.id, "Meta does not list the ad accounts: {error}");
            Ok(granted.into_iter().flatten().map(bare).collect())
        }
    }
}

async fn candidate(app: &App, ws: WorkspaceId, account: Account) -> anyhow::Result<Candidate> {
    let known = page_by_meta_id(&mut *app.db.acquire().await?, &account.id).await?;
    Ok(Candidate {
        standing: match known {
            None => Standing::Free,
            Some(known) if known.workspace == ws => Standing::Ours,
            Some(_) => Standing::Elsewhere,
        },
        lacks: lacks(&account.tasks),
        meta_id: account.id,
        name: account.name,
        picture: account.picture,
        followers: account.followers,
    })
}

/// `MANAGE` and the newer `PROFILE_PLUS_…` names count as well; no list at all is not held against
/// the person.
fn lacks(tasks: &[String]) -> Vec<&'static str> {
    if tasks.is_empty() {
        return Vec::new();
    }
    let has = |needed: &&str| {
        tasks.iter().any(|task| {
            let task = task.strip_prefix("PROFILE_PLUS_").unwrap_or(task);
            task == *needed || (task == "FULL_CONTROL" || task == "MANAGE")
        })
    };
    NEEDED_TASKS.into_iter().filter(|task| !has(task)).collect()
}

/// Connects what was chosen; one Page that fails does not keep the others.
pub async fn connect_chosen(
    app: &App,
    login: &Login,
    chosen: &Chosen,
) -> Result<Vec<Connected>, ChooseError> {
    let token = token(login)?;
    let accounts = app.meta.accounts(token).await?;
    let accounts: Vec<Account> = accounts
        .into_iter()
        .filter(|account| chosen.pages.contains(&account.id))
        .collect();
    if accounts.is_empty() {
        return Err(ChooseError::Nothing);
    }
    let mut unconfirmed = Vec::new();
    for account in &accounts {
        let page = candidate(app, login.workspace, account.clone()).await?;
        if page.standing == Standing::Elsewhere && !chosen.take_over.contains(&page.meta_id) {
            unconfirmed.push(page);
        }
    }
    if !unconfirmed.is_empty() {
        return Err(ChooseError::WouldTakeOver(unconfirmed));
    }
    let mut done = Vec::new();
    for account in accounts {
        let name = account.name.clone();
        let outcome = connect(app, login, token, account, chosen).await;
        done.push(Connected {
            name,
            outcome: outcome.map_err(|error| format!("{error:#}")),
        });
    }
    // Where nothing came of it, the person may choose once more.
    if done.iter().any(|page| page.outcome.is_ok()) {
        logins::chosen(app, login).await?;
    }
    Ok(done)
}

async fn connect(
    app: &App,
    login: &Login,
    login_token: &SecretString,
    account: Account,
    chosen: &Chosen,
) -> anyhow::Result<PageRowId> {
    let Some(page_token) = account.token else {
        anyhow::bail!(
            "Facebook gave no access to this Page. Ask one of its admins for the tasks Messages \
             and Community activity, then sign in again."
        );
    };
    if let Some(lost) = would_lose(app, login, &account.id).await? {
        anyhow::bail!(
            "This sign-in would take away what works today: {lost}. Nothing was changed. Whoever \
             runs Pagecast has to add it to the login configuration at Meta."
        );
    }
    let ad_account = if login.flow == Flow::Partner {
        let ours = app.config.meta.partner_ad_account.clone();
        if let Some(ours) = &ours {
            let system_user = login.user_id.as_deref().unwrap_or_default();
            let number = ours.trim_start_matches("act_");
            app.meta
                .join_asset(
                    &app.config.meta.accounts_url,
                    system_user,
                    number,
                    login_token,
                )
                .await?;
        }
        ours
    } else {
        chosen.ad_account.clone()
    };
    let page = ConnectPage {
        meta_id: account.id.clone(),
        token: page_token,
        ad_token: ad_account.as_ref().map(|_| login_token.clone()),
        ad_account,
    };
    let by = By {
        login: Some(login.id),
        user_id: login.user_id.as_deref(),
        takes_over: chosen.take_over.contains(&account.id),
    };
    connect_by(app, login.workspace, page, by).await
}

/// What a Page that works has by its present login, and would not have by this one: the system
/// user's token of each configuration has only that configuration's permissions.
async fn would_lose(app: &App, login: &Login, meta_id: &str) -> anyhow::Result<Option<String>> {
    let known = page_by_meta_id(&mut *app.db.acquire().await?, meta_id).await?;
    let Some(known) = known.filter(|known| known.workspace == login.workspace) else {
        return Ok(None);
    };
    let page = page(app, known.id).await?;
    let Some(present) = page
        .filter(|page| page.state == "active")
        .and_then(|p| p.login)
    else {
        return Ok(None);
    };
    let present = logins::login(app, present).await?;
    Ok(present.and_then(|present| lost(&present.scopes, &login.scopes)))
}

fn lost(present: &[String], next: &[String]) -> Option<String> {
    let has = |scopes: &[String], names: &[&str]| {
        scopes.iter().any(|scope| names.contains(&scope.as_str()))
    };
    let alike: [&[&str]; 4] = [
        &["pages_messaging"],
        &["pages_manage_metadata"],
        &["ads_management"],
        &["paid_marketing_messages", "marketing_messages_messenger"],
    ];
    let lost: Vec<&str> = alike
        .into_iter()
        .filter(|names| has(present, names) && !next.is_empty() && !has(next, names))
        .map(|names| names[0])
        .collect();
    (!lost.is_empty()).then(|| lost.join(", "))
}

fn token(login: &Login) -> anyhow::Result<&SecretString> {
    login
        .token
        .as_ref()
        .ok_or_else(|| anyhow::anyhow!("the login has no token any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_for_one_feature_does_not_take_the_others_away() {
        let scopes = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        let present = scopes(&[
            "pages_messaging",
            "ads_management",
            "paid_marketing_messages",
        ]);
        let leads = scopes(&["pages_messaging", "ads_management", "leads_retrieval"]);
        assert_eq!(
            lost(&present, &leads).as_deref(),
            Some("paid_marketing_messages")
        );
        let asset = scopes(&[
            "pages_messaging",
            "ads_management",
            "marketing_messages_messenger",
        ]);
        assert_eq!(lost(&present, &asset), None);
        assert_eq!(lost(&present, &[]), None, "Meta did not say");
    }

    #[test]
    fn a_role_that_is_too_small_is_named() {
        let tasks = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect::<Vec<_>>();
        assert_eq!(lacks(&tasks(&["ANALYZE"])), ["MESSAGING", "MODERATE"]);
        assert_eq!(lacks(&tasks(&["MESSAGING"])), ["MODERATE"]);
        assert!(lacks(&tasks(&["MESSAGING", "MODERATE"])).is_empty());
        assert!(lacks(&tasks(&["MANAGE"])).is_empty());
        assert!(lacks(&tasks(&["PROFILE_PLUS_MESSAGING", "PROFILE_PLUS_MODERATE"])).is_empty());
        assert!(lacks(&[]).is_empty());
    }
}
