//! The Graph API's manners: version in the path, parameters from query, form or JSON, tokens and
//! their proofs, the shape of a refusal, the usage headers.

use axum::body::Body;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::faults::Throttle;

/// Versions that answer; others are refused as Graph refuses them.
const VERSIONS: [&str; 4] = ["v23.0", "v24.0", "v25.0", "v26.0"];

/// One call, taken apart.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// The path below the version.
    pub(super) path: Vec<String>,
    /// Query, form and JSON body together, without token and proof.
    pub(super) params: Map<String, Value>,
    pub(super) token: Option<String>,
    pub(super) proof: Option<String>,
}

/// An answer in Graph's error shape.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: i64,
    pub(super) subcode: Option<i64>,
    pub(super) message: String,
    pub(super) data: Option<Value>,
}

impl Refusal {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            code,
            subcode: None,
            message: message.into(),
            data: None,
        }
    }

    pub(super) fn sub(mut self, subcode: i64) -> Self {
        self.subcode = Some(subcode);
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// `(#100) Invalid parameter`, with what is wrong.
    pub(super) fn parameter(what: impl std::fmt::Display) -> Self {
        Self::new(100, format!("(#100) Invalid parameter: {what}"))
    }

    pub(super) fn unknown_path(path: &[String]) -> Self {
        Self::new(
            2500,
            format!("Unknown path components: /{}", path.join("/")),
        )
        .status(404)
    }

    pub(super) fn body(&self, trace: &str) -> Value {
        let mut error = json!({
            "message": self.message,
            "type": "OAuthException",
            "code": self.code,
            "fbtrace_id": trace,
        });
        if let Some(subcode) = self.subcode {
            error["error_subcode"] = json!(subcode);
        }
        if let Some(data) = &self.data {
            error["error_data"] = data.clone();
        }
        if self.status >= 500 {
            error["is_transient"] = json!(true);
        }
        json!({ "error": error })
    }
}

pub(super) type Answer = Result<Value, Refusal>;

impl Call {
    pub(super) fn read(
        method: Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Self, Refusal> {
        let mut path: Vec<String> = uri
            .path()
            .split('/')
            .filter(|s| !s.is_empty())
            .map(str::to_owned)
            .collect();
        if path.first().is_none_or(|v| !VERSIONS.contains(&v.as_str())) {
            return Err(Refusal::unknown_path(&path));
        }
        path.remove(0);

        let mut params = Map::new();
        take_pairs(&mut params, uri.query().unwrap_or_default().as_bytes());
        let kind = header(headers, "content-type").unwrap_or_default();
        if kind.starts_with("application/json") {
            if !body.is_empty() {
                let Ok(Value::Object(object)) = serde_json::from_slice(body) else {
                    return Err(Refusal::parameter("the body is not a JSON object"));
                };
                params.extend(object);
            }
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            take_pairs(&mut params, body);
        } else if !body.is_empty() {
            return Err(Refusal::parameter("the body is neither JSON nor a form"));
        }

        let bearer = header(headers, "authorization")
            .and_then(|h| {
                h.strip_prefix("Bearer ")
                    .or_else(|| h.strip_prefix("OAuth "))
            })
            .map(str::to_owned);
        let given = params
            .remove("access_token")
            .and_then(|v| v.as_str().map(str::to_owned));
        let proof = params
            .remove("appsecret_proof")
            .and_then(|v| v.as_str().map(str::to_owned));
        Ok(Self {
            method,
            path,
            params,
            token: bearer.or(given),
            proof,
        })
    }

    /// Refuses parameters that the edge does not have; reads also take `fields`.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Refusal> {
        let extra = if self.method == Method::GET {
            &["fields"][..]
        } else {
            &[][..]
        };
        for key in self.params.keys() {
            if !known.contains(&key.as_str()) && !extra.contains(&key.as_str()) {
                return Err(Refusal::parameter(format_args!(
                    "unexpected parameter \"{key}\""
                )));
            }
        }
        Ok(())
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        match self.params.get(key)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }

    pub(super) fn required_text(&self, key: &str) -> Result<String, Refusal> {
        match self.text(key) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(Refusal::new(
                100,
                format!("(#100) The parameter {key} is required"),
            )),
        }
    }

    /// An object parameter, given as JSON or, in a form, as text that holds JSON.
    pub(super) fn value(&self, key: &str) -> Option<Value> {
        let value = self.params.get(key)?;
        match value {
            Value::String(text) => serde_json::from_str(text)
                .ok()
                .or_else(|| Some(value.clone())),
            other => Some(other.clone()),
        }
    }

    pub(super) fn object(&self, key: &str) -> Result<Map<String, Value>, Refusal> {
        match self.value(key) {
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(Refusal::parameter(format_args!(
                "param {key} must be an object"
            ))),
            None => Err(Refusal::new(
                100,
                format!("(#100) The parameter {key} is required"),
            )),
        }
    }

    /// A list, given as JSON or separated by commas.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        match self.value(key) {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(Value::String(list)) => list
                .split(',')
                .map(|s| s.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect(),
            Some(other) => vec![text(&other)],
            None => Vec::new(),
        }
    }

    /// The fields a read asks for, refused when the node has no such field.
    pub(super) fn fields(&self, known: &[&str], default: &[&str]) -> Result<Vec<String>, Refusal> {
        let asked = self.list("fields");
        if asked.is_empty() {
            return Ok(default.iter().map(|&f| f.to_owned()).collect());
        }
        for field in &asked {
            let name = field.split(['{', '.', '(']).next().unwrap_or_default();
            if !known.contains(&name) {
                return Err(Refusal::new(
                    100,
                    format!("(#100) Tried accessing nonexisting field ({name})"),
                ));
            }
        }
        Ok(asked)
    }
}

fn take_pairs(params: &mut Map<String, Value>, encoded: &[u8]) {
    for (key, value) in url::form_urlencoded::parse(encoded) {
        params.insert(key.into_owned(), Value::String(value.into_owned()));
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Percentages for the usage headers, and whose they are.
#[derive(Clone, Debug, Default)]
pub(super) struct UsageShown {
    pub(super) percent: u32,
    pub(super) business_use_case: Option<(String, &'static str)>,
}

pub(super) fn respond(status: u16, body: &Value, usage: &UsageShown) -> Response {
    let share = json!({"call_count": usage.percent, "total_cputime": usage.percent / 2, "total_time": usage.percent / 2});
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .header("content-type", "application/json; charset=UTF-8")
        .header("facebook-api-version", VERSIONS[VERSIONS.len() - 1])
        .header("x-app-usage", share.to_string());
    if let Some((id, kind)) = &usage.business_use_case {
        let mut of_case = share.clone();
        of_case["type"] = json!(kind);
        of_case["estimated_time_to_regain_access"] = json!(0);
        response = response.header("x-page-usage", share.to_string()).header(
            "x-business-use-case-usage",
            json!({ id.as_str(): [of_case] }).to_string(),
        );
    }
    response
        .body(Body::from(body.to_string()))
        .unwrap_or_default()
}

/// "Too many calls", with the hints it was given.
pub(super) fn throttled(
    throttle: Throttle,
    trace: &str,
    use_case: Option<(String, &'static str)>,
) -> Response {
    let usage = UsageShown {
        percent: 100,
        business_use_case: None,
    };
    let mut response = match throttle.code {
        Some(code) => {
            let text = format!("(#{code}) Calls to this api have exceeded the rate limit.");
            respond(400, &Refusal::new(code, text).body(trace), &usage)
        }
        None => respond(429, &json!("Too many requests"), &usage),
    };
    let mut add = |name: &'static str, value: String| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    if let Some(seconds) = throttle.retry_after {
        add("retry-after", seconds.to_string());
    }
    if let (Some(minutes), Some((id, kind))) = (throttle.regain_minutes, use_case) {
        let of_case = json!({ "type": kind, "call_count": 100, "total_cputime": 40,
            "total_time": 40, "estimated_time_to_regain_access": minutes });
        add(
            "x-business-use-case-usage",
            json!({ id: [of_case] }).to_string(),
        );
    }
    response
}
