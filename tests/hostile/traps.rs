//! Components that break off, or break the rules of being one: a trap, never more, and nothing of it is the host's.

use deputy_core::Limit;

use crate::harness::Case;

#[test]
fn trap_unreachable() {
    Case::new("trap_unreachable").obtain().trapped("unreachable").unrefused();
}

#[test]
fn trap_panic() {
    Case::new("trap_panic").setting("url", "a text that nobody hears").obtain().trapped("unreachable").unrefused();
}

#[test]
fn trap_stack_overflow() {
    Case::new("trap_stack_overflow").obtain().trapped("call stack exhausted").unrefused();
}

#[test]
fn trap_exit() {
    // That the process is still there is shown by every test that comes after this one.
    let seen = Case::new("trap_exit").obtain();
    assert!(matches!(seen.call.result, Err(deputy_sandbox::CallError::Trap { .. })), "{seen:?}");
}

#[test]
fn trap_forged_handle() {
    Case::new("trap_forged_handle").obtain().trapped("handle").unrefused();
}

#[test]
fn trap_foreign_handle() {
    Case::new("trap_foreign_handle").obtain().trapped("handle").unrefused();
}

#[test]
fn trap_host_call_in_realloc() {
    let seen = Case::new("trap_host_call_in_realloc").setting("a", "setting").obtain();
    seen.trapped("cannot leave component instance").unrefused();
}

#[test]
fn trap_realloc_out_of_bounds() {
    let seen = Case::new("trap_realloc_out_of_bounds").setting("a", "setting").obtain();
    seen.trapped("realloc").unrefused();
}

#[test]
fn trap_text_not_utf8() {
    Case::new("trap_text_not_utf8").obtain().trapped("utf-8").unrefused();
}

/// A trap is no limit, and no limit a trap: the operator must be able to tell.
#[test]
fn a_component_that_ran_out_of_memory_is_told_from_one_that_broke_off() {
    Case::new("memory_bomb").obtain().ended_by(Limit::Memory);
    Case::new("trap_panic").setting("url", "").obtain().trapped("unreachable");
}
