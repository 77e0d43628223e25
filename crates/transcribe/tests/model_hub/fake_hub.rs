//! A hub on 127.0.0.1 with one repository, just enough of it for the client.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The commit that the fake repository is at.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// File names and their contents.
#[derive(Clone, Default)]
pub(crate) struct Repository(BTreeMap<String, String>);

impl Repository {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect())
    }

    pub(crate) fn insert(&mut self, name: &str, text: &str) {
        self.0.insert(name.into(), text.into());
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }
}

#[derive(Clone, Default)]
struct Behaviour {
    id: String,
    files: Repository,
    /// Answer everything with this status.
    refuse: Option<u16>,
    /// Close the connection after so many bytes of this file.
    break_off: Option<(String, usize)>,
    /// Never answer.
    hang: bool,
    /// Send whole files always, except to the question for the size.
    ignore_ranges: bool,
}

/// Path and range of a request.
type Log = Arc<Mutex<Vec<(String, Option<String>)>>>;

pub(crate) struct FakeHub {
    pub(crate) endpoint: String,
    log: Log,
}

impl FakeHub {
    pub(crate) fn serve(id: &str, files: Repository) -> Self {
        Self::start(Behaviour { id: id.into(), files, ..Behaviour::default() })
    }

    pub(crate) fn refusing(status: u16) -> Self {
        Self::start(Behaviour { refuse: Some(status), ..Behaviour::default() })
    }

    pub(crate) fn breaking(id: &str, files: Repository, file: &str, after: usize) -> Self {
        let break_off = Some((file.into(), after));
        Self::start(Behaviour { id: id.into(), files, break_off, ..Behaviour::default() })
    }

    pub(crate) fn ignoring_ranges(id: &str, files: Repository) -> Self {
        Self::start(Behaviour { id: id.into(), files, ignore_ranges: true, ..Behaviour::default() })
    }

    pub(crate) fn hanging() -> Self {
        Self::start(Behaviour { hang: true, ..Behaviour::default() })
    }

    fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let log = Log::default();
        let kept = Arc::clone(&log);
        // Ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (behaviour, log) = (behaviour.clone(), Arc::clone(&kept));
                thread::spawn(move || drop(answer(stream, &behaviour, &log)));
            }
        });
        Self { endpoint, log }
    }

    /// Paths asked for so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().iter().map(|(path, _)| path.clone()).collect()
    }

    /// Ranges asked for of a file.
    pub(crate) fn ranges(&self, file: &str) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().filter(|(path, _)| path.ends_with(file)).filter_map(|(_, range)| range.clone()).collect()
    }
}

fn answer(mut stream: TcpStream, behaviour: &Behaviour, log: &Log) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    log.lock().unwrap().push((path.clone(), range.clone()));
    if behaviour.hang {
        loop {
            thread::park();
        }
    }
    if let Some(status) = behaviour.refuse {
        return respond(&mut stream, status, "", b"no");
    }
    let id = &behaviour.id;
    if path == format!("/api/models/{id}/revision/main") {
        let siblings: Vec<String> =
            behaviour.files.0.keys().map(|name| format!(r#"{{"rfilename":"{name}"}}"#)).collect();
        let body = format!(r#"{{"sha":"{COMMIT}","siblings":[{}]}}"#, siblings.join(","));
        return respond(&mut stream, 200, "", body.as_bytes());
    }
    let file = path.strip_prefix(&format!("/{id}/resolve/main/")).unwrap_or_default();
    let Some(text) = behaviour.files.0.get(file) else { return respond(&mut stream, 404, "", b"none") };
    let bytes = text.as_bytes();
    let range = range.unwrap_or_else(|| "bytes=0-".into());
    let (start, end) = range.trim_start_matches("bytes=").split_once('-').unwrap_or(("0", ""));
    let asks_size = range == "bytes=0-0";
    let start: usize = if behaviour.ignore_ranges && !asks_size { 0 } else { start.parse().unwrap_or(0) };
    let end = end.parse().map_or(bytes.len(), |end: usize| (end + 1).min(bytes.len()));
    let start = start.min(end);
    let headers = format!(
        "x-repo-commit: {COMMIT}\r\netag: \"{}-etag\"\r\ncontent-range: bytes {start}-{}/{}\r\n",
        file.replace('.', "-"),
        end.saturating_sub(1),
        bytes.len()
    );
    match &behaviour.break_off {
        Some((name, after)) if name == file && !asks_size => {
            write!(
                stream,
                "HTTP/1.1 206 Part\r\ncontent-length: {}\r\n{headers}connection: close\r\n\r\n",
                end - start
            )?;
            // The second and later tries get nothing at all, so that the file never comes to its end.
            let rest = after.saturating_sub(start).min(end - start);
            stream.write_all(&bytes[start..start + rest])
        }
        _ => respond(&mut stream, 206, &headers, &bytes[start..end]),
    }
}

fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}connection: close\r\n\r\n")?;
    stream.write_all(body)
}
