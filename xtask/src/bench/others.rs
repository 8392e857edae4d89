//! Tools that people use today, where they are installed: rsync, nginx with curl, scp, sendme.
//!
//! Each server listens on loopback, on a port of its own, with its settings in our scratch folder.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::child::Running;
use super::contest::{Contender, NotInstalled, Sample};

/// A tree or file from an rsync daemon, in clear text.
pub const RSYNC: &str = "rsync daemon";
/// A file from nginx by curl, in clear text.
pub const CURL: &str = "nginx + curl";
/// A tree or file by scp from a private sshd.
pub const SCP: &str = "scp (aes128-gcm)";
/// Both commands of sendme, hashing included.
pub const SENDME: &str = "sendme send + receive";
/// Only the receiving command.
pub const SENDME_RECEIVE: &str = "  of it: receive";

/// Time for a server to answer on its port.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that runs, and the command that fetches from it.
pub struct Served {
    name: &'static str,
    server: Running,
    /// Makes the command that fetches into a folder.
    fetch: Box<dyn Fn(&Path) -> Command>,
}

impl Contender for Served {
    fn round(&mut self, out: &Path, _first: bool) -> Result<Vec<Sample>> {
        let before = self.server.usage().cpu_s;
        let running = Running::start((self.fetch)(out))?;
        let started = running.started;
        let ended = running.finish()?;
        let cpu_s = Some(ended.usage.cpu_s + self.server.usage().cpu_s - before);
        let seconds = (ended.at - started).as_secs_f64();
        Ok(vec![Sample { name: self.name, seconds, cpu_s, peaks: None }])
    }
}

/// An rsync daemon that serves the folder of the source.
pub fn rsync(scratch: &Path, source: &Path) -> Result<Served> {
    let program = find("rsync")?;
    let (folder, name) = parts(source)?;
    let settings = scratch.join("rsyncd.conf");
    // A daemon of root would read as nobody, who may not enter our scratch folder.
    let as_root = if is_root() { "uid = 0\ngid = 0\n" } else { "" };
    let module = format!("use chroot = no\n{as_root}[bench]\npath = {folder}\nread only = yes\n");
    fs::write(&settings, module)?;
    let port = free_port()?;
    let mut command = Command::new(&program);
    command.args(["--daemon", "--no-detach", "--address=127.0.0.1", &format!("--port={port}")]);
    command.arg(format!("--config={}", settings.display())).arg("--log-file=/dev/null");
    let server = serve(command, port)?;
    let fetch = move |out: &Path| {
        let mut command = Command::new(&program);
        command.arg("-a").arg(format!("rsync://127.0.0.1:{port}/bench/{name}")).arg(out);
        command
    };
    Ok(Served { name: RSYNC, server, fetch: Box::new(fetch) })
}

/// nginx, which serves the folder of the source, and curl.
pub fn curl(scratch: &Path, source: &Path) -> Result<Served> {
    let (nginx, curl) = (find("nginx")?, find("curl")?);
    let (folder, name) = parts(source)?;
    let state = scratch.join("nginx");
    fs::create_dir_all(&state)?;
    let port = free_port()?;
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", state.display()))
        .concat();
    // One process, so that ending it leaves no worker behind.
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {state}/pid;\nerror_log stderr;\n\
         events {{}}\nhttp {{\naccess_log off;\nsendfile on;\n{temporary}\
         server {{ listen 127.0.0.1:{port}; root {folder}; }}\n}}\n",
        state = state.display(),
    );
    let file = state.join("nginx.conf");
    fs::write(&file, settings)?;
    let mut command = Command::new(nginx);
    command.arg("-c").arg(&file).arg("-p").arg(&state).args(["-e", "stderr"]);
    let server = serve(command, port)?;
    let fetch = move |out: &Path| {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "-o"]);
        command.arg(out.join(&name)).arg(format!("http://127.0.0.1:{port}/{name}"));
        command
    };
    Ok(Served { name: CURL, server, fetch: Box::new(fetch) })
}

/// A private sshd with keys of its own, and scp.
pub fn scp(scratch: &Path, source: &Path) -> Result<Served> {
    let (scp, sshd, keygen) = (find("scp")?, find("sshd")?, find("ssh-keygen")?);
    let state = tempfile::Builder::new().prefix("ssh-").tempdir_in(scratch)?.keep();
    let (host_key, user_key) = (state.join("host"), state.join("user"));
    for key in [&host_key, &user_key] {
        let mut command = Command::new(&keygen);
        command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(key);
        ensure!(command.status()?.success(), "ssh-keygen failed");
    }
    let port = free_port()?;
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}.pub\n\
         StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n\
         PidFile none\nSubsystem sftp internal-sftp\n",
        host_key.display(),
        user_key.display(),
    );
    let file = state.join("sshd_config");
    fs::write(&file, settings)?;
    let mut command = Command::new(sshd);
    command.args(["-D", "-e", "-f"]).arg(&file);
    let server = serve(command, port)?;
    let user = String::from_utf8(Command::new("id").arg("-un").output()?.stdout)?;
    let from = format!("{}@127.0.0.1:{}", user.trim(), source.display());
    let fetch = move |out: &Path| {
        let mut command = Command::new(&scp);
        command.args(["-q", "-r", "-F", "none", "-P", &port.to_string(), "-i"]).arg(&user_key);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "Ciphers=aes128-gcm@openssh.com",
        ] {
            command.args(["-o", option]);
        }
        command.arg(&from).arg(out);
        command
    };
    Ok(Served { name: SCP, server, fetch: Box::new(fetch) })
}

/// sendme, from the start of both commands.
pub struct Sendme {
    program: PathBuf,
    scratch: PathBuf,
    source: PathBuf,
}

/// sendme, if it is installed.
pub fn sendme(scratch: &Path, source: &Path) -> Result<Sendme> {
    let (scratch, source) = (scratch.to_owned(), source.to_owned());
    Ok(Sendme { program: find("sendme")?, scratch, source })
}

impl Contender for Sendme {
    fn round(&mut self, out: &Path, _first: bool) -> Result<Vec<Sample>> {
        let state = tempfile::Builder::new().prefix("sendme-").tempdir_in(&self.scratch)?;
        let alone = ["--relay", "disabled", "--no-progress"];
        let mut command = Command::new(&self.program);
        command.current_dir(state.path()).arg("send").args(alone);
        command.args(["--ticket-type", "addresses"]).arg(&self.source);
        let mut sender = Running::start(command)?;
        let (_, ticket) = sender.wait_for(|line| {
            line.split_whitespace().find(|word| word.starts_with("blob")).map(str::to_owned)
        })?;
        let mut command = Command::new(&self.program);
        command.current_dir(out).arg("receive").args(alone).arg(ticket);
        let receiver = Running::start(command)?;
        let started = receiver.started;
        let ended = receiver.finish()?;
        let sent = sender.usage();
        let whole = Sample {
            name: SENDME,
            seconds: (ended.at - sender.started).as_secs_f64(),
            cpu_s: Some(ended.usage.cpu_s + sent.cpu_s),
            peaks: Some([sent.peak_bytes, ended.usage.peak_bytes]),
        };
        let seconds = (ended.at - started).as_secs_f64();
        let receiving = Sample { name: SENDME_RECEIVE, seconds, cpu_s: None, peaks: None };
        Ok(vec![whole, receiving])
    }
}

/// Where a program is installed; servers are often outside of a person's PATH.
fn find(name: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path);
    let folders = folders.chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    Ok(found.ok_or(NotInstalled(name))?)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of a path, and its name.
fn parts(source: &Path) -> Result<(String, String)> {
    let folder = source.parent().and_then(Path::to_str).context("the source is in a folder")?;
    let name = source.file_name().and_then(|name| name.to_str()).context("it has a name")?;
    Ok((folder.to_owned(), name.to_owned()))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Starts a server and waits until it answers.
fn serve(command: Command, port: u16) -> Result<Running> {
    let mut server = Running::start(command)?;
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        server.ensure_alive()?;
        if Instant::now() > deadline {
            bail!("it does not answer");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(server)
}
