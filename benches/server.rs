//! A server for the benches that does as little as a server can: it answers every request 201 with the request's own
//! body, which is an echo that agrees, over HTTP/1.1 with connections kept open.

use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpStream;
use tokio::runtime;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::LocalSet;

/// Threads of the server.
const SERVERS: usize = 2;

/// Starts the server; it lives as long as the process.
pub(crate) fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let workers: Vec<_> = (0..SERVERS)
        .map(|_| {
            let (connections, mut arrivals) = unbounded_channel::<std::net::TcpStream>();
            std::thread::spawn(move || {
                let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                let tasks = LocalSet::new();
                tasks.block_on(&runtime, async move {
                    while let Some(stream) = arrivals.recv().await {
                        tokio::task::spawn_local(connection(stream));
                    }
                });
            });
            connections
        })
        .collect();
    std::thread::spawn(move || {
        for (stream, worker) in listener.incoming().flatten().zip(workers.iter().cycle()) {
            worker.send(stream).expect("the worker lives");
        }
    });
    address
}

/// Answers every request of a connection with its own body, until either end is through.
async fn connection(stream: std::net::TcpStream) -> Option<()> {
    stream.set_nonblocking(true).ok()?;
    stream.set_nodelay(true).ok()?;
    let stream = TcpStream::from_std(stream).ok()?;
    let (mut got, mut buffer) = (Vec::new(), [0; 4_096]);
    loop {
        let (head, whole) = loop {
            if let Some(ends) = ends(&got) {
                break ends;
            }
            stream.readable().await.ok()?;
            match stream.try_read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => got.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        };
        let mut answer = format!(
            "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            whole - head
        )
        .into_bytes();
        answer.extend_from_slice(&got[head..whole]);
        got.drain(..whole);
        let mut rest = answer.as_slice();
        while !rest.is_empty() {
            match stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    stream.writable().await.ok()?
                }
                Err(_) => return None,
            }
        }
    }
}

/// Where the first request's head and body end, once it is there whole.
fn ends(got: &[u8]) -> Option<(usize, usize)> {
    let head = got.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&got[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (got.len() >= head + length).then_some((head, head + length))
}
