//! Files that options name: `env-file`, `label-file` and the profile of `security-opt seccomp=`.
//!
//! Stock's client reads them as root from the agent's host, in the sandbox as its working directory. So a relative path
//! is one below the sandbox here too, which may hold what the fetcher put there; it is read when the sandbox is ready,
//! and through the `sandbox` crate, so that no link leads out. A task must not read other files of the host into its
//! environment or its labels: an absolute path is refused unless it leads into the sandbox. A seccomp profile may be
//! anywhere, as operators keep them on the host; it is sent to the engine only if it has the form of a profile in every
//! part, and no error quotes it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use docker_engine::CreateBody;
use mesos_types::{EnvVar, FieldError};
use sandbox::{RelPath, Sandbox};

use super::draft::Draft;
use super::error::Bad;
use super::seccomp;
use crate::labels;
use crate::policy::LARGEST_LABELS;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The most files that one task names.
const MOST: usize = 16;

/// A file that is read before the request is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::request) struct FileParameter {
    /// The place of the parameter in the task's list.
    at: usize,
    what: Use,
    place: Place,
}

/// What a file is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Use {
    /// Variables, each a line.
    Environment,
    /// Labels, each a line.
    Labels,
    /// A seccomp profile, in the place of this entry of the security options.
    Seccomp(String),
}

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Sandbox(RelPath),
    Host(PathBuf),
}

/// Notes a file that must be below the sandbox.
pub(super) fn in_sandbox(draft: &mut Draft<'_>, value: &str, what: Use) -> Result<(), Bad> {
    match place(draft, value)? {
        Place::Host(_) => Err(Bad::because(
            "it is outside the sandbox, where a task reads no files; let the fetcher bring the file, and give its path \
             relative to the sandbox",
        )),
        place => push(draft, what, place),
    }
}

/// Notes a file that may be anywhere.
pub(super) fn anywhere(draft: &mut Draft<'_>, value: &str, what: Use) -> Result<(), Bad> {
    let place = place(draft, value)?;
    push(draft, what, place)
}

fn place(draft: &Draft<'_>, value: &str) -> Result<Place, Bad> {
    let path = Path::new(value);
    let relative = if path.is_absolute() {
        match path.strip_prefix(draft.context.sandbox) {
            Ok(below) => below,
            Err(_) => return Ok(Place::Host(path.to_owned())),
        }
    } else {
        path
    };
    let text = relative.to_str().ok_or(Bad::Form)?;
    RelPath::new(text).map(Place::Sandbox).map_err(|error| Bad::because(crate::chain(&error)))
}

fn push(draft: &mut Draft<'_>, what: Use, place: Place) -> Result<(), Bad> {
    if draft.outcome.files.len() >= MOST {
        return Err(Bad::because(format!("a task names at most {MOST} files")));
    }
    draft.outcome.files.push(FileParameter { at: draft.at, what, place });
    Ok(())
}

/// Reads the files into the request. Blocks on the file system.
///
/// What the task says itself, by `env`, `label` or its environment, wins over a file; a later file wins over an earlier
/// one.
///
/// # Errors
///
/// The parameter whose file cannot be read or used; quotes nothing of its content.
pub(in crate::request) fn read(
    body: &mut CreateBody,
    files: &[FileParameter],
    sandbox: &Sandbox,
) -> Result<(), FieldError> {
    // The last file first, so that each adds only what is not there yet.
    for file in files.iter().rev() {
        let field = format!("container.docker.parameters[{}].value", file.at);
        let fail = |reason: String| FieldError::new(&field, format!("the file cannot be used: {reason}"));
        let content = file.place.read(sandbox).map_err(&fail)?;
        match &file.what {
            Use::Environment => add_variables(body, &content, &field)?,
            Use::Labels => add_labels(body, &content, &field)?,
            Use::Seccomp(entry) => {
                let profile = seccomp::profile(&content).map_err(&fail)?;
                let options = body.host_config.security_opt.iter_mut();
                options.filter(|option| *option == entry).for_each(|option| {
                    *option = format!("seccomp={profile}");
                });
            }
        }
    }
    Ok(())
}

impl Place {
    fn read(&self, sandbox: &Sandbox) -> Result<Vec<u8>, String> {
        match self {
            Self::Sandbox(path) => {
                let file = sandbox.open_file(path).map_err(|error| crate::chain(&error))?;
                let mut content = Vec::new();
                file.take(LARGEST + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
                if content.len() as u64 > LARGEST {
                    return Err(format!("it has more than {LARGEST} bytes"));
                }
                Ok(content)
            }
            Self::Host(path) => {
                let path = path.canonicalize().map_err(|error| error.to_string())?;
                sandbox::read_bounded(&path, LARGEST).map_err(|error| crate::chain(&error))
            }
        }
    }
}

fn add_variables(body: &mut CreateBody, content: &[u8], field: &str) -> Result<(), FieldError> {
    let name_of = |entry: &String| entry.split_once('=').map(|(name, _)| name.to_owned());
    let set: BTreeSet<String> = body.env.iter().filter_map(name_of).collect();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut entries: Vec<String> = Vec::new();
    for line in lines(content, field)? {
        let value = line.value.ok_or_else(|| {
            FieldError::new(
                field,
                format!(
                    "line {} of the file is a name alone, whose value would be the agent's own",
                    line.number
                ),
            )
            .hint("write NAME=value")
        })?;
        EnvVar::new(field, line.name, value)?;
        if set.contains(line.name) {
            continue;
        }
        let entry = format!("{}={value}", line.name);
        match places.get(line.name) {
            Some(&place) => entries[place] = entry,
            None => {
                places.insert(line.name, entries.len());
                entries.push(entry);
            }
        }
    }
    body.env.splice(0..0, entries);
    Ok(())
}

fn add_labels(body: &mut CreateBody, content: &[u8], field: &str) -> Result<(), FieldError> {
    let mut found = BTreeMap::new();
    // A key alone says nothing to the client.
    for line in lines(content, field)? {
        if let Some(value) = line.value {
            found.insert(line.name, value);
        }
    }
    labels::check_foreign(found.keys().copied()).map_err(|label| {
        FieldError::new(field, format!("a task may not set the label {label}"))
            .hint(format!("labels under {} tell the agent whose a container is", labels::PREFIX))
    })?;
    for (key, value) in found {
        body.labels.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
    let size: usize = body.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > LARGEST_LABELS {
        return Err(FieldError::new(field, format!("with the file the labels are {size} bytes"))
            .hint(format!("at most {LARGEST_LABELS} bytes are taken")));
    }
    Ok(())
}

/// One line that says something.
struct Line<'a> {
    number: usize,
    name: &'a str,
    value: Option<&'a str>,
}

/// The lines of a file of variables, as the client reads it: no comments, no empty ones; white space before a name is
/// dropped, in a name it is an error, and in a value it counts.
fn lines<'a>(content: &'a [u8], field: &str) -> Result<Vec<Line<'a>>, FieldError> {
    let text = std::str::from_utf8(content)
        .map_err(|_| FieldError::new(field, "the file cannot be used: it is not UTF-8"))?;
    let mut found = Vec::new();
    for (at, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() || name.contains([' ', '\t']) {
            let reason = format!("line {} of the file has no name, or one with white space", at + 1);
            return Err(FieldError::new(field, reason));
        }
        found.push(Line { number: at + 1, name, value });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use docker_engine::NEWEST_API;
    use mesos_types::Parameter;

    use super::super::draft::{Context, Outcome, apply};
    use super::*;

    /// A request with these parameters in a sandbox, and what its files make of it.
    struct Case {
        sandbox: Sandbox,
        body: CreateBody,
        _dir: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let sandbox = Sandbox::create(&dir.path().join("sandbox"), None).unwrap();
            let body = CreateBody { env: vec!["A=mesos".to_owned()].into(), ..CreateBody::default() };
            Self { sandbox, body, _dir: dir }
        }

        fn file(self, name: &str, content: &[u8]) -> Self {
            fs::write(self.sandbox.path().join(name), content).unwrap();
            self
        }

        fn translate(&mut self, given: &[(&str, &str)]) -> Result<Outcome, FieldError> {
            let given: Vec<_> =
                given.iter().map(|(k, v)| Parameter { key: (*k).into(), value: (*v).into() }).collect();
            apply(&mut self.body, &given, Context { api: NEWEST_API, sandbox: self.sandbox.path() })
        }

        fn read(mut self, given: &[(&str, &str)]) -> Result<CreateBody, FieldError> {
            let outcome = self.translate(given)?;
            read(&mut self.body, &outcome.files, &self.sandbox)?;
            Ok(self.body)
        }
    }

    #[test]
    fn variables_of_a_file_come_first_and_lose() {
        let case = Case::new()
            .file("one.env", "\u{feff}# c\r\nA=file\r\n  B=c d \r\n\nC=1\nD=\"q\"\nE=x #y\nC=2".as_bytes())
            .file("two.env", b"B=two\nF=");
        let body =
            case.read(&[("env-file", "one.env"), ("env", "E=task"), ("env-file", "./two.env")]).unwrap();
        assert_eq!(*body.env, ["C=2", "D=\"q\"", "B=two", "F=", "A=mesos", "E=task"]);
    }

    #[test]
    fn labels_of_a_file_lose() {
        let case = Case::new().file("l", b"a=file\nb=x y\nbare\n");
        let body = case.read(&[("label", "a=task"), ("label-file", "l")]).unwrap();
        let found: Vec<_> = body.labels.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(found, [("a", "task"), ("b", "x y")]);
    }

    #[test]
    fn a_file_sets_no_label_of_ours() {
        let case = Case::new().file("l", b"org.apache.mesos.work_dir=/other\n");
        let error = case.read(&[("label-file", "l")]).unwrap_err().to_string();
        assert!(error.contains("org.apache.mesos.") && !error.contains("/other"), "{error}");
    }

    #[test]
    fn labels_of_a_file_are_bounded_with_the_others() {
        let case = Case::new().file("l", format!("a={}", "x".repeat(LARGEST_LABELS)).as_bytes());
        assert!(case.read(&[("label-file", "l")]).unwrap_err().to_string().contains("at most"));
    }

    #[test]
    fn a_file_of_many_variables_is_read_at_once() {
        use std::fmt::Write;

        let mut many = String::new();
        (0..100_000).for_each(|number| writeln!(many, "V{number}=").unwrap());
        assert_eq!(
            Case::new().file("f", many.as_bytes()).read(&[("env-file", "f")]).unwrap().env.len(),
            100_001
        );
    }

    #[rstest::rstest]
    #[case::a_name_alone(b"hunter2", "agent's own")]
    #[case::white_space(b"hunter2 x=c", "white space")]
    #[case::no_name(b"=hunter2", "no name")]
    #[case::not_utf8(b"A=\xffhunter2", "not UTF-8")]
    #[case::a_nul(b"A=hunter2\0", "NUL")]
    fn a_bad_file_is_refused_and_not_quoted(#[case] content: &[u8], #[case] expected: &str) {
        let error = Case::new().file("f", content).read(&[("env-file", "f")]).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter2"), "{error}");
        assert!(error.contains("parameters[0].value"), "{error}");
    }

    #[rstest::rstest]
    #[case("env-file", "/etc/shadow")]
    #[case("label-file", "/etc/hostname")]
    #[case("env-file", "../other")]
    #[case("env-file", "")]
    #[case("env-file", "a/../../../etc/shadow")]
    fn a_file_outside_the_sandbox_is_refused(#[case] key: &str, #[case] value: &str) {
        assert!(Case::new().translate(&[(key, value)]).is_err());
    }

    #[test]
    fn the_sandboxs_own_path_leads_into_it() {
        let case = Case::new().file("f", b"B=1");
        let path = case.sandbox.path().join("f").to_str().unwrap().to_owned();
        assert_eq!(*case.read(&[("env-file", &path)]).unwrap().env, ["B=1", "A=mesos"]);
        let mut case = Case::new();
        let path = case.sandbox.path().join("../other").to_str().unwrap().to_owned();
        assert!(case.translate(&[("env-file", &path)]).is_err());
    }

    #[test]
    fn no_link_and_no_pipe_in_the_sandbox_is_read() {
        let secret = tempfile::tempdir().unwrap();
        fs::write(secret.path().join("shadow"), "ROOT=hunter2").unwrap();
        let shadow = secret.path().join("shadow");
        type Plant<'a> = (&'static str, &'a dyn Fn(&Path));
        let plant: [Plant<'_>; 3] = [
            ("a symbolic link", &|at| std::os::unix::fs::symlink(&shadow, at).unwrap()),
            ("a hard link", &|at| fs::hard_link(&shadow, at).unwrap()),
            ("a pipe", &|at| {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(rustix::fs::CWD, at, rustix::fs::FileType::Fifo, mode, 0).unwrap();
            }),
        ];
        for (what, plant) in plant {
            for key in ["env-file", "label-file", "security-opt"] {
                let case = Case::new();
                plant(&case.sandbox.path().join("f"));
                let value = if key == "security-opt" { "seccomp=f" } else { "f" };
                let error = case.read(&[(key, value)]).expect_err(what).to_string();
                assert!(!error.contains("hunter2"), "{what}: {error}");
            }
        }
    }

    #[test]
    fn a_file_that_is_too_large_is_refused() {
        let case = Case::new().file("f", &vec![b'#'; usize::try_from(LARGEST).unwrap() + 1]);
        assert!(case.read(&[("env-file", "f")]).is_err());
    }

    #[rstest::rstest]
    #[case("seccomp=profile.json")]
    #[case("seccomp:profile.json")]
    fn a_profile_takes_the_place_of_its_path(#[case] option: &str) {
        let case = Case::new().file("profile.json", br#"{ "defaultAction" : "SCMP_ACT_ALLOW" }"#);
        let given =
            [("security-opt", "no-new-privileges"), ("security-opt", option), ("security-opt", option)];
        let options = case.read(&given).unwrap().host_config.security_opt;
        let sent = r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#;
        assert_eq!(options, ["no-new-privileges", sent, sent]);
    }

    #[test]
    fn a_profile_of_the_host_is_read_and_nothing_else_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("profile.json"), r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
        fs::write(path("config.json"), r#"{"auths":{"reg.test":{"auth":"hunter2"}}}"#).unwrap();
        let option = format!("seccomp={}", path("profile.json"));
        let body = Case::new().read(&[("security-opt", &option)]).unwrap();
        assert_eq!(body.host_config.security_opt, [r#"seccomp={"defaultAction":"SCMP_ACT_ALLOW"}"#]);
        for bad in
            [path("config.json"), path("none.json"), path(""), "/dev/zero".to_owned(), "/dev/tty".to_owned()]
        {
            let error =
                Case::new().read(&[("security-opt", &format!("seccomp={bad}"))]).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
