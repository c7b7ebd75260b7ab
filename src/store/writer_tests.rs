use std::collections::HashSet;

use super::super::Database;
use super::*;

async fn database() -> (tempfile::TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/w.db", folder.path().display());
    let db = Database::connect(&url).await.unwrap();
    let table = "CREATE TABLE t (id BIGINT PRIMARY KEY, note TEXT NOT NULL)";
    sqlx::query(table).execute(db.writer()).await.unwrap();
    (folder, db)
}

async fn ids(db: &Database) -> HashSet<i64> {
    let ids: Vec<i64> = sqlx::query_scalar("SELECT id FROM t")
        .fetch_all(db.pool())
        .await
        .unwrap();
    ids.into_iter().collect()
}

async fn insert(tx: &mut Tx, id: i64) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO t (id, note) VALUES ($1, 'n')")
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_is_there_when_it_is_told_so_and_a_failure_is_its_own() {
    let (_folder, db) = database().await;
    let tries = (0..400_i64).map(|i| {
        let db = db.clone();
        async move {
            let mut tx = db.begin().await.unwrap();
            insert(&mut tx, i).await.unwrap();
            match i % 4 {
                // Let go.
                0 => {}
                // Refused by the database, then let go.
                1 => assert!(insert(&mut tx, i).await.is_err()),
                _ => {
                    tx.commit().await.unwrap();
                    assert!(ids(&db).await.contains(&i), "{i} is not there");
                }
            }
        }
    });
    let tasks = TaskTracker::new();
    let tasks: Vec<_> = tries.map(|one| tasks.spawn(one)).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let expected: HashSet<i64> = (0..400).filter(|i| i % 4 > 1).collect();
    assert_eq!(ids(&db).await, expected);
}

#[tokio::test]
async fn what_is_let_go_leaves_no_lock_behind() {
    let (folder, db) = database().await;
    let mut tx = db.begin().await.unwrap();
    insert(&mut tx, 1).await.unwrap();
    drop(tx);
    let url = format!("sqlite://{}/w.db", folder.path().display());
    let other = Database::connect(&url).await.unwrap();
    let start = Instant::now();
    sqlx::query("INSERT INTO t (id, note) VALUES (2, 'n')")
        .execute(other.writer())
        .await
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(ids(&db).await, HashSet::from([2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_go_away_at_any_moment_take_nobody_with_them() {
    let (folder, db) = database().await;
    let tasks = TaskTracker::new();
    let mut kept = Vec::new();
    for i in 0..300_u64 {
        let id = i64::try_from(i).unwrap();
        let other = db.clone();
        let one = async move {
            let mut tx = other.begin().await?;
            insert(&mut tx, id).await?;
            tx.commit().await
        };
        if i % 3 == 0 {
            let patience = Duration::from_micros(i * 7);
            tasks.spawn(async move { tokio::time::timeout(patience, one).await.ok() });
        } else {
            kept.push((id, tasks.spawn(one)));
        }
    }
    let mut expected = HashSet::new();
    for (id, task) in kept {
        task.await.unwrap().unwrap();
        expected.insert(id);
    }
    tasks.close();
    tasks.wait().await;
    assert!(expected.is_subset(&ids(&db).await));
    // And nobody left the door locked: another process may write at once.
    tokio::time::sleep(OLDEST * 5).await;
    let url = format!("sqlite://{}/w.db", folder.path().display());
    let other = Database::connect(&url).await.unwrap();
    let start = Instant::now();
    sqlx::query("DELETE FROM t")
        .execute(other.writer())
        .await
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}
