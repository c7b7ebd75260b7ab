//! Meta's rules as a state machine: a request's path and JSON go in, an answer comes out, and what
//! was taken is remembered. Shares no type with our client.

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// Between two paid messages to one token.
const PAID_GAP: i64 = 12 * HOUR;
const WINDOW: i64 = 24 * HOUR;
/// Sends of one Page in any second.
const LIMIT: usize = 300;

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) psid: String,
    pub(crate) token: String,
    pub(crate) page: usize,
    pub(crate) acted_at: Option<i64>,
    pub(crate) stopped_at: Option<i64>,
    pub(crate) last_paid_at: Option<i64>,
    /// Somebody else than Pagecast sent to this token too.
    pub(crate) has_other_sender: bool,
    pub(crate) quirk: Option<Quirk>,
}

/// Why Meta refuses this person, whatever we do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quirk {
    TokenDead,
    Region,
    FrequencyCap,
}

/// A message that Meta took.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) at: i64,
    pub(crate) person: usize,
    pub(crate) paid: bool,
    pub(crate) text: String,
    pub(crate) metadata: Option<String>,
    pub(crate) vehicle: Option<String>,
    pub(crate) tracking: String,
    pub(crate) mid: String,
}

struct Vehicle {
    page: String,
    warm_at: i64,
}

/// What is broken on purpose, to show that the simulation notices.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mutant {
    /// The same person is paid for twice within 12 hours.
    pub(crate) forgets_cool_down: bool,
    /// Some messages are confirmed and never taken.
    pub(crate) says_yes_and_does_nothing: bool,
    /// A person at the database queues again what is unknown.
    pub(crate) resends_by_hand: bool,
}

pub(crate) struct Meta {
    pub(crate) people: Vec<Person>,
    pub(crate) taken: Vec<Taken>,
    pub(crate) mutant: Mutant,
    vehicles: BTreeMap<String, Vehicle>,
    by_token: BTreeMap<String, usize>,
    by_psid: BTreeMap<String, usize>,
    arrivals: BTreeMap<String, Vec<i64>>,
    named: u64,
}

/// What a request asks for, read from its path and body.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Paid {
        person: Option<usize>,
        page: String,
        vehicle: String,
        text: String,
    },
    Standard {
        person: Option<usize>,
        page: String,
        text: String,
        metadata: Option<String>,
    },
    Create {
        page: String,
    },
    Tokens {
        page: String,
    },
    Unknown,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    fn yes(body: Value) -> Self {
        Self {
            status: 200,
            body,
            headers: vec![],
        }
    }

    pub(crate) fn refusal(status: u16, code: i64, subcode: Option<i64>) -> Self {
        let error = json!({"message": format!("(#{code}) refused"), "type": "OAuthException",
            "code": code, "error_subcode": subcode, "fbtrace_id": "A"});
        Self {
            status,
            body: json!({ "error": error }),
            headers: vec![],
        }
    }
}

impl Meta {
    pub(crate) fn new(people: Vec<Person>, mutant: Mutant) -> Self {
        let index = |name: fn(&Person) -> &String| {
            let names = people.iter().enumerate();
            names.map(|(i, p)| (name(p).clone(), i)).collect()
        };
        Self {
            by_token: index(|p| &p.token),
            by_psid: index(|p| &p.psid),
            people,
            taken: vec![],
            mutant,
            vehicles: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            named: 0,
        }
    }

    pub(crate) fn read(&self, method: &str, path: &str, body: &Value) -> Request {
        let segments: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let owned = |pointer: &str| text(pointer).unwrap_or_default().to_owned();
        match (method, segments.as_slice()) {
            ("POST", [account, "messages"]) if account.starts_with("act_") => {
                let vehicle = owned("/message_id");
                let page = self.vehicles.get(&vehicle).map(|v| v.page.clone());
                Request::Paid {
                    person: text("/messenger_delivery_data/subscription_token")
                        .and_then(|token| self.by_token.get(token).copied()),
                    page: page.unwrap_or_default(),
                    vehicle,
                    text: owned("/message/text"),
                }
            }
            ("POST", [page, "messages"]) => Request::Standard {
                person: text("/recipient/id").and_then(|psid| self.by_psid.get(psid).copied()),
                page: (*page).to_owned(),
                text: owned("/message/text"),
                metadata: text("/message/metadata").map(str::to_owned),
            },
            ("POST", [account, "message_campaign"]) if account.starts_with("act_") => {
                Request::Create {
                    page: owned("/page_id"),
                }
            }
            ("GET", [page, "notification_message_tokens"]) => Request::Tokens {
                page: (*page).to_owned(),
            },
            _ => Request::Unknown,
        }
    }

    /// Meta acts. `warms_in`: how long a new message campaign takes to be ready; `lies`: whether a
    /// mutant that confirms without acting does so now.
    pub(crate) fn act(&mut self, now: i64, request: &Request, warms_in: i64, lies: bool) -> Reply {
        match request {
            Request::Create { page } => {
                self.named += 1;
                let id = format!("12020{:06}", self.named);
                let vehicle = Vehicle {
                    page: page.clone(),
                    warm_at: now + warms_in,
                };
                self.vehicles.insert(id.clone(), vehicle);
                Reply::yes(json!({ "id": id }))
            }
            Request::Tokens { page } => self.tokens(page, now),
            Request::Paid {
                person,
                page,
                vehicle,
                text,
            } => {
                if let Some(refusal) = self.over_limit(page, now) {
                    return refusal;
                }
                match self.may_pay(now, *person, vehicle) {
                    Err(refusal) => refusal,
                    Ok(_) if lies => Reply::yes(json!({"success": true,
                        "marketing_message_tracking_id": "00000000-lie"})),
                    Ok(person) => {
                        self.people[person].last_paid_at = Some(now);
                        let taken = self.take(now, person, text, None, Some(vehicle.clone()));
                        Reply::yes(json!({"success": true,
                            "marketing_message_tracking_id": taken.tracking}))
                    }
                }
            }
            Request::Standard {
                person,
                page,
                text,
                metadata,
            } => {
                if let Some(refusal) = self.over_limit(page, now) {
                    return refusal;
                }
                let Some(person) = *person else {
                    return Reply::refusal(400, 100, Some(2_018_001));
                };
                if !self.window_open(person, now) {
                    return Reply::refusal(400, 10, Some(2_018_278));
                }
                let psid = self.people[person].psid.clone();
                let taken = self.take(now, person, text, metadata.clone(), None);
                Reply::yes(json!({"recipient_id": psid, "message_id": taken.mid}))
            }
            Request::Unknown => Reply::refusal(404, 100, Some(33)),
        }
    }

    pub(crate) fn window_open(&self, person: usize, now: i64) -> bool {
        let acted_at = self.people[person].acted_at;
        acted_at.is_some_and(|at| now - at < WINDOW)
    }

    fn may_pay(&self, now: i64, person: Option<usize>, vehicle: &str) -> Result<usize, Reply> {
        let no = |code: i64| Err(Reply::refusal(400, code, None));
        let Some(known) = self.vehicles.get(vehicle) else {
            return no(2_300_001);
        };
        if now < known.warm_at {
            return no(2_300_003);
        }
        let Some(person) = person else {
            return no(2_300_004);
        };
        let human = &self.people[person];
        if human.stopped_at.is_some() {
            return no(2_300_034);
        }
        match human.quirk {
            Some(Quirk::TokenDead) => return no(2_300_004),
            Some(Quirk::Region) => return no(2_300_032),
            Some(Quirk::FrequencyCap) => return no(2_300_042),
            None => {}
        }
        let rests = human.last_paid_at.is_some_and(|at| now - at < PAID_GAP);
        if rests && !self.mutant.forgets_cool_down {
            return no(2_300_035);
        }
        Ok(person)
    }

    fn over_limit(&mut self, page: &str, now: i64) -> Option<Reply> {
        let arrivals = self.arrivals.entry(page.to_owned()).or_default();
        arrivals.retain(|at| now - at < SECOND);
        arrivals.push(now);
        (arrivals.len() > LIMIT).then(|| Reply::refusal(429, 613, None))
    }

    fn take(
        &mut self,
        at: i64,
        person: usize,
        text: &str,
        metadata: Option<String>,
        vehicle: Option<String>,
    ) -> &Taken {
        let number = self.taken.len();
        self.taken.push(Taken {
            at,
            person,
            paid: vehicle.is_some(),
            text: text.to_owned(),
            metadata,
            vehicle,
            tracking: format!("00000000-0000-4000-8000-{number:012}"),
            mid: format!("m_{number}"),
        });
        &self.taken[number]
    }

    fn tokens(&self, page: &str, now: i64) -> Reply {
        let whose = |person: &&Person| page_id(person.page) == page;
        let row = |person: &Person| {
            let next = person.last_paid_at.map_or(0, |at| at + PAID_GAP);
            json!({"notification_messages_token": person.token, "recipient_id": person.psid,
                "notification_messages_reoptin":
                    if person.stopped_at.is_some() { "DISABLED" } else { "ENABLED" },
                "token_expiry_timestamp": now + 300 * 24 * HOUR,
                "next_eligible_time_for_paid_messaging": next})
        };
        let rows: Vec<Value> = self.people.iter().filter(whose).map(row).collect();
        Reply::yes(json!({ "data": rows }))
    }
}

/// Meta's id of the Page with this number.
pub(crate) fn page_id(page: usize) -> String {
    format!("{}", 104_512_345_678_901 + page)
}
