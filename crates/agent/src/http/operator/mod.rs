//! The v1 operator API, `POST /api/v1` (`Http::api` and what it calls in `src/slave/http.cpp`).
//!
//! | module | owns |
//! |---|---|
//! | `media` | which form a call has and its answer is to have, by headers |
//! | `call` | the call, read and validated |
//! | `answer` | what each call answers |

mod answer;
mod call;
mod media;

pub(super) use answer::answer;
