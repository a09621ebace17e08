//! A child process that cannot outlive this one.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// Runs the command given as arguments, kills it as soon as standard input ends, and exits as it did.
///
/// Standard input is a pipe whose other end only the sandbox holds, so it ends when the sandbox does, even by SIGKILL.
/// `prctl(PR_SET_PDEATHSIG)` would not do: it follows the thread that started the child, and threads come and go here.
const LEASH: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; kill -KILL $server; if [ -n "$CONTAINER" ]; then docker kill "$CONTAINER"; fi; } >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait $server
status=$?
kill $watcher 2>/dev/null
exit $status
"#;

pub(crate) struct Process {
    child: Mutex<Child>,
    leash: Mutex<Option<ChildStdin>>,
}

impl Process {
    /// Starts `command` with its output going to `log`. It gets a process group of its own: a Ctrl-C in the terminal reaches
    /// the sandbox only, which then ends it.
    pub(crate) fn start(command: &Command, log: &File, container: Option<&str>) -> io::Result<Self> {
        let mut leashed = Command::new("/bin/sh");
        leashed.arg("-c").arg(LEASH).arg("leash").arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                leashed.env(name, value);
            }
        }
        if let Some(directory) = command.get_current_dir() {
            leashed.current_dir(directory);
        }
        leashed.env("CONTAINER", container.unwrap_or_default());
        leashed.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log.try_clone()?).process_group(0);
        let mut child = leashed.spawn()?;
        let leash = child.stdin.take();
        Ok(Self { child: Mutex::new(child), leash: Mutex::new(leash) })
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(child.try_wait(), Ok(None))
    }

    /// Ends it at once, and waits until it is gone.
    pub(crate) fn kill(&self) {
        self.leash.lock().unwrap_or_else(PoisonError::into_inner).take();
        // An error means that it was waited for already.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
