//! Logs and metrics: readable, filterable, without personal data.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Context;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

use crate::config::Config;

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// A log collector or an operator watching a server: time, level, target, fields.
    Server,
    /// Somebody at a terminal running one command: the words alone.
    Person,
}

/// Sends the log to standard error as `LOG` and `LOG_FORMAT` say. Later calls change nothing.
pub fn log(config: &Config, reader: Reader) -> anyhow::Result<()> {
    // The queue's own comings and goings are no news, unless LOG asks for them by name.
    let filter = EnvFilter::try_new(format!(
        "apalis_core=warn,sqlx::postgres::notice=warn,{}",
        config.log
    ))
    .with_context(|| format!("LOG: {:?} is not a filter; use info or debug", config.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = match (config.log_json, reader) {
        (true, _) => builder.json().flatten_event(true).try_init(),
        (false, Reader::Server) => builder.try_init(),
        (false, Reader::Person) => builder.without_time().with_target(false).try_init(),
    };
    Ok(())
}

/// The process's metrics; the recorder is installed by the first call.
pub fn metrics() -> &'static PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        // Another recorder in this process (a test's) keeps its place; ours then stays empty.
        let _ = metrics::set_global_recorder(recorder);
        describe();
        handle
    })
}

fn describe() {
    metrics::describe_counter!("pagecast_http_requests_total", "Requests answered.");
    metrics::describe_counter!(
        "pagecast_webhooks_total",
        "Deliveries kept, processed and failed."
    );
    metrics::describe_counter!(
        "pagecast_messages_total",
        "Messages by what became of them."
    );
    metrics::describe_counter!("pagecast_clicks_total", "Clicks that count.");
    metrics::describe_counter!("pagecast_jobs_total", "Jobs done and failed.");
    metrics::describe_gauge!("pagecast_messages_queued", "Messages waiting to be sent.");
    metrics::describe_gauge!(
        "pagecast_webhooks_open",
        "Deliveries waiting to be understood."
    );
}

/// A request was answered. `route` is the pattern, never the path itself.
pub fn http_request(method: &str, route: &str, status: u16) {
    metrics::counter!(
        "pagecast_http_requests_total",
        "method" => method.to_owned(),
        "route" => route.to_owned(),
        "status" => status.to_string(),
    )
    .increment(1);
}

/// `outcome` is `kept`, `processed` or `failed`.
pub fn webhook(platform: &'static str, outcome: &'static str) {
    metrics::counter!("pagecast_webhooks_total", "platform" => platform, "outcome" => outcome)
        .increment(1);
}

/// `outcome` is a message's status word.
pub fn messages(outcome: &'static str, count: u64) {
    metrics::counter!("pagecast_messages_total", "outcome" => outcome).increment(count);
}

pub fn clicks(count: u64) {
    metrics::counter!("pagecast_clicks_total").increment(count);
}

/// `outcome` is `done` or `failed`.
pub fn job(name: &'static str, outcome: &'static str) {
    metrics::counter!("pagecast_jobs_total", "job" => name, "outcome" => outcome).increment(1);
}

pub fn queued_messages(count: i64) {
    set("pagecast_messages_queued", count);
}

pub fn open_webhooks(count: i64) {
    set("pagecast_webhooks_open", count);
}

fn set(gauge: &'static str, count: i64) {
    // A gauge is a float; counts of rows are exact in it up to 2^53.
    let count = u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
    metrics::gauge!(gauge).set(count);
}
