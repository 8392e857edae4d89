//! The body of an answer, line by line.

use crate::http::{Answer, HttpFault};

/// Lines of an answer. The node is trusted: a listing may be one very long line.
pub(crate) struct Lines {
    answer: Answer,
    read: Vec<u8>,
    /// Bytes of `read` that are known to hold no line end.
    scanned: usize,
}

impl Lines {
    /// The lines of `answer`.
    pub(crate) fn new(answer: Answer) -> Self {
        Self { answer, read: Vec::new(), scanned: 0 }
    }

    /// The next line without its end. What follows the last line end is none.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, HttpFault> {
        loop {
            let found = self.read[self.scanned..].iter().position(|&byte| byte == b'\n');
            if let Some(at) = found {
                let rest = self.read.split_off(self.scanned + at + 1);
                let mut line = std::mem::replace(&mut self.read, rest);
                line.pop();
                self.scanned = 0;
                return Ok(Some(line));
            }
            self.scanned = self.read.len();
            match self.answer.bytes().await? {
                Some(bytes) => self.read.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}
