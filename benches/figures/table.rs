//! The table that is printed at the end.

use std::fmt::Display;

pub(crate) struct Table {
    engine: &'static str,
    rows: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn new(database: Option<&str>) -> Self {
        let engine = if database.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        };
        Self {
            engine,
            rows: Vec::new(),
        }
    }

    /// A figure, what it is measured against, and how the two stand to each other.
    pub(crate) fn row(
        &mut self,
        figure: impl Display,
        ours: impl Display,
        baseline: impl Display,
        ratio: Option<f64>,
    ) {
        let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let row = [
            figure.to_string(),
            ours.to_string(),
            baseline.to_string(),
            ratio,
        ];
        eprintln!("{}", row.join(" | "));
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        println!(
            "| {} | ours | baseline | ratio |\n|---|---|---|---|",
            self.engine
        );
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}

/// `12,345`
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
