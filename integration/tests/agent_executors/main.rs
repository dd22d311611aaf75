//! What becomes of custom executors and their tasks when our `mesos-agent` is killed, and when their containers fail; with
//! several tasks each, of which each has one end.

mod failures;
mod lab;
mod recovery;
