//! What handlers answer with: a page, a redirect after a POST, and the toast that says what was done.

use std::fmt::Write as _;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::form_urlencoded::{byte_serialize, parse};

use super::error::Error;

pub type Answer = Result<Response, Error>;

/// Carries a toast over a redirect to the page that shows it.
pub const TOAST_COOKIE: &str = "pagecast_toast";

pub fn page(template: &impl Template) -> Answer {
    page_with(StatusCode::OK, template)
}

/// A page with another status, as 422 for a form that has to be mended.
pub fn page_with(status: StatusCode, template: &impl Template) -> Answer {
    Ok((status, Html(template.render()?)).into_response())
}

/// Where a POST leads on.
pub fn see_other(path: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(path) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// [`see_other`], and the page there says what was done.
pub fn see_other_saying(path: &str, toast: &str) -> Response {
    let mut response = see_other(path);
    let value: String = byte_serialize(toast.as_bytes()).collect();
    let cookie = format!("{TOAST_COOKIE}={value}; Path=/app; Max-Age=60; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Reads what [`see_other_saying`] wrote.
pub fn toast_text(cookie: &str) -> Option<String> {
    parse(format!("t={cookie}").as_bytes())
        .next()
        .map(|(_, text)| text.into_owned())
        .filter(|text| !text.is_empty())
}

/// Makes htmx show a toast beside what it swaps in.
pub fn saying(mut response: Response, toast: &str, is_bad: bool) -> Response {
    let event = serde_json::json!({"toast": {"value": toast, "bad": is_bad}}).to_string();
    let mut ascii = String::with_capacity(event.len());
    for c in event.chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(ascii, "\\u{unit:04x}");
        }
    }
    if let Ok(value) = HeaderValue::from_str(&ascii) {
        response.headers_mut().insert("hx-trigger", value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toast_survives_its_cookie() {
        let words = "Saved “Früh & spät”; 100% + more";
        let response = see_other_saying("/app", words);
        let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
        let value = cookie
            .strip_prefix("pagecast_toast=")
            .and_then(|rest| rest.split(';').next())
            .unwrap();
        assert_eq!(toast_text(value).as_deref(), Some(words));
    }

    #[test]
    fn a_toast_fits_a_header_in_any_language() {
        let response = saying(StatusCode::OK.into_response(), "佐藤 🎉", false);
        let header = response.headers()["hx-trigger"].to_str().unwrap();
        let back: serde_json::Value = serde_json::from_str(header).unwrap();
        assert_eq!(back["toast"]["value"], "佐藤 🎉");
    }
}
