//! Many calls at once, and how long each took.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::{Client, Request};
use tokio::task::JoinSet;

use crate::table::thousands;

/// Calls in flight, everywhere.
pub(crate) const IN_FLIGHT: usize = 64;

pub(crate) struct Load {
    pub(crate) per_second: f64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

impl Load {
    pub(crate) fn words(&self) -> String {
        format!(
            "{}/s, p50 {:.1} ms, p99 {:.1} ms",
            thousands(self.per_second),
            self.median.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3
        )
    }
}

pub(crate) fn client() -> Client {
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(128)
        .tcp_nodelay(true)
        .build()
        .expect("a client")
}

/// Makes `n` calls, [`IN_FLIGHT`] at a time; each must be answered with a status below 400.
pub(crate) async fn drive<F>(n: usize, request: F) -> anyhow::Result<Load>
where
    F: Fn(&Client, usize) -> Request + Send + Sync + 'static,
{
    let (client, request, next) = (client(), Arc::new(request), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for _ in 0..IN_FLIGHT {
        let (client, request, next) = (client.clone(), request.clone(), next.clone());
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(n / IN_FLIGHT + 1);
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= n {
                    return anyhow::Ok(took);
                }
                let request = request(&client, i);
                let start = Instant::now();
                let answer = client.execute(request).await?;
                ensure!(
                    answer.status().as_u16() < 400,
                    "call {i}: {}",
                    answer.status()
                );
                answer.bytes().await?;
                took.push(start.elapsed());
            }
        });
    }
    let mut took = Vec::with_capacity(n);
    while let Some(ended) = tasks.join_next().await {
        took.extend(ended??);
    }
    let elapsed = start.elapsed().as_secs_f64();
    took.sort_unstable();
    Ok(Load {
        per_second: n as f64 / elapsed,
        median: took[n / 2],
        p99: took[n * 99 / 100],
    })
}
