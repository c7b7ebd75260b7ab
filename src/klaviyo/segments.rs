//! Segments and lists, and who is in them.

use serde_json::Value;
use url::Url;

use super::read::{rows, text, time};
use super::{Auth, Client, Error};
use crate::clock::Millis;

const PROFILE_FIELDS: &str = "email,phone_number,external_id";
/// More pages of segments or lists than any account has; a link that leads in a circle ends here.
const MAX_PAGES: usize = 1_000;

#[derive(Clone, Debug)]
pub struct Group {
    pub id: String,
    pub name: String,
}

/// A member with the keys by which a subscriber can be found.
#[derive(Clone, Debug, Default)]
pub struct Member {
    pub profile_id: String,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub external_id: Option<String>,
    pub joined_at: Option<Millis>,
}

/// One page of members and the address of the next, as Klaviyo gave it.
#[derive(Clone, Debug, Default)]
pub struct MemberPage {
    pub members: Vec<Member>,
    pub next: Option<String>,
}

/// A segment or a list: two kinds of the same thing for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupKind {
    Segment,
    List,
}

impl GroupKind {
    fn path(self) -> &'static str {
        match self {
            Self::Segment => "segments",
            Self::List => "lists",
        }
    }

    fn fields(self) -> &'static str {
        match self {
            Self::Segment => "fields[segment]",
            Self::List => "fields[list]",
        }
    }
}

impl Client {
    /// All segments, or all lists.
    pub async fn groups(&self, auth: &Auth, kind: GroupKind) -> Result<Vec<Group>, Error> {
        let mut url = self.address(&["api", kind.path()])?;
        url.query_pairs_mut()
            .append_pair("page[size]", "10")
            .append_pair(kind.fields(), "name");
        let mut groups = Vec::new();
        for _ in 0..MAX_PAGES {
            let page = self.get(auth, &url).await?;
            groups.extend(rows(&page).iter().filter_map(read_group));
            let Some(next) = next_link(&page) else {
                break;
            };
            url = self.next_address(&next)?;
        }
        Ok(groups)
    }

    /// Up to 100 members. `next` is [`MemberPage::next`] of the page before.
    pub async fn members(
        &self,
        auth: &Auth,
        kind: GroupKind,
        id: &str,
        next: Option<&str>,
    ) -> Result<MemberPage, Error> {
        let url = if let Some(link) = next {
            self.next_address(link)?
        } else {
            let fields = format!("{PROFILE_FIELDS},joined_group_at");
            let mut url = self.address(&["api", kind.path(), id, "profiles"])?;
            url.query_pairs_mut()
                .append_pair("page[size]", "100")
                .append_pair("fields[profile]", &fields);
            url
        };
        let page = self.get(auth, &url).await?;
        let members = rows(&page).iter().filter_map(read_member).collect();
        Ok(MemberPage {
            members,
            next: next_link(&page),
        })
    }

    pub async fn profile_by_email(
        &self,
        auth: &Auth,
        email: &str,
    ) -> Result<Option<Member>, Error> {
        self.profile_where(auth, "email", email).await
    }

    /// The profile behind the `_kx` of a link in Klaviyo's own messages.
    pub async fn profile_by_kx(&self, auth: &Auth, kx: &str) -> Result<Option<Member>, Error> {
        self.profile_where(auth, "_kx", kx).await
    }

    /// A profile by Klaviyo's id; `None` when it is gone.
    pub async fn profile(&self, auth: &Auth, id: &str) -> Result<Option<Member>, Error> {
        let mut url = self.address(&["api", "profiles", id])?;
        url.query_pairs_mut()
            .append_pair("fields[profile]", PROFILE_FIELDS);
        match self.get(auth, &url).await {
            Ok(answer) => Ok(answer.get("data").and_then(read_member)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn profile_where(
        &self,
        auth: &Auth,
        field: &str,
        value: &str,
    ) -> Result<Option<Member>, Error> {
        let mut url: Url = self.address(&["api", "profiles"])?;
        url.query_pairs_mut()
            .append_pair("filter", &equals(field, value))
            .append_pair("fields[profile]", PROFILE_FIELDS);
        let answer = self.get(auth, &url).await?;
        Ok(rows(&answer).first().and_then(read_member))
    }
}

/// A filter whose value cannot leave its quotes.
fn equals(field: &str, value: &str) -> String {
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("equals({field},\"{quoted}\")")
}

fn next_link(page: &Value) -> Option<String> {
    text(page.get("links")?, "next")
}

fn read_group(row: &Value) -> Option<Group> {
    let id = text(row, "id")?;
    let name = row
        .get("attributes")
        .and_then(|attributes| text(attributes, "name"));
    Some(Group {
        name: name.unwrap_or_else(|| id.clone()),
        id,
    })
}

fn read_member(row: &Value) -> Option<Member> {
    let attributes = row.get("attributes").unwrap_or(&Value::Null);
    Some(Member {
        profile_id: text(row, "id")?,
        email: text(attributes, "email"),
        phone: text(attributes, "phone_number"),
        external_id: text(attributes, "external_id"),
        joined_at: time(attributes, "joined_group_at"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_value_cannot_leave_its_quotes() {
        assert_eq!(
            equals("email", "a@b.example"),
            r#"equals(email,"a@b.example")"#
        );
        assert_eq!(equals("email", r#"a",b"#), r#"equals(email,"a\",b")"#);
        assert_eq!(equals("email", r"a\"), r#"equals(email,"a\\")"#);
    }
}
