//! Opening: rights, the lock, versions, files that are something else.

use crate::samples::{founding, open, place, raw};
use hivemind_store::{SqliteOptions, SqliteStore, Store, StoreError};
use sqlx::Connection;
use std::os::unix::fs::PermissionsExt;

async fn refused(path: &std::path::Path) -> StoreError {
    SqliteStore::open(path, SqliteOptions::default()).await.unwrap_err()
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = path.parent().unwrap();
    assert_eq!(mode(folder), 0o700);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn two_pools_never_share_a_database() {
    let (_folder, path) = place();
    let first = open(&path).await;
    let error = refused(&path).await;
    let StoreError::InUse { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, format!("process {}", std::process::id()));
    assert!(error.to_string().contains("another data folder"), "{error}");
    drop(first);
    open(&path).await;
}

#[tokio::test]
async fn what_a_newer_program_wrote_is_refused() {
    let (_folder, path) = place();
    open(&path).await.close().await.unwrap();
    let mut conn = raw(&path).await;
    sqlx::raw_sql("INSERT INTO schema_version VALUES (1000, 0)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, StoreError::NewerSchema { found: 1000, .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_pool_is_refused_and_left_as_it_is() {
    let (_folder, path) = place();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = "a letter, not a database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = refused(&path).await;
    assert!(matches!(&error, StoreError::Database { context, .. } if context.contains("is no database")), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);

    std::fs::write(&path, "").unwrap();
    let mut conn = raw(&path).await;
    sqlx::raw_sql("CREATE TABLE recipes (id INTEGER)").execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    let error = refused(&path).await;
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_told() {
    let (folder, _) = place();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = refused(&file.join("pool.db")).await;
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[tokio::test]
async fn opening_again_keeps_everything() {
    let (_folder, path) = place();
    let store = open(&path).await;
    let (rows, ledger) = founding();
    store.commit(&rows, &ledger).await.unwrap();
    let before = store.recover().await.unwrap();
    drop(store);
    assert_eq!(open(&path).await.recover().await.unwrap(), before);
}
