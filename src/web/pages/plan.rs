//! The plan at Shopify: what it allows, what was used, and the way to another.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::answer::{Answer, page};
use super::format::Format;
use super::session::Session;
use super::shell::{Nav, Shell};
use crate::campaigns;
use crate::web::Web;
use crate::workspaces::{self, PLANS, Plan, PlanStanding};

pub(super) fn router() -> Router<Web> {
    // Also where Shopify leads back to after another plan was chosen: it is read again then.
    Router::new().route("/app/plan", get(show))
}

#[derive(Template)]
#[template(path = "plan/page.html")]
struct PlanPage {
    shell: Shell,
    /// Absent where Shopify does not bill.
    billed: Option<Billed>,
    used: String,
    begins_anew: String,
}

struct Billed {
    name: String,
    grace: Option<(String, String)>,
    /// Used and allowed, where there is a limit.
    limit: Option<(i64, i64)>,
    limit_words: String,
    is_over: bool,
    choose_at: String,
    plans: Vec<Row>,
}

struct Row {
    name: &'static str,
    messages: String,
    is_current: bool,
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    let app = &web.app;
    let standing = workspaces::plan_read(app, &session.workspace).await?;
    let used = campaigns::sent_this_month(app, &session.workspace).await?;
    let (_, next) = campaigns::month(&session.workspace.timezone, app.clock.now())?;
    page(&view(&session, standing.as_ref(), used, next))
}

fn view(session: &Session, standing: Option<&PlanStanding>, used: i64, next: i64) -> PlanPage {
    let f = session.format();
    PlanPage {
        billed: standing.map(|standing| billed(&f, standing, used)),
        used: f.number(used),
        begins_anew: f.day(next),
        shell: session.shell(Nav::Settings, "Plan"),
    }
}

fn billed(f: &Format, standing: &PlanStanding, used: i64) -> Billed {
    let limit = standing.campaign_messages();
    Billed {
        name: standing
            .plan
            .map_or_else(|| "Not read yet".to_owned(), |plan| plan.name.to_owned()),
        grace: standing
            .grace
            .map(|(plan, until)| (plan.name.to_owned(), f.day(until))),
        limit: limit.map(|limit| (used.min(limit), limit)),
        limit_words: messages(f, limit),
        is_over: limit.is_some_and(|limit| used >= limit),
        choose_at: standing.choose_at.clone(),
        plans: PLANS
            .iter()
            .map(|plan| row(f, *plan, standing.plan))
            .collect(),
    }
}

fn row(f: &Format, plan: Plan, current: Option<Plan>) -> Row {
    Row {
        name: plan.name,
        messages: messages(f, plan.campaign_messages),
        is_current: current == Some(plan),
    }
}

fn messages(f: &Format, limit: Option<i64>) -> String {
    limit.map_or_else(|| "Without limit".to_owned(), |limit| f.number(limit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn standing(plan: Option<Plan>, grace: Option<(Plan, i64)>) -> PlanStanding {
        PlanStanding {
            plan,
            grace,
            choose_at: "https://admin.shopify.com/store/pine/charges/pagecast/pricing_plans"
                .to_owned(),
        }
    }

    #[test]
    fn the_page_names_the_limit_what_was_used_and_the_way_to_more() {
        let free = standing(Some(PLANS[0]), None);
        let html_free = html(&view(&session(), Some(&free), 420, NOW));
        clean(&html_free);
        assert!(html_free.contains("<b>420</b> of 500"));
        assert!(html_free.contains("/charges/pagecast/pricing_plans"));
        assert!(!html_free.contains("holds until"));

        let held = standing(Some(PLANS[0]), Some((PLANS[2], NOW)));
        let html_held = html(&view(&session(), Some(&held), 900, NOW));
        clean(&html_held);
        assert!(html_held.contains("holds until"));

        let alone = html(&view(&session(), None, 900, NOW));
        clean(&alone);
        assert!(alone.contains("Nothing is limited") && !alone.contains("pricing_plans"));
    }
}
