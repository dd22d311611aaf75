//! The endpoint: the checks in the order of stock, whose sentences are told, and what follows.

use http::request::Parts;
use http::{Method, StatusCode, header};
use libprocess::HangUp;
use mesos_types::{ContainerId, ExecutorId, FrameworkId};
use tokio::time::timeout;

use super::{bearer, headers};
use crate::core::{Call, ExecutorCall};
use crate::driver::unix;
use crate::executors::v1::{Asked, Form, call};
use crate::executors::{Claims, EventStream, HangUp as OnStall, TellError};
use crate::http::answer::Answer;
use crate::http::body::{Body, Collected};
use crate::http::context::{Context, blocking};
use crate::model::{Agent, Contact, ExecutorPhase, Peer, Recovery};

/// The number of no stream.
const NO_STREAM: u64 = 0;

/// What an agent says that does not know its executors yet.
const RECOVERING: &str = "Agent has not finished recovery";

/// What the model knows of an executor that calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    NoFramework,
    NoExecutor,
    Executor(Caller),
}

/// An executor that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Caller {
    container_id: ContainerId,
    speaks: Speaks,
    /// The number of its stream, over which it is answered: calls come on connections of their own.
    stream: u64,
}

/// Whether an executor may say other things than that it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// It may.
    Yes,
    /// It has to subscribe first.
    NotYet,
    /// No program of its own stands behind it.
    Never,
    /// Its program speaks libprocess, and listens to nothing else.
    Libprocess,
}

/// Answers a call; a subscription's answer is a stream that goes on.
///
/// # Errors
///
/// The answer that refuses it.
pub(crate) async fn answer(
    context: &Context,
    parts: &Parts,
    body: impl Future<Output = Result<Collected, Answer>>,
) -> Result<Answer, Answer> {
    let gateway = &context.sources.executors;
    let claims = gateway.demanded().map(|key| bearer::claims(key, &parts.headers)).transpose()?;
    let recovery = context.read(|agent: &Agent| agent.recovery).await?;
    if recovery == Recovery::Reading {
        return Err(Answer::unavailable(RECOVERING));
    }
    if parts.method != Method::POST {
        return Err(Answer::method_not_allowed("POST", &parts.method));
    }
    let form = headers::of_call(&parts.headers)?;
    let asked = read(context, body.await?, form).await?;
    let Asked::Call { framework_id, executor_id, call } = asked else { return Ok(Answer::accepted()) };

    let wanted = match &call {
        Some(Call::Subscribe { .. }) => Some(headers::of_stream(&parts.headers)?),
        _ if recovery != Recovery::Done => return Err(Answer::unavailable(RECOVERING)),
        _ => None,
    };
    let whose = (framework_id.clone(), executor_id.clone());
    let known = context.read(move |agent: &Agent| look(agent, &whose.0, &whose.1)).await?;
    let caller = permitted(known, wanted.is_some(), claims.as_ref(), &framework_id, &executor_id)?;
    let Some(call) = call else {
        return Err(Answer::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented."));
    };

    let patience = context.settings.patience;
    let told = |peer| ExecutorCall {
        framework_id: framework_id.clone(),
        executor_id: executor_id.clone(),
        peer,
        call,
    };
    match wanted {
        Some(form) => {
            let hang_up = hang_up(parts);
            let stream = gateway.open(&framework_id, &executor_id, form, hang_up).map_err(untold)?;
            tracing::debug!(%framework_id, %executor_id, container_id = %caller.container_id, "the executor subscribes");
            // Where this fails the stream is dropped, and the core hears of the end of what it does not know.
            gateway.tell(told(Peer::Http(stream.id())), patience).await.map_err(untold)?;
            Ok(streamed(stream, form))
        }
        None => {
            gateway.tell(told(Peer::Http(caller.stream)), patience).await.map_err(untold)?;
            Ok(Answer::accepted())
        }
    }
}

/// Reads a call; a large one in its turn, and where it holds nobody up.
async fn read(context: &Context, body: Collected, form: Form) -> Result<Asked, Answer> {
    let Collected { bytes, turn } = body;
    let read = move || call::read(&bytes, form, unix());
    let asked = match turn {
        None => read(),
        Some(turn) => {
            let patience = context.settings.patience;
            let reading = timeout(patience, context.large_calls.acquire()).await;
            let Ok(Ok(_reading)) = reading else { return Err(Answer::too_many(patience)) };
            let asked = blocking(read).await?;
            drop(turn);
            asked
        }
    };
    asked.map_err(|error| Answer::bad_request(error.to_string()))
}

/// What closes the connection of a request.
fn hang_up(parts: &Parts) -> OnStall {
    let connection = parts.extensions.get::<HangUp>().cloned();
    Box::new(move || {
        if let Some(connection) = connection {
            connection.hang_up();
        }
    })
}

fn look(agent: &Agent, framework_id: &FrameworkId, executor_id: &ExecutorId) -> Known {
    let Some(framework) = agent.frameworks.get(framework_id) else { return Known::NoFramework };
    let Some(executor) = framework.executors.get(executor_id) else { return Known::NoExecutor };
    let speaks = match (&executor.contact, executor.phase) {
        (Contact::InProcess, _) => Speaks::Never,
        (Contact::Peer(Peer::Libprocess(_)), _) => Speaks::Libprocess,
        (_, ExecutorPhase::Registering) => Speaks::NotYet,
        _ => Speaks::Yes,
    };
    let stream = match executor.peer() {
        Some(Peer::Http(stream)) => *stream,
        Some(Peer::Libprocess(_)) | None => NO_STREAM,
    };
    Known::Executor(Caller { container_id: executor.container_id, speaks, stream })
}

/// Answers the executor if it may call.
fn permitted(
    known: Known,
    subscribes: bool,
    claims: Option<&Claims>,
    framework_id: &FrameworkId,
    executor_id: &ExecutorId,
) -> Result<Caller, Answer> {
    let forbidden = |why: String| Err(Answer::text(StatusCode::FORBIDDEN, why));
    let caller = match known {
        Known::NoFramework => return Err(Answer::bad_request("Framework cannot be found")),
        Known::NoExecutor => return Err(Answer::bad_request("Executor cannot be found")),
        Known::Executor(caller) => caller,
    };
    if let Some(claims) = claims {
        for (name, what, is_right) in [
            ("fid", "the framework ID", claims.framework_id == *framework_id),
            ("eid", "the executor ID", claims.executor_id == *executor_id),
            ("cid", "the container ID", claims.container_id == caller.container_id),
        ] {
            if !is_right {
                return forbidden(format!("The token has no '{name}' claim with {what} of the executor"));
            }
        }
    }
    match caller.speaks {
        Speaks::Yes => Ok(caller),
        Speaks::NotYet if subscribes => Ok(caller),
        Speaks::NotYet => forbidden("Executor is not subscribed".to_owned()),
        Speaks::Libprocess => forbidden("The executor is registered, and speaks libprocess".to_owned()),
        Speaks::Never => forbidden("The agent runs this task itself; no program speaks for it".to_owned()),
    }
}

fn streamed(stream: EventStream, form: Form) -> Answer {
    let content_type = header::HeaderValue::from_static(form.media_type());
    Answer::streamed(Body::events(stream), vec![(header::CONTENT_TYPE, content_type)])
}

fn untold(error: TellError) -> Answer {
    Answer::unavailable(error.to_string())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn container() -> ContainerId {
        uuid::Uuid::nil().to_string().parse().unwrap()
    }

    fn executor(speaks: Speaks) -> Known {
        Known::Executor(Caller { container_id: container(), speaks, stream: 3 })
    }

    fn claims(framework: &str, executor: &str, container: &str) -> Option<Claims> {
        Some(Claims {
            framework_id: framework.parse().unwrap(),
            executor_id: executor.parse().unwrap(),
            container_id: container.parse().unwrap(),
        })
    }

    fn checked(known: Known, subscribes: bool, claims: Option<&Claims>) -> Result<u64, String> {
        let (framework, executor) = ("F".parse().unwrap(), "e".parse().unwrap());
        permitted(known, subscribes, claims, &framework, &executor)
            .map(|caller| caller.stream)
            .map_err(|answer| format!("{answer:?}"))
    }

    #[rstest]
    #[case(executor(Speaks::Yes), false, None)]
    #[case(executor(Speaks::Yes), true, None)]
    #[case(executor(Speaks::NotYet), true, None)]
    #[case(executor(Speaks::Yes), false, claims("F", "e", "00000000-0000-0000-0000-000000000000"))]
    fn who_may_call_may(#[case] known: Known, #[case] subscribes: bool, #[case] claims: Option<Claims>) {
        assert_eq!(checked(known, subscribes, claims.as_ref()), Ok(3));
    }

    #[rstest]
    #[case(Known::NoFramework, true, None, "400", "Framework cannot be found")]
    #[case(Known::NoExecutor, true, None, "400", "Executor cannot be found")]
    #[case(executor(Speaks::NotYet), false, None, "403", "Executor is not subscribed")]
    #[case(executor(Speaks::Never), true, None, "403", "runs this task itself")]
    #[case(executor(Speaks::Libprocess), true, None, "403", "speaks libprocess")]
    #[case(executor(Speaks::Libprocess), false, None, "403", "speaks libprocess")]
    #[case(
        executor(Speaks::Yes),
        true,
        claims("G", "e", "00000000-0000-0000-0000-000000000000"),
        "403",
        "'fid'"
    )]
    #[case(
        executor(Speaks::Yes),
        true,
        claims("F", "f", "00000000-0000-0000-0000-000000000000"),
        "403",
        "'eid'"
    )]
    #[case(
        executor(Speaks::Yes),
        true,
        claims("F", "e", "088d4d0c-8fba-4ba4-ae0b-30dd5ef906af"),
        "403",
        "'cid'"
    )]
    // Who has no right hears nothing of the executor's state.
    #[case(
        executor(Speaks::NotYet),
        false,
        claims("F", "e", "088d4d0c-8fba-4ba4-ae0b-30dd5ef906af"),
        "403",
        "'cid'"
    )]
    fn who_may_not_is_refused(
        #[case] known: Known,
        #[case] subscribes: bool,
        #[case] claims: Option<Claims>,
        #[case] status: &str,
        #[case] why: &str,
    ) {
        let refused = checked(known, subscribes, claims.as_ref()).unwrap_err().replace("\\'", "'");
        assert!(refused.contains(status) && refused.contains(why), "{refused}");
    }
}
