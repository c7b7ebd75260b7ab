//! The operator looks at what could not be read and has it tried again: the real binary.

use std::process::{Command, Output};

use crate::inbox::shopify_says;
use crate::story;
use crate::support::Story;

fn pagecast(story: &Story, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pagecast"))
        .args(arguments)
        .env_clear()
        .env("DATABASE_URL", &story.app.config.database_url)
        .env("SECRET_KEY", "c3RvcmllcyBhcmUgc2VhbGVkIHdpdGggdGhpcyBrZXk=")
        .output()
        .unwrap()
}

/// The lines of `webhooks list`, split at their tabs.
fn listed(story: &Story, arguments: &[&str]) -> Vec<Vec<String>> {
    let output = pagecast(story, &[&["webhooks", "list"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let split = |line: &str| line.split('\t').map(str::to_owned).collect();
    text.lines().map(split).collect()
}

story! {
    async fn a_webhook_that_cannot_be_read_is_kept_listed_and_tried_again(story: &mut Story) {
        let at = "2026-11-24T10:00:00Z";
        assert_eq!(shopify_says(story, "orders/create", "w1", at, b"{\"id\":".to_vec()).await, 200);
        story.settles().await;
        let failed = listed(story, &["--failed"]);
        let [line] = failed.as_slice() else { panic!("{failed:?}") };
        let [id, _, platform, topic, _, state, attempts, error] = line.as_slice() else {
            panic!("{line:?}")
        };
        assert_eq!([platform, topic, state, attempts], ["shopify", "orders/create", "failed", "1"]);
        assert!(!error.is_empty());

        let lost = pagecast(story, &["webhooks", "replay"]);
        assert_eq!(lost.status.code(), Some(1));
        let words = String::from_utf8(lost.stderr).unwrap();
        assert!(words.contains("webhooks replay ID") && words.contains("--failed"), "{words}");

        let replayed = pagecast(story, &["webhooks", "replay", id]);
        assert!(replayed.status.success(), "{replayed:?}");
        assert_eq!(String::from_utf8(replayed.stdout).unwrap().trim(), id);
        assert_eq!(listed(story, &[])[0][5], "open");
        assert!(listed(story, &["--failed"]).is_empty());

        // Tried again, it fails again, and says so again.
        story.settles().await;
        assert_eq!(listed(story, &["--failed"])[0][..7], line[..7]);
        let all = pagecast(story, &["webhooks", "replay", "--failed"]);
        assert_eq!(String::from_utf8(all.stdout).unwrap().trim(), id);
        assert_eq!(listed(story, &[])[0][5], "open");
    }
}
