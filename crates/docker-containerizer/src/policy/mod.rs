//! The host policy (`--docker_policy`): what a container may ask of its host, whatever a task says.
//!
//! A [`Policy`] is a preset, `permissive` (the default, which is stock's behaviour) or `strict`, with what a file
//! changes of it. It is judged on the final create request and the networks that follow it ([`Policy::judge`]), after
//! all translation, so that no option, alias or field of a task gets around it. Where host paths or devices are
//! constrained, the path that was judged, with its links resolved, replaces the one in the request. In every preset a
//! few things are refused that would take the container away from the agent (`always`).
//!
//! Who calls it: `request` judges each request; `cli` loads the file and shows verdicts.
//!
//! | room | owns |
//! |---|---|
//! | `rule` | the table of rules: names, forms, both presets |
//! | `setting` | what a rule allows, and matching |
//! | `file` | a policy file to a policy |
//! | `prefixes` | the host paths that a file allows, checked when it is loaded |
//! | `paths` | resolving a path, the places that no task may see: the only I/O |
//! | `rules` | the rules, one room for each kind |
//! | `verdict` | what was found |
//! | `page` | the table of the documentation |
//! | `always` | what no preset allows |

mod always;
mod file;
mod judge;
mod page;
mod paths;
mod prefixes;
mod rule;
mod rules;
mod setting;
mod verdict;

pub use file::{LoadError, load};
pub use judge::{Booked, Policy, Situation};
pub use page::rules_table;
pub use paths::HostPlaces;
pub use prefixes::PrefixError;
pub use rule::{Form, Preset, Rule};
pub use setting::Setting;
pub use verdict::{Verdict, Violation};

pub(crate) use always::{LARGEST_LABELS, check as check_always};
