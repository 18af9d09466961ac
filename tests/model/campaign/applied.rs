//! Updates applied at a server by somebody else: what is adopted is said to be there already.
//!
//! Not here: requests of the product.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use simsync::sandbox::{ENDPOINT_PATH, Sandbox};

use super::rows::Cells;
use crate::support::TOKEN;

/// Sends these values as one update. A field that is cleared is empty.
pub(crate) fn post(sandbox: &Sandbox, values: &Cells) -> Result<(), String> {
    let fields: serde_json::Map<String, serde_json::Value> =
        values.iter().map(|(field, value)| (field.kind().name().to_owned(), value.as_str().into())).collect();
    let update = serde_json::Value::from(fields).to_string();
    let body = serde_json::json!({ "data": update }).to_string();
    let head = format!(
        "POST {ENDPOINT_PATH} HTTP/1.1\r\nHost: sandbox\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let sent = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(sandbox.addr())?;
        stream.write_all((head + &body).as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = sent().map_err(|error| format!("the sandbox cannot be told: {error}"))?;
    if answer.starts_with("HTTP/1.1 201") { Ok(()) } else { Err(format!("the sandbox answers {answer}")) }
}
