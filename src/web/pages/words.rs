//! Statuses, reasons, sources and channels in words for people: the one place that spells them.

use super::format::{Whole, number};

/// A status of a campaign, message, subscriber or connection, as its badge says it.
pub fn status(status: impl AsRef<str>) -> String {
    match status.as_ref() {
        "opted_out" => "Opted out".to_owned(),
        "not_subscribed" => "Not subscribed".to_owned(),
        "ok" | "active" => "Connected".to_owned(),
        "attention" => "Needs attention".to_owned(),
        "broken" | "needs_reconnect" => "Not working".to_owned(),
        other => sentence(other),
    }
}

/// Why a message was skipped or failed.
pub fn reason(reason: impl AsRef<str>) -> String {
    let words = match reason.as_ref() {
        "app_removed" => "The app was removed from the shop",
        "no_consent" => "Never opted in",
        "opted_out" => "Opted out before their turn",
        "capped" => "Had a message too short a time ago",
        "quiet_hours" => "Quiet hours outlasted the message",
        "ordered" => "Ordered meanwhile",
        "region_not_allowed" => "Live where Meta offers no paid messages",
        "outside_window" => "Did not write in the last 24 hours",
        "no_token" => "No permission from Meta to write to them yet",
        "holdout" => "Held out to measure the effect",
        "not_reachable" => "Cannot be reached on Messenger",
        "expired" => "Too late to make sense",
        "too_late" => "The time was over where they live",
        "cancelled" => "Cancelled before their turn",
        "page_disconnected" => "The Page was disconnected before their turn",
        "channel_unavailable" => "The channel is not available to this Page",
        "erased" => "Their data was erased",
        "rejected" => "Meta refused the message",
        "gave_up" => "Meta could not take it, however often it was tried",
        "too_long" => "Too long with their name in it",
        "not_delivered" => "Meta took it and could not deliver it",
        "budget" => "The ad account has no budget",
        other => return sentence(other),
    };
    words.to_owned()
}

/// What a reason means for the merchant, where its name alone does not say.
pub fn reason_note(reason: impl AsRef<str>) -> &'static str {
    match reason.as_ref() {
        "capped" => "One marketing message per person and interval is the most we send",
        "region_not_allowed" => "Free messages remain while they write to you",
        "outside_window" => "Free messages go only to people who wrote in the last 24 hours",
        "no_token" => "Meta sends it once they accept the opt-in card",
        "not_reachable" => "Blocked the Page or closed the account",
        "too_late" => "Nobody is told later than the campaign allows, by their own clock",
        "holdout" => "They show what would have been bought anyway",
        "channel_unavailable" => "Connect an ad account to the Page, or choose another channel",
        _ => "",
    }
}

/// How Meta lets us speak.
pub fn channel(channel: impl AsRef<str>) -> String {
    match channel.as_ref() {
        "auto" => "Cheapest allowed for each person".to_owned(),
        "marketing_message" => "Paid marketing message".to_owned(),
        "standard" => "Free, within 24 hours of their last message".to_owned(),
        other => sentence(other),
    }
}

/// Where a subscriber came from.
pub fn source(source: impl AsRef<str>) -> String {
    match source.as_ref() {
        "link" => "Link".to_owned(),
        "qr" => "QR code".to_owned(),
        "checkout" => "Thank-you page".to_owned(),
        "storefront" => "Storefront".to_owned(),
        "ad" => "Ad".to_owned(),
        "upload" | "list_upload" => "List upload".to_owned(),
        other => sentence(other),
    }
}

/// `landing_page` is `Landing page`.
pub fn sentence(word: &str) -> String {
    let spaced = word.replace('_', " ");
    let mut letters = spaced.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => spaced,
    }
}

/// Up to two initials for an avatar.
pub fn initials(name: impl AsRef<str>) -> String {
    name.as_ref()
        .split_whitespace()
        .filter_map(|word| word.chars().find(|c| c.is_alphanumeric()))
        .take(2)
        .flat_map(char::to_uppercase)
        .collect()
}

/// `1 person`, `2 people`: the number in words with its noun.
pub fn people(n: impl Whole) -> String {
    count(n, "person", "people")
}

/// `1 order`, `2 orders`.
pub fn count(n: impl Whole, one: &str, many: &str) -> String {
    let n = n.whole();
    let noun = if n == 1 { one } else { many };
    format!("{} {noun}", number(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_skip_reason_of_delivery_has_its_words() {
        for name in [
            "no_consent",
            "opted_out",
            "capped",
            "quiet_hours",
            "ordered",
            "region_not_allowed",
            "outside_window",
            "no_token",
            "holdout",
            "not_reachable",
            "expired",
            "too_late",
            "cancelled",
            "channel_unavailable",
            "erased",
        ] {
            assert!(
                reason(name).contains(' '),
                "{name} is not written as people say it"
            );
        }
    }

    #[test]
    fn what_is_not_known_is_still_readable() {
        assert_eq!(status("queued"), "Queued");
        assert_eq!(source("landing_page"), "Landing page");
        assert_eq!(initials("hollow pine coffee"), "HP");
        assert_eq!(people(1), "1 person");
        assert_eq!(people(16_109), "16,109 people");
    }
}
