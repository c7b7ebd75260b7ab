//! Whether, when and how a person may be written to now. Pure: facts in, decision out.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::enqueue::MessageKind;
use super::region;
use crate::clock::{HOUR, MINUTE, Millis};

/// Meta's standard window after the person's last action.
pub const WINDOW: Millis = 24 * HOUR;
/// Meta's cool-down of the paid channel, per token.
pub const PAID_COOL_DOWN: Millis = 12 * HOUR;
/// Beyond a lateness limit: what the pace takes for those who are all told at the same moment.
const LATE_GRACE: Millis = 5 * MINUTE;
/// A window that closes while we speak is closed.
const WINDOW_MARGIN: Millis = MINUTE;

/// How Meta lets us speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    MarketingMessage,
    Standard,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MarketingMessage => "marketing_message",
            Self::Standard => "standard",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "marketing_message" => Some(Self::MarketingMessage),
            "standard" => Some(Self::Standard),
            _ => None,
        }
    }
}

/// Why a message is not sent at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The app was removed from the shop.
    Removed,
    NoConsent,
    OptedOut,
    Erased,
    Capped,
    QuietHours,
    Ordered,
    RegionNotAllowed,
    OutsideWindow,
    NoToken,
    ChannelUnavailable,
    NotReachable,
    Expired,
    TooLate,
    /// Its automation was turned off or deleted.
    Cancelled,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "app_removed",
            Self::NoConsent => "no_consent",
            Self::OptedOut => "opted_out",
            Self::Erased => "erased",
            Self::Capped => "capped",
            Self::QuietHours => "quiet_hours",
            Self::Ordered => "ordered",
            Self::RegionNotAllowed => "region_not_allowed",
            Self::OutsideWindow => "outside_window",
            Self::NoToken => "no_token",
            Self::ChannelUnavailable => "channel_unavailable",
            Self::NotReachable => "not_reachable",
            Self::Expired => "expired",
            Self::TooLate => "too_late",
            Self::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Send(Channel),
    /// Not now, but at this time it may be.
    Later(Millis),
    Never(Reason),
}

/// What is known about the person at this moment.
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about a person, each true or not by itself"
)]
#[derive(Clone, Debug, Default)]
pub struct Person {
    pub has_psid: bool,
    pub has_token: bool,
    pub token_enabled: bool,
    pub token_expires_at: Option<Millis>,
    pub next_eligible_at: Option<Millis>,
    pub timezone: Option<String>,
    pub opted_in_at: Option<Millis>,
    pub opted_out_at: Option<Millis>,
    pub unreachable_at: Option<Millis>,
    pub erased_at: Option<Millis>,
    pub last_action_at: Option<Millis>,
    /// The last marketing message of the brand to this person, on any of its Pages.
    pub last_marketing_at: Option<Millis>,
    /// When an automation that stops on orders was triggered, and the person's last order.
    pub triggered_at: Option<Millis>,
    pub last_ordered_at: Option<Millis>,
    /// The checkout that the message is about was completed, by whomever.
    pub has_bought: bool,
}

/// What is known about the message and its sender.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The merchant removed the app from the shop.
    pub is_removed: bool,
    pub kind: MessageKind,
    /// `None` = whichever fits.
    pub channel: Option<Channel>,
    /// The Page has an ad account to bill.
    pub paid_available: bool,
    pub cap_hours: i64,
    pub quiet_hours: Option<(&'a str, &'a str)>,
    /// The workspace's zone, for people whose own is unknown.
    pub timezone: &'a str,
    /// When each person is to be told in their own zone.
    pub local_time: Option<LocalTime>,
    /// After this it is not sent any more.
    pub expires_at: Option<Millis>,
    /// A wait may not lead beyond this.
    pub patience_until: Option<Millis>,
}

/// A time on everybody's own clock.
#[derive(Clone, Copy, Debug)]
pub struct LocalTime {
    /// As the wall clock shows it (ms since the epoch, as if UTC).
    pub wall: Millis,
    /// The same time in the zone it was meant in, and when the campaign began to be sent, which may
    /// be later because Meta's warm-up was waited for.
    pub senders_at: Millis,
    pub begun_at: Millis,
    /// How late it may still be said.
    pub patience: Millis,
}

impl LocalTime {
    /// The last moment for somebody whose own clock shows the time at `at`. Where the time comes
    /// with the sender's or after it, it waits for the campaign to begin; where it was over before,
    /// it is over.
    fn latest(&self, at: Millis) -> Millis {
        let from = if at >= self.senders_at {
            at.max(self.begun_at)
        } else {
            at
        };
        from + self.patience + LATE_GRACE
    }
}

impl Person {
    pub fn window_open(&self, now: Millis) -> bool {
        self.has_psid
            && self
                .last_action_at
                .is_some_and(|at| now < at + WINDOW - WINDOW_MARGIN)
    }
}

/// The decision, in the order of what protects the person most.
pub fn decide(person: &Person, about: &Circumstances<'_>, now: Millis) -> Decision {
    use Decision::{Later, Never, Send};
    let window_open = person.window_open(now);
    if let Some(reason) = is_over(person, about, now) {
        return Never(reason);
    }
    if matches!(about.kind, MessageKind::Card | MessageKind::Reply) {
        return if window_open {
            Send(Channel::Standard)
        } else {
            Never(Reason::OutsideWindow)
        };
    }
    if let Some(reason) = is_unwanted(person) {
        return Never(reason);
    }
    let zone = zone(person.timezone.as_deref(), about.timezone);
    if let Some(local) = &about.local_time
        && let Some(at) = wall_clock(local.wall, &zone)
    {
        if now < at {
            return Later(at);
        }
        if now > local.latest(at) {
            return Never(Reason::TooLate);
        }
    }
    let channel = match channel(person, about, window_open, now) {
        Ok(channel) => channel,
        Err(reason) => return Never(reason),
    };
    let answers = about.kind == MessageKind::Welcome && channel == Channel::Standard;
    if answers || about.kind == MessageKind::Test && channel == Channel::Standard {
        return Send(channel);
    }
    if capped(person, about, channel, now) {
        return Never(Reason::Capped);
    }
    if about.kind == MessageKind::Test {
        return Send(channel);
    }
    match about
        .quiet_hours
        .and_then(|hours| quiet_until(hours, &zone, now))
    {
        Some(at) if about.patience_until.is_some_and(|limit| at > limit) => {
            Never(Reason::QuietHours)
        }
        Some(at) => Later(at),
        None => Send(channel),
    }
}

/// Whether a paid message that may have arrived may be tried once more now. It may be the try that
/// arrives, so what has changed since the first holds for it; the day's message it has already.
pub fn once_more(person: &Person, about: &Circumstances<'_>, now: Millis) -> Decision {
    use Decision::{Later, Never, Send};
    if let Some(reason) = is_over(person, about, now).or_else(|| is_unwanted(person)) {
        return Never(reason);
    }
    if !person.has_token {
        return Never(Reason::NoToken);
    }
    let zone = zone(person.timezone.as_deref(), about.timezone);
    let quiet = about
        .quiet_hours
        .filter(|_| about.kind != MessageKind::Test);
    match quiet.and_then(|hours| quiet_until(hours, &zone, now)) {
        Some(at) => Later(at),
        None => Send(Channel::MarketingMessage),
    }
}

/// Why it can reach nobody any more.
fn is_over(person: &Person, about: &Circumstances<'_>, now: Millis) -> Option<Reason> {
    if person.erased_at.is_some() {
        return Some(Reason::Erased);
    }
    if about.is_removed {
        return Some(Reason::Removed);
    }
    about
        .expires_at
        .is_some_and(|at| now > at)
        .then_some(Reason::Expired)
}

/// Why the person is not to hear it.
fn is_unwanted(person: &Person) -> Option<Reason> {
    if person.opted_out_at.is_some() {
        return Some(Reason::OptedOut);
    }
    if person.opted_in_at.is_none() {
        return Some(Reason::NoConsent);
    }
    if person.has_bought {
        return Some(Reason::Ordered);
    }
    let (triggered, ordered) = person.triggered_at.zip(person.last_ordered_at)?;
    (ordered >= triggered).then_some(Reason::Ordered)
}

fn channel(
    person: &Person,
    about: &Circumstances<'_>,
    window_open: bool,
    now: Millis,
) -> Result<Channel, Reason> {
    let standard = window_open
        .then_some(Channel::Standard)
        .ok_or(Reason::OutsideWindow);
    match about.channel {
        Some(Channel::Standard) => standard,
        Some(Channel::MarketingMessage) => paid(person, about, now),
        None => standard.or_else(|outside| {
            if about.paid_available {
                paid(person, about, now)
            } else {
                Err(outside)
            }
        }),
    }
}

fn paid(person: &Person, about: &Circumstances<'_>, now: Millis) -> Result<Channel, Reason> {
    if !about.paid_available {
        return Err(Reason::ChannelUnavailable);
    }
    if person.unreachable_at.is_some() {
        return Err(Reason::NotReachable);
    }
    let expired = person.token_expires_at.is_some_and(|at| at <= now);
    if !person.has_token || !person.token_enabled || expired {
        return Err(Reason::NoToken);
    }
    if person.timezone.as_deref().is_some_and(region::is_excluded) {
        return Err(Reason::RegionNotAllowed);
    }
    Ok(Channel::MarketingMessage)
}

/// Our cap, never below the channel's own minimum; a test is held by the channel's only.
fn capped(person: &Person, about: &Circumstances<'_>, channel: Channel, now: Millis) -> bool {
    let ours = if about.kind == MessageKind::Test {
        0
    } else {
        about.cap_hours.max(0) * HOUR
    };
    let theirs = if channel == Channel::MarketingMessage {
        PAID_COOL_DOWN
    } else {
        0
    };
    let cap = ours.max(theirs);
    person
        .last_marketing_at
        .is_some_and(|last| now < last + cap)
        || channel == Channel::MarketingMessage
            && person.next_eligible_at.is_some_and(|at| now < at)
}

/// The person's zone, else the workspace's, else UTC.
fn zone(own: Option<&str>, workspace: &str) -> TimeZone {
    own.and_then(|name| TimeZone::get(name).ok())
        .or_else(|| TimeZone::get(workspace).ok())
        .unwrap_or(TimeZone::UTC)
}

/// When the wall clock of `zone` shows `wall`.
pub fn wall_clock(wall: Millis, zone: &TimeZone) -> Option<Millis> {
    let civil = TimeZone::UTC.to_datetime(Timestamp::from_millisecond(wall).ok()?);
    Some(zone.to_timestamp(civil).ok()?.as_millisecond())
}

/// The end of the quiet hours that `now` lies in, if it does. They may span midnight.
fn quiet_until(hours: (&str, &str), zone: &TimeZone, now: Millis) -> Option<Millis> {
    let (start, end) = (time(hours.0)?, time(hours.1)?);
    let local = Timestamp::from_millisecond(now)
        .ok()?
        .to_zoned_datetime(zone.clone());
    let clock = local.time();
    let (quiet, ends_tomorrow) = if start <= end {
        (start <= clock && clock < end, false)
    } else {
        (clock >= start || clock < end, clock >= start)
    };
    if !quiet {
        return None;
    }
    let day = if ends_tomorrow {
        local.date().checked_add(1.day()).ok()?
    } else {
        local.date()
    };
    let end = zone
        .to_timestamp(day.to_datetime(end))
        .ok()?
        .as_millisecond();
    Some(end.max(now + 1))
}

/// Reads `HH:MM`.
pub fn time(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    Time::new(hours.parse().ok()?, minutes.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
