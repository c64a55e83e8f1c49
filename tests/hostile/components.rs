//! Files that are no components, components that are no providers, and such as no compiler should have to finish.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, Instant};

use deputy_core::{ByteSize, Limit, ReceiverPlan, SecretBytes, Span, Tokens};
use deputy_sandbox::{
    CacheError, CallError, CompileError, Compiler, ContractError, LoadError, LookupSlot, NotConnector, Resolver,
    Sandbox, SandboxOptions,
};
use deputy_test_servers::{contract_text, synthetic_component};
use wasm_encoder::Component;

use crate::bombs;
use crate::harness::{Attack, host};
use crate::surroundings::{cache, chain, compiler, folder, guest_file, private_file};

/// Why these bytes are not loaded.
#[track_caller]
fn refused(bytes: &[u8]) -> LoadError {
    let file = private_file(bytes);
    host()
        .during_attack(|| {
            host().runtime.block_on(host().sandbox.load(&Attack::of_component("refused", &file).instance))
        })
        .err()
        .expect("it is loaded")
}

/// The component itself is at fault, and the text says how.
#[track_caller]
fn invalid(bytes: &[u8], how: &str) {
    match refused(bytes) {
        LoadError::Cache { source: CacheError::Compile(CompileError::Invalid(text)), .. } => {
            assert!(text.contains(how), "{text}");
            assert!(text.len() < 5_000 && !text.chars().any(char::is_control), "{text:?}");
        }
        other => panic!("{}", chain(&other)),
    }
}

/// It is something else that is known, and is not compiled.
#[track_caller]
fn not_a_connector(bytes: &[u8], expected: NotConnector) {
    match refused(bytes) {
        LoadError::NotConnector { found, .. } => assert_eq!(found, expected),
        other => panic!("{}", chain(&other)),
    }
}

#[test]
fn component_that_is_not_wasm_is_refused() {
    not_a_connector(b"", NotConnector::Empty);
    not_a_connector(b"#!/bin/sh\nexit 0\n", NotConnector::Text);
    not_a_connector(b"(component (export \"delegation:tokens/provider@0.2.0\" (instance 0)))", NotConnector::Wat);
    invalid(&[0xff; 10_000], "");
    invalid(b"\0asm\x0d\0", "unexpected end");
}

#[test]
fn component_truncated_is_refused() {
    let whole = std::fs::read(guest_file("benign")).unwrap();
    for length in [1, 4, 7, 9, 100, whole.len() / 2, whole.len() - 1] {
        invalid(&whole[..length], "");
    }
    // What is left when all but the header is gone is a component, and an empty one.
    assert!(matches!(refused(&whole[..8]), LoadError::World { .. }));
}

#[test]
fn component_with_a_flipped_bit_is_refused_or_harmless() {
    let whole = std::fs::read(guest_file("benign")).unwrap();
    let sandbox = &host().sandbox;
    host().during_attack(|| {
        for step in 0..24 {
            let mut bytes = whole.clone();
            let at = 8 + step * (whole.len() - 9) / 24;
            bytes[at] ^= 1 << (step % 8);
            let case = Attack::of_component("flipped", &private_file(&bytes)).setting("name", "you");
            let limited = case.limits(|l| (l.cpu, l.wall) = (Span::millis(200), Span::secs(2)));
            host().runtime.block_on(async {
                match sandbox.load(&limited.instance).await {
                    Ok(provider) => drop(provider.obtain().await),
                    Err(LoadError::Cache { source: CacheError::Compile(CompileError::Invalid(_)), .. }) => {}
                    Err(
                        LoadError::Contract { .. }
                        | LoadError::Import { .. }
                        | LoadError::MissingImports { .. }
                        | LoadError::NotConnector { .. }
                        | LoadError::World { .. },
                    ) => {}
                    Err(other) => panic!("{}", chain(&other)),
                }
            });
        }
    });
}

#[test]
fn component_that_is_a_core_module_is_refused() {
    not_a_connector(&bombs::memory(1).finish(), NotConnector::CoreModule);
}

#[test]
fn component_already_compiled_is_refused() {
    // Machine code of an attacker's choice must never be taken for the cache's own.
    let case = Attack::new("benign").setting("name", "you");
    host().runtime.block_on(host().sandbox.load(&case.instance)).map(drop).unwrap();
    let cache = host().folder().join("state/components");
    let code = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path());
    let mut code = code.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"));
    let code = code.next().expect("compiled code");
    invalid(&std::fs::read(code).unwrap(), "");
}

#[test]
fn component_of_another_world_is_refused() {
    for bytes in [Component::new().finish(), bombs::holding(&bombs::memory(1))] {
        let error = refused(&bytes);
        assert!(matches!(error, LoadError::World { .. }), "{}", chain(&error));
    }
}

#[test]
fn import_unknown() {
    let case = Attack::new("import-unknown");
    let loaded = host().during_attack(|| host().runtime.block_on(host().sandbox.load(&case.instance)));
    let Err(LoadError::MissingImports { imports, .. }) = loaded else { panic!("{:?}", loaded.err()) };
    assert!(matches!(imports.as_slice(), [import] if import.starts_with("other:host/backdoor")), "{imports:?}");
}

/// Loads a component of the contract's text with these changes.
fn load_changed(changes: &[(&str, &str)], world: &str) -> Result<(), LoadError> {
    let contract = changes.iter().fold(contract_text(), |text, (from, to)| {
        assert!(text.contains(from), "the contract has no {from:?}");
        text.replace(from, to)
    });
    let text = format!("package test:changed; world changed {{ {world} }}");
    let file = private_file(&synthetic_component(&[&contract, &text], "changed"));
    host().during_attack(|| {
        host().runtime.block_on(async {
            if world.contains("receiver") {
                let plan = ReceiverPlan {
                    name: "changed".parse().unwrap(),
                    component: file.to_path_buf().into(),
                    sha256: None,
                    settings: std::collections::BTreeMap::new(),
                    limits: deputy_core::Limits::default(),
                    host_facts: Vec::new(),
                };
                host().sandbox.load_receiver(&plan).await.map(drop)
            } else {
                host().sandbox.load(&Attack::of_component("changed", &file).instance).await.map(drop)
            }
        })
    })
}

const PROVIDER: &str = "include delegation:tokens/token-provider@0.2.0;";
const RECEIVER: &str = "include delegation:tokens/token-receiver@0.2.0;";

#[test]
fn contract_functions_of_another_type_are_refused() {
    let renewing = &format!("{PROVIDER} include delegation:tokens/renews-tokens@0.2.0;");
    let revoking = &format!("{PROVIDER} include delegation:tokens/revokes-tokens@0.2.0;");
    for world in [PROVIDER, RECEIVER, renewing, revoking] {
        load_changed(&[], world).unwrap_or_else(|error| panic!("{world}: {}", chain(&error)));
    }
    for (world, function, from, to) in [
        (PROVIDER, "service-name", "service-name: func(settings: settings)", "service-name: func()"),
        (
            PROVIDER,
            "service-name",
            "service-name: func(settings: settings) -> result<string,",
            "service-name: func(settings: settings) -> result<bool,",
        ),
        (
            PROVIDER,
            "kinds",
            "result<list<string>, failure>;\n\n    /// Whether",
            "result<string, failure>;\n\n    /// Whether",
        ),
        (PROVIDER, "tokens-required", "result<bool, failure>", "bool"),
        (PROVIDER, "obtain", "obtain: func(settings: settings)", "obtain: func()"),
        (PROVIDER, "service-name", "        attention,\n", "        attention,\n        patience,\n"),
        (PROVIDER, "service-name", "code: option<string>", "code: string"),
        (PROVIDER, "service-name", "retry-after-ms: option<u64>", "retry-after-ms: option<u32>"),
        (PROVIDER, "service-name", "record setting {\n        name: string,", "record setting {"),
        (PROVIDER, "obtain", "payload: list<u8>", "payload: string"),
        (PROVIDER, "obtain", "after-ms(u64),", "after-ms(u32),"),
        (PROVIDER, "obtain", "        handle: list<u8>,\n", ""),
        (renewing, "renew", "tokens: tokens) -> result<tokens", "tokens: tokens, more: bool) -> result<tokens"),
        (revoking, "revoke", "result<_, failure>", "result<bool, failure>"),
        (
            RECEIVER,
            "kinds",
            "kinds: func(settings: settings) -> result<list<string>, failure>;\n\n    /// Whether this receiver",
            "kinds: func(settings: settings) -> list<string>;\n\n    /// Whether this receiver",
        ),
        (RECEIVER, "check", "bound: list<bound>", "bound: bound"),
        (RECEIVER, "accept", "revision: u64", "revision: u32"),
        (RECEIVER, "accept", "deliveries: list<delivery>", "deliveries: delivery"),
        (RECEIVER, "accept", "rejected: list<rejection>,\n", ""),
    ] {
        match load_changed(&[(from, to)], world) {
            Err(LoadError::Contract {
                source: ContractError::Type { function: found, found: version, .. }, ..
            }) => {
                assert_eq!((found, version.as_str()), (function, "0.2.0"), "{to}");
            }
            other => panic!("{to}: {:?}", other.err().map(|error| chain(&error))),
        }
    }
    // A type that is renamed, and a parameter, are the same to the host.
    load_changed(&[("enum next", "enum further"), ("next: next,", "next: further,")], PROVIDER).unwrap();
    load_changed(&[("obtain: func(settings: settings)", "obtain: func(given: settings)")], PROVIDER).unwrap();
}

#[test]
fn contract_functions_that_are_not_exported_are_refused() {
    match load_changed(&[("    obtain: func(settings: settings) -> result<tokens, failure>;", "")], PROVIDER) {
        Err(LoadError::Contract { source: ContractError::Missing { function, .. }, .. }) => {
            assert_eq!(function, "obtain")
        }
        other => panic!("{:?}", other.err().map(|error| chain(&error))),
    }
}

/// The host's calls find the functions of a later patch version.
#[test]
fn contract_of_a_later_patch_version_is_called() {
    let contract =
        contract_text().replace("@0.2.0", "@0.2.9").replace("bool, failure>;", "bool, failure>; preview: func();");
    let world = "include delegation:tokens/token-provider@0.2.9; include delegation:tokens/renews-tokens@0.2.9;
        include delegation:tokens/revokes-tokens@0.2.9; include delegation:tokens/uses-secrets@0.2.9;";
    let text = format!("package test:later; world later {{ {world} }}");
    let file = private_file(&synthetic_component(&[&contract, &text], "later"));
    host().runtime.block_on(async {
        let provider = host().sandbox.load(&Attack::of_component("later", &file).instance).await.unwrap();
        assert_eq!(provider.service_name().await.result.unwrap().to_string(), "synthetic");
        assert!(!provider.tokens_required().await.result.unwrap());
        // Its payloads are empty, which is judged after the call.
        let is_called = |result| matches!(result, Err(CallError::Invalid(text)) if text.contains("payload is empty"));
        assert!(is_called(provider.obtain().await.result));
        let tokens = Tokens::new("synthetic/1".parse().unwrap(), SecretBytes::new(b"x".to_vec()));
        assert!(is_called(provider.renew(&tokens).await.expect("it renews").result));
        provider.revoke(&tokens).await.expect("it revokes").result.unwrap();
        assert_eq!(provider.info().other_exports, ["delegation:tokens/provider@0.2.9#preview"]);
    });
}

#[test]
fn component_with_another_digest_is_refused() {
    let mut case = Attack::new("benign");
    case.instance.sha256 = Some("0".repeat(64).parse().unwrap());
    let loaded = host().during_attack(|| host().runtime.block_on(host().sandbox.load(&case.instance)));
    assert!(matches!(loaded, Err(LoadError::Digest { .. })));
}

#[test]
fn component_too_large_is_refused_unread() {
    let file = private_file(b"");
    OpenOptions::new().write(true).open(&file).unwrap().set_len(300 << 20).unwrap();
    let begun = Instant::now();
    let loaded = host()
        .during_attack(|| host().runtime.block_on(host().sandbox.load(&Attack::of_component("large", &file).instance)));
    assert!(matches!(loaded, Err(LoadError::Size { .. })));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn component_from_an_endless_file_is_refused() {
    for file in ["/dev/zero", "/dev", "/nowhere/at/all.wasm"] {
        let case = Attack::of_component("endless", Path::new(file));
        let loaded = host().during_attack(|| host().runtime.block_on(host().sandbox.load(&case.instance)));
        assert!(matches!(loaded, Err(LoadError::Irregular { .. } | LoadError::Read { .. })), "{file}");
    }
}

/// A module whose table or memory is larger than any limit when it begins.
#[test]
fn component_that_starts_over_a_limit_is_refused() {
    let memory = private_file(&bombs::with_instances("memory-of-many-instances", &bombs::memory(65_536), 1));
    let table = private_file(&bombs::with_instances("table-elements-bomb", &bombs::table(10_000_000), 1));
    for (file, limit) in [(memory, Limit::Memory), (table, Limit::TableElements)] {
        let case = Attack::of_component("begins-large", &file);
        match host().during_attack(|| host().runtime.block_on(host().sandbox.load(&case.instance))) {
            Ok(_) => drop(case.obtain().assert_ended_by(limit)),
            Err(error) => {
                let text = chain(&error);
                assert!(!text.contains("compiled code cannot be"), "blames the cache: {text}");
                assert!(text.contains("limit") || text.contains("memory") || text.contains("table"), "{text}");
            }
        }
    }
}

// Bombs.

struct NoNames;

#[async_trait::async_trait]
impl Resolver for NoNames {
    async fn resolve(&self, _: &str, _: LookupSlot) -> std::io::Result<Vec<std::net::IpAddr>> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// A sandbox whose compiler may take little.
fn small(name: &str, compiler: Compiler) -> Sandbox {
    let options = SandboxOptions {
        cache: Some(cache(&folder(name))),
        compiler,
        audit: std::sync::Arc::new(deputy_audit::Audit::memory()),
        resolver: std::sync::Arc::new(NoNames),
        folders: deputy_sandbox::ComponentFolders::default(),
        stand_in: None,
    };
    host().runtime.block_on(async { Sandbox::new(options).unwrap() })
}

/// Ends as one of its child's limits says, soon, and leaves the compiler ready for the next.
#[track_caller]
fn explodes(name: &str, bytes: &[u8], compiler: Compiler, how: fn(&CompileError) -> bool) {
    assert!(bytes.len() < 20 << 20, "{} MiB", bytes.len() >> 20);
    let (most, file) = (compiler.time.duration() + Duration::from_secs(3), private_file(bytes));
    let sandbox = small(name, compiler);
    host().during_attack(|| {
        host().runtime.block_on(async {
            let begun = Instant::now();
            let error = sandbox.inspect(&file.clone().into()).await.expect_err("it is compiled");
            let took = begun.elapsed();
            let LoadError::Cache { source: CacheError::Compile(error), .. } = &error else {
                panic!("{}", chain(&error))
            };
            assert!(how(error), "{error}");
            assert!(took < most, "{took:?}");
            sandbox.inspect(&guest_file("benign").into()).await.map(drop).expect("the next one is compiled");
        });
    });
    let left = std::fs::read_dir(folder_of(name).join("components")).unwrap().count();
    assert_eq!(left, 1, "something half-done was left behind");
}

fn folder_of(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile").join(name).join("state")
}

#[test]
fn compile_time_bomb_costs_one_child() {
    let compiler = Compiler { time: Span::secs(2), ..compiler() };
    let bomb = bombs::holding(&bombs::tangled_functions(64, 2_000));
    explodes("slow", &bomb, compiler, |error| matches!(error, CompileError::Slow(_)));
}

/// Many cores can compute for longer than the clock on the wall shows, and no machine has to have them for this test:
/// the shell lowers the child's limit.
#[test]
fn compile_cpu_bomb_costs_one_child() {
    let own = compiler();
    let script = format!("exec '{}' compile-component \"$0\" 2", own.program.display());
    let compiler = Compiler { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()], ..own };
    let (time, begun) = (compiler.time.duration(), Instant::now());
    let bomb = bombs::holding(&bombs::tangled_functions(64, 2_000));
    explodes("computing", &bomb, compiler, |error| matches!(error, CompileError::Slow(_)));
    assert!(begun.elapsed() < time / 2, "the clock on the wall ended it");
}

#[test]
fn compile_memory_bomb_costs_one_child() {
    let compiler = Compiler { memory: ByteSize::mib(512), time: Span::secs(60), ..compiler() };
    let bomb = bombs::holding(&bombs::tangled_functions(1, 20_000));
    explodes("large", &bomb, compiler, |error| matches!(error, CompileError::Killed { .. }));
}

#[test]
fn compile_instance_bomb_costs_one_child() {
    let bomb = bombs::laughs(9);
    assert!(bomb.len() < 2_000, "{}", bomb.len());
    let compiler = Compiler { memory: ByteSize::mib(512), time: Span::secs(10), ..compiler() };
    explodes("laughs", &bomb, compiler, |error| {
        matches!(error, CompileError::Killed { .. } | CompileError::Slow(_) | CompileError::Invalid(_))
    });
}

/// A million components in which there is nothing: 2 KB that compile, and would then cost 100 MiB for each call.
#[test]
fn load_of_an_empty_instance_bomb_is_refused() {
    let bomb = bombs::empty_laughs(6);
    assert!(bomb.len() < 2_000, "{}", bomb.len());
    explodes("empty-laughs", &bomb, compiler(), |error| {
        matches!(error, CompileError::Invalid(_) | CompileError::Load { .. })
    });
}

#[test]
fn compile_refusal_is_remembered() {
    let compiler = Compiler { time: Span::secs(2), ..compiler() };
    let bomb = private_file(&bombs::holding(&bombs::tangled_functions(64, 2_000)));
    let sandbox = small("remembered", compiler);
    host().during_attack(|| {
        host().runtime.block_on(async {
            let first = sandbox.inspect(&bomb.clone().into()).await.expect_err("it is compiled");
            let begun = Instant::now();
            for _ in 0..20 {
                let again = sandbox.inspect(&bomb.clone().into()).await.expect_err("it is compiled");
                assert!(matches!(again, LoadError::Cache { source: CacheError::Refused(_), .. }), "{}", chain(&again));
                assert_eq!(chain(&again), chain(&first), "an operator sees the same");
            }
            assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
            sandbox.inspect(&guest_file("benign").into()).await.map(drop).expect("another one is compiled");
        });
    });
}
