//! A response that begins before the service has answered.

use std::cell::{Cell, RefCell};

use wasm_bindgen::JsValue;
use worker::web_sys;

use super::glue::{self, Pipe};
use crate::base::http::Response;

/// The response, once it has begun.
#[derive(Default)]
pub(super) struct Started {
    pipe: RefCell<Option<Pipe>>,
    head: Cell<Option<Response>>,
}

impl Started {
    pub(super) fn has_begun(&self) -> bool {
        self.pipe.borrow().is_some()
    }

    pub(super) fn begin(&self, response: Response) {
        self.pipe.replace(Some(Pipe::new()));
        self.send(&String::from_utf8_lossy(&response.body));
        self.head.set(Some(response));
    }

    pub(super) fn send(&self, text: &str) {
        if let Some(pipe) = &*self.pipe.borrow() {
            pipe.send(text);
        }
    }

    /// What the runtime sends: the header fields, and all that is sent from the beginning on.
    pub(super) fn response(&self) -> worker::Result<web_sys::Response> {
        let body = self.pipe.borrow().as_ref().map_or(JsValue::UNDEFINED, Pipe::body);
        glue::respond_with(&self.head.take().unwrap_or_else(|| Response::empty(200)), body)
    }

    /// Sends the body of the service's answer, and closes the stream.
    pub(super) fn end(&self, answer: &Response) {
        self.send(&String::from_utf8_lossy(&answer.body));
        if let Some(pipe) = self.pipe.take() {
            pipe.close();
        }
    }
}
