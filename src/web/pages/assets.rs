//! Stylesheet, scripts, fonts: in the binary, under an address that changes with their content, so
//! that browsers may keep them for a year.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::web::Web;

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const PICTURE: &str = "image/svg+xml";
const FONT: &str = "font/woff2";
const TEXT: &str = "text/plain; charset=utf-8";

macro_rules! embedded {
    ($($name:literal: $kind:expr,)*) => {
        &[$(($name, $kind, include_bytes!(concat!("../assets/", $name)))),*]
    };
}

/// Name, content type, content.
static FILES: &[(&str, &str, &[u8])] = embedded! {
    "pagecast.css": STYLE,
    "icons.css": STYLE,
    "pagecast.js": SCRIPT,
    "htmx.min.js": SCRIPT,
    "inter-latin.woff2": FONT,
    "inter-latin-ext.woff2": FONT,
    "demo/cold-brew.svg": PICTURE,
    "demo/early-access.svg": PICTURE,
    "demo/winter-blend.svg": PICTURE,
    "VENDORED.txt": TEXT,
    "icons-LICENSE.txt": TEXT,
    "inter-LICENSE.txt": TEXT,
    "htmx-LICENSE.txt": TEXT,
};

/// One version for all, so that what a stylesheet names beside itself changes with it.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (name, _, content) in FILES {
        hash.update(name);
        hash.update(content);
    }
    hex::encode(&hash.finalize()[..6])
});

pub(super) fn router() -> Router<Web> {
    Router::new().route("/assets/{version}/{*name}", get(serve))
}

/// The address of an embedded file, as `/assets/3f9c…/pagecast.css`.
pub fn path(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// An address of an older version still answers with what there is, but is not kept.
async fn serve(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = format!("\"{}\"", *VERSION);
    let keep = if version == *VERSION {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = if headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes())
    {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        (*content).into_response()
    };
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    answer.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_kept_for_a_year_and_asked_for_by_its_version() {
        let parts = Path((VERSION.clone(), "pagecast.css".to_owned()));
        let first = serve(parts, HeaderMap::new()).await;
        assert_eq!(first.status(), StatusCode::OK);
        assert_eq!(first.headers()[header::CONTENT_TYPE], STYLE);
        let tag = first.headers()[header::ETAG].clone();

        let mut known = HeaderMap::new();
        known.insert(header::IF_NONE_MATCH, tag);
        let parts = Path((VERSION.clone(), "pagecast.css".to_owned()));
        assert_eq!(serve(parts, known).await.status(), StatusCode::NOT_MODIFIED);

        let parts = Path((VERSION.clone(), "../Cargo.toml".to_owned()));
        let none = serve(parts, HeaderMap::new()).await;
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn everything_the_stylesheets_name_is_embedded() {
        for (name, _, content) in FILES.iter().filter(|(_, kind, _)| *kind == STYLE) {
            let text = std::str::from_utf8(content).unwrap();
            for part in text.split("url(\"").skip(1) {
                let address = part.split('"').next().unwrap();
                let known = address.starts_with("data:")
                    || FILES.iter().any(|(file, _, _)| *file == address);
                assert!(known, "{name} names {address}");
            }
        }
    }
}
