//! The differential test: every option of `docker run`, and combinations of them, as the real client translates them
//! and as we do. See `integration::oracle`.

mod combinations;
mod engine;
mod meant;
mod recordings;
mod samples;
mod singles;
mod workshop;
