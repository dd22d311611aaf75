//! Mesos' JSON form of its messages, both ways.
//!
//! Field names are as in the `.proto` files, enum values are their names, bytes are base64 with padding, integers of 64
//! bits are numbers, and doubles without a JSON number are the strings `Infinity`, `-Infinity` and `NaN`.
//! That is what stock's `JSON::protobuf` (stout/protobuf.hpp) prints and what its endpoints were recorded to answer.
//!
//! The v0 and v1 forms differ in a few names (see [`Names`]). Reading takes either, printing prints the one asked for.
//! Reading is stricter than stock, which ignores fields that it does not know: here a misspelt name is an error with
//! the JSON path and the nearest name. Nothing is repaired silently. What one program of Mesos sends another is read as
//! stock does ([`from_json_skipping`]), with the names that were skipped, since the other may be newer.
//!
//! prost-reflect holds the message while it is built; its own JSON mapping is not used, as it has other names, takes
//! what Mesos does not (`taskId`) and cannot say where an error is.

mod error;
mod names;
mod path;
mod read;
mod scalar;
mod unknown;
mod write;

pub use self::{
    error::JsonError,
    names::Names,
    read::{MAX_DEPTH, from_json, from_json_filling, from_json_str},
    unknown::from_json_skipping,
    write::{to_json, to_json_set},
};
