//! Tells the merchant's own systems of trouble, by a webhook signed as the Standard Webhooks
//! specification says (`webhook-id`, `webhook-timestamp`, `webhook-signature`).

use std::net::IpAddr;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::{Host, Url};

use crate::app::App;
use crate::clock::{HOUR, MINUTE, Millis, SECOND, rfc3339};
use crate::store::Conn;
use crate::store::ids::{PageRowId, WorkspaceId};
use crate::store::sealed::hmac_sha256;

/// What waits how long after which failure; after the last it is given up.
const RETRIES: [Millis; 6] = [
    MINUTE,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    6 * HOUR,
    24 * HOUR,
];
/// Alerts that one sweep tells.
const BATCH: i64 = 50;
/// Nobody else tells it meanwhile.
const LEASE: Millis = 2 * MINUTE;

/// Where a workspace is told, and what signs it.
#[derive(Debug)]
pub struct AlertHook {
    pub url: String,
    /// `whsec_…`, for whoever verifies.
    pub secret: SecretString,
    /// Why the last alert was not taken.
    pub error: Option<String>,
}

/// An address that cannot be used, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAddress(pub &'static str);

/// What happened to a Page.
#[derive(Clone, Copy, Debug)]
pub(super) struct PageAlert<'a> {
    pub(super) page: PageRowId,
    /// `page.needs_attention` or `page.recovered`.
    pub(super) kind: &'static str,
    pub(super) trouble: Option<&'a str>,
    pub(super) words: &'a str,
}

pub async fn alert_hook(app: &App, ws: WorkspaceId) -> anyhow::Result<Option<AlertHook>> {
    let row: Option<(String, String, Option<String>)> = sqlx::query_as(
        "SELECT url, secret_sealed, (SELECT error FROM alerts a \
           WHERE a.workspace_id = h.workspace_id ORDER BY id DESC LIMIT 1) \
         FROM alert_hooks h WHERE workspace_id = $1",
    )
    .bind(ws)
    .fetch_optional(app.db.pool())
    .await?;
    row.map(|(url, secret, error)| {
        Ok(AlertHook {
            secret: app.keys.open(&secret_context(ws), &secret)?,
            url,
            error,
        })
    })
    .transpose()
}

/// Whether alerts may go there. On a laptop (where `PUBLIC_URL` is not https) anything may be.
pub fn alert_address(app: &App, text: &str) -> Result<Url, BadAddress> {
    let url = Url::parse(text.trim())
        .map_err(|_| BadAddress("Give an address that starts with https://"))?;
    if !app.config.public_url.starts_with("https://") {
        return Ok(url);
    }
    if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
        return Err(BadAddress("Give an address that starts with https://"));
    }
    let is_public = match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or_default();
            name.contains('.') && !matches!(last, "local" | "localhost" | "internal")
        }
        Some(Host::Ipv4(ip)) => is_public(ip.into()),
        Some(Host::Ipv6(ip)) => is_public(ip.into()),
        None => false,
    };
    if is_public {
        Ok(url)
    } else {
        Err(BadAddress(
            "This address is not reachable from the internet. Give a public one.",
        ))
    }
}

/// Not of a machine, a local network or a cloud's own services.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && (64..128).contains(&ip.octets()[1]);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || shared)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public(ip.into()),
            None => {
                !(ip.is_loopback()
                    || ip.is_unspecified()
                    || ip.is_multicast()
                    || ip.is_unique_local()
                    || ip.is_unicast_link_local())
            }
        },
    }
}

/// Sets where alerts go, with a new secret; nothing ends them.
pub async fn set_alert_hook(app: &App, ws: WorkspaceId, url: Option<&Url>) -> anyhow::Result<()> {
    let Some(url) = url else {
        sqlx::query("DELETE FROM alert_hooks WHERE workspace_id = $1")
            .bind(ws)
            .execute(app.db.writer())
            .await?;
        return Ok(());
    };
    let bytes: [u8; 24] = rand::random();
    let secret = format!("whsec_{}", STANDARD.encode(bytes));
    sqlx::query(
        "INSERT INTO alert_hooks (workspace_id, url, secret_sealed, created_at) \
         VALUES ($1, $2, $3, $4) \
         ON CONFLICT (workspace_id) DO UPDATE SET url = excluded.url",
    )
    .bind(ws)
    .bind(url.as_str())
    .bind(app.keys.seal(&secret_context(ws), &secret)?)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// A first alert, to see whether it arrives.
pub async fn try_alert_hook(app: &App, ws: WorkspaceId) -> anyhow::Result<()> {
    let mut tx = app.db.begin().await?;
    let body = json!({ "message": "This is a test. Nothing is wrong." });
    push(app, &mut tx, ws, "test", body).await?;
    tx.commit().await?;
    tell_alerts(app).await
}

/// Notes that the workspace is to be told, where it wants to be.
pub(super) async fn alert(app: &App, conn: &mut Conn, about: PageAlert<'_>) -> anyhow::Result<()> {
    let page: Option<(WorkspaceId, String)> =
        sqlx::query_as("SELECT workspace_id, name FROM pages WHERE id = $1")
            .bind(about.page)
            .fetch_optional(&mut *conn)
            .await?;
    let Some((ws, name)) = page else {
        return Ok(());
    };
    let body = json!({
        "page": { "id": about.page.to_string(), "name": name },
        "trouble": about.trouble,
        "message": about.words,
    });
    push(app, conn, ws, about.kind, body).await
}

async fn push(
    app: &App,
    conn: &mut Conn,
    ws: WorkspaceId,
    kind: &str,
    mut data: Value,
) -> anyhow::Result<()> {
    let now = app.clock.now();
    data["workspace_id"] = json!(ws.to_string());
    let body = json!({ "type": kind, "timestamp": rfc3339(now), "data": data });
    sqlx::query(
        "INSERT INTO alerts (id, workspace_id, body, due_at, created_at) \
         SELECT $1, workspace_id, $3, $4, $4 FROM alert_hooks WHERE workspace_id = $2",
    )
    .bind(app.ids.next::<i64>())
    .bind(ws)
    .bind(body.to_string())
    .bind(now)
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Due {
    id: i64,
    workspace_id: WorkspaceId,
    body: String,
    attempts: i64,
}

/// Tells what is due; what is not taken is told again later.
pub async fn tell_alerts(app: &App) -> anyhow::Result<()> {
    let now = app.clock.now();
    let due: Vec<Due> = sqlx::query_as(
        "UPDATE alerts SET due_at = $1, attempts = attempts + 1 \
         WHERE id IN (SELECT id FROM alerts WHERE due_at <= $2 AND ended_at IS NULL \
                      ORDER BY due_at LIMIT $3) AND due_at <= $2 \
         RETURNING id, workspace_id, body, attempts",
    )
    .bind(now + LEASE)
    .bind(now)
    .bind(BATCH)
    .fetch_all(app.db.writer())
    .await?;
    for alert in due {
        let outcome = tell(app, &alert).await;
        let next = usize::try_from(alert.attempts - 1)
            .ok()
            .and_then(|n| RETRIES.get(n));
        let (error, due_at, ended_at) = match (&outcome, next) {
            (Ok(()), _) => (None, now, Some(now)),
            (Err(why), Some(wait)) => (Some(format!("{why:#}")), now + wait, None),
            (Err(why), None) => (Some(format!("{why:#}")), now, Some(now)),
        };
        sqlx::query("UPDATE alerts SET error = $2, due_at = $3, ended_at = $4 WHERE id = $1")
            .bind(alert.id)
            .bind(error)
            .bind(due_at)
            .bind(ended_at)
            .execute(app.db.writer())
            .await?;
    }
    Ok(())
}

async fn tell(app: &App, alert: &Due) -> anyhow::Result<()> {
    let hook = alert_hook(app, alert.workspace_id).await?;
    // Switched off meanwhile: nobody wants to hear it.
    let Some(hook) = hook else {
        return Ok(());
    };
    let url = alert_address(app, &hook.url)?;
    refuse_private(app, &url).await?;
    let id = format!("alert_{}", alert.id);
    let seconds = app.clock.now() / SECOND;
    let signature = sign(&hook.secret, &id, seconds, &alert.body)?;
    let request = app
        .http
        .post(url.as_str())
        .header("content-type", "application/json")
        .header("webhook-id", id)
        .header("webhook-timestamp", seconds.to_string())
        .header("webhook-signature", signature)
        .body(alert.body.clone());
    let answer = app.http.send(request).await.context("not reached")?;
    anyhow::ensure!(answer.is_success(), "answered {}", answer.status);
    Ok(())
}

/// A name may lead into our own network though it looks public.
async fn refuse_private(app: &App, url: &Url) -> anyhow::Result<()> {
    if !app.config.public_url.starts_with("https://") {
        return Ok(());
    }
    let host = url.host_str().context("the address has no host")?;
    let port = url.port_or_known_default().unwrap_or(443);
    let mut found = tokio::net::lookup_host((host, port))
        .await
        .context("the host is not known")?;
    anyhow::ensure!(
        found.all(|address| is_public(address.ip())),
        "the address leads into a private network"
    );
    Ok(())
}

/// `v1,<base64 HMAC-SHA256 of id.timestamp.body>` under the secret's own bytes.
fn sign(secret: &SecretString, id: &str, seconds: i64, body: &str) -> anyhow::Result<String> {
    let key = secret.expose_secret().trim_start_matches("whsec_");
    let key = STANDARD.decode(key).context("read the alerts' secret")?;
    let mac = hmac_sha256(&key, format!("{id}.{seconds}.{body}").as_bytes());
    Ok(format!("v1,{}", STANDARD.encode(mac)))
}

fn secret_context(ws: WorkspaceId) -> String {
    format!("alert_hooks.secret:{ws}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_specification() {
        // The example of standardwebhooks.com.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signature.unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn addresses_inside_a_network_are_not_public() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        assert!(is_public("8.8.8.8".parse().unwrap()));
        assert!(is_public("2606:4700::1111".parse().unwrap()));
    }
}
