//! The v1 API of executors, `POST /api/v1/executor` (`Http::executor` in `src/slave/http.cpp`).
//!
//! | module | owns |
//! |---|---|
//! | `endpoint` | the checks in stock's order, and the answer |
//! | `headers` | which form a call has and its stream is to have |
//! | `bearer` | the token of a request |

mod bearer;
mod endpoint;
mod headers;

pub(super) use endpoint::answer;
