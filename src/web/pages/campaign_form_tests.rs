//! Tests of `campaign_form.rs`.

use super::*;
use crate::web::pages::campaigns::tests::sample;

fn campaign(message: serde_json::Value) -> Campaign {
    Campaign {
        message: serde_json::from_value(message).unwrap(),
        audience: serde_json::from_value(serde_json::json!({
            "include": [{"kind": "klaviyo_segment", "segment_id": "VIP"},
                        {"kind": "ordered", "days": 30}],
            "exclude": [{"kind": "source", "source": "qr"}],
            "holdout_percent": 5
        }))
        .unwrap(),
        ..sample("draft")
    }
}

/// What a browser would send back of an untouched form.
fn sent(form: &CampaignForm) -> Fields {
    let mut pairs = vec![
        ("name".to_owned(), form.name.clone()),
        ("kind".to_owned(), form.kind.clone()),
        ("text".to_owned(), form.text.clone()),
        ("greeting".to_owned(), form.greeting.clone()),
        ("media".to_owned(), form.media.clone()),
        ("media_url".to_owned(), form.media_url.clone()),
        ("coupon_title".to_owned(), form.coupon_title.clone()),
        ("coupon_code".to_owned(), form.coupon_code.clone()),
        ("coupon_url".to_owned(), form.coupon_url.clone()),
        ("channel".to_owned(), form.channel.clone()),
        ("holdout".to_owned(), form.holdout.clone()),
    ];
    let mut buttons = |prefix: &str, slots: &[ButtonSlot]| {
        for (i, slot) in slots.iter().enumerate() {
            pairs.push((format!("{prefix}{i}_title"), slot.title.clone()));
            pairs.push((format!("{prefix}{i}_kind"), slot.kind.clone()));
            pairs.push((format!("{prefix}{i}_value"), slot.value.clone()));
        }
    };
    buttons("b", &form.buttons);
    buttons("m", &form.media_buttons);
    for (i, card) in form.cards.iter().enumerate() {
        buttons(&format!("c{i}b"), &card.buttons);
    }
    for (i, card) in form.cards.iter().enumerate() {
        pairs.push((format!("c{i}_title"), card.title.clone()));
        pairs.push((format!("c{i}_subtitle"), card.subtitle.clone()));
        pairs.push((format!("c{i}_image"), card.image.clone()));
    }
    for (i, reply) in form.quick_replies.iter().enumerate() {
        pairs.push((format!("q{i}"), reply.title.clone()));
        pairs.push((format!("q{i}_payload"), reply.payload.clone()));
    }
    for (list, slots) in [("include", &form.include), ("exclude", &form.exclude)] {
        for (i, slot) in slots.iter().enumerate() {
            pairs.push((format!("{list}{i}_kind"), slot.kind.clone()));
            pairs.push((format!("{list}{i}_value"), slot.value.clone()));
        }
    }
    pairs.extend(form.utm.iter().cloned());
    pairs.into_iter().collect()
}

#[test]
fn opening_and_saving_a_campaign_changes_nothing() {
    for message in [
        serde_json::json!({"kind": "text", "text": "Hi\nyou", "buttons": [
            {"kind": "url", "title": "Go", "url": "https://a.example"},
            {"kind": "postback", "title": "No", "payload": "no"}], "quick_replies": []}),
        serde_json::json!({"kind": "text", "text": "Hi", "buttons": [],
            "quick_replies": [{"title": "Yes", "payload": "yes-1"}, {"title": "No"}]}),
        serde_json::json!({"kind": "cards", "text": "Look", "cards": [
            {"title": "A", "subtitle": "s", "image_url": "https://a.example/a.png", "buttons":
                [{"kind": "url", "title": "Go", "url": "https://a.example"}]},
            {"title": "B", "subtitle": "t", "buttons": []}]}),
        serde_json::json!({"kind": "media", "media": "video", "url": "https://a.example/v.mp4",
            "buttons": []}),
        serde_json::json!({"kind": "coupon", "title": "Ten off", "code": "TEN",
            "url": "https://a.example"}),
    ] {
        let campaign = campaign(message);
        let form = CampaignForm::of(&campaign).with_room();
        let draft = CampaignForm::read(&sent(&form)).draft();
        assert_eq!(draft.message, campaign.message);
        assert_eq!(draft.audience, campaign.audience);
        assert_eq!(draft.name, campaign.name);
        assert_eq!(draft.channel, campaign.channel);
        assert_eq!(draft.utm, campaign.utm);
    }
}

#[test]
fn empty_rows_are_left_out_so_that_errors_find_their_field() {
    let fields: Fields = [
        ("kind", "text"),
        ("b0_title", ""),
        ("b0_value", ""),
        ("b1_title", "Go"),
        ("b1_kind", "url"),
        ("b1_value", "shop.example"),
        ("include0_kind", ""),
        ("include1_kind", "ordered"),
        ("include1_value", "many"),
        ("holdout", "half"),
    ]
    .into_iter()
    .collect();
    let form = CampaignForm::read(&fields);
    assert_eq!(form.buttons.len(), 1);
    let pointers: Vec<_> = form
        .message()
        .problems()
        .into_iter()
        .map(|problem| problem.pointer)
        .collect();
    assert_eq!(pointers, ["/text", "/buttons/0/url"]);
    assert!(!form.audience().problems().is_empty());
    assert_eq!(form.audience().holdout_percent, -1);
}

#[test]
fn what_was_typed_for_another_kind_is_kept() {
    let fields: Fields = [("kind", "coupon"), ("text", "A long text")]
        .into_iter()
        .collect();
    assert_eq!(CampaignForm::read(&fields).text, "A long text");
}

#[test]
fn there_is_room_for_one_more_of_each_until_meta_s_limit() {
    let form = CampaignForm::new().with_room().with_another_card();
    assert_eq!((form.buttons.len(), form.cards.len()), (1, 1));
    assert_eq!((form.include.len(), form.exclude.len()), (2, 1));
    let full = CampaignForm {
        buttons: vec![ButtonSlot::default(); BUTTONS],
        ..CampaignForm::new()
    };
    assert_eq!(full.with_room().buttons.len(), BUTTONS);
}
