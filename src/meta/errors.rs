//! Meta's error table, as data: what each `(code, subcode)` means for us, and the rules for what
//! the table does not hold. An unknown code never drops a subscriber.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use super::Usage;
use super::read::{integer, text};
use crate::clock::{Millis, SECOND};

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Try the same again after `retry_after`, else by the retry schedule.
    RetryLater,
    /// Slow down the whole Page or ad account.
    BackOff,
    /// The subscription token is unusable for good.
    DropSubscriber,
    /// This person, this send only.
    SkipRecipient,
    /// Stop the campaign and tell somebody; it does not start again by itself.
    StopCampaign,
    /// Stop the Page until the merchant has connected it again.
    ReconnectPage,
    /// Pause until the merchant has mended budget or payment.
    MerchantBilling,
    /// The 24 h window is closed; final for this send.
    OutsideWindow,
    /// Final for this send, and for us to look at.
    OurBug,
    /// Counts as sent, never repeated.
    AlreadySent,
}

impl Class {
    /// The word of the table, as stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryLater => "retry_later",
            Self::BackOff => "back_off",
            Self::DropSubscriber => "drop_subscriber",
            Self::SkipRecipient => "skip_recipient",
            Self::StopCampaign => "stop_campaign",
            Self::ReconnectPage => "reconnect_page",
            Self::MerchantBilling => "merchant_billing",
            Self::OutsideWindow => "outside_window",
            Self::OurBug => "our_bug",
            Self::AlreadySent => "already_sent",
        }
    }
}

/// An error Meta answered with, classified.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    /// 0 when the answer carried none.
    pub code: i64,
    pub subcode: Option<i64>,
    /// Meta's own words. May name people: for the merchant's page, never for logs.
    pub message: String,
    pub class: Class,
    pub retry_after: Option<Millis>,
    pub is_transient: bool,
    /// What Meta's support asks for.
    pub fbtrace_id: Option<String>,
}

impl ApiError {
    /// A message that cannot be said on this channel; refused here, nothing was sent.
    pub(super) fn unsayable(message: &str) -> Self {
        Self {
            code: 100,
            subcode: None,
            message: message.to_owned(),
            class: Class::OurBug,
            retry_after: None,
            is_transient: false,
            fbtrace_id: None,
        }
    }

    /// The message campaign is not warm yet: hold all of it, nobody in particular.
    pub fn is_not_ready(&self) -> bool {
        [2_300_003, 2_300_012, 2_300_028, 2_300_033, 2_300_041]
            .iter()
            .any(|code| self.names(*code))
    }

    /// The person said no at Meta; a ledger row, not only a failed send.
    pub fn is_opt_out(&self) -> bool {
        self.names(2_300_034) || (self.code == 10 && self.subcode == Some(1_893_015))
    }

    /// The 12 hours after the last paid message are not over.
    pub fn is_cool_down(&self) -> bool {
        self.names(2_300_035)
    }

    /// The daily budget is used up; it comes back by itself.
    pub fn is_daily_budget(&self) -> bool {
        self.names(2_300_054)
    }

    /// Condemns one person, but is what a lost right on the Page or the token looks like, too
    /// (facts/meta.md section 5).
    pub fn is_suspicious(&self) -> bool {
        self.names(2_300_004)
            || self.identity() == 100 && matches!(self.subcode, None | Some(2_018_001))
    }

    /// What it means, in a sentence for people.
    pub fn meaning(&self) -> &'static str {
        meaning(self.code, self.subcode)
    }

    /// The one number by which it is known: the code, or a telling code that came in the subcode.
    pub fn identity(&self) -> i64 {
        self.subcode
            .filter(|subcode| is_telling(*subcode) && !is_telling(self.code))
            .unwrap_or(self.code)
    }

    fn names(&self, code: i64) -> bool {
        self.identity() == code
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subcode {
            Some(subcode) => write!(f, "{}/{subcode}: {}", self.code, self.meaning()),
            None => write!(f, "{}: {}", self.code, self.meaning()),
        }
    }
}

impl std::error::Error for ApiError {}

/// Reads and classifies a refusal. `retry_after` is the answer's `Retry-After`, `usage` its usage
/// headers; what Meta says in the body comes before both, the table's own time after.
pub fn classify(status: u16, body: &[u8], retry_after: Option<Millis>, usage: Usage) -> ApiError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = body.get("error").filter(|error| error.is_object());
    let Some(error) = error else {
        return unreadable(status, retry_after, usage);
    };
    let code = integer(error, "code").unwrap_or(0);
    let subcode = integer(error, "error_subcode").filter(|subcode| *subcode != 0);
    let is_transient = match error.get("is_transient") {
        Some(Value::Bool(transient)) => *transient,
        Some(Value::String(word)) => word == "true",
        _ => false,
    };
    let (mut class, seconds) = match find(code, subcode) {
        Some(row) => (row.class, row.retry_after_seconds),
        None if status >= 500 || is_transient => (Class::RetryLater, None),
        None => (by_rule(code, subcode).0, None),
    };
    if reassigned(code) || subcode.is_some_and(reassigned) {
        let words = ["message", "error_user_title", "error_user_msg"];
        if words
            .iter()
            .any(|key| text(error, key).is_some_and(|text| speaks_of_money(&text)))
        {
            class = Class::MerchantBilling;
        }
    }
    let retry_after = remaining(error)
        .or(retry_after)
        .or(usage.regain_after.filter(|_| class == Class::BackOff))
        .or(seconds.map(|seconds| seconds * SECOND));
    ApiError {
        code,
        subcode,
        message: text(error, "message")
            .map(|text| shortened(&text))
            .unwrap_or_default(),
        class,
        retry_after,
        is_transient,
        fbtrace_id: text(error, "fbtrace_id"),
    }
}

/// What a code means, for people: the table's words, else the words of the rule that decides.
pub fn meaning(code: i64, subcode: Option<i64>) -> &'static str {
    match find(code, subcode) {
        Some(row) => &row.meaning,
        None => by_rule(code, subcode).1,
    }
}

#[derive(Debug, Deserialize)]
struct Row {
    code: i64,
    subcode: Option<i64>,
    meaning: String,
    class: Class,
    #[serde(default)]
    retry_after_seconds: Option<i64>,
}

fn table() -> &'static HashMap<(i64, Option<i64>), Row> {
    static TABLE: OnceLock<HashMap<(i64, Option<i64>), Row>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let rows: Vec<Row> = serde_json::from_str(include_str!("errors.json"))
            .expect("errors.json is part of the program and parsed by a test");
        rows.into_iter()
            .map(|row| ((row.code, row.subcode), row))
            .collect()
    })
}

/// The row of `(code, subcode)`, of a telling subcode, or of the code alone. A telling subcode
/// that the table does not hold hides the code's row, so that the rules speak.
fn find(code: i64, subcode: Option<i64>) -> Option<&'static Row> {
    let table = table();
    if let Some(row) = table.get(&(code, subcode)) {
        return Some(row);
    }
    if let Some(telling) = subcode.filter(|subcode| is_telling(*subcode) && !is_telling(code)) {
        return table.get(&(telling, None));
    }
    table.get(&(code, None))
}

/// Codes of their own that some answers carry in `error_subcode`.
fn is_telling(code: i64) -> bool {
    is_marketing(code) || matches!(code, 1_893_047 | 1_545_041 | 2_018_300)
}

/// The paid channel's range, 23000xx.
fn is_marketing(code: i64) -> bool {
    (2_300_000..=2_300_099).contains(&code)
}

fn by_rule(code: i64, subcode: Option<i64>) -> (Class, &'static str) {
    if is_marketing(code) || subcode.is_some_and(is_marketing) {
        return (
            Class::StopCampaign,
            "Unknown error of the marketing messages; stopped to be safe",
        );
    }
    match code {
        190 | 102 => (
            Class::ReconnectPage,
            "Access token expired, revoked or invalid",
        ),
        200..=299 => (Class::ReconnectPage, "Permission missing or removed"),
        80_000..=80_014 => (Class::BackOff, "Too many calls"),
        0 => (Class::OurBug, "Meta's answer could not be understood"),
        _ => (Class::OurBug, "Unknown error"),
    }
}

/// 2300068-79 were announced with billing meanings and reassigned; only the text tells them apart.
fn reassigned(code: i64) -> bool {
    (2_300_068..=2_300_079).contains(&code)
}

fn speaks_of_money(text: &str) -> bool {
    text.to_lowercase()
        .split(|c: char| !c.is_alphabetic())
        .any(|word| {
            ["budget", "spend", "balance", "credit"]
                .iter()
                .any(|w| word.starts_with(w))
        })
}

/// `error_data.remaining_seconds`; `error_data` itself may be JSON in a string.
fn remaining(error: &Value) -> Option<Millis> {
    let data = error.get("error_data")?;
    let parsed: Value;
    let data = if let Value::String(text) = data {
        parsed = serde_json::from_str(text).ok()?;
        &parsed
    } else {
        data
    };
    integer(data, "remaining_seconds")
        .filter(|seconds| *seconds > 0)
        .map(|s| s * SECOND)
}

/// A refusal without Meta's error object: something between us and Meta, judged by its status. One
/// of 500 and above is no refusal (see `graph`): whether Meta acted stays open.
fn unreadable(status: u16, retry_after: Option<Millis>, usage: Usage) -> ApiError {
    let class = match status {
        429 => Class::BackOff,
        401 => Class::ReconnectPage,
        _ => Class::OurBug,
    };
    ApiError {
        code: 0,
        subcode: None,
        message: format!("HTTP {status} without an error object"),
        class,
        retry_after: retry_after.or(usage.regain_after.filter(|_| class == Class::BackOff)),
        is_transient: false,
        fbtrace_id: None,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(error: &Value) -> ApiError {
        refused_with(400, error)
    }

    fn refused_with(status: u16, error: &Value) -> ApiError {
        let body = json!({ "error": error }).to_string();
        classify(status, body.as_bytes(), None, Usage::default())
    }

    fn coded(code: i64, subcode: Option<i64>) -> ApiError {
        refused(&json!({"message": "m", "code": code, "error_subcode": subcode}))
    }

    #[test]
    fn every_row_of_the_table_is_found_with_its_class_and_its_time() {
        let rows: Vec<Value> = serde_json::from_str(include_str!("errors.json")).unwrap();
        assert_eq!(
            rows.len(),
            table().len(),
            "two rows share a code and subcode"
        );
        assert!(rows.len() > 100);
        for row in rows {
            let (code, subcode) = (row["code"].as_i64().unwrap(), row["subcode"].as_i64());
            let error = coded(code, subcode);
            assert_eq!(error.class.as_str(), row["class"], "{row}");
            assert_eq!(error.meaning(), row["meaning"], "{row}");
            let seconds = row.get("retry_after_seconds").and_then(Value::as_i64);
            assert_eq!(error.retry_after, seconds.map(|s| s * SECOND), "{row}");
        }
    }

    #[test]
    fn an_unknown_subcode_falls_back_to_its_code() {
        assert_eq!(coded(190, Some(999)).class, Class::ReconnectPage);
        assert_eq!(coded(613, Some(1)).class, Class::BackOff);
        assert_eq!(coded(2_300_042, Some(77)).class, Class::SkipRecipient);
    }

    #[test]
    fn unknown_codes_follow_the_rules() {
        assert_eq!(
            refused_with(500, &json!({"code": 777})).class,
            Class::RetryLater
        );
        assert_eq!(
            refused_with(503, &json!({"message": "x"})).class,
            Class::RetryLater
        );
        assert_eq!(
            refused(&json!({"code": 777, "is_transient": true})).class,
            Class::RetryLater
        );
        assert_eq!(coded(777, None).class, Class::OurBug);
        assert_eq!(coded(299, None).class, Class::ReconnectPage);
        assert_eq!(coded(80_014, None).class, Class::BackOff);
        assert_eq!(coded(80_015, None).class, Class::OurBug);
    }

    #[test]
    fn an_unknown_marketing_code_stops_the_campaign_and_drops_nobody() {
        for code in 2_300_000..=2_300_099 {
            if !table().contains_key(&(code, None)) {
                assert_eq!(coded(code, None).class, Class::StopCampaign, "{code}");
                assert_eq!(
                    coded(100, Some(code)).class,
                    Class::StopCampaign,
                    "100/{code}"
                );
            }
        }
    }

    #[test]
    fn telling_codes_count_in_the_subcode_too() {
        assert!(coded(100, Some(2_300_034)).is_opt_out());
        assert_eq!(coded(100, Some(2_300_034)).class, Class::DropSubscriber);
        assert_eq!(coded(100, Some(1_893_047)).class, Class::SkipRecipient);
        assert_eq!(coded(10, Some(1_545_041)).class, Class::SkipRecipient);
        assert_eq!(coded(200, Some(2_018_300)).class, Class::RetryLater);
        assert_eq!(coded(1, Some(2_300_035)).retry_after, Some(43_200 * SECOND));
        assert!(coded(100, Some(2_300_054)).is_daily_budget());
        assert!(coded(100, Some(2_300_004)).is_suspicious());
        assert!(coded(100, Some(2_018_001)).is_suspicious());
        assert!(!coded(100, Some(2_300_037)).is_suspicious());
        assert!(!coded(100, Some(2_018_047)).is_suspicious());
        assert_eq!(coded(2_300_042, Some(77)).identity(), 2_300_042);
    }

    #[test]
    fn money_in_the_text_makes_a_reassigned_code_a_billing_matter() {
        let said = |text: &str| refused(&json!({"code": 2_300_070, "message": text})).class;
        assert_eq!(
            said("Your account's spending limit was reached"),
            Class::MerchantBilling
        );
        assert_eq!(said("Daily BUDGET too low"), Class::MerchantBilling);
        assert_eq!(said("Your page was suspended"), Class::OurBug);
        let title = json!({"code": 2_300_078, "message": "no", "error_user_title": "Low balance"});
        assert_eq!(refused(&title).class, Class::MerchantBilling);
        let outside = json!({"code": 2_300_036, "message": "no credit"});
        assert_eq!(refused(&outside).class, Class::SkipRecipient);
    }

    #[test]
    fn the_time_to_wait_comes_from_the_body_then_the_headers_then_the_table() {
        let error = json!({"error": {"code": 2_300_078, "error_data": {"remaining_seconds": 7}}});
        let usage = Usage {
            percent: 100,
            regain_after: Some(60_000),
        };
        let wait = |error: &Value, header, usage| {
            classify(400, error.to_string().as_bytes(), header, usage).retry_after
        };
        assert_eq!(wait(&error, Some(3_000), usage), Some(7_000));
        let text = json!({"error": {"code": 613, "error_data": "{\"remaining_seconds\":9}"}});
        assert_eq!(wait(&text, None, usage), Some(9_000));
        let bare = json!({"error": {"code": 613}});
        assert_eq!(wait(&bare, Some(3_000), usage), Some(3_000));
        assert_eq!(wait(&bare, None, usage), Some(60_000));
        let cool_down = json!({"error": {"code": 2_300_035}});
        assert_eq!(wait(&cool_down, None, usage), Some(43_200_000));
    }

    #[test]
    fn a_body_that_is_not_metas_is_judged_by_its_status() {
        let class = |status| classify(status, b"<html>", None, Usage::default()).class;
        assert_eq!(class(429), Class::BackOff);
        assert_eq!(class(401), Class::ReconnectPage);
        assert_eq!(class(404), Class::OurBug);
    }

    #[test]
    fn what_is_shown_never_repeats_metas_own_text() {
        let error = refused(&json!({"code": 100, "error_subcode": 2_018_001, "message": "Ana B."}));
        assert_eq!(
            error.to_string(),
            "100/2018001: No matching user for this Page"
        );
    }

    #[test]
    fn a_campaign_that_is_not_warm_yet_is_told_apart() {
        assert!(coded(2_300_003, None).is_not_ready());
        assert!(coded(2_300_041, None).is_not_ready());
        assert!(!coded(2_300_055, None).is_not_ready());
        assert!(coded(10, Some(1_893_015)).is_opt_out());
        assert!(!coded(10, None).is_opt_out());
    }
}
