//! The program `mesos-fetcher` as an agent starts it: `MESOS_FETCHER_INFO` in, exit code, standard error and files out.

mod support;

mod cache;
mod ftp;
mod hadoop;
mod http;
mod http_faults;
mod kill;
mod limits;
mod local;
mod objects;
mod order;
mod target;
mod user;
