//! Which changes of itself an agent keeps its id over.

use mesos_proto::v1::domain_info::FaultDomain;
use mesos_proto::v1::domain_info::fault_domain::{RegionInfo, ZoneInfo};
use mesos_proto::v1::{AgentInfo, DomainInfo};
use mesos_types::compatibility::{check_additive, check_equal};
use mesos_types::{ResourceFlag, attributes};
use rstest::rstest;

fn agent(host: &str, resources: &str, facts: &str) -> AgentInfo {
    AgentInfo {
        hostname: host.to_owned(),
        port: Some(5051),
        resources: ResourceFlag::parse(resources, "*").expect("resources").resources.to_protos(),
        attributes: attributes::parse(facts).expect("attributes"),
        ..Default::default()
    }
}

fn in_zone(mut info: AgentInfo, zone: &str) -> AgentInfo {
    info.domain = Some(DomainInfo {
        fault_domain: Some(FaultDomain {
            region: RegionInfo { name: "r".into() },
            zone: ZoneInfo { name: zone.into() },
        }),
    });
    info
}

#[rstest]
#[case("cpus:4;mem:64", "a:1", true, true)]
#[case("mem:64;cpus:4", "a:1", true, true)]
#[case("cpus:5;mem:64", "a:1", false, true)]
#[case("cpus:4;mem:64;gpus:1", "a:1", false, true)]
#[case("cpus:4;mem:64", "a:1;b:2", false, true)]
#[case("cpus:3;mem:64", "a:1", false, false)]
#[case("mem:64", "a:1", false, false)]
#[case("cpus(r):4;mem:64", "a:1", false, false)]
#[case("cpus:4;mem:64", "a:2", false, false)]
#[case("cpus:4;mem:64", "a:x", false, false)]
#[case("cpus:4;mem:64", "", false, false)]
fn resources_and_attributes(
    #[case] resources: &str,
    #[case] facts: &str,
    #[case] is_equal: bool,
    #[case] is_additive: bool,
) {
    let recorded = agent("h", "cpus:4;mem:64", "a:1");
    let flags = agent("h", resources, facts);
    assert_eq!(check_equal(&recorded, &flags).is_ok(), is_equal);
    assert_eq!(check_additive(&recorded, &flags).is_ok(), is_additive);
}

#[rstest]
#[case("r:[1-5]", "r:[1-9]", true)]
#[case("r:[1-5]", "r:[2-9]", false)]
fn ranges_of_attributes_may_grow(#[case] was: &str, #[case] is: &str, #[case] is_additive: bool) {
    let result = check_additive(&agent("h", "ports:[1-2]", was), &agent("h", "ports:[1-3]", is));
    assert_eq!(result.is_ok(), is_additive);
}

#[test]
fn the_place_must_stay_and_a_domain_may_come() {
    let recorded = agent("h", "cpus:4", "");
    let elsewhere = agent("other", "cpus:4", "");
    let mut other_port = recorded.clone();
    other_port.port = Some(5052);
    for check in [check_equal, check_additive] {
        let error = check(&recorded, &elsewhere).unwrap_err().to_string();
        assert_eq!(error, "recorded hostname h, and now other");
        assert_eq!(
            check(&recorded, &other_port).unwrap_err().to_string(),
            "recorded port 5051, and now 5052"
        );
        let error = check(&in_zone(recorded.clone(), "a"), &in_zone(recorded.clone(), "b")).unwrap_err();
        assert_eq!(error.to_string(), "recorded domain r/a, and now r/b");
        assert!(check(&in_zone(recorded.clone(), "a"), &recorded).is_err());
    }
    assert!(check_additive(&recorded, &in_zone(recorded.clone(), "a")).is_ok());
    assert!(check_equal(&recorded, &in_zone(recorded.clone(), "a")).is_err());
    let error = check_equal(&recorded, &agent("h", "cpus:5", "")).unwrap_err().to_string();
    assert_eq!(error, "recorded resources cpus:4, and now cpus:5");
}
