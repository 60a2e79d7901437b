//! No import circle inside a layer: a file that is understood needs no file that needs it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, none, sources, word};

/// A module's path, such as `["core", "live"]`.
type Module = Vec<String>;

/// Every module with the names that it imports, and what each stands for.
struct Tree {
    modules: BTreeMap<Module, Imports>,
}

struct Imports {
    /// Paths that the code uses.
    used: Vec<Vec<String>>,
    /// Names that are passed on by `pub use`.
    reexported: BTreeMap<String, Vec<String>>,
}

impl Tree {
    fn of(sources: &[Source]) -> Self {
        let modules = sources.iter().filter(|source| source.layer().is_some());
        Self { modules: modules.map(|source| (module(&source.name), imports(source))).collect() }
    }

    /// The modules of the same layer that a module needs.
    fn needs(&self, from: &Module) -> BTreeSet<Module> {
        let used = self.modules[from].used.iter().filter_map(|path| self.resolve(path, 0));
        used.filter(|to| to != from && to[0] == from[0]).collect()
    }

    /// The module in which a path is defined, past every `pub use`.
    fn resolve(&self, path: &[String], depth: usize) -> Option<Module> {
        let length = (1..=path.len()).rev().find(|length| self.modules.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(length);
        let passed_on = rest.first().and_then(|name| self.modules[module].reexported.get(name));
        match passed_on.filter(|_| depth < 8) {
            Some(target) => self.resolve(target, depth + 1),
            None => Some(module.to_vec()),
        }
    }

    /// Whether a module is needed, over any number of others, by what it needs.
    fn circle(&self, start: &Module) -> Option<Vec<Module>> {
        let mut paths: Vec<Vec<Module>> = vec![vec![start.clone()]];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            for next in self.needs(path.last().unwrap()) {
                if next == *start {
                    return Some(path);
                }
                if seen.insert(next.clone()) {
                    paths.push([path.clone(), vec![next]].concat());
                }
            }
        }
        None
    }
}

fn module(name: &str) -> Module {
    let path = name.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

fn imports(source: &Source) -> Imports {
    let this = module(&source.name);
    let code = source.text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let (mut used, mut reexported) = (Vec::new(), BTreeMap::new());
    // Its own children it names as they are: `mod a;` and then `a::f()`.
    let children = code.lines().filter_map(|line| line.split_once("mod ")?.1.strip_suffix(';'));
    let starts = ["crate", "super", "self"].into_iter().chain(children).map(|name| format!("{name}::"));
    for start in starts {
        for (at, _) in code.match_indices(&start) {
            let before = &code[..at];
            let is_visibility = before.ends_with("pub(in ");
            if is_visibility || before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            // In a use tree a brace is followed by a comma.
            let statement = before.rsplit(';').next().unwrap().rsplit("}\n").next().unwrap();
            let is_passed_on = ["pub use ", "pub(crate) use ", "pub(super) use "]
                .iter()
                .any(|words| statement.trim_start().starts_with(words));
            for path in expand(&code[at..]) {
                let path = absolute(&path, &this);
                match path.last() {
                    Some(name) if is_passed_on => drop(reexported.insert(name.clone(), path.clone())),
                    _ => used.push(path),
                }
            }
        }
    }
    Imports { used, reexported }
}

/// The paths of a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(list) = tree.strip_prefix('{') {
        return members(list).into_iter().flat_map(expand).collect();
    }
    let name = word(tree).to_owned();
    let Some(rest) = tree[name.len()..].strip_prefix("::") else {
        return vec![if name.is_empty() { Vec::new() } else { vec![name] }];
    };
    expand(rest).into_iter().map(|path| [vec![name.clone()], path].concat()).collect()
}

/// The members of a list, up to the brace that closes it.
fn members(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (1, 0, Vec::new());
    for (at, char) in list.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && char == ',' {
            members.push(list[start..at].trim());
            start = at + 1;
        }
        if depth == 0 {
            break;
        }
    }
    members.retain(|member| !member.is_empty());
    members
}

fn absolute(path: &[String], this: &Module) -> Vec<String> {
    let mut base = this.clone();
    let mut rest = path;
    while let Some((first, more)) = rest.split_first() {
        match first.as_str() {
            "crate" => base.clear(),
            "super" => drop(base.pop()),
            "self" => {}
            _ => break,
        }
        rest = more;
    }
    // `a::{self}` is `a`.
    [base, rest.iter().filter(|name| *name != "self").cloned().collect()].concat()
}

#[test]
fn there_is_no_import_circle_inside_a_layer() {
    let tree = Tree::of(&sources());
    let (mut broken, mut known) = (Vec::new(), BTreeSet::new());
    for module in tree.modules.keys() {
        let Some(circle) = tree.circle(module) else { continue };
        if known.insert(circle.iter().cloned().collect::<BTreeSet<_>>()) {
            let names: Vec<_> = circle.iter().chain([module]).map(|module| module.join("::")).collect();
            broken.push(names.join(" → "));
        }
    }
    none(&broken, "no file of a layer needs a file that needs it");
}

#[test]
fn a_circle_is_found_also_past_a_module_that_passes_names_on() {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
    let tree = Tree::of(&[
        source("core/mod.rs", "mod a;\nmod b;\npub use self::{a::A, b::{B, b}};"),
        source("core/a.rs", "use super::{B, b};"),
        source("core/b.rs", "use crate::core::A;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
        source("core/c.rs", "use super::a::{self};\n// super::d"),
    ]);
    let module = |name: &str| vec!["core".to_owned(), name.to_owned()];
    assert_eq!(tree.circle(&module("a")), Some(vec![module("a"), module("b")]));
    assert_eq!(tree.needs(&module("c")), [module("a")].into());
    assert_eq!(tree.circle(&module("c")), None);
    assert_eq!(tree.needs(&vec!["core".to_owned()]), BTreeSet::new());

    let tree = Tree::of(&[
        source("web/mod.rs", "mod a;\nfn f() {\n    a::g()\n}"),
        source("web/a.rs", "pub fn g() {\n    super::f()\n}"),
    ]);
    let (web, a) = (vec!["web".to_owned()], vec!["web".to_owned(), "a".to_owned()]);
    assert_eq!(tree.circle(&web), Some(vec![web.clone(), a]), "a child that is named as it is");
}
