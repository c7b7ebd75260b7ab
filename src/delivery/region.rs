//! Where Meta offers no paid messages to people: the European Union, the United Kingdom, Japan,
//! South Korea, Australia (facts/meta.md section 1). All that is known of a person's whereabouts
//! is the time zone Meta gives with the opt-in.

/// Zones under `Europe/` that lie outside the Union and the United Kingdom.
const EUROPE_ALLOWED: [&str; 33] = [
    "Andorra",
    "Astrakhan",
    "Belgrade",
    "Chisinau",
    "Gibraltar",
    "Guernsey",
    "Isle_of_Man",
    "Istanbul",
    "Jersey",
    "Kaliningrad",
    "Kiev",
    "Kirov",
    "Kyiv",
    "Minsk",
    "Monaco",
    "Moscow",
    "Oslo",
    "Podgorica",
    "Samara",
    "San_Marino",
    "Sarajevo",
    "Saratov",
    "Simferopol",
    "Skopje",
    "Tirane",
    "Tiraspol",
    "Ulyanovsk",
    "Uzhgorod",
    "Vaduz",
    "Vatican",
    "Volgograd",
    "Zaporozhye",
    "Zurich",
];
/// Excluded zones elsewhere.
const EXCLUDED: [&str; 17] = [
    "Africa/Ceuta",
    "Asia/Famagusta",
    "Asia/Nicosia",
    "Asia/Seoul",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Atlantic/Canary",
    "Atlantic/Madeira",
    "Eire",
    "GB",
    "GB-Eire",
    "Japan",
    "Poland",
    "Portugal",
    "ROK",
    "Indian/Reunion",
    "America/Martinique",
];

/// Whether a person in this zone cannot be sent paid messages.
pub fn is_excluded(zone: &str) -> bool {
    match zone.split_once('/') {
        Some(("Europe", city)) => !EUROPE_ALLOWED.contains(&city),
        Some(("Australia", _)) => true,
        _ => EXCLUDED.contains(&zone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_excluded_regions_are_known_by_their_zones() {
        for zone in [
            "Europe/Berlin",
            "Europe/London",
            "Asia/Tokyo",
            "Asia/Seoul",
            "Australia/Perth",
        ] {
            assert!(is_excluded(zone), "{zone}");
        }
        for zone in [
            "America/New_York",
            "Europe/Zurich",
            "Europe/Oslo",
            "Asia/Manila",
            "UTC",
        ] {
            assert!(!is_excluded(zone), "{zone}");
        }
    }
}
