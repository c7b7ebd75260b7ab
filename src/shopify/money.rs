//! Money between Shopify's decimal text and our minor units, by ISO 4217's exponents.

/// Digits after the point.
fn exponent(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// `"12.34"` in `USD` is 1234. Digits beyond the currency's are rounded, half away from zero.
/// `None` when the text is not an amount, or one beyond 64 bits.
pub fn minor_units(text: &str, currency: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !plain(whole) || !plain(fraction) {
        return None;
    }
    let places = exponent(currency) as usize;
    let mut minor: i64 = 0;
    let kept = whole
        .bytes()
        .chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(places));
    for digit in kept {
        minor = minor
            .checked_mul(10)?
            .checked_add(i64::from(digit - b'0'))?;
    }
    if fraction
        .as_bytes()
        .get(places)
        .is_some_and(|digit| *digit >= b'5')
    {
        minor = minor.checked_add(1)?;
    }
    Some(if negative { -minor } else { minor })
}

/// 1234 in `USD` is `"12.34"`, the way money leaves the public API.
pub fn decimal(minor: i64, currency: &str) -> String {
    let places = exponent(currency) as usize;
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_currency_has_its_own_number_of_digits() {
        assert_eq!(minor_units("598.94", "USD"), Some(59_894));
        assert_eq!(minor_units("1000", "JPY"), Some(1_000));
        assert_eq!(minor_units("1000.00", "JPY"), Some(1_000));
        assert_eq!(minor_units("1.5", "KWD"), Some(1_500));
        assert_eq!(minor_units("-0.05", "EUR"), Some(-5));
        assert_eq!(minor_units(".5", "EUR"), Some(50));
        assert_eq!(minor_units("12.345", "EUR"), Some(1_235));
    }

    #[test]
    fn what_is_no_amount_is_not_guessed() {
        for text in [
            "",
            ".",
            "-",
            "1,50",
            "1e3",
            "12.3.4",
            "99999999999999999999",
        ] {
            assert_eq!(minor_units(text, "USD"), None, "{text}");
        }
    }

    #[test]
    fn amounts_survive_the_round_trip() {
        for (minor, currency, text) in [
            (5, "USD", "0.05"),
            (-1_234, "USD", "-12.34"),
            (7, "JPY", "7"),
            (0, "KWD", "0.000"),
        ] {
            assert_eq!(decimal(minor, currency), text);
            assert_eq!(minor_units(text, currency), Some(minor));
        }
        assert_eq!(decimal(i64::MIN, "USD"), "-92233720368547758.08");
    }
}
