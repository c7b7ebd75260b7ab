//! Klaviyo's manners: revision, authorisation, content type, limits by tier, errors, filters,
//! cursor pages.

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::Klaviyo;
use super::filters::{Filter, parse_filters};

/// Revisions that still answer.
const REVISIONS: [&str; 5] = [
    "2025-10-15",
    "2026-01-15",
    "2026-04-15",
    "2026-07-15",
    "2026-10-15",
];
const JSON_API: &str = "application/vnd.api+json";

/// A call that passed the doorkeeper.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Value,
    /// Index of the account.
    pub(super) account: usize,
    /// Authorised by a private key, not by OAuth.
    pub(super) by_key: bool,
}

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    detail: String,
    pointer: Option<String>,
    parameter: Option<String>,
    retry_after: Option<i64>,
}

/// Status and body; no body for 202 and 204.
pub(super) type Reply = Result<(u16, Option<Value>), Refusal>;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    second: i64,
    in_second: i64,
    minute: i64,
    in_minute: i64,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            detail: detail.into(),
            pointer: None,
            parameter: None,
            retry_after: None,
        }
    }

    /// 400, with a JSON pointer to the field.
    pub(super) fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            pointer: Some(pointer.into()),
            ..Self::new(400, "invalid", detail)
        }
    }

    /// 400, with the name of the query parameter.
    pub(super) fn query(parameter: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            parameter: Some(parameter.into()),
            ..Self::new(400, "invalid", detail)
        }
    }
}

impl Klaviyo {
    pub(super) fn answer(
        &self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response {
        if self.inner.down.load(Ordering::SeqCst) {
            return self.refuse(&Refusal::new(
                503,
                "service_unavailable",
                "Try again later.",
            ));
        }
        if let Some(answer) = self.oauth(&method, uri, headers, body) {
            return answer;
        }
        let ordered = self.state().refusals.pop_front();
        if let Some(status) = ordered {
            let code = if status == 429 {
                "throttled"
            } else {
                "refused_by_order"
            };
            let mut refusal = Refusal::new(status, code, "Refused by order.");
            refusal.retry_after = (status == 429).then_some(1);
            return self.refuse(&refusal);
        }
        let call = match self.admit(method, uri, headers, body) {
            Ok(call) => call,
            Err(refusal) => return self.refuse(&refusal),
        };
        let limits = match self.throttle(&call) {
            Ok(limits) => limits,
            Err(refusal) => return self.refuse(&refusal),
        };
        match self.route(&call) {
            Ok((status, body)) => {
                let mut response = Response::builder()
                    .status(StatusCode::from_u16(status).unwrap_or_default())
                    .header("content-type", JSON_API);
                if let Some((burst, steady, left, reset)) = limits {
                    let limit = format!("{burst}, {burst};w=1, {steady};w=60");
                    response = response
                        .header("ratelimit-limit", limit)
                        .header("ratelimit-remaining", left)
                        .header("ratelimit-reset", reset);
                }
                let text = body.map(|b| b.to_string()).unwrap_or_default();
                response.body(Body::from(text)).unwrap_or_default()
            }
            Err(refusal) => self.refuse(&refusal),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        let mut error = json!({
            "id": self.inner.world.chance.uuid(),
            "status": refusal.status,
            "code": refusal.code,
            "title": "The request was refused.",
            "detail": refusal.detail,
            "source": {},
            "meta": {},
        });
        if let Some(pointer) = &refusal.pointer {
            error["source"] = json!({ "pointer": pointer });
        } else if let Some(parameter) = &refusal.parameter {
            error["source"] = json!({ "parameter": parameter });
        }
        let mut response = Response::builder()
            .status(StatusCode::from_u16(refusal.status).unwrap_or_default())
            .header("content-type", JSON_API);
        if let Some(seconds) = refusal.retry_after {
            response = response.header("retry-after", seconds);
        }
        response
            .body(Body::from(json!({ "errors": [error] }).to_string()))
            .unwrap_or_default()
    }

    /// Revision, authorisation, content type.
    fn admit(
        &self,
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Call, Refusal> {
        let header = |name: &str| {
            headers
                .get(name)
                .and_then(|h| h.to_str().ok())
                .unwrap_or("")
        };
        let given = header("authorization");
        let now = self.now();
        let (account, by_key) = {
            let state = self.state();
            let by_key = given.strip_prefix("Klaviyo-API-Key ");
            let by_token = given.strip_prefix("Bearer ");
            let found = state
                .accounts
                .iter()
                .position(|a| match (by_key, by_token) {
                    (Some(key), _) => a.private_key == key,
                    (_, Some(token)) => a.access_tokens.get(token).is_some_and(|end| *end > now),
                    _ => false,
                });
            (found, by_key.is_some())
        };
        if given.is_empty() {
            let text = "Missing or invalid authorization header.";
            return Err(Refusal::new(401, "not_authenticated", text));
        }
        let Some(account) = account else {
            let text = "Incorrect authentication credentials.";
            return Err(Refusal::new(401, "authentication_failed", text));
        };
        let revision = header("revision");
        if revision.is_empty() {
            return Err(Refusal::new(
                400,
                "invalid",
                "The revision header is required.",
            ));
        }
        if !REVISIONS.contains(&revision) {
            return Err(Refusal::new(
                410,
                "gone",
                format!("Revision {revision} is not served."),
            ));
        }
        let accept = header("accept");
        if !(accept.is_empty() || accept.contains("*/*") || accept.contains("json")) {
            return Err(Refusal::new(
                406,
                "not_acceptable",
                "Accept application/vnd.api+json.",
            ));
        }
        let body = if matches!(method, Method::POST | Method::PATCH) {
            if !header("content-type").starts_with(JSON_API) {
                let text = "The content type must be application/vnd.api+json.";
                return Err(Refusal::new(415, "unsupported_media_type", text));
            }
            if body.len() > 5 * 1024 * 1024 {
                return Err(Refusal::new(413, "too_large", "5 MB at most."));
            }
            serde_json::from_slice(body)
                .map_err(|_| Refusal::new(400, "parse_error", "The body is not JSON."))?
        } else {
            Value::Null
        };
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .map(|(k, v)| (k.into_owned(), v.into_owned()))
            .collect();
        let path = uri
            .path()
            .split('/')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect();
        Ok(Call {
            method,
            path,
            query,
            body,
            account,
            by_key,
        })
    }

    /// Burst, steady, left of the steady window, seconds until it starts anew.
    fn throttle(&self, call: &Call) -> Result<Option<(i64, i64, i64, i64)>, Refusal> {
        if !self.inner.rate_limits.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let resource = call.path.get(1).map_or("", String::as_str);
        let below = call.path.get(3).map_or("", String::as_str);
        let counts = call
            .query
            .iter()
            .any(|(k, _)| k.starts_with("additional-fields[segment]"));
        let (burst, steady) = match (call.method.as_str(), resource) {
            ("GET", "accounts") | (_, "webhooks" | "webhook-topics") => (1, 15),
            ("GET", "segments") if counts => (1, 15),
            ("GET", "metrics" | "tracking-settings") | ("POST", "event-bulk-create-jobs") => {
                (10, 150)
            }
            (_, "events") => (350, 3500),
            _ => (75, 750),
        };
        let now = self.now();
        let mut state = self.state();
        let Some(account) = state.accounts.get_mut(call.account) else {
            return Ok(None);
        };
        let key = format!("{} {resource} {below} {counts}", call.method);
        let window = account.windows.entry(key).or_default();
        let (second, minute) = (now.div_euclid(1_000), now.div_euclid(60_000));
        if window.second != second {
            (window.second, window.in_second) = (second, 0);
        }
        if window.minute != minute {
            (window.minute, window.in_minute) = (minute, 0);
        }
        let reset = 60 - now.div_euclid(1_000).rem_euclid(60);
        if window.in_second >= burst || window.in_minute >= steady {
            let wait = if window.in_minute >= steady { reset } else { 1 };
            let text = format!("Request was throttled. Expected available in {wait} second.");
            let mut refusal = Refusal::new(429, "throttled", text);
            refusal.retry_after = Some(wait);
            return Err(refusal);
        }
        window.in_second += 1;
        window.in_minute += 1;
        Ok(Some((burst, steady, steady - window.in_minute, reset)))
    }
}

impl Call {
    /// Refuses query parameters that the operation does not have.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        match self
            .query
            .iter()
            .find(|(key, _)| !known.contains(&key.as_str()))
        {
            None => Ok(()),
            Some((key, _)) => Err(Refusal::query(
                key,
                format!("'{key}' is not a parameter here."),
            )),
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn page_size(&self, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(text) = self.parameter("page[size]") else {
            return Ok(default);
        };
        text.parse()
            .ok()
            .filter(|n| (1..=max).contains(n))
            .ok_or_else(|| {
                Refusal::query(
                    "page[size]",
                    format!("Page size must be an integer between 1 and {max}."),
                )
            })
    }

    /// Conditions of the `filter` parameter; a field or operator that is not allowed is refused.
    pub(super) fn filters(&self, allowed: &[(&str, &[&str])]) -> Result<Vec<Filter>, Refusal> {
        let Some(text) = self.parameter("filter") else {
            return Ok(Vec::new());
        };
        let filters = parse_filters(text)
            .ok_or_else(|| Refusal::query("filter", "The filter cannot be read."))?;
        for filter in &filters {
            let operators = allowed.iter().find(|(field, _)| *field == filter.field);
            if !operators.is_some_and(|(_, ops)| ops.contains(&filter.operator.as_str())) {
                let text = format!("'{}({})' is not allowed.", filter.operator, filter.field);
                return Err(Refusal::query("filter", text));
            }
        }
        Ok(filters)
    }

    /// One page and its links.
    pub(super) fn page(&self, url: &str, all: Vec<Value>, size: usize) -> Result<Value, Refusal> {
        let skip = match self.parameter("page[cursor]") {
            None => 0,
            Some(cursor) => hex::decode(cursor)
                .ok()
                .and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<usize>().ok())
                .ok_or_else(|| Refusal::query("page[cursor]", "The cursor is invalid."))?,
        };
        let total = all.len();
        let data: Vec<Value> = all.into_iter().skip(skip).take(size).collect();
        let link = |skip: usize| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (key, value) in self.query.iter().filter(|(key, _)| key != "page[cursor]") {
                query.append_pair(key, value);
            }
            query.append_pair("page[cursor]", &hex::encode(skip.to_string()));
            format!("{url}/{}?{}", self.path.join("/"), query.finish())
        };
        let next = (skip + size < total).then(|| link(skip + size));
        let prev = (skip > 0).then(|| link(skip.saturating_sub(size)));
        let own = link(skip);
        Ok(json!({ "data": data, "links": { "self": own, "next": next, "prev": prev } }))
    }
}

/// An object at `pointer` of the body, with no keys but the known ones.
pub(super) fn object<'a>(
    body: &'a Value,
    pointer: &str,
    known: &[&str],
) -> Result<&'a Map<String, Value>, Refusal> {
    let Some(object) = body.pointer(pointer).and_then(Value::as_object) else {
        return Err(Refusal::field(
            pointer,
            "This field is required and must be an object.",
        ));
    };
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(object),
        Some(key) => {
            let text = format!("'{key}' is not a valid field here.");
            Err(Refusal::field(format!("{pointer}/{key}"), text))
        }
    }
}

/// Checks `type` of the resource at `pointer`.
pub(super) fn of_type(body: &Value, pointer: &str, kind: &str) -> Result<(), Refusal> {
    let at = format!("{pointer}/type");
    match body.pointer(&at).and_then(Value::as_str) {
        Some(found) if found == kind => Ok(()),
        _ => Err(Refusal::field(at, format!("The type must be '{kind}'."))),
    }
}

/// A text of 1 to `max` characters.
pub(super) fn text(body: &Value, pointer: &str, max: usize) -> Result<String, Refusal> {
    match body.pointer(pointer).and_then(Value::as_str) {
        Some(text) if !text.is_empty() && text.chars().count() <= max => Ok(text.to_owned()),
        Some(_) => Err(Refusal::field(
            pointer,
            format!("1 to {max} characters, please."),
        )),
        None => Err(Refusal::field(pointer, "This field is required.")),
    }
}
