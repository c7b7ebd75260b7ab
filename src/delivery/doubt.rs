//! Refusals that would each condemn a person or the message: many of them at once rather condemn the
//! Page or our rights on it (facts/meta.md section 5), so nobody is dropped for them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use super::batch::Work;
use super::speak::{Outcome, Spoken};
use super::warm_up::{self, Halt};
use crate::app::App;
use crate::clock::MINUTE;
use crate::workspaces::Page;

/// So many suspicious refusals, and at least half of what was answered, are not believed.
const SUSPICIOUS: usize = 5;
/// Batches may be small (of videos two at a time), so the last answers before count as well.
const REMEMBERED: usize = 32;

const WORDS: &str = "Meta refused most people at once. The Page's permissions or the ad account may \
                     have changed: check them under Connections, then go on.";

/// What Meta answered lately, while one Page is being sent from: in all, and to each owner.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    answers: Mutex<HashMap<Whose, Lately>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Whose {
    Anybodys,
    Owner(Option<i64>),
}

/// The last answers; `true` for a suspicious refusal.
#[derive(Debug, Default)]
struct Lately(VecDeque<bool>);

impl Lately {
    /// Whether the answers up to these, the newest, are not to be believed. All of a batch count,
    /// and of those before as many as are remembered.
    fn doubts(&mut self, answers: &[bool]) -> bool {
        self.0.extend(answers);
        let most = REMEMBERED.max(answers.len());
        self.0.drain(..self.0.len().saturating_sub(most));
        let suspicious = self.0.iter().filter(|suspicious| **suspicious).count();
        suspicious >= SUSPICIOUS && suspicious * 2 >= self.0.len()
    }
}

impl Doubts {
    /// Where the answers are not believed, the messages go back to where they were and their owners
    /// stop, before anyone is dropped.
    pub(super) async fn weigh(
        &self,
        app: &App,
        page: &Page,
        done: &mut [(Work, Spoken)],
    ) -> anyhow::Result<()> {
        let doubted = self.hear(done);
        if doubted.is_empty() {
            return Ok(());
        }
        let at = app.clock.now() + 15 * MINUTE;
        let mut owners = HashSet::new();
        let mut refused = 0;
        for (work, spoken) in done.iter_mut().filter(|(_, spoken)| spoken.suspicious) {
            let all = doubted.contains(&Whose::Anybodys);
            if !all && !doubted.contains(&Whose::Owner(work.owner)) {
                continue;
            }
            spoken.outcome = if work.settling {
                Outcome::Unknown {
                    detail: "refused in a doubtful batch".into(),
                    once_more: true,
                }
            } else {
                Outcome::Again {
                    at,
                    try_counts: false,
                    detail: None,
                }
            };
            spoken.effects.clear();
            owners.extend(work.owner);
            refused += 1;
        }
        tracing::warn!(page.id = %page.id, refused, "Meta refuses most people: the sends stop");
        for owner in owners {
            warm_up::halt(app, page.workspace, owner, page.id, Halt::Failed, WORDS).await?;
        }
        Ok(())
    }

    /// Whose answers are not believed. Who was not answered says nothing.
    fn hear(&self, done: &[(Work, Spoken)]) -> HashSet<Whose> {
        let mut heard: HashMap<Whose, Vec<bool>> = HashMap::new();
        for (work, spoken) in done {
            let is_answer =
                spoken.error.is_some() || matches!(spoken.outcome, Outcome::Sent { .. });
            if is_answer {
                for whose in [Whose::Anybodys, Whose::Owner(work.owner)] {
                    heard.entry(whose).or_default().push(spoken.suspicious);
                }
            }
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        heard
            .into_iter()
            .filter(|(whose, heard)| answers.entry(*whose).or_default().doubts(heard))
            .filter(|(_, heard)| heard.contains(&true))
            .map(|(whose, _)| whose)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_batches_are_doubted_together() {
        let mut lately = Lately::default();
        assert!(!lately.doubts(&[true, true]));
        assert!(!lately.doubts(&[true, true]));
        assert!(lately.doubts(&[true, true]));
    }

    #[test]
    fn a_right_that_is_lost_late_is_noticed_whatever_went_well_before() {
        let mut lately = Lately::default();
        for _ in 0..1_000 {
            assert!(!lately.doubts(&[false; 64]));
        }
        assert!(lately.doubts(&[true; 64]));
        let mut lately = Lately::default();
        assert!(!lately.doubts(&[false; 1_000]));
        let batches = (1..100).find(|_| lately.doubts(&[true, true]));
        assert_eq!(batches, Some(8));
    }

    #[test]
    fn a_few_dead_tokens_among_many_are_believed() {
        let mut lately = Lately::default();
        for _ in 0..100 {
            let mut batch = [false; 64];
            batch[..5].fill(true);
            assert!(!lately.doubts(&batch));
        }
    }
}
