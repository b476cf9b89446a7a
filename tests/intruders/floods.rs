//! More than anybody needs: connections, bytes, and refusals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::siege::{PATIENCE, Siege, connect, read_to_end, refused, request, statuses, tail};
use super::support::agent::ANYWHERE;
use super::support::{World, eventually};

/// How much the agent may grow under any flood, in a build that is not optimised: 512 connections on each of two sockets,
/// each with a read buffer of up to 16 KiB, what hyper and the runtime keep for it, and 1024 lines of log that wait.
const GROWTH_KIB_MAX: u64 = 48 * 1024;

/// What a second flood of the same kind may add: the allocator's fragments. A leak would cost as much as the first.
const AGAIN_KIB_MAX: u64 = 10 * 1024;

fn rss_kib(siege: &Siege) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", siege.agent.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn files_open(siege: &Siege) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", siege.agent.pid())).unwrap().count()
}

/// What the agent needs when nobody attacks it: its memory and its open files.
fn at_rest(siege: &mut Siege) -> (u64, usize) {
    for _ in 0..50 {
        assert_eq!(statuses(&siege.send(siege.with_token("").as_bytes())), [200]);
    }
    siege.honest();
    let mut least = usize::MAX;
    // A file may be open for an instant.
    for _ in 0..20 {
        least = least.min(files_open(siege));
        std::thread::sleep(Duration::from_millis(20));
    }
    (rss_kib(siege), least)
}

/// Opens connections and holds them until its input ends; a third of them sends half a head.
const CROWD: &str = "
import resource, socket, sys
count, where = int(sys.argv[1]), sys.argv[2]
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
held = []
for n in range(count):
    if where.isdigit():
        s = socket.create_connection(('127.0.0.1', int(where)), timeout=60)
    else:
        s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(where)
    try:
        if n % 3 == 0: s.sendall(b'GET /credentials/app HTTP/1.1\\r\\nHost: 127.0.0.1\\r\\nX: ')
    except ConnectionError: pass
    held.append(s)
    if n % 100 == 99: print(n + 1, flush=True)
sys.stdin.read()
";

struct Crowd {
    child: Child,
    counted: BufReader<std::process::ChildStdout>,
}

impl Crowd {
    fn gather(count: usize, to: &str) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", CROWD, &count.to_string(), to]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let counted = BufReader::new(child.stdout.take().unwrap());
        Self { child, counted }
    }

    /// How many have come, each time a hundred more have.
    fn grown(&mut self) -> usize {
        let mut line = String::new();
        self.counted.read_line(&mut line).unwrap();
        line.trim().parse().expect("the crowd's program goes on")
    }

    fn leave(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn ten_thousand_connections_cost_little_and_shut_nobody_out() {
    let mut siege = Siege::new("-v");
    let port = siege.at.port().to_string();
    let (rest, files) = at_rest(&mut siege);
    let (mut peaks, mut again) = ([0, 0], 0);
    for peak in &mut peaks {
        let mut crowd = Crowd::gather(10_000, &port);
        loop {
            let come = crowd.grown();
            *peak = rss_kib(&siege).max(*peak);
            again += gets_through(&siege, come);
            if come == 10_000 {
                break;
            }
        }
        assert!(files_open(&siege) > files + 300, "they are connected");
        crowd.leave();
        eventually("their files are closed", || files_open(&siege) <= files + 2);
        siege.honest();
    }
    let [first, second] = peaks;
    println!(
        "10000 connections: {rest} KiB at rest, at most {first}, then {second} KiB; {again} tries more"
    );
    assert!(first < rest + GROWTH_KIB_MAX, "{rest} KiB, then {first} KiB");
    assert!(second < first + AGAIN_KIB_MAX, "{first} KiB, then {second} KiB");
    let said = siege.end();
    assert!(refused(&said, "Crowded") > 1000, "they were turned away");
}

/// How often a program has to try again until it is answered: if 512 others connect between its connecting and its asking,
/// it is the one that is closed to make room. SDKs try three times and more.
fn gets_through(siege: &Siege, come: usize) -> usize {
    let ask = || statuses(&siege.send(siege.with_token("").as_bytes())) == [200];
    (0..5).find(|_| ask()).unwrap_or_else(|| panic!("not answered among {come}"))
}

/// Both sockets full: the agent may still open its own files. Most systems give a process 1024.
#[test]
fn two_crowds_leave_the_agent_room_for_its_files() {
    let limited = |world: &World| {
        let plain = world.command();
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 1024 && exec \"$0\" \"$@\""]).arg(plain.get_program());
        command.env_clear();
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap());
        }
        command
    };
    let mut siege = Siege::listening("-v", ANYWHERE, limited);
    let socket = siege.world.home.path().join("run/agent.sock");
    let crowds = [siege.at.port().to_string(), socket.to_str().unwrap().to_owned()];
    let mut crowds = crowds.map(|to| Crowd::gather(700, &to));
    for crowd in &mut crowds {
        while crowd.grown() < 700 {}
    }
    for _ in 0..10 {
        let done = siege.agent.control("POST", "/v1/profiles/app/token", b"");
        assert_eq!(done.status, 204, "its files can be read: {done:?}");
        assert_eq!(statuses(&siege.send(siege.with_token("").as_bytes())), [200]);
    }
    siege.honest();
    crowds.into_iter().for_each(Crowd::leave);
    let said = siege.end();
    assert!(!said.contains("Too many open files"), "{}", tail(&said));
}

#[test]
fn heads_that_come_byte_by_byte_are_cut_off_and_hold_nobody_up() {
    let mut siege = Siege::new("-v");
    let (_, files) = at_rest(&mut siege);
    let mut slow: Vec<TcpStream> = (0..100).map(|_| connect(siege.at)).collect();
    let begun = Instant::now();
    let mut rounds = 0;
    // Without an end, were they not cut off.
    while !slow.is_empty() {
        assert!(begun.elapsed() < PATIENCE, "{} go on", slow.len());
        slow.retain_mut(|stream| stream.write_all(b"G").is_ok());
        rounds += 1;
        if rounds % 10 == 0 {
            assert_eq!(statuses(&siege.send(siege.with_token("").as_bytes())), [200]);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eventually("their files are closed", || files_open(&siege) <= files + 2);
    let said = siege.end();
    assert!(refused(&said, "Malformed") >= 100, "{}", tail(&said));
}

#[test]
fn wrong_tokens_by_the_thousand_cost_a_line_each_and_no_memory() {
    let mut siege = Siege::new("-v");
    let (rest, files) = at_rest(&mut siege);
    let wrong = format!("Authorization: {}\r\n", "0".repeat(64));
    let once = request("GET", "/credentials/app", &wrong).replace("Connection: close\r\n", "");
    let mut peaks = [0, 0];
    for peak in &mut peaks {
        for _ in 0..20 {
            let mut stream = connect(siege.at);
            let last = request("GET", "/credentials/app", &wrong);
            let many = format!("{}{last}", once.repeat(99));
            std::thread::scope(|scope| {
                let mut writing = stream.try_clone().unwrap();
                scope.spawn(move || writing.write_all(many.as_bytes()).unwrap());
                let answers = read_to_end(&mut stream);
                assert_eq!(statuses(&answers), [401; 100]);
                assert_eq!(siege.secret_in(&answers), None);
            });
            assert_eq!(statuses(&siege.send(siege.with_token("").as_bytes())), [200]);
            *peak = rss_kib(&siege).max(*peak);
        }
    }
    eventually("their files are closed", || files_open(&siege) <= files + 2);
    println!("4000 wrong tokens: {rest} KiB at rest, at most {peaks:?} KiB");
    assert!(
        peaks[1] < rest + GROWTH_KIB_MAX && peaks[1] < peaks[0] + AGAIN_KIB_MAX,
        "{rest} {peaks:?}"
    );
    let said = siege.end();
    // One that was lost because nobody read in time is counted, and said.
    let lines = refused(&said, "Token");
    assert!(
        lines <= 4000 && (lines == 4000 || said.contains("lines of the log were lost")),
        "{lines}"
    );
    let longest = said.lines().map(str::len).max().unwrap();
    assert!(longest < 500, "{longest}");
}

/// A log that nobody reads any more: a full pipe, as of a terminal that was stopped.
#[test]
fn a_log_that_nobody_reads_holds_up_neither_answers_nor_signals() {
    let world = World::added();
    world.configure_agent(ANYWHERE, "imds = true\n");
    let mut command = world.command();
    command.args(["-vvv", "agent"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Stopped(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut stderr = BufReader::new(child.0.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("serving ") {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the agent ended");
    }
    // From here on nobody reads.
    let token = std::fs::read_to_string(world.state().join("token")).unwrap();
    let control = world.home.path().join("run/agent.sock");
    let over_control = |message: &str| {
        let mut stream = UnixStream::connect(&control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(message.as_bytes()).unwrap();
        String::from_utf8(read_to_end(&mut stream)).unwrap()
    };
    let status = request("GET", "/v1/status", "");
    let answer = over_control(&status);
    let body: serde_json::Value =
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    let at = body["listen"].as_str().unwrap().parse().unwrap();
    let once = request("GET", "/credentials/app", "").replace("Connection: close\r\n", "");
    let flood = || {
        let mut stream = connect(at);
        let many = format!("{}{}", once.repeat(99), request("GET", "/", ""));
        std::thread::scope(|scope| {
            let mut writing = stream.try_clone().unwrap();
            scope.spawn(move || writing.write_all(many.as_bytes()).unwrap());
            assert_eq!(statuses(&read_to_end(&mut stream)).len(), 100);
        });
    };
    for _ in 0..20 {
        flood();
    }
    let honest = || {
        let headers = format!("Authorization: {token}\r\n");
        let mut stream = connect(at);
        stream.write_all(request("GET", "/credentials/app", &headers).as_bytes()).unwrap();
        assert_eq!(statuses(&read_to_end(&mut stream)), [200]);
        assert_eq!(world.served_id(), world.id);
    };
    honest();
    // It reads its configuration when it is told to, and says so to nobody.
    world.configure_agent(ANYWHERE, "[profile.other]\nsource_profile = \"app\"\n");
    child.signal("HUP");
    eventually("the new profile is there", || {
        over_control(&request("GET", "/v1/profiles/other", "")).contains("200 OK")
    });
    flood();
    honest();
    world.expect(0, &["rotate", "--wait", "deleted"]);
    child.signal("TERM");
    eventually("it ends", || child.0.try_wait().unwrap().is_some());
    assert!(child.0.wait().unwrap().success());
    // The pipe was full: what is in it is all that was written.
    let mut rest = Vec::new();
    stderr.read_to_end(&mut rest).unwrap();
    assert!(rest.len() >= 60_000, "{} bytes", rest.len());
}

/// A child that does not outlive its test.
struct Stopped(Child);

impl Stopped {
    fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
