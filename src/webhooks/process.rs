//! From a kept delivery to what it means.

use crate::app::App;

/// Understands every kept delivery that is open and due, in the order of arrival; how many.
pub async fn process_due(_app: &App) -> anyhow::Result<usize> {
    unimplemented!()
}
