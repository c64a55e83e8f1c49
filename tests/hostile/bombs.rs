//! Components that no compiler would write.

use std::fs;

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentExportKind, ComponentInstanceSection, Function, FunctionSection,
    HeapType, InstanceSection, Instruction, MemorySection, MemoryType, Module, ModuleArg, ModuleSection,
    NestedComponentSection, RefType, StartSection, TableSection, TableType, TypeSection,
};

use crate::surroundings::guest_file;
pub(crate) use crate::tangled::{holding, tangled_functions};

const CORE_MODULE: u8 = 1;

/// A guest that is still itself, with this number of core instances of a module added to it.
pub(crate) fn with_instances(guest: &str, module: &Module, count: u32) -> Vec<u8> {
    let mut bytes = fs::read(guest_file(guest)).unwrap();
    let index = sections(&bytes).filter(|section| *section == CORE_MODULE).count();
    let mut more = Component::new();
    more.section(&ModuleSection(module));
    let mut instances = InstanceSection::new();
    for _ in 0..count {
        instances.instantiate(u32::try_from(index).unwrap(), std::iter::empty::<(&str, ModuleArg)>());
    }
    more.section(&instances);
    bytes.extend_from_slice(&more.finish()[HEADER..]);
    bytes
}

/// Magic number, version and layer.
const HEADER: usize = 8;

/// The ids of a component's sections, in order.
fn sections(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = &bytes[HEADER..];
    std::iter::from_fn(move || {
        let (&id, mut after) = rest.split_first()?;
        let mut size = 0;
        for shift in (0..).step_by(7) {
            let (&byte, tail) = after.split_first()?;
            after = tail;
            size |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        rest = after.get(size..)?;
        Some(id)
    })
}

/// A module without anything.
pub(crate) fn nothing() -> Module {
    Module::new()
}

/// A module with a memory of this number of pages.
pub(crate) fn memory(pages: u64) -> Module {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut module = Module::new();
    module.section(&memories);
    module
}

/// A module with a table of this number of elements.
pub(crate) fn table(elements: u64) -> Module {
    let mut module = Module::new();
    module.section(&tables(elements));
    module
}

fn tables(elements: u64) -> TableSection {
    let mut tables = TableSection::new();
    let (element_type, table64) = (RefType::FUNCREF, false);
    tables.table(TableType { element_type, minimum: elements, maximum: None, table64, shared: false });
    tables
}

/// A module that lets its table grow, at its start and for ever.
pub(crate) fn growing_table() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut function = Function::new([]);
    for instruction in [
        Instruction::Loop(BlockType::Empty),
        Instruction::RefNull(HeapType::FUNC),
        Instruction::I32Const(1000),
        Instruction::TableGrow(0),
        Instruction::Drop,
        Instruction::Br(0),
        Instruction::End,
        Instruction::End,
    ] {
        function.instruction(&instruction);
    }
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tables(1));
    module.section(&StartSection { function_index: 0 }).section(&code);
    module
}

/// A module that fills its memory of this number of pages again and again at its start, in a straight line.
pub(crate) fn straight_line_fills(pages: u64, fills: u32) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut function = Function::new([]);
    let mut instructions = function.instructions();
    let bytes = i32::try_from(pages << 16).unwrap();
    for _ in 0..fills {
        instructions.i32_const(0).i32_const(1).i32_const(bytes).memory_fill(0);
    }
    instructions.end();
    let mut code = CodeSection::new();
    code.function(&function);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&memories);
    module.section(&StartSection { function_index: 0 }).section(&code);
    module
}

/// A component that instantiates one ten times, which instantiates one ten times, and so on: of a few bytes come ten to
/// the `depth` instances of a module.
pub(crate) fn laughs(depth: u32) -> Vec<u8> {
    let mut inner = Component::new();
    inner.section(&ModuleSection(&nothing()));
    let mut instances = InstanceSection::new();
    instances.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    inner.section(&instances);
    multiplied(inner, depth)
}

/// The same with components in which there is nothing: they cost a compiler little, and an engine's books much.
pub(crate) fn empty_laughs(depth: u32) -> Vec<u8> {
    multiplied(Component::new(), depth)
}

fn multiplied(mut inner: Component, depth: u32) -> Vec<u8> {
    for _ in 0..depth {
        let mut outer = Component::new();
        outer.section(&NestedComponentSection(&inner));
        let mut instances = ComponentInstanceSection::new();
        for _ in 0..10 {
            instances.instantiate(0, std::iter::empty::<(&str, ComponentExportKind, u32)>());
        }
        outer.section(&instances);
        inner = outer;
    }
    inner.finish()
}
