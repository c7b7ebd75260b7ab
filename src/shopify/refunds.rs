//! Refunds, alone or riding along with their order, and what they took back.

use serde_json::Value;

use super::read::{PayloadError, id, list, money, shop_money, text, time};
use crate::clock::Millis;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Refund {
    pub id: i64,
    pub order_id: i64,
    /// What went back to the shopper, in minor units of `currency`.
    pub amount: i64,
    /// The shop's currency where the refund says so, else that of its transactions.
    pub currency: Option<String>,
    /// By the refunded lines or a transaction under way: a body that knows more may correct it.
    pub is_estimate: bool,
    pub created_at: Millis,
}

/// What a refund took back.
struct Taken {
    amount: i64,
    currency: Option<String>,
    is_estimate: bool,
}

impl Refund {
    pub fn parse(body: &[u8]) -> Result<Self, PayloadError> {
        let refund: Value = serde_json::from_slice(body)?;
        Self::read(&refund, None).ok_or(PayloadError::Missing("id` or `order_id"))
    }

    /// `order`: the id and the shop's currency of the order it rides along with.
    pub(super) fn read(refund: &Value, order: Option<(i64, &str)>) -> Option<Self> {
        let taken = taken(refund, order.map(|(_, currency)| currency));
        Some(Self {
            id: id(refund, "id")?,
            order_id: id(refund, "order_id").or(order.map(|(id, _)| id))?,
            amount: taken.amount,
            currency: taken.currency,
            is_estimate: taken.is_estimate,
            created_at: time(refund, "created_at")
                .or_else(|| time(refund, "processed_at"))
                .unwrap_or_default(),
        })
    }
}

/// The sum of the transactions that give money back and did not fail. They are in the currency the
/// shopper paid in; where that is not the shop's, and where there are none (a shop may settle a
/// refund outside Shopify, and a body may be trimmed), the refunded lines say the same in the
/// shop's money.
fn taken(refund: &Value, order_currency: Option<&str>) -> Taken {
    let shop_currency = shop_currency(refund).or_else(|| order_currency.map(str::to_owned));
    let given_back: Vec<&Value> = list(refund, "transactions")
        .iter()
        .filter(|transaction| is(transaction, "kind", &["refund"]))
        .collect();
    let mut paid = 0_i64;
    let mut paid_currency = None;
    let mut is_pending = false;
    for transaction in &given_back {
        if is(transaction, "status", &["failure", "error"]) {
            continue;
        }
        is_pending |= is(transaction, "status", &["pending"]);
        let currency = text(transaction, "currency").or_else(|| shop_currency.clone());
        let amount = money(
            transaction,
            "amount",
            currency.as_deref().unwrap_or_default(),
        );
        paid = paid.saturating_add(amount.unwrap_or_default());
        paid_currency = currency;
    }
    let foreign =
        paid_currency.is_some() && shop_currency.is_some() && paid_currency != shop_currency;
    if foreign || given_back.is_empty() {
        return Taken {
            amount: refunded_lines(refund, shop_currency.as_deref().unwrap_or_default()),
            currency: shop_currency,
            is_estimate: !foreign || is_pending,
        };
    }
    Taken {
        amount: paid,
        currency: paid_currency.or(shop_currency),
        is_estimate: is_pending,
    }
}

fn is(value: &Value, key: &str, words: &[&str]) -> bool {
    text(value, key).is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
}

/// Lines with their tax, less the adjustments (shipping given back is a negative adjustment).
fn refunded_lines(refund: &Value, currency: &str) -> i64 {
    let amount = |value: &Value, set: &str, plain: &str| {
        shop_money(value, set)
            .map(|(amount, _)| amount)
            .or_else(|| money(value, plain, currency))
    };
    let mut sum = 0_i64;
    for line in list(refund, "refund_line_items") {
        for (set, plain) in [("subtotal_set", "subtotal"), ("total_tax_set", "total_tax")] {
            sum = sum.saturating_add(amount(line, set, plain).unwrap_or_default());
        }
    }
    for adjustment in list(refund, "order_adjustments") {
        for (set, plain) in [("amount_set", "amount"), ("tax_amount_set", "tax_amount")] {
            sum = sum.saturating_sub(amount(adjustment, set, plain).unwrap_or_default());
        }
    }
    sum.max(0)
}

fn shop_currency(refund: &Value) -> Option<String> {
    let lines = list(refund, "refund_line_items")
        .iter()
        .map(|line| shop_money(line, "subtotal_set"));
    let adjustments = list(refund, "order_adjustments")
        .iter()
        .map(|a| shop_money(a, "amount_set"));
    let whole =
        ["total_duties_set", "total_additional_fees_set"].map(|key| shop_money(refund, key));
    lines
        .chain(adjustments)
        .chain(whole)
        .flatten()
        .map(|(_, currency)| currency)
        .next()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::shopify::payloads::Order;

    fn transaction(kind: &str, status: &str, amount: &str, currency: &str) -> Value {
        json!({"kind": kind, "status": status, "amount": amount, "currency": currency})
    }

    fn line(subtotal: &str, tax: &str) -> Value {
        let set = |amount: &str| json!({"shop_money": {"amount": amount, "currency_code": "USD"}});
        json!({"subtotal_set": set(subtotal), "total_tax_set": set(tax)})
    }

    fn refund(transactions: &Value, lines: &Value) -> Refund {
        let body = json!({"id": 1, "order_id": 2, "created_at": "2026-11-21T10:00:00Z",
            "transactions": transactions, "refund_line_items": lines});
        Refund::parse(body.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn money_that_goes_back_counts_and_money_that_failed_to_does_not() {
        let transactions = json!([
            transaction("refund", "success", "4.00", "USD"),
            transaction("Refund", "SUCCESS", "1.50", "USD"),
            transaction("refund", "pending", "2.00", "USD"),
            {"kind": "refund", "amount": "0.50", "currency": "USD"},
            transaction("refund", "failure", "9.00", "USD"),
            transaction("refund", "error", "9.00", "USD"),
            transaction("void", "success", "9.00", "USD"),
        ]);
        let lines = json!([line("50.00", "5.00")]);
        let read = refund(&transactions, &lines);
        assert_eq!((read.amount, read.currency.as_deref()), (800, Some("USD")));
        assert!(read.is_estimate);

        let failed = json!([transaction("refund", "failure", "55.00", "USD")]);
        let read = refund(&failed, &lines);
        assert_eq!((read.amount, read.is_estimate), (0, false));
    }

    #[test]
    fn a_refund_paid_in_another_currency_is_counted_in_the_shops() {
        let transactions = json!([transaction("refund", "success", "47.00", "EUR")]);
        let read = refund(&transactions, &json!([line("50.00", "5.00")]));
        assert_eq!(
            (read.amount, read.currency.as_deref()),
            (5_500, Some("USD"))
        );
    }

    #[test]
    fn without_money_transactions_the_lines_and_the_shipping_given_back_are_summed() {
        for transactions in [
            json!(null),
            json!([]),
            json!([transaction("void", "success", "62.70", "USD")]),
        ] {
            let body = json!({"id": 1, "order_id": 2, "transactions": transactions,
                "refund_line_items": [line("50.00", "5.00")],
                "order_adjustments": [{"kind": "shipping_refund", "amount": "-7.00",
                                       "tax_amount": "-0.70"}]});
            let read = Refund::parse(body.to_string().as_bytes()).unwrap();
            assert_eq!(
                (read.amount, read.is_estimate),
                (6_270, true),
                "{transactions}"
            );
        }
    }

    #[test]
    fn plain_amounts_are_read_in_the_orders_currency() {
        let body = json!({"id": 17, "currency": "JPY", "total_price": "1200",
            "updated_at": "2026-11-21T10:00:00+09:00",
            "refunds": [{"id": 1, "transactions": [],
                "refund_line_items": [{"subtotal": "700", "total_tax": "70"}]}]});
        let order = Order::parse(body.to_string().as_bytes()).unwrap();
        let [refund] = order.refunds.as_slice() else {
            panic!("one refund")
        };
        assert_eq!((refund.order_id, refund.amount), (17, 770));
        assert_eq!(refund.currency.as_deref(), Some("JPY"));
    }
}
