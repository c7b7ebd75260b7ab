//! Automations: on a trigger, one run per subscriber, step by step.

pub mod trigger;

mod advance;
mod check;
mod edit;
mod fill;
mod runs;

pub use advance::advance_due;
pub use edit::{Automation, Draft, Patch, Step, create, create_as, delete, find, list, patch};
pub use runs::{Happening, answers_to, start};
pub use trigger::Trigger;

/// Why an automation could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("There is no such automation.")]
    NotFound,
    /// Fields that must be mended: JSON pointer into the request, and a sentence.
    #[error("The automation needs changes before it can be used.")]
    Invalid(Vec<crate::delivery::Problem>),
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Other(error.into())
    }
}
