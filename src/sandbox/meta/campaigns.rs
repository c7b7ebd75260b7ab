//! The ad account's side: message campaigns, estimates, budgets.

use serde_json::{Value, json};

use super::graph::{Answer, Call, Refusal};
use super::messages::text_of;
use super::state::Campaign;
use super::{Caller, Meta, success};
use crate::clock::parse_rfc3339;

impl Meta {
    /// The campaigns created so far, deleted ones too.
    pub fn campaigns(&self) -> Vec<Campaign> {
        self.state().campaigns.values().cloned().collect()
    }

    /// How many messages were accepted for each (campaign, subscription token).
    pub fn accepted(&self) -> Vec<((String, String), u32)> {
        self.state()
            .accepted
            .iter()
            .map(|(key, n)| (key.clone(), *n))
            .collect()
    }

    /// The ad account must belong to a Page whose login token the caller holds; a Page token is
    /// refused on ad accounts.
    pub(super) fn account_call(&self, account: &str, caller: &Caller) -> Result<(), Refusal> {
        let Caller::Login(token) = caller else {
            return Err(Refusal::new(
                200,
                "(#200) The token has no permission ads_management",
            ));
        };
        if self.login_holds_account(token, account) {
            return Ok(());
        }
        let state = self.state();
        if state
            .pages
            .values()
            .any(|p| p.ad_account == account && p.ad_token == *token)
        {
            return Ok(());
        }
        Err(Refusal::new(
            100,
            format!("Unsupported request. Object with ID '{account}' does not exist"),
        )
        .sub(33))
    }

    pub(super) fn create_campaign(&self, account: &str, call: &Call, caller: &Caller) -> Answer {
        self.account_call(account, caller)?;
        call.only(&[
            "name",
            "page_id",
            "daily_budget",
            "lifetime_budget",
            "pixel_id",
            "start_time",
            "end_time",
            "bid_amount",
        ])?;
        let name = call.required_text("name")?;
        let page_id = call.required_text("page_id")?;
        for budget in ["daily_budget", "lifetime_budget", "bid_amount"] {
            if let Some(text) = call.text(budget)
                && text.parse::<u64>().unwrap_or(0) == 0
            {
                return Err(Refusal::parameter(format_args!(
                    "{budget} must be positive"
                )));
            }
        }
        for time in ["start_time", "end_time"] {
            if let Some(text) = call.text(time)
                && text.parse::<i64>().is_err()
                && parse_rfc3339(&text).is_none()
            {
                return Err(Refusal::parameter(format_args!("{time} is no time")));
            }
        }
        let mut state = self.state();
        if state
            .pages
            .get(&page_id)
            .is_none_or(|p| p.ad_account != account)
        {
            return Err(Refusal::new(
                2_300_039,
                "Permission for the Page is missing",
            ));
        }
        let id = format!(
            "1202{}",
            self.inner
                .world
                .chance
                .between(10_000_000_000, 99_999_999_999)
        );
        let campaign = Campaign {
            id: id.clone(),
            name,
            page_id,
            ad_account: account.to_owned(),
            created_at: self.now(),
            deleted: false,
        };
        state.campaigns.insert(id.clone(), campaign);
        Ok(json!({ "id": id }))
    }

    pub(super) fn delete_campaign(&self, id: &str, call: &Call, caller: &Caller) -> Answer {
        call.only(&[])?;
        let account = self.state().campaigns.get(id).map(|c| c.ad_account.clone());
        let Some(account) = account else {
            let text = format!("Unsupported delete request. Object with ID '{id}' does not exist");
            return Err(Refusal::new(100, text).sub(33));
        };
        self.account_call(&account, caller)?;
        if let Some(campaign) = self.state().campaigns.get_mut(id) {
            campaign.deleted = true;
        }
        Ok(success())
    }

    pub(super) fn campaign_node(&self, id: &str, call: &Call, caller: &Caller) -> Answer {
        call.only(&[])?;
        call.fields(&["id", "name", "campaign", "creative", "adset"], &["id"])?;
        let campaign = self
            .state()
            .campaigns
            .get(id)
            .filter(|c| !c.deleted)
            .cloned();
        let Some(campaign) = campaign else {
            return Err(Refusal::new(100, "Object does not exist").sub(33));
        };
        self.account_call(&campaign.ad_account, caller)?;
        Ok(json!({
            "id": campaign.id,
            "name": campaign.name,
            "campaign": { "name": campaign.name },
            "creative": { "actor_id": campaign.page_id },
        }))
    }

    pub(super) fn estimate(&self, account: &str, call: &Call, caller: &Caller) -> Answer {
        self.account_call(account, caller)?;
        call.only(&[
            "bid_amount",
            "daily_budget",
            "is_direct_send_campaign",
            "lifetime_budget",
            "lifetime_in_days",
            "optimization_goal",
            "pacing_type",
            "promoted_object",
            "targeting_spec",
        ])?;
        let promoted = call.object("promoted_object")?;
        call.object("targeting_spec")?;
        let known = [
            "estimate_cost",
            "estimate_cost_lower_bound",
            "estimate_cost_upper_bound",
            "estimate_coverage_lower_bound",
            "estimate_coverage_upper_bound",
            "estimate_delivery",
            "estimate_delivery_lower_bound",
            "estimate_delivery_upper_bound",
            "estimate_status",
        ];
        let fields = call.fields(&known, &known)?;
        let page_id = text_of(promoted.get("page_id"));
        let state = self.state();
        let reached = state
            .subscriptions
            .values()
            .filter(|s| !s.stopped && Some(&s.page_id) == page_id.as_ref())
            .count();
        let n = i64::try_from(reached).unwrap_or(i64::MAX);
        // Some three cents a delivered message, in minor units.
        let row = json!({
            "estimate_cost": n * 3,
            "estimate_cost_lower_bound": n * 2,
            "estimate_cost_upper_bound": n * 4,
            "estimate_coverage_lower_bound": n,
            "estimate_coverage_upper_bound": n,
            "estimate_delivery": n * 9 / 10,
            "estimate_delivery_lower_bound": n * 8 / 10,
            "estimate_delivery_upper_bound": n,
            "estimate_status": "ready",
        });
        let shown: serde_json::Map<String, Value> = fields
            .iter()
            .filter_map(|f| Some((f.clone(), row.get(f)?.clone())))
            .collect();
        Ok(json!({ "data": [shown] }))
    }

    pub(super) fn minimum_budgets(&self, account: &str, call: &Call, caller: &Caller) -> Answer {
        self.account_call(account, caller)?;
        call.only(&["bid_amount", "limit", "after"])?;
        Ok(json!({ "data": [{ "currency": "USD", "min_daily_budget_imp": 100 }] }))
    }
}
