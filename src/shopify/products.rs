//! Products as shoppers see them: what a card in a message shows.

use secrecy::SecretString;
use serde_json::{Value, json};

use super::money::minor_units;
use super::read::{id, list, text};
use super::{Client, Error, ShopDomain};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownProduct {
    pub id: i64,
    pub title: String,
    /// In the online store.
    pub url: String,
    pub image: Option<String>,
    pub price: Option<Price>,
}

/// Of the cheapest variant, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    pub amount: i64,
    pub currency: String,
    /// Others cost more.
    pub is_from: bool,
}

impl Client {
    /// Products that can be bought in the online store, by words of theirs; without words those
    /// changed last.
    pub async fn search_products(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        words: &str,
    ) -> Result<Vec<ShownProduct>, Error> {
        let query = include_str!("queries/products.graphql");
        let variables = json!({ "search": search(words) });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        let nodes = list(&data["products"], "nodes");
        Ok(nodes.iter().filter_map(read_product).collect())
    }

    /// `None` when there is no such product, or none that can be bought in the online store.
    pub async fn shown_product(
        &self,
        shop: &ShopDomain,
        token: &SecretString,
        id: i64,
    ) -> Result<Option<ShownProduct>, Error> {
        let query = include_str!("queries/product.graphql");
        let variables = json!({ "id": format!("gid://shopify/Product/{id}") });
        let data: Value = self.graphql(shop, token, query, variables).await?;
        Ok(read_product(&data["product"]))
    }
}

/// In Shopify's search language, of which a person's words are to be no part: only letters and
/// digits are handed on. Every word may be a beginning.
fn search(words: &str) -> String {
    let mut terms = vec![
        "status:active".to_owned(),
        "published_status:published".to_owned(),
    ];
    let plain: Vec<&str> = words
        .split(|c: char| !c.is_alphanumeric())
        // `AND`, `OR` and `NOT` are operators.
        .filter(|word| !word.is_empty() && !matches!(*word, "AND" | "OR" | "NOT"))
        .take(8)
        .collect();
    terms.extend(plain.iter().map(|word| format!("title:{word}*")));
    terms.join(" AND ")
}

fn read_product(product: &Value) -> Option<ShownProduct> {
    let range = &product["priceRangeV2"];
    let least = &range["minVariantPrice"];
    let price = text(least, "currencyCode").and_then(|currency| {
        let amount = minor_units(&text(least, "amount")?, &currency)?;
        let most = minor_units(&text(&range["maxVariantPrice"], "amount")?, &currency)?;
        Some(Price {
            amount,
            currency,
            is_from: most > amount,
        })
    });
    let image = &product["featuredMedia"]["preview"]["image"];
    Some(ShownProduct {
        id: id(product, "legacyResourceId")?,
        title: text(product, "title")?,
        url: text(product, "onlineStoreUrl")?,
        image: text(image, "url"),
        price,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_whatever_is_typed() {
        let of = |words: &str| {
            search(words).replace("status:active AND published_status:published", "*")
        };
        assert_eq!(of(""), "*");
        assert_eq!(of("cold  brew"), "* AND title:cold* AND title:brew*");
        assert_eq!(
            of("a\" OR vendor:* -(x) AND"),
            "* AND title:a* AND title:vendor* AND title:x*"
        );
    }

    #[test]
    fn a_product_that_is_not_in_the_online_store_is_not_shown() {
        let mut node = json!({
            "legacyResourceId": "7", "title": "Mug", "onlineStoreUrl": "https://s.example/products/mug",
            "featuredMedia": null, "priceRangeV2": {
                "minVariantPrice": { "amount": "14.5", "currencyCode": "USD" },
                "maxVariantPrice": { "amount": "16.0" } } });
        let product = read_product(&node).unwrap();
        let price = product.price.unwrap();
        assert_eq!(
            (price.amount, price.is_from, product.image),
            (1_450, true, None)
        );
        node["onlineStoreUrl"] = Value::Null;
        assert_eq!(read_product(&node), None);
    }
}
