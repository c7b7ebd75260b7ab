//! Parts of the campaign editor: errors beside their fields, rows of buttons, the estimate, when.

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use jiff::civil::{Date, Time};

use super::campaign_form::ButtonSlot;
use super::fields::Fields;
use super::format::Format;
use super::parts::{Part, Tally, address};
use super::session::Session;
use super::words;
use crate::campaigns::{Campaign, Estimate, Schedule};
use crate::clock::DAY;
use crate::delivery::Problem;
use crate::delivery::limits::BUTTON_TITLE;
use crate::klaviyo::segments::GroupKind;
use crate::profiles::Group;

/// A piece of HTML of ours.
pub(super) struct Mark(String);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::FastWritable for Mark {
    fn write_into(&self, dest: &mut dyn fmt::Write, _: &dyn askama::Values) -> askama::Result<()> {
        dest.write_str(&self.0)?;
        Ok(())
    }
}

impl HtmlSafe for Mark {}

/// What has to be mended, found by the JSON pointer of its field.
#[derive(Clone, Debug, Default)]
pub(super) struct Problems(pub Vec<Problem>);

impl Problems {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (String, &str)> {
        self.0
            .iter()
            .map(|problem| (error_id(&problem.pointer), problem.detail.as_str()))
    }

    /// The error below a field, if it has one.
    pub(super) fn said(&self, pointer: &str) -> Mark {
        Mark(
            self.0
                .iter()
                .filter(|problem| problem.pointer == pointer)
                .map(paragraph)
                .collect(),
        )
    }

    /// The errors of a row, whichever of its fields they name.
    pub(super) fn said_under(&self, pointer: &str) -> Mark {
        let inside = format!("{pointer}/");
        Mark(
            self.0
                .iter()
                .filter(|problem| {
                    problem.pointer == pointer || problem.pointer.starts_with(&inside)
                })
                .map(paragraph)
                .collect(),
        )
    }

    /// The attributes that tie a field to its error.
    pub(super) fn aria(&self, pointer: &str) -> Mark {
        let is_wrong = self.0.iter().any(|problem| problem.pointer == pointer);
        Mark(if is_wrong {
            format!(
                " aria-invalid=\"true\" aria-describedby=\"{}\"",
                error_id(pointer)
            )
        } else {
            String::new()
        })
    }
}

fn paragraph(problem: &Problem) -> String {
    let words = askama::filters::escape(&problem.detail, askama::filters::Html)
        .map_or_else(|_| String::new(), |escaped| escaped.to_string());
    format!(
        "<p class=\"err\" id=\"{}\">{words}</p>",
        error_id(&problem.pointer)
    )
}

/// `/message/buttons/0/url` is `e-message-buttons-0-url`.
fn error_id(pointer: &str) -> String {
    let plain = pointer
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
    format!("e{}", plain.collect::<String>())
}

/// Up to three buttons below a text, a card or a picture.
#[derive(Template)]
#[template(path = "campaigns/buttons.html")]
pub(super) struct Buttons<'a> {
    pub prefix: String,
    pub pointer: String,
    pub slots: &'a [ButtonSlot],
    pub problems: &'a Problems,
}

impl HtmlSafe for Buttons<'_> {}

impl Buttons<'_> {
    fn max() -> usize {
        BUTTON_TITLE
    }

    fn err(&self, i: impl fmt::Display, field: &str) -> Mark {
        self.problems.said(&format!("{}/{i}/{field}", self.pointer))
    }

    fn aria(&self, i: impl fmt::Display, field: &str) -> Mark {
        self.problems.aria(&format!("{}/{i}/{field}", self.pointer))
    }

    fn own(&self) -> Mark {
        self.problems.said(&self.pointer)
    }
}

/// Who would get it, and why the others not.
#[derive(Template)]
#[template(path = "campaigns/estimate.html")]
pub(super) struct EstimatePart {
    pub f: Format,
    /// Absent until it was counted.
    pub estimate: Option<Estimate>,
    pub has_audience: bool,
}

impl HtmlSafe for EstimatePart {}

impl EstimatePart {
    fn tally(estimate: &Estimate) -> Tally {
        let skipped = Self::skipped(estimate);
        let parts = [
            ("reachable", "Paid message", estimate.paid),
            (
                "free",
                "Free, they wrote in the last 24 hours",
                estimate.free,
            ),
            ("skipped", "Will be skipped", skipped),
        ];
        Tally {
            parts: parts
                .into_iter()
                .filter(|(_, _, n)| *n > 0)
                .map(|(k, words, n)| Part {
                    k,
                    words,
                    n,
                    href: None,
                })
                .collect(),
            whole: estimate.audience,
            is_mini: false,
        }
    }

    fn reachable(estimate: &Estimate) -> i64 {
        estimate.paid + estimate.free
    }

    fn skipped(estimate: &Estimate) -> i64 {
        estimate.skipped.iter().map(|(_, n)| n).sum()
    }

    /// Meta says it in minor units without naming the currency.
    fn cost(estimate: &Estimate) -> Option<String> {
        let (low, high) = estimate.cost?;
        let write = |minor: i64| crate::shopify::money::decimal(minor, "USD");
        Some(format!("{} to {}", write(low), write(high)))
    }
}

/// The schedule section.
#[derive(Clone, Debug)]
pub(super) struct When {
    pub is_now: bool,
    pub date: String,
    pub time: String,
    pub is_each_own: bool,
    pub late: String,
}

impl When {
    /// Of a scheduled campaign its schedule; else tomorrow at ten, once a time is wanted.
    pub(super) fn of(campaign: Option<&Campaign>, f: &Format) -> Self {
        let scheduled = campaign.filter(|campaign| campaign.scheduled_at.is_some());
        let at = scheduled
            .and_then(|campaign| campaign.scheduled_at)
            .unwrap_or(f.now() + DAY);
        Self {
            is_now: scheduled.is_none(),
            date: f.date_input(at),
            time: if scheduled.is_some() {
                f.time_input(at)
            } else {
                "10:00".to_owned()
            },
            is_each_own: scheduled.is_some_and(|campaign| campaign.in_subscriber_timezone),
            late: campaign
                .map_or(60, |campaign| campaign.late_limit_minutes)
                .to_string(),
        }
    }

    pub(super) fn read(fields: &Fields) -> Self {
        Self {
            is_now: fields.get("when") != "at",
            date: fields.get("date").to_owned(),
            time: fields.get("time").to_owned(),
            is_each_own: fields.get("zone") == "own",
            late: fields.optional("late").unwrap_or("60").to_owned(),
        }
    }

    /// Name and value of each field, to carry them over the confirmation.
    pub(super) fn pairs(&self) -> [(&'static str, &str); 5] {
        [
            ("when", if self.is_now { "now" } else { "at" }),
            ("date", &self.date),
            ("time", &self.time),
            ("zone", if self.is_each_own { "own" } else { "" }),
            ("late", &self.late),
        ]
    }

    pub(super) fn confirm_path(&self, path: &str) -> String {
        let mut all = vec![("confirm", "1")];
        all.extend(self.pairs());
        address(path, &all)
    }

    /// How long to wait before asking, in minutes, with what is chosen among them.
    pub(super) fn limits(&self) -> Vec<(String, String)> {
        let mut minutes = vec![15, 60, 180, 720];
        if let Ok(chosen) = self.late.parse::<i64>()
            && !minutes.contains(&chosen)
        {
            minutes.push(chosen);
        }
        minutes
            .into_iter()
            .map(|n| {
                let words = match n {
                    120.. if n % 60 == 0 => words::count(n / 60, "hour", "hours"),
                    _ => words::count(n, "minute", "minutes"),
                };
                (n.to_string(), format!("Ask me after {words}"))
            })
            .collect()
    }
}

impl When {
    /// What the schedule section says, with the moment in the workspace's zone.
    pub(super) fn schedule(&self, session: &Session) -> Result<Schedule, Problem> {
        let at = if self.is_now {
            None
        } else {
            let moment = || {
                let date: Date = self.date.parse().ok()?;
                let time: Time = self.time.parse().ok()?;
                let zone = session.format();
                let at = zone.timezone().to_timestamp(date.to_datetime(time)).ok()?;
                Some(at.as_millisecond())
            };
            Some(moment().ok_or_else(|| Problem {
                pointer: "/at".to_owned(),
                detail: "Choose a date and a time.".to_owned(),
            })?)
        };
        Ok(Schedule {
            at,
            timezone: Some(session.workspace.timezone.clone()),
            in_subscriber_timezone: self.is_each_own && at.is_some(),
            late_limit_minutes: self.late.parse().ok(),
        })
    }
}

/// What can be chosen as a condition, with the segments and lists known from Klaviyo.
pub(super) fn condition_kinds(groups: &[Group]) -> Vec<(String, String)> {
    let mut kinds: Vec<_> = [
        ("everyone", "Everyone subscribed"),
        ("tag", "With the tag…"),
        ("ordered", "Ordered in the last … days"),
        ("not_ordered", "Did not order in the last … days"),
        ("clicked", "Clicked in the last … days"),
        ("source", "Joined by…"),
        ("klaviyo_segment", "In the Klaviyo segment with the id…"),
        ("klaviyo_list", "In the Klaviyo list with the id…"),
    ]
    .map(|(kind, words)| (kind.to_owned(), words.to_owned()))
    .to_vec();
    kinds.extend(groups.iter().map(|group| {
        let (kind, what) = match group.kind {
            GroupKind::Segment => ("klaviyo_segment", "segment"),
            GroupKind::List => ("klaviyo_list", "list"),
        };
        let name = if group.name.is_empty() {
            &group.id
        } else {
            &group.name
        };
        (
            format!("{kind}:{}", group.id),
            format!("Klaviyo {what} “{name}”"),
        )
    }));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_tied_to_its_field_and_escaped() {
        let problems = Problems(vec![Problem {
            pointer: "/audience/include/0/tag".to_owned(),
            detail: "Not <this>".to_owned(),
        }]);
        assert_eq!(
            problems.said_under("/audience/include/0").to_string(),
            "<p class=\"err\" id=\"e-audience-include-0-tag\">Not &#60;this&#62;</p>"
        );
        assert_eq!(problems.said_under("/audience/include/01").to_string(), "");
        assert_eq!(problems.said("/audience/include/0").to_string(), "");
        assert!(
            problems
                .aria("/audience/include/0/tag")
                .to_string()
                .contains("aria-invalid")
        );
    }

    #[test]
    fn the_estimate_accounts_for_everyone() {
        let part = |estimate| EstimatePart {
            f: Format::new("UTC", 1_795_539_600_000),
            estimate,
            has_audience: true,
        };
        let html = part(Some(Estimate {
            audience: 46_318,
            paid: 36_709,
            free: 3_418,
            skipped: vec![("capped", 4_985), ("region_not_allowed", 1_206)],
            cost: Some((66_100, 95_400)),
        }))
        .render()
        .unwrap();
        assert!(html.contains("40,127") && html.contains("46,318"));
        assert!(html.contains("Why 6,191 will be skipped"));
        assert!(html.contains("Live where Meta offers no paid messages"));
        assert!(html.contains("661.00 to 954.00"));
        assert!(part(None).render().unwrap().contains("Count"));
    }

    #[test]
    fn the_chosen_limit_is_always_among_the_choices() {
        let mut when = When::of(None, &Format::new("UTC", 1_795_539_600_000));
        assert!(when.is_now && when.date == "2026-11-25");
        when.late = "45".to_owned();
        let limits = when.limits();
        assert!(limits.contains(&("45".to_owned(), "Ask me after 45 minutes".to_owned())));
        assert!(limits.contains(&("180".to_owned(), "Ask me after 3 hours".to_owned())));
        let path = when.confirm_path("/x");
        assert_eq!(
            path,
            "/x?confirm=1&when=now&date=2026-11-25&time=10%3A00&late=45"
        );
    }
}
