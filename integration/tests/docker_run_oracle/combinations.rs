//! A few hundred tasks, each with what Mesos sets and several options on top, drawn from a fixed seed: how options
//! combine with each other and with what comes before them.

use std::collections::BTreeSet;

use anyhow::Result;
use integration::oracle::allowed::ALLOWED;
use integration::supervised::{Net, Task};
use mesos_proto::v1;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::meant;
use crate::samples::{On, SAMPLES};
use crate::singles;
use crate::workshop::{Case, Oracle, Verdict, Workshop, is_recording, judge};

/// How many.
const COUNT: usize = 300;

/// Returns the cases, the same in every run.
pub(crate) fn cases(workshop: &Workshop) -> Vec<Case> {
    let mut runner = TestRunner::deterministic();
    let draw = drawn();
    (0..COUNT)
        .filter_map(|at| {
            let drawn = draw.new_tree(&mut runner).ok()?.current();
            Some(case(workshop, at, drawn))
        })
        .collect()
}

#[derive(Debug, Clone)]
struct Drawn {
    network: u8,
    hostname: Option<String>,
    amounts: Amounts,
    environment: Vec<(String, String)>,
    volumes: Vec<Mounted>,
    ports: Vec<(u16, u16, String)>,
    privileged: bool,
    command: Vec<String>,
    shell: bool,
    dns: bool,
    role: bool,
    parameters: Vec<(Index, Index)>,
    newest: bool,
}

#[derive(Debug, Clone)]
struct Amounts {
    cpus: f64,
    mem: f64,
    cpu_limit: Option<f64>,
    mem_limit: Option<f64>,
    cfs: bool,
}

#[derive(Debug, Clone)]
enum Mounted {
    Host(String, bool),
    Sandbox(String),
    Named(String),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let amounts = (
        select(&[0.001, 0.1, 0.5, 1.0, 2.25][..]),
        select(&[16.0, 32.0, 64.0, 100.5, 1024.0][..]),
        proptest::option::of(select(&[0.5, 3.0, f64::INFINITY][..])),
        proptest::option::of(select(&[1024.0, 2048.0, f64::INFINITY][..])),
        any::<bool>(),
    );
    let amounts = amounts.prop_map(|(cpus, mem, cpu_limit, mem_limit, cfs)| Amounts {
        cpus,
        mem,
        // A limit below the request is refused before any translation.
        cpu_limit: cpu_limit.filter(|limit| *limit >= cpus),
        mem_limit,
        cfs,
    });
    let mounted = prop_oneof![
        ("[a-c]", any::<bool>()).prop_map(|(name, read_only)| Mounted::Host(name, read_only)),
        "[d-f]".prop_map(Mounted::Sandbox),
        "[g-i]".prop_map(Mounted::Named),
    ];
    let environment = proptest::collection::vec(("[A-E]", "[a-z= \n\"']{0,6}"), 0..4);
    let ports = (31000_u16..31010, 1_u16..100, select(&["tcp", "udp", "TCP"][..]));
    let ports = ports.prop_map(|(host, container, protocol)| (host, container, protocol.to_owned()));
    (
        (0_u8..4, proptest::option::of("[a-z]{1,8}"), amounts, environment),
        (proptest::collection::vec(mounted, 0..3), proptest::collection::vec(ports, 0..3), any::<bool>()),
        (proptest::collection::vec("[a-z$ ]{1,6}", 0..3), any::<bool>(), any::<bool>(), any::<bool>()),
        (proptest::collection::vec(any::<(Index, Index)>(), 0..8), any::<bool>()),
    )
        .prop_map(|(first, second, third, fourth)| Drawn {
            network: first.0,
            hostname: first.1,
            amounts: first.2,
            environment: first.3,
            volumes: second.0,
            ports: second.1,
            privileged: second.2,
            command: third.0,
            shell: third.1,
            dns: third.2,
            role: third.3,
            parameters: fourth.0,
            newest: fourth.1,
        })
}

fn case(workshop: &Workshop, at: usize, drawn: Drawn) -> Case {
    let mut agent = workshop.agent();
    let network = [Net::Host, Net::Bridge, Net::None, Net::User("first")][usize::from(drawn.network)];
    let mut task = if drawn.shell {
        Task::shell(&format!("true {}", drawn.command.join(";")))
    } else {
        Task::arguments(&drawn.command.iter().map(String::as_str).collect::<Vec<_>>())
    };
    task =
        task.id("task").network(network).scalar("cpus", drawn.amounts.cpus).scalar("mem", drawn.amounts.mem);
    task = drawn.amounts.cpu_limit.into_iter().fold(task, |task, limit| task.limit("cpus", limit));
    task = drawn.amounts.mem_limit.into_iter().fold(task, |task, limit| task.limit("mem", limit));
    agent.cfs = drawn.amounts.cfs;
    if drawn.dns {
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        agent.bridge_dns = Some([list(&["8.8.8.8"]), list(&["a.test", "b.test"]), list(&["timeout:3"])]);
    }
    if !matches!(network, Net::Host) {
        task = task.container(|container| container.hostname = drawn.hostname);
    }
    task = task.docker(|docker| docker.privileged = Some(drawn.privileged));
    task = task.change(|info| {
        let command = info.command.get_or_insert_default();
        let variables = drawn.environment.iter().map(|(name, value)| v1::environment::Variable {
            name: name.clone(),
            value: Some(value.clone()),
            ..Default::default()
        });
        command.environment = Some(v1::Environment { variables: variables.collect() });
    });
    for (at, volume) in drawn.volumes.into_iter().enumerate() {
        task = mount(workshop, task, at, volume);
    }
    if matches!(network, Net::Bridge | Net::User(_)) && !drawn.ports.is_empty() {
        task = task.ports(31000, 31010).docker(|docker| {
            docker.port_mappings.extend(drawn.ports.into_iter().map(|(host, container, protocol)| {
                v1::container_info::docker_info::PortMapping {
                    host_port: host.into(),
                    container_port: container.into(),
                    protocol: Some(protocol),
                }
            }));
        });
    }
    if drawn.role {
        task = task.role("a/b");
    }
    let samples: Vec<_> = SAMPLES
        .iter()
        .filter(|sample| !sample.good.is_empty() && !meant::is_refused(sample.option))
        .filter(|sample| sample.on == On::Bridge || matches!(network, Net::User(_)))
        .collect();
    for (option, value) in drawn.parameters {
        let sample = samples[option.index(samples.len())];
        let value = sample.good[value.index(sample.good.len())];
        task = task.parameter(sample.option, &workshop.fill_in(value));
    }
    let parameters = task.info().container.iter().flat_map(|container| &container.docker);
    let parameters = parameters.flat_map(|docker| &docker.parameters);
    let parameters: Vec<_> = parameters.map(|p| format!("{}={:?}", p.key, p.value)).collect();
    let api = if drawn.newest { "1.50" } else { "1.41" };
    let label = format!("combination {at} ({network:?}; {}) at {api}", parameters.join(" "));
    Case { label, task, agent, api }
}

fn mount(workshop: &Workshop, task: Task, at: usize, volume: Mounted) -> Task {
    let mode = |read_only: bool| if read_only { v1::volume::Mode::Ro } else { v1::volume::Mode::Rw };
    match volume {
        Mounted::Host(name, read_only) => {
            task.mount(&format!("/tmp/oracle/{name}"), &format!("/host/{at}"), mode(read_only))
        }
        Mounted::Sandbox(name) => task.mount(&name, &format!("/sandbox/{at}"), mode(false)),
        Mounted::Named(name) => task.volume(v1::Volume {
            mode: mode(false).into(),
            container_path: format!("below/{at}"),
            source: Some(v1::volume::Source {
                r#type: Some(v1::volume::source::Type::DockerVolume.into()),
                docker_volume: Some(v1::volume::source::DockerVolume {
                    driver: Some("local".into()),
                    name: format!("{}-{name}", workshop.volume),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            ..Default::default()
        }),
    }
}

/// Combinations become what the newest client makes of them, and every difference that is allowed is there for a reason:
/// one that no combination needs is taken off the list.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn combinations_become_what_the_client_makes_of_them() -> Result<()> {
    if is_recording() {
        return Ok(());
    }
    let workshop = Workshop::open().await?;
    let cases = cases(&workshop);
    let asked = workshop.ask_all(cases.iter()).await?;
    let (mut wrong, mut used, mut same) = (Vec::new(), BTreeSet::new(), 0);
    for (case, asked) in cases.iter().zip(&asked) {
        let verdicts = asked.verdicts(case);
        for (_, verdict) in &verdicts {
            if let Verdict::Same(names) = verdict {
                used.extend(names.iter().copied());
            }
        }
        // An older client may do otherwise where the newest one says how it is done now.
        let is_as_older = verdicts.iter().any(|(_, verdict)| matches!(verdict, Verdict::Same(_)));
        let newest = verdicts.into_iter().next();
        match newest {
            Some((_, Verdict::Same(_))) => same += 1,
            None | Some((_, Verdict::BothRefuse)) => {}
            Some((_, Verdict::OnlyWeRefuse(sentence))) if meant::is_why_we_refuse(case, &sentence) => {}
            // It is too new for the engine, or has dropped an option.
            Some((_, Verdict::OnlyClientRefuses(_))) if is_as_older => same += 1,
            Some((version, Verdict::OnlyClientRefuses(sentence))) => {
                if let Some(objection) = meant::objection(&workshop, case, &sentence, &asked.ours)? {
                    wrong.push(format!("{}: docker {version}: {objection}", case.label));
                }
            }
            Some((version, verdict)) => wrong.push(format!("{}: docker {version}: {verdict:?}", case.label)),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(same > COUNT / 2, "only {same} of {COUNT} combinations are taken by both");
    for oracle in workshop.oracles.iter().filter(|oracle| matches!(oracle, Oracle::Recorded(_))) {
        for single in singles::cases(&workshop) {
            let outcome = workshop.ask(oracle, &single.case).await?;
            if let Verdict::Same(names) = judge(&single.case, &outcome, &workshop.ask_us(&single.case)?) {
                used.extend(names);
            }
        }
    }
    let unused: Vec<_> = ALLOWED.iter().filter(|allowed| !used.contains(allowed.name)).collect();
    assert!(unused.is_empty(), "nothing needs these any more: {unused:?}");
    Ok(())
}
