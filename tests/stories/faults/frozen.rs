//! Two workers, one frozen past its leases and thawed: it must neither send nor overwrite.

use std::time::{Duration, Instant};

use super::operator::Operator;
use super::{Dice, audience, sized};
use crate::support::{Engine, postgres};

/// Longer than a lease.
const FROZEN: Duration = Duration::from_secs(32);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_thaws_after_its_leases_sends_nothing_a_second_time() {
    if postgres::server().is_none() {
        return;
    }
    let mut dice = Dice::new();
    let operator = Operator::start(Engine::Postgres).await;
    let people = audience::of(&operator, sized(2_000, 20_000)).await;
    let _web = operator.runs("web").await;
    let workers = [operator.runs("worker").await, operator.runs("worker").await];
    let began = Instant::now();
    let campaign = operator.broadcasts("Frozen").await;
    for round in 0..sized(1, 10) {
        let before = audience::taken(&operator, &people);
        if before + 400 > people.len() {
            break;
        }
        audience::until_taken(&operator, &people, before + 200).await;
        dice.waits(0, 300).await;
        let frozen = &workers[round % 2];
        frozen.freeze();
        let meanwhile = audience::taken(&operator, &people);
        tokio::time::sleep(FROZEN).await;
        let now = audience::taken(&operator, &people);
        frozen.thaw();
        assert!(
            now > meanwhile + 100 || now == people.len(),
            "the other worker went on: {meanwhile} to {now}"
        );
    }
    let limit = Duration::from_secs(sized(120, 600));
    let report = audience::until_finished(&operator, &campaign, limit).await;
    let unknown = audience::told_once(&operator, &people, &report).await;
    let taken = audience::taken(&operator, &people);
    let took = began.elapsed().as_secs();
    eprintln!("frozen: {taken} taken, {unknown} unknown, {took} s");
    drop(workers);
    operator.sandbox.shutdown().await;
}
