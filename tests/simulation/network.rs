//! The way between Pagecast and Meta, and the weather on it: requests that never arrive, answers
//! that are lost, late or never come, and Meta in a bad mood.

use pagecast::clock::Millis;
use pagecast::http_client::{Answer, Failure, TOTAL_TIMEOUT};
use rand::Rng;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::meta::{MINUTE, Reply, Request, SECOND};
use crate::plan::Weather;
use crate::process::Call;
use crate::world::{Departure, Event, Return, World};

/// What becomes of one call.
enum Fate {
    /// No connection: nothing was sent.
    Refused,
    /// The request is lost on its way; only silence comes back.
    NeverArrives,
    /// Meta acts, and the answer is lost after a while or never comes.
    AnswerLost,
    Unanswered,
    /// Meta says no before it looks.
    Rejected(Reply),
    /// A gateway gives up; Meta may have acted.
    Gateway {
        acts: bool,
    },
    Answered,
}

impl World {
    pub(crate) fn departs(&mut self, worker: usize, life: u64, call: Call) {
        let request = self.meta.read(&call.method, &call.path, &call.body);
        let fate = self.fate(&request);
        let now = self.now.get();
        self.log(|| format!("worker {worker} calls {request:?}"));
        if let Some(departure) = self.departure(now, &request) {
            self.departures.push(departure);
        }
        let timeout = i64::try_from(TOTAL_TIMEOUT.as_millis()).unwrap_or(Millis::MAX);
        let there = match self.rng.random_range(0..60) {
            0 => self.rng.random_range(SECOND..20 * SECOND),
            _ => self.rng.random_range(2..60),
        };
        let back = match self.rng.random_range(0..40) {
            0 => self.rng.random_range(SECOND..20 * SECOND),
            _ => self.rng.random_range(5..900),
        };
        let answer = Return {
            worker,
            life,
            reply: call.reply,
            after: back,
        };
        let lost = |why: &str| Err(Failure::AnswerLost(why.to_owned()));
        match fate {
            Fate::Refused => {
                let what = Err(Failure::NotSent("connection refused".to_owned()));
                self.after(there.min(5 * SECOND), Event::Answer { answer, what });
            }
            Fate::NeverArrives => {
                let what = lost("connection reset");
                self.after((there + back).min(timeout), Event::Answer { answer, what });
            }
            Fate::Rejected(reply) => {
                let what = Ok(answer_of(&reply));
                self.after((there + back).min(timeout), Event::Answer { answer, what });
            }
            Fate::AnswerLost => {
                self.after(
                    there,
                    Event::Arrives {
                        request,
                        answer: None,
                    },
                );
                let what = lost("connection reset");
                self.after((there + back).min(timeout), Event::Answer { answer, what });
            }
            Fate::Unanswered => {
                self.after(
                    there,
                    Event::Arrives {
                        request,
                        answer: None,
                    },
                );
                let what = lost("timed out");
                self.after(timeout, Event::Answer { answer, what });
            }
            Fate::Gateway { acts } => {
                if acts {
                    self.after(
                        there,
                        Event::Arrives {
                            request,
                            answer: None,
                        },
                    );
                }
                let what = Ok(page_of_a_gateway(504));
                self.after((there + back).min(timeout), Event::Answer { answer, what });
            }
            Fate::Answered if there + back > timeout => {
                self.after(
                    there,
                    Event::Arrives {
                        request,
                        answer: None,
                    },
                );
                let what = lost("timed out");
                self.after(timeout, Event::Answer { answer, what });
            }
            Fate::Answered => {
                let answer = Some(answer);
                self.after(there, Event::Arrives { request, answer });
            }
        }
    }

    /// The request has reached Meta.
    pub(crate) fn arrives(&mut self, request: &Request, answer: Option<Return>) {
        let now = self.now.get();
        let lies = self.meta.mutant.says_yes_and_does_nothing && self.rng.random_ratio(1, 10);
        let before = self.meta.taken.len();
        let mut reply = self.meta.act(now, request, self.plan.warms_in, lies);
        for taken in before..self.meta.taken.len() {
            self.log(|| format!("Meta took number {taken}: {request:?}"));
            self.posts(taken);
        }
        if reply.status != 200 {
            self.log(|| format!("Meta refused {request:?}: {}", reply.body["error"]["code"]));
        }
        let Some(answer) = answer else { return };
        if self.weather == Weather::TooManyCalls {
            let percent = self.rng.random_range(50..=100);
            reply.headers.push(usage(percent, percent / 99));
        }
        let what = Ok(answer_of(&reply));
        self.after(answer.after, Event::Answer { answer, what });
    }

    fn fate(&mut self, request: &Request) -> Fate {
        let dice = self.rng.random_range(0..100);
        match self.weather {
            Weather::Fair if self.is_calm => Fate::Answered,
            Weather::Fair => match dice {
                0 => Fate::AnswerLost,
                1 => Fate::NeverArrives,
                _ => Fate::Answered,
            },
            Weather::Flaky => match dice {
                0..15 => Fate::Refused,
                15..30 => Fate::NeverArrives,
                30..50 => Fate::AnswerLost,
                50..58 => Fate::Unanswered,
                _ => Fate::Answered,
            },
            Weather::Down => Fate::Refused,
            Weather::Silent => match dice {
                0..50 => Fate::Unanswered,
                _ => Fate::NeverArrives,
            },
            Weather::TooManyCalls => match dice {
                0..60 => Fate::Rejected(self.too_many()),
                _ => Fate::Answered,
            },
            Weather::ServerErrors => match dice {
                0..30 => Fate::Rejected(Reply::refusal(500, 2, None)),
                30..45 => Fate::Rejected(Reply::refusal(503, 1, None)),
                45..60 => Fate::Gateway { acts: dice < 53 },
                _ => Fate::Answered,
            },
            Weather::Refusals => match (dice, request) {
                (0..40, Request::Paid { .. } | Request::Create { .. }) => {
                    // Daily budget, payment, the campaign itself, something unheard of.
                    let codes = [2_300_054, 2_300_053, 2_300_050, 2_300_099];
                    let code = codes[self.rng.random_range(0..codes.len())];
                    Fate::Rejected(Reply::refusal(400, code, None))
                }
                (40..50, _) => Fate::Rejected(Reply::refusal(400, 190, Some(460))),
                _ => Fate::Answered,
            },
        }
    }

    fn too_many(&mut self) -> Reply {
        let (status, code) =
            [(400, 613), (429, 4), (400, 80_001), (429, 2_300_078)][self.rng.random_range(0..4)];
        let mut reply = Reply::refusal(status, code, None);
        match self.rng.random_range(0..4) {
            0 => {
                let seconds = self.rng.random_range(1..200);
                reply.body["error"]["error_data"] = json!({ "remaining_seconds": seconds });
            }
            1 => reply
                .headers
                .push(("retry-after", self.rng.random_range(1..100).to_string())),
            2 => reply.headers.push(usage(100, self.rng.random_range(0..5))),
            _ => {}
        }
        reply
    }

    fn departure(&self, at: Millis, request: &Request) -> Option<Departure> {
        let (person, page, text, paid) = match request {
            Request::Paid {
                person, page, text, ..
            } => (*person, page, text, true),
            Request::Standard {
                person, page, text, ..
            } => (*person, page, text, false),
            _ => return None,
        };
        Some(Departure {
            at,
            page: page.clone(),
            person,
            text: text.clone(),
            window_open: person.is_some_and(|person| self.meta.window_open(person, at)),
            paid,
        })
    }
}

fn usage(percent: i64, minutes: i64) -> (&'static str, String) {
    let counters = json!({"1": [{"type": "messenger", "call_count": percent, "total_time": 3,
        "total_cputime": 2, "estimated_time_to_regain_access": minutes}]});
    ("x-business-use-case-usage", counters.to_string())
}

fn answer_of(reply: &Reply) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in &reply.headers {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    Answer {
        status: reply.status,
        headers,
        body: text(&reply.body),
    }
}

fn text(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}

fn page_of_a_gateway(status: u16) -> Answer {
    Answer {
        status,
        headers: HeaderMap::new(),
        body: b"<html>timed out</html>".to_vec(),
    }
}

/// Longer than this after its claim a message does not leave any more: its lease, and the wait for
/// its slot.
pub(crate) const IN_FLIGHT: Millis = MINUTE;
