//! What a merchant does at Klaviyo: accounts, profiles, segments, lists.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Context;
use serde_json::Map;

use super::{Account, Group, Klaviyo, Profile};

impl Klaviyo {
    /// Opens an account, reachable by a private key and by OAuth, and looks at it.
    pub fn account(&self, private_key: &str, refresh_token: &str) -> Self {
        let id = self.inner.world.chance.word(6).to_uppercase();
        let mut state = self.state();
        state.accounts.push(Account {
            id,
            private_key: private_key.to_owned(),
            refresh_token: refresh_token.to_owned(),
            revoked: false,
            access_tokens: HashMap::new(),
            advanced_kdp: false,
            profiles: BTreeMap::new(),
            groups: BTreeMap::new(),
            metrics: BTreeMap::new(),
            events: Vec::new(),
            kept: HashSet::new(),
            hooks: BTreeMap::new(),
            windows: HashMap::new(),
        });
        Self {
            inner: self.inner.clone(),
            at: Some(state.accounts.len() - 1),
        }
    }

    /// With this plan a private key may manage webhooks too.
    pub fn has_advanced_kdp(&self, on: bool) -> anyhow::Result<()> {
        self.with_account(|account| account.advanced_kdp = on)
    }

    /// The merchant removes the app: the refresh token is answered `invalid_grant`.
    pub fn uninstalls(&self) -> anyhow::Result<()> {
        self.with_account(|account| {
            account.revoked = true;
            account.access_tokens.clear();
        })
    }

    /// Access tokens end now; the refresh token still works.
    pub fn expires_access_tokens(&self) -> anyhow::Result<()> {
        self.with_account(|account| account.access_tokens.clear())
    }

    /// A profile with this e-mail address.
    pub fn profile(&self, email: &str) -> anyhow::Result<Profile> {
        let profile = Profile {
            email: Some(email.to_owned()),
            ..Profile::default()
        };
        self.has_profile(profile)
    }

    /// A profile with whatever is known; its id and times are given here.
    pub fn has_profile(&self, mut profile: Profile) -> anyhow::Result<Profile> {
        let now = self.now();
        profile.id = self.id();
        profile.created_at = now;
        profile.updated_at = now;
        self.with_account(|account| {
            account.profiles.insert(profile.id.clone(), profile.clone());
            profile
        })
    }

    /// The profile with this e-mail address, as it stands now.
    pub fn profile_by_email(&self, email: &str) -> Option<Profile> {
        let has = |p: &&Profile| p.email.as_deref() == Some(email);
        self.with_account(|account| account.profiles.values().find(has).cloned())
            .ok()
            .flatten()
    }

    /// A segment with these members. Returns its id.
    pub fn segment(&self, name: &str, members: &[Profile]) -> anyhow::Result<String> {
        self.group_of(name, members, true)
    }

    /// A list with these members. Returns its id.
    pub fn list(&self, name: &str, members: &[Profile]) -> anyhow::Result<String> {
        self.group_of(name, members, false)
    }

    /// The profile joins the segment or list, by id or name; nobody is told.
    pub fn enters_segment(&self, profile: &Profile, segment: &str) -> anyhow::Result<()> {
        let now = self.now();
        self.change_group(segment, |group| {
            group.members.insert(profile.id.clone(), now);
            group.updated_at = now;
        })
    }

    /// The profile leaves; nobody is told, and no listing shows it.
    pub fn leaves_segment(&self, profile: &Profile, segment: &str) -> anyhow::Result<()> {
        self.change_group(segment, |group| {
            group.members.remove(&profile.id);
        })
    }

    /// The segment or list is deleted.
    pub fn deletes_segment(&self, segment: &str) -> anyhow::Result<()> {
        self.with_account(|account| {
            account
                .groups
                .retain(|_, g| g.id != segment && g.name != segment);
        })
    }

    /// A metric exists already, so its topic can be subscribed to.
    pub fn has_metric(&self, name: &str) -> anyhow::Result<()> {
        let id = self.inner.world.chance.word(6);
        self.with_account(|account| {
            account.metrics.entry(name.to_owned()).or_insert(id);
        })
    }

    /// Properties the product wrote to a profile.
    pub fn properties_of(&self, profile_id: &str) -> Map<String, serde_json::Value> {
        let properties = self.with_account(|account| {
            account
                .profiles
                .get(profile_id)
                .map(|p| p.properties.clone())
        });
        properties.ok().flatten().unwrap_or_default()
    }

    fn group_of(
        &self,
        name: &str,
        members: &[Profile],
        is_segment: bool,
    ) -> anyhow::Result<String> {
        let now = self.now();
        let id = self.inner.world.chance.word(6);
        let group = Group {
            id: id.clone(),
            name: name.to_owned(),
            is_segment,
            created_at: now,
            updated_at: now,
            members: members.iter().map(|p| (p.id.clone(), now)).collect(),
        };
        self.with_account(|account| account.groups.insert(id.clone(), group))?;
        Ok(id)
    }

    fn change_group(&self, which: &str, change: impl FnOnce(&mut Group)) -> anyhow::Result<()> {
        self.with_account(|account| {
            let group = account
                .groups
                .values_mut()
                .find(|g| g.id == which || g.name == which);
            group.map(change)
        })?
        .with_context(|| format!("the account has no segment or list {which}"))
    }

    fn with_account<T>(&self, work: impl FnOnce(&mut Account) -> T) -> anyhow::Result<T> {
        let mut state = self.state();
        let account = state.accounts.get_mut(self.at.unwrap_or(0));
        Ok(work(account.context(
            "the sandbox has no Klaviyo account yet: open one",
        )?))
    }
}
