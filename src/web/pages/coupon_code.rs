//! A coupon's code, made in the shop from the campaign editor.

use jiff::ToSpan;
use jiff::civil::Date;

use super::campaign_form::CampaignForm;
use super::session::Session;
use crate::clock::Millis;
use crate::delivery::Problem;
use crate::shopify::Error;
use crate::shopify::discounts::{NewCode, code_is_taken};
use crate::web::Web;
use crate::workspaces;

/// What there is to say when it is made, or what has to be mended first.
pub(super) async fn make(
    web: &Web,
    session: &Session,
    form: &CampaignForm,
) -> anyhow::Result<Result<String, Problem>> {
    let app = &web.app;
    let new = match wanted(form, session, app.clock.now()) {
        Ok(new) => new,
        Err(problem) => return Ok(Err(problem)),
    };
    let Some(shop) = workspaces::shop(app, session.ws()).await? else {
        return Ok(Err(at_code("Connect your shop to make codes in it.")));
    };
    let (shopify, domain, asked) = (&app.shopify, &shop.domain, &new);
    let made = workspaces::ask_shop(app, &shop, |token| async move {
        shopify.create_code(domain, &token, asked).await
    });
    let Err(error) = made.await? else {
        return Ok(Ok(format!(
            "{} gives {}% off in your shop",
            new.code, new.percent
        )));
    };
    Ok(Err(at_code(match &error {
        _ if code_is_taken(&error) => {
            "Your shop has this code already. Send it as it is, or choose another."
        }
        Error::Retry { .. } => {
            "Shopify does not answer at the moment. Try again in a minute: a code is never made twice."
        }
        Error::Reconnect(_) => {
            "Open Pagecast in your Shopify admin once, so that it may make the code."
        }
        Error::Refused(why) => {
            tracing::warn!(shop.id = %shop.id, "A discount code could not be made: {why}");
            "Shopify did not make the code. Open Pagecast in your Shopify admin and accept what it \
             asks for, or make the code there under Discounts."
        }
    })))
}

fn wanted(form: &CampaignForm, session: &Session, now: Millis) -> Result<NewCode, Problem> {
    let code = form.coupon_code.trim();
    if code.is_empty() || code.contains(char::is_whitespace) || code.contains("{{") {
        return Err(at_code(
            "Write the code as shoppers will type it, without spaces.",
        ));
    }
    let percent: Option<u8> = form
        .coupon_percent
        .trim()
        .trim_end_matches('%')
        .parse()
        .ok();
    let Some(percent) = percent.filter(|percent| (1..=100).contains(percent)) else {
        return Err(problem(
            "/coupon_percent",
            "Say how much is off: a whole number from 1 to 100.",
        ));
    };
    let ends_at = match form.coupon_until.as_str() {
        "" => None,
        day => {
            let Some(end) = end_of(day, session).filter(|end| *end > now) else {
                return Err(problem(
                    "/coupon_until",
                    "Choose a day that is not over yet.",
                ));
            };
            Some(end)
        }
    };
    Ok(NewCode {
        code: code.to_owned(),
        title: format!("{code} (Pagecast: {})", form.name),
        percent,
        starts_at: now,
        ends_at,
    })
}

/// When the day is over in the workspace's zone.
fn end_of(day: &str, session: &Session) -> Option<Millis> {
    let next = day.parse::<Date>().ok()?.checked_add(1.day()).ok()?;
    let midnight = next.to_datetime(jiff::civil::Time::midnight());
    let format = session.format();
    Some(
        format
            .timezone()
            .to_timestamp(midnight)
            .ok()?
            .as_millisecond(),
    )
}

fn at_code(words: &str) -> Problem {
    problem("/message/code", words)
}

fn problem(pointer: &str, words: &str) -> Problem {
    Problem {
        pointer: pointer.to_owned(),
        detail: words.to_owned(),
    }
}
