//! The direction of dependencies: a crate may depend on crates of lower layers only, and what runs
//! on the chip needs no operating system. Licences are checked against `deny.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{cargo, output};
use crate::workspace::{self, CHIP_CRATES, RADIO_CRATES, package};

/// Layers, lowest first. Crates of one layer do not know each other.
const LAYERS: [&[&str]; 8] = [
    &["dhcp", "image", "mqtt", "x509"],
    &["flash", "tls"],
    &["smp"],
    &["boot", "dfu", "ble"],
    &["ota", "recovery"],
    &["board", "certs", "online", "pty", "publisher", "sign"],
    &["fleet", "impostor", "imgtool", "qemu", "sim"],
    &["cli"],
];

/// Layers whose crates need a host; tests of any crate may use them.
const HOST_LAYERS: std::ops::RangeInclusive<usize> = 5..=6;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    dependencies: Vec<Dependency>,
    features: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

/// `cargo xtask deps`.
pub fn run(_: &[String]) -> Result<()> {
    let metadata = metadata()?;
    let mut faults = Vec::new();
    for member in metadata.members() {
        let Some(from) = layer(&member.name) else {
            if member.name != "xtask" {
                faults.push(format!("{} has no layer in xtask/src/deps.rs", member.name));
            }
            continue;
        };
        faults.extend(upward(member, from));
    }
    for folder in CHIP_CRATES.into_iter().chain(RADIO_CRATES) {
        faults.extend(chip_faults(folder)?);
    }
    faults.extend(licence_faults(&metadata)?);
    faults.extend(licence_faults(&metadata_of("firmware")?)?);
    faults.extend(unsafe_faults(&workspace::root().join("firmware"))?);
    print_table(&metadata);
    if !faults.is_empty() {
        bail!("{} faults:\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// The features of the chip's crates that choose algorithms, as `package/feature`.
pub fn algorithm_features() -> Result<Vec<String>> {
    let chip: BTreeSet<String> = CHIP_CRATES.into_iter().map(package).collect();
    let metadata = metadata()?;
    Ok(metadata
        .members()
        .filter(|member| chip.contains(&member.name))
        .flat_map(|member| {
            let algorithms = member.features.keys().filter(|feature| {
                ["sig-", "enc", "sha", "compression"].iter().any(|kind| feature.starts_with(kind))
            });
            algorithms.map(|feature| format!("{}/{feature}", member.name)).collect::<Vec<_>>()
        })
        .collect())
}

/// Folders of `firmware` whose code may be `unsafe`: boards, and what processors and chips have in
/// common, for registers and start-up.
const MAY_BE_UNSAFE: [&str; 4] = ["boards", "cortex-m", "nrf5", "psoc6"];

/// Code of other folders that is `unsafe`, or whose manifest does not forbid it.
fn unsafe_faults(firmware: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for entry in fs::read_dir(firmware).context("no firmware")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if MAY_BE_UNSAFE.contains(&name.as_str()) || !entry.path().join("Cargo.toml").exists() {
            continue;
        }
        let manifest: toml::Table = fs::read_to_string(entry.path().join("Cargo.toml"))?.parse()?;
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        let source = fs::read_to_string(entry.path().join("src/lib.rs")).unwrap_or_default();
        let forbids = lints.and_then(toml::Value::as_bool) == Some(true)
            || source.contains("#![forbid(unsafe_code)]");
        // Routines that the compiler calls have names that linkers know, which counts as unsafe.
        if !forbids && name != "routines" {
            faults.push(format!("firmware/{name} does not forbid unsafe code"));
        }
    }
    Ok(faults)
}

impl Metadata {
    fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }
}

fn metadata() -> Result<Metadata> {
    metadata_of(".")
}

/// Of the workspace in a folder.
fn metadata_of(folder: &str) -> Result<Metadata> {
    let mut command = cargo(["metadata", "--format-version", "1", "--all-features"]);
    let text = output(command.current_dir(workspace::root().join(folder)))?;
    serde_json::from_str(&text).context("cargo metadata prints something unexpected")
}

fn layer(package: &str) -> Option<usize> {
    let folder = package.strip_prefix("updraft-")?;
    LAYERS.iter().position(|crates| crates.contains(&folder))
}

/// Dependencies of a crate that do not point downward.
fn upward(member: &Package, from: usize) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in &member.dependencies {
        let Some(to) = layer(&dependency.name) else { continue };
        // A crate's tests may ask the crate itself for more of its features.
        let usable = HOST_LAYERS.contains(&to) || dependency.name == member.name;
        let for_tests = dependency.kind.as_deref() == Some("dev") && usable;
        if to >= from && !for_tests {
            faults.push(format!("{} must not depend on {}", member.name, dependency.name));
        }
    }
    faults
}

/// What keeps a crate from the chip: the compiler enforces both once they are declared.
fn chip_faults(folder: &str) -> Result<Vec<String>> {
    let read = |file: &str| {
        let path = workspace::root().join("crates").join(folder).join(file);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut faults = Vec::new();
    if !read("src/lib.rs")?.lines().any(|line| line.trim() == "#![no_std]") {
        faults.push(format!("crates/{folder}/src/lib.rs lacks #![no_std]"));
    }
    let manifest: toml::Table = read("Cargo.toml")?.parse()?;
    let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
    if lints.and_then(toml::Value::as_bool) != Some(true) {
        faults.push(format!("crates/{folder}/Cargo.toml does not take the workspace's lints"));
    }
    Ok(faults)
}

/// What `deny.toml` says of licences.
#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
    /// Allowed for one package each.
    exceptions: Vec<Exception>,
    /// Of packages that have a file in place of an expression.
    clarify: Vec<Clarified>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Clarified {
    #[serde(rename = "crate")]
    package: String,
    expression: String,
}

impl Licenses {
    /// The licence of a package, if it is not allowed.
    fn refused<'l>(&'l self, package: &'l Package) -> Option<&'l str> {
        let clarified = self.clarify.iter().find(|of| of.package == package.name);
        let said = package.license.as_deref().or(clarified.map(|of| of.expression.as_str()));
        let licence = said.unwrap_or("none");
        let except = self.exceptions.iter().filter(|of| of.package == package.name);
        let allow: Vec<_> =
            self.allow.iter().chain(except.flat_map(|of| &of.allow)).cloned().collect();
        (!is_allowed(licence, &allow)).then_some(licence)
    }
}

/// Packages of others whose licence is not among those that `deny.toml` allows.
fn licence_faults(metadata: &Metadata) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Deny {
        licenses: Licenses,
    }
    let text = fs::read_to_string(workspace::root().join("deny.toml"))?;
    let deny: Deny = toml::from_str(&text).context("deny.toml")?;
    let refused = metadata.packages.iter().filter_map(|package| {
        let licence = deny.licenses.refused(package)?;
        let name = format!("{} {}", package.name, package.version);
        Some(format!("{name}: licence {licence} is not allowed by deny.toml"))
    });
    Ok(refused.collect())
}

/// Whether an SPDX expression can be met with allowed licences alone. `OR` binds weaker than
/// `AND`; parentheses hold only alternatives in practice, so that they split like `AND`s around
/// them.
fn is_allowed(expression: &str, allow: &[String]) -> bool {
    let term = |term: &str| allow.iter().any(|allowed| allowed == term.trim());
    let alternatives = |text: &str| text.replace('/', " OR ").split(" OR ").any(term);
    if expression.contains('(') {
        let parts = expression.split(['(', ')']).flat_map(|part| part.split(" AND "));
        return parts.filter(|part| !part.trim().is_empty()).all(alternatives);
    }
    let expression = expression.replace('/', " OR ");
    expression.split(" OR ").any(|option| option.split(" AND ").all(term))
}

fn print_table(metadata: &Metadata) {
    for member in metadata.members() {
        let Some(at) = layer(&member.name) else { continue };
        let names = |dev: bool| {
            let kind = move |dependency: &&Dependency| {
                (dependency.kind.as_deref() == Some("dev")) == dev
                    && layer(&dependency.name).is_some()
            };
            let list = member.dependencies.iter().filter(kind);
            list.map(|dependency| dependency.name.trim_start_matches("updraft-"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (uses, tests) = (names(false), names(true));
        let tests = if tests.is_empty() { tests } else { format!("  tests: {tests}") };
        println!("{at}  {:<8}→ {uses}{tests}", member.name.trim_start_matches("updraft-"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            id: String::new(),
            name: name.to_owned(),
            version: String::new(),
            license: None,
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
            features: BTreeMap::new(),
        }
    }

    fn faults(name: &str, dependencies: &[(&str, Option<&str>)]) -> usize {
        upward(&member(name, dependencies), layer(name).unwrap()).len()
    }

    #[test]
    fn refuses_dependencies_upward_and_sideways() {
        assert_eq!(faults("updraft-boot", &[("updraft-flash", None), ("sha2", None)]), 0);
        assert_eq!(faults("updraft-flash", &[("updraft-boot", None)]), 1);
        assert_eq!(faults("updraft-boot", &[("updraft-dfu", None)]), 1);
        assert_eq!(faults("updraft-boot", &[("updraft-sim", None)]), 1);
    }

    #[test]
    fn lets_tests_use_host_libraries_but_not_the_command() {
        assert_eq!(faults("updraft-boot", &[("updraft-sim", Some("dev"))]), 0);
        assert_eq!(faults("updraft-boot", &[("updraft-cli", Some("dev"))]), 1);
        assert_eq!(faults("updraft-image", &[("updraft-boot", Some("dev"))]), 1);
    }

    #[test]
    fn an_exception_is_for_one_package_and_one_licence() {
        let licenses: Licenses = toml::from_str(
            "allow = [\"MIT\"]\n\
             exceptions = [{ crate = \"radio\", allow = [\"LicenseRef-Radio\"] }]\n\
             clarify = [{ crate = \"radio\", expression = \"LicenseRef-Radio\", license-files = [] }]",
        )
        .unwrap();
        let package = |name: &str, license: Option<&str>| Package {
            license: license.map(str::to_owned),
            ..member(name, &[])
        };
        assert_eq!(licenses.refused(&package("radio", None)), None);
        assert_eq!(licenses.refused(&package("radio", Some("GPL-3.0"))), Some("GPL-3.0"));
        assert_eq!(licenses.refused(&package("other", None)), Some("none"));
        let other = package("other", Some("LicenseRef-Radio"));
        assert_eq!(licenses.refused(&other), Some("LicenseRef-Radio"));
    }

    #[test]
    fn weighs_licence_expressions() {
        let allow = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
        assert!(is_allowed("MIT OR GPL-3.0", &allow));
        assert!(is_allowed("(MIT OR GPL-3.0) AND Unicode-3.0", &allow));
        assert!(is_allowed("MIT/Apache-2.0", &allow));
        assert!(!is_allowed("GPL-3.0", &allow));
        assert!(!is_allowed("MIT AND GPL-3.0", &allow));
        assert!(!is_allowed("none", &allow));
    }
}
