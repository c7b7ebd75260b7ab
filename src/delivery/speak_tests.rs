//! Tests of `speak.rs`.

use std::sync::Arc;

use super::super::content::Content;
use super::super::enqueue::MessageKind;
use super::super::render::Names;
use super::*;
use crate::links::Tags;
use crate::store::ids::{MessageKey, OriginId, SubscriberId};

const NOW: Millis = 1_790_000_000_000;

fn work(settling: bool) -> Work {
    Work {
        key: MessageKey {
            origin: OriginId(1),
            subscriber: SubscriberId(2),
        },
        kind: MessageKind::Campaign,
        owner: Some(1),
        content: Arc::new(Content {
            body: Body::Message(Message::Coupon {
                title: "t".into(),
                code: "c".into(),
                url: "https://x.example".into(),
            }),
            tags: Tags::default(),
        }),
        channel: Channel::MarketingMessage,
        names: Names::default(),
        psid: None,
        token: Some("t".into()),
        vehicle: Arc::default(),
        attempts: 0,
        settling,
        lease_until: NOW,
        called_at: NOW,
        reserved: None,
    }
}

fn after(code: i64, subcode: Option<i64>, settling: bool) -> Spoken {
    let body = serde_json::json!({"error": {"code": code, "error_subcode": subcode,
        "message": "no"}});
    let error = meta::errors::classify(400, body.to_string().as_bytes(), None, Usage::default());
    let answer = Err(meta::Error::Api(error));
    understand(&work(settling), answer, NOW, HOUR, 0.5)
}

fn status(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Sent { .. } => "sent".into(),
        Outcome::Again { .. } => "again".into(),
        Outcome::Skipped { reason, .. } => format!("skipped {reason}"),
        Outcome::Failed { reason, .. } => format!("failed {reason}"),
        Outcome::Unknown { once_more, .. } => format!("unknown, once more: {once_more}"),
    }
}

#[test]
fn each_class_of_refusal_has_its_outcome() {
    for (code, subcode, expected) in [
        (1, None, "again"),
        (613, None, "again"),
        (2_300_034, None, "skipped opted_out"),
        (10, Some(1_893_015), "skipped opted_out"),
        (2_300_037, None, "skipped no_token"),
        (2_300_032, None, "skipped region_not_allowed"),
        (2_300_042, None, "skipped capped"),
        (2_300_035, None, "skipped capped"),
        (551, None, "skipped not_reachable"),
        (2_300_031, None, "again"),
        (2_300_099, None, "again"),
        (2_300_015, None, "again"),
        (190, Some(460), "again"),
        (10, Some(2_018_278), "skipped outside_window"),
        (2_300_026, None, "failed rejected"),
        (506, None, "sent"),
        (2_300_003, None, "again"),
    ] {
        assert_eq!(
            status(&after(code, subcode, false).outcome),
            expected,
            "{code}/{subcode:?}"
        );
    }
}

#[test]
fn what_concerns_more_than_one_message_is_said_so() {
    assert!(matches!(
        after(613, None, false).effects[..],
        [Effect::RestPage(_)]
    ));
    assert!(matches!(
        after(190, None, false).effects[..],
        [Effect::PageTrouble(_)]
    ));
    assert!(matches!(
        after(2_300_031, None, false).effects[..],
        [Effect::Halt(Halt::Failed, _)]
    ));
    assert!(matches!(
        after(2_300_099, None, false).effects[..],
        [Effect::Halt(Halt::Failed, _)]
    ));
    assert!(matches!(
        after(2_300_015, None, false).effects[..],
        [Effect::Halt(Halt::Paused, _)]
    ));
    assert!(matches!(
        after(2_300_003, None, false).effects[..],
        [Effect::HoldVehicle(_)]
    ));
    assert!(matches!(
        after(2_300_037, None, false).effects[..],
        [Effect::DropToken]
    ));
}

#[test]
fn a_second_try_settles_only_by_what_it_proves() {
    assert_eq!(status(&after(2_300_035, None, true).outcome), "sent");
    assert_eq!(
        status(&after(613, None, true).outcome),
        "unknown, once more: true"
    );
    assert_eq!(
        status(&after(551, None, true).outcome),
        "unknown, once more: false"
    );
    let lost = understand(
        &work(true),
        Err(meta::Error::AnswerLost("x".into())),
        NOW,
        HOUR,
        0.5,
    );
    assert_eq!(status(&lost.outcome), "unknown, once more: false");
    let lost_first = understand(
        &work(false),
        Err(meta::Error::AnswerLost("x".into())),
        NOW,
        HOUR,
        0.5,
    );
    assert_eq!(status(&lost_first.outcome), "unknown, once more: true");
}

#[test]
fn a_message_that_meta_puts_off_five_times_has_failed() {
    let mut tired = work(false);
    tired.attempts = 5;
    let body = br#"{"error":{"code":2,"message":"later"}}"#;
    let error = meta::errors::classify(500, body, None, Usage::default());
    let spoken = understand(&tired, Err(meta::Error::Api(error)), NOW, HOUR, 0.5);
    assert_eq!(status(&spoken.outcome), "failed gave_up");
}
