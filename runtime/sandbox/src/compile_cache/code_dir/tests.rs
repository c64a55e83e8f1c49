#![expect(clippy::disallowed_methods, reason = "files that only these tests read")]

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use deputy_core::SecretBytes;
use tempfile::TempDir;

use super::super::key::{SALT, TAG};
use super::super::memory_file::Draft;
use super::*;

/// Bytes of a piece, as the format has it.
const PIECE: usize = 64 << 10;

fn key(byte: u8) -> CacheKey {
    CacheKey::new(&SecretBytes::new(vec![byte; 32]))
}

fn state() -> TempDir {
    let state = tempfile::tempdir().unwrap();
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o700)).unwrap();
    state
}

fn open(state: &TempDir, byte: u8) -> CodeDir {
    CodeDir::open(state.path(), key(byte), later()).unwrap()
}

/// Long after all that a test writes.
fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(20_000_000_000)
}

fn code(bytes: &[u8]) -> Code {
    let draft = Draft::new().unwrap();
    draft.write_all_at(bytes, 0).unwrap();
    draft.seal().unwrap()
}

fn content(code: &Code) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(code.len().unwrap()).unwrap()];
    code.read_exact_at(&mut content, 0).unwrap();
    content
}

/// Several pieces of it.
fn native() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

/// Enough for several threads.
fn large() -> Vec<u8> {
    (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn names(folder: &CodeDir) -> Vec<String> {
    let mut names: Vec<_> = folder.entries().unwrap().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn cache_reads_back_what_it_wrote() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    assert!(folder.read(&name).unwrap().is_none());
    for bytes in [native(), Vec::new(), large(), vec![7; PIECE], vec![7; 2 * PIECE + 1]] {
        folder.write(&name, &code(&bytes)).unwrap();
        assert_eq!(content(&folder.read(&name).unwrap().unwrap()), bytes);
    }
    assert_eq!(names(&folder), [name]);
}

#[test]
fn cache_quarantines_damaged_files() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    let path = folder.dir.path().join(&name);
    folder.write(&name, &code(&native())).unwrap();
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = whole.len() - 1;
    let pieces = native().len().div_ceil(PIECE);
    let (code, trailer) = whole.split_at(native().len());
    let (tags, salt) = trailer.split_at(pieces * TAG);
    let ends_sooner = [&code[..(pieces - 1) * PIECE], &tags[..(pieces - 1) * TAG], salt].concat();
    let [first, second] = [0, 1].map(|piece| &code[piece * PIECE..(piece + 1) * PIECE]);
    let exchanged = [second, first, &code[2 * PIECE..], &tags[TAG..2 * TAG], &tags[..TAG], &tags[2 * TAG..], salt];
    let damaged = [
        Vec::new(),
        whole[..SALT].to_vec(),
        whole[..last].to_vec(),
        whole[TAG..].to_vec(),
        [&whole[..], b"x"].concat(),
        flipped(0),
        flipped(70_000),
        flipped(code.len()),
        flipped(last - SALT),
        flipped(last),
        vec![0; whole.len()],
        ends_sooner,
        exchanged.concat(),
    ];
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        assert!(folder.read(&name).unwrap().is_none(), "{} bytes", bytes.len());
        assert_eq!(names(&folder), [format!("{name}.damaged")]);
        assert_eq!(fs::read(folder.dir.path().join(format!("{name}.damaged"))).unwrap(), bytes);
    }
    fs::write(&path, &whole).unwrap();
    assert!(folder.read(&name).unwrap().is_some());
}

#[test]
fn cache_notices_damage_in_any_thread_of_a_large_file() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    let path = folder.dir.path().join(&name);
    folder.write(&name, &code(&large())).unwrap();
    let whole = fs::read(&path).unwrap();
    for at in [0, large().len() / 2, large().len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 128;
        fs::write(&path, &bytes).unwrap();
        assert!(folder.read(&name).unwrap().is_none(), "{at}");
    }
}

#[test]
fn cache_refuses_a_file_under_another_name_or_key() {
    let state = state();
    let (folder, other) = (open(&state, 1), open(&state, 2));
    let (name, stolen) = (folder.name("abc", 5), folder.name("def", 5));
    folder.write(&name, &code(&native())).unwrap();
    fs::copy(folder.dir.path().join(&name), folder.dir.path().join(&stolen)).unwrap();
    assert!(folder.read(&stolen).unwrap().is_none());
    assert!(other.read(&name).unwrap().is_none());
    assert_ne!(name, other.name("abc", 5), "two keys would fight for one file");
}

#[test]
fn cache_follows_no_link_and_waits_for_no_fifo() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    let path = folder.dir.path().join(&name);
    folder.write(&name, &code(&native())).unwrap();
    let elsewhere = state.path().join("elsewhere");
    fs::rename(&path, &elsewhere).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert!(folder.read(&name).unwrap().is_none());
    fs::create_dir(&path).unwrap();
    assert!(folder.read(&name).unwrap().is_none());
}

#[test]
fn cache_ignores_changes_of_a_file_after_loading_it() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    folder.write(&name, &code(&native())).unwrap();
    let loaded = folder.read(&name).unwrap().unwrap();
    fs::write(folder.dir.path().join(&name), vec![0; 900_000]).unwrap();
    assert_eq!(content(&loaded), native());
}

#[test]
fn cache_removes_unfinished_files_but_not_those_being_written() {
    let state = state();
    let folder = open(&state, 1);
    let left = folder.dir.path().join(format!("{WRITING}abandoned"));
    let busy = folder.dir.path().join(format!("{WRITING}busy"));
    fs::write(&left, "half").unwrap();
    fs::write(&busy, "half").unwrap();
    let writer = File::open(&busy).unwrap();
    sys::lock(&writer).unwrap();
    drop(folder);
    let young = CodeDir::open(state.path(), key(1), SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(names(&young).len(), 2);
    let folder = open(&state, 1);
    assert_eq!(names(&folder), [format!("{WRITING}busy")]);
}

#[test]
fn cache_prunes_by_age_and_size_but_nothing_that_is_used() {
    let state = state();
    let folder = open(&state, 1);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let put = |name: &str, bytes: u64, loaded_at: SystemTime| {
        let file = File::create(folder.dir.path().join(name)).unwrap();
        file.set_len(bytes).unwrap();
        file.set_modified(loaded_at).unwrap();
    };
    put("used.cwasm", 1, now - days(400));
    put("young.cwasm", MAX_UNUSED / 2, now - days(1));
    put("next.cwasm", MAX_UNUSED / 2, now - days(2));
    put("over.cwasm", 1, now - days(3));
    put("old.cwasm.damaged", 1, now - days(31));
    put("ahead.cwasm", 0, now + days(1));
    put("receiver.wasm", 1, now - days(400));
    let used = BTreeSet::from(["used.cwasm".to_owned()]);
    assert_eq!(folder.prune(&used, now), 2);
    assert_eq!(names(&folder), ["ahead.cwasm", "next.cwasm", "receiver.wasm", "used.cwasm", "young.cwasm"]);
    assert_eq!(folder.prune(&used, now), 0);
}

#[test]
fn cache_records_when_a_file_was_loaded() {
    let state = state();
    let folder = open(&state, 1);
    let name = folder.name("abc", 5);
    folder.write(&name, &code(b"code")).unwrap();
    let path = folder.dir.path().join(&name);
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    folder.read(&name).unwrap().unwrap();
    assert!(fs::metadata(&path).unwrap().modified().unwrap() > long_ago + Duration::from_secs(1_000_000));
}
