//! Segments and lists, and who is in them.

use crate::clock::Millis;

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
