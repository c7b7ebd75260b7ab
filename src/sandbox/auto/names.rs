//! Names for people who never lived.

pub(super) const FIRST_NAMES: [&str; 40] = [
    "Ana", "Mateo", "Sofia", "Liam", "Olivia", "Noah", "Emma", "Lucas", "Mia", "Ethan", "Isla",
    "Daniel", "Chloe", "Aiden", "Grace", "Marcus", "Priya", "Arjun", "Mei", "Kenji", "Amara",
    "Kofi", "Zara", "Omar", "Leila", "Hugo", "Nina", "Felix", "Ruth", "Samuel", "Ivy", "Theo",
    "Camila", "Diego", "Hannah", "Jonas", "Aisha", "Caleb", "Elena", "Tomas",
];

pub(super) const LAST_NAMES: [&str; 40] = [
    "Silva", "Garcia", "Miller", "Johnson", "Nguyen", "Patel", "Kim", "Lopez", "Brown", "Davis",
    "Okafor", "Tanaka", "Haddad", "Rossi", "Novak", "Berg", "Moreau", "Costa", "Singh", "Reyes",
    "Walker", "Young", "Hill", "Adams", "Baker", "Clark", "Evans", "Flores", "Green", "Hughes",
    "Ito", "Jensen", "Khan", "Lee", "Morgan", "Owens", "Price", "Quinn", "Turner", "Wood",
];
