//! How figures, money and times are written for people: in the workspace's zone, one way.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::clock::{DAY, HOUR, MINUTE, Millis, SECOND};
use crate::shopify::money;

/// Anything templates hand over as a whole number; askama borrows, so references count too.
pub trait Whole {
    fn whole(&self) -> i64;
}

impl Whole for i64 {
    fn whole(&self) -> i64 {
        *self
    }
}

impl Whole for i32 {
    fn whole(&self) -> i64 {
        i64::from(*self)
    }
}

impl Whole for usize {
    fn whole(&self) -> i64 {
        i64::try_from(*self).unwrap_or(i64::MAX)
    }
}

impl<T: Whole + ?Sized> Whole for &T {
    fn whole(&self) -> i64 {
        (**self).whole()
    }
}

/// Writes for one workspace at one moment.
#[derive(Clone, Debug)]
pub struct Format {
    zone: TimeZone,
    zone_name: String,
    now: Millis,
}

impl Format {
    /// `timezone` is an IANA name; one that is not known reads as UTC.
    pub fn new(timezone: &str, now: Millis) -> Self {
        let (zone, zone_name) = match TimeZone::get(timezone) {
            Ok(zone) => (zone, timezone.to_owned()),
            Err(_) => (TimeZone::UTC, "UTC".to_owned()),
        };
        Self {
            zone,
            zone_name,
            now,
        }
    }

    pub fn now(&self) -> Millis {
        self.now
    }

    pub fn timezone(&self) -> &TimeZone {
        &self.zone
    }

    /// `Los Angeles time`, to be named once a page.
    pub fn zone(&self) -> String {
        zone_words(&self.zone_name)
    }

    /// `1,297`.
    pub fn number(&self, n: impl Whole) -> String {
        number(n.whole())
    }

    /// `$1,234.50`, from minor units.
    pub fn money(&self, minor: impl Whole, currency: impl AsRef<str>) -> String {
        money(minor.whole(), currency.as_ref())
    }

    /// `18.4%`; a share of nothing is a dash.
    pub fn percent(&self, part: impl Whole, of: impl Whole) -> String {
        percent(part.whole(), of.whole())
    }

    /// `Fri, Nov 27, 6:00 AM`; the year is said when it is not this one.
    pub fn time(&self, at: impl Whole) -> String {
        let same = self.year(at.whole()) == self.year(self.now);
        self.write(
            at.whole(),
            if same {
                "%a, %b %-d, %-I:%M %p"
            } else {
                "%a, %b %-d, %Y, %-I:%M %p"
            },
        )
    }

    /// As [`Self::time`], or empty.
    pub fn time_or_empty(&self, at: &Option<Millis>) -> String {
        at.map(|at| self.time(at)).unwrap_or_default()
    }

    /// `3 minutes ago` within the hour, else [`Self::time`].
    pub fn ago(&self, at: impl Whole) -> String {
        let past = self.now - at.whole();
        match past {
            0..SECOND => "just now".to_owned(),
            SECOND..MINUTE => plural(past / SECOND, "second", "ago"),
            MINUTE..HOUR => plural(past / MINUTE, "minute", "ago"),
            _ => self.time(at.whole()),
        }
    }

    /// `6:00 AM`.
    pub fn clock(&self, at: impl Whole) -> String {
        self.write(at.whole(), "%-I:%M %p")
    }

    /// `6:00:02 AM`, where seconds matter.
    pub fn clock_seconds(&self, at: impl Whole) -> String {
        self.write(at.whole(), "%-I:%M:%S %p")
    }

    /// `6:00:02 AM` on the day of `day`, with the date on any other day.
    pub fn clock_on(&self, at: impl Whole, day: impl Whole) -> String {
        if self.write(at.whole(), "%F") == self.write(day.whole(), "%F") {
            self.clock_seconds(at.whole())
        } else {
            self.write(at.whole(), "%b %-d, %-I:%M %p")
        }
    }

    /// `Nov 27`, with the year when it is not this one.
    pub fn day(&self, at: impl Whole) -> String {
        let same = self.year(at.whole()) == self.year(self.now);
        self.write(at.whole(), if same { "%b %-d" } else { "%b %-d, %Y" })
    }

    /// `Nov 27` from `2026-11-27`.
    pub fn date(&self, iso: impl AsRef<str>) -> String {
        let iso = iso.as_ref();
        let Ok(date) = iso.parse::<Date>() else {
            return iso.to_owned();
        };
        let same = i64::from(date.year()) == self.year(self.now);
        date.strftime(if same { "%b %-d" } else { "%b %-d, %Y" })
            .to_string()
    }

    /// The value of `<input type="date">` for this moment.
    pub fn date_input(&self, at: impl Whole) -> String {
        self.write(at.whole(), "%Y-%m-%d")
    }

    /// The value of `<input type="time">` for this moment.
    pub fn time_input(&self, at: impl Whole) -> String {
        self.write(at.whole(), "%H:%M")
    }

    /// The `datetime` of a `<time>` element.
    pub fn machine(&self, at: impl Whole) -> String {
        crate::clock::rfc3339(at.whole())
    }

    /// `1 min 8 s`.
    pub fn duration(&self, ms: impl Whole) -> String {
        duration(ms.whole())
    }

    fn year(&self, at: Millis) -> i64 {
        Timestamp::from_millisecond(at).map_or(0, |t| {
            i64::from(t.to_zoned_datetime(self.zone.clone()).year())
        })
    }

    fn write(&self, at: Millis, pattern: &str) -> String {
        Timestamp::from_millisecond(at)
            .map(|t| {
                t.to_zoned_datetime(self.zone.clone())
                    .strftime(pattern)
                    .to_string()
            })
            .unwrap_or_default()
    }
}

/// `Los Angeles time` from `America/Los_Angeles`.
pub fn zone_words(name: &str) -> String {
    match name.rsplit_once('/') {
        Some((_, city)) => format!("{} time", city.replace('_', " ")),
        None => name.to_owned(),
    }
}

pub fn number(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if n < 0 {
        text.push('−');
    }
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub fn money(minor: i64, currency: &str) -> String {
    let amount = money::decimal(minor, currency);
    let plain = amount.trim_start_matches('-');
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), number);
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if minor < 0 { "−" } else { "" };
    match symbol(currency) {
        Some(symbol) => format!("{sign}{symbol}{whole}{point}{fraction}"),
        None => format!("{sign}{whole}{point}{fraction} {currency}"),
    }
}

/// `$7.5k`, `$250`: for an axis, from minor units.
pub fn short_money(minor: i64, currency: &str) -> String {
    let text = money::decimal(minor, currency);
    let whole: i64 = text
        .split('.')
        .next()
        .and_then(|whole| whole.parse().ok())
        .unwrap_or_default();
    let tenths = |unit: i64| {
        let n = whole * 10 / unit;
        match n % 10 {
            0 => number(n / 10),
            rest => format!("{}.{rest}", number(n / 10)),
        }
    };
    let short = match whole {
        0..1_000 => text.strip_suffix(".00").unwrap_or(&text).to_owned(),
        1_000..1_000_000 => format!("{}k", tenths(1_000)),
        _ => format!("{}M", tenths(1_000_000)),
    };
    format!("{}{short}", symbol(currency).unwrap_or_default())
}

/// Signs that cannot be mistaken for another currency's.
fn symbol(currency: &str) -> Option<&'static str> {
    Some(match currency {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        "JPY" => "¥",
        "CAD" => "CA$",
        "AUD" => "A$",
        "NZD" => "NZ$",
        "MXN" => "MX$",
        "BRL" => "R$",
        "INR" => "₹",
        "KRW" => "₩",
        "ILS" => "₪",
        "PHP" => "₱",
        "VND" => "₫",
        _ => return None,
    })
}

pub fn percent(part: i64, of: i64) -> String {
    if of == 0 {
        return "–".to_owned();
    }
    let tenths = (i128::from(part) * 1000 * 2 + i128::from(of)).div_euclid(i128::from(of) * 2);
    match (tenths, part) {
        (0, 1..) => "<0.1%".to_owned(),
        (1000, _) => "100%".to_owned(),
        _ => format!("{}.{}%", tenths / 10, tenths.rem_euclid(10)),
    }
}

pub fn duration(ms: i64) -> String {
    let ms = ms.max(0);
    match ms {
        0..SECOND => "less than a second".to_owned(),
        SECOND..MINUTE => format!("{} s", ms / SECOND),
        MINUTE..HOUR => two(ms / MINUTE, "min", ms % MINUTE / SECOND, "s"),
        HOUR..DAY => two(ms / HOUR, "h", ms % HOUR / MINUTE, "min"),
        _ => two(ms / DAY, "d", ms % DAY / HOUR, "h"),
    }
}

fn two(large: i64, unit: &str, small: i64, smaller: &str) -> String {
    if small == 0 {
        format!("{large} {unit}")
    } else {
        format!("{large} {unit} {small} {smaller}")
    }
}

fn plural(n: i64, unit: &str, after: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {unit}{s} {after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tue, Nov 24, 2026, 17:00 UTC: 9:00 AM in Los Angeles.
    const NOW: Millis = 1_795_539_600_000;

    fn pacific() -> Format {
        Format::new("America/Los_Angeles", NOW)
    }

    #[test]
    fn numbers_have_thousands() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1_297), "1,297");
        assert_eq!(number(-1_234_567), "−1,234,567");
    }

    #[test]
    fn money_has_its_sign_and_its_currency_s_digits() {
        assert_eq!(money(6_184_275, "USD"), "$61,842.75");
        assert_eq!(money(-112_740, "USD"), "−$1,127.40");
        assert_eq!(money(5, "EUR"), "€0.05");
        assert_eq!(money(1_200, "JPY"), "¥1,200");
        assert_eq!(money(123_456, "SEK"), "1,234.56 SEK");
    }

    #[test]
    fn an_axis_has_short_money() {
        assert_eq!(short_money(0, "USD"), "$0");
        assert_eq!(short_money(25_050, "USD"), "$250.50");
        assert_eq!(short_money(750_000, "USD"), "$7.5k");
        assert_eq!(short_money(200_000_000, "SEK"), "2M");
    }

    #[test]
    fn shares_are_rounded_to_a_tenth_and_never_hide_somebody() {
        assert_eq!(percent(41_236, 45_870), "89.9%");
        assert_eq!(percent(1, 10_000), "<0.1%");
        assert_eq!(percent(0, 10), "0.0%");
        assert_eq!(percent(10, 10), "100%");
        assert_eq!(percent(0, 0), "–");
    }

    #[test]
    fn times_are_told_in_the_workspace_s_zone() {
        let f = pacific();
        assert_eq!(f.time(NOW), "Tue, Nov 24, 9:00 AM");
        assert_eq!(f.time(NOW - 365 * DAY), "Mon, Nov 24, 2025, 9:00 AM");
        assert_eq!(f.day(NOW), "Nov 24");
        assert_eq!(f.date("2026-11-27"), "Nov 27");
        assert_eq!(f.zone(), "Los Angeles time");
        assert_eq!(f.date_input(NOW), "2026-11-24");
        assert_eq!(f.time_input(NOW), "09:00");
        assert_eq!(Format::new("Nowhere/At_All", NOW).zone(), "UTC");
    }

    #[test]
    fn only_the_last_hour_is_told_relatively() {
        let f = pacific();
        assert_eq!(f.ago(NOW), "just now");
        assert_eq!(f.ago(NOW - 3 * SECOND), "3 seconds ago");
        assert_eq!(f.ago(NOW - MINUTE), "1 minute ago");
        assert_eq!(f.ago(NOW - HOUR), "Tue, Nov 24, 8:00 AM");
        assert_eq!(f.ago(NOW + HOUR), "Tue, Nov 24, 10:00 AM");
    }

    #[test]
    fn durations_have_at_most_two_parts() {
        assert_eq!(duration(68 * SECOND), "1 min 8 s");
        assert_eq!(duration(2 * HOUR), "2 h");
        assert_eq!(duration(DAY + 3 * HOUR + MINUTE), "1 d 3 h");
    }
}
