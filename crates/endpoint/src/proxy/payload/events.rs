//! Event streams whose messages are signed (`STREAMING-AWS4-HMAC-SHA256-EVENTS`): Transcribe, Kinesis and others, over HTTP/2.
//!
//! Each message of the client is wrapped in one that has two headers, `:date` and `:chunk-signature`, and no others. The last
//! wraps nothing. A message goes out when all of it was verified, signed anew and as long as before; the last one once
//! the body has ended.
//!
//! "Event stream encoding", Amazon Transcribe developer guide.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::framing::Resign;
use super::message::{Message, PRELUDE_BYTES, length_of};
use crate::proxy::refusal::Refusal;

/// An event stream that is being read.
#[derive(Debug)]
pub struct Events {
    resign: Resign,
    state: State,
    buffer: BytesMut,
    out: VecDeque<Bytes>,
    out_bytes: u64,
}

#[derive(Debug)]
enum State {
    Messages,
    /// The last message was read; it goes out at the end.
    Last(Bytes),
    Broken(Refusal),
}

impl Events {
    /// Nothing read yet.
    pub fn new(resign: Resign) -> Self {
        let (buffer, out) = (BytesMut::new(), VecDeque::new());
        Self { resign, state: State::Messages, buffer, out, out_bytes: 0 }
    }

    /// Reads what came in. After an error, every further call gives the same one.
    pub fn push(&mut self, bytes: &Bytes) -> Result<(), Refusal> {
        if let State::Broken(why) = self.state {
            return Err(why);
        }
        self.buffer.extend_from_slice(bytes);
        let result = self.read();
        if let Err(why) = result {
            self.state = State::Broken(why);
        }
        result
    }

    /// The body has ended. The last message comes out.
    pub fn finish(&mut self) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.state, State::Broken(Refusal::WrongLength)) {
            State::Last(message) => {
                self.release(message);
                Ok(())
            }
            State::Messages => Err(Refusal::WrongLength),
            State::Broken(why) => {
                self.state = State::Broken(why);
                Err(why)
            }
        }
    }

    /// The next message that may go out.
    pub fn pop(&mut self) -> Option<Bytes> {
        let message = self.out.pop_front()?;
        self.out_bytes -= message.len() as u64;
        Some(message)
    }

    /// How much has come in and not gone out.
    pub fn pending_bytes(&self) -> u64 {
        let last = match &self.state {
            State::Last(message) => message.len(),
            _ => 0,
        };
        self.out_bytes + (self.buffer.len() + last) as u64
    }

    fn read(&mut self) -> Result<(), Refusal> {
        while !self.buffer.is_empty() {
            if matches!(self.state, State::Last(_)) {
                return Err(Refusal::BadChunk);
            }
            if self.buffer.len() < PRELUDE_BYTES {
                return Ok(());
            }
            let length = length_of(&self.buffer)?;
            if self.buffer.len() < length {
                return Ok(());
            }
            let whole = self.buffer.split_to(length);
            let mut message = Message::parse(whole)?;
            let (date, payload) = (message.date(), message.payload_hash());
            let right = self.resign.verifier.sign_event(&date, &payload)?;
            if !message.has_signature(&right) {
                return Err(Refusal::ChunkSignature);
            }
            let is_last = message.is_empty();
            let signature = self.resign.signer.sign_event(&date, &payload)?;
            let message = message.signed(&signature);
            if is_last {
                self.state = State::Last(message);
            } else {
                self.release(message);
            }
        }
        Ok(())
    }

    fn release(&mut self, message: Bytes) {
        self.out_bytes += message.len() as u64;
        self.out.push_back(message);
    }
}
