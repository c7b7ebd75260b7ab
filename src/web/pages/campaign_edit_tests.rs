//! Tests of `campaign_edit.rs`.

use super::*;
use crate::web::pages::campaigns::tests::sample;

fn render(
    campaign: Option<Campaign>,
    problems: Vec<Problem>,
    confirm: Option<Confirm>,
    testers: Option<Vec<Subscriber>>,
) -> String {
    let shell = Shell::sample(Nav::Campaigns);
    let form = campaign
        .as_ref()
        .map_or_else(CampaignForm::new, CampaignForm::of);
    Edit {
        when: When::of(campaign.as_ref(), &shell.f),
        form: form.with_room(),
        problems: Problems(problems),
        estimate: EstimatePart {
            f: shell.f.clone(),
            estimate: None,
            has_audience: true,
        },
        kinds: condition_kinds(&[]),
        page_name: "Hollow Pine Coffee".to_owned(),
        zone: shell.f.zone(),
        window: 7,
        shell,
        campaign,
        confirm,
        testers,
    }
    .render()
    .unwrap()
}

fn problem(pointer: &str, detail: &str) -> Problem {
    Problem {
        pointer: pointer.to_owned(),
        detail: detail.to_owned(),
    }
}

#[test]
fn a_new_campaign_has_a_place_for_everything() {
    let html = render(None, Vec::new(), None, None);
    for name in [
        "name=\"name\"",
        "name=\"text\"",
        "name=\"b0_title\"",
        "name=\"q0\"",
        "name=\"greeting\"",
        "name=\"c0_title\"",
        "name=\"c0b0_value\"",
        "name=\"media_url\"",
        "name=\"coupon_code\"",
        "name=\"include0_kind\"",
        "name=\"exclude0_kind\"",
        "name=\"holdout\"",
        "name=\"utm_campaign\"",
        "name=\"when\"",
        "name=\"late\"",
    ] {
        assert!(html.contains(name), "{name} is missing");
    }
    assert!(!html.contains("/delete\""));
    assert!(html.contains("action=\"/app/campaigns/new\""));
}

#[test]
fn what_has_to_be_mended_is_said_beside_its_field_and_in_the_list() {
    let html = render(
        Some(sample("draft")),
        vec![
            problem("/message/buttons/0/url", "Start the address with https://."),
            problem("/nowhere", "Something else."),
        ],
        None,
        None,
    );
    assert!(html.contains("id=\"e-message-buttons-0-url\">Start the address with https://."));
    assert!(html.contains("aria-describedby=\"e-message-buttons-0-url\""));
    assert!(html.contains("href=\"#e-message-buttons-0-url\""));
    assert!(html.contains("2 things to mend") && html.contains("Something else."));
    assert!(html.contains("/delete\""));
}

#[test]
fn before_it_goes_out_the_dialog_says_to_how_many() {
    let confirm = Confirm {
        estimate: Estimate {
            audience: 46_318,
            paid: 36_709,
            free: 3_418,
            skipped: vec![("capped", 6_191)],
            cost: None,
        },
        when: "It goes out now.".to_owned(),
    };
    let html = render(Some(sample("scheduled")), Vec::new(), Some(confirm), None);
    assert!(html.contains("data-open") && html.contains("40,127 people"));
    assert!(html.contains("/schedule\""));
}

#[test]
fn a_test_can_be_sent_even_when_nobody_is_listed() {
    let html = render(Some(sample("draft")), Vec::new(), None, Some(Vec::new()));
    assert!(html.contains("/test\"") && html.contains("name=\"other\""));
}
