//! Components that break off, or break the rules of being one: a trap, never more, and nothing of it is the host's.

use deputy_core::Limit;

use crate::harness::Attack;

#[test]
fn trap_unreachable() {
    Attack::new("trap-unreachable").obtain().assert_trapped("unreachable").assert_not_denied();
}

#[test]
fn trap_panic() {
    Attack::new("trap-panic")
        .setting("url", "a text that is never shown")
        .obtain()
        .assert_trapped("unreachable")
        .assert_not_denied();
}

#[test]
fn trap_stack_overflow() {
    Attack::new("trap-stack-overflow").obtain().assert_trapped("call stack exhausted").assert_not_denied();
}

#[test]
fn trap_exit() {
    // That the process is still there is shown by every test that comes after this one.
    let seen = Attack::new("trap-exit").obtain();
    assert!(matches!(seen.call.result, Err(deputy_sandbox::CallError::Trap { .. })), "{seen:?}");
}

#[test]
fn trap_forged_handle() {
    Attack::new("trap-forged-handle").obtain().assert_trapped("handle").assert_not_denied();
}

#[test]
fn trap_foreign_handle() {
    Attack::new("trap-foreign-handle").obtain().assert_trapped("handle").assert_not_denied();
}

#[test]
fn trap_host_call_in_realloc() {
    let seen = Attack::new("trap-host-call-in-realloc").setting("a", "setting").obtain();
    seen.assert_trapped("cannot leave component instance").assert_not_denied();
}

#[test]
fn trap_realloc_out_of_bounds() {
    let seen = Attack::new("trap-realloc-out-of-bounds").setting("a", "setting").obtain();
    seen.assert_trapped("realloc").assert_not_denied();
}

#[test]
fn trap_text_not_utf8() {
    Attack::new("trap-text-not-utf8").obtain().assert_trapped("utf-8").assert_not_denied();
}

/// A trap is no limit, and no limit a trap: the operator must be able to tell.
#[test]
fn trap_by_memory_limit_differs_from_other_traps() {
    Attack::new("memory-bomb").obtain().assert_ended_by(Limit::Memory);
    Attack::new("trap-panic").setting("url", "").obtain().assert_trapped("unreachable");
}
