//! Videos are handed to Meta before the messages that show them. Meta fetches one for more than a
//! minute, longer than a message may be on its way, so no message is claimed before its video is
//! there: once for each video and Page, ahead of a launch where there is one.

use super::content::{Body, Content, MediaKind, Message};
use super::policy::Channel;
use super::retry;
use super::warm_up::{self, Halt};
use crate::app::App;
use crate::clock::{DAY, MINUTE, Millis};
use crate::meta::{self, Class};
use crate::store::Conn;
use crate::store::ids::PageRowId;
use crate::store::sealed::sha256_hex;
use crate::workspaces::{self, Page};

/// Meta keeps an upload for 90 days.
const FRESH: Millis = 80 * DAY;
/// Nobody else begins the same upload meanwhile. Longer than the call may take.
const LEASE: Millis = 2 * MINUTE;

/// The address of what has to be uploaded before this is said on this channel, if anything: no
/// template takes an address, but those of Facebook itself.
pub(super) fn wanted(content: &Content, channel: Channel) -> Option<&str> {
    match &content.body {
        Body::Message(message) => needed(message, channel == Channel::MarketingMessage),
        Body::OptInCard { .. } => None,
    }
}

fn needed(message: &Message, is_paid: bool) -> Option<&str> {
    let Message::Media {
        media: MediaKind::Video,
        url,
        buttons,
    } = message
    else {
        return None;
    };
    let at_facebook = url::Url::parse(url).is_ok_and(|url| {
        url.host_str()
            .is_some_and(|host| host == "facebook.com" || host.ends_with(".facebook.com"))
    });
    (!at_facebook && (is_paid || !buttons.is_empty())).then_some(url.as_str())
}

/// Whether the video of a campaign's message, if it has one, is there for this Page; else it is
/// being brought there, and what stands in its way is a problem of the campaign.
pub async fn is_ready(
    app: &App,
    owner: i64,
    message: &Message,
    channel: Option<Channel>,
    page: &Page,
) -> anyhow::Result<bool> {
    let is_paid = warm_up::needs_warm_up(channel) && page.ad_account.is_some();
    let Some(url) = needed(message, is_paid) else {
        return Ok(true);
    };
    let mut conn = app.db.acquire().await?;
    let known = stored(&mut conn, page.id, url, app.clock.now()).await?;
    let vehicle = warm_up::vehicle(&mut conn, owner, page.id).await?;
    drop(conn);
    // What failed for good is not begun again until somebody says go on.
    let stands = vehicle.is_some_and(|vehicle| vehicle.problem.is_some());
    if known.is_none() && !stands {
        begin(app, Some(owner), page, url);
    }
    Ok(known.is_some())
}

/// The attachment of this video on this Page.
pub(super) async fn stored(
    conn: &mut Conn,
    page: PageRowId,
    url: &str,
    now: Millis,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar(
        "SELECT attachment_id FROM uploads
         WHERE page_id = $1 AND url_hash = $2 AND uploaded_at > $3",
    )
    .bind(page)
    .bind(sha256_hex(url.as_bytes()))
    .bind(now - FRESH)
    .fetch_optional(conn)
    .await
}

/// Uploads it behind, unless somebody is at it or it is to be tried again later. What fails for
/// good stops the owner.
pub(super) fn begin(app: &App, owner: Option<i64>, page: &Page, url: &str) {
    let (task, page, url) = (app.clone(), page.clone(), url.to_owned());
    app.spawn(async move {
        let done = task
            .stop
            .run_until_cancelled(upload(&task, owner, &page, &url))
            .await;
        if let Some(Err(error)) = done {
            tracing::error!(page.id = %page.id, error = format!("{error:#}"), "video not uploaded");
        }
    });
}

async fn upload(app: &App, owner: Option<i64>, page: &Page, url: &str) -> anyhow::Result<()> {
    let hash = sha256_hex(url.as_bytes());
    let Some(attempts) = claim(app, page.id, &hash).await? else {
        return Ok(());
    };
    let Some(token) = &page.token else {
        return Ok(());
    };
    let error = match app.meta.upload(&page.meta_id, token, true, url).await {
        Ok(id) => return keep(app, page.id, &hash, &id).await,
        Err(error) => error,
    };
    tracing::warn!(page.id = %page.id, %error, "Meta did not take a video");
    match wait(&error, attempts + 1) {
        Some((wait, counts)) => {
            if let meta::Error::Api(api) = &error
                && api.class == Class::ReconnectPage
            {
                workspaces::page_needs_reconnect(app, page.id, api.meaning()).await?;
            }
            let attempts = attempts + i64::from(counts);
            try_again(app, page.id, &hash, app.clock.now() + wait, attempts).await?;
        }
        None => {
            // Its tries begin anew when somebody has looked and says go on.
            try_again(app, page.id, &hash, 0, 0).await?;
            if let Some(owner) = owner {
                let words = words(&error);
                warm_up::halt(app, page.workspace, owner, page.id, Halt::Failed, &words).await?;
            }
        }
    }
    Ok(())
}

/// The right to upload it, and how often that failed; `None` when somebody else has it, it is to
/// wait, or it is there.
async fn claim(app: &App, page: PageRowId, hash: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query(
        "INSERT INTO uploads (page_id, url_hash, attachment_id, uploaded_at)
         VALUES ($1, $2, '', 0) ON CONFLICT DO NOTHING",
    )
    .bind(page)
    .bind(hash)
    .execute(app.db.writer())
    .await?;
    let now = app.clock.now();
    sqlx::query_scalar(
        "UPDATE uploads SET trying_until = $3
         WHERE page_id = $1 AND url_hash = $2 AND trying_until <= $4 AND uploaded_at <= $5
         RETURNING attempts",
    )
    .bind(page)
    .bind(hash)
    .bind(now + LEASE)
    .bind(now)
    .bind(now - FRESH)
    .fetch_optional(app.db.writer())
    .await
}

async fn keep(app: &App, page: PageRowId, hash: &str, attachment: &str) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE uploads SET attachment_id = $3, uploaded_at = $4, trying_until = 0, attempts = 0
         WHERE page_id = $1 AND url_hash = $2",
    )
    .bind(page)
    .bind(hash)
    .bind(attachment)
    .bind(app.clock.now())
    .execute(app.db.writer())
    .await?;
    Ok(())
}

async fn try_again(
    app: &App,
    page: PageRowId,
    hash: &str,
    at: Millis,
    attempts: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE uploads SET trying_until = $3, attempts = $4
         WHERE page_id = $1 AND url_hash = $2",
    )
    .bind(page)
    .bind(hash)
    .bind(at)
    .bind(attempts)
    .execute(app.db.writer())
    .await?;
    Ok(())
}

/// How long until the next try, and whether the one that failed counts; `None` when it has failed
/// for good. An outage or a Page in trouble is not the video's fault.
fn wait(error: &meta::Error, attempts: i64) -> Option<(Millis, bool)> {
    // Everybody's upload is its own, so there is no herd to spread.
    let middle = 0.5;
    match error {
        meta::Error::NotSent(_) => Some((retry::unreached(1, middle).max(MINUTE), false)),
        meta::Error::AnswerLost(_) => retry::later(attempts, None, middle).map(|at| (at, true)),
        meta::Error::Api(api) => match api.class {
            Class::RetryLater => {
                retry::later(attempts, api.retry_after, middle).map(|at| (at, true))
            }
            Class::BackOff => Some((api.retry_after.unwrap_or(retry::BACK_OFF), false)),
            Class::ReconnectPage => Some((MINUTE, false)),
            _ => None,
        },
    }
}

fn words(error: &meta::Error) -> String {
    let why = match error {
        meta::Error::Api(api) => api.meaning(),
        meta::Error::NotSent(_) | meta::Error::AnswerLost(_) => "Facebook did not answer in time",
    };
    format!(
        "its video could not be handed to Facebook ({why}). Its address must be open to everyone, \
         and lead to an MP4 of at most 25 MB"
    )
}

#[cfg(test)]
mod tests {
    use super::super::content::Button;
    use super::*;

    fn video(url: &str, buttons: usize) -> Message {
        let button = Button::Url {
            title: "Shop".into(),
            url: "https://shop.example".into(),
        };
        Message::Media {
            media: MediaKind::Video,
            url: url.into(),
            buttons: vec![button; buttons],
        }
    }

    #[test]
    fn only_what_no_template_takes_is_uploaded() {
        let ours = "https://shop.example/film.mp4";
        assert_eq!(needed(&video(ours, 0), false), None);
        assert_eq!(needed(&video(ours, 1), false), Some(ours));
        assert_eq!(needed(&video(ours, 0), true), Some(ours));
        let theirs = "https://www.facebook.com/watch/1";
        assert_eq!(needed(&video(theirs, 1), true), None);
        let pretender = "https://notfacebook.com/watch/1";
        assert_eq!(needed(&video(pretender, 1), true), Some(pretender));
    }

    #[test]
    fn an_upload_is_tried_so_often_and_an_outage_costs_no_try() {
        let slow = meta::Error::AnswerLost("timed out".into());
        assert!(wait(&slow, 5).is_some());
        assert_eq!(wait(&slow, 6), None);
        let away = meta::Error::NotSent("refused".into());
        assert_eq!(wait(&away, 60), Some((MINUTE, false)));
    }
}
