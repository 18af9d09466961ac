//! What the operator chooses about talking to the API, beside its address and its token.
//!
//! Not here: what follows from a choice (`client.rs`, `answer.rs`).

use crate::choice::choice;

choice! {
    /// What makes an answer an acknowledgment.
    #[derive(Default)]
    pub enum Verify {
        /// 2xx, a status member that says success or is absent, and an echo that agrees with what was sent, field by
        /// field.
        #[default]
        Echo = "echo",
        /// 2xx, and a body that is empty or a JSON object whose status member says success or is absent.
        Status = "status",
        /// 2xx, whatever the body is.
        None = "none",
    }
}

choice! {
    /// The HTTP version.
    #[derive(Default)]
    pub enum HttpVersion {
        /// The best that both sides know, agreed on in the TLS handshake; 1.1 without TLS.
        Auto = "auto",
        /// HTTP/1.1.
        #[default]
        One = "1.1",
        /// HTTP/2, without TLS by prior knowledge.
        Two = "2",
    }
}
