//! Who a campaign goes to, as one SQL condition over subscribers.

use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sqlx::Any;
use sqlx::query::{Query, QueryAs};
use utoipa::ToSchema;

use crate::clock::{DAY, Millis};
use crate::delivery::Problem;
use crate::klaviyo::segments::GroupKind;
use crate::store::ids::WorkspaceId;

/// Days that mean "ever".
const EVER: i64 = 3_650;
/// Conditions in one list.
const MAX_CONDITIONS: usize = 20;

/// Everyone who meets one of `include` and none of `exclude`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Audience {
    pub include: Vec<Condition>,
    #[serde(default)]
    pub exclude: Vec<Condition>,
    /// Percent of the audience that is held out for comparison, 0 to 50.
    #[serde(default)]
    pub holdout_percent: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Condition {
    Everyone {},
    Tag {
        tag: String,
    },
    KlaviyoSegment {
        segment_id: String,
    },
    KlaviyoList {
        list_id: String,
    },
    /// Ordered in the last so many days (ever, when left out).
    Ordered {
        #[serde(default = "ever")]
        days: i64,
    },
    /// Did not.
    NotOrdered {
        #[serde(default = "ever")]
        days: i64,
    },
    /// Clicked one of our links in the last so many days (ever, when left out).
    Clicked {
        #[serde(default = "ever")]
        days: i64,
    },
    Source {
        source: String,
    },
}

fn ever() -> i64 {
    EVER
}

impl Audience {
    /// What must be mended, with pointers from the audience on.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut add = |pointer: String, detail: &str| {
            found.push(Problem {
                pointer,
                detail: detail.to_owned(),
            });
        };
        if self.include.is_empty() {
            add(
                "/include".into(),
                "Choose who gets it: everyone, or at least one condition.",
            );
        }
        if !(0..=50).contains(&self.holdout_percent) {
            add(
                "/holdout_percent".into(),
                "Hold out between 0 and 50 percent.",
            );
        }
        for (list, conditions) in [("include", &self.include), ("exclude", &self.exclude)] {
            if conditions.len() > MAX_CONDITIONS {
                add(format!("/{list}"), "Use at most 20 conditions.");
            }
            for (i, condition) in conditions.iter().enumerate() {
                let text = |field: &str, text: &str| {
                    let length = text.trim().chars().count();
                    (!(1..=100).contains(&length)).then(|| format!("/{list}/{i}/{field}"))
                };
                let wrong = match condition {
                    Condition::Everyone {} => None,
                    Condition::Tag { tag } => text("tag", tag),
                    Condition::KlaviyoSegment { segment_id } => text("segment_id", segment_id),
                    Condition::KlaviyoList { list_id } => text("list_id", list_id),
                    Condition::Source { source } => text("source", source),
                    Condition::Ordered { days }
                    | Condition::NotOrdered { days }
                    | Condition::Clicked { days } => {
                        (!(1..=EVER).contains(days)).then(|| format!("/{list}/{i}/days"))
                    }
                };
                if let Some(pointer) = wrong {
                    let days = pointer.ends_with("days");
                    add(
                        pointer,
                        if days {
                            "Give a number of days between 1 and 3650."
                        } else {
                            "Fill this in, with at most 100 characters."
                        },
                    );
                }
            }
        }
        found
    }

    /// Klaviyo's groups that must be synced before the audience is right.
    pub fn groups(&self) -> Vec<(GroupKind, &str)> {
        self.include
            .iter()
            .chain(&self.exclude)
            .filter_map(|condition| match condition {
                Condition::KlaviyoSegment { segment_id } => {
                    Some((GroupKind::Segment, segment_id.as_str()))
                }
                Condition::KlaviyoList { list_id } => Some((GroupKind::List, list_id.as_str())),
                _ => None,
            })
            .collect()
    }
}

/// A piece of SQL and what is bound to its `$n`.
#[derive(Debug, Default)]
pub struct Sql {
    pub text: String,
    binds: Vec<Bind>,
}

#[derive(Debug)]
enum Bind {
    Number(i64),
    Text(String),
}

impl Sql {
    /// Appends `text`, in which `{}` stands for `value`'s placeholder.
    pub fn number(&mut self, value: i64) -> &mut Self {
        self.binds.push(Bind::Number(value));
        let _ = write!(self.text, "${}", self.binds.len());
        self
    }

    pub fn bound_text(&mut self, value: &str) -> &mut Self {
        self.binds.push(Bind::Text(value.to_owned()));
        let _ = write!(self.text, "${}", self.binds.len());
        self
    }

    pub fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// The statement, with everything bound.
    pub fn query(self) -> Query<'static, Any, sqlx::any::AnyArguments> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(self.text));
        for bind in self.binds {
            query = match bind {
                Bind::Number(value) => query.bind(value),
                Bind::Text(value) => query.bind(value),
            };
        }
        query
    }

    /// The statement for reading rows.
    pub fn query_as<T>(self) -> QueryAs<'static, Any, T, sqlx::any::AnyArguments>
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::any::AnyRow>,
    {
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(self.text));
        for bind in self.binds {
            query = match bind {
                Bind::Number(value) => query.bind(value),
                Bind::Text(value) => query.bind(value),
            };
        }
        query
    }

    /// `s` is subscribed in this workspace and belongs to the audience.
    pub fn members(&mut self, ws: WorkspaceId, audience: &Audience, now: Millis) -> &mut Self {
        self.push("s.workspace_id = ").number(ws.0).push(
            " AND s.opted_in_at IS NOT NULL AND s.opted_out_at IS NULL AND s.erased_at IS NULL
              AND (",
        );
        self.any_of(ws, &audience.include, now);
        self.push(")");
        if !audience.exclude.is_empty() {
            self.push(" AND NOT (");
            self.any_of(ws, &audience.exclude, now);
            self.push(")");
        }
        self
    }

    fn any_of(&mut self, ws: WorkspaceId, conditions: &[Condition], now: Millis) {
        for (i, condition) in conditions.iter().enumerate() {
            if i > 0 {
                self.push(" OR ");
            }
            self.condition(ws, condition, now);
        }
    }

    /// Never NULL, so that `NOT` over it is not either.
    fn condition(&mut self, ws: WorkspaceId, condition: &Condition, now: Millis) {
        match condition {
            Condition::Everyone {} => {
                self.push("1 = 1");
            }
            Condition::Tag { tag } => {
                self.push("s.id IN (SELECT t.subscriber_id FROM subscriber_tags t WHERE t.workspace_id = ")
                    .number(ws.0)
                    .push(" AND t.tag = ")
                    .bound_text(tag)
                    .push(")");
            }
            Condition::KlaviyoSegment { segment_id } => self.group(ws, "segment", segment_id),
            Condition::KlaviyoList { list_id } => self.group(ws, "list", list_id),
            Condition::Ordered { days } => {
                self.push("COALESCE(s.last_ordered_at, 0) >= ")
                    .number(now - days * DAY);
            }
            Condition::NotOrdered { days } => {
                self.push("COALESCE(s.last_ordered_at, 0) < ")
                    .number(now - days * DAY);
            }
            Condition::Clicked { days } => {
                self.push("COALESCE(s.last_clicked_at, 0) >= ")
                    .number(now - days * DAY);
            }
            Condition::Source { source } => {
                self.push("COALESCE(s.source, '') = ").bound_text(source);
            }
        }
    }

    fn group(&mut self, ws: WorkspaceId, kind: &str, id: &str) {
        self.push("(");
        for (i, (ours, theirs)) in [
            ("s.klaviyo_profile_id", "profile_id"),
            ("s.email_hash", "email_hash"),
            ("s.phone_hash", "phone_hash"),
        ]
        .into_iter()
        .enumerate()
        {
            if i > 0 {
                self.push(" OR ");
            }
            self.push("COALESCE(")
                .push(ours)
                .push(", '') IN (SELECT k.")
                .push(theirs)
                .push(" FROM klaviyo_members k WHERE k.workspace_id = ");
            self.number(ws.0).push(" AND k.kind = ").bound_text(kind);
            self.push(" AND k.group_id = ").bound_text(id);
            self.push(" AND k.").push(theirs).push(" IS NOT NULL)");
        }
        self.push(")");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audience(json: serde_json::Value) -> Audience {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_wrong_is_named_by_its_place() {
        let found = audience(serde_json::json!({
            "include": [{"kind":"tag","tag":""},{"kind":"clicked","days":0}],
            "exclude": [{"kind":"klaviyo_list","list_id":" "}],
            "holdout_percent": 51
        }))
        .problems();
        let pointers: Vec<&str> = found.iter().map(|p| p.pointer.as_str()).collect();
        assert_eq!(
            pointers,
            [
                "/holdout_percent",
                "/include/0/tag",
                "/include/1/days",
                "/exclude/0/list_id"
            ]
        );
        assert_eq!(
            audience(serde_json::json!({"include":[]})).problems()[0].pointer,
            "/include"
        );
    }

    #[test]
    fn every_value_is_bound_and_every_condition_scoped() {
        let mut sql = Sql::default();
        sql.members(
            WorkspaceId(7),
            &audience(serde_json::json!({
                "include":[{"kind":"tag","tag":"it's"},{"kind":"klaviyo_segment","segment_id":"S"}],
                "exclude":[{"kind":"ordered"}]
            })),
            0,
        );
        assert!(!sql.text.contains("it's"));
        assert_eq!(sql.text.matches('$').count(), sql.binds.len());
        assert_eq!(sql.text.matches("workspace_id = ").count(), 5);
    }
}
