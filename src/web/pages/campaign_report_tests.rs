//! Tests of `campaign_report.rs`.

use super::*;
use crate::analytics::LinkClicks;
use crate::store::ids::{MessageKey, OriginId, SubscriberId};
use crate::web::pages::campaigns::tests::{figures, sample};

fn entry(status: &str) -> LogEntry {
    let at = 1_795_539_600_000;
    let is_sent = status == "sent";
    LogEntry {
        message: MessageKey {
            origin: OriginId(77),
            subscriber: SubscriberId(5),
        },
        subscriber: SubscriberId(5),
        subscriber_name: Some("佐藤 健太郎".to_owned()).filter(|_| is_sent),
        kind: "campaign".to_owned(),
        about: None,
        about_id: None,
        status: status.to_owned(),
        reason: Some("capped".to_owned()).filter(|_| status == "skipped"),
        detail: None,
        channel: None,
        queued_at: at,
        due_at: at,
        sent_at: Some(at + 2_000).filter(|_| is_sent),
        delivered_at: Some(at + 3_000).filter(|_| is_sent),
        read_at: Some(at + 90_000_000).filter(|_| is_sent),
        clicked_at: None,
        attempts: 1,
        orders: 0,
    }
}

fn report(campaign: Campaign, figures: Figures) -> String {
    let shell = Shell::sample(Nav::Campaigns);
    Report {
        audience: audience_words(&campaign.audience),
        progress: progress_of(shell.f.clone(), &campaign, &figures, false),
        funnel: funnel(campaign.id, &figures),
        links: links(
            &campaign,
            &[LinkClicks {
                link: 0,
                people: 391,
                clicks: 420,
            }],
        ),
        skipped: reasons(campaign.id, "skipped", &figures.skipped_why),
        failed: failures(campaign.id, &figures),
        window: 7,
        log: Log {
            status: "skipped".to_owned(),
            reason: String::new(),
            search: String::new(),
            tabs: log_tabs(&figures),
            reasons: vec!["capped".to_owned()],
            rows: vec![entry("sent"), entry("skipped"), entry("unknown")],
            pager: Pager::new("/app/campaigns/x#log", &[], None, None, "3".to_owned()),
            base: "/app/campaigns/x".to_owned(),
        },
        shell,
        figures,
        campaign,
    }
    .render()
    .unwrap()
}

#[test]
fn a_running_campaign_is_polled_and_its_dialogs_say_what_is_lost() {
    let html = report(sample("running"), figures());
    assert!(html.contains("hx-trigger=\"every 2s\""));
    assert!(html.contains("<b>29,884</b> of 46,297"));
    assert!(html.contains("Cancel for 16,413 people"));
    assert!(html.contains("27,902 messages are out and cannot be called back"));
    assert!(html.contains("id=\"pause\"") && !html.contains("/resume\""));
}

#[test]
fn a_finished_campaign_shows_money_links_reasons_and_everyone() {
    let html = report(sample("finished"), figures());
    assert!(!html.contains("every 2s") && !html.contains("id=\"cancel\""));
    assert!(html.contains("$312.40") && html.contains("−$10.00") && html.contains("$322.40"));
    assert!(html.contains("Shop the kit"));
    assert!(html.contains("?status=skipped&#38;reason=capped#log"));
    assert!(html.contains("佐藤 健太郎") && html.contains("data-status=\"read\""));
    assert!(html.contains("it cannot arrive twice"));
    assert!(html.contains("log.csv"));
}

#[test]
fn sending_again_says_to_how_many_and_why_it_failed() {
    let mut figures = figures();
    figures.failed_why = vec![("rejected".to_owned(), 20), ("gave_up".to_owned(), 4)];
    let html = report(sample("finished"), figures.clone());
    assert!(html.contains("/repair\"") && html.contains("All 24 people"));
    assert!(html.contains("value=\"gave_up\"") && html.contains("4 people"));
    assert!(!report(sample("cancelled"), figures).contains("/repair\""));
    assert!(!report(sample("finished"), Figures::default()).contains("/repair\""));
}

#[test]
fn a_missed_schedule_asks() {
    let mut missed = sample("paused");
    missed.launched_at = None;
    missed.attention = Some("It was due at 8:00 AM and was not sent without you.".to_owned());
    let html = report(missed, Figures::default());
    assert!(html.contains("was not sent without you") && html.contains("/send-now"));
    let html = report(sample("preparing"), Figures::default());
    assert!(html.contains("progress?seen=preparing"));
    let html = report(sample("scheduled"), Figures::default());
    assert!(html.contains("Due Tue, Nov 24, 9:00 AM.") && html.contains("/edit\""));
}

#[test]
fn the_funnel_counts_each_step_of_the_one_before() {
    let steps = funnel(CampaignId(1), &figures());
    let shares: Vec<_> = steps.iter().map(|step| step.of_before.as_str()).collect();
    assert_eq!(shares, ["100%", "60.3%", "94.3%", "18.3%", "8.1%", "1.5%"]);
    assert_eq!(steps[1].share, "60.26%");
    assert!(funnel(CampaignId(1), &Figures::default())[1].of_before == "–");
}

#[test]
fn the_time_left_follows_from_the_pace_so_far() {
    let f = Shell::sample(Nav::Campaigns).f;
    let mut campaign = sample("running");
    campaign.launched_at = Some(f.now() - 120_000);
    assert_eq!(
        time_left(&f, &campaign, &figures()).as_deref(),
        Some("1 min 5 s")
    );
    campaign.launched_at = Some(f.now());
    assert!(time_left(&f, &campaign, &figures()).is_none());
}
