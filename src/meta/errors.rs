//! Meta's error table, as data: what each `(code, subcode)` means for us.

use crate::clock::Millis;

/// What to do about an error; the names are those of `errors.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    RetryLater,
    BackOff,
    DropSubscriber,
    SkipRecipient,
    StopCampaign,
    ReconnectPage,
    MerchantBilling,
    OutsideWindow,
    OurBug,
    AlreadySent,
}

/// An error that Meta answered with.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}/{subcode:?}")]
pub struct ApiError {
    pub code: i64,
    pub subcode: Option<i64>,
    pub message: String,
    pub class: Class,
    pub retry_after: Option<Millis>,
}
