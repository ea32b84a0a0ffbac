//! What building for a radio takes besides a compiler: Nordic's headers are read by libclang.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{output, program};
use crate::setup;

/// Where the library is, and the headers that come with a compiler for C.
#[derive(Clone, Debug)]
pub struct Libclang {
    library: Option<PathBuf>,
    headers: PathBuf,
}

/// There is none.
#[derive(Clone, Copy, Debug)]
pub struct NoLibclang;

impl fmt::Display for NoLibclang {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no libclang, which reads the headers of Nordic's radio: `cargo xtask setup` brings one, and \
             LIBCLANG_PATH names the folder of another",
        )
    }
}

impl std::error::Error for NoLibclang {}

/// The variable that names the folder of the library.
const VARIABLE: &str = "LIBCLANG_PATH";

impl Libclang {
    /// The one that is named, or the one that is among the tools.
    pub fn find() -> Result<Self, NoLibclang> {
        let library = match std::env::var_os(VARIABLE) {
            Some(_) => None,
            None => Some(in_tools(&setup::venv()).ok_or(NoLibclang)?),
        };
        // Whoever links programs has a compiler for C; its own headers are those of any processor.
        let headers = output(&mut program("cc", ["-print-file-name=include"]));
        let headers = PathBuf::from(headers.map_err(|_| NoLibclang)?.trim());
        if headers.join("stdint.h").exists() {
            Ok(Self { library, headers })
        } else {
            Err(NoLibclang)
        }
    }

    /// Tells a build of it.
    pub fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        if let Some(library) = &self.library {
            command.env(VARIABLE, library);
        }
        let args = format!("-ffreestanding -I{}", self.headers.display());
        command.env("BINDGEN_EXTRA_CLANG_ARGS", args)
    }
}

/// The folder in a virtual environment that PyPI's `libclang` brings.
fn in_tools(venv: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(venv.join("lib")).ok()?;
    let folders = versions.flatten().map(|it| it.path().join("site-packages/clang/native"));
    folders.into_iter().find(|folder| folder.join("libclang.so").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_found_in_whatever_pythons_folder_and_only_if_it_is_there() {
        let venv = std::env::temp_dir().join(format!("updraft-libclang-{}", std::process::id()));
        let native = venv.join("lib/python3.99/site-packages/clang/native");
        fs::create_dir_all(&native).unwrap();
        assert_eq!(in_tools(&venv), None);
        fs::write(native.join("libclang.so"), "").unwrap();
        assert_eq!(in_tools(&venv), Some(native));
        fs::remove_dir_all(&venv).unwrap();
        assert_eq!(in_tools(&venv), None);
    }

    #[test]
    fn who_has_no_libclang_is_told_in_one_line_what_brings_it() {
        let told = NoLibclang.to_string();
        assert!(told.contains("cargo xtask setup") && told.contains(VARIABLE), "{told}");
        assert_eq!(told.lines().count(), 1);
    }
}
