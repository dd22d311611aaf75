//! Our `mesos-agent` under a stock master, with frameworks that know nothing of us: one file per noun.

mod examples;
mod frameworks;
mod kills;
mod load;
mod losses;
mod masters;
mod refusals;
mod restarts;
mod starts;
mod tasks;
mod told;
