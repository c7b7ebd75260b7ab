//! Parts that many pages draw: the tally, bars with words, the pager.

use askama::Template;
use askama::filters::HtmlSafe;

use super::format::{self, Whole};
use crate::analytics::Figures;

/// Everyone accounted for. Write `{{ tally }}` in a template.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/tally.html")]
pub struct Tally {
    pub parts: Vec<Part>,
    pub whole: i64,
    /// Without the legend, for tables.
    pub is_mini: bool,
}

#[derive(Clone, Debug)]
pub struct Part {
    /// `data-k`: sent sending queued skipped failed unknown reachable free.
    pub k: &'static str,
    pub words: &'static str,
    pub n: i64,
    /// Its rows.
    pub href: Option<String>,
}

impl HtmlSafe for Tally {}

impl Tally {
    /// A campaign's or automation's messages; parts without anybody are left out. `rows` makes the
    /// link to the rows of a status.
    pub fn of(figures: &Figures, rows: impl Fn(&str) -> Option<String>) -> Self {
        let all = [
            ("sent", "Sent", figures.sent),
            ("skipped", "Skipped", figures.skipped),
            ("unknown", "Unknown", figures.unknown),
            ("failed", "Failed", figures.failed),
            ("sending", "Sending", figures.sending),
            ("queued", "Waiting", figures.queued),
        ];
        let parts = all
            .into_iter()
            .filter(|(_, _, n)| *n > 0)
            .map(|(k, words, n)| Part {
                k,
                words,
                n,
                href: rows(k),
            })
            .collect();
        Self {
            parts,
            whole: figures.audience(),
            is_mini: false,
        }
    }

    /// The same as a thin line without its legend.
    #[must_use]
    pub fn mini(self) -> Self {
        Self {
            is_mini: true,
            ..self
        }
    }

    fn said(&self) -> String {
        let parts = self
            .parts
            .iter()
            .map(|part| format!("{} {}", part.words.to_lowercase(), format::number(part.n)));
        let parts = parts.collect::<Vec<_>>().join(", ");
        format!(
            "Everyone accounted for: {parts}, of {}",
            format::number(self.whole)
        )
    }
}

/// Numbers with words and bars, the largest first. Write `{{ bars }}` in a template.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/bars.html")]
pub struct Bars {
    pub rows: Vec<Bar>,
    pub is_grey: bool,
}

#[derive(Clone, Debug)]
pub struct Bar {
    pub words: String,
    pub note: String,
    pub n: i64,
    pub href: Option<String>,
}

impl HtmlSafe for Bars {}

impl Bars {
    fn share(&self, n: impl Whole) -> String {
        let largest = self.rows.iter().map(|row| row.n).max().unwrap_or(1).max(1);
        let permille = n.whole() * 1000 / largest;
        format!("{}.{}%", permille / 10, permille % 10)
    }
}

/// Leads through a list by cursors. Write `{{ pager }}` in a template, at the end of the card.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/pager.html")]
pub struct Pager {
    /// `10 of 41`, or only how many are shown.
    pub words: String,
    /// Back to the beginning, when not there.
    pub first: Option<String>,
    pub next: Option<String>,
}

impl HtmlSafe for Pager {}

impl Pager {
    /// For a list at `path` whose other parameters are `kept`. `cursor` is where this page began.
    pub fn new(
        path: &str,
        kept: &[(&str, &str)],
        cursor: Option<&str>,
        next: Option<&str>,
        words: String,
    ) -> Self {
        Self {
            words,
            first: cursor.map(|_| address(path, kept)),
            next: next.map(|next| {
                let mut all = kept.to_vec();
                all.push(("cursor", next));
                address(path, &all)
            }),
        }
    }
}

/// `path?a=b&c=d`; parameters without a value are left out.
pub fn address(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() {
        return path.to_owned();
    }
    match path.split_once('#') {
        Some((path, fragment)) => format!("{path}?{query}#{fragment}"),
        None => format!("{path}?{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_its_parts_and_leaves_out_nobody() {
        let figures = Figures {
            sent: 27_902,
            skipped: 1_951,
            queued: 16_109,
            ..Figures::default()
        };
        let tally = Tally::of(&figures, |k| Some(format!("?status={k}#log")));
        let html = tally.render().unwrap();
        assert!(html.contains(
            "Everyone accounted for: sent 27,902, skipped 1,951, waiting 16,109, of 45,962"
        ));
        assert!(html.contains("--n:16109"));
        assert!(!html.contains("Failed"));
        assert!(html.contains("href=\"?status=queued#log\""));
        assert!(!tally.mini().render().unwrap().contains("legend"));
    }

    #[test]
    fn a_pager_keeps_the_filters() {
        let pager = Pager::new(
            "/app/orders#log",
            &[("q", "ä&b"), ("empty", "")],
            None,
            Some("z9"),
            "50 orders".to_owned(),
        );
        assert_eq!(
            pager.next.as_deref(),
            Some("/app/orders?q=%C3%A4%26b&cursor=z9#log")
        );
        assert!(pager.first.is_none());
        assert!(pager.render().unwrap().contains("rel=\"next\""));
    }

    #[test]
    fn bars_are_measured_by_the_largest() {
        let bars = Bars {
            rows: vec![
                Bar {
                    words: "Thank-you page".to_owned(),
                    note: String::new(),
                    n: 1_204,
                    href: None,
                },
                Bar {
                    words: "QR".to_owned(),
                    note: "In the parcel".to_owned(),
                    n: 301,
                    href: Some("/app".to_owned()),
                },
            ],
            is_grey: true,
        };
        let html = bars.render().unwrap();
        assert!(html.contains("--v:100.0%") && html.contains("--v:25.0%"));
    }
}
