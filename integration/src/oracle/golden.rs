//! Owns what a client sent on another machine: one file for each client, its options in
//! the first line, then a line of JSON for each command line. Written
//! by `scripts/record-docker-options`, read where that client isn't installed, and compared with it where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::recorder::Outcome;

/// The recordings of one client.
#[derive(Clone, Debug, Default)]
pub struct Golden {
    /// The long options in the client's help, towards the newest engine that it knows.
    pub options: BTreeSet<String>,
    entries: BTreeMap<Vec<String>, BTreeMap<String, Outcome>>,
}

/// A command line and what came of it, by the API versions at which that was the same.
#[derive(Serialize, Deserialize)]
struct Line {
    line: Vec<String>,
    outcomes: Vec<(Vec<String>, Outcome)>,
}

impl Golden {
    /// Reads the recordings of a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or a line isn't a recording.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        let mut golden = Self::default();
        let mut lines = text.lines().enumerate();
        let (_, options) = lines.next().context("an empty file of recordings")?;
        golden.options = serde_json::from_str(options)
            .with_context(|| format!("the list of options in {}", path.display()))?;
        for (at, line) in lines {
            let line: Line = serde_json::from_str(line)
                .with_context(|| format!("line {} of {}", at + 1, path.display()))?;
            for (versions, outcome) in line.outcomes {
                versions.iter().for_each(|api| golden.add(api, line.line.clone(), outcome.clone()));
            }
        }
        Ok(golden)
    }

    /// Adds a recording.
    pub fn add(&mut self, api: &str, line: Vec<String>, outcome: Outcome) {
        self.entries.entry(line).or_default().insert(api.to_owned(), outcome);
    }

    /// Returns what the client made of a command line, if that was recorded.
    pub fn get(&self, api: &str, line: &[String]) -> Option<&Outcome> {
        self.entries.get(line)?.get(api)
    }

    /// Returns how many command lines were recorded.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Tells whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the recordings to a file, in order.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut text = format!("{}\n", serde_json::to_string(&self.options)?);
        for (line, by_version) in &self.entries {
            let mut outcomes: Vec<(Vec<String>, Outcome)> = Vec::new();
            for (api, outcome) in by_version {
                match outcomes.iter_mut().find(|(_, same)| same == outcome) {
                    Some((versions, _)) => versions.push(api.clone()),
                    None => outcomes.push((vec![api.clone()], outcome.clone())),
                }
            }
            let line = Line { line: line.clone(), outcomes };
            writeln!(text, "{}", serde_json::to_string(&line)?)?;
        }
        std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }
}
