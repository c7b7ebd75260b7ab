//! Jobs: nudges that carry an id and never the truth. A lost job loses nothing, because a sweep
//! asks the rows; a doubled one does nothing twice.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::store::ids::PageRowId;

/// What there may be to do. A job says where to look, the rows say what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Job {
    /// Webhooks were kept and wait to be understood.
    Webhooks,
    /// Messages of this Page are due.
    Messages(PageRowId),
    /// Campaigns are due to be prepared, launched or finished.
    Campaigns,
    /// Runs of automations are due.
    Runs,
    /// Klaviyo: groups to sync, events to send.
    Profiles,
    /// Orders whose journey is to be asked for, privacy demands, old rows.
    Upkeep,
}

/// Takes nudges. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue(Arc<Kind>);

#[derive(Debug)]
enum Kind {
    /// Nudges go nowhere: whoever runs the work asks the rows itself (stories, one-off commands).
    Silent,
}

impl Queue {
    pub fn silent() -> Self {
        Self(Arc::new(Kind::Silent))
    }

    /// Says that there may be work. Never blocks, never fails: the sweep makes up for it.
    pub fn nudge(&self, _job: Job) {
        match &*self.0 {
            Kind::Silent => {}
        }
    }
}
