//! Where the resources of a message are, so that a whole message can be brought into one form.

use mesos_proto::{internal, v1};
use v1::Resource;

/// A message that resources are in, at any depth.
pub trait HoldsResources {
    /// Gives every resource of the message to `visit`, each once.
    fn for_each_resource(&mut self, visit: &mut dyn FnMut(&mut Resource));
}

impl HoldsResources for Resource {
    fn for_each_resource(&mut self, visit: &mut dyn FnMut(&mut Resource)) {
        visit(self);
    }
}

impl<H: HoldsResources> HoldsResources for Vec<H> {
    fn for_each_resource(&mut self, visit: &mut dyn FnMut(&mut Resource)) {
        for part in self {
            part.for_each_resource(visit);
        }
    }
}

impl<H: HoldsResources> HoldsResources for Option<H> {
    fn for_each_resource(&mut self, visit: &mut dyn FnMut(&mut Resource)) {
        if let Some(part) = self {
            part.for_each_resource(visit);
        }
    }
}

/// Says for a message in which of its fields resources are.
macro_rules! holds {
    ($message:ty: $($field:ident),+) => {
        impl HoldsResources for $message {
            fn for_each_resource(&mut self, visit: &mut dyn FnMut(&mut Resource)) {
                $(self.$field.for_each_resource(visit);)+
            }
        }
    };
}

holds!(v1::AgentInfo: resources);
holds!(v1::ExecutorInfo: resources);
holds!(v1::TaskInfo: resources, executor);
holds!(v1::TaskGroupInfo: tasks);
holds!(v1::Task: resources, statuses);
holds!(v1::Offer: resources);
holds!(v1::Operation: info, latest_status, statuses);
holds!(v1::OperationStatus: converted_resources);
holds!(v1::TaskResourceLimitation: resources);
holds!(v1::TaskStatus: limitation);
holds!(v1::offer::Operation: launch, launch_group, reserve, unreserve, create, destroy, grow_volume, shrink_volume, create_disk, destroy_disk);
holds!(v1::offer::operation::Launch: task_infos);
holds!(v1::offer::operation::LaunchGroup: executor, task_group);
holds!(v1::offer::operation::Reserve: source, resources);
holds!(v1::offer::operation::Unreserve: resources);
holds!(v1::offer::operation::Create: volumes);
holds!(v1::offer::operation::Destroy: volumes);
holds!(v1::offer::operation::GrowVolume: volume, addition);
holds!(v1::offer::operation::ShrinkVolume: volume);
holds!(v1::offer::operation::CreateDisk: source);
holds!(v1::offer::operation::DestroyDisk: source);
holds!(internal::RegisterSlaveMessage: slave, checkpointed_resources);
holds!(internal::ReregisterSlaveMessage: slave, checkpointed_resources, executor_infos, tasks, completed_frameworks);
holds!(internal::archive::Framework: tasks);
holds!(internal::RunTaskMessage: task);
holds!(internal::RunTaskGroupMessage: executor, task_group);
holds!(internal::CheckpointResourcesMessage: resources);
holds!(internal::ApplyOperationMessage: operation_info);
holds!(internal::UpdateOperationStatusMessage: status, latest_status);
holds!(internal::UpdateOperationStatusRecord: update);
holds!(internal::update_slave_message::Operations: operations);
holds!(v1::CsiPluginContainerInfo: resources);
holds!(v1::CsiPluginInfo: containers);
holds!(v1::resource_provider_info::Storage: plugin);
holds!(v1::ResourceProviderInfo: storage);
holds!(internal::update_slave_message::ResourceProvider: info, total_resources, operations);
holds!(internal::update_slave_message::ResourceProviders: providers);
holds!(internal::UpdateSlaveMessage: oversubscribed_resources, operations, resource_providers);
holds!(internal::StatusUpdate: status);
holds!(internal::StatusUpdateMessage: update);
