//! Credentials for pulls, through a real engine against real registries: where they are taken from, that every password
//! arrives, and that none is seen anywhere.

mod helpers;
mod operators_config;
mod registries;
mod rig;
mod secrecy;
mod sources;
