//! The guided set-up: what is done stands in the rows, the next step is open, and it can be left
//! and found again. A new workspace sees it in place of the overview.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};

use super::answer::{Answer, page, see_other, see_other_saying};
use super::error::Error;
use super::fields::Fields;
use super::format::Whole;
use super::session::Session;
use super::shell::{Nav, Shell};
use super::words;
use crate::analytics::{self, Done};
use crate::app::App;
use crate::opt_ins::{self, Language, LinkError};
use crate::store::ids::WorkspaceId;
use crate::store::page::Cursor;
use crate::web::Web;
use crate::workspaces::{self, Guide, Skippable};

pub(super) const PATH: &str = "/app/set-up";

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route(PATH, get(show))
        .route("/app/set-up/leave", post(leave))
        .route("/app/set-up/resume", post(resume))
        .route("/app/set-up/skip", post(skip))
        .route("/app/set-up/opt-in", post(make_link))
        .route("/app/set-up/placed", post(placed))
}

/// One step, and how it stands.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) state: Standing,
    pub(super) title: &'static str,
    pub(super) detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Shop,
    Page,
    WhoPays,
    Klaviyo,
    OptIn,
    Campaign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Done,
    Skipped,
    Open,
}

/// All steps in their order, with the parts that pages say about them.
#[derive(Clone, Debug)]
pub(super) struct Steps(pub(super) Vec<Step>);

impl Step {
    pub(super) fn is(&self, kind: &str) -> bool {
        self.kind.as_str() == kind
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == Standing::Done
    }

    pub(super) fn is_skipped(&self) -> bool {
        self.state == Standing::Skipped
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Shop => "shop",
            Self::Page => "page",
            Self::WhoPays => "who_pays",
            Self::Klaviyo => "klaviyo",
            Self::OptIn => "opt_in",
            Self::Campaign => "campaign",
        }
    }

    /// How long it takes somebody who does it for the first time.
    fn minutes(self) -> usize {
        match self {
            Self::Shop | Self::WhoPays => 1,
            Self::Page | Self::Klaviyo => 2,
            Self::OptIn => 3,
            Self::Campaign => 5,
        }
    }
}

impl Steps {
    /// Reads the rows and what the merchant said.
    pub(super) async fn read(app: &App, ws: WorkspaceId) -> anyhow::Result<(Self, Guide)> {
        let guide = workspaces::guide(app, ws).await?;
        let done = analytics::set_up(app, ws).await?;
        let shop = workspaces::shop(app, ws).await?;
        let pages = workspaces::pages(app, ws).await?;
        let shop = shop.map(|shop| {
            let domain = shop.domain.as_str().to_owned();
            shop.currency
                .map_or(domain.clone(), |currency| format!("{domain}, {currency}"))
        });
        let page = pages.first().map(|page| page.name.clone());
        Ok((Self::of(done, &guide, shop, page), guide))
    }

    fn of(done: Done, guide: &Guide, shop: Option<String>, page: Option<String>) -> Self {
        let step = |kind, is_done, title, detail: &str| Step {
            kind,
            state: match (is_done, kind) {
                (true, _) => Standing::Done,
                (_, Kind::WhoPays) if guide.has_skipped(Skippable::WhoPays) => Standing::Skipped,
                (_, Kind::Klaviyo) if guide.has_skipped(Skippable::Klaviyo) => Standing::Skipped,
                _ => Standing::Open,
            },
            title,
            detail: detail.to_owned(),
        };
        let shop = shop.unwrap_or_else(|| {
            "Orders come from it, and what a message earned is counted on them.".to_owned()
        });
        let page = page.unwrap_or_else(|| {
            "Messages go out from the Page, and people answer to it.".to_owned()
        });
        Self(vec![
            step(Kind::Shop, done.shop, "Connect your shop", &shop),
            step(Kind::Page, done.page, "Connect your Facebook Page", &page),
            step(
                Kind::WhoPays,
                done.ad_account,
                "Choose who pays Meta",
                "Messages within 24 hours of what somebody wrote are free. For all others Meta \
                 bills your ad account for each message it delivers. The price comes from Meta, \
                 and you see an estimate before you send.",
            ),
            step(
                Kind::Klaviyo,
                done.klaviyo,
                "Connect Klaviyo",
                "Your segments become audiences here, your flows can speak on Messenger, and reads \
                 and clicks appear on the profile. Works without it, too.",
            ),
            step(
                Kind::OptIn,
                done.subscriber || guide.is_placed,
                "Put the opt-in in its place",
                "Nobody is written to who did not ask for it. Put the link or the code where your \
                 customers are: the thank-you page, the parcel, your profile.",
            ),
            step(
                Kind::Campaign,
                done.campaign,
                "Write your first campaign",
                "A restock, a sale or a hello: one message to everyone who joined, or to some. You \
                 see here what it earned.",
            ),
        ])
    }

    pub(super) fn done(&self) -> usize {
        self.0.iter().filter(|step| step.is_done()).count()
    }

    pub(super) fn all(&self) -> usize {
        self.0.len()
    }

    /// Nothing is left that has not been done or put aside.
    pub(super) fn are_over(&self) -> bool {
        self.current().is_none()
    }

    /// Where the merchant is: the first step that is neither done nor put aside.
    fn current(&self) -> Option<usize> {
        self.0.iter().position(|step| step.state == Standing::Open)
    }

    pub(super) fn is_current(&self, index: impl Whole) -> bool {
        self.current().is_some_and(|at| at.whole() == index.whole())
    }

    pub(super) fn next(&self) -> Option<&Step> {
        self.0.get(self.current()?)
    }

    pub(super) fn time_left(&self) -> String {
        let open = self.0.iter().filter(|step| step.state == Standing::Open);
        match open.map(|step| step.kind.minutes()).sum::<usize>() {
            0 => String::new(),
            n => format!("About {} left", words::count(n, "minute", "minutes")),
        }
    }
}

#[cfg(test)]
impl Steps {
    /// With everything done, or only the shop connected.
    pub(super) fn sample(all: bool) -> Self {
        let done = Done {
            shop: true,
            page: all,
            ad_account: all,
            klaviyo: all,
            subscriber: all,
            campaign: all,
        };
        Self::of(done, &Guide::default(), None, None)
    }
}

/// The way in that the step shows.
struct WayIn {
    landing_url: String,
    slug: String,
    id: String,
}

#[derive(Template)]
#[template(path = "set_up/page.html")]
pub(super) struct SetUp {
    shell: Shell,
    steps: Steps,
    has_left: bool,
    has_page: bool,
    way_in: Option<WayIn>,
    consent_text: String,
}

impl SetUp {
    pub(super) async fn read(app: &App, session: &Session) -> anyhow::Result<Self> {
        let ws = session.ws();
        let (steps, guide) = Steps::read(app, ws).await?;
        let newest = Cursor {
            after: None,
            limit: 1,
        };
        let link = opt_ins::links(app, ws, newest).await?.rows.pop();
        let page_name = workspaces::pages(app, ws).await?.into_iter().next();
        let consent_text = match (&link, &page_name) {
            (Some(link), _) => link.consent_text.clone(),
            (None, page) => Language::English.consent(
                page.as_ref()
                    .map_or(&session.workspace.name, |page| &page.name),
            ),
        };
        Ok(Self {
            shell: session.shell(Nav::Overview, "Set up"),
            has_left: guide.has_left,
            has_page: page_name.is_some(),
            way_in: link.map(|link| WayIn {
                landing_url: link.landing_url,
                slug: link.slug,
                id: link.id.to_string(),
            }),
            consent_text,
            steps,
        })
    }
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    page(&SetUp::read(&web.app, &session).await?)
}

async fn leave(State(web): State<Web>, session: Session) -> Answer {
    workspaces::leave_guide(&web.app, session.ws()).await?;
    Ok(see_other_saying("/app", "Your place is kept"))
}

async fn resume(State(web): State<Web>, session: Session) -> Answer {
    workspaces::resume_guide(&web.app, session.ws()).await?;
    Ok(see_other(PATH))
}

async fn skip(State(web): State<Web>, session: Session, fields: Fields) -> Answer {
    let step = Skippable::parse(fields.get("step")).ok_or(Error::NotFound)?;
    workspaces::skip_step(&web.app, session.ws(), step).await?;
    Ok(see_other(PATH))
}

/// The link that the step is about; a second press finds the first one's.
async fn make_link(State(web): State<Web>, session: Session) -> Answer {
    match opt_ins::standing_link(
        &web.app,
        session.ws(),
        "link",
        "First opt-in link",
        Language::English,
    )
    .await
    {
        Ok(_) => Ok(see_other_saying(PATH, "The link is ready")),
        Err(error @ LinkError::NoPage) => Err(Error::refused(
            "There is no Page yet",
            format!("{error} The link leads into its chat."),
        )),
        Err(LinkError::Other(error)) => Err(error.into()),
    }
}

async fn placed(State(web): State<Web>, session: Session) -> Answer {
    workspaces::opt_in_is_placed(&web.app, session.ws()).await?;
    Ok(see_other(PATH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::pages::listing::samples::{clean, html, session};

    fn steps(done: Done, guide: &Guide) -> Steps {
        Steps::of(
            done,
            guide,
            Some("pine.myshopify.com, USD".to_owned()),
            None,
        )
    }

    fn set_up(done: Done, guide: &Guide, way_in: Option<WayIn>) -> SetUp {
        SetUp {
            shell: session().shell(Nav::Overview, "Set up"),
            steps: steps(done, guide),
            has_left: guide.has_left,
            has_page: done.page,
            way_in,
            consent_text: "Yes, send me <news>".to_owned(),
        }
    }

    #[test]
    fn the_next_step_is_the_first_neither_done_nor_put_aside() {
        let mut done = Done {
            shop: true,
            ..Done::default()
        };
        let mut guide = Guide::default();
        assert!(steps(done, &guide).is_current(1));
        done.page = true;
        assert!(steps(done, &guide).is_current(2));
        guide.skipped = vec![Skippable::WhoPays, Skippable::Klaviyo];
        let now = steps(done, &guide);
        assert!(now.is_current(4));
        assert_eq!((now.done(), now.all()), (2, 6));
        assert_eq!(now.time_left(), "About 8 minutes left");
        guide.is_placed = true;
        done.campaign = true;
        assert!(steps(done, &guide).are_over());
    }

    #[test]
    fn what_was_put_aside_counts_as_done_once_it_is() {
        let guide = Guide {
            skipped: vec![Skippable::Klaviyo],
            ..Guide::default()
        };
        let done = Done {
            klaviyo: true,
            ..Done::default()
        };
        assert!(steps(done, &guide).0[3].is_done());
    }

    #[test]
    fn each_state_of_the_page_is_whole() {
        let begun = Done {
            shop: true,
            ..Done::default()
        };
        let first = html(&set_up(begun, &Guide::default(), None));
        clean(&first);
        assert!(first.contains("<b>1</b> of 6 done"));
        assert!(first.contains("Yes, send me &#60;news&#62;"));

        let way_in = WayIn {
            landing_url: "https://pagecast.example/s/first-x1".to_owned(),
            slug: "first-x1".to_owned(),
            id: "oil_1".to_owned(),
        };
        let guide = Guide {
            skipped: vec![Skippable::WhoPays, Skippable::Klaviyo],
            ..Guide::default()
        };
        let later = Done {
            page: true,
            ..begun
        };
        let html_later = html(&set_up(later, &guide, Some(way_in)));
        clean(&html_later);
        assert!(html_later.contains("/s/first-x1/qr.svg"));
        assert!(html_later.contains("action=\"/app/set-up/placed\""));

        let all = Done {
            shop: true,
            page: true,
            ad_account: true,
            klaviyo: true,
            subscriber: true,
            campaign: true,
        };
        let over = html(&set_up(all, &Guide::default(), None));
        clean(&over);
        assert!(over.contains("Everything is set up"));
    }
}
