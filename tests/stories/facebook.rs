//! Connecting Pages with Facebook: to the dialog and back, choosing, what is refused, and what
//! happens when access goes at Meta.

use pagecast::clock::{DAY, MINUTE};
use pagecast::workspaces::{self, Page, Point, Trouble, Verdict};
use reqwest::Response;

use crate::story;
use crate::support::Story;
use crate::support::story::{AD_ACCOUNT, PAGE};

const BAKERY: &str = "555000111222";

/// A browser: its cookies, and where it stands.
pub(crate) struct Browser<'a> {
    story: &'a Story,
    pub(crate) session: String,
    facebook: String,
}

impl<'a> Browser<'a> {
    /// Signed in to the admin of the workspace.
    pub(crate) async fn of(story: &'a Story, workspace: pagecast::store::ids::WorkspaceId) -> Self {
        let link = workspaces::login_link(&story.app, workspace).await.unwrap();
        let (_, token) = link.url.split_once("token=").unwrap();
        let session = workspaces::open_login(&story.app, &token.to_owned().into())
            .await
            .unwrap()
            .unwrap();
        Self {
            story,
            session: secrecy::ExposeSecret::expose_secret(&session).to_owned(),
            facebook: String::new(),
        }
    }

    /// Nobody's.
    pub(crate) fn stranger(story: &'a Story) -> Self {
        Self {
            story,
            session: String::new(),
            facebook: String::new(),
        }
    }

    pub(crate) async fn opens(&mut self, address: &str) -> Response {
        let address = match address.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.story.url),
            None => address.to_owned(),
        };
        let request = self
            .story
            .http
            .get(address)
            .header("Cookie", self.cookies());
        let answer = request.send().await.unwrap();
        self.keeps(&answer);
        answer
    }

    pub(crate) async fn sends(&mut self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.story.http.post(format!("{}{path}", self.story.url));
        let request = request
            .header("Cookie", self.cookies())
            .header("Origin", &self.story.url)
            .form(form);
        let answer = request.send().await.unwrap();
        self.keeps(&answer);
        answer
    }

    fn cookies(&self) -> String {
        format!(
            "pagecast_session={}; pagecast_facebook={}",
            self.session, self.facebook
        )
    }

    fn keeps(&mut self, answer: &Response) {
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            if let Some(rest) = cookie.strip_prefix("pagecast_facebook=") {
                self.facebook = rest.split(';').next().unwrap().to_owned();
            }
            if let Some(rest) = cookie.strip_prefix("pagecast_session=") {
                self.session = rest.split(';').next().unwrap().to_owned();
            }
        }
    }

    /// The link to Facebook on the page with the questions.
    async fn ticket(&mut self, query: &str) -> String {
        let html = self
            .opens(&format!("/app/connections/facebook{query}"))
            .await;
        let html = html.text().await.unwrap();
        let (_, rest) = html
            .split_once("href=\"/auth/meta/login")
            .unwrap_or_else(|| panic!("{html}"));
        format!("/auth/meta/login{}", rest.split('"').next().unwrap())
    }

    /// Through Facebook's dialog, up to where the Pages are chosen.
    pub(crate) async fn signs_in(&mut self, query: &str) -> Response {
        let ticket = self.ticket(query).await;
        let away = self.opens(&ticket).await;
        assert_eq!(away.status(), 303, "{}", away.text().await.unwrap());
        self.through_facebook(&location(&away)).await
    }

    pub(crate) async fn through_facebook(&mut self, dialog: &str) -> Response {
        let back = self.opens(dialog).await;
        assert_eq!(back.status(), 302, "{}", back.text().await.unwrap());
        let landed = self.opens(&location(&back)).await;
        if landed.status() == 303 {
            return self.opens(&location(&landed)).await;
        }
        landed
    }
}

pub(crate) fn location(answer: &Response) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

async fn bakery(story: &Story) -> (pagecast::store::ids::WorkspaceId, String) {
    let meta = &story.sandbox.meta;
    meta.page(
        BAKERY,
        "Bakery on the Corner",
        "bakery-token",
        "act_5",
        "bakery-login",
    );
    let user = meta.manager("Ines Okafor", &[BAKERY]);
    let workspace = workspaces::create(&story.app, "Bakery").await.unwrap();
    (workspace, user)
}

async fn page_of(story: &Story, workspace: pagecast::store::ids::WorkspaceId) -> Page {
    workspaces::pages(&story.app, workspace)
        .await
        .unwrap()
        .remove(0)
}

/// Connected with Facebook, by the way of the query.
async fn connected(story: &Story, query: &str) -> (Page, String) {
    let (workspace, user) = bakery(story).await;
    let mut browser = Browser::of(story, workspace).await;
    browser.signs_in(query).await;
    let form = [("page", BAKERY), ("ad_account", "act_5")];
    let done = browser
        .sends("/auth/meta/pages", &form)
        .await
        .text()
        .await
        .unwrap();
    assert!(done.contains("Bakery on the Corner is connected"), "{done}");
    (page_of(story, workspace).await, user)
}

story! {
    async fn a_page_is_connected_in_three_clicks_and_each_step_is_shown(story: &mut Story) {
        let (workspace, _) = bakery(story).await;
        let mut browser = Browser::of(story, workspace).await;
        let choose = browser.signs_in("").await;
        assert_eq!(choose.headers()["cache-control"], "no-store");
        let choose = choose.text().await.unwrap();
        for part in ["Bakery on the Corner", "followers", "Ad account 5", "Which Pages speak for Bakery?"] {
            assert!(choose.contains(part), "{part}: {choose}");
        }
        let form = [("page", BAKERY), ("ad_account", "act_5")];
        let done = browser.sends("/auth/meta/pages", &form).await.text().await.unwrap();
        assert!(done.contains("Bakery on the Corner is connected"), "{done}");

        let page = page_of(story, workspace).await;
        assert_eq!(page.state, "active");
        assert_eq!(page.ad_account.as_deref(), Some("act_5"));
        assert!(page.login.is_some() && page.ad_token.is_some());
        assert!(!story.sandbox.meta.subscribed_fields(BAKERY).is_empty());
        let html = browser.opens("/app/connections").await.text().await.unwrap();
        for part in ["Active", "Get Started button", "Payment method", "Country of the business", "Disconnect"] {
            assert!(html.contains(part), "{part}: {html}");
        }
        let again = browser.sends("/auth/meta/pages", &form).await;
        assert_eq!(again.status(), 403, "the choice is made once");
    }
}

story! {
    async fn the_persons_own_access_is_traded_for_one_of_sixty_days(story: &mut Story) {
        let (page, _) = connected(story, "?owner=different").await;
        let logins = workspaces::logins(&story.app, page.workspace).await.unwrap();
        assert_eq!(logins.len(), 1);
        assert_eq!(logins[0].name.as_deref(), Some("Ines Okafor"));
        let lasts = logins[0].expires_at.unwrap() - story.now();
        assert!((59 * DAY..=60 * DAY).contains(&lasts), "{lasts}");
        let sealed: (String, String) = sqlx::query_as("SELECT name_sealed, token_sealed FROM meta_logins")
            .fetch_one(story.app.db.pool())
            .await
            .unwrap();
        assert!(sealed.0.starts_with("v1.") && sealed.1.starts_with("v1."));
    }
}

story! {
    async fn a_sign_in_belongs_to_the_browser_and_the_session_that_began_it(story: &mut Story) {
        let (workspace, _) = bakery(story).await;
        let mut browser = Browser::of(story, workspace).await;
        let ticket = browser.ticket("").await;
        let mut stranger = Browser::stranger(story);
        assert_eq!(stranger.opens(&ticket).await.status(), 403, "no session");
        let mut other = Browser::of(story, story.workspace).await;
        assert_eq!(other.opens(&ticket).await.status(), 403, "another workspace's session");

        let away = browser.opens(&ticket).await;
        let dialog = location(&away);
        let back = browser.opens(&dialog).await;
        let callback = location(&back);
        assert_eq!(stranger.opens(&callback).await.status(), 403, "without the cookie");
        let forged = callback.replace("state=v1.", "state=v1.A");
        assert_eq!(browser.opens(&forged).await.status(), 403, "another state");
        assert_eq!(browser.opens(&callback).await.status(), 303);
        assert_eq!(stranger.opens("/auth/meta/pages").await.status(), 403);
        let used = browser.opens(&callback).await.text().await.unwrap();
        assert!(used.contains("did not confirm"), "a code works once: {used}");

        let form = [("page", BAKERY)];
        let request = story.http.post(format!("{}/auth/meta/pages", story.url)).form(&form);
        let request = request.header("Cookie", browser.cookies()).header("Origin", "https://evil.example");
        assert_eq!(request.send().await.unwrap().status(), 403, "from elsewhere");
        story.clock.advance(31 * MINUTE);
        assert_eq!(browser.opens(&ticket).await.status(), 403, "a ticket grows old");
    }
}

story! {
    async fn cancelling_in_the_dialog_changes_nothing_and_says_so(story: &mut Story) {
        let (workspace, _) = bakery(story).await;
        story.sandbox.meta.declines_login(true);
        let mut browser = Browser::of(story, workspace).await;
        let html = browser.signs_in("").await.text().await.unwrap();
        assert!(html.contains("Nothing was connected or changed"), "{html}");
        assert!(html.contains("href=\"/app/connections\""));
        assert!(workspaces::pages(&story.app, workspace).await.unwrap().is_empty());
    }
}

story! {
    async fn a_role_that_is_too_small_is_told_before_anything_is_connected(story: &mut Story) {
        let (workspace, user) = bakery(story).await;
        story.sandbox.meta.gives_tasks(&user, BAKERY, &["ANALYZE"]);
        let mut browser = Browser::of(story, workspace).await;
        let html = browser.signs_in("").await.text().await.unwrap();
        assert!(html.contains("Role too small") && html.contains("disabled"), "{html}");
        let none = browser.sends("/auth/meta/pages", &[]).await;
        assert_eq!(none.status(), 422);
        assert!(none.text().await.unwrap().contains("No Page was chosen"));
    }
}

story! {
    async fn a_page_that_serves_elsewhere_is_taken_over_only_after_a_yes(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        // Under way, and waiting for its Page.
        story.sandbox.meta.refuses_next(190, Some(460), 1);
        let running = story.broadcasts("Winter sale").await;
        let other = workspaces::create(&story.app, "New owner").await.unwrap();
        story.sandbox.meta.manager("Theo Lindqvist", &[PAGE]);
        let mut browser = Browser::of(story, other).await;
        let html = browser.signs_in("").await.text().await.unwrap();
        assert!(html.contains("Serves elsewhere"), "{html}");
        let form = [("page", PAGE), ("ad_account", AD_ACCOUNT)];
        let question = browser.sends("/auth/meta/pages", &form).await.text().await.unwrap();
        assert!(question.contains("Take over Harbour Coffee?"), "{question}");
        assert!(!question.contains("Winter sale"), "nothing of the other workspace shows");
        assert_eq!(workspaces::pages(&story.app, story.workspace).await.unwrap().len(), 1);

        let yes = [("page", PAGE), ("take_over", PAGE), ("ad_account", AD_ACCOUNT)];
        let done = browser.sends("/auth/meta/pages", &yes).await.text().await.unwrap();
        assert!(done.contains("Harbour Coffee is connected"), "{done}");
        assert!(workspaces::pages(&story.app, story.workspace).await.unwrap().is_empty());
        assert_eq!(page_of(story, other).await.state, "active");
        story.minutes_pass(5).await;
        let report = story.report(&running).await;
        assert_eq!(report["status"], "finished", "{report:#}");
        assert_eq!(report["counts"]["sent"], 0, "{report:#}");
        assert_eq!(report["skipped"]["page_disconnected"], 1, "{report:#}");
        assert!(story.heard(&ana).is_empty());
    }
}

story! {
    async fn a_disconnected_page_comes_back_with_its_subscribers(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        let page = page_of(story, story.workspace).await;
        let mut browser = Browser::of(story, story.workspace).await;
        let html = browser.opens("/app/connections").await.text().await.unwrap();
        assert!(html.contains("1 subscriber and their consent are kept"), "{html}");
        let other = workspaces::create(&story.app, "Another").await.unwrap();
        let path = format!("/app/connections/pages/{}/disconnect", page.id);
        let mut foreign = Browser::of(story, other).await;
        assert_eq!(foreign.sends(&path, &[]).await.status(), 404, "not theirs");
        assert_eq!(browser.sends(&path, &[]).await.status(), 303);
        assert!(story.sandbox.meta.subscribed_fields(PAGE).is_empty(), "no more events");
        assert!(workspaces::pages(&story.app, story.workspace).await.unwrap().is_empty());

        story.connects_the_page_again().await;
        assert_eq!(page_of(story, story.workspace).await.id, page.id);
        story.broadcasts("Back again").await;
        assert_eq!(story.heard(&ana).len(), 1);
    }
}

story! {
    async fn access_taken_away_at_meta_stops_the_page_within_the_hour_and_comes_back_by_itself(
        story: &mut Story
    ) {
        let (page, user) = connected(story, "").await;
        story.sandbox.meta.gives_tasks(&user, BAKERY, &[]);
        story.minutes_pass(61).await;
        let stopped = page_of(story, page.workspace).await;
        assert_eq!(stopped.state, "needs_reconnect");
        let words = stopped.attention.unwrap();
        assert!(words.contains("role on the Page") && words.contains("two-factor"), "{words}");
        let health = workspaces::health(&story.app, page.workspace, page.id).await.unwrap();
        assert_eq!(health.trouble, Some(Trouble::Role));

        story.sandbox.meta.gives_tasks(&user, BAKERY, &["MANAGE", "MESSAGING", "MODERATE"]);
        story.minutes_pass(61).await;
        let back = page_of(story, page.workspace).await;
        assert_eq!((back.state.as_str(), back.attention), ("active", None));
    }
}

story! {
    async fn a_permission_taken_back_is_named_and_only_signing_in_again_helps(story: &mut Story) {
        let (page, user) = connected(story, "").await;
        story.sandbox.meta.revokes_permission(&user, "pages_messaging");
        workspaces::check_page(&story.app, page.id).await.unwrap();
        let stopped = page_of(story, page.workspace).await;
        assert!(stopped.attention.unwrap().contains("pages_messaging"));
        story.minutes_pass(130).await;
        assert_eq!(page_of(story, page.workspace).await.state, "needs_reconnect");

        let mut browser = Browser::of(story, page.workspace).await;
        let html = browser.opens("/app/connections/permissions").await.text().await.unwrap();
        assert!(html.contains("Not granted"), "{html}");
        browser.signs_in("").await;
        let form = [("page", BAKERY), ("ad_account", "act_5")];
        browser.sends("/auth/meta/pages", &form).await;
        let back = page_of(story, page.workspace).await;
        assert_eq!((back.id, back.state.as_str()), (page.id, "active"));
        assert_eq!(workspaces::logins(&story.app, page.workspace).await.unwrap().len(), 1);
    }
}

story! {
    async fn a_changed_password_stops_the_page_and_nothing_fails(story: &mut Story) {
        let ana = story.subscriber("Ana").await;
        story.sandbox.meta.refuses_next(190, Some(460), 1);
        let id = story.broadcasts("Winter sale").await;
        let page = page_of(story, story.workspace).await;
        let report = story.report(&id).await;
        assert_eq!(report["counts"]["failed"], 0, "{report:#}");
        // The refusal passed: Meta takes our calls again, so the next look lets it go on.
        story.minutes_pass(10).await;
        assert_eq!(page_of(story, story.workspace).await.state, "active");
        assert_eq!(story.heard(&ana).len(), 1);
        assert_eq!(page.id, page_of(story, story.workspace).await.id);
    }
}

story! {
    async fn a_lost_subscription_is_made_again_and_money_costs_only_paid_messages(story: &mut Story) {
        let (page, _) = connected(story, "").await;
        let token = page.token.clone().unwrap();
        story.app.meta.unsubscribe_page(BAKERY, &token).await.unwrap();
        story.sandbox.meta.ad_account_is("act_5", 3, false, "DE");
        story.minutes_pass(25 * 60).await;
        assert!(!story.sandbox.meta.subscribed_fields(BAKERY).is_empty());
        let health = workspaces::health(&story.app, page.workspace, page.id).await.unwrap();
        let verdict = |point: Point| {
            let found = health.findings.iter().find(|finding| finding.point == point);
            found.map(|finding| finding.verdict)
        };
        assert_eq!(verdict(Point::Events), Some(Verdict::Good));
        for point in [Point::AdAccount, Point::Payment, Point::Region] {
            assert_eq!(verdict(point), Some(Verdict::Attention), "{point:?}");
        }
        assert_eq!(page_of(story, page.workspace).await.state, "active");
        let mut browser = Browser::of(story, page.workspace).await;
        let html = browser.opens("/app/connections").await.text().await.unwrap();
        assert!(html.contains("Needs attention") && html.contains("billing_hub"), "{html}");
    }
}

story! {
    async fn meta_tells_of_a_permission_and_keeps_nobodys_name(story: &mut Story) {
        let (page, user) = connected(story, "").await;
        story.sandbox.meta.removes_app(&user);
        let body = format!(
            r#"{{"object":"permissions","entry":[{{"uid":"{user}","id":"{user}","time":1,"changes":[{{"field":"connected","verb":"revoked"}}]}}]}}"#
        );
        assert_eq!(crate::inbox::meta_says(story, body.into_bytes()).await, 200);
        story.minutes_pass(2).await;
        assert_eq!(page_of(story, page.workspace).await.state, "needs_reconnect");
        let (kept,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM webhooks WHERE REPLACE(payload, $1, '') <> payload OR account = $1",
        )
        .bind(&user)
        .fetch_one(story.app.db.pool())
        .await
        .unwrap();
        assert_eq!(kept, 0);
    }
}

story! {
    async fn who_lacks_access_to_leads_is_told_on_the_connection(story: &mut Story) {
        let (page, _) = connected(story, "?feature=leads").await;
        story.sandbox.meta.takes_leads(BAKERY, true);
        workspaces::check_page(&story.app, page.id).await.unwrap();
        let health = workspaces::health(&story.app, page.workspace, page.id).await.unwrap();
        let leads = health.findings.iter().find(|f| f.point == Point::Leads).unwrap();
        assert_eq!(leads.verdict, Verdict::Attention);
        assert!(leads.words.contains("CRMs"), "{}", leads.words);
    }
}

type Heard = std::sync::Arc<std::sync::Mutex<Vec<(String, String)>>>;

/// A server of the merchant's that writes down what it is told.
async fn listener() -> (String, Heard, tokio::task::JoinSet<()>) {
    use axum::http::HeaderMap;
    let heard = Heard::default();
    let kept = heard.clone();
    let note = move |headers: HeaderMap, body: String| {
        let signature = headers["webhook-signature"].to_str().unwrap().to_owned();
        kept.lock().unwrap().push((signature, body));
        async {}
    };
    let router = axum::Router::new().route("/hook", axum::routing::post(note));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", socket.local_addr().unwrap());
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move { axum::serve(socket, router).await.unwrap() });
    (url, heard, server)
}

story! {
    async fn the_merchants_systems_are_told_once_of_trouble_and_once_of_its_end(story: &mut Story) {
        let (url, heard, _server) = listener().await;
        let mut browser = Browser::of(story, story.workspace).await;
        let bad = browser.sends("/app/connections/alerts", &[("url", "nowhere")]).await;
        assert_eq!(bad.status(), 422);
        browser.sends("/app/connections/alerts", &[("url", &url)]).await;
        let tried = browser.sends("/app/connections/alerts/try", &[]).await;
        assert_eq!(tried.status(), 303);
        assert_eq!(heard.lock().unwrap().len(), 1);

        story.subscriber("Ana").await;
        story.subscriber("Ben").await;
        story.sandbox.meta.refuses_next(190, Some(460), 2);
        story.broadcasts("Winter sale").await;
        story.minutes_pass(10).await;
        let told: Vec<serde_json::Value> = heard.lock().unwrap()[1..]
            .iter()
            .map(|(signature, body)| {
                assert!(signature.starts_with("v1,"));
                serde_json::from_str(body).unwrap()
            })
            .collect();
        let kinds: Vec<&str> = told.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["page.needs_attention", "page.recovered"], "{told:#?}");
        assert_eq!(told[0]["data"]["trouble"], "access");
        assert_eq!(told[0]["data"]["page"]["name"], "Harbour Coffee");
    }
}

story! {
    async fn a_sign_in_for_one_feature_does_not_take_the_others_away(story: &mut Story) {
        let (page, _) = connected(story, "").await;
        let mut browser = Browser::of(story, page.workspace).await;
        browser.signs_in("?feature=leads").await;
        let form = [("page", BAKERY), ("ad_account", "act_5")];
        let done = browser.sends("/auth/meta/pages", &form).await.text().await.unwrap();
        assert!(done.contains("would take away") && done.contains("Nothing was changed"), "{done}");
        let after = page_of(story, page.workspace).await;
        assert_eq!(after.login, page.login);
        let held = workspaces::logins(&story.app, page.workspace).await.unwrap();
        assert!(held.iter().any(|login| Some(login.id) == page.login), "its login still holds");
    }
}
