//! The pace of a Page, shared by all workers: a slot is a moment at which one call may go out, and
//! slots are taken from one row, many at a time.

use std::sync::{Mutex, PoisonError};

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
/// Nobody claims while slots are taken this far ahead already: a claimed message can neither be
/// paused nor overtaken.
const AHEAD: Millis = 300;
/// The slots of one batch span no more than this.
const SPAN: Millis = 250;
/// Slots taken further ahead than this were taken by a clock that has been set back since.
const TOO_FAR: Millis = 2 * MINUTE;
/// From this share of a limit on we go slower.
const CAREFUL: u32 = 80;
/// A Page counts as shared for so long after another worker took slots of it.
const SHARED_FOR: Millis = 10 * SECOND;

/// When the calls of a batch may go out: at `first_us`, then every `interval_us` (microseconds).
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots {
    first_us: i64,
    interval_us: i64,
    shared: bool,
}

impl Slots {
    /// The moment of the call that has `before` weight ahead of it in the batch, in microseconds.
    pub(super) fn at_us(&self, before: i64) -> i64 {
        self.first_us + before * self.interval_us
    }

    /// Whether the slot at `at_us` is gone: what this worker holds back, another may be using by
    /// now. A worker alone on its Page cannot overtake itself (see [`Gate`]), so it may be later.
    pub(super) fn is_missed(&self, at_us: i64, now: Millis) -> bool {
        let patience = if self.shared { 25 } else { 250 };
        now * 1_000 - at_us > patience * 1_000
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
    let (next_slot_us, hold_until, slow_until, slow) = row.unwrap_or_default();
    if hold_until > now {
        return Ok(Err(hold_until));
    }
    let next = next_slot_us / 1_000;
    if next > now + AHEAD && next < now + TOO_FAR {
        return Ok(Err(next - AHEAD / 2));
    }
    let per_second = if slow_until > now {
        slow.clamp(1, PER_SECOND)
    } else {
        PER_SECOND
    };
    Ok(Ok(Room {
        interval_us: 1_000_000 / per_second,
    }))
}

/// Keeps the calls of this process to one Page apart, when they are late and want to catch up.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<i64>);

impl Gate {
    /// The moment for a call whose slot is `at_us` and whose weight is `weight`.
    pub(super) fn pass(&self, at_us: i64, weight: i64, slots: &Slots) -> Millis {
        let mut next = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Further ahead than any slot is, it is of a clock that was set back since.
        let is_stale = *next > at_us + TOO_FAR * 1_000;
        let at = if is_stale { at_us } else { at_us.max(*next) };
        *next = at + weight * slots.interval_us;
        at / 1_000
    }
}

/// Takes slots for calls of together `weight`; `Err(until)` while the Page rests.
pub(super) async fn take(
    conn: &mut Conn,
    page: PageRowId,
    weight: i64,
    worker: i64,
    now: Millis,
) -> sqlx::Result<Result<Slots, Millis>> {
    loop {
        let taken: Option<(i64, i64, i64, i64)> = sqlx::query_as(
            "UPDATE paces SET next_slot_us = CASE WHEN hold_until > $2 THEN next_slot_us ELSE
                 CASE WHEN next_slot_us BETWEEN $2 * 1000 AND $7 THEN next_slot_us
                      ELSE $2 * 1000 END
                 + $3 * (1000000 / CASE WHEN slow_until <= $2 OR per_second > $4 THEN $4
                                        WHEN per_second < 1 THEN 1 ELSE per_second END) END,
                 shared_until = CASE WHEN taken_by = $5 THEN shared_until ELSE $6 END,
                 taken_by = $5
             WHERE page_id = $1
             RETURNING hold_until, next_slot_us,
                 1000000 / CASE WHEN slow_until <= $2 OR per_second > $4 THEN $4
                                WHEN per_second < 1 THEN 1 ELSE per_second END,
                 shared_until",
        )
        .bind(page)
        .bind(now)
        .bind(weight)
        .bind(PER_SECOND)
        .bind(worker)
        .bind(now + SHARED_FOR)
        .bind((now + TOO_FAR) * 1_000)
        .fetch_optional(&mut *conn)
        .await?;
        match taken {
            Some((hold_until, ..)) if hold_until > now => return Ok(Err(hold_until)),
            Some((_, after, interval_us, shared_until)) => {
                return Ok(Ok(Slots {
                    first_us: after - weight * interval_us,
                    interval_us,
                    shared: shared_until > now,
                }));
            }
            // The first call ever from this Page.
            None => {
                sqlx::query(
                    "INSERT INTO paces (page_id, taken_by) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                )
                .bind(page)
                .bind(worker)
                .execute(&mut *conn)
                .await?;
            }
        }
    }
}

/// Lets the whole Page rest until `until`.
pub(super) async fn hold(app: &App, page: PageRowId, until: Millis) -> sqlx::Result<()> {
    sqlx::query("UPDATE paces SET hold_until = $2 WHERE page_id = $1 AND hold_until < $2")
        .bind(page)
        .bind(until)
        .execute(app.db.writer())
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
        .execute(app.db.writer())
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(shared: bool) -> Slots {
        Slots {
            first_us: 1_000_000,
            interval_us: 3_448,
            shared,
        }
    }

    #[test]
    fn a_late_worker_does_not_catch_up_in_a_burst() {
        let (gate, slots) = (Gate::default(), slots(false));
        // 100 calls whose slots have all passed go out at the pace all the same.
        let at: Vec<Millis> = (0..100)
            .map(|call| gate.pass(slots.at_us(call).max(5_000_000), 1, &slots))
            .collect();
        assert_eq!(at[0], 5_000);
        assert_eq!(at[99], 5_000 + 99 * 3_448 / 1_000);
    }

    #[test]
    fn a_batch_spans_a_quarter_of_a_second_whatever_the_pace() {
        let room = |per_second: i64| Room {
            interval_us: 1_000_000 / per_second,
        };
        assert_eq!(room(290).calls(1), 72);
        assert_eq!(room(290).calls(MEDIA_WEIGHT), 2);
        assert_eq!((room(14).calls(1), room(1).calls(1)), (3, 1));
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nothing_up() {
        let (gate, slots) = (Gate::default(), slots(false));
        gate.pass(3_600_000_000_000, 1, &slots);
        assert_eq!(gate.pass(1_000_000, 1, &slots), 1_000);
    }

    #[test]
    fn a_slot_is_missed_sooner_where_others_send_too() {
        let at = slots(true).at_us(0);
        assert!(!slots(true).is_missed(at, 1_025));
        assert!(slots(true).is_missed(at, 1_026));
        assert!(!slots(false).is_missed(at, 1_250));
        assert!(slots(false).is_missed(at, 1_251));
    }
}
