//! Ad accounts, as far as they decide whether paid messages go out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::graph::{Answer, Call, Refusal};
use super::pages::pick;
use super::{Caller, Meta};

const AD_FIELDS: [&str; 8] = [
    "id",
    "account_id",
    "name",
    "currency",
    "account_status",
    "timezone_name",
    "business_country_code",
    "funding_source",
];

#[derive(Clone, Debug)]
pub(super) struct AdAccount {
    status: i64,
    country: &'static str,
    funding: bool,
}

impl Default for AdAccount {
    fn default() -> Self {
        Self {
            status: 1,
            country: "US",
            funding: true,
        }
    }
}

impl Meta {
    /// The ad account's status in Meta's numbers (1 active, 2 disabled, 3 unsettled), whether it
    /// has a payment method, and the country of its business.
    pub fn ad_account_is(&self, account: &str, status: i64, funding: bool, country: &'static str) {
        let account_state = AdAccount {
            status,
            country,
            funding,
        };
        self.state()
            .login
            .ad_accounts
            .insert(account.to_owned(), account_state);
    }

    pub(super) fn ad_accounts(&self, call: &Call, caller: &Caller) -> Answer {
        call.only(&["limit", "after"])?;
        let fields = call.fields(&AD_FIELDS, &["id"])?;
        let Caller::Login(token) = caller else {
            let text = "(#100) Tried accessing nonexisting field (adaccounts)";
            return Err(Refusal::new(100, text));
        };
        let held: BTreeSet<String> = {
            let state = self.state();
            let owned = state.pages.values().filter(|page| page.ad_token == *token);
            let person = state.login.tokens.get(token);
            let member = person.and_then(|known| state.login.people.get(&known.user_id));
            owned
                .map(|page| page.ad_account.clone())
                .chain(
                    member
                        .into_iter()
                        .flat_map(|member| member.ad_accounts.clone()),
                )
                .collect()
        };
        let rows: Vec<Value> = held
            .iter()
            .map(|id| pick(&self.ad_account_row(id), &fields))
            .collect();
        Ok(json!({ "data": rows }))
    }

    /// `GET /act_…`.
    pub(super) fn ad_account_node(&self, id: &str, call: &Call) -> Answer {
        call.only(&[])?;
        let fields = call.fields(&AD_FIELDS, &["id"])?;
        Ok(pick(&self.ad_account_row(id), &fields))
    }

    fn ad_account_row(&self, id: &str) -> Value {
        let known = self.state().login.ad_accounts.get(id).cloned();
        let account = known.unwrap_or_default();
        let mut row = json!({
            "id": id, "account_id": id.trim_start_matches("act_"),
            "name": format!("Ad account {}", id.trim_start_matches("act_")),
            "currency": "USD", "account_status": account.status,
            "timezone_name": "America/New_York", "business_country_code": account.country,
        });
        // Graph leaves out what is empty.
        if account.funding {
            row["funding_source"] = json!("22334455667788");
        }
        row
    }
}
