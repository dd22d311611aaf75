//! Archives that want out of the sandbox, into the kernel, or all of the disk. Each is made here, byte by byte.

#[path = "../archives/mod.rs"]
mod archives;
mod bombs;
mod both;
mod damaged;
mod links;
mod names;
mod permissions;
mod replaced;
mod types;
