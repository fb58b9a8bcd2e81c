//! Servers of databases: started on a free port of loopback, stopped with the process that started them.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A server, its folder and how it is started. Killed when dropped, and when this process ends.
pub struct Server {
    pub kind: Kind,
    pub port: u16,
    pub folder: PathBuf,
    /// What is said to PostgreSQL beside the usual.
    options: String,
    shell: Option<Child>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Postgres,
    Mongo,
}

impl Server {
    /// A new server with an empty folder; `None` when it is not installed.
    pub fn start(kind: Kind) -> Option<Server> {
        Server::start_with(kind, |_| String::new())
    }

    /// The same with options, which may name files that are put into its folder.
    pub fn start_with(kind: Kind, options: impl FnOnce(&Path) -> String) -> Option<Server> {
        let program = program(kind)?;
        let folder = new_folder();
        if kind == Kind::Postgres {
            make_cluster(&program, &folder);
        }
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let options = options(&folder);
        let mut server = Server { kind, port, folder, options, shell: None };
        server.start_again();
        Some(server)
    }

    /// Starts it on its port and with what its folder holds, and waits until it accepts.
    pub fn start_again(&mut self) {
        let program = program(self.kind).expect("it was installed");
        let (program, folder, port) = (program.display(), self.folder.display(), self.port);
        let server = match self.kind {
            Kind::Postgres => format!(
                "{program} -D {folder}/data -h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c max_connections=40 {}",
                self.options
            ),
            Kind::Mongo => format!(
                "{program} --data-dir {folder} --host 127.0.0.1 -p {port} --log-file {folder}/log --pid-file {folder}/pid"
            ),
        };
        // Its input ends with this process, however that ends: then the shell kills the server and takes the folder away.
        // A line asks for the first alone. It waits, so that nothing is left of the server that could be taken for one.
        let script = format!(
            "{server} > {folder}/out 2>&1 < /dev/null & read line; told=$?; kill -9 $!; wait; \
             [ $told -eq 0 ] || rm -rf {folder}"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).stdin(Stdio::piped()).stderr(Stdio::null()).current_dir(&self.folder);
        if let Some(id) = server_user(self.kind) {
            shell.uid(id).gid(id);
        }
        self.shell = Some(shell.spawn().expect("a shell"));
        self.wait_until("accepts", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// Kills it with all of its processes, as a crash would.
    pub fn kill(&mut self) {
        self.signal("KILL");
        if let Some(mut shell) = self.shell.take() {
            let mut input = shell.stdin.take().expect("the shell's input");
            input.write_all(b"stay\n").and_then(|()| shell.wait()).expect("the shell ends");
        }
        self.wait_until("is gone", || TcpStream::connect(("127.0.0.1", self.port)).is_err());
    }

    /// Sends a signal to all of its processes, and to no other.
    pub fn signal(&self, name: &str) {
        let Some(shell) = &self.shell else { return };
        let family: Vec<String> = descendants(shell.id()).iter().map(u32::to_string).collect();
        let _ = Command::new("kill").arg(format!("-{name}")).args(&family).stderr(Stdio::null()).status();
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..600 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = fs::read_to_string(self.folder.join("out")).unwrap_or_default();
        panic!("{:?} never {what}: {said}", self.kind);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// All processes below this one.
fn descendants(of: u32) -> Vec<u32> {
    let parent = |id: u32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // Behind the name in brackets: state, parent.
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
    };
    let ids = fs::read_dir("/proc").expect("/proc").flatten();
    let ids: Vec<u32> = ids.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok()).collect();
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let above = found[at];
        found.extend(ids.iter().copied().filter(|id| parent(*id) == Some(above)));
        at += 1;
    }
    found.split_off(1)
}

fn program(kind: Kind) -> Option<PathBuf> {
    match kind {
        Kind::Postgres => {
            let versions = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
            versions.map(|version| version.path().join("bin/postgres")).find(|path| path.is_file())
        }
        Kind::Mongo => {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stores-venv/bin/nx-27017");
            path.is_file().then_some(path)
        }
    }
}

/// PostgreSQL does not run as root; its package makes a user for it.
fn server_user(kind: Kind) -> Option<u32> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().expect("id");
        String::from_utf8_lossy(&output.stdout).trim().parse::<u32>().ok()
    };
    (kind == Kind::Postgres && id(&["-u"]) == Some(0)).then(|| id(&["-u", "postgres"]).expect("a user"))
}

fn make_cluster(program: &Path, folder: &Path) {
    let owner = server_user(Kind::Postgres);
    chown(folder, owner, owner).expect("the folder can be given away");
    fs::write(folder.join("password"), PASSWORD).expect("a file");
    let mut make = Command::new(program.with_file_name("initdb"));
    make.arg("-D").arg(folder.join("data")).arg("--pwfile").arg(folder.join("password"));
    make.args(["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
    make.stdout(Stdio::null()).current_dir(folder);
    if let Some(id) = owner {
        make.uid(id).gid(id);
    }
    assert!(make.status().expect("initdb starts").success(), "initdb made no cluster");
}

/// A file that only the server may read.
pub fn private_file(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
    let owner = server_user(Kind::Postgres);
    chown(path, owner, owner).expect("the file can be given away");
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("ringway-stores-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("permissions");
    folder
}

pub const USER: &str = "keeper";
pub const PASSWORD: &str = "p@ss:w/rd";
