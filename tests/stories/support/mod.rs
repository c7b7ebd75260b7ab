//! The stage on which stories play.

pub mod postgres;
pub mod story;

pub use story::{Answer, Story};

/// Which database a story plays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Tells a story on both engines: two tests, `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! story {
    ($(#[$meta:meta])* async fn $name:ident($story:ident: &mut Story) $body:block) => {
        mod $name {
            use super::*;

            async fn tell($story: &mut $crate::support::Story) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let mut story = $crate::support::Story::start($crate::support::Engine::Sqlite).await;
                tell(&mut story).await;
                story.ends().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if $crate::support::postgres::server().is_none() {
                    return;
                }
                let mut story = $crate::support::Story::start($crate::support::Engine::Postgres).await;
                tell(&mut story).await;
                story.ends().await;
            }
        }
    };
}
