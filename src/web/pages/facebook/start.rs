//! The questions before the sign-in, and what Facebook is going to ask.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::errand::{Door, Errand, TICKET, config_id};
use crate::app::App;
use crate::meta::permissions::{CORE, Flow, OPTIONAL, PERMISSIONS, Permission};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::error::Error;
use crate::web::pages::fields::Fields;
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/app/connections/facebook", get(show))
}

#[derive(Template)]
#[template(path = "facebook/start.html")]
struct Start {
    shell: Shell,
    /// Who pays is a question only where we may.
    may_we_pay: bool,
    may_be_asset: bool,
    we_pay: bool,
    owner: &'static str,
    flow_words: &'static str,
    who_words: &'static str,
    permissions: Vec<&'static Permission>,
    /// Where to; `None` where the operator has not set it up.
    href: Option<String>,
    feature: Option<&'static str>,
    command: String,
}

async fn show(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let app = &web.app;
    let feature = match fields.optional("feature") {
        None => None,
        Some(key) => Some(
            OPTIONAL
                .iter()
                .find(|feature| feature.key == key)
                .ok_or(Error::NotFound)?,
        ),
    };
    let we_pay = fields.get("pays") == "pagecast";
    let owner = match fields.get("owner") {
        "different" => "different",
        _ => "same",
    };
    let may_we_pay = config_id(app, Flow::Partner.as_str()).is_some()
        && app.config.meta.partner_ad_account.is_some();
    let may_be_asset = config_id(app, Flow::Asset.as_str()).is_some();
    let flow = flow_of(we_pay && may_we_pay, owner == "different" && may_be_asset);
    let config = feature.map_or(flow.as_str(), |feature| feature.key);
    let asked = CORE
        .iter()
        .chain(feature.map_or(flow.paid(), |feature| feature.needs));
    let mut permissions: Vec<&'static Permission> = Vec::new();
    for name in asked {
        let known = PERMISSIONS.iter().find(|known| known.name == *name);
        if let Some(known) = known.filter(|k| permissions.iter().all(|p| p.name != k.name)) {
            permissions.push(known);
        }
    }
    let (flow_words, who_words) = words(flow);
    page(&Start {
        href: address(app, &session, config)?,
        may_we_pay,
        may_be_asset,
        we_pay: we_pay && may_we_pay,
        owner,
        flow_words,
        who_words,
        permissions,
        feature: feature.map(|feature| feature.words),
        command: format!(
            "pagecast connect page --workspace {} --page PAGE_ID --token-file page.txt --ad-account act_ID --ad-token-file ads.txt",
            session.ws()
        ),
        shell: session.shell(Nav::Connections, "Connect a Page"),
    })
}

/// Where the owners differ, or an agency shares the Page, the portfolio's way does not show it.
fn flow_of(we_pay: bool, owners_differ: bool) -> Flow {
    match (we_pay, owners_differ) {
        (true, _) => Flow::Partner,
        (false, true) => Flow::Asset,
        (false, false) => Flow::Portfolio,
    }
}

/// What this way is, and who has to sign in.
fn words(flow: Flow) -> (&'static str, &'static str) {
    match flow {
        Flow::Portfolio => (
            "Your business portfolio gives Pagecast an access of its own. It does not end when \
             somebody leaves or changes their password.",
            "Sign in as an administrator of the business portfolio that owns the Page and the ad \
             account.",
        ),
        Flow::Asset => (
            "Pagecast uses your own access to the Page and the ad account. It ends after 60 days, \
             and when you change your password; we remind you before.",
            "Sign in with a Facebook account that has full control of both the Page and the ad \
             account.",
        ),
        Flow::Partner => (
            "Your business portfolio gives Pagecast an access of its own, and paid messages are \
             billed to us.",
            "Sign in as an administrator of the business portfolio that owns the Page.",
        ),
    }
}

/// The way out, with a ticket that says for whom.
fn address(app: &App, session: &Session, config: &str) -> Result<Option<String>, Error> {
    if config_id(app, config).is_none() {
        return Ok(None);
    }
    let door = match session.bridge() {
        None => Door::Alone,
        Some(bridge) => Door::Embedded {
            back: format!(
                "https://admin.shopify.com/store/{}/apps/{}/app/connections",
                bridge.shop.handle(),
                bridge.api_key
            ),
            shop: bridge.shop.as_str().to_owned(),
        },
    };
    let ticket = Errand::new(app, session.ws(), config, door).seal(app, TICKET)?;
    Ok(Some(format!("/auth/meta/login?ticket={ticket}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_choose_the_way() {
        assert_eq!(flow_of(false, false), Flow::Portfolio);
        assert_eq!(flow_of(false, true), Flow::Asset);
        assert_eq!(flow_of(true, true), Flow::Partner);
    }
}
