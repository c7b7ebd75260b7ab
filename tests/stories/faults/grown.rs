//! Grown past one process: two web processes and three workers on one PostgreSQL, killed and added
//! while a broadcast runs, within a stated number of connections.

use std::time::{Duration, Instant};

use sqlx::any::AnyPoolOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::operator::Operator;
use super::{Dice, audience, sized};
use crate::support::{Engine, postgres};

/// Connections that one process opens at most: 16 for the rows and 10 for the queue.
const A_PROCESS: i64 = 26;
/// Of these, the ones on which a worker listens: one for each lane.
const LISTENING: i64 = 3;

/// The most connections, and listening ones, that the server has seen; stops when dropped.
struct Census {
    most: watch::Receiver<(i64, i64)>,
    _counting: JoinSet<()>,
}

impl Census {
    async fn of(url: &str) -> Self {
        let pool = AnyPoolOptions::new()
            .max_connections(1)
            .connect(url)
            .await
            .unwrap();
        let (tell, most) = watch::channel((0, 0));
        let mut counting = JoinSet::new();
        counting.spawn(async move {
            loop {
                let counted: Result<(i64, i64), _> = sqlx::query_as(
                    "SELECT COUNT(*), COUNT(*) FILTER (WHERE query ILIKE 'listen%')
                     FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()",
                )
                .fetch_one(&pool)
                .await;
                if let Ok((all, listening)) = counted {
                    tell.send_modify(|most| *most = (most.0.max(all), most.1.max(listening)));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self {
            most,
            _counting: counting,
        }
    }

    fn most(&self) -> (i64, i64) {
        *self.most.borrow()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_web_and_three_worker_processes_come_and_go_during_a_broadcast() {
    if postgres::server().is_none() {
        return;
    }
    let mut dice = Dice::new();
    let operator = Operator::start(Engine::Postgres).await;
    let people = audience::of(&operator, sized(3_000, 20_000)).await;
    let census = Census::of(&operator.database).await;
    let mut webs = vec![operator.runs("web").await, operator.runs("web").await];
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(operator.runs("worker").await);
    }
    let began = Instant::now();
    let campaign = operator.broadcasts("Grown").await;
    audience::until_taken(&operator, &people, 200).await;
    let mut kills = 0;
    while kills < sized(4, 60) && audience::taken(&operator, &people) < people.len() {
        // One dies at once, and another takes its place a little later.
        let kind = if kills % 2 == 0 {
            &mut workers
        } else {
            &mut webs
        };
        let process = kind.remove(0);
        let role = process.role;
        operator.leads_past(&process);
        process.kill();
        dice.waits(100, 600).await;
        kind.push(operator.runs(role).await);
        kills += 1;
    }
    let limit = Duration::from_secs(sized(120, 900));
    let report = audience::until_finished(&operator, &campaign, limit).await;
    let unknown = audience::told_once(&operator, &people, &report).await;
    let (connections, listening) = census.most();
    let took = began.elapsed().as_secs();
    eprintln!(
        "2 web, 3 workers: {kills} kills, {} taken, {unknown} unknown, {took} s, at most \
         {connections} connections, {listening} of them listening",
        audience::taken(&operator, &people)
    );
    // A killed process's connections may be counted until the server notices.
    assert!(connections <= 6 * A_PROCESS, "{connections} connections");
    assert!(
        (1..=4 * LISTENING).contains(&listening),
        "{listening} listen"
    );
    drop((webs, workers));
    operator.sandbox.shutdown().await;
}
