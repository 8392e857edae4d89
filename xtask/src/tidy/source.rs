//! Rules that need a syntax tree: lengths of functions, globs, names, tests that do not run.

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, ImplItemFn, ItemFn, ItemMod, ItemUse, Signature, TraitItemFn, UseTree,
};

use super::Finding;
use super::lines::{drawer, is_drawer};

/// Lines of one function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 70;

/// All findings of one Rust file.
pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let parsed = match syn::parse_file(text) {
        Ok(parsed) => parsed,
        Err(error) => {
            let line = error.span().start().line;
            let (why, mend) = ("what cannot be read cannot be checked", "mend the syntax");
            return vec![Finding::fail((file, line), format!("no Rust: {error}"), why, mend)];
        }
    };
    let mut walk = Walk { file, in_tests: is_test_file(file), findings: Vec::new() };
    walk.visit_file(&parsed);
    walk.findings
}

fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.split('/').any(|name| name == "tests")
}

struct Walk<'a> {
    file: &'a str,
    in_tests: bool,
    findings: Vec<Finding>,
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        // A module in a file of its own is found by the file's name.
        if is_drawer(&name) && module.content.is_some() {
            self.findings.push(drawer((self.file, line(module.ident.span())), &name));
        }
        let outside = self.in_tests;
        self.in_tests |= module.attrs.iter().any(is_cfg_test);
        visit::visit_item_mod(self, module);
        self.in_tests = outside;
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.function(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast TraitItemFn) {
        if let Some(body) = &function.default {
            self.function(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.globs(&item.tree, &mut Vec::new());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("ignore") {
            self.fail(
                attribute.pound_token.span,
                "a test that is ignored",
                "it looks like a test and guards nothing",
                "mend it or delete it; what takes long belongs in the simulator or a bench",
            );
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.type_name(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.type_name(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.type_name(&item.ident);
        visit::visit_item_trait(self, item);
    }
}

impl Walk<'_> {
    fn fail(
        &mut self,
        span: Span,
        what: impl Into<String>,
        why: &'static str,
        mend: impl Into<String>,
    ) {
        self.findings.push(Finding::fail((self.file, line(span)), what, why, mend));
    }

    fn function(&mut self, signature: &Signature, body: &Block) {
        let first = line(signature.fn_token.span);
        let last = body.brace_token.span.close().end().line;
        let lines = last + 1 - first;
        if lines > FUNCTION_LINES {
            self.fail(
                signature.ident.span(),
                format!("`{}` has {lines} lines, more than {FUNCTION_LINES}", signature.ident),
                "a function that became a place is read by nobody",
                "let it hold the `match`, and give each arm's work a name",
            );
        }
    }

    fn globs(&mut self, tree: &UseTree, path: &mut Vec<String>) {
        match tree {
            UseTree::Path(step) => {
                path.push(step.ident.to_string());
                self.globs(&step.tree, path);
                path.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.globs(item, path)),
            UseTree::Glob(glob) if !(self.in_tests && path.as_slice() == ["super"]) => self.fail(
                glob.star_token.span,
                format!("a glob import, `use {}::*`", path.join("::")),
                "a reader must see where a name comes from",
                "name what is used; only a test module may say `use super::*`",
            ),
            _ => {}
        }
    }

    fn type_name(&mut self, ident: &syn::Ident) {
        if ident.to_string().ends_with("Manager") {
            self.fail(
                ident.span(),
                format!("a type named `{ident}`"),
                "everything can be managed, so the name says nothing",
                "find the noun: a book, a queue, a keeper of one thing",
            );
        }
    }
}

fn line(span: Span) -> usize {
    span.start().line
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let mut test = false;
    if attribute.path().is_ident("cfg") {
        // `all(test, …)` is test code too; `not(test)` is not.
        let _ = attribute.parse_nested_meta(|meta| {
            test |= meta.path.is_ident("test");
            if meta.path.is_ident("all") {
                return meta.parse_nested_meta(|inner| {
                    test |= inner.path.is_ident("test");
                    Ok(())
                });
            }
            Ok(())
        });
    }
    test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        found_in("crates/base/src/id.rs", text)
    }

    fn found_in(file: &str, text: &str) -> Vec<String> {
        let show = |finding: Finding| format!("{}: {}", finding.line, finding.what);
        check(file, text).into_iter().map(show).collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    // \"{{\" '{' one\n".repeat(lines - 2))
    }

    #[test]
    fn a_function_may_have_seventy_lines() {
        assert!(found(&function(70)).is_empty());
        assert_eq!(found(&function(71)), ["1: `f` has 71 lines, more than 70"]);
        let method = format!("struct A;\nimpl A {{\n{}}}\n", function(71));
        assert_eq!(found(&method), ["3: `f` has 71 lines, more than 70"]);
        let default = format!("trait A {{\n{}}}\n", function(71));
        assert_eq!(found(&default), ["2: `f` has 71 lines, more than 70"]);
    }

    #[test]
    fn documentation_and_attributes_do_not_count_as_the_function() {
        let documented = format!("{}#[inline]\n{}", "/// Words.\n".repeat(40), function(70));
        assert!(found(&documented).is_empty());
    }

    #[test]
    fn globs_are_found_wherever_they_hide() {
        assert_eq!(found("use std::fs::*;\n"), ["1: a glob import, `use std::fs::*`"]);
        let grouped = "use std::{fmt, io::{self, prelude::*}};\n";
        assert_eq!(found(grouped), ["1: a glob import, `use std::io::prelude::*`"]);
        assert_eq!(found("pub use inner::*;\n"), ["1: a glob import, `use inner::*`"]);
        assert_eq!(found("use super::*;\n"), ["1: a glob import, `use super::*`"]);
    }

    #[test]
    fn a_test_module_may_import_its_parent() {
        assert!(found("#[cfg(test)]\nmod tests {\n    use super::*;\n}\n").is_empty());
        assert!(found_in("crates/base/src/id/tests.rs", "use super::*;\n").is_empty());
        let other = "#[cfg(test)]\nmod tests {\n    use std::io::*;\n}\n";
        assert_eq!(found(other), ["3: a glob import, `use std::io::*`"]);
        let after = "#[cfg(test)]\nmod tests {}\nuse super::*;\n";
        assert_eq!(found(after), ["3: a glob import, `use super::*`"]);
        let not = "#[cfg(not(test))]\nmod real {\n    use super::*;\n}\n";
        assert_eq!(found(not), ["3: a glob import, `use super::*`"]);
    }

    #[test]
    fn an_ignored_test_is_found_with_and_without_a_reason() {
        assert_eq!(found("#[test]\n#[ignore]\nfn a() {}\n"), ["2: a test that is ignored"]);
        let reason = "#[test]\n#[ignore = \"slow\"]\nfn a() {}\n";
        assert_eq!(found(reason), ["2: a test that is ignored"]);
    }

    #[test]
    fn names_without_meaning_are_found() {
        assert_eq!(found("mod util {}\n"), ["1: a module named `util`"]);
        assert_eq!(found("struct PeerManager;\n"), ["1: a type named `PeerManager`"]);
        assert_eq!(found("enum Manager {}\n"), ["1: a type named `Manager`"]);
        assert!(found("struct Managed;\n").is_empty());
    }

    #[test]
    fn what_is_no_rust_is_reported_and_does_not_stop_the_rest() {
        assert!(found("fn f( {\n")[0].contains("no Rust"));
    }
}
