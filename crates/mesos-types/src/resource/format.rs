//! The two forms of reservations on the wire, and the third that `/state` shows (Mesos `resources_utils.cpp`).
//!
//! | | nobody | role r by flag | role r at run time | several |
//! |---|---|---|---|---|
//! | before refinement | `role` `*` | `role` r | `role` r, `reservation` | - |
//! | after refinement | nothing | `reservations` [STATIC r] | `reservations` [DYNAMIC r] | `reservations` [..., innermost] |
//! | endpoints | both, as far as both can say it | | | |
//!
//! What is received is upgraded; what is sent to a master or written to disk is downgraded if all of the message can be.

use mesos_proto::v1;
use v1::resource::ReservationInfo;
use v1::resource::reservation_info::Type;

use super::messages::HoldsResources;
use super::one::ResourceError;
use crate::roles;

/// The form that a message has in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `role` and `reservation`, which every version reads.
    BeforeRefinement,
    /// `reservations`.
    AfterRefinement,
}

/// Brings every resource of a message into the form after refinement.
///
/// # Errors
///
/// A resource with a dynamic reservation for everyone. Those before it are changed already.
pub fn upgrade(message: &mut impl HoldsResources) -> Result<(), ResourceError> {
    let mut result = Ok(());
    message.for_each_resource(&mut |resource| {
        if result.is_ok() {
            result = upgrade_one(resource);
        }
    });
    result
}

/// Brings every resource of a message into the form before refinement if all of them can have it, or leaves all as
/// they are. Those that are in the older form already stay so.
pub fn downgrade(message: &mut impl HoldsResources) -> Form {
    let mut is_possible = true;
    message.for_each_resource(&mut |resource| is_possible &= resource.reservations.len() < 2);
    if !is_possible {
        return Form::AfterRefinement;
    }
    message.for_each_resource(&mut |resource| {
        inject(resource);
        resource.reservations.clear();
    });
    Form::BeforeRefinement
}

/// Brings every resource of a message from the form after refinement into that of the endpoints, which says it in both.
pub fn to_endpoint(message: &mut impl HoldsResources) {
    message.for_each_resource(&mut inject);
}

/// Brings one resource into the form after refinement.
///
/// # Errors
///
/// A dynamic reservation for everyone.
pub fn upgrade_one(resource: &mut v1::Resource) -> Result<(), ResourceError> {
    let role = resource.role.take();
    let dynamic = resource.reservation.take();
    if !resource.reservations.is_empty() {
        // The form of the endpoints says the same twice.
        return Ok(());
    }
    let role = role.unwrap_or_else(|| roles::ANY.to_owned());
    match dynamic {
        Some(_) if role == roles::ANY => {
            Err(ResourceError::new(&resource.name, "the role * cannot have a dynamic reservation"))
        }
        Some(info) => {
            let (principal, labels) = (info.principal, info.labels);
            let kind = Some(Type::Dynamic.into());
            resource.reservations.push(ReservationInfo { r#type: kind, role: Some(role), principal, labels });
            Ok(())
        }
        None if role == roles::ANY => Ok(()),
        None => {
            let kind = Some(Type::Static.into());
            let info = ReservationInfo { r#type: kind, role: Some(role), ..Default::default() };
            resource.reservations.push(info);
            Ok(())
        }
    }
}

/// Says the reservation of a resource in the older form too, where it can.
fn inject(resource: &mut v1::Resource) {
    match resource.reservations.as_slice() {
        // One that is in the older form already stays as it is.
        [] => drop(resource.role.get_or_insert_with(|| roles::ANY.to_owned())),
        [only] => {
            resource.role = only.role.clone();
            resource.reservation = (only.r#type() == Type::Dynamic).then(|| ReservationInfo {
                r#type: None,
                role: None,
                principal: only.principal.clone(),
                labels: only.labels.clone(),
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn info(kind: Type, role: &str, principal: Option<&str>) -> ReservationInfo {
        ReservationInfo {
            r#type: Some(kind.into()),
            role: Some(role.into()),
            principal: principal.map(str::to_owned),
            labels: None,
        }
    }

    fn with(reservations: Vec<ReservationInfo>) -> v1::Resource {
        v1::Resource { name: "cpus".into(), reservations, ..Default::default() }
    }

    #[test]
    fn a_message_in_the_older_form_stays_in_it() {
        let mut once = with(vec![info(Type::Dynamic, "r", Some("p"))]);
        assert_eq!(downgrade(&mut once), Form::BeforeRefinement);
        let mut twice = once.clone();
        assert_eq!(downgrade(&mut twice), Form::BeforeRefinement);
        assert_eq!(twice, once);
    }

    #[test]
    fn each_row_of_the_table() {
        let older = |role: &str, reservation| v1::Resource {
            name: "cpus".into(),
            role: Some(role.into()),
            reservation,
            ..Default::default()
        };
        let made = ReservationInfo { principal: Some("p".into()), ..Default::default() };
        for (before, after) in [
            (older("*", None), with(vec![])),
            (older("r", None), with(vec![info(Type::Static, "r", None)])),
            (older("r", Some(made)), with(vec![info(Type::Dynamic, "r", Some("p"))])),
        ] {
            let mut upgraded = vec![before.clone()];
            upgrade(&mut upgraded).unwrap();
            assert_eq!(upgraded, vec![after.clone()]);
            let mut downgraded = vec![after.clone()];
            assert_eq!(downgrade(&mut downgraded), Form::BeforeRefinement);
            assert_eq!(downgraded, vec![before.clone()]);

            let mut endpoint = vec![after.clone()];
            to_endpoint(&mut endpoint);
            assert_eq!((&endpoint[0].role, &endpoint[0].reservation), (&before.role, &before.reservation));
            assert_eq!(endpoint[0].reservations, after.reservations);
            upgrade(&mut endpoint).unwrap();
            assert_eq!(endpoint, vec![after]);
        }
        let bare = v1::Resource { name: "cpus".into(), ..Default::default() };
        let mut upgraded = bare.clone();
        upgrade_one(&mut upgraded).unwrap();
        assert_eq!(upgraded, bare);
        assert!(upgrade(&mut vec![older("*", Some(ReservationInfo::default()))]).is_err());
    }

    #[test]
    fn one_refined_resource_keeps_the_whole_message_in_the_newer_form() {
        let refined = with(vec![info(Type::Static, "a", None), info(Type::Dynamic, "a/b", Some("p"))]);
        let task = v1::TaskInfo {
            resources: vec![with(vec![])],
            executor: Some(v1::ExecutorInfo { resources: vec![refined.clone()], ..Default::default() }),
            ..Default::default()
        };
        let mut message = task.clone();
        assert_eq!(downgrade(&mut message), Form::AfterRefinement);
        assert_eq!(message, task);
        let mut endpoint = vec![refined.clone()];
        to_endpoint(&mut endpoint);
        assert_eq!(endpoint, vec![refined]);
    }

    fn any_resource() -> impl Strategy<Value = v1::Resource> {
        let principal = proptest::option::of("[a-z]{1,3}");
        let kind = prop_oneof![Just(None), Just(Some(Type::Static)), Just(Some(Type::Dynamic))];
        (kind, "[a-z]{1,3}", principal, any::<bool>()).prop_map(|(kind, role, principal, is_refined)| {
            let mut stack: Vec<ReservationInfo> = kind
                .map(|kind| info(kind, &role, principal.as_deref().filter(|_| kind == Type::Dynamic)))
                .into_iter()
                .collect();
            if is_refined && !stack.is_empty() {
                stack.push(info(Type::Dynamic, &format!("{role}/x"), principal.as_deref()));
            }
            with(stack)
        })
    }

    proptest! {
        #[test]
        fn down_and_up_is_where_it_began(list in proptest::collection::vec(any_resource(), 0..6)) {
            let mut there = list.clone();
            let form = downgrade(&mut there);
            prop_assert_eq!(form == Form::AfterRefinement, list.iter().any(|one| one.reservations.len() > 1));
            upgrade(&mut there).unwrap();
            prop_assert_eq!(there, list);
        }
    }
}
