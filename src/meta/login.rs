//! Facebook Login for Business: the dialog's address, the code it brings, and what the token that
//! comes of it may see. Meta grants all permissions of a configuration or none.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::pages::{rows, words};
use super::read::{integer, text};
use super::{Client, Error, ad_account_segment};
use crate::clock::{Millis, SECOND};

/// Pages that one login may hold: as many as twenty answers list.
const MOST_PAGES: usize = 20;
const ACCOUNT_FIELDS: &str = "id,name,access_token,tasks,picture{url},followers_count";
const FEWER_ACCOUNT_FIELDS: &str = "id,name,access_token,tasks";
const AD_FIELDS: &str = "id,name,account_status,currency,business_country_code,funding_source";
const FEWER_AD_FIELDS: &str = "id,name,account_status,currency";

/// What the dialog is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Dialog<'a> {
    /// `META_LOGIN_URL`.
    pub login_url: &'a str,
    pub config_id: &'a str,
    pub redirect_uri: &'a str,
    pub state: &'a str,
}

/// A token and how long it lasts, as far as Meta says.
#[derive(Debug)]
pub struct Granted {
    pub token: SecretString,
    pub lasts: Option<Millis>,
}

/// The person or system user behind a token.
#[derive(Clone, Debug, Default)]
pub struct Who {
    pub id: String,
    pub name: Option<String>,
}

/// A Page the person behind a login token may use: a row of `me/accounts`.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub id: String,
    pub name: String,
    pub token: Option<SecretString>,
    /// `MESSAGING`, `MODERATE`, … in Meta's words.
    pub tasks: Vec<String>,
    pub picture: Option<String>,
    pub followers: Option<i64>,
}

/// A business portfolio, by number and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Business {
    pub id: String,
    pub name: Option<String>,
}

/// An ad account, as far as it decides whether paid messages go out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdAccount {
    /// `act_…`.
    pub id: String,
    pub name: Option<String>,
    /// Meta's number: 1 is active.
    pub status: Option<i64>,
    pub currency: Option<String>,
    pub country: Option<String>,
    /// Whether there is a payment method; `None` where Meta did not say.
    pub has_funding: Option<bool>,
}

impl Client {
    /// Where the browser goes to sign in; `None` without `META_APP_ID`.
    pub fn login_address(&self, dialog: Dialog<'_>) -> Option<String> {
        let app_id = self.settings.app_id.as_deref()?;
        let mut url = url::Url::parse(dialog.login_url).ok()?;
        url.path_segments_mut().ok()?.pop_if_empty().extend([
            self.settings.graph_version.as_str(),
            "dialog",
            "oauth",
        ]);
        url.query_pairs_mut()
            .append_pair("client_id", app_id)
            .append_pair("config_id", dialog.config_id)
            .append_pair("response_type", "code")
            .append_pair("override_default_response_type", "true")
            .append_pair("redirect_uri", dialog.redirect_uri)
            .append_pair("state", dialog.state);
        Some(url.into())
    }

    /// Trades the dialog's code, once, for a token.
    pub async fn exchange_code(&self, code: &str, redirect_uri: &str) -> Result<Granted, Error> {
        let (id, secret) = self.app_credentials()?;
        let request = self.get(&["oauth", "access_token"])?.query(&[
            ("client_id", id),
            ("client_secret", secret.expose_secret()),
            ("redirect_uri", redirect_uri),
            ("code", code),
        ]);
        let (answer, _): (Value, _) = self.request_bare(request).await?;
        granted(&answer)
    }

    /// Trades a person's token of an hour for one of about 60 days.
    pub async fn long_lived(&self, token: &SecretString) -> Result<Granted, Error> {
        let (id, secret) = self.app_credentials()?;
        let request = self.get(&["oauth", "access_token"])?.query(&[
            ("grant_type", "fb_exchange_token"),
            ("client_id", id),
            ("client_secret", secret.expose_secret()),
            ("fb_exchange_token", token.expose_secret()),
        ]);
        let (answer, _): (Value, _) = self.request_bare(request).await?;
        granted(&answer)
    }

    /// Who the token is of.
    pub async fn me(&self, token: &SecretString) -> Result<Who, Error> {
        let request = self.get(&["me"])?.query(&[("fields", "id,name")]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        Ok(Who {
            id: text(&answer, "id").unwrap_or_default(),
            name: text(&answer, "name"),
        })
    }

    /// The Pages the token may use, with a token for each.
    pub async fn accounts(&self, token: &SecretString) -> Result<Vec<Account>, Error> {
        match self.accounts_with(token, ACCOUNT_FIELDS).await {
            // Picture and followers are for show: without them it works as well.
            Err(Error::Api(error)) if error.code == 100 => {
                self.accounts_with(token, FEWER_ACCOUNT_FIELDS).await
            }
            other => other,
        }
    }

    async fn accounts_with(
        &self,
        token: &SecretString,
        fields: &str,
    ) -> Result<Vec<Account>, Error> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut request = self
                .get(&["me", "accounts"])?
                .query(&[("fields", fields), ("limit", "100")]);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let (answer, _): (Value, _) = self.request(request, token).await?;
            let page = rows(&answer);
            found.extend(page.iter().filter_map(account));
            let next = answer.pointer("/paging/next").and(
                answer
                    .pointer("/paging/cursors")
                    .and_then(|cursors| text(cursors, "after")),
            );
            if page.is_empty() || next.is_none() || next == after {
                break;
            }
            after = next;
        }
        Ok(found)
    }

    /// The business portfolios the person belongs to.
    pub async fn businesses(&self, token: &SecretString) -> Result<Vec<Business>, Error> {
        self.businesses_at(&["me", "businesses"], token).await
    }

    /// The businesses with which the Page is shared.
    pub async fn agencies(
        &self,
        page_id: &str,
        token: &SecretString,
    ) -> Result<Vec<Business>, Error> {
        self.businesses_at(&[page_id, "agencies"], token).await
    }

    async fn businesses_at(
        &self,
        path: &[&str],
        token: &SecretString,
    ) -> Result<Vec<Business>, Error> {
        let request = self
            .get(path)?
            .query(&[("fields", "id,name"), ("limit", "100")]);
        let (answer, _): (Value, _) = self.request(request, token).await?;
        let business = |row: &Value| {
            Some(Business {
                id: text(row, "id")?,
                name: text(row, "name"),
            })
        };
        Ok(rows(&answer).iter().filter_map(business).collect())
    }

    /// The ad accounts the token may use.
    pub async fn ad_accounts(&self, token: &SecretString) -> Result<Vec<AdAccount>, Error> {
        let ask = async |fields| {
            let request = self
                .get(&["me", "adaccounts"])?
                .query(&[("fields", fields), ("limit", "100")]);
            let (answer, _): (Value, _) = self.request(request, token).await?;
            Ok(rows(&answer).iter().filter_map(ad_account).collect())
        };
        match ask(AD_FIELDS).await {
            Err(Error::Api(error)) if error.code == 100 => ask(FEWER_AD_FIELDS).await,
            other => other,
        }
    }

    /// One ad account, whether it may be charged.
    pub async fn ad_account(&self, id: &str, token: &SecretString) -> Result<AdAccount, Error> {
        let id = ad_account_segment(id);
        let ask = async |fields: &str| {
            let request = self.get(&[&id])?.query(&[("fields", fields)]);
            let (mut answer, _): (Value, _) = self.request(request, token).await?;
            if let Some(node) = answer.as_object_mut() {
                node.insert("id".to_owned(), Value::from(id.as_str()));
            }
            ad_account(&answer)
                .ok_or_else(|| Error::AnswerLost("the ad account has no id".to_owned()))
        };
        match ask(AD_FIELDS).await {
            Err(Error::Api(error)) if error.code == 100 && error.subcode.is_none() => {
                ask(FEWER_AD_FIELDS).await
            }
            other => other,
        }
    }

    /// Joins our ad account to the merchant's system user, so that their messages may be paid from
    /// it. It lives on another host than Graph, takes a form of parts, and answers 202.
    pub async fn join_asset(
        &self,
        accounts_url: &str,
        system_user: &str,
        asset: &str,
        token: &SecretString,
    ) -> Result<(), Error> {
        const BOUNDARY: &str = "pagecast-part";
        let mut url = url::Url::parse(accounts_url)
            .map_err(|_| Error::NotSent("META_ACCOUNTS_URL is not an address".into()))?;
        url.path_segments_mut()
            .map_err(|()| Error::NotSent("META_ACCOUNTS_URL is not an address".into()))?
            .pop_if_empty()
            .extend(["system_accounts", system_user, "asset-connections"]);
        let body = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"asset_id\"\r\n\r\n{asset}\r\n\
             --{BOUNDARY}--\r\n"
        );
        let request = self
            .http
            .post(url.as_str())
            .header(
                "content-type",
                format!("multipart/form-data; boundary={BOUNDARY}"),
            )
            .body(body);
        let _: (Value, _) = self.request(request, token).await?;
        Ok(())
    }

    fn app_credentials(&self) -> Result<(&str, &SecretString), Error> {
        match (&self.settings.app_id, &self.settings.app_secret) {
            (Some(id), Some(secret)) => Ok((id, secret)),
            _ => Err(Error::NotSent(
                "META_APP_ID or META_APP_SECRET is not set".into(),
            )),
        }
    }
}

fn granted(answer: &Value) -> Result<Granted, Error> {
    let token = text(answer, "access_token")
        .ok_or_else(|| Error::AnswerLost("no token in the answer".into()))?;
    Ok(Granted {
        token: token.into(),
        lasts: integer(answer, "expires_in")
            .filter(|seconds| *seconds > 0)
            .map(|seconds| seconds * SECOND),
    })
}

fn account(row: &Value) -> Option<Account> {
    Some(Account {
        id: text(row, "id")?,
        name: text(row, "name").unwrap_or_default(),
        token: text(row, "access_token").map(SecretString::from),
        tasks: words(row.get("tasks")),
        picture: row
            .pointer("/picture/data")
            .and_then(|picture| text(picture, "url"))
            .filter(|url| url.starts_with("https://")),
        followers: integer(row, "followers_count"),
    })
}

fn ad_account(row: &Value) -> Option<AdAccount> {
    let asked_for_funding = row.get("business_country_code").is_some();
    Some(AdAccount {
        id: ad_account_segment(&text(row, "id")?),
        name: text(row, "name"),
        status: integer(row, "account_status"),
        currency: text(row, "currency"),
        country: text(row, "business_country_code"),
        has_funding: match text(row, "funding_source") {
            Some(id) => Some(id != "0"),
            // Graph leaves out what is empty; only an answer to the long question says so.
            None => asked_for_funding.then_some(false),
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_is_read_with_or_without_what_is_for_show() {
        let bare = account(&json!({"id": 7, "name": "Pine"})).unwrap();
        assert_eq!((bare.id.as_str(), bare.followers), ("7", None));
        assert!(bare.token.is_none() && bare.tasks.is_empty());
        let picture = |url| json!({"id": "7", "picture": {"data": {"url": url}}});
        let full = account(&picture("https://cdn.example/p.jpg")).unwrap();
        assert_eq!(full.picture.as_deref(), Some("https://cdn.example/p.jpg"));
        assert_eq!(account(&picture("javascript:x")).unwrap().picture, None);
    }

    #[test]
    fn no_payment_method_is_told_from_not_asked() {
        let read = |row: Value| ad_account(&row).unwrap().has_funding;
        assert_eq!(read(json!({"id": "act_1"})), None);
        assert_eq!(
            read(json!({"id": "act_1", "business_country_code": "US"})),
            Some(false)
        );
        assert_eq!(
            read(json!({"id": "1", "business_country_code": "US", "funding_source": "12"})),
            Some(true)
        );
    }
}
