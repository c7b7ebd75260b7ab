//! Days in a time zone, and which of them a moment falls into. SQL groups by quarters of an hour,
//! because every zone's midnight lies on one, and days with a clock change have 23 or 25 hours.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::clock::Millis;
use crate::tallies::BUCKET;

/// More days than anyone looks at in one picture.
const MOST: usize = 800;

pub(super) struct Days {
    zone: TimeZone,
    /// Each day's date and the moment it begins, oldest first; never empty.
    starts: Vec<(Date, Millis)>,
}

impl Days {
    /// The days that `from..to` touches. An unknown zone counts as UTC.
    pub(super) fn of(zone: &str, from: Millis, to: Millis) -> Self {
        let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
        let mut days = Self {
            zone,
            starts: Vec::new(),
        };
        let mut date = days.date(from);
        loop {
            let start = days.start(date);
            if !days.starts.is_empty() && (start >= to || days.starts.len() >= MOST) {
                return days;
            }
            days.starts.push((date, start));
            let Ok(next) = date.checked_add(1.day()) else {
                return days;
            };
            date = next;
        }
    }

    /// The moment the first day begins, at or before the span's start.
    pub(super) fn first(&self) -> Millis {
        self.starts.first().map_or(0, |(_, start)| *start)
    }

    pub(super) fn dates(&self) -> impl Iterator<Item = String> {
        self.starts.iter().map(|(date, _)| date.to_string())
    }

    /// The position of the day that holds this bucket, counted from [`Days::first`].
    pub(super) fn of_bucket(&self, bucket: i64) -> usize {
        let at = self.first() + bucket * BUCKET;
        self.starts
            .partition_point(|(_, start)| *start <= at)
            .saturating_sub(1)
    }

    fn date(&self, at: Millis) -> Date {
        Timestamp::from_millisecond(at)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned_datetime(self.zone.clone())
            .date()
    }

    fn start(&self, date: Date) -> Millis {
        date.to_zoned_datetime(self.zone.clone())
            .map(|midnight| midnight.timestamp().as_millisecond())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{HOUR, parse_rfc3339};

    fn at(text: &str) -> Millis {
        parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_day_with_a_clock_change_has_25_hours_of_its_own() {
        let from = at("2026-10-31T04:00:00Z");
        let days = Days::of("America/New_York", from, at("2026-11-03T05:00:00Z"));
        let dates: Vec<String> = days.dates().collect();
        assert_eq!(dates, ["2026-10-31", "2026-11-01", "2026-11-02"]);
        assert_eq!(days.first(), from);
        let day_of = |time: &str| dates[days.of_bucket((at(time) - from) / BUCKET)].as_str();
        assert_eq!(day_of("2026-11-01T03:59:59Z"), "2026-10-31");
        assert_eq!(day_of("2026-11-02T04:59:59Z"), "2026-11-01");
        assert_eq!(day_of("2026-11-02T05:00:00Z"), "2026-11-02");
    }

    #[test]
    fn a_span_that_starts_in_the_afternoon_begins_with_that_day() {
        let from = at("2026-11-24T15:20:00Z");
        let days = Days::of("Asia/Kathmandu", from, from + 24 * HOUR);
        let dates: Vec<String> = days.dates().collect();
        assert_eq!(dates, ["2026-11-24", "2026-11-25"]);
        assert_eq!(days.first(), at("2026-11-23T18:15:00Z"));
    }

    #[test]
    fn an_empty_span_is_its_day() {
        let from = at("2026-11-24T00:00:00Z");
        assert_eq!(Days::of("Nowhere/Atall", from, from).dates().count(), 1);
    }
}
