//! How many instructions of WebAssembly each request of `lib.rs` takes, beside what `counts.json` says: `cargo xtask test
//! instructions` builds the module and says where it is.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets what it does not expect fails"
)]

use std::{collections::BTreeMap, env, fs};

use walrus::{
    ConstExpr, GlobalId, InstrLocId, ValType,
    ir::{BinaryOp, Binop, Const, GlobalGet, GlobalSet, Instr, InstrSeqId, Value},
};
use wasmi::{
    Caller, Engine, Error, ExternType, Instance, Linker, Module, Store, TypedFunc, Val, WasmParams, WasmResults,
};

/// How far a count may be from the recorded one, in thousandths. The same source gives the same count. Code
/// elsewhere that is inlined otherwise moves it by less than two, and what costs time by more than this.
const TOLERANCE_THOUSANDTHS: u64 = 20;

/// What is measured is the difference between so many requests to one isolate and one: what an isolate does once is in both.
const REQUESTS: u32 = 4;

const COUNTS: &str = "counts.json";

/// The name under which the module exports how many instructions ran.
const COUNTER: &str = "instructions";

/// An instance of its own for each measurement, without a host: the module imports what the Worker's edge needs of JavaScript, and
/// nothing here calls that.
struct Program {
    store: Store<()>,
    instance: Instance,
}

impl Program {
    fn start(engine: &Engine, module: &Module) -> Self {
        let mut linker = Linker::<()>::new(engine);
        for import in module.imports() {
            let ExternType::Func(signature) = import.ty() else { panic!("{} is no function", import.name()) };
            let problem = format!("{} is called, and there is no JavaScript", import.name());
            let absent = move |_: Caller<'_, ()>, _: &[Val], _: &mut [Val]| Err(Error::new(problem.clone()));
            linker
                .func_new(import.module(), import.name(), signature.clone(), absent)
                .expect("one import of this name");
        }
        let mut store = Store::new(engine, ());
        let instance = linker.instantiate_and_start(&mut store, module).expect("an instance");
        Self { store, instance }
    }

    fn function<P: WasmParams, R: WasmResults>(&self, name: &str) -> TypedFunc<P, R> {
        self.instance.get_typed_func(&self.store, name).expect("a function of this name and type")
    }

    fn cases(&mut self) -> Vec<String> {
        let count = self.function::<(), u32>("cases").call(&mut self.store, ()).expect("a number");
        (0..count).map(|case| self.name(case)).collect()
    }

    fn name(&mut self, case: u32) -> String {
        let place = self.function::<u32, u64>("name").call(&mut self.store, case).expect("a name");
        let (address, length) = (place & u64::from(u32::MAX), place >> 32);
        let memory = self.instance.get_memory(&self.store, "memory").expect("memory");
        let mut name = vec![0; usize::try_from(length).expect("a length")];
        memory.read(&self.store, usize::try_from(address).expect("an address"), &mut name).expect("within memory");
        String::from_utf8(name).expect("UTF-8")
    }

    /// The instructions that so many requests of a case take in one isolate.
    fn count(mut self, case: usize, requests: u32) -> u64 {
        let case = u32::try_from(case).expect("few cases");
        let run = self.function::<(u32, u32), u32>("run");
        let counter = self.instance.get_global(&self.store, COUNTER).expect("a counter");
        counter.set(&mut self.store, Val::I64(0)).expect("a number that changes");
        let meant = run.call(&mut self.store, (case, requests)).unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert_eq!(meant, 1, "case {case} was not answered as it should be: `cargo test -p instructions` says how");
        let Val::I64(count) = counter.get(&self.store) else { panic!("the counter is a number") };
        u64::try_from(count).expect("a count")
    }
}

/// The module with an exported counter, to which each stretch of code without a branch adds its length before it runs.
fn counting(wasm: &[u8]) -> Vec<u8> {
    let mut module = walrus::Module::from_buffer(wasm).expect("a module");
    let counter = module.globals.add_local(ValType::I64, true, false, ConstExpr::Value(Value::I64(0)));
    module.exports.add(COUNTER, counter);
    for (_, function) in module.funcs.iter_local_mut() {
        let mut left = vec![function.entry_block()];
        while let Some(block) = left.pop() {
            let block = function.block_mut(block);
            let (mut counted, mut stretch) = (Vec::new(), Vec::new());
            for instruction in block.instrs.drain(..) {
                left.extend(nested(&instruction.0));
                let branches = branches(&instruction.0);
                stretch.push(instruction);
                if branches {
                    add(&mut counted, counter, &mut stretch);
                }
            }
            add(&mut counted, counter, &mut stretch);
            block.instrs = counted;
        }
    }
    module.emit_wasm()
}

fn add(counted: &mut Vec<(Instr, InstrLocId)>, counter: GlobalId, stretch: &mut Vec<(Instr, InstrLocId)>) {
    let length = i64::try_from(stretch.len()).expect("a length");
    let instructions: [Instr; 4] = [
        GlobalGet { global: counter }.into(),
        Const { value: Value::I64(length) }.into(),
        Binop { op: BinaryOp::I64Add }.into(),
        GlobalSet { global: counter }.into(),
    ];
    counted.extend(instructions.map(|instruction| (instruction, InstrLocId::default())));
    counted.append(stretch);
}

/// The blocks within an instruction.
fn nested(instruction: &Instr) -> Vec<InstrSeqId> {
    match instruction {
        Instr::Block(block) => vec![block.seq],
        Instr::Loop(block) => vec![block.seq],
        Instr::IfElse(choice) => vec![choice.consequent, choice.alternative],
        _ => Vec::new(),
    }
}

/// Whether what follows an instruction may not run, or may run without it: a call comes back, unless everything ends.
fn branches(instruction: &Instr) -> bool {
    matches!(
        instruction,
        Instr::Block(_)
            | Instr::Loop(_)
            | Instr::IfElse(_)
            | Instr::Br(_)
            | Instr::BrIf(_)
            | Instr::BrTable(_)
            | Instr::Return(_)
            | Instr::Unreachable(_)
    )
}

#[test]
fn requests_take_the_instructions_that_are_recorded() {
    let wasm = env::var_os("INSTRUCTIONS_WASM").expect("INSTRUCTIONS_WASM: this is `cargo xtask test instructions`");
    let engine = Engine::default();
    let module = Module::new(&engine, counting(&fs::read(wasm).expect("the module"))).expect("a module");
    let start = || Program::start(&engine, &module);
    let mut counts = BTreeMap::new();
    for (case, name) in start().cases().into_iter().enumerate() {
        let (one, more) = (start().count(case, 1), start().count(case, 1 + REQUESTS));
        assert_eq!(start().count(case, 1), one, "the same costs the same");
        counts.insert(name, (more - one) / u64::from(REQUESTS));
    }
    if env::var_os("UPDATE_EXPECT").is_some() {
        let text = serde_json::to_string_pretty(&counts).expect("JSON");
        fs::write(COUNTS, text + "\n").expect("written");
    }
    let recorded: BTreeMap<String, u64> =
        serde_json::from_str(&fs::read_to_string(COUNTS).expect(COUNTS)).expect("a number for each name");
    let mut problems = Vec::new();
    for (name, count) in &counts {
        let before = recorded.get(name).copied().unwrap_or_default();
        println!("{count:>10} instructions, recorded {before:>10}: {name}");
        if count.abs_diff(before) * 1_000 > before * TOLERANCE_THOUSANDTHS {
            problems.push(format!("{name}: {count} instructions, recorded {before}"));
        }
    }
    problems
        .extend(recorded.keys().filter(|name| !counts.contains_key(*name)).map(|name| format!("{name}: is no case")));
    assert!(
        problems.is_empty(),
        "{}\nIf that is what it has to cost, or it costs less now, run `UPDATE_EXPECT=1 cargo xtask test instructions` and review \
         the diff",
        problems.join("\n")
    );
}
