//! What Facebook lets Pagecast do: each permission in one sentence, what stops without it, and a
//! way to ask again or to give it back.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;

use crate::meta::permissions::{CORE, Feature, Flow, OPTIONAL, PERMISSIONS, Permission};
use crate::web::Web;
use crate::web::pages::answer::{Answer, page};
use crate::web::pages::session::Session;
use crate::web::pages::shell::{Nav, Shell};
use crate::workspaces::{self, Login};

pub(super) fn router() -> Router<Web> {
    Router::new().route("/app/connections/permissions", get(show))
}

#[derive(Template)]
#[template(path = "connections/permissions.html")]
struct Permissions {
    shell: Shell,
    /// Nobody signed in with Facebook: an operator gave tokens, or nothing is connected.
    is_unknown: bool,
    people: Vec<Person>,
    groups: Vec<Group>,
}

struct Person {
    name: String,
    how: &'static str,
    ends: Option<String>,
}

struct Group {
    title: &'static str,
    words: &'static str,
    /// Everything in it is granted.
    is_granted: bool,
    rows: Vec<Row>,
    /// Where to ask for it.
    href: String,
}

struct Row {
    permission: &'static Permission,
    is_granted: bool,
}

async fn show(State(web): State<Web>, session: Session) -> Answer {
    let logins = workspaces::logins(&web.app, session.ws()).await?;
    page(&view(&session, &logins))
}

fn view(session: &Session, logins: &[Login]) -> Permissions {
    let f = session.format();
    let scopes: Vec<&str> = logins
        .iter()
        .flat_map(|login| login.scopes.iter().map(String::as_str))
        .collect();
    let flow = logins.first().map_or(Flow::Portfolio, |login| login.flow);
    let mut groups = vec![
        group(
            "Messages",
            "Without these nothing works.",
            &CORE,
            &scopes,
            "/app/connections/facebook".to_owned(),
        ),
        group(
            "Paid marketing messages",
            "Without these only people who wrote in the last 24 hours can be reached.",
            flow.paid(),
            &scopes,
            "/app/connections/facebook".to_owned(),
        ),
    ];
    groups.extend(OPTIONAL.iter().map(|feature| optional(feature, &scopes)));
    Permissions {
        is_unknown: logins.is_empty(),
        people: logins
            .iter()
            .map(|login| Person {
                name: login
                    .name
                    .clone()
                    .unwrap_or_else(|| "Somebody whose name Facebook does not tell".to_owned()),
                how: match login.flow {
                    Flow::Portfolio => "for the business portfolio",
                    Flow::Asset => "with their own access",
                    Flow::Partner => "for the business portfolio; we pay Meta",
                },
                ends: login.expires_at.map(|at| f.time(at)),
            })
            .collect(),
        groups,
        shell: session.shell(Nav::Connections, "Permissions"),
    }
}

fn optional(feature: &Feature, scopes: &[&str]) -> Group {
    // What is asked for anyway is not repeated.
    let needs: Vec<&str> = feature
        .needs
        .iter()
        .copied()
        .filter(|name| !CORE.contains(name))
        .collect();
    let href = format!("/app/connections/facebook?feature={}", feature.key);
    group(
        feature.words,
        "Optional: refusing it costs only this.",
        &needs,
        scopes,
        href,
    )
}

fn group(
    title: &'static str,
    words: &'static str,
    names: &[&str],
    scopes: &[&str],
    href: String,
) -> Group {
    let rows: Vec<Row> = PERMISSIONS
        .iter()
        .filter(|permission| names.contains(&permission.name))
        .map(|permission| Row {
            permission,
            is_granted: scopes.contains(&permission.name),
        })
        .collect();
    Group {
        title,
        words,
        is_granted: rows.iter().all(|row| row.is_granted),
        rows,
        href,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ids::{LoginId, WorkspaceId};
    use crate::web::pages::listing::samples::{NOW, clean, html, session};

    fn login(scopes: &[&str]) -> Login {
        Login {
            id: LoginId(1),
            workspace: WorkspaceId(1),
            user_id: Some("12".to_owned()),
            name: Some("Ines <Okafor>".to_owned()),
            flow: Flow::Asset,
            token: Some("secret-token".into()),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            expires_at: Some(NOW),
            ended_at: None,
        }
    }

    #[test]
    fn each_permission_says_what_it_is_for_and_whether_it_is_granted() {
        let view = view(&session(), &[login(&CORE)]);
        let granted: Vec<bool> = view.groups.iter().map(|group| group.is_granted).collect();
        assert!(granted[0] && !granted[1..].contains(&true));
        let html = html(&view);
        clean(&html);
        for part in [
            "Lets us send and receive Messenger messages",
            "Leads do not come in.",
            "feature=leads",
            "Ines &#60;Okafor&#62;",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert!(!html.contains("secret-token"));
    }

    #[test]
    fn where_nobody_signed_in_that_is_said_instead_of_claiming_refusals() {
        let html = html(&view(&session(), &[]));
        clean(&html);
        assert!(html.contains("Nobody has signed in with Facebook"));
    }
}
