//! A seeded simulation of the delivery: the real code of campaigns, delivery and webhooks against
//! the rules of an imitated Meta, with time, network, kills, freezes, lost answers, storms of
//! refusals and disobedient webhooks all decided by one number. After each schedule the invariants
//! of `invariants` must hold.
//!
//! A seed that fails is printed with the command that replays it with its whole story:
//!
//! ```text
//! PAGECAST_SEED=17 cargo test --test simulation -- --nocapture
//! ```
//!
//! With `LOG=sqlx=debug` its statements are told, too. `PAGECAST_SIMULATIONS=100000` runs more schedules. A seed means the same schedule only as long
//! as the plan is drawn in the same way, so what a seed found is also told as a story elsewhere.
//!
//! SQLite only: here the order of everything must not depend on the machine, and PostgreSQL's own
//! processes do. The stories run on both.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod invariants;
mod mail;
mod merchant;
mod meta;
mod network;
mod plan;
mod process;
mod world;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use pagecast::http_client::HttpClient;
use pagecast::store::Database;
use sqlx::{AnyConnection, Connection};

use crate::meta::Mutant;
use crate::world::World;

/// Schedules of a run in CI: about a minute of two cores in a debug build.
const SCHEDULES: u64 = 500;
/// Seeds that once failed, and what they showed; they go first.
const REGRESSIONS: &[(u64, &str)] = &[
    (
        8,
        "a message in doubt whose message campaign is held kept the send loop turning",
    ),
    (37, "the same"),
    (
        17,
        "a message in doubt was tried again while its campaign was paused",
    ),
    (
        24,
        "the same, after a refusal that holds the message campaign",
    ),
    (108, "the same, hours later"),
    (
        212,
        "a message in doubt was tried again and again without a pause while Meta was down",
    ),
];

/// What came of one schedule.
struct Outcome {
    violations: Vec<String>,
    fingerprint: u64,
    taken: usize,
}

/// A migrated database to copy, and a client whose set-up need not be repeated.
struct Workshop {
    folder: tempfile::TempDir,
    template: PathBuf,
    http: HttpClient,
    copies: AtomicU64,
}

fn workshop() -> &'static Workshop {
    static WORKSHOP: OnceLock<Workshop> = OnceLock::new();
    WORKSHOP.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let template = folder.path().join("template.db");
        let url = format!("sqlite://{}", template.display());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let db = Database::connect(&url).await.unwrap();
            db.migrate().await.unwrap();
            db.close().await;
            // The copies have no write-ahead log beside them.
            let mut alone = AnyConnection::connect(&url).await.unwrap();
            let settings = "PRAGMA journal_mode = DELETE";
            sqlx::query(settings).execute(&mut alone).await.unwrap();
            alone.close().await.unwrap();
        });
        Workshop {
            folder,
            template,
            http: HttpClient::new().unwrap(),
            copies: AtomicU64::new(0),
        }
    })
}

fn simulate(seed: u64, mutant: Mutant, told: bool) -> Outcome {
    let workshop = workshop();
    let copy = workshop.copies.fetch_add(1, Ordering::Relaxed);
    let file = workshop.folder.path().join(format!("{copy}.db"));
    std::fs::copy(&workshop.template, &file).unwrap();
    let mut world = World::new(seed, &file, &workshop.http, mutant);
    if told {
        eprintln!("{:#?}", world.plan);
        world.is_told = true;
    }
    world.run();
    if world.violations.is_empty() {
        world.judge();
    }
    let outcome = Outcome {
        violations: std::mem::take(&mut world.violations),
        fingerprint: world.fingerprint,
        taken: world.meta.taken.len(),
    };
    drop(world);
    let _ = std::fs::remove_file(&file);
    outcome
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

#[test]
fn whatever_happens_nobody_is_told_twice_and_nothing_is_lost() {
    if let Some(seed) = number("PAGECAST_SEED") {
        let filter = std::env::var("LOG").unwrap_or_else(|_| "pagecast=info".to_owned());
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
        let outcome = simulate(seed, Mutant::default(), true);
        assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
        return;
    }
    let began = Instant::now();
    let schedules = number("PAGECAST_SIMULATIONS").unwrap_or(SCHEDULES);
    let seeds: Vec<u64> = REGRESSIONS
        .iter()
        .map(|(seed, _)| *seed)
        .chain(0..schedules)
        .collect();
    let (next, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    let failed: Mutex<Vec<(u64, Vec<String>)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(index(next.fetch_add(1, Ordering::Relaxed))) {
                    let outcome = simulate(*seed, Mutant::default(), false);
                    taken.fetch_add(outcome.taken as u64, Ordering::Relaxed);
                    if !outcome.violations.is_empty() {
                        let mut failed = failed.lock().unwrap();
                        failed.push((*seed, outcome.violations));
                        if failed.len() >= 5 {
                            return;
                        }
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    for (seed, violations) in &failed {
        eprintln!(
            "seed {seed}: {}\n  PAGECAST_SEED={seed} cargo test --test simulation -- --nocapture",
            violations.join("; ")
        );
    }
    eprintln!(
        "{} schedules, {} messages taken by Meta, {:.1} s",
        seeds.len(),
        taken.into_inner(),
        began.elapsed().as_secs_f32()
    );
    assert!(
        failed.is_empty(),
        "{} seeds failed, see above",
        failed.len()
    );
}

#[test]
#[ignore = "on a busy machine one seed in some eighty runs differently"]
fn a_seed_replays_exactly() {
    for seed in 0..20 {
        let first = simulate(seed, Mutant::default(), false);
        let second = simulate(seed, Mutant::default(), false);
        assert_eq!(first.fingerprint, second.fingerprint, "seed {seed} differs");
    }
}

#[test]
fn the_simulation_notices_a_meta_that_forgets_its_cool_down() {
    let mutant = Mutant {
        forgets_cool_down: true,
        ..Mutant::default()
    };
    assert!(finds(mutant, "twice"));
}

#[test]
fn the_simulation_notices_a_confirmation_of_nothing() {
    let mutant = Mutant {
        says_yes_and_does_nothing: true,
        ..Mutant::default()
    };
    assert!(finds(mutant, "never took it"));
}

#[test]
fn the_simulation_notices_somebody_who_resends_by_hand() {
    let mutant = Mutant {
        resends_by_hand: true,
        ..Mutant::default()
    };
    assert!(finds(mutant, "which is skipped"));
}

/// Whether one of the first schedules shows what this mutant breaks.
fn finds(mutant: Mutant, words: &str) -> bool {
    (0..300).any(|seed| {
        let outcome = simulate(seed, mutant, false);
        outcome.violations.iter().any(|what| what.contains(words))
    })
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
