//! Our `mesos-docker-executor` in the `--launcher_dir` of a stock Mesos 1.11.0 agent: what frameworks hear of their tasks
//! is what stock's executor tells, and better where that says nothing.

mod ends;
mod health;
mod http_api;
mod kills;
mod output;
mod outside;
mod recovery;
mod scene;
mod volumes;
