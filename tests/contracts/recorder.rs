//! A server on loopback that writes down every call and gives one and the same answer.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::IntoResponse;
use serde_json::Value;
use tokio::task::JoinSet;

/// One call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    /// Null when there was none or it was not JSON.
    pub(crate) body: Value,
    pub(crate) raw: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Recorder {
    pub(crate) url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    _server: JoinSet<()>,
}

impl Recorder {
    pub(crate) async fn start(status: u16, answer: &str) -> Self {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let answer = (StatusCode::from_u16(status).unwrap(), answer.to_owned());
        let heard = calls.clone();
        let app = Router::new().fallback(
            move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
                let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
                heard.lock().unwrap().push(Call {
                    method: method.to_string(),
                    path: uri.path().to_owned(),
                    query: query.into_owned().collect(),
                    headers,
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                    raw: String::from_utf8_lossy(&body).into_owned(),
                });
                answer.into_response()
            },
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            url,
            calls,
            _server: server,
        }
    }

    /// The calls since the last time somebody asked.
    pub(crate) fn heard(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}
