//! What the tests share.

mod image;
mod lab;
mod proxy;
mod raw;
mod registry;
mod script;

pub(crate) use lab::{Lab, SOON, with_engine};
pub(crate) use proxy::RecordingProxy;
pub(crate) use registry::{FakeRegistry, Login, Manners, Stalled};
pub(crate) use script::{Script, ScriptedEngine, answer};
