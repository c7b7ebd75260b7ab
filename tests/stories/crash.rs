//! A process that dies in the middle of a broadcast: the real binary, killed and started again.

use std::time::Duration;

use crate::faults::audience;
use crate::faults::operator::Operator;
use crate::support::{Engine, postgres};

const PEOPLE: usize = 3_000;

async fn a_killed_process_sends_nothing_twice_and_loses_nobody(engine: Engine) {
    let operator = Operator::start(engine).await;
    let people = audience::of(&operator, PEOPLE).await;
    let first = operator.runs("all").await;
    let campaign = operator.broadcasts("Crash").await;
    audience::until_taken(&operator, &people, 700).await;
    operator.leads_past(&first);
    first.kill();
    let _second = operator.runs("all").await;
    let report = audience::until_finished(&operator, &campaign, Duration::from_mins(3)).await;
    audience::told_once(&operator, &people, &report).await;
    operator.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_sends_nothing_twice_on_sqlite() {
    a_killed_process_sends_nothing_twice_and_loses_nobody(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_sends_nothing_twice_on_postgres() {
    if postgres::server().is_some() {
        a_killed_process_sends_nothing_twice_and_loses_nobody(Engine::Postgres).await;
    }
}
