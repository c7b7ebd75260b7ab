//! Finding people by the beginning of a name among a million. The two engines sort and compare
//! text differently, so the first letters stand beside each name as a number that both can walk.

/// Bytes that fit into a number that is never negative.
const BYTES: usize = 7;

/// The first bytes of the name in small letters as a number; names that begin alike are neighbours.
/// 0 for no name.
pub fn key(name: &str) -> i64 {
    pack(name.trim().to_lowercase().as_bytes(), 0)
}

/// Between which keys, both included, the names lie that begin so, and whether each name there must
/// still be compared. `None` for an empty text.
pub fn range(beginning: &str) -> Option<(i64, i64, bool)> {
    let letters = beginning.trim().to_lowercase();
    let bytes = letters.as_bytes();
    (!bytes.is_empty()).then(|| (pack(bytes, 0), pack(bytes, 0xff), bytes.len() > BYTES))
}

fn pack(bytes: &[u8], filler: u8) -> i64 {
    (0..BYTES).fold(0, |key, i| {
        key << 8 | i64::from(bytes.get(i).copied().unwrap_or(filler))
    })
}

/// A `LIKE` pattern (with `\` as escape) for names that begin so; what the person typed stands for
/// itself.
pub fn pattern(beginning: &str) -> String {
    let mut pattern = String::new();
    for c in beginning.to_lowercase().chars().filter(|c| *c != '\0') {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_lies_in_the_range_of_its_beginnings_and_in_no_other() {
        for name in ["Ana", "Émilie", "Bo", "Anastasia-Maria", "小林"] {
            let key = key(name);
            for (end, _) in name.char_indices().skip(1) {
                let (low, high, _) = range(&name[..end]).unwrap();
                assert!((low..=high).contains(&key), "{name} by {}", &name[..end]);
            }
            let (low, high, _) = range(name).unwrap();
            assert!((low..=high).contains(&key));
            let (low, high, _) = range("zo").unwrap();
            assert!(!(low..=high).contains(&key));
        }
        assert_eq!(range(" "), None);
        assert!(range("Anastasia").is_some_and(|(_, _, compare)| compare));
    }

    #[test]
    fn what_a_person_types_is_never_a_pattern() {
        assert_eq!(pattern("Ana"), "ana%");
        assert_eq!(pattern("50%_"), r"50\%\_%");
    }
}
