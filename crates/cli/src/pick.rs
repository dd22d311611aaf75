//! From what a person types to a run: a task id, a container id, an engine id, or a beginning of one.

use mesos_types::ContainerId;

use crate::failure::Failure;
use crate::find::KnownRun;

/// How many candidates a message names.
const SHOWN: usize = 5;

/// Picks the run that `id` names.
///
/// A whole id wins over a beginning. Of several runs of one task id the one that has not ended is meant, if there is
/// just one such.
///
/// # Errors
///
/// No run, or several; the message names them.
pub(crate) fn pick<'a>(runs: &'a [KnownRun], id: &str) -> Result<&'a KnownRun, Failure> {
    let id = id.trim_start_matches('/');
    if id.is_empty() {
        return Err(Failure::ours("the id is empty").hint("mesos-docker ps -a lists all tasks"));
    }
    let whole: Vec<_> = runs.iter().filter(|run| ids(run).iter().any(|own| own == id)).collect();
    let candidates = match whole.is_empty() {
        false => whole,
        true => runs.iter().filter(|run| ids(run).iter().any(|own| own.starts_with(id))).collect(),
    };
    if let [run] = candidates[..] {
        return Ok(run);
    }
    let active: Vec<_> = candidates.iter().filter(|run| !run.is_terminal()).collect();
    if let [run] = active[..] {
        return Ok(run);
    }
    Err(refuse(&candidates, id))
}

/// A container's id as people see it.
pub(crate) fn short(id: ContainerId) -> String {
    id.to_string().chars().take(8).collect()
}

fn ids(run: &KnownRun) -> Vec<String> {
    let mut ids = vec![
        run.identity.task_id.as_str().to_owned(),
        run.identity.container_id.to_string(),
        run.record.container_name.clone(),
    ];
    ids.extend(run.record.engine_id.clone());
    ids
}

fn refuse(candidates: &[&KnownRun], id: &str) -> Failure {
    if candidates.is_empty() {
        return Failure::ours(format!("no task or container has the id {id:?}"))
            .hint("mesos-docker ps -a lists all tasks of this --work_dir");
    }
    let mut names: Vec<_> = candidates
        .iter()
        .rev()
        .take(SHOWN)
        .map(|run| {
            format!(
                "{} ({} {})",
                short(run.identity.container_id),
                run.identity.task_id,
                run.state().as_str_name()
            )
        })
        .collect();
    if candidates.len() > SHOWN {
        names.push(format!("and {} more", candidates.len() - SHOWN));
    }
    Failure::ours(format!("{id:?} names {} tasks: {}", candidates.len(), names.join(", ")))
        .hint("name one by more of its container id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;
    use crate::find::tests::make;
    use task_supervisor::Phase;

    #[rstest::rstest]
    #[case::task("web", Ok("aaaaaaaa"))]
    #[case::whole_task_beats_a_beginning("web.1", Ok("abababab"))]
    #[case::container_id("aaaaaaaa-0000-4000-8000-000000000000", Ok("aaaaaaaa"))]
    #[case::beginning_of_a_container_id("ab", Ok("abababab"))]
    #[case::engine_id("aaaaaaaaf0000", Ok("aaaaaaaa"))]
    #[case::name("/mesos-local-abababab-0000-4000-8000-000000000000", Ok("abababab"))]
    #[case::the_one_that_lives("again", Ok("dddddddd"))]
    #[case::several("ended", Err("\"ended\" names 2 tasks: ffffffff (ended"))]
    #[case::several_by_beginning("we", Err("\"we\" names 2 tasks"))]
    #[case::none("nothing", Err("no task or container has the id \"nothing\""))]
    #[case::empty("", Err("the id is empty"))]
    #[case::control("a\u{1b}", Err("no task or container has the id"))]
    fn an_id_names_one_run(#[case] id: &str, #[case] expected: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        for (task, container, phase) in [
            ("web", "aaaaaaaa", Phase::Running),
            ("web.1", "abababab", Phase::Running),
            ("again", "cccccccc", Phase::Terminal),
            ("again", "dddddddd", Phase::Running),
            ("ended", "eeeeeeee", Phase::Terminal),
            ("ended", "ffffffff", Phase::Terminal),
        ] {
            make(dir.path(), task, &format!("{container}-0000-4000-8000-000000000000"), phase);
        }
        let runs = find::runs(dir.path()).known;
        match (pick(&runs, id), expected) {
            (Ok(run), Ok(expected)) => assert_eq!(short(run.identity.container_id), expected),
            (Err(failure), Err(expected)) => {
                let message = failure.message();
                assert!(message.starts_with(expected), "{message}");
            }
            (found, _) => panic!("{id:?}: {found:?}"),
        }
    }
}
