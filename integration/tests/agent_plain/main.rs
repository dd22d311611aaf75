//! Tasks without an image under our `mesos-agent` and a stock master, with frameworks that know nothing of us: one file per
//! noun.

mod checks;
mod containerizers;
mod crashes;
mod endings;
mod lab;
mod lives;
mod many;
mod pages;
mod restarts;
mod stock;
mod surroundings;
mod volumes;
