//! Components that are made from WIT text alone, so that a test can have one of any type.

#![expect(clippy::expect_used, reason = "the texts are those of tests")]

use std::fs;
use std::path::Path;

use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, MemorySection, MemoryType, Module, TypeSection, ValType,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::WasmType;
use wit_parser::{
    LiftLowerAbi, ManglingAndAbi, Resolve, ResourceIntrinsic, TypeDefKind, WasmExport, WasmExportKind, WasmImport,
    WorldId, WorldItem, WorldKey,
};

const ABI: ManglingAndAbi = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);

/// What its functions return: `synthetic`, and payloads of the kind `synthetic/1`.
const TEXT: &str = "synthetic/1";
const NAME: i32 = 9;
/// Where the module keeps the text, and a list with it.
const TEXT_AT: i32 = 16;
const LIST_AT: i32 = 32;
/// Where it keeps its answers: an `ok` with the name, one with the list, one with tokens of that kind, and zeros, an `ok` of
/// nothing, none or empty.
const NAME_ANSWER: i32 = 64;
const KINDS_ANSWER: i32 = 128;
const TOKENS_ANSWER: i32 = 192;
const ZEROS: i32 = 512;
/// Where what is `ok` begins, after the discriminant.
const VALUE: i32 = 8;
/// Where the host puts arguments.
const ARGUMENTS: i32 = 4096;

/// The contract as one text, with all of its interfaces and worlds.
pub fn contract_text() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let files = fs::read_dir(folder).expect("the contract").map(|file| file.expect("a file").path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    let mut text = String::new();
    for file in files {
        let file = fs::read_to_string(file).expect("a text");
        let (package, rest) = file.split_once(';').expect("a package");
        if text.is_empty() {
            text.push_str(package);
            text.push(';');
        }
        text.push_str(rest);
    }
    text
}

/// A component with the imports and exports of one world of these packages. Each package after the first one may use those
/// before it. Its functions return zeros: `ok`, empty or none. `service-name` returns `synthetic`, `obtain` empty tokens.
pub fn synthetic_component(packages: &[&str], world: &str) -> Vec<u8> {
    let (resolve, world) = resolve(packages, Some(world));
    let mut module = Skeleton::of(&resolve, world).finish();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("a world");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("a module of this world");
    encoder.encode().expect("a component of this world")
}

/// A WIT package in its binary form.
pub fn wit_package(text: &str) -> Vec<u8> {
    let mut resolve = Resolve::new();
    let package = resolve.push_source("package.wit", text).expect("a package");
    wit_component::encode(&resolve, package, false).expect("a package")
}

fn resolve(packages: &[&str], world: Option<&str>) -> (Resolve, WorldId) {
    let mut resolve = Resolve::new();
    let mut last = None;
    for (number, text) in packages.iter().enumerate() {
        last = Some(resolve.push_source(&format!("package-{number}.wit"), text).expect("a package"));
    }
    let world = resolve.select_world(last.as_slice(), world).expect("the world");
    (resolve, world)
}

#[derive(Default)]
struct Skeleton {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    exports: ExportSection,
    code: CodeSection,
    imported: u32,
    defined: u32,
}

impl Skeleton {
    fn of(resolve: &Resolve, world: WorldId) -> Self {
        let mut module = Self::default();
        let world = resolve.worlds.get(world).expect("a world");
        for (name, import) in &world.imports {
            module.import(resolve, name, import);
        }
        for (name, export) in &world.exports {
            module.export(resolve, name, export);
        }
        let realloc = module.define(&[ValType::I32; 4], &[ValType::I32], ARGUMENTS);
        module.exports.export("cabi_realloc", ExportKind::Func, realloc);
        module.exports.export("memory", ExportKind::Memory, 0);
        module
    }

    fn import(&mut self, resolve: &Resolve, name: &WorldKey, import: &WorldItem) {
        let (interface, functions, types) = match import {
            WorldItem::Function(function) => (None, vec![function], Vec::new()),
            WorldItem::Interface { id, .. } => {
                let interface = resolve.interfaces.get(*id).expect("an interface");
                (Some(name), interface.functions.values().collect(), interface.types.values().copied().collect())
            }
            WorldItem::Type { .. } => return,
        };
        for func in functions {
            let abi = ABI.for_func(func);
            let signature = resolve.wasm_signature(abi.import_variant(), func);
            let (module, field) = resolve.wasm_import_name(abi, WasmImport::Func { interface, func });
            self.add_import(&module, &field, &values(&signature.params), &values(&signature.results));
        }
        for resource in types {
            if matches!(resolve.types.get(resource).map(|ty| &ty.kind), Some(TypeDefKind::Resource)) {
                let intrinsic = ResourceIntrinsic::ImportedDrop;
                let import = WasmImport::ResourceIntrinsic { interface, resource, intrinsic };
                let (module, field) = resolve.wasm_import_name(ABI, import);
                self.add_import(&module, &field, &[ValType::I32], &[]);
            }
        }
    }

    fn export(&mut self, resolve: &Resolve, name: &WorldKey, export: &WorldItem) {
        let (interface, functions) = match export {
            WorldItem::Function(function) => (None, vec![function]),
            WorldItem::Interface { id, .. } => {
                let interface = resolve.interfaces.get(*id).expect("an interface");
                (Some(name), interface.functions.values().collect())
            }
            WorldItem::Type { .. } => return,
        };
        for func in functions {
            let signature = resolve.wasm_signature(ABI.export_variant(), func);
            let field =
                resolve.wasm_export_name(ABI, WasmExport::Func { interface, func, kind: WasmExportKind::Normal });
            let answer = match func.name.as_str() {
                "service-name" => NAME_ANSWER,
                "kinds" => KINDS_ANSWER,
                "obtain" | "renew" => TOKENS_ANSWER,
                _ => ZEROS,
            };
            let index = self.define(&values(&signature.params), &values(&signature.results), answer);
            self.exports.export(&field, ExportKind::Func, index);
        }
    }

    fn add_import(&mut self, module: &str, field: &str, parameters: &[ValType], results: &[ValType]) {
        let ty = self.types.len();
        self.types.ty().function(parameters.iter().copied(), results.iter().copied());
        self.imports.import(module, field, EntityType::Function(ty));
        self.imported += 1;
    }

    /// A function that returns a pointer, or zero of another type. To be called when all imports are there.
    fn define(&mut self, parameters: &[ValType], results: &[ValType], answer: i32) -> u32 {
        let ty = self.types.len();
        self.types.ty().function(parameters.iter().copied(), results.iter().copied());
        self.functions.function(ty);
        let mut body = Function::new([]);
        let mut instructions = body.instructions();
        for result in results {
            match result {
                ValType::I64 => instructions.i64_const(0),
                ValType::F32 => instructions.f32_const(0.0.into()),
                ValType::F64 => instructions.f64_const(0.0.into()),
                _ => instructions.i32_const(answer),
            };
        }
        instructions.end();
        self.code.function(&body);
        self.defined += 1;
        self.imported + self.defined - 1
    }

    fn finish(self) -> Vec<u8> {
        let mut memory = MemorySection::new();
        memory.memory(MemoryType { minimum: 17, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let mut data = DataSection::new();
        let whole = i32::try_from(TEXT.len()).expect("a short text");
        data.active(0, &ConstExpr::i32_const(TEXT_AT), TEXT.bytes());
        data.active(0, &ConstExpr::i32_const(LIST_AT), pointer(TEXT_AT, whole));
        data.active(0, &ConstExpr::i32_const(NAME_ANSWER + VALUE), pointer(TEXT_AT, NAME));
        data.active(0, &ConstExpr::i32_const(KINDS_ANSWER + VALUE), pointer(LIST_AT, 1));
        data.active(0, &ConstExpr::i32_const(TOKENS_ANSWER + VALUE), pointer(TEXT_AT, whole));
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports).section(&self.functions).section(&memory);
        module.section(&self.exports).section(&self.code).section(&data);
        module.finish()
    }
}

/// A string or a list in memory.
fn pointer(start: i32, length: i32) -> Vec<u8> {
    [start.to_le_bytes(), length.to_le_bytes()].concat()
}

fn values(types: &[WasmType]) -> Vec<ValType> {
    let value = |ty: &WasmType| match ty {
        WasmType::I64 | WasmType::PointerOrI64 => ValType::I64,
        WasmType::F32 => ValType::F32,
        WasmType::F64 => ValType::F64,
        WasmType::I32 | WasmType::Pointer | WasmType::Length => ValType::I32,
    };
    types.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_component_of_the_contract_is_a_component() {
        let mine = "package a:b; world mine { include delegation:tokens/token-provider@0.2.0;
            include delegation:tokens/uses-secrets@0.2.0; }";
        let component = synthetic_component(&[&contract_text(), mine], "mine");
        assert_eq!(component.get(..8), Some(&b"\0asm\x0d\0\x01\0"[..]));
    }
}
