//! A Proxy-Wasm host (ABI 0.2.1) that counts: which calls the module makes, and how many operators of
//! WebAssembly it runs. It runs one VM without any network; several of them can share their data, as workers do.

use keybound::host::Store as _;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, Ordering};
use wasmi::{
    Caller, CompilationMode, Config, Engine, Error, Extern, Instance, Linker, Memory, Module,
    Store, Val,
};

const OK: u64 = 0;
const NOT_FOUND: u64 = 1;
const BAD_ARGUMENT: u64 = 2;
const CAS_MISMATCH: u64 = 8;

/// Numbers of the ABI.
const REQUEST_HEADERS: u64 = 0;
const ANSWER_HEADERS: u64 = 6;
const ANSWER_BODY: u64 = 4;
const PLUGIN_CONFIGURATION: u64 = 7;

/// The root context.
const ROOT: u64 = 1;

/// Enough for anything that is asked of a VM here.
const FUEL: u64 = 1 << 40;

/// A time at which everything happens, in nanoseconds: the monotonic clock and the wall clock agree.
const TIME: u64 = 1_795_000_000_000_000_000;

/// A list of headers.
pub type Headers = Vec<(Vec<u8>, Vec<u8>)>;

/// Shared data of a process.
pub type SharedData = Rc<keybound::test_util::SharedData>;

/// What was counted.
#[derive(Debug, Default)]
pub struct Cost {
    /// Calls to the host by name, without the prefix `proxy_`.
    pub calls: BTreeMap<String, usize>,
    /// Operators of WebAssembly that were run (the interpreter's fuel: one for nearly every operator).
    pub operators: u64,
}

impl Cost {
    /// All calls.
    pub fn total(&self) -> usize {
        self.calls.values().sum()
    }
}

/// What has become of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes upstream with these headers.
    Onward(Headers),
    /// The filter has answered it with this status.
    Answered(u64),
    /// It waits.
    Waiting,
}

/// A call that the module has dispatched.
#[derive(Debug)]
pub struct Dispatched {
    number: u64,
    /// Its `:path`.
    pub path: String,
    /// Its body.
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct State {
    cost: Cost,
    configuration: Vec<u8>,
    shared: SharedData,
    request: Headers,
    answer: (Headers, Vec<u8>),
    dispatched: Vec<Dispatched>,
    calls: u64,
    queues: Vec<Vec<u8>>,
    woken: Vec<u64>,
    status: Option<u64>,
    resumed: bool,
}

/// A VM.
pub struct Vm {
    store: Store<State>,
    instance: Instance,
    next_stream: u64,
}

impl Vm {
    /// Starts the module with a configuration, up to its first tick.
    pub fn start(module: &[u8], configuration: &str, shared: &SharedData) -> Self {
        let mut config = Config::default();
        config
            .consume_fuel(true)
            .compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, module).expect("the module is valid");
        let mut linker = Linker::<State>::new(&engine);
        for import in module.imports() {
            let function = import
                .ty()
                .func()
                .expect("only functions are imported")
                .clone();
            let name = import.name().to_owned();
            linker
                .func_new(
                    import.module(),
                    import.name(),
                    function,
                    move |caller, arguments, results| {
                        let arguments: Vec<u64> = arguments.iter().map(number).collect();
                        let status = Call { caller }.answer(&name, &arguments)?;
                        if let [result] = results {
                            *result = Val::I32(status as i32);
                        }
                        Ok(())
                    },
                )
                .expect("each import is there once");
        }
        let state = State {
            configuration: configuration.as_bytes().to_owned(),
            shared: Rc::clone(shared),
            ..State::default()
        };
        let mut store = Store::new(&engine, state);
        store.set_fuel(FUEL).expect("fuel is counted");
        let instance = linker
            .instantiate_and_start(&mut store, &module)
            .expect("the module starts");
        let mut vm = Self {
            store,
            instance,
            next_stream: ROOT + 1,
        };
        vm.call("_initialize", &[]);
        vm.call("proxy_on_context_create", &[ROOT, 0]);
        let length = configuration.len() as u64;
        assert_eq!(
            vm.call("proxy_on_configure", &[ROOT, length]),
            1,
            "the configuration is refused"
        );
        vm.tick();
        vm
    }

    /// Lets time be looked at.
    pub fn tick(&mut self) {
        self.call("proxy_on_tick", &[ROOT]);
        self.wake();
    }

    /// A request, from its creation on. One that waits is answered by `key_service`, which is asked with the
    /// body of each look-up. Gives what became of it and what all of it cost.
    pub fn request(
        &mut self,
        headers: &[(&str, &str)],
        key_service: impl Fn(&[u8]) -> String,
    ) -> (Outcome, Cost) {
        let stream = self.next_stream;
        self.next_stream += 1;
        let fuel = self.fuel();
        let state = self.store.data_mut();
        state.cost = Cost::default();
        state.status = None;
        state.resumed = false;
        state.request = owned(headers);
        self.call("proxy_on_context_create", &[stream, ROOT]);
        let count = headers.len() as u64;
        let action = self.call("proxy_on_request_headers", &[stream, count, 1]);
        self.wake();
        let mut outcome = self.outcome(action);
        if outcome == Outcome::Waiting {
            self.answer(key_service);
            outcome = self.outcome(action);
        }
        self.call("proxy_on_delete", &[stream]);
        let mut cost = std::mem::take(&mut self.store.data_mut().cost);
        cost.operators = fuel - self.fuel();
        (outcome, cost)
    }

    fn outcome(&self, action: u64) -> Outcome {
        let state = self.store.data();
        match (state.status, action) {
            (Some(status), _) => Outcome::Answered(status),
            (None, 1) if !state.resumed => Outcome::Waiting,
            (None, _) => Outcome::Onward(state.request.clone()),
        }
    }

    /// Answers all look-ups that are under way.
    fn answer(&mut self, key_service: impl Fn(&[u8]) -> String) {
        let (lookups, others) = std::mem::take(&mut self.store.data_mut().dispatched)
            .into_iter()
            .partition(|call| call.path.ends_with("/resolve"));
        self.store.data_mut().dispatched = others;
        let lookups: Vec<Dispatched> = lookups;
        for call in lookups {
            let body = key_service(&call.body).into_bytes();
            let length = body.len() as u64;
            let headers = owned(&[(":status", "200"), ("x-keybound-protocol", "1")]);
            let count = headers.len() as u64;
            self.store.data_mut().answer = (headers, body);
            let arguments = [ROOT, call.number, count, length, 0];
            self.call("proxy_on_http_call_response", &arguments);
            self.wake();
        }
    }

    /// Calls back for every queue that something was put into.
    fn wake(&mut self) {
        while let Some(queue) = self.store.data_mut().woken.pop() {
            self.call("proxy_on_queue_ready", &[ROOT, queue]);
        }
    }

    fn fuel(&self) -> u64 {
        self.store.get_fuel().expect("fuel is counted")
    }

    fn call(&mut self, name: &str, arguments: &[u64]) -> u64 {
        let function = self
            .instance
            .get_func(&self.store, name)
            .unwrap_or_else(|| panic!("there is no export {name}"));
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|argument| Val::I32(*argument as i32))
            .collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        function
            .call(&mut self.store, &arguments, &mut results)
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        results.first().map_or(0, number)
    }
}

/// One call of the module to the host.
struct Call<'a> {
    caller: Caller<'a, State>,
}

impl Call<'_> {
    fn answer(&mut self, name: &str, arguments: &[u64]) -> Result<u64, Error> {
        let short = name.strip_prefix("proxy_").unwrap_or(name);
        *self
            .caller
            .data_mut()
            .cost
            .calls
            .entry(short.to_owned())
            .or_default() += 1;
        match (short, arguments) {
            ("get_header_map_pairs", &[map, data, size]) => {
                let packed = pack(self.headers(map)?);
                self.give(&packed, data, size)
            }
            ("get_header_map_value", &[map, name, length, data, size]) => {
                let name = self.read(name, length)?;
                let found = self.headers(map)?.iter().find(|(known, _)| *known == name);
                match found.map(|(_, value)| value.clone()) {
                    Some(value) => self.give(&value, data, size),
                    None => Ok(NOT_FOUND),
                }
            }
            (
                "replace_header_map_value" | "add_header_map_value",
                &[REQUEST_HEADERS, name, name_length, value, value_length],
            ) => {
                let name = self.read(name, name_length)?;
                let value = self.read(value, value_length)?;
                let request = &mut self.caller.data_mut().request;
                if short.starts_with("replace") {
                    request.retain(|(known, _)| *known != name);
                }
                request.push((name, value));
                Ok(OK)
            }
            ("remove_header_map_value", &[REQUEST_HEADERS, name, length]) => {
                let name = self.read(name, length)?;
                self.caller
                    .data_mut()
                    .request
                    .retain(|(known, _)| *known != name);
                Ok(OK)
            }
            ("get_property", &[path, length, data, size]) => {
                match self.read(path, length)?.as_slice() {
                    b"source\0address" => self.give(b"10.1.2.3:4711", data, size),
                    _ => Ok(NOT_FOUND),
                }
            }
            ("get_buffer_bytes", &[buffer, _, _, data, size]) => {
                let bytes = match buffer {
                    PLUGIN_CONFIGURATION => self.caller.data().configuration.clone(),
                    ANSWER_BODY => self.caller.data().answer.1.clone(),
                    _ => return Ok(BAD_ARGUMENT),
                };
                self.give(&bytes, data, size)
            }
            ("get_shared_data", &[name, length, data, size, change]) => {
                let name = self.text(name, length)?;
                let Some((value, last_change)) = self.caller.data().shared.get(&name) else {
                    return Ok(NOT_FOUND);
                };
                self.write(change, &last_change.unwrap_or(0).to_le_bytes())?;
                self.give(&value, data, size)
            }
            ("set_shared_data", &[name, name_length, value, value_length, change]) => {
                let name = self.text(name, name_length)?;
                let value = self.read(value, value_length)?;
                let change = u32::try_from(change).ok();
                let is_written = self.caller.data().shared.set(&name, &value, change);
                Ok(if is_written { OK } else { CAS_MISMATCH })
            }
            ("register_shared_queue" | "resolve_shared_queue", &[name, length, queue]) => {
                let name = self.read(name, length)?;
                let queues = &mut self.caller.data_mut().queues;
                let known = queues.iter().position(|known| *known == name);
                let number = known.unwrap_or_else(|| {
                    queues.push(name);
                    queues.len() - 1
                });
                self.write(queue, &u32::try_from(number + 1).unwrap_or(0).to_le_bytes())
            }
            ("enqueue_shared_queue", &[queue, _, _]) => {
                self.caller.data_mut().woken.push(queue);
                Ok(OK)
            }
            ("dequeue_shared_queue", &[_, data, size]) => self.give(b"\0", data, size),
            (
                "http_call",
                &[
                    _,
                    _,
                    headers,
                    headers_length,
                    body,
                    body_length,
                    _,
                    _,
                    _,
                    call,
                ],
            ) => {
                let headers = unpack(&self.read(headers, headers_length)?);
                let body = self.read(body, body_length)?;
                let path = headers.iter().find(|(name, _)| name == b":path");
                let path = path.map_or(String::new(), |(_, path)| {
                    String::from_utf8_lossy(path).into_owned()
                });
                let state = self.caller.data_mut();
                state.calls += 1;
                let number = state.calls;
                state.dispatched.push(Dispatched { number, path, body });
                self.write(call, &u32::try_from(number).unwrap_or(0).to_le_bytes())
            }
            ("send_local_response", &[status, ..]) => {
                self.caller.data_mut().status = Some(status);
                Ok(OK)
            }
            ("continue_stream", _) => {
                self.caller.data_mut().resumed = true;
                Ok(OK)
            }
            ("define_metric", &[_, _, _, metric]) => self.write(metric, &1_u32.to_le_bytes()),
            // Warnings and errors only.
            ("get_log_level", &[level]) => self.write(level, &3_u32.to_le_bytes()),
            ("clock_time_get", &[_, _, time]) => self.write(time, &TIME.to_le_bytes()),
            ("get_current_time_nanoseconds", &[time]) => self.write(time, &TIME.to_le_bytes()),
            ("random_get", &[data, length]) => {
                // Different for each VM, and the same in each run.
                static NEXT: AtomicU8 = AtomicU8::new(1);
                let length = usize::try_from(length).unwrap_or(0);
                self.write(data, &vec![NEXT.fetch_add(1, Ordering::Relaxed); length])
            }
            ("environ_sizes_get", &[count, size]) => {
                self.write(count, &[0; 4])?;
                self.write(size, &[0; 4])
            }
            (
                "set_property"
                | "increment_metric"
                | "record_metric"
                | "set_tick_period_milliseconds"
                | "set_effective_context"
                | "log"
                | "environ_get",
                _,
            ) => Ok(OK),
            _ => Err(Error::new(format!("{name}{arguments:?} is not expected"))),
        }
    }

    fn headers(&self, map: u64) -> Result<&Headers, Error> {
        match map {
            REQUEST_HEADERS => Ok(&self.caller.data().request),
            ANSWER_HEADERS => Ok(&self.caller.data().answer.0),
            _ => Err(Error::new(format!("there is no header map {map}"))),
        }
    }

    fn memory(&self) -> Result<Memory, Error> {
        self.caller
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or_else(|| Error::new("there is no memory"))
    }

    fn read(&self, at: u64, length: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.memory()?.read(&self.caller, at, &mut bytes)?;
        Ok(bytes)
    }

    fn text(&self, at: u64, length: u64) -> Result<String, Error> {
        String::from_utf8(self.read(at, length)?).map_err(|_| Error::new("no text"))
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<u64, Error> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        self.memory()?.write(&mut self.caller, at, bytes)?;
        Ok(OK)
    }

    /// Hands bytes over in memory of the VM that the VM itself allocates, as Envoy does.
    fn give(&mut self, bytes: &[u8], data: u64, size: u64) -> Result<u64, Error> {
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        let allocate = self
            .caller
            .get_export("proxy_on_memory_allocate")
            .and_then(Extern::into_func)
            .ok_or_else(|| Error::new("there is no proxy_on_memory_allocate"))?;
        let mut place = [Val::I32(0)];
        allocate.call(&mut self.caller, &[Val::I32(length as i32)], &mut place)?;
        let place = number(&place[0]);
        self.write(place, bytes)?;
        self.write(data, &u32::try_from(place).unwrap_or(0).to_le_bytes())?;
        self.write(size, &length.to_le_bytes())
    }
}

fn number(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(*value as u32),
        Val::I64(value) => *value as u64,
        _ => panic!("the ABI has integers only"),
    }
}

fn owned(headers: &[(&str, &str)]) -> Headers {
    headers
        .iter()
        .map(|(name, value)| (name.as_bytes().to_owned(), value.as_bytes().to_owned()))
        .collect()
}

fn pack(headers: &Headers) -> Vec<u8> {
    keybound::proxy_wasm::packed::pack(
        headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice())),
    )
}

fn unpack(packed: &[u8]) -> Headers {
    keybound::proxy_wasm::packed::unpack(packed)
        .iter()
        .map(|(name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}
