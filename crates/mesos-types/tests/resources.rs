//! The arithmetic of resources from the outside, against the rules of Mesos and against real sets.

use std::collections::BTreeMap;

use mesos_proto::v1;
use mesos_types::resource::{
    DiskSource, ResourceLimits, ResourceValue, apply_checkpointed, apply_operation, executor_limits,
    limits_from_proto, limits_to_proto, needs_checkpoint, summary,
};
use mesos_types::{Amount, Limit, Resource, ResourceFlag, ResourceSet};
use proptest::prelude::*;
use rstest::rstest;
use v1::resource::ReservationInfo;
use v1::resource::reservation_info::Type;

/// The sum that `--resources` would give.
fn set(text: &str) -> ResourceSet {
    ResourceFlag::parse(text, "*").unwrap_or_else(|error| panic!("{text}: {error}")).resources
}

/// One resource as a message.
fn one(text: &str) -> v1::Resource {
    set(text).to_protos().remove(0)
}

/// A reservation at run time on top of what is there.
fn reserved(mut resource: v1::Resource, role: &str) -> v1::Resource {
    resource.reservations.push(ReservationInfo {
        r#type: Some(Type::Dynamic.into()),
        role: Some(role.into()),
        principal: Some("p".into()),
        labels: None,
    });
    resource
}

/// A persistent volume of it.
fn volume(mut resource: v1::Resource, id: &str) -> v1::Resource {
    let disk = resource.disk.get_or_insert_default();
    disk.persistence = Some(v1::resource::disk_info::Persistence { id: id.into(), principal: None });
    disk.volume = Some(v1::Volume { container_path: "data".into(), ..Default::default() });
    resource
}

fn shared(mut resource: v1::Resource) -> v1::Resource {
    resource.shared = Some(v1::resource::SharedInfo {});
    resource
}

fn on_mount(mut resource: v1::Resource, root: &str) -> v1::Resource {
    resource.disk = Some(v1::resource::DiskInfo {
        source: Some(v1::resource::disk_info::Source {
            r#type: v1::resource::disk_info::source::Type::Mount.into(),
            mount: Some(v1::resource::disk_info::source::Mount { root: Some(root.into()) }),
            ..Default::default()
        }),
        ..Default::default()
    });
    resource
}

fn sum(messages: &[v1::Resource]) -> ResourceSet {
    ResourceSet::from_protos(messages).expect("resources")
}

fn single(message: &v1::Resource) -> ResourceSet {
    sum(std::slice::from_ref(message))
}

fn minus(mut from: ResourceSet, less: &ResourceSet) -> ResourceSet {
    from.subtract_all(less);
    from
}

#[rstest]
#[case("cpus:0.1;cpus:0.2", "cpus:0.3", "")]
#[case("cpus:4;mem:64", "cpus:1.5", "cpus:2.5;mem:64")]
#[case("cpus:4", "cpus:4", "")]
#[case("cpus:4", "cpus(r):1", "cpus:4")]
#[case("cpus(r):4;cpus:2", "cpus(r):1", "cpus(r):3;cpus:2")]
#[case("ports:[1-10]", "ports:[3-4, 7-8]", "ports:[1-2, 5-6, 9-10]")]
#[case("bugs:{a,b,c}", "bugs:{b}", "bugs:{a,c}")]
#[case("cpus:1", "cpus:2", "")]
fn what_is_left(#[case] all: &str, #[case] less: &str, #[case] left: &str) {
    assert_eq!(minus(set(all), &set(less)), set(left));
}

#[rstest]
#[case("cpus:4;mem:64", "cpus:4", true)]
#[case("cpus:4", "cpus:4.001", false)]
#[case("cpus:4", "cpus(r):1", false)]
#[case("ports:[1-10]", "ports:[2-3, 9-10]", true)]
#[case("ports:[1-4, 6-10]", "ports:[4-6]", false)]
#[case("bugs:{a,b}", "bugs:{a}", true)]
#[case("bugs:{a,b}", "bugs:{c}", false)]
#[case("cpus:1", "", true)]
#[case("", "cpus:0", true)]
fn what_is_contained(#[case] all: &str, #[case] part: &str, #[case] expected: bool) {
    assert_eq!(set(all).contains(&set(part)), expected);
}

#[test]
fn the_flag_is_read_as_a_stock_agent_reads_it() {
    // Given to a stock 1.11.0 agent, whose /state showed the same, 4.0005 apart: stock rounds it when it computes, we when we read.
    let text = " cpus(a/b): 4.0005 ;cpus:1.5;cpus:0.25;bugs(r):{a, b};ports:[31000-32000, 8080-8081];ports(a/b):[1-2];foo:3;gpus:0";
    let flag = ResourceFlag::parse(text, "*").unwrap();
    let shown = serde_json::to_value(summary::summary(&flag.resources)).unwrap();
    assert_eq!(
        shown,
        serde_json::json!({"cpus": 5.75, "mem": 0.0, "disk": 0.0, "gpus": 0.0, "foo": 3.0,
            "ports": "[1-2, 8080-8081, 31000-32000]", "bugs": "{a, b}"})
    );
    let reserved = serde_json::to_value(summary::reserved_summary(&flag.resources)).unwrap();
    assert_eq!(
        reserved,
        serde_json::json!({
            "a/b": {"cpus": 4.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0, "ports": "[1-2]"},
            "r": {"cpus": 0.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0, "bugs": "{a, b}"},
        })
    );
    assert!(flag.named.contains("gpus") && flag.resources.amount("gpus").is_none());
    let full = summary::full(flag.resources.filter(|one| one.name() == "bugs").iter());
    assert_eq!((full[0].role.as_deref(), full[0].reservations.len()), (Some("r"), 1));
}

#[test]
fn json_says_what_text_cannot() {
    let json = r#" [{"name":"cpus","type":"SCALAR","scalar":{"value":2}},
        {"name":"disk","type":"SCALAR","scalar":{"value":100},"role":"r",
         "disk":{"source":{"type":"PATH","path":{"root":"vol"}}}}]"#;
    let flag = ResourceFlag::parse(json, "d").unwrap();
    let roles: Vec<_> = flag.resources.iter().map(|one| (one.name(), one.role())).collect();
    assert_eq!(roles, [("cpus", "d"), ("disk", "r")]);
    let disk = flag.resources.iter().last().unwrap();
    assert_eq!(disk.disk_source(), DiskSource::Path("vol"));
    assert_eq!(set("cpus:2").to_protos().len(), 1);
    for (json, message) in [
        ("[{\"name\":\"cpus\"}]", "the JSON is not a list of resources"),
        (
            "[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"role\":\"r\",\"reservation\":{\"principal\":\"p\"}}]",
            "a dynamic reservation",
        ),
        (
            "[{\"name\":\"disk\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"role\":\"r\",\"disk\":{\"persistence\":{\"id\":\"x\"}}}]",
            "a persistent volume",
        ),
        (
            "[{\"name\":\"cpus\",\"type\":\"SCALAR\",\"scalar\":{\"value\":1},\"revocable\":{}}]",
            "a revocable resource",
        ),
        ("[{\"name\":\"cpus\",\"type\":\"RANGES\",\"scalar\":{\"value\":1}}]", "it has no ranges"),
    ] {
        let error = ResourceFlag::parse(json, "*").unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[rstest]
#[case("cpus", "\"cpus\" is not name:value")]
#[case("cpus:-1", "the value of \"cpus\" cannot be used: -1 is negative")]
#[case("cpus:abc", "the value of \"cpus\" cannot be used: \"abc\" is not a number")]
#[case("cpus:[1-2]", "resource \"cpus\": it must be a number")]
#[case("ports:4", "resource \"ports\": it must be ranges")]
#[case("ports:[5-4]", "range 5-4 ends before it begins")]
#[case("ports:[5]", "\"5\" is not a range")]
#[case("gpus:1.5", "resource \"gpus\": it must be a whole number")]
#[case("a(:1", "is not name:value or name(role):value")]
#[case("a(b)c:1", "is not name:value or name(role):value")]
#[case("a(-b):1", "\"-b\" is not the name of a role")]
#[case(":1", "it has no name")]
#[case("cpus:1e30", "more than any machine has")]
#[case("cpus:nan", "is not a number")]
fn what_the_flag_cannot_say_is_named(#[case] text: &str, #[case] message: &str) {
    let error = ResourceFlag::parse(text, "*").unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn hostile_messages_are_no_resources() {
    let cpus = one("cpus:1");
    let disk = one("disk(r):10");
    let refuse = |message: v1::Resource, reason: &str| {
        let error = Resource::from_proto(&message).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refuse(volume(disk.clone(), "../../etc"), "cannot be the id of a volume");
    refuse(volume(disk.clone(), ""), "cannot be the id of a volume");
    refuse(volume(disk.clone(), &"x".repeat(256)), "cannot be the id of a volume");
    refuse(volume(cpus.clone(), "v"), "only the resource disk");
    refuse(shared(cpus.clone()), "only a persistent volume can be shared");
    refuse(reserved(reserved(cpus.clone(), "a"), "b"), "is not below role");
    refuse(reserved(cpus.clone(), "a/../b"), "is not the name of a role");
    refuse(reserved(cpus.clone(), "*"), "cannot be for the role *");
    let mut text = cpus.clone();
    text.r#type = v1::value::Type::Text.into();
    refuse(text, "cannot be a text");
    let mut nan = cpus.clone();
    nan.scalar = Some(v1::value::Scalar { value: f64::NAN });
    refuse(nan, "is not an amount");
    let mut unknown = cpus;
    unknown.r#type = 77;
    refuse(unknown, "is no type");
}

#[test]
fn volumes_and_mounts_are_one_piece() {
    let data = volume(one("disk(r):10"), "data");
    let more = volume(one("disk(r):5"), "data");
    let all = sum(&[data.clone(), one("disk(r):100")]);
    assert_eq!(all.iter().count(), 2);
    assert!(all.contains(&single(&data)));
    assert!(!all.contains(&single(&more)), "a part of a volume is none");
    assert_eq!(minus(all.clone(), &sum(&[more])), all);
    assert_eq!(minus(all, &sum(&[data])), set("disk(r):100"));

    let mount = on_mount(one("disk:100"), "/mnt/a");
    let two = sum(&[mount.clone(), on_mount(one("disk:100"), "/mnt/b"), mount.clone()]);
    assert_eq!(two.iter().count(), 3, "mounts are never merged");
    assert!(!single(&mount).contains(&sum(&[on_mount(one("disk:50"), "/mnt/a")])));
    assert!(!single(&mount).contains(&sum(&[mount.clone(), mount])));
}

#[test]
fn how_a_volume_is_used_does_not_set_it_apart() {
    let one_use = volume(one("disk(r):10"), "data");
    let mut other_use = one_use.clone();
    other_use.disk.as_mut().unwrap().volume.as_mut().unwrap().container_path = "elsewhere".into();
    assert_eq!(sum(&[one_use]), sum(&[other_use]));
}

#[test]
fn shared_volumes_are_counted() {
    let data = shared(volume(reserved(one("disk:10"), "r"), "data"));
    let twice = sum(&[data.clone(), data.clone()]);
    assert_eq!((twice.iter().count(), twice.copies(twice.iter().next().unwrap())), (1, 2));
    assert!(twice.contains(&single(&data)));
    assert!(!single(&data).contains(&twice));
    let once = minus(twice.clone(), &single(&data));
    assert_eq!(once, single(&data));
    assert!(minus(once, &sum(&[data])).is_empty());
    assert_eq!(minus(twice.clone(), &twice), ResourceSet::new());
}

#[test]
fn allocations_set_resources_apart_and_can_be_dropped() {
    let free = set("cpus:4;mem:64");
    let given = free.allocated_to("r");
    assert!(!free.contains(&given));
    assert_eq!(given.unallocated(), free);
    assert_eq!(given.iter().next().unwrap().allocation_role(), Some("r"));
}

/// An operation of one kind.
fn operation(kind: v1::offer::operation::Type, list: Vec<v1::Resource>) -> v1::offer::Operation {
    use v1::offer::operation::{Create, Destroy, Reserve, Type, Unreserve};
    let mut operation = v1::offer::Operation { r#type: Some(kind.into()), ..Default::default() };
    match kind {
        Type::Reserve => operation.reserve = Some(Reserve { source: vec![], resources: list }),
        Type::Unreserve => operation.unreserve = Some(Unreserve { resources: list }),
        Type::Create => operation.create = Some(Create { volumes: list }),
        Type::Destroy => operation.destroy = Some(Destroy { volumes: list }),
        _ => {}
    }
    operation
}

#[test]
fn reservations_and_volumes_come_and_go() {
    use v1::offer::operation::Type;
    let total = set("cpus:4;disk:100;mem(s):64");
    let reserve =
        operation(Type::Reserve, vec![reserved(one("cpus:1.5"), "r"), reserved(one("disk:30"), "r")]);
    let with_reservation = apply_operation(&total, &reserve).unwrap();
    assert_eq!(
        with_reservation,
        sum(&[
            one("cpus:2.5"),
            one("disk:70"),
            one("mem(s):64"),
            reserved(one("cpus:1.5"), "r"),
            reserved(one("disk:30"), "r"),
        ])
    );

    let data = volume(reserved(one("disk:10"), "r"), "data");
    let create = operation(Type::Create, vec![data.clone()]);
    let with_volume = apply_operation(&with_reservation, &create).unwrap();
    assert!(with_volume.contains(&sum(&[data.clone(), reserved(one("disk:20"), "r")])));

    // What is reserved and made into volumes is what the checkpoint holds, and it gives the same total.
    let kept = with_volume.filter(needs_checkpoint);
    assert_eq!(kept.iter().count(), 3);
    assert_eq!(apply_checkpointed(&total, &kept).unwrap(), with_volume);

    let unreserve =
        operation(Type::Unreserve, vec![reserved(one("cpus:1.5"), "r"), reserved(one("disk:20"), "r")]);
    let destroyed = apply_operation(&with_volume, &operation(Type::Destroy, vec![data])).unwrap();
    assert_eq!(destroyed, with_reservation);
    let unreserved = apply_operation(&with_volume, &unreserve).unwrap();
    assert_eq!(unreserved.amount("cpus"), total.amount("cpus"));
    assert_eq!(
        apply_operation(
            &with_reservation,
            &operation(Type::Unreserve, vec![reserved(one("cpus:1.5"), "r"), reserved(one("disk:30"), "r"),])
        )
        .unwrap(),
        total
    );
}

#[test]
fn reservations_are_refined_on_top_of_the_ones_of_the_flags() {
    use v1::offer::operation::Type;
    let total = set("cpus(a):4");
    let refined = reserved(one("cpus(a):1"), "a/b");
    let after = apply_operation(&total, &operation(Type::Reserve, vec![refined.clone()])).unwrap();
    assert_eq!(after, sum(&[one("cpus(a):3"), refined.clone()]));
    assert_eq!(apply_checkpointed(&total, &after.filter(needs_checkpoint)).unwrap(), after);
    assert_eq!(apply_operation(&after, &operation(Type::Unreserve, vec![refined])).unwrap(), total);
}

#[test]
fn a_reservation_changes_hands() {
    let total = sum(&[reserved(one("cpus:2"), "a"), one("cpus:2")]);
    let mut message = operation(v1::offer::operation::Type::Reserve, vec![reserved(one("cpus:1"), "b")]);
    message.reserve.as_mut().unwrap().source = vec![reserved(one("cpus:1"), "a")];
    let after = apply_operation(&total, &message).unwrap();
    assert_eq!(after, sum(&[reserved(one("cpus:1"), "a"), reserved(one("cpus:1"), "b"), one("cpus:2")]));
    message.reserve.as_mut().unwrap().source = vec![reserved(one("cpus:0.5"), "a")];
    let error = apply_operation(&total, &message).unwrap_err().to_string();
    assert!(error.contains("not the same amounts"), "{error}");
}

#[test]
fn volumes_grow_and_shrink() {
    use v1::offer::operation::{GrowVolume, ShrinkVolume, Type};
    let data = |size: &str| volume(reserved(one(size), "r"), "data");
    let total = sum(&[data("disk:10"), reserved(one("disk:20"), "r")]);
    let grow = |addition: v1::Resource| v1::offer::Operation {
        grow_volume: Some(GrowVolume { volume: data("disk:10"), addition }),
        ..operation(Type::GrowVolume, vec![])
    };
    let grown = apply_operation(&total, &grow(reserved(one("disk:5"), "r"))).unwrap();
    assert_eq!(grown, sum(&[data("disk:15"), reserved(one("disk:15"), "r")]));
    assert!(apply_operation(&total, &grow(one("disk:5"))).is_err(), "of another reservation");
    assert!(apply_operation(&total, &grow(reserved(one("disk:25"), "r"))).is_err(), "more than there is");

    let shrink = |value: f64| v1::offer::Operation {
        shrink_volume: Some(ShrinkVolume { volume: data("disk:15"), subtract: v1::value::Scalar { value } }),
        ..operation(Type::ShrinkVolume, vec![])
    };
    assert_eq!(apply_operation(&grown, &shrink(5.0)).unwrap(), total);
    for bad in [15.0, 16.0, -1.0, f64::NAN] {
        assert!(apply_operation(&grown, &shrink(bad)).is_err(), "{bad}");
    }
}

#[test]
fn what_cannot_be_applied_is_named_and_changes_nothing() {
    use v1::offer::operation::Type;
    let total = set("cpus:4;disk:100");
    let refuse = |operation: v1::offer::Operation, reason: &str| {
        let error = apply_operation(&total, &operation).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    refuse(operation(Type::Reserve, vec![one("cpus:1")]), "has no dynamic reservation");
    refuse(
        operation(Type::Reserve, vec![reserved(one("cpus:5"), "r")]),
        "operation RESERVE needs cpus:5, and the agent has cpus:4; disk:100",
    );
    refuse(operation(Type::Unreserve, vec![one("cpus(r):1")]), "has no dynamic reservation");
    refuse(operation(Type::Unreserve, vec![volume(reserved(one("disk:1"), "r"), "v")]), "destroy it first");
    refuse(operation(Type::Create, vec![one("disk:1")]), "is not a persistent volume");
    refuse(operation(Type::Create, vec![volume(one("disk:1"), "v")]), "is not reserved");
    refuse(operation(Type::Create, vec![volume(one("disk(r):1"), "..")]), "has a bad resource");
    refuse(operation(Type::Destroy, vec![volume(one("disk(r):1"), "v")]), "needs disk(r)[v]:1");
    refuse(operation(Type::Launch, vec![]), "operation LAUNCH is refused");
    refuse(
        v1::offer::Operation { r#type: Some(Type::Create.into()), ..Default::default() },
        "does not say what",
    );

    let data = shared(volume(reserved(one("disk:1"), "r"), "v"));
    let in_use = sum(&[data.clone(), data.clone()]);
    let error = apply_operation(&in_use, &operation(Type::Destroy, vec![data])).unwrap_err().to_string();
    assert!(error.contains("is shared and has other copies"), "{error}");
}

#[test]
fn a_checkpoint_must_fit_the_flags() {
    let flags = set("cpus:4;disk(r):10");
    let data = sum(&[volume(one("disk(r):10"), "v")]);
    assert_eq!(
        apply_checkpointed(&flags, &data).unwrap(),
        sum(&[one("cpus:4"), volume(one("disk(r):10"), "v")])
    );
    let error = apply_checkpointed(&set("cpus:4;disk(r):9"), &data).unwrap_err().to_string();
    assert!(error.contains("disk(r)[v]:10 of the checkpoint needs disk(r):10"), "{error}");
    let error = apply_checkpointed(&flags, &set("cpus:1")).unwrap_err().to_string();
    assert!(error.contains("neither reserved at run time nor a volume"), "{error}");
    let mount = volume(reserved(on_mount(one("disk:100"), "/mnt/a"), "r"), "v");
    let with_mount = sum(&[on_mount(one("disk:100"), "/mnt/a")]);
    assert_eq!(apply_checkpointed(&with_mount, &single(&mount)).unwrap(), sum(&[mount]));
}

#[test]
fn limits_of_an_executor() {
    let limits = |list: &[(&str, f64)]| -> ResourceLimits {
        let map: BTreeMap<String, v1::value::Scalar> = list
            .iter()
            .map(|(name, value)| ((*name).to_owned(), v1::value::Scalar { value: *value }))
            .collect();
        limits_from_proto(&map).unwrap()
    };
    let executor = set("cpus:0.1;mem:32");
    let (small, large) = (set("cpus:1;mem:100"), set("cpus:2;mem:200"));
    let none = limits(&[]);
    assert!(executor_limits(&executor, [(&small, &none), (&large, &none)]).is_empty());
    let some = limits(&[("cpus", 3.5)]);
    let sums = executor_limits(&executor, [(&small, &some), (&large, &none)]);
    assert_eq!(sums, limits(&[("cpus", 5.6)]));
    let infinite = limits(&[("cpus", f64::INFINITY), ("mem", 150.0)]);
    let sums = executor_limits(&executor, [(&small, &infinite), (&large, &some)]);
    assert_eq!(
        (sums["cpus"], sums["mem"]),
        (Limit::Infinite, Limit::Finite(Amount::from_f64(382.0).unwrap()))
    );
    let back: BTreeMap<_, _> = limits_to_proto(&sums).collect();
    assert!(back["cpus"].value.is_infinite() && (back["mem"].value - 382.0).abs() < 1e-9);
}

/// A few names and roles, so that sums meet.
fn any_part() -> impl Strategy<Value = v1::Resource> {
    let scalar = ("cpus|mem|disk", 0_u64..5_000).prop_map(|(name, thousandths)| {
        let amount = Amount::from_thousandths(thousandths);
        Resource::new(&name, ResourceValue::Scalar(amount)).expect("a resource").to_proto()
    });
    let ports =
        (0_u64..30, 0_u64..6).prop_map(|(begin, more)| one(&format!("ports:[{begin}-{}]", begin + more)));
    (prop_oneof![scalar, ports], 0..3_u8).prop_map(|(resource, role)| match role {
        0 => resource,
        1 => reserved(resource, "a"),
        _ => reserved(reserved(resource, "a"), "a/b"),
    })
}

fn any_sum() -> impl Strategy<Value = ResourceSet> {
    proptest::collection::vec(any_part(), 0..8).prop_map(|list| sum(&list))
}

proptest! {
    #[test]
    fn what_was_added_can_be_taken_away(a in any_sum(), b in any_sum()) {
        // Ranges are sets: what both have is lost, so only scalars come back exactly.
        let no_ports = |one: &Resource| one.name() != "ports";
        let (a, b) = (a.filter(no_ports), b.filter(no_ports));
        let mut both = a.clone();
        both.add_all(&b);
        prop_assert!(both.contains(&a) && both.contains(&b));
        prop_assert_eq!(minus(both.clone(), &b), a.clone());
        let mut other_way = b.clone();
        other_way.add_all(&a);
        prop_assert_eq!(&both, &other_way);
        if a.contains(&b) {
            let mut back = minus(a.clone(), &b);
            back.add_all(&b);
            prop_assert_eq!(back, a);
        }
    }

    #[test]
    fn nothing_is_left_of_a_sum_without_itself(a in any_sum()) {
        prop_assert!(a.contains(&a));
        prop_assert!(minus(a.clone(), &a).is_empty());
        prop_assert_eq!(sum(&a.to_protos()), a.clone());
        prop_assert_eq!(a.allocated_to("r").unallocated(), a);
    }

    #[test]
    fn older_and_newer_form_give_the_same_sum(a in any_sum()) {
        let mut messages = a.to_protos();
        mesos_types::resource::format::downgrade(&mut messages);
        prop_assert_eq!(sum(&messages), a.clone());
        let mut messages = a.to_protos();
        mesos_types::resource::format::to_endpoint(&mut messages);
        prop_assert_eq!(sum(&messages), a);
    }

    #[test]
    fn any_text_is_answered(text in ".{0,60}") {
        let _ = ResourceFlag::parse(&text, "*");
    }
}
