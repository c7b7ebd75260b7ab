//! The stage on which stories play.

pub(crate) mod admin;
pub(crate) mod postgres;
pub(crate) mod story;

pub(crate) use story::Story;

/// Which database a story plays on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Tells a story on both engines: two tests, `name::sqlite` and `name::postgres`.
#[macro_export]
macro_rules! story {
    ($(#[$meta:meta])* async fn $name:ident($story:ident: &mut Story) $body:block) => {
        async fn $name($story: &mut $crate::support::Story) $body

        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                let mut story = $crate::support::Story::start($crate::support::Engine::Sqlite).await;
                super::$name(&mut story).await;
                story.ends().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                if $crate::support::postgres::server().is_none() {
                    return;
                }
                let mut story = $crate::support::Story::start($crate::support::Engine::Postgres).await;
                super::$name(&mut story).await;
                story.ends().await;
            }
        }
    };
}
