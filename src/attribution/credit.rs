//! The pure decision: last click inside the window wins.

use crate::clock::{DAY, MINUTE, Millis, SECOND};
use crate::store::ids::ClickId;

/// A click that may have caused the order, and how it was matched to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    pub click: ClickId,
    pub at: Millis,
    pub matched_by: MatchedBy,
}

/// In the order of trust: what stands first wins over what stands later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchedBy {
    /// Our click id in the order's attributes.
    ClickId,
    /// Our `ref`/`pc_click`/UTMs in the landing address.
    LandingSite,
    /// Shopify's customer journey.
    Journey,
    /// The web pixel, for a checkout that the shop itself told us of.
    Pixel,
    /// A click by the subscriber who is this customer.
    Customer,
    /// The code of a coupon message; there is no click.
    DiscountCode,
}

impl MatchedBy {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClickId => "click_id",
            Self::LandingSite => "landing_site",
            Self::Journey => "journey",
            Self::Pixel => "pixel",
            Self::Customer => "customer",
            Self::DiscountCode => "discount_code",
        }
    }

    /// How much later than the order a click may seem: the shop's times are cut to the second,
    /// and where the order itself carries the click, the click came first whatever the two
    /// clocks say.
    fn skew(self) -> Millis {
        match self {
            Self::ClickId | Self::LandingSite => 5 * MINUTE,
            Self::Journey | Self::Pixel | Self::Customer | Self::DiscountCode => SECOND,
        }
    }
}

/// The touch that the order is owed to: of those inside the window of so many days before the
/// order, the best matched, of these the last.
pub fn choose(touches: &[Touch], ordered_at: Millis, window_days: i64) -> Option<&Touch> {
    let opened = ordered_at.saturating_sub(window_days.saturating_mul(DAY));
    touches
        .iter()
        .filter(|touch| {
            touch.at >= opened && touch.at < ordered_at.saturating_add(touch.matched_by.skew())
        })
        .min_by_key(|touch| {
            (
                touch.matched_by,
                std::cmp::Reverse(touch.at),
                std::cmp::Reverse(touch.click),
            )
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDERED: Millis = 1_790_000_000_000;

    fn touch(click: i64, days_before: i64, matched_by: MatchedBy) -> Touch {
        Touch {
            click: ClickId(click),
            at: ORDERED - days_before * DAY,
            matched_by,
        }
    }

    #[test]
    fn the_last_click_inside_the_window_wins() {
        let touches = [
            touch(1, 6, MatchedBy::Customer),
            touch(2, 2, MatchedBy::Customer),
            touch(3, 8, MatchedBy::Customer),
            touch(4, -1, MatchedBy::Customer),
        ];
        assert_eq!(choose(&touches, ORDERED, 7).unwrap().click, ClickId(2));
        assert_eq!(choose(&touches, ORDERED, 1), None);
    }

    #[test]
    fn a_click_the_order_carries_wins_over_a_later_one_it_does_not() {
        let touches = [
            touch(1, 1, MatchedBy::Customer),
            touch(2, 3, MatchedBy::LandingSite),
            touch(3, 5, MatchedBy::ClickId),
            touch(4, 2, MatchedBy::Journey),
        ];
        assert_eq!(choose(&touches, ORDERED, 7).unwrap().click, ClickId(3));
        assert_eq!(choose(&touches, ORDERED, 4).unwrap().click, ClickId(2));
    }

    #[test]
    fn the_window_closes_to_the_millisecond() {
        let mut edge = touch(1, 7, MatchedBy::Customer);
        assert!(choose(std::slice::from_ref(&edge), ORDERED, 7).is_some());
        edge.at -= 1;
        assert!(choose(std::slice::from_ref(&edge), ORDERED, 7).is_none());
    }

    #[test]
    fn an_order_in_the_second_of_its_click_counts() {
        let mut same_second = touch(1, 0, MatchedBy::Customer);
        same_second.at += 999;
        assert!(choose(std::slice::from_ref(&same_second), ORDERED, 7).is_some());
        same_second.at += 1;
        assert!(choose(std::slice::from_ref(&same_second), ORDERED, 7).is_none());
    }

    fn touches() -> impl Strategy<Value = Vec<Touch>> {
        let way = prop_oneof![
            Just(MatchedBy::ClickId),
            Just(MatchedBy::LandingSite),
            Just(MatchedBy::Journey),
            Just(MatchedBy::Pixel),
            Just(MatchedBy::Customer),
        ];
        let one =
            (1_i64..50, -3 * DAY..12 * DAY, way).prop_map(|(click, before, matched_by)| Touch {
                click: ClickId(click),
                at: ORDERED - before,
                matched_by,
            });
        proptest::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn what_is_chosen_is_inside_and_nothing_better_is_left(touches in touches(), days in 1_i64..31) {
            let inside = |t: &&Touch| {
                t.at >= ORDERED - days * DAY && t.at < ORDERED + t.matched_by.skew()
            };
            match choose(&touches, ORDERED, days) {
                None => prop_assert!(!touches.iter().any(|t| inside(&t))),
                Some(chosen) => {
                    prop_assert!(inside(&chosen));
                    for other in touches.iter().filter(inside) {
                        prop_assert!(chosen.matched_by <= other.matched_by);
                        if other.matched_by == chosen.matched_by {
                            prop_assert!(other.at <= chosen.at);
                        }
                    }
                }
            }
        }

        #[test]
        fn the_order_in_which_touches_are_found_does_not_matter(touches in touches()) {
            let mut turned = touches.clone();
            turned.reverse();
            prop_assert_eq!(
                choose(&touches, ORDERED, 7).map(|t| (t.click, t.at)),
                choose(&turned, ORDERED, 7).map(|t| (t.click, t.at))
            );
        }
    }
}
