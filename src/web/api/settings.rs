//! The workspace's settings.

use axum::Json;
use axum::extract::State;
use jiff::tz::TimeZone;
use secrecy::ExposeSecret;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::web::Web;
use crate::web::api::access::Caller;
use crate::web::api::problem::{FieldError, Problem};
use crate::web::api::request::Body;
use crate::workspaces::{self, Workspace};

/// Local times between which nobody is written to; may span midnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QuietHours {
    #[schema(example = "21:00")]
    start: String,
    #[schema(example = "09:00")]
    end: String,
}

/// For Klaviyo's flow webhook action.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(super) struct KlaviyoSettings {
    /// Where the flow webhook is sent to.
    flow_url: String,
    /// The value of its header `X-Pagecast-Key`.
    flow_key: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Settings {
    /// IANA name.
    #[schema(example = "America/Los_Angeles")]
    timezone: String,
    quiet_hours: Option<QuietHours>,
    /// At most one marketing message per person in this many hours.
    cap_hours: i64,
    /// Days after a click in which an order counts.
    attribution_window_days: i64,
    klaviyo: KlaviyoSettings,
}

/// What is absent stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsPatch {
    #[schema(nullable = false)]
    timezone: Option<String>,
    /// Null clears them.
    #[serde(default)]
    #[schema(value_type = Option<QuietHours>)]
    quiet_hours: Change<QuietHours>,
    /// 0 to 720; Meta's own minimum holds in any case.
    #[schema(nullable = false)]
    cap_hours: Option<i64>,
    /// 1 to 90.
    #[schema(nullable = false)]
    attribution_window_days: Option<i64>,
    /// Given by us.
    #[serde(default)]
    #[schema(read_only)]
    #[expect(dead_code, reason = "its schema is what refuses it")]
    klaviyo: Option<KlaviyoSettings>,
}

/// Tells `null` from absent.
#[derive(Debug, Default)]
enum Change<T> {
    #[default]
    Keep,
    Clear,
    Set(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Change<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(from)?.map_or(Self::Clear, Self::Set))
    }
}

/// Get the settings
#[utoipa::path(get, path = "/settings", tag = "Settings",
    responses((status = 200, description = "The settings.", body = Settings)))]
pub(super) async fn get_settings(
    State(web): State<Web>,
    caller: Caller,
) -> Result<Json<Settings>, Problem> {
    let workspace = own(&web, caller).await?;
    shown(&web, workspace).await
}

/// Change settings
///
/// What is absent stays as it is.
#[utoipa::path(patch, path = "/settings", tag = "Settings", request_body = SettingsPatch,
    responses((status = 200, description = "The settings.", body = Settings)))]
pub(super) async fn change_settings(
    State(web): State<Web>,
    caller: Caller,
    Body(patch): Body<SettingsPatch>,
) -> Result<Json<Settings>, Problem> {
    let before = own(&web, caller).await?;
    let mut workspace = before.clone();
    let wrong = apply(&mut workspace, patch);
    if !wrong.is_empty() {
        return Err(Problem::fields(wrong));
    }
    let workspace = workspaces::save(&web.app, &before, &workspace).await?;
    shown(&web, workspace).await
}

async fn own(web: &Web, caller: Caller) -> Result<Workspace, Problem> {
    let workspace = workspaces::find(&web.app, caller.0).await?;
    workspace.ok_or_else(|| Problem::not_found("There is no such workspace."))
}

async fn shown(web: &Web, workspace: Workspace) -> Result<Json<Settings>, Problem> {
    let key = workspaces::flow_key(&web.app, workspace.id).await?;
    let url = &web.app.config.public_url;
    Ok(Json(Settings {
        timezone: workspace.timezone,
        quiet_hours: workspace
            .quiet_hours
            .map(|(start, end)| QuietHours { start, end }),
        cap_hours: workspace.cap_hours,
        attribution_window_days: workspace.attribution_window_days,
        klaviyo: KlaviyoSettings {
            flow_url: format!("{url}/webhooks/klaviyo/{}/flow", workspace.id),
            flow_key: key.expose_secret().to_owned(),
        },
    }))
}

/// Takes over what fits and says what does not.
fn apply(workspace: &mut Workspace, patch: SettingsPatch) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut add = |place: &str, detail: &str| wrong.push(FieldError::new(place, detail));
    if let Some(zone) = patch.timezone {
        if TimeZone::get(&zone).is_err() {
            add("/timezone", "Name a time zone as America/Los_Angeles.");
        }
        workspace.timezone = zone;
    }
    match patch.quiet_hours {
        Change::Keep => {}
        Change::Clear => workspace.quiet_hours = None,
        Change::Set(quiet) => {
            for (place, text) in [
                ("/quiet_hours/start", &quiet.start),
                ("/quiet_hours/end", &quiet.end),
            ] {
                if !is_time_of_day(text) {
                    add(place, "Give a time as 21:00.");
                }
            }
            if quiet.start == quiet.end {
                add(
                    "/quiet_hours/end",
                    "Choose an end that is not the start; null turns quiet hours off.",
                );
            }
            workspace.quiet_hours = Some((quiet.start, quiet.end));
        }
    }
    if let Some(hours) = patch.cap_hours {
        if !(0..=720).contains(&hours) {
            add("/cap_hours", "Give 0 to 720 hours.");
        }
        workspace.cap_hours = hours;
    }
    if let Some(days) = patch.attribution_window_days {
        if !(1..=90).contains(&days) {
            add("/attribution_window_days", "Give 1 to 90 days.");
        }
        workspace.attribution_window_days = days;
    }
    wrong
}

/// `HH:MM`, from 00:00 to 23:59.
fn is_time_of_day(text: &str) -> bool {
    let number = |part: &str, below: u32| {
        part.len() == 2
            && part.bytes().all(|b| b.is_ascii_digit())
            && part.parse::<u32>().is_ok_and(|n| n < below)
    };
    text.split_once(':')
        .is_some_and(|(hours, minutes)| number(hours, 24) && number(minutes, 60))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::ids::WorkspaceId;

    fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId(1),
            name: "W".into(),
            timezone: "UTC".into(),
            quiet_hours: Some(("21:00".into(), "09:00".into())),
            cap_hours: 24,
            attribution_window_days: 7,
            is_removed: false,
        }
    }

    fn patched(body: serde_json::Value) -> Result<Workspace, Vec<String>> {
        let mut workspace = workspace();
        let wrong = apply(&mut workspace, serde_json::from_value(body).unwrap());
        if wrong.is_empty() {
            return Ok(workspace);
        }
        Err(wrong.into_iter().map(|error| error.pointer).collect())
    }

    #[test]
    fn null_clears_quiet_hours_and_absence_keeps_them() {
        let kept = patched(json!({"cap_hours": 48})).unwrap();
        assert_eq!(kept.quiet_hours, workspace().quiet_hours);
        assert_eq!(kept.cap_hours, 48);
        let cleared = patched(json!({"quiet_hours": null})).unwrap();
        assert_eq!(cleared.quiet_hours, None);
    }

    #[test]
    fn what_cannot_be_is_refused_field_by_field() {
        let wrong = patched(json!({"timezone": "Mars/Olympus", "cap_hours": 721,
            "attribution_window_days": 0, "quiet_hours": {"start": "9:00", "end": "24:00"}}));
        assert_eq!(
            wrong.unwrap_err(),
            [
                "/timezone",
                "/quiet_hours/start",
                "/quiet_hours/end",
                "/cap_hours",
                "/attribution_window_days"
            ]
        );
        let same = json!({"quiet_hours": {"start": "09:00", "end": "09:00"}});
        assert_eq!(patched(same).unwrap_err(), ["/quiet_hours/end"]);
    }
}
