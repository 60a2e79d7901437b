//! The table: each figure, what it is compared with, and whether it meets its goal.

use super::figures::short;

/// What is wanted.
#[derive(Clone, Copy)]
pub enum Goal {
    /// The ratio, at least.
    AtLeast(f64),
    /// The ratio, at most.
    AtMost(f64),
    /// The figure itself, at most, in its unit.
    Under(f64),
    /// Nothing: it helps to understand another row.
    None,
}

/// One row.
pub struct Row {
    work: String,
    unit: &'static str,
    this: f64,
    beside: Option<(f64, String)>,
    ratio: Option<f64>,
    goal: Goal,
    met: Option<bool>,
}

impl Row {
    /// A row of what was measured.
    pub fn new(work: impl Into<String>, this: f64, unit: &'static str) -> Self {
        Self { work: work.into(), unit, this, beside: None, ratio: None, goal: Goal::None, met: None }
    }

    /// Beside what, and how it stands to it.
    pub fn beside(mut self, what: impl Into<String>, figure: f64, ratio: f64) -> Self {
        self.beside = Some((figure, what.into()));
        self.ratio = Some(ratio);
        self
    }

    /// What is wanted of it.
    pub fn wanted(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self.met = match (goal, self.ratio) {
            (Goal::AtLeast(least), Some(ratio)) => Some(ratio >= least),
            (Goal::AtMost(most), Some(ratio)) => Some(ratio <= most),
            (Goal::Under(most), _) => Some(self.this <= most),
            _ => None,
        };
        self
    }

    /// Where the goal is about each turn: whether it was reached.
    pub fn met(mut self, met: bool) -> Self {
        self.met = Some(met);
        self
    }

    fn cells(&self) -> [String; 6] {
        let Self { work, unit, this, beside, ratio, goal, met } = self;
        let quantity = |figure: f64| format!("{} {unit}", short(figure)).trim_end().to_owned();
        let beside = beside.as_ref().map(|(figure, what)| match what.as_str() {
            "" => quantity(*figure),
            what => format!("{}: {what}", quantity(*figure)),
        });
        let ratio = ratio.map(|ratio| format!("{ratio:.2}"));
        let goal = match goal {
            Goal::AtLeast(least) => format!("≥ {least}"),
            Goal::AtMost(most) => format!("≤ {most}"),
            Goal::Under(most) => format!("≤ {}", quantity(*most)),
            Goal::None => String::new(),
        };
        let met = met.map_or("", |met| if met { "yes" } else { "**no**" });
        [
            work.clone(),
            quantity(*this),
            beside.unwrap_or_default(),
            ratio.unwrap_or_default(),
            goal,
            met.to_owned(),
        ]
    }
}

/// The rows, in the order in which they were measured.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
    details: Vec<Details>,
}

/// A table of its own below the other, for a row that stands for many.
pub struct Details {
    pub title: String,
    pub head: Vec<String>,
    pub lines: Vec<Vec<String>>,
}

impl Report {
    /// Adds a row, and prints it at once.
    pub fn add(&mut self, row: Row) {
        eprintln!("{}", line(&row.cells()));
        self.rows.push(row);
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, note: String) {
        eprintln!("{note}");
        self.notes.push(note);
    }

    /// Adds a table below the other.
    pub fn add_details(&mut self, details: Details) {
        self.details.push(details);
    }

    /// Prints the table in Markdown.
    pub fn print(&self) {
        println!("\n{}", line(&["work", "this", "beside", "ratio", "goal", "met"]));
        println!("{}", line(&["---"; 6]));
        for row in &self.rows {
            println!("{}", line(&row.cells()));
        }
        for note in &self.notes {
            println!("\n{note}");
        }
        for Details { title, head, lines } in &self.details {
            println!("\n{title}\n\n{}\n{}", line(head), line(&vec!["---"; head.len()]));
            for cells in lines {
                println!("{}", line(cells));
            }
        }
    }
}

fn line(cells: &[impl AsRef<str>]) -> String {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    format!("| {} |", cells.join(" | "))
}
