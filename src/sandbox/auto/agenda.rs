//! What people are going to do, and when: one heap, however many people there are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::clock::Millis;
use crate::sandbox::shopify::Customer;

#[derive(Debug, Default)]
pub(super) struct Agenda {
    next_number: u64,
    order: BinaryHeap<Reverse<(Millis, u64)>>,
    actions: HashMap<u64, Action>,
}

#[derive(Debug)]
pub(super) enum Action {
    Receive {
        psid: String,
        mid: String,
    },
    Read {
        psid: String,
        mid: String,
    },
    Click {
        psid: String,
        mid: String,
    },
    Buy {
        psid: String,
        landing_site: String,
    },
    ComeBack {
        customer: Customer,
        checkout_token: String,
    },
    Refund {
        order_id: i64,
    },
    Stop {
        psid: String,
    },
    TapCard {
        psid: String,
    },
    Newcomer,
    Abandon,
}

impl Agenda {
    pub(super) fn add(&mut self, at: Millis, action: Action) {
        self.next_number += 1;
        self.order.push(Reverse((at, self.next_number)));
        self.actions.insert(self.next_number, action);
    }

    pub(super) fn take_due(&mut self, now: Millis) -> Vec<Action> {
        let mut due = Vec::new();
        while let Some(&Reverse((at, number))) = self.order.peek() {
            if at > now {
                break;
            }
            self.order.pop();
            due.extend(self.actions.remove(&number));
        }
        due
    }

    /// When something is due next.
    pub(super) fn next_at(&self) -> Option<Millis> {
        self.order.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agenda_hands_out_what_is_due_in_order() {
        let mut agenda = Agenda::default();
        agenda.add(20, Action::Abandon);
        agenda.add(10, Action::Newcomer);
        agenda.add(30, Action::Newcomer);
        let due = agenda.take_due(20);
        assert!(matches!(due[..], [Action::Newcomer, Action::Abandon]));
        assert_eq!(agenda.next_at(), Some(30));
        assert!(agenda.take_due(29).is_empty());
    }
}
