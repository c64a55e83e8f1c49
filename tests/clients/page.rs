//! `docs/clients.md`: its blocks are what the clients here run with.

const PAGE: &str = include_str!("../../docs/clients.md");

/// What the page says and what it stands for here.
pub(crate) struct Place {
    pub(crate) replacements: Vec<(&'static str, String)>,
}

impl Place {
    /// The only block of a language below a heading, or the one of them at a position, with everything of this place.
    pub(crate) fn block(&self, heading: &str, language: &str, at: usize) -> String {
        let begin = format!("\n{heading}\n");
        let (_, section) = PAGE.split_once(&begin).unwrap_or_else(|| panic!("docs/clients.md has no {heading:?}"));
        let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
        let fence = format!("```{language}\n");
        let block = section.split(&fence).nth(at + 1).unwrap_or_else(|| panic!("no {fence:?} below {heading:?}"));
        let block = block.split("\n```").next().unwrap();
        self.replacements.iter().fold(block.to_owned() + "\n", |text, (old, new)| text.replace(old, new))
    }

    /// The rows of the table: a client, and what jobs of any length use.
    pub(crate) fn rows() -> Vec<(&'static str, &'static str)> {
        let table = PAGE.split("|---|---|---|\n").nth(1).unwrap().split("\n\n").next().unwrap();
        table
            .lines()
            .map(|line| {
                let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
                (cells[0], cells[2])
            })
            .collect()
    }
}
