//! One request.

use std::rc::Rc;

use super::host::{SharedData, Stream, Trailers};
use super::{Carried, Vm};
use crate::request::Request;
use crate::request::headers::Headers;

/// One request.
pub(super) struct Filter {
    vm: Rc<Vm>,
    waiting: bool,
}

impl Filter {
    pub(super) fn new(vm: Rc<Vm>) -> Self {
        Self { vm, waiting: false }
    }

    /// Decides on the request, whose headers are there, and perhaps nothing else will come. True where it goes
    /// on at once.
    pub(super) fn decide(&mut self, id: u32, has_body: bool) -> bool {
        let packed = Stream::request_headers();
        let request = Request {
            headers: Headers::new(&packed),
            host: &Stream,
            has_body,
        };
        let now = self.vm.clock.now();
        let mut gate = self.vm.gate.borrow_mut();
        let decision = gate.request(&request, id, now, &SharedData);
        let carried = Vm::carry_out(&decision, &gate, &request);
        self.vm.wake_if_needed(&gate, now);
        self.waiting = carried == Carried::Waiting;
        carried == Carried::Onward
    }

    /// The request's trailers are there.
    pub(super) fn clean_trailers(&self) {
        let packed = Trailers::all();
        let gate = self.vm.gate.borrow();
        gate.edit_trailers(Headers::new(&packed), &mut Trailers);
    }

    /// The request is gone.
    pub(super) fn end(&self, id: u32) {
        if self.waiting {
            self.vm.gate.borrow_mut().forget(id);
        }
    }
}
