//! Reasons and money of an automation, as the list and the report draw them.

use crate::analytics::Figures;
use crate::web::pages::format::Format;
use crate::web::pages::parts::{Bar, Bars};
use crate::web::pages::words;

pub(super) struct Ledger {
    pub(super) currency: String,
    pub(super) gross: String,
    pub(super) refunded: String,
    pub(super) net: String,
}

/// Why messages were skipped or failed.
pub(super) fn bars(reasons: &[(String, i64)], is_grey: bool) -> Bars {
    Bars {
        rows: reasons
            .iter()
            .map(|(reason, n)| Bar {
                words: words::reason(reason),
                note: words::reason_note(reason).to_owned(),
                n: *n,
                href: None,
            })
            .collect(),
        is_grey,
    }
}

pub(super) fn ledgers(f: &Format, figures: &Figures) -> Vec<Ledger> {
    figures
        .revenue
        .iter()
        .map(|revenue| Ledger {
            gross: f.money(revenue.gross, &revenue.currency),
            refunded: f.money(-revenue.refunded, &revenue.currency),
            net: f.money(revenue.net(), &revenue.currency),
            currency: revenue.currency.clone(),
        })
        .collect()
}

/// Net of all currencies in one line.
pub(super) fn net(f: &Format, figures: &Figures) -> String {
    let sums: Vec<String> = figures
        .revenue
        .iter()
        .map(|revenue| f.money(revenue.net(), &revenue.currency))
        .collect();
    if sums.is_empty() {
        "None yet".to_owned()
    } else {
        sums.join(" + ")
    }
}
