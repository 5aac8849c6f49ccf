//! The files of a guest: the programs with their libraries, a shell, the kernel's modules, and the script that runs the
//! tests.
//!
//! In: programs, and the tests to run. Out: the archive that its kernel unpacks and starts. Programs that are not
//! static must be this machine's own, because their libraries are taken from here.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::cases::Program;
use super::cpio::{self, Entry};
use crate::target_arch::TargetArch;
use crate::{build_ebpf, elf, process};

/// The script of the first process.
const INIT: &str = include_str!("init.sh");

/// Small files that programs need.
const FILES: [(&str, &str); 5] = [
    ("etc/passwd", "root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n"),
    ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    // Pods mount their own file over it.
    ("etc/resolv.conf", ""),
];

/// A guest's own files, in addition to those of all guests.
pub(super) struct Guest<'a> {
    pub(super) processor: TargetArch,
    pub(super) busybox: &'a Path,
    /// Name → program.
    pub(super) programs: &'a BTreeMap<String, PathBuf>,
    pub(super) modules: &'a [PathBuf],
    /// The tests to run.
    pub(super) tests: &'a [Program],
    /// Only tests whose names contain one of these.
    pub(super) filter: &'a [String],
}

impl Guest<'_> {
    /// Writes the archive.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut entries: BTreeMap<String, Entry> =
            FILES.map(|(path, text)| (path.to_owned(), Entry::File(text.as_bytes().to_vec()))).into();
        entries.insert("init".to_owned(), Entry::Program(INIT.as_bytes().to_vec()));
        entries.insert("tests".to_owned(), Entry::File(commands(self.tests, self.filter).into_bytes()));
        entries.insert("bin/busybox".to_owned(), Entry::Program(read(self.busybox)?));
        entries.insert("balancer.o".to_owned(), Entry::File(read(&build_ebpf::balancer_object())?));
        entries.insert("modules".to_owned(), Entry::Folder);
        for (number, module) in self.modules.iter().enumerate() {
            let name = module.file_name().unwrap_or_default().to_string_lossy();
            entries.insert(format!("modules/{number}-{name}"), Entry::File(read(module)?));
        }
        for (name, program) in self.programs {
            let program = stripped(program, self.processor)?;
            let bytes = read(&program)?;
            if elf::interpreter(&bytes)?.is_some() {
                for library in libraries(&program)? {
                    entries.insert(
                        library.trim_start_matches('/').to_owned(),
                        Entry::Program(read(Path::new(&library))?),
                    );
                }
            }
            entries.insert(format!("programs/{name}"), Entry::Program(bytes));
        }
        fs::write(path, cpio::archive(&entries)?).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// A copy of a program without debug information, which is most of its size.
fn stripped(program: &Path, processor: TargetArch) -> Result<PathBuf> {
    let copy = program.with_extension("vm");
    let time = |path: &Path| fs::metadata(path).and_then(|found| found.modified());
    let is_new = time(&copy).is_ok_and(|made| time(program).is_ok_and(|built| made >= built));
    if !is_new {
        process::run(Command::new(processor.tool("strip")).arg("-o").arg(&copy).arg(program))?;
    }
    Ok(copy)
}

/// The shared libraries of a program, and its dynamic linker.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = process::output(Command::new("ldd").arg(program))?;
    Ok(listed.lines().filter_map(library).collect())
}

/// The path in a line of ldd's output.
fn library(line: &str) -> Option<String> {
    line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned)
}

/// The shell commands that run the tests.
fn commands(tests: &[Program], filter: &[String]) -> String {
    tests.iter().map(|program| command(program, filter)).collect()
}

fn command(Program { name, tests, without }: &Program, filter: &[String]) -> String {
    let mut line = format!("run {name}");
    // Names contain only letters, digits, `_` and `:`, so that a shell needs no quotes.
    let mut skip = |name: &str| line.push_str(&format!(" --skip {name}"));
    let chosen: Vec<&str> = match filter {
        [] => {
            without.iter().for_each(|name| skip(name));
            tests.to_vec()
        }
        _ => filter.iter().map(String::as_str).collect(),
    };
    chosen.iter().for_each(|name| line.push_str(&format!(" {name}")));
    line.push('\n');
    line
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_paths_and_the_kernels_own_has_none() {
        assert_eq!(library("\tlibc.so.6 => /lib/x/libc.so.6 (0x7f1)"), Some("/lib/x/libc.so.6".to_owned()));
        assert_eq!(
            library("\t/lib64/ld-linux-x86-64.so.2 (0x7f1)"),
            Some("/lib64/ld-linux-x86-64.so.2".to_owned())
        );
        assert_eq!(library("\tlinux-vdso.so.1 (0x7f1)"), None);
    }

    #[test]
    fn a_filter_replaces_the_usual_tests_and_what_is_left_out() {
        let program = Program { name: "node", tests: &["dns::"], without: &["slow"] };
        assert_eq!(command(&program, &[]), "run node --skip slow dns::\n");
        assert_eq!(command(&program, &["stale".to_owned()]), "run node stale\n");
    }
}
