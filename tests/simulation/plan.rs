//! What a seed decides before anything happens: how many people, what they are like, what the
//! merchant wants, and how bad the day becomes.

use pagecast::clock::Millis;
use pagecast::store::ids::PageRowId;
use rand::Rng;
use rand::rngs::StdRng;

use crate::meta::{HOUR, MINUTE, Person, Quirk, SECOND, page_id};

/// 2026-11-20T09:06:40Z
pub(crate) const START: Millis = 1_795_165_600_000;

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) pages: usize,
    pub(crate) people: Vec<Person>,
    pub(crate) workers: usize,
    pub(crate) campaigns: Vec<Wanted>,
    pub(crate) cap_hours: i64,
    pub(crate) quiet_hours: Option<(&'static str, &'static str)>,
    /// What Pagecast believes a message campaign needs, and what it really needs.
    pub(crate) warm_up: Millis,
    pub(crate) warms_in: Millis,
    pub(crate) calm_at: Millis,
    pub(crate) troubles: Vec<(Millis, Trouble)>,
    /// In percent: how often a webhook of Meta's is lost, doubled, very late.
    pub(crate) mail_lost: u32,
    pub(crate) mail_doubled: u32,
    pub(crate) mail_late: u32,
}

/// A campaign as the merchant wants it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) at: Millis,
    pub(crate) channel: &'static str,
    pub(crate) late_limit: i64,
    pub(crate) holdout: i64,
}

/// What befalls the world at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Trouble {
    Weather(Weather),
    /// Dies after so many steps.
    Kill {
        worker: usize,
        steps: u32,
    },
    Freeze {
        worker: usize,
        span: Millis,
    },
    /// Stops in order and comes back.
    Deploy {
        worker: usize,
    },
    Pause(usize),
    Resume(usize),
    Cancel(usize),
    /// The merchant connects again what needs it.
    Reconnect,
    Writes(usize),
    SaysStop(usize),
    StopsAtMeta(usize),
    OtherSender(usize),
}

/// How calls to Meta fare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    Fair,
    /// Connections refused, answers lost, answers that never come.
    Flaky,
    Down,
    /// Nothing is answered; half of it has an effect.
    Silent,
    TooManyCalls,
    ServerErrors,
    /// Money is missing, a permission is gone, the campaign is refused.
    Refusals,
}

impl Plan {
    pub(crate) fn draw(rng: &mut StdRng) -> Self {
        let count = match rng.random_range(0..1000) {
            0..660 => rng.random_range(1..=8),
            660..960 => rng.random_range(9..=30),
            960..997 => rng.random_range(65..=150),
            _ => rng.random_range(400..=700),
        };
        let pages = if rng.random_ratio(1, 5) { 2 } else { 1 };
        let odd = rng.random_range(0..12);
        let people = (0..count).map(|i| person(rng, i, pages, odd)).collect();
        let workers = rng.random_range(1..=3);
        let campaigns: Vec<Wanted> = (0..rng.random_range(1..=3))
            .map(|i| wanted(rng, i))
            .collect();
        let last = campaigns.iter().map(|c| c.at).max().unwrap_or(START);
        let calm_at = last + rng.random_range(30..=8 * 60) * MINUTE;
        let mut plan = Self {
            pages,
            people,
            workers,
            campaigns,
            cap_hours: [24, 24, 24, 12, 36, 0][rng.random_range(0..6)],
            quiet_hours: rng.random_ratio(1, 6).then_some(("21:00", "09:00")),
            warm_up: [60, 60, 20][rng.random_range(0..3)] * MINUTE,
            warms_in: rng.random_range(0..=139) * MINUTE,
            calm_at,
            troubles: vec![],
            mail_lost: [0, 5, 20, 100][rng.random_range(0..4)],
            mail_doubled: rng.random_range(0..=30),
            mail_late: [0, 10, 60][rng.random_range(0..3)],
        };
        plan.draw_troubles(rng);
        plan
    }

    fn draw_troubles(&mut self, rng: &mut StdRng) {
        if rng.random_ratio(1, 3) {
            self.troubles
                .push((START, Trouble::Weather(Weather::Flaky)));
        }
        let bad = rng.random_range(0..=16);
        for _ in 0..bad {
            // Most of what is worth seeing happens soon after a campaign's start.
            let campaign = rng.random_range(0..self.campaigns.len());
            let from = self.campaigns[campaign].at;
            let at = match rng.random_range(0..5) {
                0 => rng.random_range(START..self.calm_at),
                1 => from + rng.random_range(0..3 * HOUR),
                2 => from + self.warms_in.max(self.warm_up) + rng.random_range(0..3 * MINUTE),
                _ => {
                    from + self.warms_in.max(self.warm_up) * rng.random_range(0..2)
                        + rng.random_range(-5 * SECOND..3 * MINUTE)
                }
            };
            let worker = rng.random_range(0..self.workers);
            let person = rng.random_range(0..self.people.len());
            let trouble = match rng.random_range(0..24) {
                0..5 => {
                    let until = at + [20 * SECOND, 2 * MINUTE, HOUR][rng.random_range(0..3)];
                    self.troubles.push((until, Trouble::Weather(Weather::Fair)));
                    Trouble::Weather(weather(rng))
                }
                5..10 => Trouble::Kill {
                    worker,
                    steps: rng.random_range(0..60),
                },
                10..14 => Trouble::Freeze {
                    worker,
                    span: match rng.random_range(0..3) {
                        0 => rng.random_range(200..8 * SECOND),
                        1 => rng.random_range(8 * SECOND..60 * SECOND),
                        _ => rng.random_range(MINUTE..30 * MINUTE),
                    },
                },
                14 => Trouble::Deploy { worker },
                15 | 16 => {
                    let after = rng.random_range(SECOND..2 * HOUR);
                    self.troubles.push((at + after, Trouble::Resume(campaign)));
                    Trouble::Pause(campaign)
                }
                17 => Trouble::Cancel(campaign),
                18 => Trouble::Resume(campaign),
                19 => Trouble::Reconnect,
                20 => Trouble::Writes(person),
                21 => Trouble::SaysStop(person),
                22 => Trouble::StopsAtMeta(person),
                _ => Trouble::OtherSender(person),
            };
            self.troubles.push((at, trouble));
        }
        self.troubles
            .retain(|(at, _)| (START..self.calm_at).contains(at));
    }
}

fn person(rng: &mut StdRng, i: usize, pages: usize, odd: u32) -> Person {
    let quirk = match rng.random_range(0..100) {
        n if n < odd => {
            Some([Quirk::TokenDead, Quirk::Region, Quirk::FrequencyCap][rng.random_range(0..3)])
        }
        _ => None,
    };
    Person {
        psid: format!("{}", 7_000_000_000_000 + i),
        token: format!("token-{i}"),
        page: rng.random_range(0..pages),
        acted_at: rng
            .random_ratio(2, 5)
            .then(|| START - rng.random_range(0..30 * HOUR)),
        stopped_at: None,
        last_paid_at: None,
        has_other_sender: false,
        quirk,
    }
}

fn wanted(rng: &mut StdRng, i: usize) -> Wanted {
    let day = match i {
        0 => 0,
        _ => [0, 12, 24, 30][rng.random_range(0..4)] * HOUR,
    };
    Wanted {
        at: START + day + rng.random_range(0..=4) * rng.random_range(0..=60) * MINUTE,
        channel: ["auto", "auto", "marketing_message", "standard"][rng.random_range(0..4)],
        late_limit: [60, 60, 0, 1440][rng.random_range(0..4)],
        holdout: [0, 0, 0, 30][rng.random_range(0..4)],
    }
}

fn weather(rng: &mut StdRng) -> Weather {
    [
        Weather::Flaky,
        Weather::Flaky,
        Weather::Down,
        Weather::Silent,
        Weather::TooManyCalls,
        Weather::ServerErrors,
        Weather::Refusals,
    ][rng.random_range(0..7)]
}

/// The statements that make this world's workspace, Pages and people; tokens come sealed.
pub(crate) fn rows(plan: &Plan, seal: impl Fn(&str, &str) -> String) -> Vec<String> {
    let (from, to) = plan.quiet_hours.unzip();
    let quoted = |text: Option<&str>| text.map_or("NULL".to_owned(), |t| format!("'{t}'"));
    let mut rows = vec![format!(
        "INSERT INTO workspaces (id, name, timezone, quiet_start, quiet_end, cap_hours,
             flow_key_sealed, created_at)
         VALUES (1, 'W', 'America/New_York', {}, {}, {}, '', {START})",
        quoted(from),
        quoted(to),
        plan.cap_hours
    )];
    for page in 0..plan.pages {
        let id = page_row(page);
        // The contexts under which workspaces::pages seals.
        let token = seal(&format!("pages.token:{}", PageRowId(id)), "page-token");
        let ad_token = seal(&format!("pages.ad_token:{}", PageRowId(id)), "login-token");
        rows.push(format!(
            "INSERT INTO pages (id, workspace_id, meta_id, name, token_sealed, ad_account,
                 ad_token_sealed, connected_at)
             VALUES ({id}, 1, '{}', 'P', '{token}', 'act_{page}', '{ad_token}', {START})",
            page_id(page)
        ));
    }
    let people = plan.people.iter().enumerate().map(|(i, person)| {
        format!(
            "({}, 1, {}, '{}', '{}', {}, {START}, {}, {START})",
            subscriber_row(i),
            page_row(person.page),
            person.psid,
            person.token,
            START + 300 * 24 * HOUR,
            person
                .acted_at
                .map_or("NULL".to_owned(), |at| at.to_string())
        )
    });
    rows.push(format!(
        "INSERT INTO subscribers (id, workspace_id, page_id, psid, token, token_expires_at,
             opted_in_at, last_action_at, created_at)
         VALUES {}",
        people.collect::<Vec<_>>().join(",")
    ));
    rows.push(
        "INSERT INTO consents (id, workspace_id, subscriber_id, action, means, at, event_key)
         SELECT id, 1, id, 'opted_in', 'card', opted_in_at, 'card' FROM subscribers"
            .to_owned(),
    );
    rows
}

pub(crate) fn page_row(page: usize) -> i64 {
    10 + i64::try_from(page).unwrap()
}

pub(crate) fn subscriber_row(person: usize) -> i64 {
    1_000 + i64::try_from(person).unwrap()
}
