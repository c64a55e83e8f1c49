use std::os::unix::fs::PermissionsExt as _;

use super::*;

/// An installation with a program in `bin`.
struct Installation(tempfile::TempDir);

impl Installation {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["bin/components", "lib/deputy/components", "own"] {
            ambient::create_private_dir(&root.path().join(folder)).unwrap();
        }
        ambient::create_file(&root.path().join("bin/deputy"), ".new-", b"").unwrap();
        Self(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn put(&self, path: &str) -> PathBuf {
        let path = self.path(path);
        ambient::create_file(&path, ".new-", b"").unwrap();
        path
    }

    fn folders(&self) -> ComponentFolders {
        ComponentFolders::new(&self.path("bin/deputy"), None)
    }
}

fn named(name: &str, folder: Option<PathBuf>) -> ComponentRef {
    ComponentRef::Installed { name: name.parse().unwrap(), folder }
}

#[tokio::test]
async fn component_is_found_in_the_first_folder_that_has_it() {
    let installation = Installation::new();
    let folders = installation.folders();
    let below = installation.put("lib/deputy/components/a.wasm");
    assert_eq!(folders.find(&named("a", None)).await.unwrap(), below);
    let beside = installation.put("bin/components/a.wasm");
    assert_eq!(folders.find(&named("a", None)).await.unwrap(), beside);
    let own = installation.put("own/a.wasm");
    assert_eq!(folders.find(&named("a", Some(installation.path("own")))).await.unwrap(), own);
    let chosen =
        ComponentFolders::new(&installation.path("bin/deputy"), Some(installation.path("lib/deputy/components")));
    assert_eq!(chosen.find(&named("a", Some(installation.path("own")))).await.unwrap(), below);
}

#[tokio::test]
async fn component_by_its_path_is_looked_for_nowhere_else() {
    let installation = Installation::new();
    installation.put("bin/components/a.wasm");
    let path = ComponentRef::File("a.wasm".into());
    assert_eq!(installation.folders().find(&path).await.unwrap(), PathBuf::from("a.wasm"));
}

#[tokio::test]
async fn component_that_is_not_installed_is_an_error_with_others() {
    let installation = Installation::new();
    for path in ["bin/components/b.wasm", "lib/deputy/components/a.wasm", "lib/deputy/components/Not a name.wasm"] {
        installation.put(path);
    }
    let missing = installation.path("missing");
    let error = installation.folders().find(&named("s3", Some(missing.clone()))).await.unwrap_err();
    let (beside, below) = (installation.path("bin/components"), installation.path("lib/deputy/components"));
    let expected = format!(
        "no component `s3` is installed in {}, {} or {}: install it there, or write one of `a`, `b`, or a path with / or .wasm",
        missing.display(),
        beside.display(),
        below.display()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn component_in_a_folder_that_others_can_write_is_refused() {
    let installation = Installation::new();
    let path = installation.put("bin/components/a.wasm");
    installation.put("lib/deputy/components/a.wasm");
    #[expect(clippy::disallowed_methods, reason = "sets the stage of a test")]
    std::fs::set_permissions(path.parent().unwrap(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // Not the next folder instead: that would hide what is wrong with the first.
    let error = installation.folders().find(&named("a", None)).await.unwrap_err();
    assert!(matches!(error, LoadError::Untrusted { .. }), "{error:?}");
}

#[tokio::test]
async fn component_list_has_each_name_once() {
    let installation = Installation::new();
    let beside = installation.put("bin/components/a.wasm");
    installation.put("lib/deputy/components/a.wasm");
    let below = installation.put("lib/deputy/components/b.wasm");
    installation.put("lib/deputy/components/b.txt");
    let listed = installation.folders().list(None).await.unwrap();
    let expected = [("a", beside), ("b", below)].map(|(name, path)| (name.parse().unwrap(), path));
    assert_eq!(listed, BTreeMap::from(expected));
}

#[tokio::test]
async fn component_list_is_bounded() {
    let installation = Installation::new();
    for number in 0..=MOST_LISTED {
        let link = installation.path(&format!("own/a{number}.wasm"));
        rustix::fs::symlinkat("/dev/null", rustix::fs::CWD, link).unwrap();
    }
    let listed = installation.folders().list(Some(&installation.path("own"))).await.unwrap();
    assert_eq!(listed.len(), MOST_LISTED);
}
