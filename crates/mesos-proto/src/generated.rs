//! What build.rs generates, with one module for each protobuf package. Comments come from the files in `proto/`.

#![expect(missing_docs, reason = "most fields say by their names what they are")]
#![expect(unreachable_pub, reason = "the packages above those that lib.rs exports are public, too")]

include!(concat!(env!("OUT_DIR"), "/mesos_proto.rs"));
