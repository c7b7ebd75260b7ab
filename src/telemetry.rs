//! Logs and metrics: readable, filterable, without personal data.
