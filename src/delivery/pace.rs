//! The pace of a Page, shared by all workers: a slot is a moment at which one call may go out, and
//! slots are taken from one row, many at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::clock::{MINUTE, Millis, SECOND};
use crate::meta::Usage;
use crate::store::Conn;
use crate::store::ids::PageRowId;

/// Calls a second we allow ourselves of Meta's 300 (facts/meta.md section 9): the rest is for the
/// jitter of the network, so that no second ever sees more.
const PER_SECOND: i64 = 290;
/// Audio and video have 10 a second. A little more than a tenth each, so that ten never stand
/// within less than a second.
pub(super) const MEDIA_WEIGHT: i64 = 30;
/// Meta's own limit: what one process lets out within a second, however late its calls are.
const LIMIT: usize = 300;
const A_SECOND: Duration = Duration::from_secs(1);
/// Nobody claims while slots are taken this far ahead already: a claimed message can neither be
/// paused nor overtaken.
const AHEAD: Millis = 300;
/// A call this late is still within what lies between our pace and Meta's limit.
pub(super) const GRACE: Millis = 30;
/// The slots of one batch span no more than this.
const SPAN: Millis = 250;
/// Slots taken further ahead than this were taken by a clock that has been set back since.
const TOO_FAR: Millis = 2 * MINUTE;
/// From this share of a limit on we go slower.
const CAREFUL: u32 = 80;

/// When the calls of a batch may go out: at `first_us`, then every `interval_us` (microseconds).
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    first_us: i64,
    interval_us: i64,
}

impl Slots {
    /// The moment of the call that has `before` weight ahead of it in the batch.
    pub(super) fn at(&self, before: i64) -> Millis {
        (self.first_us + before * self.interval_us) / 1_000
    }
}

/// What may be claimed at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    interval_us: i64,
}

impl Room {
    /// Calls of this weight.
    pub(super) fn calls(self, weight: i64) -> i64 {
        (SPAN * 1_000 / (self.interval_us * weight)).max(1)
    }
}

/// Whether there is room for another batch, or from when on.
pub(super) async fn room(app: &App, page: PageRowId) -> sqlx::Result<Result<Room, Millis>> {
    let now = app.clock.now();
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT next_slot_us, hold_until, slow_until, per_second FROM paces WHERE page_id = $1",
    )
    .bind(page)
    .fetch_optional(app.db.pool())
    .await?;
    let Some((next_slot_us, hold_until, slow_until, slow)) = row else {
        return Ok(Ok(Room {
            interval_us: interval_us(0, 0, now),
        }));
    };
    if hold_until > now {
        return Ok(Err(hold_until));
    }
    let next = next_slot_us / 1_000;
    if next > now + AHEAD && next < now + TOO_FAR {
        return Ok(Err(next - AHEAD / 2));
    }
    Ok(Ok(Room {
        interval_us: interval_us(slow_until, slow, now),
    }))
}

fn interval_us(slow_until: Millis, slow: i64, now: Millis) -> i64 {
    let per_second = if slow_until > now {
        slow.clamp(1, PER_SECOND)
    } else {
        PER_SECOND
    };
    1_000 * SECOND / per_second
}

/// Takes slots for calls of together `weight`; `Err(until)` while the Page rests.
pub(super) async fn take(
    conn: &mut Conn,
    page: PageRowId,
    weight: i64,
    now: Millis,
) -> sqlx::Result<Result<Slots, Millis>> {
    let (hold_until, slow_until, slow): (i64, i64, i64) = sqlx::query_as(
        "INSERT INTO paces (page_id) VALUES ($1)
         ON CONFLICT (page_id) DO UPDATE SET page_id = excluded.page_id
         RETURNING hold_until, slow_until, per_second",
    )
    .bind(page)
    .fetch_one(&mut *conn)
    .await?;
    if hold_until > now {
        return Ok(Err(hold_until));
    }
    let interval_us = interval_us(slow_until, slow, now);
    let (after,): (i64,) = sqlx::query_as(
        "UPDATE paces SET next_slot_us =
             CASE WHEN next_slot_us BETWEEN $2 AND $4 THEN next_slot_us ELSE $2 END + $3
         WHERE page_id = $1 RETURNING next_slot_us",
    )
    .bind(page)
    .bind(now * 1_000)
    .bind(weight * interval_us)
    .bind((now + TOO_FAR) * 1_000)
    .fetch_one(conn)
    .await?;
    Ok(Ok(Slots {
        first_us: after - weight * interval_us,
        interval_us,
    }))
}

/// Waits until a call of this weight is within Meta's limit. Slots see to that for calls that come
/// in time; a process that was held up would make up for it in one burst.
pub(super) async fn within_limit(app: &App, page: PageRowId, weight: i64) {
    while let Some(wait) = LATELY.too_many(page, usize::try_from(weight).unwrap_or(1)) {
        if app.clock.is_steerable() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

static LATELY: LazyLock<Lately> = LazyLock::new(Lately::default);

/// The calls of this process within the last second, by Page, each as often as it weighs.
#[derive(Default)]
struct Lately(Mutex<HashMap<PageRowId, VecDeque<Instant>>>);

impl Lately {
    /// Notes the call and says nothing; or says how long it has to wait.
    fn too_many(&self, page: PageRowId, weight: usize) -> Option<Duration> {
        let now = Instant::now();
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() > 1_000 {
            pages.retain(|_, calls| calls.back().is_some_and(|at| now - *at < A_SECOND));
        }
        let calls = pages.entry(page).or_default();
        while calls.front().is_some_and(|at| now - *at >= A_SECOND) {
            calls.pop_front();
        }
        if calls.len() + weight > LIMIT
            && let Some(first) = calls.front()
        {
            return Some(A_SECOND.saturating_sub(now - *first));
        }
        calls.extend(std::iter::repeat_n(now, weight));
        None
    }
}

/// Lets the whole Page rest until `until`.
pub(super) async fn hold(app: &App, page: PageRowId, until: Millis) -> sqlx::Result<()> {
    sqlx::query("UPDATE paces SET hold_until = $2 WHERE page_id = $1 AND hold_until < $2")
        .bind(page)
        .bind(until)
        .execute(app.db.pool())
        .await?;
    Ok(())
}

/// Obeys what Meta's usage headers say.
pub(super) async fn obey(app: &App, page: PageRowId, usage: Usage) -> sqlx::Result<()> {
    let now = app.clock.now();
    if usage.percent >= 100 {
        return hold(app, page, now + usage.regain_after.unwrap_or(MINUTE)).await;
    }
    if usage.percent < CAREFUL {
        return Ok(());
    }
    // From 80 % on the pace falls in a straight line to a twentieth at 99 %.
    let share = i64::from(100 - usage.percent);
    sqlx::query("UPDATE paces SET slow_until = $2, per_second = $3 WHERE page_id = $1")
        .bind(page)
        .bind(now + MINUTE)
        .bind((PER_SECOND * share / 20).max(1))
        .execute(app.db.pool())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_held_up_makes_up_for_nothing_beyond_the_limit() {
        let lately = Lately::default();
        let (one, other) = (PageRowId(1), PageRowId(2));
        assert!((0..300).all(|_| lately.too_many(one, 1).is_none()));
        let wait = lately.too_many(one, 1).expect("the 301st waits");
        assert!(wait <= A_SECOND);
        assert!((0..10).all(|_| lately.too_many(other, 30).is_none()));
        assert!(
            lately.too_many(other, 30).is_some(),
            "the eleventh video waits"
        );
    }

    #[test]
    fn a_batch_spans_a_quarter_of_a_second_whatever_the_pace() {
        let room = |per_second| Room {
            interval_us: 1_000 * SECOND / per_second,
        };
        assert_eq!(room(290).calls(1), 72);
        assert_eq!(room(290).calls(MEDIA_WEIGHT), 2);
        assert_eq!((room(14).calls(1), room(1).calls(1)), (3, 1));
    }
}
