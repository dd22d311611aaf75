//! The recordings of the newest client: written here, by `scripts/record-docker-options`, and compared with the client
//! where it is installed.

use anyhow::{Context as _, Result, ensure};
use integration::engine::{current_test, skip};
use integration::oracle::golden::Golden;
use integration::oracle::recorder;

use crate::workshop::{Case, NEWEST_API, RECORDED, WIDTH, Workshop, golden_path, is_recording};
use crate::{combinations, singles};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

/// Of so many recordings one is compared in an ordinary run, as each costs a run of the client.
const STRIDE: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recordings_are_what_the_client_says() -> Result<()> {
    let workshop = Workshop::open().await?;
    let Some(client) = &workshop.again else {
        ensure!(!is_recording(), "docker {RECORDED} is not in PATH");
        skip(&current_test(), &format!("docker {RECORDED} is not installed"));
        return Ok(());
    };
    let stride = if is_recording() { 1 } else { STRIDE };
    let mut cases: Vec<Case> = singles::cases(&workshop).into_iter().map(|single| single.case).collect();
    cases.extend(combinations::cases(&workshop));
    let workshop = &workshop;
    let asked: Vec<_> = stream::iter(cases.into_iter().step_by(stride))
        .map(async |case| anyhow::Ok((workshop.ask_again(client, &case).await?, case)))
        .buffered(WIDTH)
        .try_collect()
        .await?;
    let options = recorder::run_options(client, NEWEST_API).await?;
    if is_recording() {
        let mut golden = Golden::default();
        golden.options = options;
        for (outcome, case) in asked {
            golden.add(case.api, workshop.line(&case)?, outcome);
        }
        return golden.save(&golden_path());
    }
    let golden = Golden::load(&golden_path())?;
    assert_eq!(golden.options, options);
    for (outcome, case) in asked {
        let line = workshop.line(&case)?;
        let recorded = golden.get(case.api, &line);
        let recorded =
            recorded.with_context(|| format!("{}: run scripts/record-docker-options", case.label))?;
        assert_eq!(*recorded, outcome, "{}: run scripts/record-docker-options", case.label);
    }
    Ok(())
}
