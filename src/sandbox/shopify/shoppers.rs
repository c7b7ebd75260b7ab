//! What shoppers and merchants do. Each verb changes the shop and sends the webhooks that Shopify
//! would send.

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::bodies::{self, OrderFacts};
use super::{Shop, Shopify};
use crate::clock::Millis;

/// A customer of one shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub id: i64,
    pub shop: String,
    pub first_name: String,
    pub last_name: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub orders: u32,
    pub created_at: Millis,
    pub updated_at: Millis,
}

/// Something a shop sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub product_id: i64,
    pub title: String,
    /// Decimal text.
    pub price: String,
    pub quantity: i64,
}

impl Item {
    pub fn new(title: &str, price: &str, quantity: i64) -> Self {
        let sum: i64 = title.bytes().map(i64::from).sum();
        Self {
            product_id: 7_000_000 + sum,
            title: title.to_owned(),
            price: price.to_owned(),
            quantity,
        }
    }
}

/// Everything about a purchase that can vary.
#[derive(Clone, Debug, Default)]
pub struct Purchase {
    /// Decimal text; the sum of the items when absent.
    pub total: Option<String>,
    /// The shop's currency when absent.
    pub currency: Option<String>,
    pub items: Vec<Item>,
    /// Where the shopper came in, with its query: a path or an address.
    pub landing_site: Option<String>,
    pub note_attributes: Vec<(String, String)>,
    pub discount_codes: Vec<String>,
    /// The checkout that is completed; a new one when absent.
    pub checkout_token: Option<String>,
    /// `web` when absent.
    pub source_name: Option<String>,
    pub test: bool,
    /// Ordered but not paid yet: no `orders/paid`.
    pub unpaid: bool,
}

impl Shopify {
    /// Somebody new registers: `customers/create`.
    pub fn customer(&self, first: &str, last: &str, email: &str) -> anyhow::Result<Customer> {
        let customer = self.has_customer(first, last, email)?;
        let currency = self.with_shop(|shop| shop.currency.clone())?;
        self.tell(
            "customers/create",
            bodies::customer_body(&customer, &currency),
        )?;
        Ok(customer)
    }

    /// A customer that has been there all along: nobody is told.
    pub fn has_customer(&self, first: &str, last: &str, email: &str) -> anyhow::Result<Customer> {
        let now = self.now();
        let id = self.new_id();
        self.with_shop(|shop| {
            let customer = Customer {
                id,
                shop: shop.domain.clone(),
                first_name: first.to_owned(),
                last_name: last.to_owned(),
                email: (!email.is_empty()).then(|| email.to_owned()),
                phone: None,
                orders: 0,
                created_at: now,
                updated_at: now,
            };
            shop.customers.insert(id, customer.clone());
            customer
        })
    }

    /// A customer's details change: `customers/update`.
    pub fn updates_customer(&self, changed: &Customer) -> anyhow::Result<()> {
        let mut customer = changed.clone();
        customer.updated_at = self.now();
        let shopify = self.of(&customer.shop);
        let currency = shopify.with_shop(|shop| {
            shop.customers.insert(customer.id, customer.clone());
            shop.currency.clone()
        })?;
        shopify.tell(
            "customers/update",
            bodies::customer_body(&customer, &currency),
        )
    }

    /// Starts a checkout and leaves: `checkouts/create`. Returns the checkout token.
    pub fn abandons_checkout(&self, customer: &Customer, items: &[Item]) -> anyhow::Result<String> {
        let purchase = Purchase {
            items: items.to_vec(),
            ..Purchase::default()
        };
        let shopify = self.of(&customer.shop);
        let token = self.inner.world.chance.hex(32);
        let cart = self.inner.world.chance.hex(32);
        let now = self.now();
        let body = shopify.with_shop(|shop| {
            let body = with_facts(
                shop,
                customer,
                &purchase,
                (0, 0),
                &token,
                &cart,
                now,
                bodies::checkout_body,
            );
            shop.checkouts.insert(token.clone(), body.clone());
            body
        })?;
        shopify.tell("checkouts/create", body)?;
        Ok(token)
    }

    /// The checkout changes while it is still open: `checkouts/update`.
    pub fn updates_checkout(&self, token: &str) -> anyhow::Result<()> {
        let at = bodies::stamp(self.now());
        let body = self.with_shop(|shop| {
            let checkout = shop.checkouts.get_mut(token)?;
            checkout["updated_at"] = json!(at);
            Some(checkout.clone())
        })?;
        self.tell(
            "checkouts/update",
            body.context("the shop has no such checkout")?,
        )
    }

    /// Orders and pays: `orders/create`, `orders/paid`. Returns the order's id.
    pub fn pays(
        &self,
        customer: &Customer,
        total: &str,
        landing_site: Option<&str>,
        note_attributes: &[(&str, &str)],
        checkout_token: Option<&str>,
    ) -> anyhow::Result<i64> {
        self.buys(
            customer,
            &Purchase {
                total: Some(total.to_owned()),
                landing_site: landing_site.map(str::to_owned),
                note_attributes: note_attributes
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                checkout_token: checkout_token.map(str::to_owned),
                ..Purchase::default()
            },
        )
    }

    /// As [`Shopify::pays`], with everything that can vary.
    pub fn buys(&self, customer: &Customer, purchase: &Purchase) -> anyhow::Result<i64> {
        let shopify = self.of(&customer.shop);
        let now = self.now();
        let id = self.new_id();
        let chance = &self.inner.world.chance;
        let token = purchase
            .checkout_token
            .clone()
            .unwrap_or_else(|| chance.hex(32));
        let mut cart = chance.hex(32);
        let (created, paid) = shopify.with_shop(|shop| {
            if let Some(checkout) = shop.checkouts.get_mut(&token) {
                checkout["completed_at"] = json!(bodies::stamp(now));
                if let Some(own) = checkout["cart_token"].as_str() {
                    own.clone_into(&mut cart);
                }
            }
            let numbers = (id, shop.next_order_number);
            shop.next_order_number += 1;
            let mut created = with_facts(
                shop,
                customer,
                purchase,
                numbers,
                &token,
                &cart,
                now,
                bodies::order_body,
            );
            if let Some(known) = shop.customers.get_mut(&customer.id) {
                known.orders += 1;
                created["customer"]["orders_count"] = json!(known.orders);
            }
            let mut paid = created.clone();
            if !purchase.unpaid {
                paid["financial_status"] = json!("paid");
                paid["total_outstanding"] = json!("0.00");
            }
            shop.orders.insert(id, paid.clone());
            (created, paid)
        })?;
        shopify.tell("orders/create", created)?;
        if !purchase.unpaid {
            shopify.tell("orders/paid", paid)?;
        }
        Ok(id)
    }

    /// The order as it stands now is told again: `orders/updated`.
    pub fn updates(&self, order_id: i64) -> anyhow::Result<()> {
        let body = self.changes_order(order_id, |_| {})?;
        self.tell("orders/updated", body)
    }

    /// Gives money back: `refunds/create`, then `orders/updated`. The amount is decimal text.
    pub fn refunds(&self, order_id: i64, amount: &str) -> anyhow::Result<()> {
        let now = self.now();
        let refund_id = self.new_id();
        let given = cents(amount).context("a refund is a decimal number")?;
        let mut refund = Value::Null;
        let body = self.changes_order(order_id, |order| {
            let currency = order["currency"].as_str().unwrap_or("USD").to_owned();
            refund = bodies::refund_body(refund_id, order_id, amount, &currency, now);
            if let Some(refunds) = order["refunds"].as_array_mut() {
                refunds.push(refund.clone());
            }
            let left = order["current_total_price"]
                .as_str()
                .and_then(cents)
                .unwrap_or(0)
                - given;
            let left = decimal(left.max(0), amount);
            let status = if cents(&left) == Some(0) {
                "refunded"
            } else {
                "partially_refunded"
            };
            order["current_total_price"] = json!(left);
            order["current_total_price_set"] = bodies::money(&left, &currency);
            order["financial_status"] = json!(status);
        })?;
        self.tell("refunds/create", refund)?;
        self.tell("orders/updated", body)
    }

    /// `orders/cancelled`, then `orders/updated`.
    pub fn cancels(&self, order_id: i64) -> anyhow::Result<()> {
        let at = bodies::stamp(self.now());
        let body = self.changes_order(order_id, |order| {
            order["cancelled_at"] = json!(at);
            order["cancel_reason"] = json!("customer");
            order["financial_status"] = json!("voided");
        })?;
        self.tell("orders/cancelled", body.clone())?;
        self.tell("orders/updated", body)
    }

    /// The order's total, as decimal text.
    pub fn total_of(&self, order_id: i64) -> Option<String> {
        let total = self.with_shop(|shop| {
            Some(
                shop.orders.get(&order_id)?["total_price"]
                    .as_str()?
                    .to_owned(),
            )
        });
        total.ok().flatten()
    }

    /// The customer's orders: id, name and what is left of the total.
    pub(crate) fn orders_by(
        &self,
        customer: &Customer,
    ) -> anyhow::Result<Vec<(i64, String, String)>> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.of(&customer.shop).with_shop(|shop| {
            let own = orders_of(shop, customer.id);
            let found = own
                .iter()
                .filter_map(|id| Some((*id, shop.orders.get(id)?)));
            found
                .map(|(id, o)| (id, word(&o["name"]), word(&o["current_total_price"])))
                .collect()
        })
    }

    /// Where the order's shopper came in.
    pub fn landing_site_of(&self, order_id: i64) -> Option<String> {
        let site = self.with_shop(|shop| {
            Some(
                shop.orders.get(&order_id)?["landing_site"]
                    .as_str()?
                    .to_owned(),
            )
        });
        site.ok().flatten()
    }

    /// The merchant removes the app: `app/uninstalled`; the token is dead at once.
    pub fn uninstalls(&self) -> anyhow::Result<()> {
        let body = self.with_shop(|shop| {
            shop.installed = false;
            shop.grants.clear();
            shop.pixel = None;
            bodies::shop_body(shop)
        })?;
        self.tell("app/uninstalled", body)
    }

    /// The merchant grants other scopes: `app/scopes_update`.
    pub fn scopes_update(&self, scopes: &[&str]) -> anyhow::Result<()> {
        let now = bodies::stamp(self.now());
        let body = self.with_shop(|shop| {
            let current: Vec<String> = scopes.iter().map(|&s| s.to_owned()).collect();
            let previous = std::mem::replace(&mut shop.scopes, current);
            json!({
                "id": "gid://shopify/AppInstallation/1", "previous": previous,
                "current": shop.scopes, "updated_at": now, "shop_id": shop.id,
            })
        })?;
        self.tell("app/scopes_update", body)
    }

    /// `customers/redact`.
    pub fn redacts(&self, customer: &Customer) -> anyhow::Result<()> {
        let shopify = self.of(&customer.shop);
        let body = shopify.with_shop(|shop| {
            let orders = orders_of(shop, customer.id);
            shop.customers.remove(&customer.id);
            json!({
                "shop_id": shop.id, "shop_domain": shop.domain, "customer": contact(customer),
                "orders_to_redact": orders,
            })
        })?;
        shopify.tell("customers/redact", body)
    }

    /// `shop/redact`.
    pub fn redact_shop(&self) -> anyhow::Result<()> {
        let body =
            self.with_shop(|shop| json!({ "shop_id": shop.id, "shop_domain": shop.domain }))?;
        self.tell("shop/redact", body)
    }

    /// `customers/data_request`.
    pub fn data_request(&self, customer: &Customer) -> anyhow::Result<()> {
        let shopify = self.of(&customer.shop);
        let request = self.new_id();
        let body = shopify.with_shop(|shop| {
            json!({
                "shop_id": shop.id, "shop_domain": shop.domain,
                "orders_requested": orders_of(shop, customer.id), "customer": contact(customer),
                "data_request": { "id": request },
            })
        })?;
        shopify.tell("customers/data_request", body)
    }

    /// `products/update`.
    pub fn updates_product(&self, id: i64, title: &str) -> anyhow::Result<()> {
        let at = bodies::stamp(self.now());
        let handle = title.to_lowercase().replace(' ', "-");
        let body = json!({
            "id": id, "title": title, "handle": handle, "body_html": null,
            "vendor": "Harbour Coffee", "product_type": "Coffee", "status": "active", "tags": "",
            "created_at": at, "updated_at": at, "published_at": at, "variants": [], "options": [],
            "images": [], "image": null,
            "admin_graphql_api_id": format!("gid://shopify/Product/{id}"),
        });
        self.tell("products/update", body)
    }

    fn changes_order(
        &self,
        order_id: i64,
        change: impl FnOnce(&mut Value),
    ) -> anyhow::Result<Value> {
        let at = bodies::stamp(self.now());
        let changed = self.with_shop(|shop| {
            let order = shop.orders.get_mut(&order_id)?;
            change(order);
            order["updated_at"] = json!(at);
            Some(order.clone())
        })?;
        match changed {
            Some(order) => Ok(order),
            None => bail!("the shop has no order {order_id}"),
        }
    }

    fn new_id(&self) -> i64 {
        self.inner
            .world
            .chance
            .between(5_000_000_000_000, 5_999_999_999_999)
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "gathers the loose ends of one purchase"
)]
fn with_facts(
    shop: &Shop,
    customer: &Customer,
    purchase: &Purchase,
    (id, number): (i64, i64),
    checkout_token: &str,
    cart_token: &str,
    at: Millis,
    make: impl FnOnce(&OrderFacts<'_>) -> Value,
) -> Value {
    let items = if purchase.items.is_empty() {
        let price = purchase.total.clone().unwrap_or_else(|| "24.00".to_owned());
        vec![Item::new("House Blend 250 g", &price, 1)]
    } else {
        purchase.items.clone()
    };
    let sum: i64 = items
        .iter()
        .map(|i| cents(&i.price).unwrap_or(0) * i.quantity)
        .sum();
    let total = purchase
        .total
        .clone()
        .unwrap_or_else(|| decimal(sum, &items[0].price));
    make(&OrderFacts {
        id,
        number,
        domain: &shop.domain,
        customer: shop.customers.get(&customer.id).unwrap_or(customer),
        items: &items,
        total: &total,
        currency: purchase.currency.as_deref().unwrap_or(&shop.currency),
        landing_site: purchase.landing_site.as_deref(),
        note_attributes: &purchase.note_attributes,
        discount_codes: &purchase.discount_codes,
        checkout_token,
        cart_token,
        source_name: purchase.source_name.as_deref().unwrap_or("web"),
        test: purchase.test,
        at,
    })
}

fn orders_of(shop: &Shop, customer_id: i64) -> Vec<i64> {
    let of_customer = |order: &&Value| order["customer"]["id"].as_i64() == Some(customer_id);
    shop.orders
        .values()
        .filter(of_customer)
        .filter_map(|o| o["id"].as_i64())
        .collect()
}

fn contact(customer: &Customer) -> Value {
    json!({ "id": customer.id, "email": customer.email, "phone": customer.phone })
}

/// Decimal text as hundredths, whatever the number of its decimals.
fn cents(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let part: i64 = format!("{part:0<2}").get(..2)?.parse().ok()?;
    Some(whole.parse::<i64>().ok()? * 100 + part)
}

/// Hundredths as text, with as many decimals as `like` has.
fn decimal(hundredths: i64, like: &str) -> String {
    if like.contains('.') {
        format!("{}.{:02}", hundredths / 100, hundredths % 100)
    } else {
        (hundredths / 100).to_string()
    }
}
