//! Campaigns: once, to an audience.

pub mod audience;

mod advance;
mod allowance;
mod draft;
mod estimate;
mod lateness;
mod repair;
mod schedule;

pub use advance::advance;
pub use allowance::{month, sent_this_month};
pub use audience::{Audience, Condition};
pub use draft::{Campaign, Draft, Patch, create, create_as, delete, find, list, patch};
pub use estimate::{Estimate, estimate};
pub use repair::repair;
pub use schedule::{
    Schedule, cancel, create_scheduled, patch_scheduled, pause, pause_all, resume, schedule,
    test_send,
};

/// Why a campaign could not be written or moved.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("There is no such campaign.")]
    NotFound,
    /// Fields that must be mended: JSON pointer into the request, and a sentence.
    #[error("The campaign needs changes before it can be used.")]
    Invalid(Vec<crate::delivery::Problem>),
    /// Not possible in its present status; a sentence that says why and what to do.
    #[error("{0}")]
    Conflict(String),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}
