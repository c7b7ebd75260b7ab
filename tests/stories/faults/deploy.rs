//! A deploy in the middle of a broadcast: the new processes start, the old ones are asked to stop
//! and finish what they are at. Nothing is left in doubt.

use std::time::{Duration, Instant};

use super::audience;
use super::operator::Operator;
use crate::support::{Engine, postgres};

const PEOPLE: usize = 2_000;

async fn over(operator: Operator, people: Vec<pagecast::sandbox::Person>, campaign: String) {
    let began = Instant::now();
    let report = audience::until_finished(&operator, &campaign, Duration::from_secs(90)).await;
    let unknown = audience::told_once(&operator, &people, &report).await;
    assert_eq!(unknown, 0, "a graceful stop leaves nobody in doubt");
    let took = began.elapsed().as_secs();
    eprintln!("deploy: {} taken, {took} s", people.len());
    operator.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_side_by_side_leaves_nobody_in_doubt_on_postgres() {
    if postgres::server().is_none() {
        return;
    }
    let operator = Operator::start(Engine::Postgres).await;
    let people = audience::of(&operator, PEOPLE).await;
    let mut old = [operator.runs("web").await, operator.runs("worker").await];
    let campaign = operator.broadcasts("Deploy").await;
    audience::until_taken(&operator, &people, 300).await;
    let _new = [operator.runs("web").await, operator.runs("worker").await];
    for process in &mut old {
        operator.leads_past(process);
        process.asks_to_stop();
        assert_eq!(process.ended().await, Some(0), "{} stops", process.role);
    }
    assert!(
        audience::taken(&operator, &people) < PEOPLE,
        "it was over before the deploy"
    );
    over(operator, people, campaign).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_one_after_the_other_leaves_nobody_in_doubt_on_sqlite() {
    let operator = Operator::start(Engine::Sqlite).await;
    let people = audience::of(&operator, PEOPLE).await;
    let mut old = operator.runs("all").await;
    let campaign = operator.broadcasts("Deploy").await;
    audience::until_taken(&operator, &people, 300).await;
    operator.leads_past(&old);
    old.asks_to_stop();
    assert_eq!(old.ended().await, Some(0));
    assert!(
        audience::taken(&operator, &people) < PEOPLE,
        "it was over before the deploy"
    );
    let _new = operator.runs("all").await;
    over(operator, people, campaign).await;
}
