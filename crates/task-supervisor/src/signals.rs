//! The names of signals.

use nix::sys::signal::Signal;

/// The first of the signals without a name of their own, as the C library counts them.
const FIRST_REALTIME: i32 = 34;

/// The last signal.
const LAST_REALTIME: i32 = 64;

/// The name of a signal, as the kernel ends a process with it; `None` of what is no signal.
pub(crate) fn signal_name(number: i64) -> Option<String> {
    let number = i32::try_from(number).ok()?;
    match Signal::try_from(number) {
        Ok(signal) => Some(signal.as_str().to_owned()),
        // Those that programs agree upon.
        Err(_) if (FIRST_REALTIME..=LAST_REALTIME).contains(&number) => {
            let above = number - FIRST_REALTIME;
            Some(if above == 0 { "SIGRTMIN".to_owned() } else { format!("SIGRTMIN+{above}") })
        }
        Err(_) => None,
    }
}

/// A signal in the words of strsignal(3), which stock's messages have.
pub(crate) fn strsignal(number: i32) -> String {
    let Ok(signal) = Signal::try_from(number) else {
        return match number {
            FIRST_REALTIME..=LAST_REALTIME => format!("Real-time signal {}", number - FIRST_REALTIME),
            _ => format!("Unknown signal {number}"),
        };
    };
    match signal {
        Signal::SIGHUP => "Hangup",
        Signal::SIGINT => "Interrupt",
        Signal::SIGQUIT => "Quit",
        Signal::SIGILL => "Illegal instruction",
        Signal::SIGTRAP => "Trace/breakpoint trap",
        Signal::SIGABRT => "Aborted",
        Signal::SIGBUS => "Bus error",
        Signal::SIGFPE => "Floating point exception",
        Signal::SIGKILL => "Killed",
        Signal::SIGUSR1 => "User defined signal 1",
        Signal::SIGSEGV => "Segmentation fault",
        Signal::SIGUSR2 => "User defined signal 2",
        Signal::SIGPIPE => "Broken pipe",
        Signal::SIGALRM => "Alarm clock",
        Signal::SIGTERM => "Terminated",
        Signal::SIGSTKFLT => "Stack fault",
        Signal::SIGCHLD => "Child exited",
        Signal::SIGCONT => "Continued",
        Signal::SIGSTOP => "Stopped (signal)",
        Signal::SIGTSTP => "Stopped",
        Signal::SIGTTIN => "Stopped (tty input)",
        Signal::SIGTTOU => "Stopped (tty output)",
        Signal::SIGURG => "Urgent I/O condition",
        Signal::SIGXCPU => "CPU time limit exceeded",
        Signal::SIGXFSZ => "File size limit exceeded",
        Signal::SIGVTALRM => "Virtual timer expired",
        Signal::SIGPROF => "Profiling timer expired",
        Signal::SIGWINCH => "Window changed",
        Signal::SIGIO => "I/O possible",
        Signal::SIGPWR => "Power failure",
        Signal::SIGSYS => "Bad system call",
        other => other.as_str(),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(9, "Killed")]
    #[case(15, "Terminated")]
    #[case(11, "Segmentation fault")]
    #[case(34, "Real-time signal 0")]
    #[case(64, "Real-time signal 30")]
    #[case(65, "Unknown signal 65")]
    fn a_signal_is_called_as_in_stock(#[case] number: i32, #[case] expected: &str) {
        assert_eq!(strsignal(number), expected);
    }
}
