//! A connected Page on the connections page: its state, each step with what is missing and where
//! at Meta it is cured, and what stops if it is disconnected.

use super::format::{Format, number};
use super::words::initials;
use crate::app::App;
use crate::workspaces::{self, Finding, Health, Page, Point, Stops, Trouble, Verdict};

pub(super) struct PageCard {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) initials: String,
    pub(super) meta_id: String,
    pub(super) status: &'static str,
    pub(super) status_words: &'static str,
    pub(super) attention: Option<String>,
    pub(super) connected: String,
    pub(super) checked: Option<String>,
    pub(super) steps: Vec<Step>,
    /// Needed steps that are done, and how many there are, while the connection is being made.
    pub(super) progress: Option<(usize, usize)>,
    pub(super) stops: String,
}

/// One thing the Page needs.
pub(super) struct Step {
    pub(super) icon: &'static str,
    pub(super) tone: &'static str,
    pub(super) title: &'static str,
    pub(super) words: String,
    pub(super) cures: Vec<Cure>,
}

/// Where it is cured; at Meta, unless the path is ours.
pub(super) struct Cure {
    pub(super) href: String,
    pub(super) text: &'static str,
    pub(super) is_outside: bool,
}

/// Where the connection is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Activating,
    Active,
    Attention,
    Broken,
}

impl State {
    pub(super) fn of(page: &Page, health: &Health) -> Self {
        let any = |verdict| health.findings.iter().any(|f| f.verdict == verdict);
        if page.state != "active" || page.token.is_none() {
            return Self::Broken;
        }
        if health.checked_at.is_none() || page.setup_due_at.is_some() {
            return Self::Activating;
        }
        if page.attention.is_some() || any(Verdict::Attention) || any(Verdict::Broken) {
            return Self::Attention;
        }
        Self::Active
    }

    fn badge(self) -> (&'static str, &'static str) {
        match self {
            Self::Activating => ("preparing", "Activating"),
            Self::Active => ("ok", "Active"),
            Self::Attention => ("attention", "Needs attention"),
            Self::Broken => ("broken", "Cannot send"),
        }
    }
}

pub(super) async fn cards(
    app: &App,
    f: &Format,
    pages: Vec<Page>,
) -> anyhow::Result<Vec<PageCard>> {
    let mut cards = Vec::new();
    for page in pages {
        let health = workspaces::health(app, page.workspace, page.id).await?;
        let stops = workspaces::stops(app, page.workspace, page.id).await?;
        cards.push(card(f, page, &health, stops));
    }
    Ok(cards)
}

pub(super) fn card(f: &Format, page: Page, health: &Health, stops: Stops) -> PageCard {
    let state = State::of(&page, health);
    let (status, status_words) = state.badge();
    let attention = match state {
        State::Broken => Some(page.attention.clone().unwrap_or_else(|| {
            "Meta does not accept our access any more. Messages wait and nothing is lost."
                .to_owned()
        })),
        _ => page.attention.clone(),
    };
    let steps: Vec<Step> = health
        .findings
        .iter()
        .map(|finding| step(&page, health.trouble, finding))
        .collect();
    let done = |f: &&Finding| f.verdict == Verdict::Good;
    let progress = (state == State::Activating)
        .then(|| (health.findings.iter().filter(done).count(), steps.len()))
        .filter(|(_, all)| *all > 0);
    PageCard {
        id: page.id.to_string(),
        initials: initials(&page.name),
        meta_id: page.meta_id,
        status,
        status_words,
        attention,
        connected: f.time(page.connected_at),
        checked: health.checked_at.map(|at| f.time(at)),
        steps,
        progress,
        stops: stop_words(stops),
        name: page.name,
    }
}

fn step(page: &Page, trouble: Option<Trouble>, finding: &Finding) -> Step {
    let (icon, tone) = match finding.verdict {
        Verdict::Good => ("circle-check", "good"),
        Verdict::Waiting => ("clock", "mute"),
        Verdict::Attention => ("triangle-alert", "warn"),
        Verdict::Broken => ("circle-alert", "bad"),
    };
    let cures = if finding.verdict == Verdict::Good {
        Vec::new()
    } else {
        cures(page, trouble, finding.point)
    };
    Step {
        icon,
        tone,
        title: title(finding.point, finding.verdict),
        words: finding.words.clone(),
        cures,
    }
}

fn title(point: Point, verdict: Verdict) -> &'static str {
    let is_well = verdict == Verdict::Good;
    match (point, is_well) {
        (Point::Token, true) => "Messages go out, and answers come in",
        (Point::Token, false) => "Access to the Page",
        (Point::Role, _) => "Role on the Page, or two-factor authentication",
        (Point::Permissions, _) => "Permissions",
        (Point::Events, _) => "Events from Facebook",
        (Point::GetStarted, _) => "Get Started button",
        (Point::Restriction, true) => "No restriction",
        (Point::Restriction, false) => "Meta blocks the Page",
        (Point::AdAccount, true) => "Paid marketing messages are possible",
        (Point::AdAccount, false) => "Ad account",
        (Point::Payment, _) => "Payment method",
        (Point::Region, _) => "Country of the business",
        (Point::Terms, _) => "Terms for marketing messages",
        (Point::Leads, _) => "Access to leads",
    }
}

/// The place where it is cured.
fn cures(page: &Page, trouble: Option<Trouble>, point: Point) -> Vec<Cure> {
    let at_meta = |href: String, text| Cure {
        href,
        text,
        is_outside: true,
    };
    let again = || Cure {
        href: "/app/connections/facebook".to_owned(),
        text: "Sign in again",
        is_outside: false,
    };
    let account = page.ad_account.as_deref().unwrap_or_default();
    let number = account.trim_start_matches("act_");
    match point {
        Point::Role => vec![
            at_meta(
                "https://www.facebook.com/settings/?tab=profile_access".to_owned(),
                "Page access",
            ),
            at_meta(
                "https://accountscenter.facebook.com/password_and_security/two_factor".to_owned(),
                "Two-factor",
            ),
        ],
        Point::Token | Point::Permissions if trouble != Some(Trouble::Blocked) => vec![again()],
        Point::Restriction | Point::Token | Point::Permissions => vec![at_meta(
            "https://www.facebook.com/support".to_owned(),
            "Support Inbox",
        )],
        Point::AdAccount if number.is_empty() => vec![again()],
        Point::AdAccount => vec![at_meta(
            format!("https://www.facebook.com/accountquality/{number}"),
            "Account Quality",
        )],
        Point::Payment => vec![at_meta(
            format!("https://business.facebook.com/billing_hub/payment_settings?asset_id={number}"),
            "Billing at Meta",
        )],
        Point::Terms => vec![at_meta(
            "https://business.facebook.com/latest/settings".to_owned(),
            "Settings at Meta",
        )],
        Point::Leads => vec![at_meta(
            "https://business.facebook.com/settings/leads-accesses".to_owned(),
            "Leads Access",
        )],
        Point::Events | Point::GetStarted | Point::Region => Vec::new(),
    }
}

/// What the question before disconnecting says.
fn stop_words(stops: Stops) -> String {
    let mut parts = Vec::new();
    let mut count = |n: i64, one: &str, many: &str| match n {
        0 => {}
        1 => parts.push(format!("1 {one}")),
        n => parts.push(format!("{} {many}", number(n))),
    };
    count(stops.running, "campaign under way", "campaigns under way");
    count(stops.scheduled, "scheduled campaign", "scheduled campaigns");
    count(
        stops.automations,
        "automation that is on",
        "automations that are on",
    );
    let stopping = match parts.as_slice() {
        [] => "Nothing is under way or scheduled.".to_owned(),
        parts => format!("From this Page these stop sending: {}.", parts.join(", ")),
    };
    let people = match stops.subscribers {
        0 => "Nobody has subscribed to it yet.".to_owned(),
        1 => "1 subscriber and their consent are kept".to_owned(),
        n => format!("{} subscribers and their consent are kept", number(n)),
    };
    if stops.subscribers == 0 {
        return format!("{stopping} {people}");
    }
    format!("{stopping} {people}, and work again when you connect this Page again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::{PageRowId, WorkspaceId};
    use crate::web::pages::listing::samples::{NOW, session};

    fn sample() -> Page {
        Page {
            id: PageRowId(1),
            workspace: WorkspaceId(1),
            meta_id: "1234".to_owned(),
            name: "Pine".to_owned(),
            token: Some("t".into()),
            ad_account: Some("act_9".to_owned()),
            ad_token: Some("a".into()),
            state: "active".to_owned(),
            attention: None,
            connected_at: NOW,
            login: None,
            setup_due_at: None,
        }
    }

    fn found(point: Point, verdict: Verdict) -> Health {
        Health {
            findings: vec![Finding {
                point,
                verdict,
                words: "Words.".to_owned(),
            }],
            checked_at: Some(NOW),
            trouble: None,
        }
    }

    #[test]
    fn the_state_follows_from_the_row_and_the_last_check() {
        let page = sample();
        assert_eq!(State::of(&page, &Health::default()), State::Activating);
        let well = found(Point::Token, Verdict::Good);
        assert_eq!(State::of(&page, &well), State::Active);
        let poor = found(Point::Payment, Verdict::Attention);
        assert_eq!(State::of(&page, &poor), State::Attention);
        let unfinished = Page {
            setup_due_at: Some(NOW),
            ..sample()
        };
        assert_eq!(State::of(&unfinished, &well), State::Activating);
        let broken = Page {
            state: "needs_reconnect".to_owned(),
            ..sample()
        };
        assert_eq!(State::of(&broken, &well), State::Broken);
    }

    #[test]
    fn the_lost_role_leads_to_both_places_and_the_bill_to_its_account() {
        let role = found(Point::Role, Verdict::Broken);
        let card = card(&session().format(), sample(), &role, Stops::default());
        let hrefs: Vec<&str> = card.steps[0]
            .cures
            .iter()
            .map(|c| c.href.as_str())
            .collect();
        assert_eq!(hrefs.len(), 2);
        assert!(hrefs[0].contains("profile_access") && hrefs[1].contains("two_factor"));
        let bill = found(Point::Payment, Verdict::Attention);
        let card = super::card(&session().format(), sample(), &bill, Stops::default());
        assert!(card.steps[0].cures[0].href.ends_with("asset_id=9"));
    }

    #[test]
    fn the_question_before_disconnecting_says_what_stops_and_what_stays() {
        let words = stop_words(Stops {
            running: 1,
            scheduled: 2,
            automations: 0,
            subscribers: 48_212,
        });
        assert_eq!(
            words,
            "From this Page these stop sending: 1 campaign under way, 2 scheduled campaigns. 48,212 \
             subscribers and their consent are kept, and work again when you connect this Page again."
        );
        assert!(stop_words(Stops::default()).starts_with("Nothing is under way"));
    }
}
