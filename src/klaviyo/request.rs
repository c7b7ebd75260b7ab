//! The one way to Klaviyo's API: revision, authorisation, and what the answer asks of us.

use reqwest::RequestBuilder;
use secrecy::ExposeSecret;
use serde_json::Value;
use url::Url;

use super::read::text;
use super::{Auth, Client, Error, REVISION};
use crate::clock::{Millis, SECOND};
use crate::http_client::Answer;

const MEDIA_TYPE: &str = "application/vnd.api+json";
/// After an answer that names no time.
const PAUSE: Millis = 5 * SECOND;

impl Client {
    /// `{api_url}/{segments}`; ids from outside cannot leave their segment.
    pub(super) fn address(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url = self.base()?;
        url.path_segments_mut()
            .map_err(|()| misconfigured())?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// The address of a next page. Only its path and query are taken: an answer cannot send our
    /// token to another host.
    pub(super) fn next_address(&self, link: &str) -> Result<Url, Error> {
        let mut url = self.base()?;
        let next = url.join(link).map_err(|_| Error::Refused {
            status: 200,
            detail: "the link to the next page is not an address".into(),
        })?;
        url.set_path(next.path());
        url.set_query(next.query());
        Ok(url)
    }

    pub(super) async fn get(&self, auth: &Auth, url: &Url) -> Result<Value, Error> {
        self.request(auth, self.http.get(url.as_str()), None).await
    }

    pub(super) async fn post(
        &self,
        auth: &Auth,
        segments: &[&str],
        body: &Value,
    ) -> Result<Value, Error> {
        let request = self.http.post(self.address(segments)?.as_str());
        self.request(auth, request, Some(body)).await
    }

    pub(super) async fn request(
        &self,
        auth: &Auth,
        request: RequestBuilder,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let authorization = match auth {
            Auth::Bearer(token) => format!("Bearer {}", token.expose_secret()),
            Auth::PrivateKey(key) => format!("Klaviyo-API-Key {}", key.expose_secret()),
        };
        let mut request = request
            .header("authorization", authorization)
            .header("revision", REVISION)
            .header("accept", MEDIA_TYPE)
            .header("content-type", MEDIA_TYPE);
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = self.http.send(request).await;
        let answer = answer.map_err(|why| Error::Retry {
            after: PAUSE,
            why: why.to_string(),
        })?;
        read(&answer)
    }

    fn base(&self) -> Result<Url, Error> {
        Url::parse(&self.settings.api_url).map_err(|_| misconfigured())
    }
}

fn misconfigured() -> Error {
    Error::Refused {
        status: 0,
        detail: "KLAVIYO_API_URL is not an address".into(),
    }
}

/// The body of a success (null when it is empty, as after 202 and 204), or the error.
fn read(answer: &Answer) -> Result<Value, Error> {
    if !answer.is_success() {
        return Err(refusal(answer));
    }
    if answer.body.is_empty() || answer.status == 202 {
        return Ok(Value::Null);
    }
    answer.json().map_err(|_| Error::Retry {
        after: PAUSE,
        why: "an unreadable answer".into(),
    })
}

pub(super) fn refusal(answer: &Answer) -> Error {
    let status = answer.status;
    match status {
        429 | 503 => Error::Retry {
            after: answer.retry_after_ms().unwrap_or(PAUSE).max(SECOND),
            why: format!("HTTP {status}"),
        },
        408 | 500.. => Error::Retry {
            after: PAUSE,
            why: format!("HTTP {status}"),
        },
        401 => Error::Reconnect("connect Klaviyo again".into()),
        404 => Error::NotFound(detail(answer)),
        _ => Error::Refused {
            status,
            detail: detail(answer),
        },
    }
}

/// Klaviyo's words, with the place it points to.
fn detail(answer: &Answer) -> String {
    let body: Value = answer.json().unwrap_or_default();
    let error = body.pointer("/errors/0").unwrap_or(&body);
    let said = ["detail", "title", "error_description", "error", "code"];
    let said = said.iter().find_map(|key| text(error, key));
    let source = error.get("source");
    let at =
        source.and_then(|source| text(source, "pointer").or_else(|| text(source, "parameter")));
    match (said, at) {
        (Some(said), Some(at)) => format!("{said} ({at})"),
        (Some(said), None) => said,
        (None, _) => "no reason given".into(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;
    use crate::http_client::HttpClient;
    use crate::klaviyo::Settings;

    fn answered(status: u16, body: &Value, wait: Option<&'static str>) -> Error {
        let mut headers = HeaderMap::new();
        if let Some(wait) = wait {
            headers.insert("retry-after", wait.parse().unwrap());
        }
        read(&Answer {
            status,
            headers,
            body: body.to_string().into_bytes(),
        })
        .unwrap_err()
    }

    #[test]
    fn each_answer_has_its_consequence() {
        let throttled = answered(429, &json!({"errors": [{"code": "throttled"}]}), Some("17"));
        assert!(matches!(throttled, Error::Retry { after: 17_000, .. }));
        assert!(matches!(
            answered(524, &json!({}), None),
            Error::Retry { .. }
        ));
        assert!(matches!(
            answered(401, &json!({}), None),
            Error::Reconnect(_)
        ));
        assert!(matches!(
            answered(404, &json!({}), None),
            Error::NotFound(_)
        ));
        assert!(matches!(
            answered(410, &json!({}), None),
            Error::Refused { status: 410, .. }
        ));
    }

    #[test]
    fn a_refusal_repeats_klaviyos_words_and_the_place() {
        let body = json!({"errors": [{"detail": "bad page size", "title": "Invalid input.",
            "source": {"parameter": "page[size]"}}]});
        let error = answered(400, &body, None);
        assert_eq!(
            error.to_string(),
            "Klaviyo refused (400): bad page size (page[size])"
        );
    }

    #[test]
    fn the_next_page_is_asked_of_our_own_host_whatever_the_link_says() {
        let settings = Settings {
            api_url: "http://127.0.0.1:9".into(),
            client_id: None,
            client_secret: None,
        };
        let client = Client::new(HttpClient::new().unwrap(), settings);
        let link = "https://evil.example/api/segments?page%5Bcursor%5D=abc";
        let next = client.next_address(link).unwrap();
        assert_eq!(
            next.as_str(),
            "http://127.0.0.1:9/api/segments?page%5Bcursor%5D=abc"
        );
        let inside = client
            .address(&["api", "segments", "../../oauth", "profiles"])
            .unwrap();
        assert_eq!(inside.path(), "/api/segments/..%2F..%2Foauth/profiles");
    }
}
