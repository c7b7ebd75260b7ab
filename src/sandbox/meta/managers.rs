//! People who run Pages, and what they do at Facebook: sign in, lose a role, change a password.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::graph::{Answer, Call, Refusal};
use super::login::Member;
use super::pages::pick;
use super::{Caller, Meta};

const ALL_TASKS: [&str; 6] = [
    "ADVERTISE",
    "ANALYZE",
    "CREATE_CONTENT",
    "MANAGE",
    "MESSAGING",
    "MODERATE",
];
impl Meta {
    /// Somebody with a Facebook account and all tasks on these Pages, ready at the browser; the
    /// Pages' ad accounts are theirs too. Returns Meta's id of them for the app.
    pub fn manager(&self, name: &str, pages: &[&str]) -> String {
        let mut state = self.state();
        let id = format!("1221{:011}", state.login.people.len() + 1);
        let owned = |page: &&str| state.pages.get(*page).map(|page| page.ad_account.clone());
        let ad_accounts = pages.iter().filter_map(owned).collect();
        let all = || ALL_TASKS.map(str::to_owned).to_vec();
        let member = Member {
            name: name.to_owned(),
            tasks: pages
                .iter()
                .map(|page| ((*page).to_owned(), all()))
                .collect(),
            ad_accounts,
            has_app: false,
            revoked: BTreeSet::new(),
        };
        state.login.people.insert(id.clone(), member);
        state.login.at_the_browser = Some(id.clone());
        id
    }

    /// This person is signed in to Facebook in the browser from now on.
    pub fn sits_at_browser(&self, user_id: &str) {
        self.state().login.at_the_browser = Some(user_id.to_owned());
    }

    /// Whoever sits at the browser presses Cancel in the dialog.
    pub fn declines_login(&self, on: bool) {
        self.state().login.declines = on;
    }

    /// A Page admin gives the person exactly these tasks on the Page; none takes the role away.
    pub fn gives_tasks(&self, user_id: &str, page_id: &str, tasks: &[&str]) {
        if let Some(member) = self.state().login.people.get_mut(user_id) {
            if tasks.is_empty() {
                member.tasks.remove(page_id);
            } else {
                let tasks = tasks.iter().map(|&task| task.to_owned()).collect();
                member.tasks.insert(page_id.to_owned(), tasks);
            }
        }
    }

    /// The person takes one permission back in their Facebook settings.
    pub fn revokes_permission(&self, user_id: &str, permission: &str) {
        if let Some(member) = self.state().login.people.get_mut(user_id) {
            member.revoked.insert(permission.to_owned());
        }
    }

    /// The person changes their password: all tokens that came from them are dead.
    pub fn changes_password(&self, user_id: &str) {
        let mut state = self.state();
        state
            .login
            .tokens
            .retain(|_, token| token.user_id != user_id);
        state
            .login
            .page_tokens
            .retain(|_, (_, user)| user != user_id);
    }

    /// A Page admin takes the leads from the app in Leads Access Manager, or gives them back.
    pub fn takes_leads(&self, page_id: &str, taken: bool) {
        let leads = &mut self.state().login.leads_taken;
        if taken {
            leads.insert(page_id.to_owned());
        } else {
            leads.remove(page_id);
        }
    }

    /// The person removes the app in their Facebook settings; their tokens are dead.
    pub fn removes_app(&self, user_id: &str) {
        self.changes_password(user_id);
        if let Some(member) = self.state().login.people.get_mut(user_id) {
            member.has_app = false;
        }
    }

    /// The person works for this business, with which the Page is shared.
    pub fn is_shared_with(&self, page_id: &str, user_id: &str, business: (&str, &str)) {
        let (id, name) = business;
        let business = (id.to_owned(), name.to_owned());
        let mut state = self.state();
        let businesses = &mut state.login.businesses;
        businesses.insert(user_id.to_owned(), business.clone());
        let agencies = state.login.agencies.entry(page_id.to_owned());
        agencies.or_default().push(business);
    }

    /// `GET /me/businesses`.
    pub(super) fn businesses(&self, call: &Call, caller: &Caller) -> Answer {
        call.only(&["limit", "after"])?;
        let fields = call.fields(&["id", "name"], &["id", "name"])?;
        let Caller::Login(token) = caller else {
            let text = "(#100) Tried accessing nonexisting field (businesses)";
            return Err(Refusal::new(100, text));
        };
        let state = self.state();
        let user = state.login.tokens.get(token).map(|known| &known.user_id);
        let own = user.and_then(|user| state.login.businesses.get(user));
        let rows: Vec<Value> = own.into_iter().map(|own| business(own, &fields)).collect();
        Ok(json!({ "data": rows }))
    }

    /// `GET /{page}/agencies`.
    pub(super) fn agencies(&self, page_id: &str, call: &Call, caller: &Caller) -> Answer {
        self.page_call(page_id, caller)?;
        call.only(&["limit", "after"])?;
        let fields = call.fields(&["id", "name", "permitted_tasks"], &["id", "name"])?;
        let state = self.state();
        let shared = state.login.agencies.get(page_id);
        let rows: Vec<Value> = shared
            .into_iter()
            .flatten()
            .map(|own| business(own, &fields))
            .collect();
        Ok(json!({ "data": rows }))
    }
}

fn business((id, name): &(String, String), fields: &[String]) -> Value {
    let row = json!({ "id": id, "name": name, "permitted_tasks": ["MESSAGING", "MODERATE"] });
    pick(&row, fields)
}
