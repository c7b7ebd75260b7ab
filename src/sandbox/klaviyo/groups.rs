//! Reading: the account, segments and lists with their members, profiles, metrics.

use serde_json::{Map, Value, json};

use super::wire::{Call, Refusal, Reply};
use super::{Group, Klaviyo, Profile};
use crate::clock::{Millis, rfc3339};

const EXACT: &[&str] = &["equals", "any"];
const RANGE: &[&str] = &[
    "greater-than",
    "greater-or-equal",
    "less-than",
    "less-or-equal",
];
const PROFILE_FIELDS: &[&str] = &[
    "email",
    "phone_number",
    "external_id",
    "first_name",
    "last_name",
    "organization",
    "locale",
    "title",
    "image",
    "created",
    "updated",
    "last_event_date",
    "location",
    "properties",
    "joined_group_at",
];

impl Klaviyo {
    pub(super) fn accounts(&self, account: usize) -> Reply {
        let state = self.state();
        let id = state.accounts.get(account).map(|a| a.id.clone());
        let attributes = json!({
            "test_account": true,
            "contact_information": {
                "default_sender_name": "Harbour Coffee", "default_sender_email": "hi@example.com",
                "website_url": "https://example.com", "organization_name": "Harbour Coffee",
                "street_address": {},
            },
            "industry": "Food & Drink",
            "timezone": "US/Eastern",
            "preferred_currency": "USD",
            "public_api_key": id,
            "locale": "en-US",
        });
        let links = json!({ "self": format!("{}/api/accounts", self.url()) });
        let data = json!([{ "type": "account", "id": id, "attributes": attributes }]);
        Ok((200, Some(json!({ "data": data, "links": links }))))
    }

    pub(super) fn groups(&self, call: &Call, kind: &str) -> Reply {
        let resource = kind.trim_end_matches('s');
        let fields = format!("fields[{resource}]");
        call.only(&[
            "filter",
            "sort",
            "page[size]",
            "page[cursor]",
            "include",
            &fields,
        ])?;
        let size = call.page_size(10, 10)?;
        let filters = call.filters(&[
            ("name", EXACT),
            ("id", EXACT),
            ("created", RANGE),
            ("updated", RANGE),
            ("is_active", EXACT),
            ("is_starred", EXACT),
        ])?;
        let state = self.state();
        let Some(account) = state.accounts.get(call.account) else {
            return Err(gone(kind));
        };
        let rows = account
            .groups
            .values()
            .filter(|g| g.is_segment == (kind == "segments"))
            .filter(|g| {
                filters.iter().all(|filter| match filter.field.as_str() {
                    "name" => filter.holds(Some(&g.name)),
                    "id" => filter.holds(Some(&g.id)),
                    "created" => filter.holds(Some(&rfc3339(g.created_at))),
                    "updated" => filter.holds(Some(&rfc3339(g.updated_at))),
                    // Accepted and ignored, as observed.
                    _ => true,
                })
            })
            .map(group_node)
            .collect();
        Ok((200, Some(call.page(&self.url(), rows, size)?)))
    }

    pub(super) fn group(&self, call: &Call, kind: &str, id: &str) -> Reply {
        let resource = kind.trim_end_matches('s');
        let (fields, additional) = (
            format!("fields[{resource}]"),
            format!("additional-fields[{resource}]"),
        );
        call.only(&[&fields, &additional, "include"])?;
        let state = self.state();
        let found = state
            .accounts
            .get(call.account)
            .and_then(|a| a.groups.get(id));
        let Some(group) = found.filter(|g| g.is_segment == (kind == "segments")) else {
            return Err(gone(kind));
        };
        let mut node = group_node(group);
        if call
            .parameter(&additional)
            .is_some_and(|f| f.contains("profile_count"))
        {
            node["attributes"]["profile_count"] = json!(group.members.len());
        }
        Ok((200, Some(json!({ "data": node }))))
    }

    pub(super) fn members(&self, call: &Call, kind: &str, id: &str, ids_only: bool) -> Reply {
        let mut known = vec!["filter", "sort", "page[size]", "page[cursor]"];
        if !ids_only {
            known.extend(["fields[profile]", "additional-fields[profile]"]);
        }
        call.only(&known)?;
        let size = call.page_size(20, 100)?;
        let mut allowed = vec![
            ("email", EXACT),
            ("phone_number", EXACT),
            ("push_token", EXACT),
            ("_kx", &EXACT[..1]),
            ("joined_group_at", RANGE),
        ];
        if kind == "segments" {
            allowed.push(("profile_id", EXACT));
        }
        let filters = call.filters(&allowed)?;
        let fields = asked_fields(call)?;
        let sort = call.parameter("sort").unwrap_or("-joined_group_at");
        if !matches!(sort, "joined_group_at" | "-joined_group_at") {
            return Err(Refusal::query(
                "sort",
                format!("'{sort}' is not a valid sort here."),
            ));
        }
        let state = self.state();
        let Some(account) = state.accounts.get(call.account) else {
            return Err(gone(kind));
        };
        let found = account
            .groups
            .get(id)
            .filter(|g| g.is_segment == (kind == "segments"));
        let Some(group) = found else {
            return Err(gone(kind));
        };
        let mut rows: Vec<(&Profile, Millis)> = group
            .members
            .iter()
            .filter_map(|(id, joined)| Some((account.profiles.get(id)?, *joined)))
            .filter(|(p, joined)| {
                filters.iter().all(|filter| match filter.field.as_str() {
                    "joined_group_at" => filter.holds(Some(&rfc3339(*joined))),
                    "profile_id" => filter.holds(Some(&p.id)),
                    field => filter.holds(key_of(p, field)),
                })
            })
            .collect();
        rows.sort_by(|a, b| (a.1, &a.0.id).cmp(&(b.1, &b.0.id)));
        if sort.starts_with('-') {
            rows.reverse();
        }
        let rows = rows
            .into_iter()
            .map(|(profile, joined)| {
                if ids_only {
                    json!({ "type": "profile", "id": profile.id })
                } else {
                    profile_row(profile, Some(joined), fields.as_deref())
                }
            })
            .collect();
        Ok((200, Some(call.page(&self.url(), rows, size)?)))
    }

    pub(super) fn profiles(&self, call: &Call) -> Reply {
        call.only(&[
            "filter",
            "sort",
            "page[size]",
            "page[cursor]",
            "fields[profile]",
            "additional-fields[profile]",
        ])?;
        let size = call.page_size(20, 100)?;
        let filters = call.filters(&[
            ("id", EXACT),
            ("email", EXACT),
            ("phone_number", EXACT),
            ("external_id", EXACT),
            ("_kx", &EXACT[..1]),
            ("created", RANGE),
            ("updated", RANGE),
        ])?;
        let fields = asked_fields(call)?;
        let state = self.state();
        let Some(account) = state.accounts.get(call.account) else {
            return Err(gone("profiles"));
        };
        let rows = account
            .profiles
            .values()
            .filter(|p| {
                filters.iter().all(|filter| match filter.field.as_str() {
                    "created" => filter.holds(Some(&rfc3339(p.created_at))),
                    "updated" => filter.holds(Some(&rfc3339(p.updated_at))),
                    field => filter.holds(key_of(p, field)),
                })
            })
            .map(|p| profile_row(p, None, fields.as_deref()))
            .collect();
        Ok((200, Some(call.page(&self.url(), rows, size)?)))
    }

    pub(super) fn profile_node(&self, call: &Call, id: &str) -> Reply {
        call.only(&["fields[profile]", "additional-fields[profile]", "include"])?;
        let fields = asked_fields(call)?;
        let state = self.state();
        let found = state
            .accounts
            .get(call.account)
            .and_then(|a| a.profiles.get(id));
        let Some(profile) = found else {
            return Err(gone("profiles"));
        };
        Ok((
            200,
            Some(json!({ "data": profile_row(profile, None, fields.as_deref()) })),
        ))
    }

    pub(super) fn metrics(&self, account: usize) -> Reply {
        let state = self.state();
        let metrics = state.accounts.get(account).map(|a| &a.metrics);
        let rows: Vec<Value> = metrics
            .into_iter()
            .flatten()
            .map(|(name, id)| {
                let integration =
                    json!({ "object": "integration", "id": "0", "name": "API", "category": "API" });
                json!({ "type": "metric", "id": id, "attributes": {
                    "name": name, "created": "2026-01-01T00:00:00+00:00",
                    "updated": "2026-01-01T00:00:00+00:00", "integration": integration,
                } })
            })
            .collect();
        let own = format!("{}/api/metrics", self.url());
        let links = json!({ "self": own, "next": null, "prev": null });
        Ok((200, Some(json!({ "data": rows, "links": links }))))
    }

    pub(super) fn tracking_settings(&self, account: usize) -> Reply {
        let state = self.state();
        let id = state.accounts.get(account).map(|a| a.id.clone());
        let parameter = |value: &str| {
            let one = json!({ "type": "static", "value": value });
            json!({ "campaign": one, "flow": one })
        };
        let attributes = json!({
            "auto_add_parameters": true, "utm_source": parameter("klaviyo"),
            "utm_medium": parameter("email"), "utm_campaign": null, "utm_id": null,
            "utm_term": null, "custom_parameters": [],
        });
        let data = json!([{ "type": "tracking-setting", "id": id, "attributes": attributes }]);
        Ok((200, Some(json!({ "data": data, "links": {} }))))
    }
}

fn gone(kind: &str) -> Refusal {
    Refusal::new(
        404,
        "not_found",
        format!("A resource of {kind} with this id does not exist."),
    )
}

fn asked_fields(call: &Call) -> Result<Option<Vec<String>>, Refusal> {
    let Some(list) = call.parameter("fields[profile]") else {
        return Ok(None);
    };
    let fields: Vec<String> = list.split(',').map(|f| f.trim().to_owned()).collect();
    for field in &fields {
        let name = field.split('.').next().unwrap_or_default();
        if !PROFILE_FIELDS.contains(&name) && name != "subscriptions" {
            let text = format!("'{field}' is not a valid field for the resource 'profile'.");
            return Err(Refusal::query("fields[profile]", text));
        }
    }
    Ok(Some(fields))
}

fn key_of<'a>(profile: &'a Profile, field: &str) -> Option<&'a str> {
    match field {
        "id" => Some(&profile.id),
        "email" => profile.email.as_deref(),
        "phone_number" => profile.phone_number.as_deref(),
        "external_id" => profile.external_id.as_deref(),
        "_kx" => profile.kx.as_deref(),
        _ => None,
    }
}

fn group_node(group: &Group) -> Value {
    let mut attributes = json!({
        "name": group.name,
        "created": rfc3339(group.created_at),
        "updated": rfc3339(group.updated_at),
    });
    if group.is_segment {
        attributes["definition"] = Value::Null;
        attributes["is_active"] = json!(true);
        attributes["is_processing"] = json!(false);
        attributes["is_starred"] = json!(false);
    } else {
        attributes["opt_in_process"] = json!("single_opt_in");
    }
    let kind = if group.is_segment { "segment" } else { "list" };
    json!({ "type": kind, "id": group.id, "attributes": attributes })
}

pub(super) fn profile_row(
    profile: &Profile,
    joined: Option<Millis>,
    fields: Option<&[String]>,
) -> Value {
    let mut all = json!({
        "email": profile.email,
        "phone_number": profile.phone_number,
        "external_id": profile.external_id,
        "first_name": profile.first_name,
        "last_name": profile.last_name,
        "organization": null, "locale": null, "title": null, "image": null,
        "created": rfc3339(profile.created_at),
        "updated": rfc3339(profile.updated_at),
        "last_event_date": null,
        "location": {},
        "properties": profile.properties,
    });
    if let Some(joined) = joined {
        all["joined_group_at"] = json!(rfc3339(joined));
    }
    let mut attributes = Map::new();
    if let Value::Object(all) = all {
        for (key, value) in all {
            if fields.is_none_or(|f| f.contains(&key)) {
                attributes.insert(key, value);
            }
        }
    }
    json!({ "type": "profile", "id": profile.id, "attributes": attributes })
}
