//! Owns one exchange with the master's authenticator, as a pure state machine.
//!
//! ```text
//! Asked ──mechanisms──→ Started ──challenge──→ Answered ──completed, failed──→ Done
//!   └──────────────────────┴── error, or what does not belong here ─────────────┘
//! ```

use libprocess::Upid;

use super::cram_md5::{MECHANISM, answer};
use super::credential::Credential;

/// One exchange.
#[derive(Debug)]
pub struct Authenticatee {
    credential: Credential,
    /// The master that was asked.
    master: Upid,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The master was asked for a session.
    Asked,
    /// The session was told the mechanism.
    Started { session: Upid },
    /// The session has our answer.
    Answered { session: Upid },
    /// The exchange has ended.
    Done,
}

/// A message of the master's authenticator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// `AuthenticationMechanismsMessage`: a session is there.
    Mechanisms(Vec<String>),
    /// `AuthenticationStepMessage`: the challenge.
    Challenge(Vec<u8>),
    /// `AuthenticationCompletedMessage`.
    Completed,
    /// `AuthenticationFailedMessage`: the secret is wrong.
    Failed,
    /// `AuthenticationErrorMessage`.
    Error(String),
}

/// What is sent to the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `AuthenticationStartMessage`, with data that is there and empty.
    Start {
        /// The mechanism that we chose.
        mechanism: &'static str,
    },
    /// `AuthenticationStepMessage`: the answer to the challenge.
    Step(Vec<u8>),
}

/// What follows a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Sends this to the session.
    Send(Upid, Reply),
    /// The master knows us.
    Completed,
    /// The master refused us. Stock's agent exits.
    Refused,
    /// The exchange failed for another reason; a new one may succeed.
    Failed(String),
    /// The message is passed over, for this reason.
    Ignored(&'static str),
}

impl Authenticatee {
    /// Begins an exchange: the master has been sent an `AuthenticateMessage`.
    pub fn new(credential: Credential, master: Upid) -> Self {
        Self { credential, master, state: State::Asked }
    }

    /// Takes a message.
    ///
    /// As stock an unexpected one ends the exchange with an error; but one of another process than the session, or than
    /// the master at the beginning, is passed over, so that nobody else can have a challenge answered or end it.
    pub fn step(&mut self, from: &Upid, heard: Heard) -> Step {
        if !self.may_speak(from) {
            return Step::Ignored("it is not from the master that was asked");
        }
        match (std::mem::replace(&mut self.state, State::Done), heard) {
            (State::Asked, Heard::Mechanisms(offered)) => {
                if !offered.iter().any(|mechanism| mechanism == MECHANISM) {
                    return Step::Failed(format!("the master offers none of our mechanisms ({MECHANISM})"));
                }
                self.state = State::Started { session: from.clone() };
                Step::Send(from.clone(), Reply::Start { mechanism: MECHANISM })
            }
            (State::Started { session }, Heard::Challenge(challenge)) => {
                let answer = answer(&self.credential, &challenge);
                self.state = State::Answered { session: session.clone() };
                Step::Send(session, Reply::Step(answer))
            }
            (State::Answered { .. }, Heard::Completed) => Step::Completed,
            (State::Started { .. } | State::Answered { .. }, Heard::Failed) => Step::Refused,
            (State::Asked | State::Started { .. } | State::Answered { .. }, Heard::Error(why)) => {
                Step::Failed(why)
            }
            (State::Done, _) => Step::Ignored("the exchange has ended"),
            (State::Asked, Heard::Challenge(_) | Heard::Completed | Heard::Failed)
            | (State::Started { .. }, Heard::Mechanisms(_) | Heard::Completed)
            | (State::Answered { .. }, Heard::Mechanisms(_) | Heard::Challenge(_)) => {
                Step::Failed("the master sent a message that does not belong here".to_owned())
            }
        }
    }

    /// Whether a process has a part in this exchange: the session, or, before there is one, the master's node.
    fn may_speak(&self, from: &Upid) -> bool {
        match &self.state {
            State::Started { session } | State::Answered { session } => session == from,
            State::Asked | State::Done => self.master.address() == from.address(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn upid(text: &str) -> Upid {
        text.parse().unwrap()
    }

    fn session() -> Upid {
        upid("crammd5-authenticator-session(1)@127.0.0.1:5050")
    }

    fn mechanisms() -> Heard {
        Heard::Mechanisms(vec!["CRAM-MD5".to_owned()])
    }

    /// An exchange that has got as far as `state` says.
    fn in_state(state: &str) -> Authenticatee {
        let mut authenticatee =
            Authenticatee::new(Credential::new("tim", "tanstaaftanstaaf"), upid("master@127.0.0.1:5050"));
        if state == "asked" {
            return authenticatee;
        }
        authenticatee.step(&session(), mechanisms());
        if state == "started" {
            return authenticatee;
        }
        authenticatee
            .step(&session(), Heard::Challenge(b"<1896.697170952@postoffice.reston.mci.net>".to_vec()));
        if state == "answered" {
            return authenticatee;
        }
        authenticatee.step(&session(), Heard::Completed);
        authenticatee
    }

    #[test]
    fn a_good_exchange_is_as_recorded() {
        let mut authenticatee = in_state("asked");
        let start = Step::Send(session(), Reply::Start { mechanism: "CRAM-MD5" });
        assert_eq!(authenticatee.step(&session(), mechanisms()), start);
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>".to_vec();
        let answer = Step::Send(session(), Reply::Step(b"tim b913a602c7eda7a495b4e6e7334d3890".to_vec()));
        assert_eq!(authenticatee.step(&session(), Heard::Challenge(challenge)), answer);
        assert_eq!(authenticatee.step(&session(), Heard::Completed), Step::Completed);
    }

    /// What becomes of each message in each state.
    #[rstest]
    #[case("asked", ["send", "failed", "failed", "failed", "error"])]
    #[case("started", ["failed", "send", "failed", "refused", "error"])]
    #[case("answered", ["failed", "failed", "completed", "refused", "error"])]
    #[case("done", ["ignored"; 5])]
    fn every_message_in_every_state(#[case] state: &str, #[case] expected: [&str; 5]) {
        let heard = [
            mechanisms(),
            Heard::Challenge(b"x".to_vec()),
            Heard::Completed,
            Heard::Failed,
            Heard::Error("error".to_owned()),
        ];
        for (heard, expected) in heard.into_iter().zip(expected) {
            let mut authenticatee = in_state(state);
            let step = authenticatee.step(&session(), heard.clone());
            let name = match &step {
                Step::Send(..) => "send",
                Step::Completed => "completed",
                Step::Refused => "refused",
                Step::Failed(why) if why == "error" => "error",
                Step::Failed(_) => "failed",
                Step::Ignored(_) => "ignored",
            };
            assert_eq!(name, expected, "{heard:?} in {state}");
            if !matches!(step, Step::Send(..)) {
                let after = authenticatee.step(&session(), Heard::Completed);
                assert_eq!(after, Step::Ignored("the exchange has ended"), "{heard:?} in {state}");
            }
        }
    }

    #[test]
    fn a_master_without_our_mechanism_is_an_error() {
        let step = in_state("asked").step(&session(), Heard::Mechanisms(vec!["PLAIN".to_owned()]));
        assert!(matches!(&step, Step::Failed(why) if why.contains("CRAM-MD5")), "{step:?}");
    }

    /// Nobody else can have a challenge answered, or make the agent exit.
    #[rstest]
    #[case::at_first("asked", "crammd5-authenticator-session(1)@127.0.0.2:5050", mechanisms())]
    #[case::challenge("started", "crammd5-authenticator-session(2)@127.0.0.1:5050", Heard::Challenge(vec![1]))]
    #[case::failed("answered", "master@127.0.0.1:5050", Heard::Failed)]
    #[case::error("started", "someone@127.0.0.1:5051", Heard::Error(String::new()))]
    fn a_stranger_is_passed_over(#[case] state: &str, #[case] from: &str, #[case] heard: Heard) {
        let mut authenticatee = in_state(state);
        assert!(matches!(authenticatee.step(&upid(from), heard), Step::Ignored(_)));
        let next = if state == "asked" { mechanisms() } else { Heard::Error("still there".to_owned()) };
        assert!(!matches!(authenticatee.step(&session(), next), Step::Ignored(_)));
    }

    #[test]
    fn no_secret_is_printed() {
        let told = format!("{:?}", in_state("answered"));
        assert!(told.contains("tim") && !told.contains("tanstaaf") && !told.contains("116, 97"), "{told}");
    }
}
