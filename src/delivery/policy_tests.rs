//! Tests of `policy.rs`.

use super::*;
use crate::clock::parse_rfc3339;

const NOW: Millis = 1_790_000_000_000; // 2026-09-21T14:13:20Z

fn subscribed() -> Person {
    Person {
        has_psid: true,
        has_token: true,
        token_enabled: true,
        opted_in_at: Some(1),
        ..Person::default()
    }
}

fn campaign() -> Circumstances<'static> {
    Circumstances {
        is_removed: false,
        kind: MessageKind::Campaign,
        channel: None,
        paid_available: true,
        cap_hours: 24,
        quiet_hours: None,
        timezone: "UTC",
        local_time: None,
        expires_at: None,
        patience_until: Some(NOW + HOUR),
    }
}

#[test]
fn an_open_window_is_free_and_a_closed_one_is_paid() {
    let mut person = subscribed();
    assert_eq!(
        decide(&person, &campaign(), NOW),
        Decision::Send(Channel::MarketingMessage)
    );
    person.last_action_at = Some(NOW - 23 * HOUR);
    assert_eq!(
        decide(&person, &campaign(), NOW),
        Decision::Send(Channel::Standard)
    );
    person.last_action_at = Some(NOW - 24 * HOUR + 30_000);
    assert_eq!(
        decide(&person, &campaign(), NOW),
        Decision::Send(Channel::MarketingMessage)
    );
}

#[test]
fn each_obstacle_has_its_name() {
    type Change = fn(&mut Person, &mut Circumstances<'static>);
    let cases: [(Change, Reason); 13] = [
        (|p, _| p.opted_out_at = Some(2), Reason::OptedOut),
        (|p, _| p.opted_in_at = None, Reason::NoConsent),
        (|p, _| p.erased_at = Some(2), Reason::Erased),
        (|_, c| c.is_removed = true, Reason::Removed),
        (|p, _| p.has_token = false, Reason::NoToken),
        (|p, _| p.token_expires_at = Some(NOW), Reason::NoToken),
        (|p, _| p.unreachable_at = Some(2), Reason::NotReachable),
        (
            |p, _| p.timezone = Some("Europe/Berlin".into()),
            Reason::RegionNotAllowed,
        ),
        (
            |p, _| p.last_marketing_at = Some(NOW - 23 * HOUR),
            Reason::Capped,
        ),
        (|p, _| p.next_eligible_at = Some(NOW + 1), Reason::Capped),
        (|_, c| c.expires_at = Some(NOW - 1), Reason::Expired),
        (|_, c| c.paid_available = false, Reason::OutsideWindow),
        (
            |_, c| c.quiet_hours = Some(("14:00", "16:00")),
            Reason::QuietHours,
        ),
    ];
    for (change, reason) in cases {
        let (mut person, mut about) = (subscribed(), campaign());
        change(&mut person, &mut about);
        assert_eq!(decide(&person, &about, NOW), Decision::Never(reason));
    }
}

#[test]
fn a_cap_of_nothing_still_keeps_the_channels_own() {
    let mut person = subscribed();
    let mut about = campaign();
    about.cap_hours = 0;
    person.last_marketing_at = Some(NOW - 11 * HOUR);
    assert_eq!(
        decide(&person, &about, NOW),
        Decision::Never(Reason::Capped)
    );
    person.last_action_at = Some(NOW - HOUR);
    assert_eq!(
        decide(&person, &about, NOW),
        Decision::Send(Channel::Standard)
    );
}

#[test]
fn an_order_since_the_trigger_stops_the_reminder() {
    let mut person = subscribed();
    person.triggered_at = Some(NOW - HOUR);
    person.last_ordered_at = Some(NOW - 2 * HOUR);
    assert!(matches!(
        decide(&person, &campaign(), NOW),
        Decision::Send(_)
    ));
    person.last_ordered_at = Some(NOW - 60_000);
    assert_eq!(
        decide(&person, &campaign(), NOW),
        Decision::Never(Reason::Ordered)
    );
}

#[test]
fn quiet_hours_wait_until_morning_in_the_persons_own_zone() {
    let mut person = subscribed();
    person.timezone = Some("America/Los_Angeles".into()); // 07:13 there
    let mut about = campaign();
    about.quiet_hours = Some(("21:00", "09:00"));
    about.patience_until = None;
    let morning = parse_rfc3339("2026-09-21T09:00:00-07:00").unwrap();
    assert_eq!(decide(&person, &about, NOW), Decision::Later(morning));
    let evening = parse_rfc3339("2026-09-21T21:30:00-07:00").unwrap();
    let next = parse_rfc3339("2026-09-22T09:00:00-07:00").unwrap();
    assert_eq!(decide(&person, &about, evening), Decision::Later(next));
    assert!(matches!(
        decide(&person, &about, morning),
        Decision::Send(_)
    ));
}

#[test]
fn a_local_time_waits_for_the_persons_clock() {
    let mut person = subscribed();
    person.timezone = Some("America/New_York".into());
    let mut about = campaign();
    about.local_time = Some(at_eleven());
    let there = parse_rfc3339("2026-09-21T11:00:00-04:00").unwrap();
    assert_eq!(decide(&person, &about, NOW), Decision::Later(there));
}

/// At 11:00, meant in UTC, with half an hour of patience.
fn at_eleven() -> LocalTime {
    let wall = parse_rfc3339("2026-09-21T11:00:00Z").unwrap();
    LocalTime {
        wall,
        senders_at: wall,
        begun_at: wall,
        patience: 30 * MINUTE,
    }
}

#[test]
fn a_local_time_that_is_over_is_not_made_up_for_at_night() {
    let decided = |zone: &str, local: LocalTime, now: &str| {
        let person = Person {
            timezone: Some(zone.into()),
            last_action_at: parse_rfc3339(now),
            ..subscribed()
        };
        let about = Circumstances {
            local_time: Some(local),
            ..campaign()
        };
        decide(&person, &about, parse_rfc3339(now).unwrap())
    };
    let too_late = Decision::Never(Reason::TooLate);
    let send = Decision::Send(Channel::Standard);
    let noon = "2026-09-21T11:20:00Z";
    assert_eq!(decided("UTC", at_eleven(), noon), send);
    // In Manila it is past seven in the evening.
    assert_eq!(decided("Asia/Manila", at_eleven(), noon), too_late);
    assert_eq!(
        decided("Asia/Manila", at_eleven(), "2026-09-21T03:29:00Z"),
        send
    );
    let afternoon = "2026-09-21T12:15:00Z";
    assert_eq!(decided("UTC", at_eleven(), afternoon), too_late);
    // The warm-up is nobody's lateness, except where the time was over before it.
    let warmed_up = LocalTime {
        begun_at: at_eleven().senders_at + HOUR,
        ..at_eleven()
    };
    assert_eq!(decided("UTC", warmed_up, afternoon), send);
    assert_eq!(decided("Asia/Manila", warmed_up, afternoon), too_late);
}

#[test]
fn a_checkout_that_somebody_completed_is_not_brought_up() {
    let person = Person {
        has_bought: true,
        ..subscribed()
    };
    assert_eq!(
        decide(&person, &campaign(), NOW),
        Decision::Never(Reason::Ordered)
    );
}

#[test]
fn the_card_needs_the_window_and_nothing_else() {
    let mut about = campaign();
    about.kind = MessageKind::Card;
    let mut person = Person {
        has_psid: true,
        ..Person::default()
    };
    assert_eq!(
        decide(&person, &about, NOW),
        Decision::Never(Reason::OutsideWindow)
    );
    person.last_action_at = Some(NOW);
    assert_eq!(
        decide(&person, &about, NOW),
        Decision::Send(Channel::Standard)
    );
}

#[test]
fn a_second_try_minds_what_has_changed_since_but_not_the_day_it_took_itself() {
    let mut person = subscribed();
    person.last_marketing_at = Some(NOW - MINUTE);
    person.next_eligible_at = Some(NOW + HOUR);
    let again = Decision::Send(Channel::MarketingMessage);
    assert_eq!(once_more(&person, &campaign(), NOW), again);
    let mut about = campaign();
    about.quiet_hours = Some(("14:00", "15:00"));
    about.patience_until = Some(NOW);
    let end = parse_rfc3339("2026-09-21T15:00:00Z").unwrap();
    assert_eq!(once_more(&person, &about, NOW), Decision::Later(end));
    about.expires_at = Some(NOW - 1);
    assert_eq!(
        once_more(&person, &about, NOW),
        Decision::Never(Reason::Expired)
    );
    person.triggered_at = Some(NOW - HOUR);
    person.last_ordered_at = Some(NOW - 1);
    assert_eq!(
        once_more(&person, &campaign(), NOW),
        Decision::Never(Reason::Ordered)
    );
    person.opted_out_at = Some(NOW - 1);
    assert_eq!(
        once_more(&person, &campaign(), NOW),
        Decision::Never(Reason::OptedOut)
    );
}
