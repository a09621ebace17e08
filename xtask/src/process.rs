//! Child processes, each in its own process group, so that their own children end with them.

use std::{
    collections::{BTreeMap, VecDeque},
    env,
    fs::{self, File},
    io::{BufReader, IsTerminal, Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a group may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How long a step may be silent before a line says that it is still at work.
const SILENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// The running children by process id, which is also their group's id.
static RUNNING: Mutex<BTreeMap<u32, Child>> = Mutex::new(BTreeMap::new());

fn running() -> MutexGuard<'static, BTreeMap<u32, Child>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Set once a signal has come: later failures are caused by it.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// Where this program is, as it was when it began: `cargo test` of the workspace writes the same file anew, and Linux calls the one
/// that runs "xtask (deleted)" from then on (proc(5), `/proc/pid/exe`).
static OWN: LazyLock<Result<PathBuf, String>> =
    LazyLock::new(|| env::current_exe().map_err(|error| format!("where am I: {error}")));

/// The path of this program, to run it again; `main` asks first of all.
pub(crate) fn own() -> Result<&'static Path, String> {
    OWN.as_deref().map_err(Clone::clone)
}

/// What a signal has to put in order before this program ends.
static AT_SIGNAL: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Says what to do after a signal, once everything has ended and before this program does; `None`: nothing any more.
pub(crate) fn at_signal(work: Option<Box<dyn FnOnce() + Send>>) {
    *AT_SIGNAL.lock().unwrap_or_else(PoisonError::into_inner) = work;
}

/// Ends everything on SIGINT, SIGTERM and SIGHUP, and exits with 130.
pub(crate) fn stop_everything_on_signals() -> Result<(), String> {
    ctrlc::set_handler(|| {
        STOPPING.store(true, Ordering::SeqCst);
        eprintln!("\nstopping");
        stop_all();
        let work = AT_SIGNAL.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(work) = work {
            work();
        }
        std::process::exit(130);
    })
    .map_err(|error| format!("cannot handle signals: {error}"))
}

/// Does not return while a signal is being handled: a failure that comes then was caused by it.
pub(crate) fn hold_while_stopping() {
    while STOPPING.load(Ordering::SeqCst) {
        thread::sleep(POLL);
    }
}

/// Ends every process group that is still there. While a signal is being handled it does not return.
pub(crate) fn stop_at_end() {
    hold_while_stopping();
    stop_all();
}

fn stop_all() {
    let groups: Vec<u32> = running().keys().copied().collect();
    stop(&groups);
}

/// The shell's own `kill`, because a small Debian has no `/bin/kill`.
fn signal(group: u32, name: &str) -> bool {
    Command::new("sh")
        .args(["-c", "kill -s \"$1\" -- \"-$2\"", "sh", name, &group.to_string()])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn stop(groups: &[u32]) {
    let mut left: Vec<u32> = groups.iter().copied().filter(|group| signal(*group, "TERM")).collect();
    let deadline = Instant::now() + GRACE;
    while !left.is_empty() && Instant::now() < deadline {
        for group in &left {
            // An ended leader that nobody has waited for still counts as a member of its group.
            if let Some(child) = running().get_mut(group) {
                let _ = child.try_wait();
            }
        }
        left.retain(|group| signal(*group, "0"));
        thread::sleep(POLL);
    }
    for group in left {
        signal(group, "KILL");
    }
    for group in groups {
        let child = running().remove(group);
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }
}

/// A running child; dropping it ends its whole group.
pub(crate) struct Process {
    id: u32,
    name: String,
}

impl Process {
    /// Starts a command whose output goes to `log`.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self, String> {
        let file = File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        let copy = file.try_clone().map_err(|error| format!("cannot write {}: {error}", log.display()))?;
        Ok(Self::spawn(name, command.stdout(file).stderr(copy))?.0)
    }

    fn spawn(name: &str, command: &mut Command) -> Result<(Self, Vec<Box<dyn Read + Send>>), String> {
        // The lock is held while the child starts: a signal that comes now finds it in the list.
        let mut running = running();
        let mut child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("cannot run {}: {error}", command.get_program().to_string_lossy()))?;
        let mut outputs: Vec<Box<dyn Read + Send>> = Vec::new();
        outputs.extend(child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
        outputs.extend(child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>));
        let id = child.id();
        running.insert(id, child);
        Ok((Self { id, name: name.to_owned() }, outputs))
    }

    /// The id of the process group.
    pub(crate) fn group(&self) -> u32 {
        self.id
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn ended(&self) -> Result<Option<ExitStatus>, String> {
        match running().get_mut(&self.id) {
            Some(child) => child.try_wait().map_err(|error| format!("{}: {error}", self.name)),
            None => Err(format!("{} was stopped", self.name)),
        }
    }

    fn wait(&self) -> Result<ExitStatus, String> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        stop(&[self.id]);
    }
}

/// Hands on the lines of a process as they come, and `None` for every second without one, until the pipes are closed
/// or the process has ended and what it left behind holds them open.
fn each_line(process: &Process, outputs: Vec<Box<dyn Read + Send>>, mut handle: impl FnMut(Option<String>)) {
    let (send, receive) = mpsc::channel();
    for output in outputs {
        let send = send.clone();
        thread::spawn(move || pieces(output, |line| send.send(line).is_ok()));
    }
    drop(send);
    loop {
        match receive.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => handle(Some(line)),
            Err(RecvTimeoutError::Timeout) if matches!(process.ended(), Ok(None)) => handle(None),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Hands on what a program writes, line by line, until `handle` wants no more. A carriage return ends a line too: progress is
/// written over itself.
fn pieces(output: impl Read, mut handle: impl FnMut(String) -> bool) {
    let mut line = Vec::new();
    for byte in BufReader::new(output).bytes().map_while(Result::ok) {
        match byte {
            b'\r' if line.is_empty() => {}
            b'\r' | b'\n' => {
                if !handle(String::from_utf8_lossy(&line).into_owned()) {
                    return;
                }
                line.clear();
            }
            byte => line.push(byte),
        }
    }
    if !line.is_empty() {
        handle(String::from_utf8_lossy(&line).into_owned());
    }
}

/// Makes Cargo say how far it is, as [`progress`] reads it, though nobody looks at it through a terminal.
fn with_progress(command: &mut Command) -> &mut Command {
    command.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "100")
}

/// How far Cargo is, if it says that here: `12 of 213` of `Building [==>      ] 12/213: syn`.
/// <https://doc.rust-lang.org/cargo/reference/config.html#termprogresswhen>
fn progress(line: &str) -> Option<String> {
    let (_, rest) = line.trim_start().strip_prefix("Building [")?.split_once("] ")?;
    let (done, all) = rest.split(':').next()?.trim().split_once('/')?;
    let numbers = [done, all].map(|number| number.parse::<u32>().ok());
    matches!(numbers, [Some(_), Some(_)]).then(|| format!("{done} of {all}"))
}

/// Text without the colours of a terminal.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(|end: char| end.is_ascii_alphabetic()).map_or("", |(_, text)| text));
    first + &rest.collect::<String>()
}

/// Whether a build says this every time: what is compiled, and that it is done.
fn is_usual(line: &str) -> bool {
    const WORDS: [&str; 13] = [
        "Adding",
        "Blocking",
        "Building",
        "Checking",
        "Compiling",
        "Downloaded",
        "Downloading",
        "Finished",
        "Fetching",
        "Fresh",
        "Locking",
        "Updating",
        "[INFO]:",
    ];
    let (line, first) = (line.trim(), line.split_whitespace().next().unwrap_or_default());
    // The last two are esbuild's.
    WORDS.contains(&first) || first == "⚡" || first == "index.js" && line.ends_with("kb")
}

/// A build that runs: of its output, only what is not the same every time is shown, and every ten seconds how far it is.
pub(crate) struct Build {
    process: Process,
    said: Arc<Mutex<Said>>,
    readers: Vec<thread::JoinHandle<()>>,
    started: Instant,
    told: Instant,
}

/// What a build has said until now.
#[derive(Default)]
struct Said {
    far: String,
    /// Messages for programs, a JSON object each.
    messages: Vec<String>,
    /// Whether the last line was shown: an empty one belongs to it.
    is_shown: bool,
}

impl Said {
    /// Takes a line, and returns whether it is to be shown.
    fn takes(&mut self, line: &str) -> bool {
        let text = plain(line);
        if let Some(far) = progress(&text) {
            self.far = format!(": {far}");
            return false;
        }
        if text.starts_with('{') {
            self.messages.push(text);
            self.is_shown = false;
            return false;
        }
        self.is_shown =
            if text.trim().is_empty() { self.is_shown && !line.contains('\u{1b}') } else { !is_usual(&text) };
        self.is_shown
    }
}

impl Build {
    /// Starts it.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self, String> {
        with_progress(command).stdout(Stdio::piped()).stderr(Stdio::piped());
        if std::io::stdout().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        let (process, outputs) = Process::spawn(name, command)?;
        let said = Arc::new(Mutex::new(Said::default()));
        let read = |output: Box<dyn Read + Send>| {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                pieces(output, |line| {
                    if said.lock().unwrap_or_else(PoisonError::into_inner).takes(&line) {
                        println!("{line}");
                    }
                    true
                });
            })
        };
        let readers = outputs.into_iter().map(read).collect();
        Ok(Self { process, said, readers, started: Instant::now(), told: Instant::now() })
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>, String> {
        let Some(status) = self.process.ended()? else {
            if self.told.elapsed() >= SILENCE {
                let (name, seconds) = (self.process.name(), self.started.elapsed().as_secs());
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                println!("  {name}, {seconds} s{}", said.far);
                self.told = Instant::now();
            }
            return Ok(None);
        };
        // What it left behind may hold the pipes open.
        let deadline = Instant::now() + Duration::from_secs(1);
        while !self.readers.iter().all(thread::JoinHandle::is_finished) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        Ok(Some(status))
    }

    /// Runs a build to its end: its messages for programs, or `None` if it failed.
    pub(crate) fn run(name: &str, command: &mut Command) -> Result<Option<Vec<String>>, String> {
        let mut build = Self::start(name, command)?;
        loop {
            if let Some(status) = build.ended()? {
                let messages = std::mem::take(&mut build.said.lock().unwrap_or_else(PoisonError::into_inner).messages);
                return Ok(status.success().then_some(messages));
            }
            thread::sleep(POLL);
        }
    }
}

/// Runs a step of the set-up: its output goes to `log`, and every ten seconds a line says how far it is.
pub(crate) fn step(name: &str, what: &str, command: &mut Command, log: &Path) -> Result<(), String> {
    println!("  {name}: {what}");
    let started = Instant::now();
    let mut file = File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let (process, outputs) =
        Process::spawn(name, with_progress(command).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let mut tail: VecDeque<String> = VecDeque::new();
    let (mut told, mut far, mut fetched) = (Instant::now(), None, 0_usize);
    each_line(&process, outputs, |line| {
        let reached = line.as_deref().map(plain).and_then(|line| progress(&line));
        if reached.is_some() {
            far = reached;
        } else if let Some(line) = line.filter(|line| !plain(line).trim().is_empty()) {
            let _ = writeln!(file, "{line}");
            // Which address npm asked last tells nobody how far it is.
            if line.starts_with("npm http fetch") {
                fetched += 1;
                far = Some(format!("{fetched} answers of the registry"));
            }
            if tail.len() == 30 {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        if told.elapsed() >= SILENCE {
            let last = || tail.back().map_or("no output yet", |line| line.trim()).chars().take(70).collect();
            println!("  {name}: {what}, {} s: {}", started.elapsed().as_secs(), far.clone().unwrap_or_else(last));
            told = Instant::now();
        }
    });
    let status = process.wait()?;
    if status.success() {
        let _ = fs::remove_file(log);
        println!("  {name}: {what}, done in {} s", started.elapsed().as_secs());
        return Ok(());
    }
    Err(format!(
        "{name}: {what} failed ({status}); its whole output is in {}\n{}",
        log.display(),
        Vec::from(tail).join("\n")
    ))
}

/// The output and exit of a command whose output was shown.
pub(crate) struct Ran {
    /// Whether it ended with status 0.
    pub(crate) success: bool,
    /// Its lines, standard output and standard error as they came.
    pub(crate) lines: Vec<String>,
}

/// Runs a command, shows what it prints, and keeps it.
pub(crate) fn shown(name: &str, command: &mut Command) -> Result<Ran, String> {
    shown_after("", name, command)
}

/// The same for one of several that run at a time: `mark` stands before each line.
pub(crate) fn shown_after(mark: &str, name: &str, command: &mut Command) -> Result<Ran, String> {
    let started = Instant::now();
    let (process, outputs) = Process::spawn(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let mut lines = Vec::new();
    let mut told = Instant::now();
    each_line(&process, outputs, |line| {
        if let Some(line) = line {
            println!("{mark}{line}");
            lines.push(line);
            told = Instant::now();
        } else if told.elapsed() >= SILENCE {
            println!("... {name}, {} s", started.elapsed().as_secs());
            told = Instant::now();
        }
    });
    let success = process.wait()?.success();
    Ok(Ran { success, lines })
}

/// The standard output of a short command; an error if it fails.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("cannot run {program}: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "{program} failed ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name is on `PATH`.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_build_only_what_is_not_the_same_every_time_is_shown() {
        let output = "\u{1b}[1m\u{1b}[92m   Compiling\u{1b}[0m syn v3.0.10\n\
            \u{1b}[1m\u{1b}[96m    Building\u{1b}[0m [==>      ] 12/213: syn, quote    \r\u{1b}[K\
            \u{1b}[1m\u{1b}[91merror[E0425]\u{1b}[0m: cannot find value `x`\n --> src/lib.rs:1:1\n\nmore of it\n\
            {\"reason\":\"build-finished\"}\n\n[INFO]: done\n  index.js  35.6kb\n\u{26a1} Done in 11ms\n\
            error: could not compile\n    Building [===>     ] 13/213: last";
        let (mut said, mut shown) = (Said::default(), Vec::new());
        pieces(output.as_bytes(), |line| {
            if said.takes(&line) {
                shown.push(plain(&line));
            }
            true
        });
        let expected = [
            "error[E0425]: cannot find value `x`",
            " --> src/lib.rs:1:1",
            "",
            "more of it",
            "error: could not compile",
        ];
        assert_eq!(shown, expected, "an error in full, in colour or not, and nothing else");
        assert_eq!(said.far, ": 13 of 213", "the last that was said");
        assert_eq!(said.messages, ["{\"reason\":\"build-finished\"}"], "messages for programs are kept");
    }

    #[test]
    fn progress_is_read_from_what_cargo_says_and_from_nothing_else() {
        assert_eq!(
            progress("    Building [=====>                 ] 45/213: syn, serde(build.rs)"),
            Some("45 of 213".to_owned())
        );
        for other in ["   Compiling syn v3.0.10", "Building [=] now", "    Building [==> ] 3/x: syn", ""] {
            assert_eq!(progress(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_build_that_fails_is_told_from_one_that_succeeds() {
        let run = |script: &str| Build::run("a script", Command::new("sh").args(["-c", script])).expect("it runs");
        assert_eq!(run("echo '{\"a\":1}'; exit 0"), Some(vec!["{\"a\":1}".to_owned()]));
        assert_eq!(run("exit 1"), None);
    }
}
