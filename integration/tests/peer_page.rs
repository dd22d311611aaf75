//! The page `docs/peer-tests.md` is true: every name of the checklist stands on it once, every test that it names
//! exists, and every test that claims to hold a peer's assertions is named there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The names of the checklist, one a line.
const NAMES: &str = include_str!("data/peer-test-names.txt");
/// What begins the reason of a line that no test holds.
const REASONS: [&str; 2] = ["not yet: ", "not ours: "];
/// What begins a test's claim.
const CLAIM: &str = "/// Peer: ";

/// What the page says of one name.
struct Row {
    name: String,
    /// The tests, by file and function; none where the cell is a reason.
    tests: Vec<(String, String)>,
    cell: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate lies in the workspace").to_owned()
}

fn page() -> Result<String> {
    let path = root().join("docs/peer-tests.md");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// Reads the rows of the page's tables: a name in backticks, then pairs of file and function or a reason.
fn rows(page: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, cell] = cells[..] else { anyhow::bail!("a row of {} cells: {line}", cells.len()) };
        let quoted: Vec<_> = cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let is_reason = REASONS.iter().any(|reason| cell.starts_with(reason));
        let is_file = |word: &String| word.ends_with(".rs");
        let pairs = if is_reason { &[] } else { &quoted[..] };
        let pairs = pairs.windows(2).filter(|pair| is_file(&pair[0]));
        rows.push(Row {
            name: name.trim_matches('`').to_owned(),
            tests: pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            cell: cell.to_owned(),
        });
    }
    Ok(rows)
}

/// Returns every Rust file below a directory.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_name_of_the_checklist_stands_on_the_page_once_and_in_order() -> Result<()> {
    let names: Vec<_> = NAMES.lines().collect();
    let distinct: BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), names.len(), "a name stands in the list twice");
    let rows = rows(&page()?)?;
    let shown: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(shown, names);
    Ok(())
}

#[test]
fn every_line_names_a_test_or_a_reason() -> Result<()> {
    for row in rows(&page()?)? {
        let is_reason = REASONS.iter().any(|reason| row.cell.starts_with(reason));
        assert!(is_reason || !row.tests.is_empty(), "{}: {}", row.name, row.cell);
    }
    Ok(())
}

#[test]
fn every_test_that_is_named_exists() -> Result<()> {
    let rows = rows(&page()?)?;
    for (name, (file, function)) in rows.iter().flat_map(|row| row.tests.iter().map(|test| (&row.name, test)))
    {
        let text = fs::read_to_string(root().join(file)).with_context(|| format!("{name}: read {file}"))?;
        let is_there = text.contains(&format!("fn {function}("));
        ensure!(is_there, "{name}: {file} has no function {function}");
    }
    Ok(())
}

#[test]
fn every_test_that_claims_a_peer_is_named_for_it() -> Result<()> {
    let rows: BTreeMap<_, _> = rows(&page()?)?.into_iter().map(|row| (row.name.clone(), row)).collect();
    let mut files = Vec::new();
    for dir in ["crates", "integration/tests"] {
        sources(&root().join(dir), &mut files)?;
    }
    let mut claims = 0;
    for path in files {
        let file = path.strip_prefix(root())?.to_string_lossy().into_owned();
        for claim in fs::read_to_string(&path)?.lines().filter_map(|line| line.trim().strip_prefix(CLAIM)) {
            for name in claim.trim_end_matches('.').split(", ").map(|name| name.trim_matches('`')) {
                claims += 1;
                let row =
                    rows.get(name).with_context(|| format!("{file} claims {name}, which the page lacks"))?;
                let is_named = row.tests.iter().any(|(named, _)| *named == file);
                ensure!(is_named, "{file} claims {name}, and the page says: {}", row.cell);
            }
        }
    }
    assert!(claims > 40, "only {claims} claims were found: their form has changed");
    Ok(())
}

#[test]
fn the_page_counts_right() -> Result<()> {
    let page = page()?;
    let rows = rows(&page)?;
    let held = rows.iter().filter(|row| !row.tests.is_empty()).count();
    let sentence = format!("Of {} lines, {held} are held today.", rows.len());
    ensure!(
        page.split_whitespace().collect::<Vec<_>>().join(" ").contains(&sentence),
        "the page does not say: {sentence}"
    );
    Ok(())
}
