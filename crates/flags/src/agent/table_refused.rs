//! The flags of the stock agent that stop the start: what they ask for is not built, and an agent that went on
//! without it would be open where its operator closed it, or do other things than its operator thinks.

use super::class::AgentFlag;
use crate::definition::FlagKind::{Bool, File, Json, Path, Text};

const AUTHENTICATION: &str = "this agent does not authenticate HTTP requests yet, and without the flag its endpoints would be open to everyone; remove it and guard the agent's port with a firewall";
const AUTHORIZATION: &str = "this agent does not check permissions yet, and without them its endpoints would be open to everyone; remove it and guard the agent's port with a firewall";
const MODULE: &str = "this agent cannot load C++ modules; remove the flag";

/// Names and defaults are those of Mesos 1.11's `src/slave/flags.cpp`.
pub(super) const REFUSED: &[AgentFlag] = &[
    AgentFlag::new("authenticate_http_readonly", Bool, Some("false"), "Authenticates requests to endpoints that read.").refused(AUTHENTICATION),
    AgentFlag::new("authenticate_http_readwrite", Bool, Some("false"), "Authenticates requests to endpoints that change something.").refused(AUTHENTICATION),
    AgentFlag::new("http_credentials", File, None, "The principals that requests may come from.").secret().refused(AUTHENTICATION),
    AgentFlag::new("http_authenticators", Text, None, "How requests are authenticated.").refused(AUTHENTICATION),
    AgentFlag::new("acls", Json, None, "Who may do what.").refused(AUTHORIZATION),
    AgentFlag::new("authorizer", Text, Some("local"), "What decides who may do what.").refused(AUTHORIZATION),
    AgentFlag::new("firewall_rules", Json, None, "Endpoints that are not served.").refused("this agent cannot take single endpoints out of service yet, and without the flag they would be open; remove it and guard the agent's port with a firewall"),
    AgentFlag::new("authenticatee", Text, Some("crammd5"), "How the agent authenticates with the master.").refused("this agent authenticates with CRAM-MD5 only; remove the flag"),
    AgentFlag::new("modules", Json, None, "C++ modules to load.").refused(MODULE),
    AgentFlag::new("modules_dir", Path, None, "Directory with descriptions of C++ modules to load.").refused(MODULE),
    AgentFlag::new("hooks", Text, None, "C++ modules that take part in launches.").refused(MODULE),
    AgentFlag::new("master_detector", Text, None, "C++ module that finds the master. Excludes --master.").refused("this agent cannot load C++ modules; give --master instead"),
    AgentFlag::new("container_logger", Text, None, "C++ module that keeps the output of containers.").refused("this agent cannot load C++ modules; remove the flag, and see --docker_log_max_size for rotation"),
    AgentFlag::new("disk_profile_adaptor", Text, None, "C++ module that knows disk profiles.").refused(MODULE),
    AgentFlag::new("resource_estimator", Text, None, "C++ module that estimates what can be offered twice.").refused(MODULE),
    AgentFlag::new("qos_controller", Text, None, "C++ module that stops tasks which disturb others.").refused(MODULE),
    AgentFlag::new("secret_resolver", Text, None, "C++ module that resolves secrets.").refused(MODULE),
];
