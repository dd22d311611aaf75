//! Executing a command with exactly its own environment.

use std::convert::Infallible;
use std::ffi::CString;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::execve;

use super::messages::StartFailure;

/// The shell of a script that names none (`execvp`).
const SHELL: &str = "/bin/sh";

/// Where a command is looked for when its environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The exit code of a shell for a command that is not there.
const NOT_FOUND: i32 = 127;

/// The exit code of a shell for a command that is there and cannot be executed.
const NOT_EXECUTABLE: i32 = 126;

/// Replaces this process. A name without a slash is looked for in the environment's own `PATH`, as `os::execvpe` of Mesos
/// does, and a file without an interpreter is a script of the shell.
///
/// # Errors
///
/// The file cannot be executed, with what a shell would exit with.
pub(super) fn execute(
    executable: &str,
    arguments: &[String],
    environment: &[(String, String)],
) -> Result<Infallible, StartFailure> {
    let nul = |_| failure(executable, "there is a NUL character in the command or its environment", 125);
    let text = |text: &String| CString::new(text.as_str());
    let argv: Vec<CString> = arguments.iter().map(text).collect::<Result<_, _>>().map_err(nul)?;
    let variable = |(name, value): &(String, String)| CString::new(format!("{name}={value}"));
    let envp: Vec<CString> = environment.iter().map(variable).collect::<Result<_, _>>().map_err(nul)?;
    let path = environment.iter().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, path)| path);
    let mut last = Errno::ENOENT;
    for candidate in candidates(executable, path) {
        let file = CString::new(candidate.as_str()).map_err(nul)?;
        let Err(errno) = execve(&file, &argv, &envp);
        match errno {
            Errno::ENOEXEC => {
                let shell = CString::new(SHELL).map_err(nul)?;
                let mut script = vec![shell.clone(), file];
                script.extend(argv.iter().skip(1).cloned());
                let Err(errno) = execve(&shell, &script, &envp);
                return Err(told(executable, errno));
            }
            Errno::ENOENT | Errno::ENOTDIR if Path::new(&candidate).exists() => {
                return Err(failure(
                    &candidate,
                    "the interpreter that it names is not there",
                    NOT_EXECUTABLE,
                ));
            }
            // What cannot be executed in one directory may be in the next.
            Errno::ENOENT | Errno::ENOTDIR if last == Errno::EACCES => {}
            Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES => last = errno,
            errno => return Err(told(executable, errno)),
        }
    }
    Err(told(executable, last))
}

/// The files that a name may mean, in order.
fn candidates(executable: &str, path: &str) -> Vec<String> {
    if executable.contains('/') || executable.is_empty() {
        return vec![executable.to_owned()];
    }
    let place = |directory: &str| match directory {
        "" => format!("./{executable}"),
        directory => format!("{}/{executable}", directory.trim_end_matches('/')),
    };
    path.split(':').map(place).collect()
}

fn told(executable: &str, errno: Errno) -> StartFailure {
    let code = match errno {
        Errno::ENOENT | Errno::ENOTDIR => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    };
    failure(executable, &std::io::Error::from(errno).to_string(), code)
}

fn failure(executable: &str, why: &str, exit_code: i32) -> StartFailure {
    StartFailure { what: format!("cannot execute {executable}"), why: why.to_owned(), exit_code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case::a_path("/bin/x", "/a:/b", &["/bin/x"])]
    #[case::below_the_sandbox("./x", "/a", &["./x"])]
    #[case::a_name("x", "/a:/b/", &["/a/x", "/b/x"])]
    #[case::here("x", ":/a", &["./x", "/a/x"])]
    #[case::nothing("", "/a", &[""])]
    fn a_name_is_looked_for(#[case] executable: &str, #[case] path: &str, #[case] expected: &[&str]) {
        assert_eq!(candidates(executable, path), expected);
    }

    #[test]
    fn what_cannot_be_executed_is_told_as_a_shell_does() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str, mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let plain = file("plain", "x", 0o644);
        let odd = file("odd", "#!/no/such/interpreter\n", 0o755);
        let path = |path: &str| vec![("PATH".to_owned(), path.to_owned())];
        let dir = dir.path().to_str().unwrap();
        for (executable, environment, code, words) in [
            ("/no/such/file", path("/bin"), 127, "/no/such/file: No such file"),
            ("no-such-command", path("/bin"), 127, "no-such-command: No such file"),
            (&plain, path("/bin"), 126, "Permission denied"),
            ("plain", path(&format!("{dir}:/bin")), 126, "Permission denied"),
            (&odd, path("/bin"), 126, "interpreter that it names"),
            ("/", path("/bin"), 126, "Permission denied"),
            ("/bin/true", vec![("A".to_owned(), "\0".to_owned())], 125, "NUL"),
        ] {
            let failure = execute(executable, &[executable.to_owned()], &environment).unwrap_err();
            assert_eq!(failure.exit_code, code, "{failure}");
            assert!(failure.to_string().contains(words), "{failure}");
        }
    }
}
