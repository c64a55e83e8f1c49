//! The bill of materials, as CycloneDX.

use serde_json::{Value, json};

use super::dependencies::Package;
use crate::failure::{Doing, Result};

/// The version of CycloneDX.
const SPEC: &str = "1.5";

/// What the components of other languages have in them, beside their own few lines.
pub(super) const RUNTIMES: [(&str, &str, &str, &str); 2] = [
    ("cpython", "in components/oauth2-python.wasm", "PSF-2.0", "https://github.com/bytecodealliance/componentize-py"),
    (
        "starlingmonkey",
        "in components/oauth2-javascript.wasm",
        "MPL-2.0",
        "https://github.com/bytecodealliance/StarlingMonkey",
    ),
];

pub(super) fn text(version: &str, packages: &[Package]) -> Result<String> {
    let runtimes = RUNTIMES.map(|(name, description, licence, url)| {
        json!({
            "type": "framework",
            "name": name,
            "description": description,
            "licenses": [{ "license": { "id": licence } }],
            "externalReferences": [{ "type": "vcs", "url": url }],
        })
    });
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": SPEC,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": format!("pkg:cargo/deputy@{version}"),
                "name": "deputy",
                "version": version,
                "licenses": [{ "license": { "id": "Apache-2.0" } }],
            },
        },
        "components": packages.iter().map(component).chain(runtimes).collect::<Vec<Value>>(),
    });
    serde_json::to_string_pretty(&bill).map(|text| text + "\n").doing(|| "writing the bill of materials".into())
}

fn component(package: &Package) -> Value {
    let url = format!("pkg:cargo/{}@{}", package.name, package.version);
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
    });
    if let (Some(licence), Some(fields)) = (&package.licence, component.as_object_mut()) {
        fields.insert("licenses".to_owned(), json!([{ "expression": licence }]));
    }
    if let (Some(repository), Some(fields)) = (&package.repository, component.as_object_mut()) {
        fields.insert("externalReferences".to_owned(), json!([{ "type": "vcs", "url": repository }]));
    }
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbom_has_each_package_with_its_licence() {
        let package = Package {
            name: "a".to_owned(),
            version: "1.2.3".to_owned(),
            licence: Some("MIT OR Apache-2.0".to_owned()),
            repository: None,
            folder: "/a".into(),
        };
        let bill: Value = serde_json::from_str(&text("0.1.0", &[package]).unwrap()).unwrap();
        assert_eq!(bill["components"][0]["purl"], "pkg:cargo/a@1.2.3");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["components"].as_array().unwrap().len(), 1 + RUNTIMES.len());
    }
}
