//! Kills at random instants, repeatedly, in the middle of a broadcast: of the worker, of the web
//! process, of the database, of the one process that is all.

use std::time::{Duration, Instant};

use super::operator::{Operator, Process};
use super::{Dice, audience, sized};
use crate::support::{Engine, postgres};

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    All,
    Worker,
    Web,
    Database,
}

async fn a_broadcast_survives_kills_of(victim: Victim) {
    let mut dice = Dice::new();
    let mut server = None;
    let mut operator = match victim {
        Victim::All => Operator::start(Engine::Sqlite).await,
        Victim::Worker | Victim::Web => Operator::start(Engine::Postgres).await,
        Victim::Database => {
            let own = postgres::Server::start().expect("PostgreSQL is installed");
            let url = own.url("postgres");
            server = Some(own);
            Operator::on(url, tempfile::tempdir().unwrap()).await
        }
    };
    let people = audience::of(&operator, sized(2_000, 20_000)).await;
    operator.sandbox.meta.doubles_webhooks(true);
    let roles: &[&'static str] = match victim {
        Victim::All => &["all"],
        _ => &["web", "worker"],
    };
    let mut processes = Vec::new();
    for role in roles {
        processes.push(operator.runs(role).await);
    }
    let began = Instant::now();
    let campaign = operator.broadcasts("Killed").await;
    let mut kills = 0;
    while kills < sized(3, 100) && audience::taken(&operator, &people) < people.len() {
        audience::until_taken(&operator, &people, 1).await;
        dice.waits(300, 1_500).await;
        operator.sandbox.meta.drops_answers(2);
        if let Some(server) = &mut server {
            server.crashes();
            dice.waits(0, 500).await;
            server.recovers();
        } else {
            processes = strike(&mut operator, processes, victim).await;
        }
        kills += 1;
        dice.waits(300, 1_000).await;
    }
    let limit = Duration::from_secs(sized(150, 1_200));
    let report = audience::until_finished(&operator, &campaign, limit).await;
    let unknown = audience::told_once(&operator, &people, &report).await;
    let taken = audience::taken(&operator, &people);
    let took = began.elapsed().as_secs();
    eprintln!("{victim:?}: {kills} kills, {taken} taken, {unknown} unknown, {took} s");
    assert!(kills >= 2, "it was over before it could be killed");
    if victim == Victim::Database {
        // What Meta had answered was written down as soon as the database was back.
        assert!(unknown <= 64, "{unknown} in doubt");
    }
    drop(processes);
    operator.sandbox.shutdown().await;
}

/// Kills the victim among the processes and starts another in its place.
async fn strike(operator: &mut Operator, processes: Vec<Process>, victim: Victim) -> Vec<Process> {
    let role = match victim {
        Victim::Web => "web",
        Victim::Worker => "worker",
        Victim::All | Victim::Database => "all",
    };
    let (struck, mut left): (Vec<_>, Vec<_>) = processes
        .into_iter()
        .partition(|process| process.role == role);
    for process in struck {
        operator.leads_past(&process);
        process.kill();
    }
    left.push(operator.runs(role).await);
    left
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_survives_kills_of_the_one_process_on_sqlite() {
    a_broadcast_survives_kills_of(Victim::All).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_survives_kills_of_the_worker_on_postgres() {
    if postgres::server().is_some() {
        a_broadcast_survives_kills_of(Victim::Worker).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_survives_kills_of_the_web_process_on_postgres() {
    if postgres::server().is_some() {
        a_broadcast_survives_kills_of(Victim::Web).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_survives_crashes_of_the_database_on_postgres() {
    if postgres::server().is_some() {
        a_broadcast_survives_kills_of(Victim::Database).await;
    }
}
