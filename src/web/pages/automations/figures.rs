//! Figures of an automation as the list and the report draw them.

use crate::analytics::Figures;
use crate::web::pages::{Session, number, reason_words};

/// A part of the tally; all parts add up to the whole.
pub(super) struct Part {
    pub(super) key: &'static str,
    pub(super) label: &'static str,
    pub(super) n: i64,
    pub(super) count: String,
}

/// A reason and how often; the bar is long in proportion to the largest.
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) count: String,
    pub(super) percent: i64,
}

pub(super) struct Ledger {
    pub(super) currency: String,
    pub(super) gross: String,
    pub(super) refunded: String,
    pub(super) net: String,
}

pub(super) fn parts(figures: &Figures) -> Vec<Part> {
    [
        ("sent", "Sent", figures.sent),
        ("skipped", "Skipped", figures.skipped),
        ("unknown", "Unknown", figures.unknown),
        ("failed", "Failed", figures.failed),
        ("sending", "Sending", figures.sending),
        ("queued", "Waiting", figures.queued),
    ]
    .into_iter()
    .filter(|(_, _, n)| *n > 0)
    .map(|(key, label, n)| Part {
        key,
        label,
        n,
        count: number(n),
    })
    .collect()
}

/// The tally for those who cannot see it.
pub(super) fn tally_words(figures: &Figures) -> String {
    let parts: Vec<String> = parts(figures)
        .iter()
        .map(|part| format!("{} {}", part.label.to_lowercase(), part.count))
        .collect();
    format!(
        "Everyone accounted for: {}, of {}",
        parts.join(", "),
        number(figures.audience())
    )
}

pub(super) fn bars(reasons: &[(String, i64)]) -> Vec<Bar> {
    let most = reasons.iter().map(|(_, n)| *n).max().unwrap_or(0).max(1);
    reasons
        .iter()
        .map(|(reason, n)| Bar {
            label: reason_words(reason),
            count: number(*n),
            percent: n * 100 / most,
        })
        .collect()
}

pub(super) fn ledgers(session: &Session, figures: &Figures) -> Vec<Ledger> {
    figures
        .revenue
        .iter()
        .map(|revenue| Ledger {
            gross: session.money(revenue.gross, &revenue.currency),
            refunded: session.money(-revenue.refunded, &revenue.currency),
            net: session.money(revenue.net(), &revenue.currency),
            currency: revenue.currency.clone(),
        })
        .collect()
}

/// Net of all currencies in one line.
pub(super) fn net(session: &Session, figures: &Figures) -> String {
    let sums: Vec<String> = figures
        .revenue
        .iter()
        .map(|revenue| session.money(revenue.net(), &revenue.currency))
        .collect();
    if sums.is_empty() {
        "None yet".to_owned()
    } else {
        sums.join(" + ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let figures = Figures {
            queued: 1,
            sending: 2,
            sent: 3,
            failed: 4,
            skipped: 5,
            unknown: 6,
            ..Figures::default()
        };
        let sum: i64 = parts(&figures).iter().map(|part| part.n).sum();
        assert_eq!(sum, figures.audience());
    }

    #[test]
    fn the_largest_reason_fills_the_track() {
        let bars = bars(&[("capped".to_owned(), 40), ("ordered".to_owned(), 10)]);
        assert_eq!((bars[0].percent, bars[1].percent), (100, 25));
    }
}
