//! Tests of `profile.rs`.

use super::*;
use crate::store::ids::{CampaignId, MessageKey, OrderId, OriginId, PageRowId};
use crate::web::pages::listing::samples::{NOW, clean, html, session};

#[test]
fn a_tag_is_one_line_of_1_to_50_characters() {
    assert!(tag_problem("vip").is_none());
    assert!(tag_problem(&"é".repeat(50)).is_none());
    assert!(tag_problem(&"é".repeat(51)).is_some());
    assert!(tag_problem("").is_some());
    assert!(tag_problem("a\nb").is_some());
}

fn known(status: Status) -> Known {
    let id = SubscriberId(4);
    let message = |status: &str, reason: Option<&str>| LogEntry {
        message: MessageKey {
            origin: OriginId(1),
            subscriber: id,
        },
        subscriber: id,
        subscriber_name: None,
        kind: "campaign".to_owned(),
        about: Some("Winter <blend>".to_owned()),
        about_id: Some(CampaignId(3).to_string()),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        detail: None,
        channel: Some("marketing_message".to_owned()),
        queued_at: NOW - HOUR,
        due_at: NOW - HOUR,
        sent_at: (status == "sent").then_some(NOW - HOUR),
        delivered_at: (status == "sent").then_some(NOW - HOUR),
        read_at: None,
        clicked_at: (status == "sent").then_some(NOW - HOUR / 2),
        attempts: 1,
        orders: 0,
    };
    let consent = |action: &str| Consent {
        action: action.to_owned(),
        means: "card".to_owned(),
        source: Some("qr".to_owned()),
        text_shown: Some("At most one a day.".to_owned()),
        at: NOW - DAY,
    };
    Known {
        subscriber: Subscriber {
            id,
            page: PageRowId(1),
            status,
            first_name: None,
            last_name: None,
            source: None,
            timezone: None,
            customer_id: None,
            klaviyo_profile_id: None,
            has_token: true,
            created_at: NOW - 2 * DAY,
            opted_in_at: Some(NOW - DAY),
            opted_out_at: (status == Status::OptedOut).then_some(NOW),
            last_action_at: Some(NOW - DAY),
            last_marketing_at: Some(NOW - HOUR),
            last_clicked_at: None,
            last_ordered_at: None,
        },
        page_name: Some("Hollow Pine".to_owned()),
        consents: vec![consent("opted_in"), consent("opted_out")],
        messages: vec![message("sent", None), message("skipped", Some("capped"))],
        orders: vec![Order {
            id: OrderId(9),
            shop_order_id: "1".to_owned(),
            name: "#1".to_owned(),
            total: 6800,
            refunded: 800,
            currency: "USD".to_owned(),
            ordered_at: NOW,
            cancelled_at: None,
            credit: None,
        }],
        orders_complete: true,
        tags: vec!["vip".to_owned()],
    }
}

#[test]
fn the_page_tells_everything_once_and_asks_before_it_opts_out() {
    let page = html(&view(&session(), &known(Status::Subscribed), ""));
    clean(&page);
    for part in [
        "At most one a day.",
        "Winter &#60;blend&#62;",
        "/app/orders/ord_",
        "Next marketing message from",
        "Also 1 skipped.",
        "Remove the tag vip",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let (before, dialog) = page.split_once("<dialog").unwrap();
    assert!(!before.contains("/opt-out\""));
    assert!(dialog.contains("/opt-out\""));
}

#[test]
fn who_opted_out_cannot_be_opted_out_again_and_tabs_narrow_the_story() {
    let page = html(&view(&session(), &known(Status::OptedOut), "consent"));
    clean(&page);
    assert!(!page.contains("/opt-out"));
    assert!(!page.contains("Winter"));
    assert!(page.contains("At most one a day."));
}

#[test]
fn a_wrong_tag_comes_back_with_its_mistake() {
    let page = html(&Profile {
        tag_input: "x".repeat(51),
        tag_error: "Shorten the tag to 50 characters.",
        ..view(&session(), &known(Status::NotSubscribed), "")
    });
    clean(&page);
    assert!(page.contains("id=\"tag-e\""));
}
