//! What is told of each trouble and finding: what happened, what it means, what to do.

use super::Trouble;

const WAITING: &str = "Messages wait and nothing is lost.";

/// What stands on the connection while the trouble lasts.
pub(super) fn of_trouble(trouble: Trouble, meaning: &str) -> String {
    match trouble {
        Trouble::Role => format!(
            "Meta no longer lets the person who connected this Page act for it. There are two \
             possible causes: their role on the Page was taken away or made too small (a Page admin \
             gives it back under Settings, Page access), or the business asks for two-factor \
             authentication and their Facebook account has it off (they switch it on under Password \
             and security). It goes on by itself once that is cured. {WAITING}"
        ),
        Trouble::Terms => format!(
            "The business has not accepted Meta's terms for marketing messages. An administrator \
             accepts them in Meta Business Suite under Settings; it is tried again by itself. \
             {WAITING}"
        ),
        Trouble::Access => format!("{meaning}. {WAITING}"),
        Trouble::Removed | Trouble::Blocked => meaning.to_owned(),
    }
}

/// Meta's numbers for an ad account that cannot be charged; `None` where it can.
pub(super) fn of_ad_account(status: i64) -> Option<&'static str> {
    let words = match status {
        // Active, in grace, or any that is.
        1 | 9 | 201 => return None,
        2 => "Meta has disabled the ad account. Ask for a review in Account Quality.",
        3 => "The ad account has an unpaid bill. Pay it in Meta's billing settings.",
        7 => "Meta is checking the ad account for risk. It usually ends within two days.",
        8 => "The ad account has a payment that is not settled yet.",
        100 | 101 | 202 => "The ad account is closed. Choose another one.",
        _ => "Meta does not let the ad account pay at the moment.",
    };
    Some(words)
}

/// Where Meta offers paid marketing messages to businesses (facts/meta.md, section 1).
pub(super) const MERCHANT_COUNTRIES: [&str; 20] = [
    "AU", "BR", "CL", "CO", "HK", "IN", "ID", "IL", "MY", "MX", "NZ", "PE", "PH", "SA", "SG", "TW",
    "TH", "AE", "US", "VN",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_told_with_both_causes() {
        let words = of_trouble(Trouble::Role, "");
        assert!(words.contains("role on the Page") && words.contains("two-factor"));
        assert!(words.contains("nothing is lost"));
    }

    #[test]
    fn only_an_ad_account_that_pays_has_nothing_to_tell() {
        assert!(of_ad_account(1).is_none());
        for status in [2, 3, 7, 8, 101, 4711] {
            assert!(of_ad_account(status).is_some(), "{status}");
        }
    }
}
