//! The paid channel's campaigns: created ahead of their first send because Meta warms them up.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::read::text;
use super::{Client, DeliveryEstimate, Error, ad_account_segment};

const ESTIMATE_FIELDS: &str = "estimate_delivery_lower_bound,estimate_delivery_upper_bound,\
                               estimate_cost_lower_bound,estimate_cost_upper_bound";

impl Client {
    /// Creates a message campaign without a budget of ours (Meta sets a daily cap) and returns its
    /// id, the `message_id` of every send. It cannot be used before its warm-up.
    pub async fn create_campaign(
        &self,
        ad_account: &str,
        login_token: &SecretString,
        name: &str,
        page_id: &str,
    ) -> Result<String, Error> {
        let account = ad_account_segment(ad_account);
        let body = json!({ "name": name, "page_id": page_id });
        let request = self.post(&[&account, "message_campaign"])?.json(&body);
        let (answer, _): (Value, _) = self.request(request, login_token).await?;
        text(&answer, "id").ok_or_else(|| Error::AnswerLost("no campaign id in the answer".into()))
    }

    /// Final: the campaign cannot be had back.
    pub async fn delete_campaign(
        &self,
        login_token: &SecretString,
        meta_campaign_id: &str,
    ) -> Result<(), Error> {
        let request = self.delete(&[meta_campaign_id])?;
        let _: (Value, _) = self.request(request, login_token).await?;
        Ok(())
    }

    /// What Meta expects a broadcast of this Page to deliver and to cost.
    pub async fn estimate(
        &self,
        ad_account: &str,
        login_token: &SecretString,
        page_id: &str,
    ) -> Result<DeliveryEstimate, Error> {
        let account = ad_account_segment(ad_account);
        let promoted = json!({ "page_id": page_id }).to_string();
        let targeting = json!({
            "publisher_platforms": ["messenger"],
            "messenger_positions": ["marketing_messages"],
        })
        .to_string();
        let request = self.get(&[&account, "message_delivery_estimate"])?.query(&[
            ("promoted_object", promoted.as_str()),
            ("targeting_spec", targeting.as_str()),
            ("is_direct_send_campaign", "true"),
            ("pacing_type", "no_pacing"),
            ("fields", ESTIMATE_FIELDS),
        ]);
        let (answer, _): (Value, _) = self.request(request, login_token).await?;
        Ok(read_estimate(answer.pointer("/data/0").unwrap_or(&answer)))
    }
}

fn read_estimate(row: &Value) -> DeliveryEstimate {
    let number = |key| {
        let value = row.get(key)?;
        let number = value
            .as_f64()
            .or_else(|| value.as_str()?.trim().parse().ok())?;
        whole(number)
    };
    DeliveryEstimate {
        delivered_low: number("estimate_delivery_lower_bound"),
        delivered_high: number("estimate_delivery_upper_bound"),
        cost_low: number("estimate_cost_lower_bound"),
        cost_high: number("estimate_cost_upper_bound"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "bounded by the check before"
)]
fn whole(number: f64) -> Option<i64> {
    (0.0..1e15).contains(&number).then(|| number.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_is_rounded_to_minor_units_and_may_be_partial() {
        let row = json!({"estimate_delivery_lower_bound": 90, "estimate_cost_upper_bound": "12.6"});
        let estimate = read_estimate(&row);
        assert_eq!(estimate.delivered_low, Some(90));
        assert_eq!(estimate.delivered_high, None);
        assert_eq!(estimate.cost_high, Some(13));
    }
}
