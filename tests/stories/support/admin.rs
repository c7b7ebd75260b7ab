//! A stage for the embedded admin: `https://admin.shopify.com` with the app in its iframe, and a
//! stub of App Bridge where the CDN has the real one. The browser is told to look for both here,
//! so the policy of our pages is held for the real names.

use std::process::Command;
use std::sync::Arc;

use pagecast::sandbox::Shopify;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) struct Admin {
    port: u16,
    _server: JoinSet<()>,
}

impl Admin {
    /// The admin of the shop that `shopify` looks at, with the app at `app_url` in it; `None`
    /// where there is no openssl to make a certificate.
    pub(crate) async fn open(shopify: Shopify, app_url: &str) -> Option<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(certificate()?));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app_url = app_url.to_owned();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut visits = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shopify, app) = (acceptor.clone(), shopify.clone(), app_url.clone());
                visits.spawn(async move {
                    // A browser opens connections it may not use.
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut heard = vec![0; 16 * 1024];
                    let Ok(length) = stream.read(&mut heard).await else {
                        return;
                    };
                    let heard = String::from_utf8_lossy(&heard[..length]).into_owned();
                    let answer = answer(&shopify, &app, &heard);
                    stream.write_all(answer.as_bytes()).await.ok();
                    stream.shutdown().await.ok();
                });
            }
        });
        Some(Self {
            port,
            _server: server,
        })
    }

    /// What makes a browser find the admin and the CDN here.
    pub(crate) fn flags(&self) -> Vec<String> {
        let here = format!("127.0.0.1:{}", self.port);
        vec![
            format!(
                "--host-resolver-rules=MAP admin.shopify.com {here},MAP cdn.shopify.com {here}"
            ),
            "--ignore-certificate-errors".to_owned(),
            "--incognito".to_owned(),
        ]
    }
}

fn answer(shopify: &Shopify, app_url: &str, heard: &str) -> String {
    let path = heard.split(' ').nth(1).unwrap_or_default();
    let (kind, body) = if path.starts_with("/shopifycloud/app-bridge.js") {
        ("text/javascript", include_str!("admin.js").to_owned())
    } else if path.starts_with("/session-token") {
        ("text/plain", shopify.session_token(42).unwrap())
    } else {
        let query = shopify.embedded_query(42).unwrap().replace('&', "&amp;");
        let page = format!(
            "<!doctype html><title>Shopify</title><style>html,body,iframe{{margin:0;border:0;\
             display:block;width:100%;height:100%}}html,body{{height:880px}}</style>\
             <iframe id=app src=\"{app_url}/?{query}\"></iframe>"
        );
        ("text/html", page)
    };
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
         Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Made for this run, and worth nothing after it.
fn certificate() -> Option<ServerConfig> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=admin.shopify.com", "-keyout"])
        .arg(file("key.pem"))
        .arg("-out")
        .arg(file("cert.pem"))
        .output()
        .ok()?;
    assert!(made.status.success(), "openssl makes no certificate");
    let certificate = CertificateDer::from_pem_file(file("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    Some(config.unwrap())
}
