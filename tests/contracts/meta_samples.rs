//! Meta's webhook bodies, recorded or documented, in every envelope, and what they mean.

use pagecast::meta::webhooks::{Event, EventKind, Marketing, ParseError, Referral, parse};
use serde_json::{Value, json};

use crate::bytes;

fn sample(name: &str) -> Event {
    let mut events = parse(&bytes(&format!("meta/samples/{name}.json"))).unwrap();
    assert_eq!(events.len(), 1, "{name}");
    events.remove(0)
}

fn read(body: &Value) -> Vec<Event> {
    parse(body.to_string().as_bytes()).unwrap()
}

fn only(body: &Value) -> Event {
    let mut events = read(body);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

fn messaging(item: &Value) -> Value {
    json!({"object": "page", "entry": [{"id": "1", "time": 1_790_000_000_000_i64, "messaging": [item]}]})
}

#[test]
fn every_sample_is_read_and_means_what_it_says() {
    let mut names: Vec<String> = std::fs::read_dir(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/meta/samples"
    ))
    .unwrap()
    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
    .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
    .collect();
    names.sort();
    let kinds: Vec<String> = names
        .iter()
        .map(|name| {
            let kind = format!("{:?}", sample(name).kind);
            format!("{name}: {}", kind.split([' ', '(']).next().unwrap())
        })
        .collect();
    insta::assert_snapshot!(kinds.join("\n"), @"
    feed-comment-add-211: Other
    feed-reaction-add: Other
    leadgen: Lead
    messaging-delivery-basic: Delivered
    messaging-message-basic: Message
    messaging-message-basic-echo: Echo
    messaging-message-media-attachment: Message
    messaging-message-quickreply: Message
    messaging-optin-basic: Other
    messaging-pass-thread-control: Other
    messaging-policy-callback-block: Policy
    messaging-postback-referral: Postback
    messaging-read-basic: Read
    messaging-referral-basic: Referral
    standby-message-basic-echo: Echo
    ");
}

#[test]
fn numbers_become_text_and_the_person_is_the_party_that_is_not_the_page() {
    let message = sample("messaging-message-basic");
    assert_eq!(message.page_id, "12345654332");
    assert_eq!(message.psid.as_deref(), Some("987654321432"));
    assert_eq!(message.at, 1_457_764_197_627);
    let text = Some("hello, world!".to_owned());
    let mid = "mid.1457764197618:41d102a3e1ae206a38".to_owned();
    assert_eq!(
        message.kind,
        EventKind::Message {
            mid,
            text,
            quick_reply: None
        }
    );
    let echo = only(&messaging(
        &json!({"sender": {"id": 1}, "recipient": {"id": "22"},
        "timestamp": "1790000000000", "message": {"mid": "m", "is_echo": true, "app_id": 7,
        "metadata": "ours"}}),
    ));
    assert_eq!(echo.psid.as_deref(), Some("22"));
    let (app_id, metadata) = (Some("7".to_owned()), Some("ours".to_owned()));
    assert_eq!(
        echo.kind,
        EventKind::Echo {
            mid: "m".into(),
            app_id,
            metadata
        }
    );
}

#[test]
fn a_standby_event_is_the_same_event() {
    let standby = sample("standby-message-basic-echo");
    assert_eq!(standby.kind, sample("messaging-message-basic-echo").kind);
}

#[test]
fn get_started_carries_the_ref_of_its_link() {
    let EventKind::Postback {
        payload, referral, ..
    } = sample("messaging-postback-referral").kind
    else {
        panic!("not a postback");
    };
    assert_eq!(payload, "USER_DEFINED_PAYLOAD");
    let expected = Referral {
        reference: Some("ref_data_in_m_dot_me_param".into()),
        source: Some("SHORTLINK".into()),
        ad_id: None,
    };
    assert_eq!(referral, Some(expected.clone()));
    assert_eq!(
        sample("messaging-referral-basic").kind,
        EventKind::Referral(expected)
    );
}

#[test]
fn receipts_carry_their_watermark() {
    let EventKind::Delivered { mids, watermark } = sample("messaging-delivery-basic").kind else {
        panic!("not a delivery");
    };
    assert_eq!(mids, ["mid.1458668856218:ed81099e15d3f4f233"]);
    assert_eq!(watermark, 1_458_668_856_253);
    let read = sample("messaging-read-basic").kind;
    assert_eq!(
        read,
        EventKind::Read {
            watermark: 1_458_668_856_253
        }
    );
}

#[test]
fn a_comment_of_the_page_itself_is_no_news_but_anybody_elses_is() {
    let own = sample("feed-comment-add-211");
    assert_eq!(
        own.kind,
        EventKind::Other {
            field: "feed".into()
        }
    );
    let body = String::from_utf8(bytes("meta/samples/feed-comment-add-211.json")).unwrap();
    let theirs = body.replace(
        r#""id": "1234567890321",
              "name""#,
        r#""id": "555", "name""#,
    );
    let event = parse(theirs.as_bytes()).unwrap().remove(0);
    let EventKind::Comment {
        from, added, text, ..
    } = event.kind
    else {
        panic!("not a comment");
    };
    assert_eq!((from.as_deref(), added), (Some("555"), true));
    assert_eq!(text.as_deref(), Some("and the next one"));
    assert_eq!(event.at, 1_449_135_003_000);
}

#[test]
fn opting_in_stopping_and_resuming_are_told_apart_however_the_status_is_spelled() {
    let optin = |optin: Value| {
        only(&messaging(
            &json!({"sender": {"id": "22"}, "recipient": {"id": "1"},
            "timestamp": 1_790_000_000_000_i64, "optin": optin}),
        ))
        .kind
    };
    let accepted = optin(
        json!({"type": "notification_messages", "payload": "p", "title": "News",
        "notification_messages_token": 991, "notification_messages_timezone": "Asia/Manila",
        "token_expiry_timestamp": 1_800_000_000, "user_token_status": "NOT_REFRESHED", "ref": "r"}),
    );
    let expected = EventKind::OptIn {
        token: "991".into(),
        payload: Some("p".into()),
        title: Some("News".into()),
        timezone: Some("Asia/Manila".into()),
        expires_at: Some(1_800_000_000_000),
        reference: Some("r".into()),
        is_refreshed: false,
    };
    assert_eq!(accepted, expected);
    let refreshed = optin(
        json!({"type": "notification_messages", "notification_messages_token": "991",
        "user_token_status": "REFRESHED"}),
    );
    assert!(matches!(
        refreshed,
        EventKind::OptIn {
            is_refreshed: true,
            payload: None,
            ..
        }
    ));
    let status = |status: &str| {
        optin(
            json!({"type": "notification_messages", "notification_messages_token": "991",
            "notification_messages_status": status}),
        )
    };
    let token = Some("991".to_owned());
    assert_eq!(
        status("STOP NOTIFICATIONS"),
        EventKind::Stop {
            token: token.clone()
        }
    );
    assert_eq!(
        status("STOP_NOTIFICATIONS"),
        EventKind::Stop {
            token: token.clone()
        }
    );
    assert_eq!(status("resume_notifications"), EventKind::Resume { token });
    assert_eq!(
        optin(json!({"ref": "x"})),
        EventKind::Other {
            field: "optin".into()
        }
    );
}

fn paid(field: &str) -> Value {
    json!({"field": field, "recipient_id": "22", "page_id": "1", "app_id": 7,
        "timestamp": 1_790_000_001, "mid": "m", "marketing_message_tracking_id": "uuid",
        "messenger_subscription_token": 991, "message_id": "44"})
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value
}

#[test]
fn events_of_the_paid_channel_are_read_in_every_envelope() {
    for (field, what) in [
        ("marketing_message_echoes", Marketing::Echo),
        ("marketing_message_deliveries", Marketing::Delivered),
        ("marketing_message_reads", Marketing::Read),
        ("marketing_message_clicks", Marketing::Clicked),
        ("marketing_message_delivery_failed", Marketing::Failed),
    ] {
        let kind = EventKind::Marketing {
            what,
            mid: Some("m".into()),
            tracking_id: Some("uuid".into()),
            token: Some("991".into()),
            meta_campaign_id: Some("44".into()),
            error: None,
        };
        let psid = Some("22".to_owned());
        let expected = Event {
            page_id: "1".into(),
            at: 1_790_000_001_000,
            psid,
            kind,
        };
        let value = without(paid(field), "field");
        let entry = |key: &str, item: Value| json!({"object": "page", "entry": [{"id": 1, "time": 5, key: [item]}]});
        let parties = json!({"sender": {"id": "22"}, "recipient": {"id": "1"},
            "timestamp": 1_790_000_001, field: without(without(value.clone(), "recipient_id"), "timestamp")});
        let mut flat_entry = paid(field);
        flat_entry["id"] = "1".into();
        for body in [
            entry("changes", json!({"field": field, "value": value})),
            entry("changes", json!({"field": field, "value": [value]})),
            entry("messaging", paid(field)),
            entry("messaging", parties),
            json!({"object": "page", "entry": [flat_entry]}),
            paid(field),
        ] {
            assert_eq!(only(&body), expected, "{body}");
        }
    }
}

#[test]
fn a_failed_delivery_and_a_list_upload_subscriber_lack_what_they_lack() {
    let value = json!({"app_id": "7", "business_id": "8", "page_id": "1", "recipient_id": null,
        "messenger_subscription_token": "991", "timestamp": "1790000001", "error_message": "no",
        "message_id": 44});
    let change = json!({"field": "marketing_message_delivery_failed", "value": value});
    let event =
        only(&json!({"object": "page", "entry": [{"id": "1", "time": 5, "changes": [change]}]}));
    assert_eq!(event.psid, None);
    let EventKind::Marketing {
        what,
        mid,
        tracking_id,
        meta_campaign_id,
        error,
        ..
    } = event.kind
    else {
        panic!("not of the paid channel");
    };
    assert_eq!((what, mid, tracking_id), (Marketing::Failed, None, None));
    assert_eq!(
        (meta_campaign_id.as_deref(), error.as_deref()),
        (Some("44"), Some("no"))
    );
}

#[test]
fn the_dashboards_test_sends_messaging_events_as_changes() {
    let value = json!({"sender": {"user_ref": "x"}, "recipient": {"id": "1"},
        "timestamp": "1790000000", "message": {"mid": "m", "text": "test"}});
    let change = json!({"field": "messages", "value": value});
    let event =
        only(&json!({"object": "page", "entry": [{"id": "1", "time": 5, "changes": [change]}]}));
    assert_eq!(event.psid, None);
    assert_eq!(event.at, 1_790_000_000_000);
    assert!(matches!(event.kind, EventKind::Message { .. }));
}

#[test]
fn a_batch_keeps_its_order_and_unknown_things_do_not_stop_it() {
    let body = json!({"object": "page", "more": 1, "entry": [
        {"id": "1", "time": 5, "messaging": [
            {"sender": {"id": "22"}, "timestamp": 6, "typing_new": {"a": 1}},
            {"sender": {"id": "22"}, "timestamp": 7, "message": {"mid": "a\u{0}b", "text": "\u{0}"}}]},
        {"id": "2", "time": 8, "changes": [{"field": "live_videos", "value": {"id": "9"}}]}]});
    let events = read(&body);
    assert_eq!(
        events[0].kind,
        EventKind::Other {
            field: "typing_new".into()
        }
    );
    let bare = EventKind::Message {
        mid: "ab".into(),
        text: None,
        quick_reply: None,
    };
    assert_eq!(events[1].kind, bare);
    assert_eq!(events[2].page_id, "2");
    assert_eq!(
        events[2].kind,
        EventKind::Other {
            field: "live_videos".into()
        }
    );
}

#[test]
fn what_belongs_to_no_page_yields_nothing_and_garbage_is_an_error() {
    let body = json!({"object": "instagram", "entry": [{"id": "1", "messaging": [{}]}]});
    assert!(read(&body).is_empty());
    assert!(matches!(parse(b"not json"), Err(ParseError::NotJson(_))));
    assert!(matches!(
        parse(b"{\"object\":\"page\"}"),
        Err(ParseError::NotAnEnvelope)
    ));
    let permissions = json!({"object": "permissions", "entry": [{"uid": "9", "time": 5,
        "changes": [{"field": "connected", "verb": "granted"}]}]});
    assert_eq!(
        only(&permissions).kind,
        EventKind::Other {
            field: "connected".into()
        }
    );
}
