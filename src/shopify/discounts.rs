//! Discount codes: one that everybody may use, once each, so much off the whole order.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::{Client, Error, ShopDomain};
use crate::clock::{Millis, rfc3339};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCode {
    pub code: String,
    /// What the merchant sees in the list of discounts.
    pub title: String,
    /// 1 to 100.
    pub percent: u8,
    pub starts_at: Millis,
    pub ends_at: Option<Millis>,
}

impl Client {
    /// Makes the code. Tried twice it is still one code: Shopify refuses a code that exists, as
    /// [`code_is_taken`] tells.
    pub async fn create_code(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        new: &NewCode,
    ) -> Result<(), Error> {
        let query = include_str!("queries/discount_code.graphql");
        let discount = json!({
            "title": new.title,
            "code": new.code,
            "startsAt": rfc3339(new.starts_at),
            "endsAt": new.ends_at.map(rfc3339),
            "context": { "all": "ALL" },
            "customerGets": {
                "value": { "percentage": f64::from(new.percent) / 100.0 },
                "items": { "all": true },
            },
            "appliesOncePerCustomer": true,
        });
        let variables = json!({ "discount": discount });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        if data["discountCodeBasicCreate"]["codeDiscountNode"].is_object() {
            return Ok(());
        }
        Err(Error::Refused("no reason was given".to_owned()))
    }
}

/// Whether Shopify refused a code because the shop has it already.
pub fn code_is_taken(error: &Error) -> bool {
    matches!(error, Error::Refused(words) if words.contains("TAKEN: "))
}
