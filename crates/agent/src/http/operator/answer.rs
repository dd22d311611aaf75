//! What each call answers.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mesos_proto::agent::{Response, call, response};
use mesos_proto::{Message as _, v1};

use super::call::{Asked, read, streamed};
use super::media::{Form, JSON, Media, PROTOBUF, media};
use crate::files::{self, FileInfo};
use crate::http::answer::Answer;
use crate::http::context::{Context, blocking};
use crate::http::pages;
use crate::http::pages::agent::RECOVERING;
use crate::http::views;
use crate::model::{Agent, Phase};

/// Answers a request to the operator API; `body` reads its body.
pub(in crate::http) async fn answer(
    context: &Context,
    method: &Method,
    headers: &HeaderMap,
    body: impl Future<Output = Result<Bytes, Answer>>,
) -> Result<Answer, Answer> {
    if context.read(|agent| agent.phase).await? == Phase::Recovering {
        return Err(Answer::unavailable(RECOVERING));
    }
    if *method != Method::POST {
        return Err(Answer::method_not_allowed("POST", method));
    }
    let Media { call, answer } = media(headers)?;
    let Some(form) = call else { return Err(streamed()) };
    let (kind, asked) = read(&body.await?, form)?;
    let Some(wanted) = answer else {
        let why = format!("Streaming response is not supported for {} call", kind.as_str_name());
        return Err(Answer::text(StatusCode::NOT_ACCEPTABLE, why));
    };
    match respond(context, asked).await? {
        Some(response) => blocking(move || printed(&response, wanted)).await,
        None => Ok(Answer::empty()),
    }
}

fn printed(response: &Response, form: Form) -> Answer {
    match form {
        Form::Json => Answer::bytes(StatusCode::OK, JSON, views::state_json(response).to_string()),
        Form::Protobuf => Answer::bytes(StatusCode::OK, PROTOBUF, response.encode_to_vec()),
    }
}

/// The answer; `None` where the call has none.
async fn respond(context: &Context, asked: Asked) -> Result<Option<Response>, Answer> {
    use response::Type;

    let sources = &context.sources;
    let of = |kind: Type| Response { r#type: Some(kind.into()), ..Response::default() };
    Ok(Some(match asked {
        Asked::Health => {
            Response { get_health: Some(response::GetHealth { healthy: true }), ..of(Type::GetHealth) }
        }
        Asked::Flags => {
            let flag = |(name, value): (&String, &String)| v1::Flag {
                name: name.clone(),
                value: Some(value.clone()),
            };
            let flags = sources.flags.iter().map(flag).collect();
            Response { get_flags: Some(response::GetFlags { flags }), ..of(Type::GetFlags) }
        }
        Asked::Version => {
            let version_info = sources.version.message();
            Response { get_version: Some(response::GetVersion { version_info }), ..of(Type::GetVersion) }
        }
        Asked::Metrics { timeout } => {
            let samples = pages::metrics::samples(context, timeout.map(|limit| duration(&limit))).await?;
            let metric =
                |(name, value): (&str, f64)| v1::Metric { name: name.to_owned(), value: Some(value) };
            let metrics = samples.iter().map(metric).collect();
            Response { get_metrics: Some(response::GetMetrics { metrics }), ..of(Type::GetMetrics) }
        }
        Asked::LoggingLevel => {
            let level = sources.log.level();
            Response {
                get_logging_level: Some(response::GetLoggingLevel { level }),
                ..of(Type::GetLoggingLevel)
            }
        }
        Asked::SetLoggingLevel(call::SetLoggingLevel { level, duration: time }) => {
            sources.log.set(level, duration(&time));
            return Ok(None);
        }
        Asked::ListFiles(call) => {
            Response { list_files: Some(list_files(context, call).await?), ..of(Type::ListFiles) }
        }
        Asked::ReadFile(call) => {
            Response { read_file: Some(read_file(context, call).await?), ..of(Type::ReadFile) }
        }
        Asked::State => {
            let get_state = Some(view(context, views::state_message).await?);
            Response { get_state, ..of(Type::GetState) }
        }
        Asked::Frameworks => {
            let get_frameworks = Some(view(context, views::frameworks).await?);
            Response { get_frameworks, ..of(Type::GetFrameworks) }
        }
        Asked::Executors => {
            let get_executors = Some(view(context, views::executors).await?);
            Response { get_executors, ..of(Type::GetExecutors) }
        }
        Asked::Tasks => {
            let get_tasks = Some(view(context, views::tasks).await?);
            Response { get_tasks, ..of(Type::GetTasks) }
        }
        Asked::Agent => {
            let get_agent = Some(context.read(views::agent).await?);
            Response { get_agent, ..of(Type::GetAgent) }
        }
        Asked::Containers => {
            let usages = sources.usages.of(context.read(views::entries).await?).await;
            Response { get_containers: views::containers_response(usages), ..of(Type::GetContainers) }
        }
        Asked::Operations => {
            Response { get_operations: Some(response::GetOperations::default()), ..of(Type::GetOperations) }
        }
        Asked::ResourceProviders => Response {
            get_resource_providers: Some(response::GetResourceProviders::default()),
            ..of(Type::GetResourceProviders)
        },
        // It is about images that no engine holds; there are none.
        Asked::PruneImages => return Ok(None),
    }))
}

/// A message about the whole model, put together outside the core.
async fn view<T: Send + 'static>(
    context: &Context,
    view: impl FnOnce(&Agent) -> T + Send + 'static,
) -> Result<T, Answer> {
    let agent = context.agent().await?;
    blocking(move || view(&agent)).await
}

async fn list_files(context: &Context, call: call::ListFiles) -> Result<response::ListFiles, Answer> {
    let (files, most) = (context.sources.files.clone(), context.settings.max_listed_files);
    let infos = blocking(move || files::browse(&files, &call.path, most)).await?;
    let infos = infos.map_err(pages::files::refused)?;
    Ok(response::ListFiles { file_infos: infos.into_iter().map(file_info).collect() })
}

async fn read_file(context: &Context, call: call::ReadFile) -> Result<response::ReadFile, Answer> {
    let files = context.sources.files.clone();
    let content = blocking(move || files::read(&files, &call.path, Some(call.offset), call.length)).await?;
    let content = content.map_err(pages::files::refused)?;
    Ok(response::ReadFile { size: content.size, data: content.bytes })
}

fn file_info(info: FileInfo) -> v1::FileInfo {
    v1::FileInfo {
        path: info.path,
        nlink: i32::try_from(info.nlink).ok(),
        size: Some(info.size),
        mtime: Some(v1::TimeInfo { nanoseconds: info.mtime.saturating_mul(1_000_000_000) }),
        mode: Some(info.mode),
        uid: Some(info.uid),
        gid: Some(info.gid),
    }
}

/// Stock's durations are signed; what lies before now is now.
fn duration(info: &v1::DurationInfo) -> Duration {
    Duration::from_nanos(u64::try_from(info.nanoseconds).unwrap_or(0))
}
