//! Child processes, each in its own process group, so that their own children end with them.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
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

/// Ends everything on SIGINT, SIGTERM and SIGHUP, and exits with 130.
pub(crate) fn stop_everything_on_signals() -> Result<(), String> {
    ctrlc::set_handler(|| {
        STOPPING.store(true, Ordering::SeqCst);
        eprintln!("\nstopping");
        stop_all();
        std::process::exit(130);
    })
    .map_err(|error| format!("cannot handle signals: {error}"))
}

/// Ends every process group that is still there. While a signal is being handled it does not return.
pub(crate) fn stop_at_end() {
    while STOPPING.load(Ordering::SeqCst) {
        thread::sleep(POLL);
    }
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

    /// Starts a command whose output goes where ours goes.
    pub(crate) fn in_view(name: &str, command: &mut Command) -> Result<Self, String> {
        Self::spawn(name, command).map(|(process, _)| process)
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
        thread::spawn(move || {
            let mut reader = BufReader::new(output);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line);
                if send.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
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

/// Runs a step of the set-up: its output goes to `log`, and every ten seconds a line says how far it is.
pub(crate) fn step(name: &str, what: &str, command: &mut Command, log: &Path) -> Result<(), String> {
    println!("  {name}: {what}");
    let started = Instant::now();
    let mut file = File::create(log).map_err(|error| format!("cannot write {}: {error}", log.display()))?;
    let (process, outputs) = Process::spawn(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let mut tail: VecDeque<String> = VecDeque::new();
    let mut told = Instant::now();
    each_line(&process, outputs, |line| {
        if let Some(line) = line {
            let _ = writeln!(file, "{line}");
            if tail.len() == 30 {
                tail.pop_front();
            }
            tail.push_back(line);
        }
        if told.elapsed() >= SILENCE {
            let last = tail.back().map_or("no output yet", |line| line.trim());
            println!("  {name}: {what}, {} s: {last}", started.elapsed().as_secs());
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
    let started = Instant::now();
    let (process, outputs) = Process::spawn(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let mut lines = Vec::new();
    let mut told = Instant::now();
    each_line(&process, outputs, |line| {
        if let Some(line) = line {
            println!("{line}");
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
