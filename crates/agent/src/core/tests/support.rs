//! What runs here and what does not, and the container of those who name none.

use mesos_proto::v1::container_info::{MesosInfo, Type};
use mesos_proto::v1::task_status::Reason;

use super::executor_rig::custom_task;
use super::*;

fn mesos(image: bool) -> Option<v1::ContainerInfo> {
    let image = image.then(|| v1::Image { r#type: v1::image::Type::Docker.into(), ..Default::default() });
    Some(v1::ContainerInfo {
        r#type: Type::Mesos.into(),
        mesos: Some(MesosInfo { image }),
        ..Default::default()
    })
}

/// Lets a task come; answers what was done.
fn comes(bench: &mut Bench, task: v1::TaskInfo) -> Vec<Action> {
    let id = task.task_id.value.clone();
    bench.step(run_task(framework("F", &[]), task));
    bench.step(Event::Unscheduled(framework_id("F"), id.parse().unwrap()))
}

fn launched(actions: &[Action]) -> Option<&Launched> {
    actions.iter().find_map(|action| match action {
        Action::Launch(launch) => Some(&launch.what),
        _ => None,
    })
}

#[rstest::rstest]
#[case::no_container(None)]
#[case::one_without_an_image(mesos(false))]
fn a_command_task_without_an_image_runs(#[case] container: Option<v1::ContainerInfo>) {
    let mut bench = Bench::registered();
    let task = v1::TaskInfo { container: container.clone(), ..docker_task("t") };
    let actions = comes(&mut bench, task);
    let Some(Launched::Task(info)) = launched(&actions) else { panic!("{actions:?}") };
    assert_eq!(info.container, container);
}

#[test]
fn who_names_no_container_gets_the_default_one() {
    let mut bench = Bench::registered();
    bench.state.settings.default_container = docker_task("x").container;
    let actions = comes(&mut bench, v1::TaskInfo { container: None, ..docker_task("t") });
    let Some(Launched::Task(info)) = launched(&actions) else { panic!("{actions:?}") };
    assert_eq!(info.container, docker_task("x").container);
    let actions = comes(&mut bench, custom_task("u", "E"));
    let Some(Launched::Executor(launch)) = launched(&actions) else { panic!("{actions:?}") };
    assert_eq!(launch.executor.container, docker_task("x").container);
    // Its own comes first, and what the master and the disk hear is what the framework said.
    let actions = comes(&mut bench, v1::TaskInfo { container: mesos(false), ..docker_task("v") });
    let Some(Launched::Task(info)) = launched(&actions) else { panic!("{actions:?}") };
    assert_eq!(info.container, mesos(false));
    let (executor, _) = bench.state.agent().frameworks[&framework_id("F")].live_task(&task_id("u")).unwrap();
    assert_eq!(executor.info.container, None);
}

/// What would end with the agent's own container is refused, and what has a container of its own is not.
#[test]
fn an_agent_in_a_container_takes_docker_images_only() {
    let mut bench = Bench::registered();
    bench.state.settings.plain = Plain::EndsWithAgent;
    for task in [v1::TaskInfo { container: None, ..docker_task("t") }, custom_task("u", "E")] {
        let actions = comes(&mut bench, task);
        let status = &sent(&actions)[0].status;
        assert_eq!(status.reason(), Reason::ContainerLaunchFailed);
        assert!(status.message().contains("--docker_mesos_image"), "{}", status.message());
    }
    assert!(launched(&comes(&mut bench, docker_task("d"))).is_some());
    let mut task = custom_task("v", "E");
    if let Some(executor) = &mut task.executor {
        executor.container = docker_task("d").container;
    }
    assert!(launched(&comes(&mut bench, task)).is_some());
}

#[rstest::rstest]
#[case::none(PlainLimits::default(), "cpus", false)]
#[case::the_other(PlainLimits { cpus: false, mem: true }, "cpus", false)]
#[case::it(PlainLimits { cpus: true, mem: false }, "cpus", true)]
#[case::no_mem(PlainLimits { cpus: true, mem: false }, "mem", false)]
#[case::mem(PlainLimits { cpus: false, mem: true }, "mem", true)]
fn limits_need_an_isolator_unless_docker_holds_them(
    #[case] limits: PlainLimits,
    #[case] name: &str,
    #[case] runs: bool,
) {
    let mut bench = Bench::registered();
    bench.state.settings.plain_limits = limits;
    let mut task = v1::TaskInfo { container: None, ..docker_task("t") };
    task.limits.insert(name.into(), v1::value::Scalar { value: f64::INFINITY });
    let actions = comes(&mut bench, task.clone());
    assert_eq!(launched(&actions).is_some(), runs);
    if !runs {
        let status = &sent(&actions)[0].status;
        assert_eq!(status.reason(), Reason::GcError);
        assert!(status.message().contains(&format!("limits.{name}")), "{}", status.message());
    }
    let docker = v1::TaskInfo {
        task_id: v1::TaskId { value: "d".into() },
        container: docker_task("d").container,
        ..task
    };
    assert!(launched(&comes(&mut bench, docker)).is_some());
}

#[test]
fn groups_and_the_default_executor_are_refused_by_name() {
    let mut bench = Bench::registered();
    let mut task = custom_task("t", "E");
    if let Some(executor) = &mut task.executor {
        executor.set_type(v1::executor_info::Type::Default);
    }
    let actions = comes(&mut bench, task.clone());
    assert!(sent(&actions)[0].status.message().contains("executor.type DEFAULT"));
    let group = internal::RunTaskGroupMessage {
        framework: framework("G", &[]),
        executor: custom_task("x", "E").executor.unwrap(),
        task_group: v1::TaskGroupInfo { tasks: vec![docker_task("a"), docker_task("b")] },
        launch_executor: Some(true),
        ..Default::default()
    };
    bench.step(from_master(Message::RunTaskGroup(Box::new(group))));
    for id in ["a", "b"] {
        let actions = bench.step(Event::Unscheduled(framework_id("G"), task_id(id)));
        assert!(sent(&actions)[0].status.message().contains("task_group"), "{actions:?}");
    }
}
