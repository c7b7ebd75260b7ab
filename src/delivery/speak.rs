//! One call to Meta, and what its answer means for the message and for everything around it.

use secrecy::SecretString;

use super::batch::Work;
use super::policy::{Channel, Reason};
use super::render::{Linker, render};
use super::retry;
use super::warm_up::Halt;
use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND};
use crate::meta::{self, ApiError, Class, Outgoing, Usage};
use crate::workspaces::Page;

/// Nearer than this to the end of the lease a call is not begun: it might end after it.
const LEASE_MARGIN: Millis = 17 * SECOND;

/// What became of one message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Sent {
        mid: Option<String>,
        tracking_id: Option<String>,
    },
    /// Back into the queue; `try_counts` when Meta had a say.
    Again {
        at: Millis,
        try_counts: bool,
        detail: Option<String>,
    },
    Skipped {
        reason: &'static str,
        detail: Option<String>,
    },
    Failed {
        reason: &'static str,
        detail: String,
    },
    /// The answer was lost; `once_more` when the second, safe try is still to be made.
    Unknown { detail: String, once_more: bool },
}

/// What else the answer says, beyond this one message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// The person said no at Meta.
    OptOut,
    /// The token is unusable.
    DropToken,
    /// No paid message to this person before then.
    NotBefore(Millis),
    /// The Page is too busy; rest until then.
    RestPage(Millis),
    /// The token of the Page is dead.
    PageTrouble(String),
    /// The campaign is not warm yet.
    HoldVehicle(Millis),
    Halt(Halt, String),
    /// The vehicle works: the rest need not wait.
    Probed,
}

#[derive(Debug)]
pub(super) struct Spoken {
    pub outcome: Outcome,
    pub effects: Vec<Effect>,
    pub usage: Usage,
    pub error: Option<(i64, Option<i64>)>,
    /// Refusals that many at once make suspicious (facts/meta.md section 5).
    pub suspicious: bool,
}

impl Spoken {
    fn plain(outcome: Outcome) -> Self {
        Self {
            outcome,
            effects: vec![],
            usage: Usage::default(),
            error: None,
            suspicious: false,
        }
    }
}

/// A claimed message that nobody spoke of: back to where it was.
pub(super) fn unspoken(work: &Work, now: Millis) -> Spoken {
    Spoken::plain(if work.settling {
        Outcome::Unknown {
            detail: "not tried again yet".to_owned(),
            once_more: true,
        }
    } else {
        Outcome::Again {
            at: now,
            try_counts: false,
            detail: None,
        }
    })
}

/// What the spread of this message's next try is drawn for.
pub(super) fn chance_of(work: &Work) -> [i64; 3] {
    [work.key.origin.0, work.key.subscriber.0, work.attempts]
}

/// Sends one claimed message, now that its slot has come.
pub(super) async fn speak(app: &App, page: &Page, work: &Work) -> Spoken {
    let now = app.clock.now();
    if app.stop.is_cancelled() || now > work.lease_until - LEASE_MARGIN {
        return unspoken(work, now);
    }
    let linker = Linker {
        keys: &app.keys,
        public_url: &app.config.public_url,
    };
    let rendered = render(&work.content, work.key, &work.names, work.channel, &linker);
    let outgoing = match rendered {
        Ok(outgoing) => stored(work, outgoing),
        Err(detail) => {
            return Spoken::plain(Outcome::Failed {
                reason: "too_long",
                detail,
            });
        }
    };
    let answer = send(app, page, work, &outgoing).await;
    understand(
        work,
        answer,
        app.clock.now(),
        app.config.meta.warm_up_ms,
        app.chance.fraction_for(chance_of(work)),
    )
}

async fn send(
    app: &App,
    page: &Page,
    work: &Work,
    outgoing: &Outgoing,
) -> Result<meta::Sent, meta::Error> {
    let missing = |what: &str| meta::Error::NotSent(format!("{what} is missing"));
    match work.channel {
        Channel::Standard => {
            let token = page
                .token
                .as_ref()
                .ok_or_else(|| missing("the Page's token"))?;
            let psid = work
                .psid
                .as_deref()
                .ok_or_else(|| missing("the person's id"))?;
            if let Outgoing::Cards {
                greeting: Some(text),
                ..
            } = outgoing
            {
                greet(app, page, work, token, psid, text).await?;
            }
            let metadata = work.key.to_string();
            app.meta
                .send_standard(&page.meta_id, token, psid, outgoing, Some(&metadata))
                .await
        }
        Channel::MarketingMessage => {
            let account = page
                .ad_account
                .as_deref()
                .ok_or_else(|| missing("the ad account"))?;
            let login = page
                .ad_token
                .as_ref()
                .ok_or_else(|| missing("the login token"))?;
            let vehicle = work.vehicle.meta_campaign_id.as_deref();
            let vehicle = vehicle.ok_or_else(|| missing("the message campaign"))?;
            let token = work
                .token
                .as_deref()
                .ok_or_else(|| missing("the subscription token"))?;
            app.meta
                .send_marketing(account, login, vehicle, token, outgoing)
                .await
        }
    }
}

/// The standard channel's cards have no room for a greeting, so it goes ahead of them. Only at the
/// first try: nobody is greeted twice. A lost answer is no doubt about the cards.
async fn greet(
    app: &App,
    page: &Page,
    work: &Work,
    token: &SecretString,
    psid: &str,
    text: &str,
) -> Result<(), meta::Error> {
    if work.attempts > 0 {
        return Ok(());
    }
    let greeting = Outgoing::Text {
        text: text.to_owned(),
        buttons: vec![],
        quick_replies: vec![],
    };
    let sent = app
        .meta
        .send_standard(&page.meta_id, token, psid, &greeting, None)
        .await;
    match sent {
        Ok(_) | Err(meta::Error::AnswerLost(_)) => {}
        Err(error) => return Err(error),
    }
    if app.clock.now() > work.lease_until - LEASE_MARGIN {
        let why = "the greeting took so long that the cards have to wait";
        return Err(meta::Error::NotSent(why.to_owned()));
    }
    Ok(())
}

/// A video that was uploaded goes by its attachment.
fn stored(work: &Work, outgoing: Outgoing) -> Outgoing {
    match (outgoing, &work.attachment) {
        (Outgoing::Media { video, buttons, .. }, Some(attachment)) => Outgoing::Stored {
            video,
            attachment_id: attachment.clone(),
            buttons,
        },
        (outgoing, _) => outgoing,
    }
}

/// What an answer means. Pure.
pub(super) fn understand(
    work: &Work,
    answer: Result<meta::Sent, meta::Error>,
    now: Millis,
    warm_up: Millis,
    chance: f64,
) -> Spoken {
    match answer {
        Ok(sent) => {
            let first =
                work.channel == Channel::MarketingMessage && work.vehicle.probed_at.is_none();
            Spoken {
                outcome: Outcome::Sent {
                    mid: sent.mid,
                    tracking_id: sent.tracking_id,
                },
                effects: if first { vec![Effect::Probed] } else { vec![] },
                usage: sent.usage,
                error: None,
                suspicious: false,
            }
        }
        Err(meta::Error::NotSent(why)) => Spoken::plain(unreached(work, now, &why, chance)),
        Err(meta::Error::AnswerLost(why)) => Spoken::plain(Outcome::Unknown {
            detail: why,
            once_more: !work.settling,
        }),
        Err(meta::Error::Api(error)) => refusal(work, &error, now, warm_up, chance),
    }
}

/// Nothing reached Meta. A message in doubt stays in doubt: this try proved nothing about the first.
fn unreached(work: &Work, now: Millis, why: &str, chance: f64) -> Outcome {
    if work.settling {
        return Outcome::Unknown {
            detail: why.to_owned(),
            once_more: true,
        };
    }
    let at = now + retry::unreached(work.attempts + 1, chance);
    Outcome::Again {
        at,
        try_counts: true,
        detail: Some(why.to_owned()),
    }
}

fn refusal(work: &Work, error: &ApiError, now: Millis, warm_up: Millis, chance: f64) -> Spoken {
    let detail = error.meaning().to_owned();
    let again = |at: Millis| Outcome::Again {
        at,
        try_counts: false,
        detail: None,
    };
    let skipped = |reason: Reason| Outcome::Skipped {
        reason: reason.as_str(),
        detail: Some(detail.clone()),
    };
    let mut effects = Vec::new();
    let outcome = if error.is_cool_down() {
        effects.push(Effect::NotBefore(
            now + error.retry_after.unwrap_or(12 * HOUR),
        ));
        if work.settling {
            // Refused because the first try arrived: that settles it.
            Outcome::Sent {
                mid: None,
                tracking_id: None,
            }
        } else {
            skipped(Reason::Capped)
        }
    } else if error.is_opt_out() {
        effects.push(Effect::OptOut);
        skipped(Reason::OptedOut)
    } else if error.is_not_ready() {
        let wait = error
            .retry_after
            .unwrap_or(warm_up)
            .min(warm_up.max(5 * SECOND))
            .max(SECOND);
        effects.push(Effect::HoldVehicle(now + wait));
        again(now + wait)
    } else {
        by_class(work, error, now, chance, &mut effects)
    };
    let outcome = match outcome {
        Outcome::Sent { .. } | Outcome::Unknown { .. } => outcome,
        // The second try was refused for a reason that says nothing about the first.
        other if work.settling => Outcome::Unknown {
            detail: detail.clone(),
            once_more: matches!(other, Outcome::Again { .. }),
        },
        other => other,
    };
    Spoken {
        outcome,
        effects,
        usage: Usage::default(),
        error: Some((error.code, error.subcode)),
        suspicious: error.is_suspicious(),
    }
}

/// What a refusal of this class means, where the code itself says nothing special.
fn by_class(
    work: &Work,
    error: &ApiError,
    now: Millis,
    chance: f64,
    effects: &mut Vec<Effect>,
) -> Outcome {
    let detail = error.meaning().to_owned();
    let again = |at: Millis| Outcome::Again {
        at,
        try_counts: false,
        detail: None,
    };
    let skipped = |reason: Reason| Outcome::Skipped {
        reason: reason.as_str(),
        detail: Some(detail.clone()),
    };
    match error.class {
        Class::AlreadySent => Outcome::Sent {
            mid: None,
            tracking_id: None,
        },
        Class::RetryLater => match retry::later(work.attempts + 1, error.retry_after, chance) {
            Some(wait) => Outcome::Again {
                at: now + wait,
                try_counts: true,
                detail: Some(detail.clone()),
            },
            None => Outcome::Failed {
                reason: "gave_up",
                detail: detail.clone(),
            },
        },
        Class::BackOff => {
            let until = now + error.retry_after.unwrap_or(retry::BACK_OFF);
            effects.push(Effect::RestPage(until));
            again(until)
        }
        Class::DropSubscriber if error.identity() == 2_300_032 => skipped(Reason::RegionNotAllowed),
        Class::DropSubscriber => {
            effects.push(Effect::DropToken);
            skipped(Reason::NoToken)
        }
        Class::SkipRecipient => skipped(match error.identity() {
            2_300_042..=2_300_044 => Reason::Capped,
            _ => Reason::NotReachable,
        }),
        Class::StopCampaign => {
            effects.push(Effect::Halt(Halt::Failed, detail.clone()));
            again(now + MINUTE)
        }
        Class::MerchantBilling if error.is_daily_budget() => {
            effects.push(Effect::HoldVehicle(now + HOUR));
            again(now + HOUR)
        }
        Class::MerchantBilling => {
            effects.push(Effect::Halt(Halt::Paused, detail.clone()));
            again(now + MINUTE)
        }
        Class::ReconnectPage => {
            effects.push(Effect::PageTrouble(detail.clone()));
            again(now + MINUTE)
        }
        Class::OutsideWindow => skipped(Reason::OutsideWindow),
        Class::OurBug => Outcome::Failed {
            reason: "rejected",
            detail: detail.clone(),
        },
    }
}

#[cfg(test)]
#[path = "speak_tests.rs"]
mod tests;
