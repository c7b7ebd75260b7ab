//! The one outbound HTTP client: time limits, bounded bodies, and the question that decides
//! between "try again" and "unknown": can the request have reached the other side?

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// After this an answer is lost.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of an answer we are willing to read.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Cheap to clone; connections are pooled and shared.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: reqwest::Client,
    /// Where requests go instead of the network.
    instead: Option<Arc<dyn Transport>>,
}

/// Another way for requests than the network: the simulation's.
pub trait Transport: std::fmt::Debug + Send + Sync {
    /// Time limits are the transport's to keep.
    fn send(&self, request: reqwest::Request) -> BoxFuture<'static, Result<Answer, Failure>>;
}

/// A complete answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// No complete answer came.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request certainly did not take effect: no connection was made.
    #[error("could not connect: {0}")]
    NotSent(String),
    /// The request may have taken effect; only the answer is missing.
    #[error("the answer was lost: {0}")]
    AnswerLost(String),
}

impl HttpClient {
    /// # Errors
    /// When the TLS back end cannot be set up.
    pub fn new() -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(512)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true)
            .user_agent(concat!("Pagecast/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            client,
            instead: None,
        })
    }

    /// The same client, whose requests never touch the network.
    pub fn through(&self, transport: Arc<dyn Transport>) -> Self {
        Self {
            client: self.client.clone(),
            instead: Some(transport),
        }
    }

    pub fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.client.get(url)
    }

    pub fn post(&self, url: &str) -> reqwest::RequestBuilder {
        self.client.post(url)
    }

    pub fn delete(&self, url: &str) -> reqwest::RequestBuilder {
        self.client.delete(url)
    }

    pub fn patch(&self, url: &str) -> reqwest::RequestBuilder {
        self.client.patch(url)
    }

    /// Sends the request and reads the whole answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, Failure> {
        if let Some(transport) = &self.instead {
            let request = request.build().map_err(|error| failure(&error))?;
            return transport.send(request).await;
        }
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| failure(&e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::AnswerLost("the answer is too large".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// A header as text, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `Retry-After` in milliseconds, if given in seconds.
    pub fn retry_after_ms(&self) -> Option<i64> {
        let seconds: i64 = self.header("retry-after")?.trim().parse().ok()?;
        Some(seconds.clamp(0, 86_400) * 1_000)
    }
}

/// Only a failure to connect proves that nothing was sent; the address stays out of the text
/// because it may carry a token.
fn failure(error: &reqwest::Error) -> Failure {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if error.is_connect() || error.is_builder() {
        Failure::NotSent(text)
    } else if error.is_timeout() {
        Failure::AnswerLost("timed out".into())
    } else {
        Failure::AnswerLost(text)
    }
}
