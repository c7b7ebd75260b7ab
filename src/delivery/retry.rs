//! When to try again: the schedules, as data.

use crate::clock::{HOUR, MINUTE, Millis, SECOND};

/// Waits after Meta said "later" without saying when: 15 minutes doubling to two hours
/// (facts/meta.md section 5). When they are used up, the message has failed.
pub(super) const LATER: [Millis; 5] = [15 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 2 * HOUR];
/// Waits while Meta cannot be reached. The last repeats: an outage is nobody's failure.
pub(super) const UNREACHED: [Millis; 6] = [
    5 * SECOND,
    15 * SECOND,
    MINUTE,
    3 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
];
/// Rest of a Page after "too many calls" that named no time.
pub(super) const BACK_OFF: Millis = MINUTE;
/// Longest wait that a hint of Meta's may ask for.
const LONGEST: Millis = 24 * HOUR;

/// The wait before attempt number `attempts + 1`, or `None` when there is none. `hint` is Meta's
/// own word; `chance` in 0..1 spreads the herd by ±20 %.
pub(super) fn later(attempts: i64, hint: Option<Millis>, chance: f64) -> Option<Millis> {
    let wait = *LATER.get(usize::try_from(attempts - 1).ok()?)?;
    Some(match hint {
        Some(asked) => asked.clamp(SECOND, LONGEST),
        None => spread(wait, chance),
    })
}

/// The wait after failing to reach Meta for the `attempts`th time in a row.
pub(super) fn unreached(attempts: i64, chance: f64) -> Millis {
    let last = UNREACHED.len() - 1;
    let index = usize::try_from(attempts - 1).unwrap_or(0).min(last);
    spread(UNREACHED[index], chance)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "hours in ms"
)]
fn spread(wait: Millis, chance: f64) -> Millis {
    (wait as f64 * (0.8 + 0.4 * chance.clamp(0.0, 1.0))) as Millis
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_tries_then_it_has_failed() {
        assert_eq!(later(1, None, 0.5), Some(15 * MINUTE));
        assert_eq!(later(5, None, 0.5), Some(2 * HOUR));
        assert_eq!(later(6, None, 0.5), None);
        assert_eq!(later(2, Some(600_000), 0.0), Some(600_000));
    }

    #[test]
    fn an_outage_is_waited_out_without_end() {
        assert_eq!(unreached(1, 0.5), 5 * SECOND);
        assert_eq!(unreached(500, 0.5), 15 * MINUTE);
        assert!(unreached(3, 0.0) < unreached(3, 1.0));
    }
}
