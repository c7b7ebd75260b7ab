//! Bars per day, as stretched SVG with its words in HTML and a table behind it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::format::{self, Whole};

/// How many marks stand on the upright axis, the base not counted.
const STEPS: i64 = 4;

/// Money per day from one or two sources. Write `{{ chart }}` in a template.
#[derive(Clone, Debug, Template)]
#[template(path = "parts/chart.html")]
pub struct Chart {
    pub title: String,
    pub note: String,
    pub currency: String,
    /// What the two colours stand for.
    pub series: [&'static str; 2],
    pub days: Vec<ChartDay>,
}

#[derive(Clone, Debug)]
pub struct ChartDay {
    /// `Nov 24`.
    pub label: String,
    /// Minor units of each series.
    pub parts: [i64; 2],
    pub orders: i64,
}

impl ChartDay {
    fn net(&self) -> i64 {
        self.parts[0] + self.parts[1]
    }
}

impl HtmlSafe for Chart {}

impl Chart {
    /// The top of the axis: a round number not below the highest day.
    fn top(&self) -> i64 {
        let highest = self
            .days
            .iter()
            .map(|day| day.parts.map(|n| n.max(0)).iter().sum());
        round_up(highest.max().unwrap_or(0))
    }

    fn marks(&self) -> Vec<String> {
        let top = self.top();
        (0..=STEPS)
            .rev()
            .map(|step| format::short_money(top / STEPS * step, &self.currency))
            .collect()
    }

    fn width(&self) -> usize {
        self.days.len() * 10
    }

    /// `x`, and `y` and height of each bar, in the hundredth of the plot. A day that refunds made
    /// negative has no bar; the table has its figure.
    fn bars(&self) -> Vec<Bars<'_>> {
        let top = self.top().max(1);
        let height = |n: i64| n.max(0).saturating_mul(1_000) / top;
        self.days
            .iter()
            .enumerate()
            .map(|(i, day)| {
                let [low, high] = day.parts.map(height);
                Bars {
                    day,
                    left: i * 10,
                    low: (tenths(1_000 - low), tenths(low)),
                    high: (tenths(1_000 - low - high), tenths(high)),
                }
            })
            .collect()
    }

    /// At most five days are named below, with where their middle is.
    fn named_days(&self) -> Vec<(String, &str)> {
        let n = self.days.len();
        let every = n.div_ceil(5).max(1);
        (0..n)
            .step_by(every)
            .map(|i| {
                let tenths = (i * 10 + 5) * 100 / n.max(1);
                let at = format!("{}.{}%", tenths / 10, tenths % 10);
                (at, self.days[i].label.as_str())
            })
            .collect()
    }

    fn money(&self, n: impl Whole) -> String {
        format::money(n.whole(), &self.currency)
    }

    fn total(&self, series: usize) -> i64 {
        self.days.iter().map(|day| day.parts[series]).sum()
    }

    fn net(&self) -> i64 {
        self.days.iter().map(ChartDay::net).sum()
    }

    fn orders(&self) -> i64 {
        self.days.iter().map(|day| day.orders).sum()
    }
}

struct Bars<'a> {
    day: &'a ChartDay,
    left: usize,
    low: (String, String),
    high: (String, String),
}

fn tenths(n: i64) -> String {
    format!("{}.{}", n / 10, n % 10)
}

/// 1, 2, 4 or 8 of the next power of ten, so that quarters are round too.
fn round_up(n: i64) -> i64 {
    let mut power = 1_000;
    loop {
        for factor in [1, 2, 4, 8] {
            if power * factor >= n {
                return power * factor;
            }
        }
        power *= 10;
    }
}

/// A thin line of the last days, for a tile: its points, and the area below it.
pub fn spark(values: &[i64]) -> Option<String> {
    let top = values.iter().copied().max().filter(|top| *top > 0)?;
    if values.len() < 2 {
        return None;
    }
    let last = i64::try_from(values.len() - 1).ok()?;
    let points = (0..).zip(values).map(|(i, n): (i64, &i64)| {
        let x = i * 1_000 / last;
        let y = 400 - (*n).max(0).saturating_mul(360) / top;
        format!("{},{}", tenths(x), tenths(y))
    });
    Some(points.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(days: Vec<[i64; 2]>) -> Chart {
        Chart {
            title: "Net revenue per day".to_owned(),
            note: "Refunds taken back".to_owned(),
            currency: "USD".to_owned(),
            series: ["Campaigns", "Automations"],
            days: days
                .into_iter()
                .enumerate()
                .map(|(i, parts)| ChartDay {
                    label: format!("Nov {}", i + 1),
                    parts,
                    orders: 2,
                })
                .collect(),
        }
    }

    #[test]
    fn the_axis_ends_at_a_round_number_above_the_highest_day() {
        assert_eq!(round_up(0), 1_000);
        assert_eq!(round_up(907_897), 1_000_000);
        assert_eq!(round_up(1_000_001), 2_000_000);
        let chart = chart(vec![[842_000, 65_897], [0, -500]]);
        assert_eq!(chart.marks(), ["$10k", "$7.5k", "$5k", "$2.5k", "$0"]);
    }

    #[test]
    fn the_bars_stand_on_each_other_and_the_table_adds_up() {
        let chart = chart(vec![[400_000, 200_000], [200_000, -10_000]]);
        let bars = chart.bars();
        assert_eq!(bars[0].low, ("50.0".to_owned(), "50.0".to_owned()));
        assert_eq!(bars[0].high, ("25.0".to_owned(), "25.0".to_owned()));
        assert_eq!(bars[1].high.1, "0.0");
        let html = chart.render().unwrap();
        assert!(html.contains("Nov 1: $6,000.00 (campaigns $4,000.00, automations $2,000.00)"));
        assert!(html.contains("$7,900.00"));
        assert!(html.contains("<svg viewBox=\"0 0 20 100\""));
    }

    #[test]
    fn a_line_needs_something_to_show() {
        assert_eq!(spark(&[0, 0]), None);
        assert_eq!(spark(&[1, 2]).unwrap(), "0.0,22.0 100.0,4.0");
    }
}
