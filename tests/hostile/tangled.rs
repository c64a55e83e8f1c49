//! A component that takes a compiler long.

use wasm_encoder::{
    BlockType, CodeSection, Component, Function, FunctionSection, Instruction, Module, ModuleSection, TypeSection,
    ValType,
};

/// A component that holds modules, and does nothing with them.
pub(crate) fn holding(module: &Module) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(module));
    component.finish()
}

/// Functions of this number of branches, between which a thousand locals live: what takes a compiler long, and most memory.
pub(crate) fn tangled_functions(count: u32, branches: u32) -> Module {
    const LOCALS: u32 = 1_000;
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    let mut function = Function::new([(LOCALS, ValType::I64)]);
    for n in 0..branches {
        let (from, to) = (1 + n.wrapping_mul(7919) % LOCALS, 1 + n.wrapping_mul(104_729) % LOCALS);
        for instruction in [
            Instruction::Block(BlockType::Empty),
            Instruction::LocalGet(0),
            Instruction::BrIf(0),
            Instruction::LocalGet(from),
            Instruction::LocalGet(to),
            Instruction::I64Mul,
            Instruction::LocalSet(to),
            Instruction::LocalGet(0),
            Instruction::Call(0),
            Instruction::LocalSet(0),
            Instruction::End,
        ] {
            function.instruction(&instruction);
        }
    }
    function.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
    for _ in 0..count {
        functions.function(0);
        code.function(&function);
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}
