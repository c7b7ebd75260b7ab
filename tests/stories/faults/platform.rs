//! Meta in trouble: too many calls with and without a word on when to come back, out of reach for
//! an hour, answers that are lost, receipts that come late, doubled and in any order.

use pagecast::sandbox::Throttle;

use crate::story;
use crate::support::Story;

const WITHOUT_A_HINT: Throttle = Throttle {
    code: None,
    retry_after: None,
    regain_minutes: None,
};

story! {
    async fn storms_of_too_many_calls_without_a_hint_cost_nobody_a_message(story: &mut Story) {
        let people = story.mixed_audience(120).await;
        let id = story.almost_starts().await;
        for code in [None, Some(613), Some(80_001), Some(4)] {
            story.sandbox.meta.throttles_next(Throttle { code, ..WITHOUT_A_HINT }, 30);
            story.minutes_pass(2).await;
        }
        story.minutes_pass(10).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
    }
}

/// Meta says `hint` to one call and a shorter rest to others in the same breath: for as long as the
/// longest says, it is left alone.
async fn heeds(story: &mut Story, hint: Throttle) {
    let people = story.mixed_audience(100).await;
    let id = story.almost_starts().await;
    let shorter = Throttle {
        code: Some(613),
        retry_after: Some(5),
        ..WITHOUT_A_HINT
    };
    story.sandbox.meta.throttles_next(shorter, 1);
    story.sandbox.meta.throttles_next(hint, 1);
    story.sandbox.meta.throttles_next(shorter, 20);
    story.minutes_pass(2).await;
    let before = story.taken(&people);
    assert!(before < 100, "it was over before Meta complained");
    story.minutes_pass(8).await;
    assert_eq!(story.taken(&people), before, "{hint:?} was not heeded");
    story.minutes_pass(10).await;
    let (_, unknown) = story.all_told_once(&people, &id).await;
    assert_eq!(unknown, 0);
}

story! {
    async fn a_bare_429_with_retry_after_is_heeded(story: &mut Story) {
        heeds(story, Throttle { retry_after: Some(600), ..WITHOUT_A_HINT }).await;
    }
}

story! {
    async fn code_613_with_retry_after_is_heeded(story: &mut Story) {
        let hint = Throttle { code: Some(613), retry_after: Some(600), ..WITHOUT_A_HINT };
        heeds(story, hint).await;
    }
}

story! {
    async fn code_80001_with_the_time_to_regain_access_is_heeded(story: &mut Story) {
        let hint = Throttle { code: Some(80_001), regain_minutes: Some(10), ..WITHOUT_A_HINT };
        heeds(story, hint).await;
    }
}

story! {
    async fn an_hour_out_of_reach_uses_up_nobodys_tries(story: &mut Story) {
        let people = story.mixed_audience(60).await;
        let id = story.almost_starts().await;
        let cut_off = story.without_meta();
        story.endures(&cut_off, 60).await;
        assert_eq!(story.taken(&people), 0);
        // Back, but not well yet.
        story.sandbox.meta.is_down(true);
        story.minutes_pass(20).await;
        story.sandbox.meta.is_down(false);
        story.hours_pass(5).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
    }
}

story! {
    async fn an_hour_of_lost_answers_is_settled_by_the_echoes(story: &mut Story) {
        let people = story.mixed_audience(60).await;
        story.sandbox.meta.doubles_webhooks(true);
        story.sandbox.meta.reorders_webhooks(true);
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(u32::MAX);
        story.minutes_pass(60).await;
        story.sandbox.meta.drops_answers(0);
        story.minutes_pass(10).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!((unknown, story.taken(&people)), (0, 60));
    }
}

story! {
    async fn an_hour_of_lost_answers_without_an_echo_leaves_them_unknown_until_a_receipt_comes(story: &mut Story) {
        let people = story.mixed_audience(40).await;
        story.sandbox.meta.goes_silent(true);
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(u32::MAX);
        story.minutes_pass(60).await;
        story.sandbox.meta.drops_answers(0);
        story.minutes_pass(10).await;
        let (_, unknown) = story.all_told_once(&people, &id).await;
        // On the paid channel the second try is refused, which says that the first arrived.
        assert_eq!((unknown, story.taken(&people)), (20, 40));
        let log = story.get(&format!("/campaigns/{id}/messages?status=unknown")).await.body;
        assert_eq!(log["data"].as_array().unwrap().len(), 20, "{log:#}");
    }
}

story! {
    async fn receipts_that_come_late_doubled_and_in_any_order_find_their_messages(story: &mut Story) {
        let people = story.mixed_audience(30).await;
        story.sandbox.meta.doubles_webhooks(true);
        story.sandbox.meta.reorders_webhooks(true);
        story.sandbox.meta.delays_webhooks(20);
        let id = story.almost_starts().await;
        story.sandbox.meta.drops_answers(10);
        story.minutes_pass(5).await;
        for person in &people {
            story.sandbox.meta.reads_all(person);
        }
        story.settles().await;
        let (report, unknown) = story.all_told_once(&people, &id).await;
        assert_eq!(unknown, 0);
        let counts = &report["counts"];
        assert_eq!((&counts["delivered"], &counts["read"]), (&30.into(), &30.into()));
    }
}
