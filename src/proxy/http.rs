//! One request.

use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use super::host::{SharedData, Stream};
use super::{Carried, Vm};
use crate::headers::Headers;
use crate::request::Request;

/// One request.
pub(super) struct Filter {
    id: u32,
    vm: Rc<Vm>,
    waiting: bool,
}

impl Filter {
    pub(super) fn new(id: u32, vm: Rc<Vm>) -> Self {
        Self {
            id,
            vm,
            waiting: false,
        }
    }
}

impl Context for Filter {}

impl HttpContext for Filter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let packed = Stream::request_headers();
        let request = Request {
            headers: Headers::new(&packed),
            host: &Stream,
        };
        let now = self.vm.clock.now();
        let mut gate = self.vm.gate.borrow_mut();
        let decision = gate.request(&request, self.id, now, &SharedData);
        let carried = Vm::carry_out(&decision, &gate, &request);
        self.vm.wake_if_needed(&gate, now);
        self.waiting = carried == Carried::Waiting;
        match carried {
            Carried::Onward => Action::Continue,
            Carried::Answered | Carried::Waiting => Action::Pause,
        }
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        if self.waiting {
            self.vm.gate.borrow_mut().forget(self.id);
        }
    }
}
