//! A component that no compiler would write: it makes host calls in a straight line.
//!
//! A compiler's component calls the host through a shim, a function of its own, and so meets a check of the epoch before
//! each call. Here the host's function is lowered straight into the module that calls it, and the module makes all calls
//! in one function without a loop, so that nothing of the component itself ever looks at the clock.

#![expect(clippy::expect_used, reason = "what a test attacks with is made of a component that the test chose")]

use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component, ComponentAliasSection,
    ComponentExportKind, ComponentImportSection, ComponentInstanceSection, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection, InstanceSection,
    InstanceType, MemorySection, MemoryType, Module, ModuleArg, ModuleSection, NestedComponentSection,
    PrimitiveValType, StartSection, TypeBounds, TypeSection, ValType,
};

const LOGGING: &str = "delegation:tokens/logging@0.2.0";
/// Magic number, version and layer.
const HEADER: usize = 8;
const NESTED_COMPONENT: u8 = 4;
const IMPORTS: u8 = 10;
const INSTANCE: u8 = 5;
const PAGE: u32 = 64 << 10;

/// A component that imports `logging` and is still itself, but writes this number of messages of this size to the log
/// whenever it is instantiated, in a straight line: for any of its functions.
///
/// # Panics
/// If it does not import `logging`.
pub fn with_straight_line_calls(component: &[u8], calls: u32, bytes: u32) -> Vec<u8> {
    let logging = imported_instance(component, LOGGING).expect("a component that imports logging");
    let nested = sections(component).filter(|(id, _)| *id == NESTED_COMPONENT).count();
    let mut more = Component::new();
    let attack = attack(calls, bytes);
    more.section(&NestedComponentSection(&attack));
    let mut instances = ComponentInstanceSection::new();
    let nested = u32::try_from(nested).expect("few components");
    instances.instantiate(nested, [("logging", ComponentExportKind::Instance, logging)]);
    more.section(&instances);
    let mut whole = component.to_vec();
    whole.extend_from_slice(more.finish().get(HEADER..).unwrap_or_default());
    whole
}

/// A component that imports `logging`, and whose one module calls it at its start.
fn attack(calls: u32, bytes: u32) -> Component {
    let mut types = ComponentTypeSection::new();
    types.instance(&logging_type());
    let mut imports = ComponentImportSection::new();
    imports.import("logging", ComponentTypeRef::Instance(0));
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::InstanceExport { instance: 0, kind: ComponentExportKind::Func, name: "log" });
    aliases.alias(Alias::CoreInstanceExport { instance: 0, kind: ExportKind::Memory, name: "memory" });
    let mut memory = InstanceSection::new();
    memory.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    let mut lowered = CanonicalFunctionSection::new();
    lowered.lower(0, [CanonicalOption::UTF8, CanonicalOption::Memory(0)]);
    let mut instances = InstanceSection::new();
    instances.export_items([("log", ExportKind::Func, 0), ("memory", ExportKind::Memory, 0)]);
    instances.instantiate(1, [("host", ModuleArg::Instance(1))]);

    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.section(&ModuleSection(&memory_module(bytes))).section(&memory).section(&aliases).section(&lowered);
    component.section(&ModuleSection(&calling_module(calls, bytes))).section(&instances);
    component
}

fn logging_type() -> InstanceType {
    let mut logging = InstanceType::new();
    logging.ty().defined_type().enum_type(["debug", "info", "warn", "error"]);
    logging.export("level", ComponentTypeRef::Type(TypeBounds::Eq(0)));
    let parameters =
        [("level", ComponentValType::Type(1)), ("message", ComponentValType::Primitive(PrimitiveValType::String))];
    logging.ty().function().params(parameters).result(None);
    logging.export("log", ComponentTypeRef::Func(2));
    logging
}

fn memory_module(bytes: u32) -> Module {
    let mut memories = MemorySection::new();
    memories.memory(memory_type(bytes));
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut module = Module::new();
    module.section(&memories).section(&exports);
    module
}

fn memory_type(bytes: u32) -> MemoryType {
    let minimum = u64::from(bytes.div_ceil(PAGE));
    MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

fn calling_module(calls: u32, bytes: u32) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 3], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import("host", "log", EntityType::Function(0));
    imports.import("host", "memory", memory_type(bytes));
    let mut functions = FunctionSection::new();
    functions.function(1);
    let mut function = Function::new([]);
    let mut instructions = function.instructions();
    for _ in 0..calls {
        instructions.i32_const(0).i32_const(0).i32_const(i32::try_from(bytes).expect("a size")).call(0);
    }
    instructions.end();
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module.section(&StartSection { function_index: 1 }).section(&code);
    module
}

/// The index of an imported instance. What the components of tests import is instances alone.
fn imported_instance(component: &[u8], wanted: &str) -> Option<u32> {
    let mut index = 0;
    for (_, mut section) in sections(component).filter(|(id, _)| *id == IMPORTS) {
        for _ in 0..number(&mut section) {
            let (_form, mut rest) = section.split_at(1);
            let length = number(&mut rest);
            let (name, mut rest) = rest.split_at(length);
            assert_eq!(rest.first(), Some(&INSTANCE), "an import that is no instance");
            rest = rest.get(1..).unwrap_or_default();
            number(&mut rest);
            section = rest;
            if name == wanted.as_bytes() {
                return Some(index);
            }
            index += 1;
        }
    }
    None
}

/// The sections of a component, with their ids.
fn sections(component: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = component.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&id, mut after) = rest.split_first()?;
        let size = number(&mut after);
        let (section, tail) = after.split_at(size);
        rest = tail;
        Some((id, section))
    })
}

/// A number in LEB128 at the beginning of these bytes, which is taken off.
fn number(bytes: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (&byte, rest) = bytes.split_first().expect("a number");
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}
