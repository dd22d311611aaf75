//! A node as its owner uses it, against peers that speak raw TCP.

mod client;
mod connections;
mod http;
mod limits;
mod links;
mod messages;
mod replay;
mod sending;
