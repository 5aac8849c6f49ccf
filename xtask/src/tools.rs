//! Tools of tests and releases: helm, promtool, prometheus, OpenTelemetry's Collector, crane, krew and its validator,
//! actionlint. Each is built once from the modules in a go.mod
//! below `tests/tools`, and kept as `target/tools/NAME-HASH`.
//!
//! In: go.mod and go.sum, and for the Collector, which is a library, a main program. Out: paths, and the variables with which tests find the tools. To
//! use another release, run `go get -tool PACKAGE@VERSION` in the tool's folder.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{go, sudo, workspace};

/// A tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tool {
    Helm,
    Promtool,
    Prometheus,
    Collector,
    Crane,
    Krew,
    ValidateKrewManifest,
    Actionlint,
}

/// Programs of the same modules, which are built together.
struct Module {
    folder: &'static str,
    /// The module with the programs.
    name: &'static str,
    programs: &'static [&'static str],
    /// The package: `tool` for all tools in go.mod.
    package: &'static str,
    /// Sources in the folder.
    files: &'static [&'static str],
    /// Prometheus has about thirty kinds of service discovery, most of them with the SDK of a cloud.
    tags: &'static str,
    time: &'static str,
}

/// Go's name for all tools in go.mod.
const TOOLS: &str = "tool";

const HELM: Module = Module {
    folder: "helm",
    name: "helm.sh/helm/v4",
    programs: &["helm"],
    package: TOOLS,
    files: &[],
    tags: "",
    time: "some five minutes",
};

const PROMETHEUS: Module = Module {
    folder: "prometheus",
    name: "github.com/prometheus/prometheus",
    programs: &["prometheus", "promtool"],
    package: TOOLS,
    files: &[],
    tags: "remove_all_sd,enable_kubernetes_sd",
    time: "some five minutes",
};

const COLLECTOR: Module = Module {
    folder: "collector",
    name: "go.opentelemetry.io/collector/otelcol",
    programs: &["collector"],
    package: ".",
    files: &["main.go"],
    tags: "",
    time: "a minute or two",
};

const RELEASE: Module = Module {
    folder: "release",
    name: "github.com/google/go-containerregistry",
    programs: &["actionlint", "crane", "krew", "validate-krew-manifest"],
    package: TOOLS,
    files: &[],
    tags: "",
    time: "a minute or two",
};

impl Tool {
    fn program(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Promtool => "promtool",
            Self::Prometheus => "prometheus",
            Self::Collector => "collector",
            Self::Crane => "crane",
            Self::Krew => "krew",
            Self::ValidateKrewManifest => "validate-krew-manifest",
            Self::Actionlint => "actionlint",
        }
    }

    fn module(self) -> &'static Module {
        match self {
            Self::Helm => &HELM,
            Self::Promtool | Self::Prometheus => &PROMETHEUS,
            Self::Collector => &COLLECTOR,
            Self::Crane | Self::Krew | Self::ValidateKrewManifest | Self::Actionlint => &RELEASE,
        }
    }

    /// The variable with its path, for tests.
    fn variable(self) -> &'static str {
        match self {
            Self::Helm => "HEADLESS_OBS_HELM",
            Self::Promtool => "HEADLESS_OBS_PROMTOOL",
            Self::Prometheus => "HEADLESS_OBS_PROMETHEUS",
            Self::Collector => "HEADLESS_OBS_COLLECTOR",
            Self::Crane => "HEADLESS_OBS_CRANE",
            Self::Krew => "HEADLESS_OBS_KREW",
            Self::ValidateKrewManifest => "HEADLESS_OBS_VALIDATE_KREW_MANIFEST",
            Self::Actionlint => "HEADLESS_OBS_ACTIONLINT",
        }
    }
}

/// All of them.
pub(crate) const ALL: [Tool; 8] = [
    Tool::Helm,
    Tool::Promtool,
    Tool::Prometheus,
    Tool::Collector,
    Tool::Crane,
    Tool::Krew,
    Tool::ValidateKrewManifest,
    Tool::Actionlint,
];

/// The tools that each test program needs.
const NEEDS: [(&str, &[Tool]); 4] = [
    ("prometheus", &[Tool::Prometheus, Tool::Promtool, Tool::Collector]),
    ("chart", &[Tool::Helm]),
    ("cluster", &[Tool::Prometheus]),
    ("nodes", &[Tool::Helm, Tool::Prometheus]),
];

/// The task. On success it does not return: xtask becomes the tool.
pub(crate) fn run(tool: Tool, args: &[OsString]) -> Result<ExitCode> {
    let mut command = Command::new(ensure(tool)?);
    command.args(args);
    Err(sudo::exec(command))
}

/// A tool's path. Builds it if necessary.
pub(crate) fn ensure(tool: Tool) -> Result<PathBuf> {
    let module = tool.module();
    let paths = recipe(module)?.ensure(&workspace::tools())?;
    let found = module.programs.iter().zip(paths).find(|(name, _)| **name == tool.program());
    found.map(|(_, path)| path).with_context(|| format!("{} is not built", tool.program()))
}

/// Whether a test program needs any tool.
pub(crate) fn has_needs(program: &str) -> bool {
    NEEDS.iter().any(|(name, tools)| *name == program && !tools.is_empty())
}

/// Builds the tools of a test program; returns the variables with their paths.
pub(crate) fn prepare(program: &str) -> Result<Vec<(&'static str, OsString)>> {
    let needs = NEEDS.iter().find(|(name, _)| *name == program).map_or(&[][..], |(_, tools)| *tools);
    needs.iter().map(|&tool| Ok((tool.variable(), ensure(tool)?.into_os_string()))).collect()
}

fn recipe(module: &Module) -> Result<go::Recipe<'static>> {
    let sources = workspace::root().join("tests/tools").join(module.folder);
    let go_mod = sources.join("go.mod");
    let go_mod = fs::read_to_string(&go_mod).with_context(|| format!("cannot read {}", go_mod.display()))?;
    let version = version(&go_mod, module.name)?;
    let linker = "-ldflags=-s -w".to_owned();
    let options =
        go::OPTIONS.map(str::to_owned).into_iter().chain([linker, format!("-tags={}", module.tags)]);
    Ok(go::Recipe {
        sources,
        files: module.files,
        options: options.collect(),
        package: module.package,
        programs: module.programs,
        module: format!("{}@{version}", module.name),
        notice: format!("building {} {version} (once, {})", module.programs.join(" and "), module.time),
    })
}

/// The version of a module in go.mod.
fn version(go_mod: &str, module: &str) -> Result<String> {
    let line = go_mod.lines().find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' '));
    let version = line.and_then(|rest| rest.split(' ').next());
    version.map(str::to_owned).with_context(|| format!("go.mod names no version of {module}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tool_has_a_pinned_version_and_is_what_its_module_builds() {
        for tool in ALL {
            let recipe = recipe(tool.module()).unwrap();
            assert!(recipe.module.contains("@v"), "{}", recipe.module);
            assert!(recipe.programs.contains(&tool.program()), "{tool:?}");
            let go_mod = fs::read_to_string(recipe.sources.join("go.mod")).unwrap();
            let is_listed = go_mod.contains(&format!("/cmd/{}\n", tool.program()));
            assert_eq!(is_listed, tool.module().package == TOOLS, "{go_mod}");
        }
    }

    #[test]
    fn a_version_is_that_of_the_whole_name() {
        let go_mod = "require (\n\tx.org/a/v4/sub v1.0.0 // indirect\n\tx.org/a/v4 v4.3.1 // indirect\n)\n";
        assert_eq!(version(go_mod, "x.org/a/v4").unwrap(), "v4.3.1");
        assert!(version(go_mod, "x.org/b").is_err());
    }
}
